#!/usr/bin/env python3
"""Proof by program that nothing is lost: blobs are created, uploaded and called back while processes die.

    chaos.py failpoints             every FAILPOINT of the sources: the service dies there, under load, and comes back
    chaos.py random --seeds 200     schedules of two to four faults; the same seed is the same schedule
    chaos.py soak --minutes 60      steady load, a fault every 20 seconds
    chaos.py outage                 Kafka is away for a minute under load
    chaos.py backlog                20,000 blobs wait for a Rekognition that takes 50 calls per second

It starts a stack of its own and takes it down. Whatever happens, what check.py lists must hold; the exit code is 1
if it does not, and every violation is shown with all that is known of its blob.
"""
import argparse
import random
import re
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests/e2e"), str(ROOT / "deploy/local")]

import stacks  # noqa: E402
from check import OUTCOMES, TOUCHES_CALL, TOUCHES_CALLBACK, Fault, History, check, ended, excused  # noqa: E402
from check import firsts, time_of, timeline, touching, type_of  # noqa: E402
from layout import SCALED  # noqa: E402
from load import KINDS, Hooks, Load  # noqa: E402
from scenarios import LIFELIKE, backlog, outage  # noqa: E402
from processes import stop  # noqa: E402
from schedules import SPAN, Faults, one, schedule  # noqa: E402
from stack import Stack, StackError  # noqa: E402
from watch import GROUPS, Events, Letters, Logs, Memory, lag_left, send_poison  # noqa: E402

OUTCOME_PATIENCE = 60.0  # seconds after the last fault until every blob has its outcome
FAULT_EVERY = 20.0  # seconds, in a soak
SETTLE_AFTER = 30.0  # seconds after its outcome that a blob of a soak is judged and forgotten
SHOWN = 5  # violations with all their details


