#!/usr/bin/env python3
"""CPU per request of the gateway, against a bare civetweb server in the same run.

Starts a stack of its own, labels one picture, and asks in turns

    hello        the bare server (hello.c), with a response of the gateway's as its only answer
    POST         creates a blob: presigned URL, record, timer and event in one atomic script
    GET waiting  a blob that nobody has uploaded yet, answered 404
    GET labels   the labeled one, answered 200

with the server on one core and everything else on the others. What counts is the server's CPU time for a request,
and of that the ratio to hello's in the same round: on a busy machine two runs of one program differ by half, ratios
within a round by much less. Only counts can make it fail: every request answered as it should be, every 201 a record
with a timer, and an event that the relay brought to Kafka.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from dataclasses import dataclass, fields
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy/local"))

from processes import stop  # noqa: E402
from stack import Stack, StackError, ports_from  # noqa: E402

NEEDED_TO_LABEL = ("rekognition-local", "recognizer", "callback-dispatcher")  # stopped before anything is measured
THREADS = 256  # LW_HTTP_THREADS by default
SHARD = "lw:{0}:"
BODY = json.dumps({"callback_url": "http://127.0.0.1:9000/hook"})
QUIET = 0.2  # seconds without a change: what was under way when wrk stopped has been answered
STEADY = 0.20  # how far a round's hello may be from the median of all before the round is left out
TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Scenario:
    """What wrk asks for; refused: the answers are to be 4xx."""

    name: str
    url: str
    method: str = "GET"
    body: str = ""
    refused: bool = False


@dataclass
class Result:
    """One scenario in one round."""

    rate: float  # requests a second
    p50_ms: float
    p99_ms: float
    server_us: float  # CPU for each request, of the process that answers
    redis_us: float
    relay_us: float  # of the upload-watcher, until the outbox is empty
    rest_busy: float  # share of the other cores, by whomever


class CountsAreWrong(Exception):
    """What must be equal is not."""


@dataclass
class Counts:
    """What must move by the same number while blobs are created."""

    answered: int  # by the gateway's own metrics
    good: int  # of these, with 2xx
    timers: int
    events: int  # ever added to the outbox


# --- the processes ---------------------------------------------------------------------------------------------


def cpu_ticks(pid: int) -> int:
    """CPU time that a process has used, with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def busy_and_all(cores: set[int]) -> tuple[int, int]:
    """Ticks that cores have been busy, and all their ticks."""
    busy = total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        found = re.match(r"cpu(\d+) (.*)", line)
        if found and int(found[1]) in cores:
            ticks = [int(n) for n in found[2].split()[:8]]
            total += sum(ticks)
            busy += sum(ticks) - ticks[3] - ticks[4]  # idle, waiting for a disk
    return busy, total


