#!/usr/bin/env python3
"""The parts that no distribution packages: versitygw, built from source, and Kafka, from its published artifacts.

Both are pinned by hash, made once, and kept in a cache that all clones share and that `make clean` leaves alone.
"""

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from string import Template

from processes import STEP, StackError

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "labelwire"

VERSITYGW = CACHE / "versitygw-1.8.0"
VERSITYGW_PACKAGE = "github.com/versity/versitygw/cmd/versitygw"
OLDEST_GO = (1, 25)

KAFKA = CACHE / "kafka-4.3.1"
KAFKA_LOGGING = f"-Dlog4j2.configurationFile={HERE}/kafka/log4j2.properties"
KAFKA_CLUSTER = "bGFiZWx3aXJlLWxvY2FsMQ"


class Progress:
    """Lines about a slow piece of work, one every few seconds at most."""

    EVERY = 5.0

    def __init__(self, name: str) -> None:
        self.name = name
        self.begun = self.said = time.monotonic()

    def say(self, text: str) -> None:
        self.said = time.monotonic()
        print(f"{self.name}: {text}", flush=True)

    def hint(self, text: str) -> None:
        if time.monotonic() - self.said >= self.EVERY:
            self.say(f"{text}, {self.seconds()}")

    def seconds(self) -> str:
        return f"{time.monotonic() - self.begun:.0f} s"


def run(argv: list, on_line=lambda line: None, **options) -> None:
    """Run a program to its end, showing each line of its output to `on_line`; its last lines explain a failure."""
    tail: deque[str] = deque(maxlen=15)
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", start_new_session=True, **options) as process:
        try:
            for line in process.stdout or ():
                tail.append(line)
                on_line(line)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
    if process.returncode:
        raise StackError(f"{' '.join(map(str, argv[:3]))} … failed; the end of its output:\n{''.join(tail).rstrip()}")


@contextmanager
def locked(path: Path, progress: Progress):
    """Hold the lock beside a cached path: another clone may be making the same thing right now."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(f"{path}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("being made by another command; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch(path: Path):
    """An empty folder beside a cached path, for work whose result is renamed into place; call with the lock held."""
    folder = Path(f"{path}.tmp")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- versitygw ---------------------------------------------------------------------------------------------------


def make_versitygw(progress: Progress) -> None:
    """Build versitygw from the module pinned in versitygw/go.mod and go.sum."""
    progress.say(f"building it from source, once, in a minute or two; it is kept in {CACHE}")
    with scratch(VERSITYGW) as folder:
        go = new_enough_go(folder, progress)
        env = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": ""}
        fetched = compiled = 0

        def on_line(line: str) -> None:
            nonlocal fetched, compiled
            if line.startswith("go: downloading"):
                fetched += 1
                progress.hint(f"{fetched} modules fetched")
            else:
                compiled += 1
                progress.hint(f"{compiled} packages of about 600 compiled")

        binary = folder / "versitygw"
        run([go, "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", binary, VERSITYGW_PACKAGE],
            on_line, cwd=HERE / "versitygw", env=env)
        binary.rename(VERSITYGW)


def new_enough_go(folder: Path, progress: Progress) -> str:
    """The machine's Go if it can build versitygw, else one fetched into the folder and thrown away with it."""
    go = shutil.which("go")
    if go:
        own = os.environ | {"GOTOOLCHAIN": "local"}  # else it may answer for another one that it would download
        answer = subprocess.run([go, "version"], capture_output=True, text=True, env=own, check=False)
        version = re.search(r"go(\d+)\.(\d+)", answer.stdout)
        if version and (int(version[1]), int(version[2])) >= OLDEST_GO:
            return go
    progress.say("fetching a Go compiler (75 MB)")
    venv = folder / "venv"
    run([sys.executable, "-m", "venv", venv])
    run([venv / "bin/pip", "install", "--quiet", "--no-cache-dir", "--only-binary", ":all:", "--require-hashes",
         "-r", HERE / "versitygw/go-toolchain.txt"])
    return str(venv / "bin/go")


# --- Kafka -------------------------------------------------------------------------------------------------------


def make_kafka(progress: Progress) -> None:
    """Fetch Kafka's jars if they are missing, and record the class archive for this Java."""
    if not KAFKA.exists():
        fetch_jars(progress)
    if not class_archive().exists():
        record_class_archive(progress)


def fetch_jars(progress: Progress) -> None:
    """Let Maven fetch what kafka/pom.xml names, and accept exactly the files listed in kafka/jars.sha256."""
    lines = (HERE / "kafka/jars.sha256").read_text().splitlines()
    listed = {name: digest for digest, name in map(str.split, lines)}
    progress.say(f"fetching {len(listed)} jars (44 MB)")
    with scratch(KAFKA) as folder:
        fetched = 0

        def on_line(line: str) -> None:
            nonlocal fetched
            fetched += "Downloaded from" in line
            progress.hint(f"{fetched} files fetched")

        run(["mvn", "--batch-mode", "--strict-checksums", "--file", HERE / "kafka/pom.xml",
             "dependency:copy-dependencies", f"-DoutputDirectory={folder}", "-DincludeScope=runtime"],
            on_line, cwd=folder)
        found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in folder.glob("*.jar")}
        for name in sorted(listed.keys() | found.keys()):
            if listed.get(name) != found.get(name):
                raise StackError(f"{name}: not the file that kafka/jars.sha256 lists")
        folder.rename(KAFKA)


