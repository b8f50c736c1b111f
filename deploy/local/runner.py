"""The native development stack: Redis, Kafka, versitygw and Labelwire's services as plain processes on this machine."""

import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path

import layout
import parts
from certificates import make_certificates
from layout import HOST, INSTANCES, PARTS, SECONDS, SERVICES, service_of
from processes import STEP, Process, StackError, port_holder, port_is_free, stop, wait_gone

ROOT = Path(__file__).resolve().parents[2]
START_PATIENCE = 60.0  # seconds for a process to become ready
STOP_PATIENCE = 25.0  # seconds for a process to end by itself; the services allow themselves 20


class Stack:
    """The processes whose data, logs, pids and certificates are in one folder.

    state     that folder; two stacks with different folders and ports do not disturb each other
    bin       the folder with Labelwire's programs
    ports     as from layout.ports_from(), which is the default
    settings  more environment: {"NAME": value} for all services that take it, {"service:NAME": value} for one;
              {"process:NAME": value} for one of two instances
    without   services that are not started
    twice     services of which a second instance runs, a process called "recognizer-2"
    say       where progress lines go

    As a context manager it is up inside the block and gone after it, whatever happened.
    """

    def __init__(self, state: Path | str = ROOT / "build/stack", bin: Path | str = ROOT / "build/dev/bin",
                 ports: Mapping[str, int] | None = None, settings: Mapping[str, str] | None = None,
                 without: Iterable[str] = (), twice: Iterable[str] = (), say: Callable[[str], None] = print) -> None:
        self.state = Path(state).resolve()
        self.bin = Path(bin).resolve()
        self.ports = dict(ports or layout.ports_from())
        self.settings = dict(settings or {})
        self.without = tuple(without)
        self.twice = tuple(twice)
        self.say = say
        self.processes = {name: Process(name, self.state) for name in PARTS + INSTANCES}
        wanted = (*PARTS, *SERVICES, *(name for name in SECONDS if service_of(name) in self.twice))
        self.names = [name for name in wanted if name not in self.without]

    def __enter__(self) -> "Stack":
        self.up()
        return self

    def __exit__(self, *_) -> None:
        self.down()

    # --- remembering how it was started ------------------------------------------------------------------------

    @classmethod
    def known(cls, state: Path | str) -> "Stack | None":
        """The stack that was started in this folder and not stopped, with its ports and settings."""
        try:
            memory = json.loads((Path(state) / "run/stack.json").read_text())
        except FileNotFoundError:
            return None
        return cls(state, **memory)

    def alive(self) -> bool:
        """Whether anything of it runs."""
        return any(process.pid for process in self.processes.values())

    def _remember(self) -> None:
        memory = {"bin": str(self.bin), "ports": self.ports, "settings": self.settings, "without": self.without,
                  "twice": self.twice}
        (self.state / "run").mkdir(parents=True, exist_ok=True)
        (self.state / "run/stack.json").write_text(json.dumps(memory))

    @contextmanager
    def _locked(self):
        """One command at a time changes what runs in this folder."""
        self.state.mkdir(parents=True, exist_ok=True)
        with open(self.state / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say(f"another command is at work in {self.state}; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # --- the whole ---------------------------------------------------------------------------------------------

    def up(self, fresh: bool = False) -> None:
        """Start what does not run yet and wait until all is ready; if anything fails, stop what this call started."""
        begun = time.monotonic()
        with self._locked():
            if fresh:
                self._stop_all()
                self._wipe()
            absent = [name for name in self.names if not self.processes[name].pid]
            if not absent:
                self.say(f"already up: {self.urls['gateway']}")
                return
            self._prepare(absent, programs=["labelwire", *absent])
            try:
                for stage in (("redis", "kafka"), ("versitygw",), INSTANCES):
                    if stage[0] == "versitygw":  # it ends at once if its topic is not there
                        self._setup("topics")
                    if stage == INSTANCES:
                        self._setup("bucket")
                    self._start([name for name in stage if name in absent], watched=absent)
            except BaseException:
                self._stop(absent)
                if len(absent) == len(self.names):
                    self._forget()
                raise
            self.say(f"up in {time.monotonic() - begun:.1f} s: {self.urls['gateway']}")

    def down(self) -> None:
        """Stop everything and leave the data."""
        with self._locked():
            if not self._stop_all():
                self.say("nothing was up")

    def _stop_all(self) -> bool:
        begun = time.monotonic()
        started = [name for name, process in self.processes.items() if process.started]
        self._stop(started)
        self._forget()
        if started:
            self.say(f"down in {time.monotonic() - begun:.1f} s")
        return bool(started)

    def _stop(self, names: Iterable[str]) -> None:
        """Stop processes before those that they need, so that they can finish what they are at."""
        for stage in (INSTANCES, ("versitygw",), ("kafka", "redis")):
            for process in stop([self.processes[name] for name in stage if name in names], STOP_PATIENCE):
                self.say(f"{process.name} did not stop in {STOP_PATIENCE:.0f} s and was killed")

    def _forget(self) -> None:
        (self.state / "run/stack.json").unlink(missing_ok=True)

    def _wipe(self) -> None:
        for folder in ("redis", "kafka", "s3", "s3-sidecar", "logs"):
            shutil.rmtree(self.state / folder, ignore_errors=True)

    # --- one process -------------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start one process if it does not run, and wait until it is ready."""
        if not self.processes[name].pid:
            self._prepare([name], programs=[name])
            self._start([name], watched=[name])

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to one process; after SIGKILL, wait until it is gone."""
        process = self.processes[name]
        process.signal(number)
        if number == signal.SIGKILL:
            wait_gone([process], STOP_PATIENCE)

    def restart(self, name: str) -> None:
        """Stop one process in the orderly way if it runs, and start it with the settings of now."""
        stop([self.processes[name]], STOP_PATIENCE)
        self.start(name)

    def env(self, name: str) -> dict[str, str]:
        """The whole environment of a process ("labelwire" is the command-line tool): nothing else of the caller's."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
        return inherited | self.variables(name)

    def variables(self, name: str) -> dict[str, str]:
        """The variables that configure a process."""
        return layout.variables(name, self.ports, self.state, self.settings)

    def log_path(self, name: str) -> Path:
        """Where a process's output goes."""
        return self.processes[name].log

    @property
    def urls(self) -> dict[str, str]:
        """Where things are: gateway, s3, kafka, redis, rekognition, and each service's admin page by its name."""
        port = self.ports
        return {
            "gateway": f"http://{HOST}:{port['gateway']}",
            "gateway-2": f"http://{HOST}:{port['gateway-2']}",
            "s3": f"http://{HOST}:{port['s3']}",
            "kafka": f"{HOST}:{port['kafka']}",
            "redis": f"redis://{HOST}:{port['redis']}/0",
            "rekognition": f"https://{HOST}:{port['rekognition']}",
        } | {name: f"http://{HOST}:{port[name]}" for name in INSTANCES}

    def ready(self, name: str) -> bool:
        """Whether a process does its work now."""
        if name == "redis":
            return redis_serves(self.ports["redis"])
        if name == "kafka":
            return parts.kafka_serves(self.ports["kafka"])
        if name == "versitygw":
            return answers_ok(f"{self.urls['s3']}/healthz")
        return answers_ok(f"{self.urls[name]}/readyz")

    # --- starting ----------------------------------------------------------------------------------------------

    def _prepare(self, names: Iterable[str], programs: Iterable[str]) -> None:
        """See to all that these processes need, and find out what is in the way before anything is started."""
        files = {service_of(p) for p in programs if p not in PARTS}
        absent = [file for file in sorted(files) if not os.access(self.bin / file, os.X_OK)]
        if absent:
            raise StackError(f"{self.bin} lacks {', '.join(absent)}: run make first")
        self._check_ports(names)
        if not set(names).isdisjoint(parts.missing()):
            parts.fetch()
        self._remember()
        make_certificates(self.state / "certs")

    def _check_ports(self, names: Iterable[str]) -> None:
        taken = []
        for name in names:
            for port in layout.ports_of(name):
                number = self.ports[port]
                if not port_is_free(number):
                    about = layout.PORTS[port]
                    taken.append(f"port {number} ({about.purpose}) is taken by {port_holder(number)}; "
                                 f"{about.variable} moves it")
        if taken:
            raise StackError("\n".join(taken) + "\nPORT_SHIFT=1000 moves all ports at once")

    def _start(self, names: Iterable[str], watched: Iterable[str]) -> None:
        """Start processes side by side and wait until they are ready, or until one of those watched has died."""
        begun = time.monotonic()
        for name in names:
            self.processes[name].start(self._command(name), self.env(name))
        waiting = list(names)
        while waiting:
            for name in [name for name in waiting if self.ready(name)]:
                self.say(f"{name} ready in {self.processes[name].age():.1f} s")
                waiting.remove(name)
            for process in (self.processes[name] for name in watched):
                if process.started and not process.pid:
                    raise StackError(f"{process.name} died; the end of {process.log}:\n{process.tail()}")
            if waiting and time.monotonic() - begun > START_PATIENCE:
                process = self.processes[waiting[0]]
                raise StackError(f"{process.name} is not ready after {START_PATIENCE:.0f} s; "
                                 f"the end of {process.log}:\n{process.tail()}")
            time.sleep(STEP)

    def _command(self, name: str) -> list:
        """The command line of a process; writes the files that it needs."""
        if name == "redis":
            (self.state / "redis").mkdir(exist_ok=True)
            return ["redis-server", "--bind", HOST, "--port", str(self.ports["redis"]), "--dir", self.state / "redis",
                    "--appendonly", "yes", "--appendfsync", "always", "--save", "",
                    "--maxmemory-policy", "noeviction"]
        if name == "kafka":
            return parts.kafka_command(parts.prepare_kafka(
                self.state / "kafka", self.ports["kafka"], self.ports["kafka-controller"]))
        if name == "versitygw":
            return [parts.VERSITYGW, "--port", f"{HOST}:{self.ports['s3']}", "--region", "us-east-1",
                    "--health", "/healthz", "--keep-alive", "--quiet",
                    "--event-kafka-url", self.urls["kafka"], "--event-kafka-topic", layout.UPLOADS_TOPIC,
                    "--event-kafka-key", "s3", "--event-filter", parts.HERE / "versitygw/filter.json",
                    "posix", *self._storage()]
        return [self.bin / service_of(name)]

    def _storage(self) -> list[Path | str]:
        """Where versitygw keeps objects; their metadata goes beside them on file systems without user attributes."""
        data, sidecar = self.state / "s3", self.state / "s3-sidecar"
        data.mkdir(exist_ok=True)
        try:
            os.setxattr(data, "user.labelwire", b"probe")
            return [data]
        except OSError:
            sidecar.mkdir(exist_ok=True)
            return ["--sidecar", sidecar, data]

    def _setup(self, what: str) -> None:
        """Let the command-line tool create topics or the bucket; repeating it does no harm."""
        begun = time.monotonic()
        try:
            done = subprocess.run([self.bin / "labelwire", "setup", what], env=self.env("labelwire"), cwd=self.state,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, timeout=START_PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise StackError(f"labelwire setup {what} did not end in {START_PATIENCE:.0f} s") from None
        if done.returncode:
            raise StackError(f"labelwire setup {what} failed:\n{done.stdout.rstrip()}")
        self.say(f"{what} ready in {time.monotonic() - begun:.1f} s")


def redis_serves(port: int) -> bool:
    """Whether Redis answers, and is not still loading its data."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(5) == b"+PONG"
    except OSError:
        return False


def answers_ok(url: str) -> bool:
    """Whether a GET answers 200 at once."""
    try:
        with direct.open(url, timeout=1) as answer:
            return answer.status == 200
    except (OSError, http.client.HTTPException):
        return False


# Never through a proxy that the environment may name: all is on this machine.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