def pin(pid: int, cores: set[int]) -> None:
    """All threads of a process to these cores, and so those that they will start."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), cores)


def free_ports() -> dict[str, int]:
    """A free port for every name."""
    with contextlib.ExitStack() as stack:
        return {name: stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
                for name in ports_from({})}


@contextlib.contextmanager
def hello(program: Path, response: bytes, core: int):
    """The bare server: (pid, url, version of civetweb)."""
    if not os.access(program, os.X_OK):
        raise StackError(f"{program} is not there: run make bench")
    with subprocess.Popen([program, str(THREADS), response], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            port, version = server.stdout.readline().split()
            pin(server.pid, {core})
            yield server.pid, f"http://127.0.0.1:{port}/", version
        finally:
            server.terminate()


class Redis:
    """As much of a client as counting takes."""

    def __init__(self, port: int) -> None:
        self.file = socket.create_connection(("127.0.0.1", port), timeout=10).makefile("rwb")

    def __call__(self, *words: str):
        self.file.write(f"{' '.join(words)}\r\n".encode())
        self.file.flush()
        return self._answer()

    def _answer(self):
        line = self.file.readline().rstrip().decode()
        if not line:
            raise CountsAreWrong("Redis has gone")
        kind, rest = line[:1], line[1:]
        if kind == "*":
            return [self._answer() for _ in range(int(rest))]
        if kind == "$":
            return None if rest == "-1" else self.file.read(int(rest) + 2)[:-2].decode()
        if kind == "-":
            raise CountsAreWrong(f"Redis says {rest}")
        return int(rest) if kind == ":" else rest

    def pairs(self, *words: str) -> dict:
        """An answer that alternates names and values."""
        flat = self(*words)
        return dict(zip(flat[::2], flat[1::2]))


def talk(url: str, method: str = "GET", body: str = "") -> bytes:
    """One request; the response as it came."""
    parts = urllib.parse.urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(f"{method} {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
                           f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def expect(response: bytes, status: int) -> dict:
    """The body of a response that must have this status."""
    head, _, body = response.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 %d " % status):
        raise CountsAreWrong(f"want {status}, not {head.decode(errors='replace')}")
    return json.loads(body)


# --- measuring -------------------------------------------------------------------------------------------------


@dataclass
class Bench:
    """A stack ready to be measured."""

    stack: Stack
    redis: Redis
    server_core: int
    rest: set[int]
    connections: int
    created: int = 0  # by POST in all rounds
    probes: int = 0  # which the gateway counts with its answers

    def pid(self, name: str) -> int:
        """The pid of a process of the stack."""
        return self.stack.processes[name].pid

    def counts(self) -> Counts:
        """What there is now."""
        text = talk(f"{self.stack.urls['api-gateway']}/metrics").decode()
        classes = {name: int(n) for name, n in
                   re.findall(r'^labelwire_httpd_requests_total\{class="(.xx)"\} (\d+)', text, re.M)}
        events = self.redis.pairs("XINFO", "STREAM", f"{SHARD}outbox")["entries-added"]
        answered, good = sum(classes.values()) - self.probes, classes["2xx"] - self.probes
        self.probes += 1
        return Counts(answered, good, self.redis("ZCARD", f"{SHARD}timers"), events)

    def settled(self, seconds: float = 60) -> Counts:
        """Counts once the relay has brought all events to Kafka and no answer is under way."""
        deadline = time.monotonic() + seconds
        seen, now = None, self.counts()
        while seen != now or self.redis("XLEN", f"{SHARD}outbox") > 0:
            if time.monotonic() > deadline:
                raise CountsAreWrong(f"events are still in the outbox {seconds:.0f} s after the last request")
            time.sleep(QUIET)
            seen, now = now, self.counts()
        return now

    def load(self, scenario: Scenario, seconds: int) -> dict:
        """Run wrk, away from the server's core."""
        command = ["taskset", "-c", ",".join(map(str, self.rest)),
                   "wrk", "-t", str(min(len(self.rest), 4)), "-c", str(self.connections), "-d", f"{seconds}s",
                   "--timeout", "10s", "-s", ROOT / "tests/bench/wrk.lua", scenario.url]
        done = subprocess.run(command, env=os.environ | {"METHOD": scenario.method, "BODY": scenario.body}, check=True,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds + 30)
        return json.loads(done.stdout.splitlines()[-1])

    def measure(self, scenario: Scenario, server: int, seconds: int) -> Result:
        """One scenario of one round."""
        before = self.settled()
        pids = server, self.pid("redis"), self.pid("upload-watcher")
        ticks = [cpu_ticks(pid) for pid in pids]
        busy, ticks_of_rest = busy_and_all(self.rest)
        seen = self.load(scenario, seconds)
        busy_now, ticks_of_rest_now = busy_and_all(self.rest)
        server_ticks = cpu_ticks(server) - ticks[0]
        after = self.settled()
        redis_ticks, relay_ticks = (cpu_ticks(pid) - then for pid, then in zip(pids[1:], ticks[1:]))
        if server == self.pid("api-gateway"):
            self.compare(scenario, seen, before, after)
        elif seen["refused"] or seen["broken"]:
            raise CountsAreWrong(f"{scenario.name}: {seen}")
        per_request = TICK_US / seen["requests"]
        return Result(rate=seen["requests"] * 1e6 / seen["us"], p50_ms=seen["p50_us"] / 1e3, p99_ms=seen["p99_us"] / 1e3,
                      server_us=server_ticks * per_request, redis_us=redis_ticks * per_request,
                      relay_us=relay_ticks * per_request,
                      rest_busy=(busy_now - busy) / max(ticks_of_rest_now - ticks_of_rest, 1))

    def compare(self, scenario: Scenario, seen: dict, before: Counts, after: Counts) -> None:
        """What wrk counted, what the gateway counted, and what is in Redis must be the same.

        Requests that were under way when wrk stopped were served, too, and nobody counted their answers.
        """
        answered, good = after.answered - before.answered, after.good - before.good
        timers, events = after.timers - before.timers, after.events - before.events
        created = good if scenario.method == "POST" else 0
        wrong = {
            f"{seen['broken']} connections broke": seen["broken"] > 0,
            f"{seen['refused']} of {seen['requests']} answers are errors":
                seen["refused"] != (seen["requests"] if scenario.refused else 0),
            f"wrk saw {seen['requests']} answers, the gateway gave {answered}":
                not 0 <= answered - seen["requests"] <= self.connections,
            f"{good} of {answered} answers are 2xx": good != (0 if scenario.refused else answered),
            f"{created} blobs, {timers} new timers, {events} new events": (timers, events) != (created, created),
        }
        if any(wrong.values()):
            raise CountsAreWrong(f"{scenario.name}: {'; '.join(text for text in wrong if wrong[text])}")
        self.created += created