class Run:
    """A stack under load, everything that is known of it, and what was wrong so far."""

    def __init__(self, args, twice=(), settings=None):
        self.args, self.begun = args, time.monotonic()
        self.state = Path(tempfile.mkdtemp(prefix="labelwire-chaos-"))
        self.stack = Stack(self.state, args.bin, stacks.free_ports(), {**stacks.SETTINGS, **(settings or {})},
                                  twice=twice, say=lambda _: None)
        self.say(f"state in {self.state}")
        self.stack.up()
        self.hooks, self.events, self.letters = Hooks(), Events(self.stack), Letters(self.stack)
        self.logs, self.memory, self.faults = Logs(self.stack), Memory(self.stack), Faults(self.stack)
        self.gateways = [(name, self.stack.urls[name.removeprefix("api-")]) for name in self.stack.names
                         if name.startswith("api-gateway")]
        self.past_faults: list[Fault] = []
        self.callbacks: dict[str, list] = {}
        self.paid: Counter = Counter()
        self.settled: set[str] = set()
        self.poison: dict[str, bool] = {}
        self.wrong: list[str] = []
        self.outcomes: Counter = Counter()
        self.numbers: Counter = Counter()
        self.extra = {"callbacks": Counter(), "paid calls": Counter()}
        self.slowest = self.longest = 0.0

    def say(self, text):
        print(f"{time.monotonic() - self.begun:7.1f} s  {text}", flush=True)

    def close(self):
        """Takes everything down; the folder stays if it can explain something."""
        self.events.stop()
        self.letters.stop()
        self.memory.stop()
        self.hooks.close()
        self.stack.down()
        if self.args.keep or self.wrong:
            self.say(f"logs are in {self.state}/logs")
        else:
            shutil.rmtree(self.state)

    def load(self, rate, seed, weights=None):
        return Load(self.gateways, self.hooks, rate, seed, weights)

    def send_poison(self) -> None:
        """One unreadable message to each service that reads Kafka."""
        for topic in GROUPS.values():
            text = f"poison {len(self.poison)} for {topic}"
            self.poison[text] = False
            self.poison[text] = send_poison(self.stack, topic, text)

    def buried(self) -> bool:
        return all(self.letters.of[text] for text, sure in self.poison.items() if sure)

    def wait_for_outcomes(self, load) -> None:
        """Until every blob of the load, and every other that has events, is over; not longer than promised."""
        deadline = time.monotonic() + OUTCOME_PATIENCE
        sure = {blob.id: blob.uploaded for blob in load.blobs}
        while time.monotonic() < deadline:
            events = self.events.snapshot()
            new = set(events) - self.settled
            over = sure.keys() <= events.keys() and all(ended(events[one], sure.get(one, "maybe")) for one in new)
            if over and self.buried():
                break
            threading.Event().wait(0.1)

    # --- judging -----------------------------------------------------------------------------------------------

    def settle(self, load, blobs, others=True) -> History:
        """Judges some blobs, with `others` also those that were created without an answer, and forgets them."""
        faults, died = self.faults.take()
        self.past_faults += faults
        self.numbers["faults"] += len(faults)
        for callback in self.hooks.take():
            self.callbacks.setdefault(callback.path, []).append(callback)
        bad, paid = self.logs.look()
        self.paid.update(paid)
        events, known = self.events.snapshot(), {blob.id for blob in load.blobs}
        mine = {blob.id for blob in blobs} | (events.keys() - known - self.settled if others else set())
        requests, load.requests = load.requests, []
        history = History(
            blobs=blobs, requests=requests, faults=self.past_faults,
            callbacks=[callback for blob in blobs for callback in self.callbacks.pop(blob.path, ())],
            events={blob: events[blob] for blob in mine & events.keys()},
            paid={blob: self.paid.pop(blob) for blob in mine & self.paid.keys()},
            poison=self.poison if others else {}, letters=self.letters.of if others else Counter())
        self.wrong += [*died, *bad]
        for text in (*died, *bad):
            self.say(f"WRONG  {text}")
        self._count(history, load)
        for violation in check(history):
            self.wrong.append(f"{violation.invariant} {violation.blob} {violation.text}")
            if len(self.wrong) <= SHOWN:
                self.say(f"WRONG  {self.wrong[-1]}")
                print("\n".join("           " + line for line in timeline(history, violation.blob)))
        self.settled |= mine
        self.events.forget(self.settled & events.keys())
        return history

    def _count(self, history, load):
        self.numbers["blobs"] += len(history.blobs)
        self.numbers["POSTs answered 503"] += load.refused
        self.numbers["POSTs without an answer"] += load.unknown
        self.numbers["of which exist"] += len(history.events.keys() - {blob.id for blob in history.blobs})
        load.refused = load.unknown = 0
        calls = Counter(callback.path for callback in history.callbacks if callback.status == 204)
        for blob in history.blobs:
            events = firsts(history.events.get(blob.id, []))
            outcomes = [type_of(event) for event in events if type_of(event) in OUTCOMES]
            self.numbers["lost"] += not ended(events, blob.uploaded)
            self.outcomes[blob.kind, outcomes[-1] if outcomes else "LOST"] += 1
            for what, count, targets in (("callbacks", calls[blob.path], TOUCHES_CALLBACK),
                                         ("paid calls", history.paid.get(blob.id, 0), TOUCHES_CALL)):
                if count > 1:
                    by = {f"{f.kind.split()[0]} {f.target}" for f in touching(blob, events, history.faults, targets)}
                    self.extra[what][", ".join(sorted(by)) or "no fault"] += count - 1
        answered = [request.took for request in history.requests if not excused(request, history.faults)]
        self.slowest = max([self.slowest, *answered])

    def recovery(self, history) -> float:
        """Seconds from the end of the last fault to the last outcome."""
        last = max((time_of(event) for events in history.events.values() for event in events
                    if event["data"]["phase"] != "erasing"), default=0)
        seconds = max(0.0, last - max((fault.end for fault in history.faults), default=last))
        self.longest = max(self.longest, seconds)
        return seconds

    def last_gets(self, load):
        """What GET says of each blob in the end; erased ones are gone."""
        for n, blob in enumerate(load.blobs):
            answer = load.ask(self.gateways[n % len(self.gateways)], "GET", f"/blobs/{blob.id}")
            if answer and (answer.status == 200 or answer.json.get("payload", {}).get("status") != "not-found"):
                blob.last_get = (answer.status, answer.body)

    def finish(self) -> int:
        """The last checks and the table; the exit code."""
        left = lag_left(self.stack.ports["kafka"], 15)
        over = [] if "asan" in str(self.stack.bin) else self.memory.over()
        for text in (*left, *over):
            self.say(f"WRONG  {text}")
        self.wrong += [*left, *over]
        print(self.table())
        for text in self.wrong:
            print(f"  {text}")
        print(f"{len(self.wrong)} violations" if self.wrong else "nothing was lost")
        return 1 if self.wrong else 0

    def table(self) -> str:
        doubles, letters = sum("outcomes" in text for text in self.wrong), self.letters.of
        buried = f"{len(letters)} of {len(self.poison)}, in {sum(letters.values())} letters"
        lines = [f"{name:<28} {count}" for name, count in self.numbers.items()]
        lines += [f"{'double outcomes':<28} {doubles}", f"{'poison buried':<28} {buried}"]
        lines += [f"{f'{kind}: {outcome}':<36} {count}" for (kind, outcome), count in sorted(self.outcomes.items())]
        for what, by in self.extra.items():
            lines += [f"{f'extra {what}':<28} {sum(by.values())}"]
            lines += [f"    {count:>4}  {faults}" for faults, count in by.most_common(12)]
        lines += [f"{'slowest API answer':<28} {self.slowest:.2f} s"]
        if self.longest:
            lines += [f"{'longest recovery':<28} {self.longest:.1f} s"]
        lines += [f"{f'memory of {name}':<32} {size / 1e6:.0f} MB" for name, size in self.memory.most().items()]
        return "\n".join(["", *lines, ""])