def java() -> str:
    """The Java to run Kafka with."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which(f"{home}/bin/java") if home else shutil.which("java")
    if not found:
        raise StackError("no Java found: run deploy/local/install.sh")
    return found


def class_archive() -> Path:
    """Where the class archive of this Java is: another Java would silently ignore it and start slowly."""
    binary = Path(java()).resolve()
    stat = binary.stat()
    mark = hashlib.sha256(f"{binary} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()
    return KAFKA / f"classes-{mark[:12]}.jsa"


def kafka_java(*arguments: str) -> list[str]:
    """A Java command line with Kafka's classes; their order must not change, or the class archive is ignored."""
    jars = ":".join(sorted(map(str, KAFKA.glob("*.jar"))))
    return [java(), "-Xms64m", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xlog:cds=off",
            "-Xlog:cds+dynamic=off", KAFKA_LOGGING, "-cp", jars, *arguments]


def kafka_command(properties: Path) -> list[str]:
    """The command that runs the broker."""
    command = kafka_java("kafka.Kafka", str(properties))
    return [command[0], f"-XX:SharedArchiveFile={class_archive()}", *command[1:]]


def prepare_kafka(data: Path, port: int, controller_port: int) -> Path:
    """Write the broker's configuration, format its data folder if it is new, and return the configuration's path."""
    data.mkdir(parents=True, exist_ok=True)
    properties = data / "server.properties"
    template = Template((HERE / "kafka/server.properties").read_text())
    log = data / "log"
    properties.write_text(template.substitute(port=port, controller_port=controller_port, data=log))
    if not (log / "meta.properties").exists():
        run(kafka_java("kafka.tools.StorageTool", "format", "-t", KAFKA_CLUSTER, "-c", str(properties), "--standalone"))
    return properties


def record_class_archive(progress: Progress) -> None:
    """Run the broker once and have Java write down, at its end, the classes that it loaded: later starts take half."""
    progress.say("recording its classes, so that it starts fast")
    for old in KAFKA.glob("classes-*.jsa"):
        old.unlink()
    port, controller_port = free_port(), free_port()
    with scratch(class_archive()) as folder:
        archive = folder / "classes.jsa"
        command = kafka_java("kafka.Kafka", str(prepare_kafka(folder / "data", port, controller_port)))
        with open(folder / "log", "w+") as log, subprocess.Popen(
                [command[0], f"-XX:ArchiveClassesAtExit={archive}", *command[1:]],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True) as broker:
            try:
                while not kafka_serves(port) and broker.poll() is None and time.monotonic() - progress.begun < 300:
                    time.sleep(STEP)
            finally:
                broker.terminate()
            broker.wait()
            log.seek(0)
            if not archive.exists():
                tail = "".join(log.readlines()[-15:])
                raise StackError(f"Java wrote no class archive; the end of its output:\n{tail}")
        archive.rename(class_archive())


def kafka_serves(port: int) -> bool:
    """Whether the broker answers, and counts itself among the brokers that clients may use (Metadata request, v1)."""
    request = b"\0\3" b"\0\1" b"\0\0\0\0" b"\0\0" b"\0\0\0\0"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(len(request).to_bytes(4, "big") + request)
            answer = connection.recv(12, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(answer) == 12 and int.from_bytes(answer[8:], "big") > 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


# --- fetching ----------------------------------------------------------------------------------------------------

MAKERS = {"versitygw": make_versitygw, "kafka": make_kafka}


def missing() -> list[str]:
    """The parts that are not in the cache yet."""
    present = {"versitygw": VERSITYGW.exists(), "kafka": KAFKA.exists() and class_archive().exists()}
    return [name for name, there in present.items() if not there]


def fetch() -> None:
    """Make all missing parts, side by side: each in a process of its own, since both mostly wait for others."""
    makers = {name: subprocess.Popen([sys.executable, __file__, name]) for name in missing()}
    try:
        failed = [name for name, maker in makers.items() if maker.wait()]
    except BaseException:
        for maker in makers.values():
            maker.terminate()
        for maker in makers.values():
            maker.wait()
        raise
    if failed:
        raise StackError(f"could not get {' and '.join(failed)}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Make one part of the native stack, if it is not in the cache.")
    parser.add_argument("part", choices=MAKERS)
    name = parser.parse_args().part
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    progress = Progress(name)
    path = {"versitygw": VERSITYGW, "kafka": KAFKA}[name]
    try:
        with locked(path, progress):
            if name in missing():
                MAKERS[name](progress)
                progress.say(f"ready after {progress.seconds()}")
    except (StackError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