# --- the report ------------------------------------------------------------------------------------------------


def facts(bench: Bench, civetweb: str, args) -> str:
    """What a reader must know to make something of the figures."""
    model = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M)
    server = dict(line.split(":", 1) for line in bench.redis("INFO", "server").splitlines() if ":" in line)
    setting = bench.redis.pairs("CONFIG", "GET", "append*")
    return (f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}\n"
            f"civetweb {civetweb}, Redis {server['redis_version']} with appendonly {setting['appendonly']}, "
            f"appendfsync {setting['appendfsync']}; log level info, to a file\n"
            f"server on core {bench.server_core}, generator and the rest on {', '.join(map(str, sorted(bench.rest)))}; "
            f"{args.connections} at a time, a connection for each request; {THREADS} threads\n"
            f"{args.rounds} rounds of {args.seconds} s for each scenario")


def steady(rounds: list[dict[str, Result]]) -> list[dict[str, Result]]:
    """The rounds whose hello is near the median of all; all, when those are too few to say anything."""
    middle = statistics.median(r["hello"].server_us for r in rounds)
    good = [r for r in rounds if abs(r["hello"].server_us / middle - 1) <= STEADY]
    return good if len(good) >= 3 else rounds


def table(rounds: list[dict[str, Result]]) -> str:
    """Medians over the rounds, and of ratios of each round."""
    lines = [f"{'':<12} {'CPU µs':>7} {'× hello':>8} {'(min–max)':>13} {'req/s':>7} {'p50 ms':>7} {'p99 ms':>7} "
             f"{'Redis µs':>9} {'relay µs':>9}"]
    for name in rounds[0]:
        middle = {f.name: statistics.median(getattr(r[name], f.name) for r in rounds) for f in fields(Result)}
        ratios = [r[name].server_us / r["hello"].server_us for r in rounds]
        spread = f"({min(ratios):.2f}–{max(ratios):.2f})" if name != "hello" else ""
        redis = f"{middle['redis_us']:.1f}" if name != "hello" else ""
        relay = f"{middle['relay_us']:.1f}" if name == "POST" else ""
        lines.append(f"{name:<12} {middle['server_us']:>7.1f} {statistics.median(ratios):>8.2f} {spread:>13} "
                     f"{middle['rate']:>7.0f} {middle['p50_ms']:>7.2f} {middle['p99_ms']:>7.2f} {redis:>9} {relay:>9}".rstrip())
    return "\n".join(lines)


# --- the run ---------------------------------------------------------------------------------------------------


def label(stack: Stack) -> str:
    """Label one picture; the blob's id."""
    done = subprocess.run([stack.bin / "labelwire", "label", "--json", ROOT / "deploy/local/demo.jpg"],
                          env=stack.env("labelwire"), capture_output=True, text=True, timeout=60, check=False)
    answer = json.loads(done.stdout or "{}")
    if not answer.get("labels"):
        raise StackError(f"the picture was not labeled: {done.stdout}{done.stderr}")
    return answer["blob_id"]