# --- failpoints ------------------------------------------------------------------------------------------------

DEATH_PATIENCE = 75.0  # seconds until an armed service must have died: those before it in line die meanwhile
MANY_SLOW = {**KINDS, "plain": 55, "absent": 15, "flaky": 12}


def failpoints() -> dict[str, list[str]]:
    """The names in the sources, by the service that passes there; common code is passed by all that move blobs on."""
    owned: dict[str, list[str]] = {service: [] for service in SCALED}
    for path in sorted((*ROOT.glob("services/*/*.c"), *ROOT.glob("common/*/*.c"))):
        owners = [path.parent.name] if "services" in path.parts else SCALED[1:]
        for name in re.findall(r'FAILPOINT\("([^"]+)"\)', path.read_text()):
            for owner in owners:
                owned[owner].append(name)
    return {service: sorted(names, key="timers.erased".__eq__) for service, names in owned.items()}


def die_at(run: Run, service: str, name: str) -> None:
    """Arms a failpoint, waits until the service died there, starts it again unarmed."""
    stack, process, key = run.stack, run.stack.processes[service], f"{service}:FAILPOINT"
    fault = Fault(f"failpoint {name}", service, time.time(), float("inf"))
    run.faults.log.append(fault)
    run.faults.pids[service] = None
    stop([process], 25)
    stack.settings[key] = name
    process.start(stack._command(service), stack.env(service))
    stack.settings[key] = ""
    begun = time.monotonic()
    while process.pid and time.monotonic() < begun + DEATH_PATIENCE:
        threading.Event().wait(0.02)
    died = time.monotonic() - begun
    if process.pid:
        run.wrong.append(f"{service} did not die at {name} within {DEATH_PATIENCE:.0f} s")
        stop([process], 25)
    elif process._child.returncode != -signal.SIGKILL:
        run.wrong.append(f"{service} died before {name}:\n{process.tail()}")
    run.faults.start(service)
    fault.end = time.time()
    run.say(f"{service:<20} {name:<24} died after {died:5.1f} s")


def command_failpoints(args) -> int:
    points = failpoints()
    settings = {f"{service}:FAILPOINT": "" for service in SCALED}
    settings |= {f"{service}:LW_RETENTION": "20s" for service in SCALED}
    run = Run(args, settings=settings)
    try:
        run.say(f"{sum(map(len, points.values()))} failpoints, {args.rate or 6} blobs/s")
        load = run.load(args.rate or 6, 1, MANY_SLOW)
        lanes = [threading.Thread(target=lambda s=service, n=names: [die_at(run, s, name) for name in n])
                 for service, names in points.items()]
        for lane in lanes:
            lane.start()
        while any(lane.is_alive() for lane in lanes):
            run.send_poison()
            threading.Event().wait(1)
        load.stop()
        run.say(f"all died and came back; waiting for the outcomes of {len(load.blobs)} blobs")
        run.wait_for_outcomes(load)
        run.last_gets(load)
        run.recovery(run.settle(load, load.blobs))
        return run.finish()
    finally:
        run.close()


# --- random schedules ------------------------------------------------------------------------------------------


def command_random(args) -> int:
    run = Run(args, twice=SCALED)
    try:
        for seed in range(args.first, args.first + args.seeds):
            one_schedule(run, seed, args.rate or 15)
        return run.finish()
    finally:
        run.close()


def one_schedule(run: Run, seed: int, rate: float) -> None:
    begun, wrong, plan = time.monotonic(), len(run.wrong), schedule(seed)
    load = run.load(rate, seed)
    doer = threading.Thread(target=run.faults.carry_out, args=(plan,))
    doer.start()
    threading.Event().wait(SPAN / 2)
    load.slow = False
    run.send_poison()
    threading.Event().wait(max(0.0, begun + SPAN - time.monotonic()))
    load.stop()
    doer.join()
    run.wait_for_outcomes(load)
    run.last_gets(load)
    run.past_faults.clear()  # they explain nothing about blobs that came later
    history = run.settle(load, load.blobs)
    verdict = "ok" if len(run.wrong) == wrong else f"{len(run.wrong) - wrong} WRONG"
    run.say(f"seed {seed:<4} {verdict:<8} {len(load.blobs):>3} blobs, recovered in {run.recovery(history):4.1f} s, "
            f"took {time.monotonic() - begun:4.1f} s: {', '.join(map(str, plan))}")