def run(args, folder: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))
    server_core, rest = cores[0], set(cores[1:] or cores)
    if len(cores) == 1:
        print("only one core: the server shares it with the generator, which blurs the ratios")
    # Timers that fall due during the run would be work of another kind.
    settings = {"api-gateway:LW_UPLOAD_WINDOW": "24h", "api-gateway:LW_HTTP_THREADS": str(THREADS)}
    with Stack(folder, args.bin, free_ports(), settings, say=lambda line: print(f"  {line}", flush=True)) as stack:
        gateway = stack.urls["gateway"]
        labeled = label(stack)
        stop([stack.processes[name] for name in NEEDED_TO_LABEL], patience=25)
        for name, process in stack.processes.items():
            if process.pid:
                pin(process.pid, {server_core} if name == "api-gateway" else rest)
        waiting = talk(f"{gateway}/blobs", "POST", BODY)
        scenarios = [
            Scenario("POST", f"{gateway}/blobs", "POST", BODY),
            Scenario("GET waiting", f"{gateway}/blobs/{expect(waiting, 201)['blob_id']}", refused=True),
            Scenario("GET labels", f"{gateway}/blobs/{labeled}"),
        ]
        for scenario in scenarios:
            expect(talk(scenario.url, scenario.method, scenario.body),
                   {"POST": 201, "GET waiting": 404, "GET labels": 200}[scenario.name])
        bench = Bench(stack, Redis(stack.ports["redis"]), server_core, rest, args.connections)
        with hello(args.bin.parent / "bench/hello", waiting, server_core) as (pid, url, civetweb):
            servers = {Scenario("hello", url): pid} | dict.fromkeys(scenarios, bench.pid("api-gateway"))
            print(f"\n{facts(bench, civetweb, args)}\n")
            measure_all(bench, servers, args)


def measure_all(bench: Bench, servers: dict[Scenario, int], args) -> None:
    """All rounds with a line for each, then the table."""
    for scenario, server in servers.items():
        bench.measure(scenario, server, 1)  # to warm up
    rounds = []
    for i in range(args.rounds):
        order = list(servers)[::-1 if i % 2 else 1]  # so that a drift helps none of them
        results = {s.name: bench.measure(s, servers[s], args.seconds) for s in order}
        rounds.append({s.name: results[s.name] for s in servers})
        print(f"round {i + 1} of {args.rounds}: CPU µs "
              + ", ".join(f"{name} {result.server_us:.1f}" for name, result in rounds[-1].items()), flush=True)
    good = steady(rounds)
    print(f"\n{table(good)}\n")
    if len(good) < len(rounds):
        print(f"{len(rounds) - len(good)} rounds are left out: their hello is more than {STEADY:.0%} off the median.")
    if statistics.median(r["POST"].rest_busy for r in good) > 0.9:
        print("The generator's side was over 90% busy: req/s, p50 and p99 are its limits more than the server's.")
    print("Compare ratios, never figures of two runs or machines; p50 and p99 are those of a saturated server.\n"
          f"Counts are right: {bench.created} answers 201, as many records with a timer, and as many events that "
          "reached Kafka.")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", metavar="N", type=int, default=7, help="rounds; three at least (default: 7)")
    parser.add_argument("--seconds", metavar="N", type=int, default=3, help="for each scenario of a round (default: 3)")
    parser.add_argument("--connections", metavar="N", type=int, default=32, help="at a time (default: 32)")
    parser.add_argument("--bin", metavar="DIR", type=Path, default=ROOT / "build/dev/bin",
                        help="the folder with the programs; hello is in bench beside it (default: build/dev/bin)")
    args = parser.parse_args()
    if args.rounds < 1 or args.seconds < 1 or not 1 <= args.connections <= THREADS // 2:
        parser.error(f"want at least one round, one second, and 1 to {THREADS // 2} connections")
    return args


def main() -> int:
    args = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not shutil.which("wrk"):
        print("wrk is missing: deploy/local/install.sh --test", file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory(prefix="labelwire-bench-") as folder:
            run(args, Path(folder))
    except (StackError, CountsAreWrong, subprocess.SubprocessError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; all has been stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