# --- soak ------------------------------------------------------------------------------------------------------


def command_soak(args) -> int:
    run, dice = Run(args, twice=SCALED), random.Random(args.first)
    try:
        load = run.load(args.rate or 50, args.first)
        end = time.monotonic() + 60 * args.minutes
        while time.monotonic() < end - FAULT_EVERY:
            fault = one(dice, 0, FAULT_EVERY / 2)
            begun = time.monotonic()
            run.send_poison()
            run.faults.carry_out([fault])
            threading.Event().wait(max(0.0, begun + FAULT_EVERY - time.monotonic()))
            settle_old(run, load)
            run.say(f"{run.numbers['blobs']} blobs judged, {len(load.blobs)} open, {len(run.wrong)} wrong; {fault}")
        load.stop()
        run.wait_for_outcomes(load)
        run.last_gets(load)
        run.settle(load, load.blobs)
        for text in growth(run.memory.samples):
            run.say(f"WRONG  {text}")
            run.wrong.append(text)
        return run.finish()
    finally:
        run.close()


def settle_old(run: Run, load: Load) -> None:
    """Judges the blobs that have been over for a while, so that memory stays small."""
    events, before = run.events.snapshot(), time.time() - SETTLE_AFTER
    old = [blob for blob in list(load.blobs) if ended(events.get(blob.id, []), blob.uploaded)
           and time_of(events[blob.id][-1]) < before]
    run.settle(load, old, others=False)
    gone = {blob.id for blob in old}
    load.blobs[:] = [blob for blob in load.blobs if blob.id not in gone]


def growth(samples: dict[str, list[tuple[int, int]]]) -> list[str]:
    """I8: processes that ran for long and are a tenth and 4 MB larger in the last quarter than in the second."""
    found = []
    for name, all_of_it in samples.items():
        for pid in {pid for pid, _ in all_of_it}:
            sizes = [size for other, size in all_of_it if other == pid]
            quarter = len(sizes) // 4
            if quarter < 60:
                continue
            early, late = (statistics.median(sizes[n * quarter:(n + 1) * quarter]) for n in (1, 3))
            if name not in ("redis", "kafka") and late > 1.1 * early + (4 << 20):
                found.append(f"I8: {name} grew from {early / 1e6:.0f} to {late / 1e6:.0f} MB")
    return found


# --- scenarios -------------------------------------------------------------------------------------------------


def scenario(args, settings, play) -> int:
    run = Run(args, settings=settings)
    try:
        load = play(run)
        run.wait_for_outcomes(load)
        run.settle(load, load.blobs)
        return run.finish()
    finally:
        run.close()


def command_outage(args) -> int:
    return scenario(args, LIFELIKE, lambda run: outage(run, args.seconds, args.rate or 50))


def command_backlog(args) -> int:
    return scenario(args, {}, lambda run: backlog(run, args.blobs, args.quota, args.rate or 120))


def parse() -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--bin", metavar="DIR", type=Path, default=ROOT / "build/chaos/bin",
                        help="the folder with the programs, built with failpoints (default: build/chaos/bin)")
    common.add_argument("--rate", metavar="N", type=float, help="blobs per second")
    common.add_argument("--keep", action="store_true", help="keep data and logs also when all is well")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name, function, summary):
        sub = commands.add_parser(name, help=summary, parents=[common])
        sub.set_defaults(run=function)
        return sub

    command("failpoints", command_failpoints, "die at every failpoint of the sources in turn")
    sub = command("random", command_random, "schedules of faults")
    sub.add_argument("--seeds", metavar="N", type=int, default=200, help="how many (default: 200)")
    sub.add_argument("--first", metavar="SEED", type=int, default=1, help="the first of them (default: 1)")
    sub = command("soak", command_soak, "steady load, a fault every 20 seconds")
    sub.add_argument("--minutes", metavar="N", type=float, default=30, help="how long (default: 30)")
    sub.add_argument("--first", metavar="SEED", type=int, default=1, help="seed of the faults (default: 1)")
    sub = command("outage", command_outage, "Kafka is away under load")
    sub.add_argument("--seconds", metavar="N", type=float, default=60, help="how long (default: 60)")
    sub = command("backlog", command_backlog, "more work than Rekognition's quota lets through")
    sub.add_argument("--blobs", metavar="N", type=int, default=20000, help="how many wait (default: 20000)")
    sub.add_argument("--quota", metavar="N", type=int, default=50, help="calls per second (default: 50)")
    return parser.parse_args()


def main() -> int:
    args = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return args.run(args)
    except StackError as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main())
