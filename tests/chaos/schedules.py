"""Faults: a schedule of them from a seed, and how each is done to a stack."""
import json
import random
import signal
import threading
import time
from dataclasses import dataclass

from check import Fault
from layout import PARTS, SCALED, SECONDS
from processes import StackError, stop

SERVICES = (*SCALED, *SECONDS, "rekognition-local")
SPAN = 5.0  # seconds in which the faults of a schedule begin
PART_PATIENCE = 30.0  # seconds that the start of a part is tried: versitygw ends at once without Kafka

# What can happen: its weight, to whom, how long (seconds).
CHOICES = [
    (5, "kill", SERVICES, (0, 2)),
    (4, "pause", SERVICES, (1, 8)),
    (3, "restart", SERVICES, (0, 0)),
    (1, "kill", ("kafka",), (0, 2)),
    (1, "pause", ("kafka",), (2, 6)),
    (1, "kill", ("redis",), (0, 2)),
    (1, "pause", ("redis",), (1, 3)),
    (1, "kill", ("versitygw",), (0, 2)),
    (1, "pause", ("versitygw",), (1, 6)),
    (1, "slow", ("rekognition",), (2, 5)),
    (1, "throttle", ("rekognition",), (1, 4)),
    (1, "fail", ("rekognition",), (1, 4)),
]
CONTROL = {
    "": {"mode": "normal", "delay_ms": 150},  # without a fault: as slow as in life
    "slow": {"mode": "normal", "delay_ms": 1500},
    "throttle": {"mode": "throttle"},
    "fail": {"mode": "fail"},
}


@dataclass(frozen=True)
class Planned:
    at: float  # seconds after the beginning
    kind: str
    target: str
    lasts: float

    def __str__(self):
        return f"{self.kind} {self.target}" + (f" {self.lasts:.1f} s" if self.lasts else "")


def one(dice: random.Random, begin: float, end: float) -> Planned:
    """One fault that begins in this time."""
    _, kind, targets, (shortest, longest) = dice.choices(CHOICES, [choice[0] for choice in CHOICES])[0]
    return Planned(round(dice.uniform(begin, end), 2), kind, dice.choice(targets),
                   round(dice.uniform(shortest, longest), 2))


def schedule(seed: int) -> list[Planned]:
    """Two to four faults, each of another process; the same for the same seed."""
    dice = random.Random(seed)
    plan: dict[str, Planned] = {}
    wanted = dice.randint(2, 4)
    while len(plan) < wanted:
        fault = one(dice, 0, SPAN)
        plan.setdefault(fault.target, fault)
    return sorted(plan.values(), key=lambda fault: fault.at)


class Faults:
    """Does faults to a stack and writes down what was when; notices who died without being told to."""

    def __init__(self, stack):
        self.stack = stack
        self.log: list[Fault] = []
        self.died: list[str] = []
        self.pids = {name: stack.processes[name].pid for name in stack.names}
        self.control("")

    def carry_out(self, plan: list[Planned]) -> None:
        """All of a schedule, side by side; returns when all that was hit is ready again."""
        threads = [threading.Thread(target=self._later, args=(fault,)) for fault in plan]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _later(self, planned: Planned) -> None:
        threading.Event().wait(planned.at)
        try:
            self.hit(planned)
        except Exception as error:  # a thread's own would pass unseen
            self.died.append(f"{planned}: {error!r}")

    def hit(self, planned: Planned) -> None:
        """One fault, until what was hit is ready again."""
        name = planned.target
        self.look(name)
        fault = Fault(planned.kind, name, time.time(), float("inf"))
        self.log.append(fault)
        if planned.kind == "kill":
            self.stack.kill(name)
            threading.Event().wait(planned.lasts)
            self.start(name)
        elif planned.kind == "pause":
            self.stack.kill(name, signal.SIGSTOP)
            threading.Event().wait(planned.lasts)
            self.stack.kill(name, signal.SIGCONT)
        elif planned.kind == "restart":
            self.pids[name] = None
            if stop([self.stack.processes[name]], 25):
                self.died.append(f"{name} did not stop on SIGTERM")
            self.start(name)
        else:
            self.control(planned.kind)
            threading.Event().wait(planned.lasts)
            self.control("")
        fault.end = time.time()

    def control(self, kind: str) -> None:
        """How Rekognition behaves from now on."""
        control = self.stack.state / "rekognition-control.json"
        control.with_suffix(".new").write_text(json.dumps(CONTROL[kind]))
        control.with_suffix(".new").rename(control)

    def start(self, name: str) -> None:
        """Starts a process that is down and waits until it is ready."""
        deadline = time.monotonic() + PART_PATIENCE
        while True:
            try:
                self.stack.start(name)
                break
            except StackError as error:
                if name not in PARTS or time.monotonic() > deadline:
                    self.died.append(str(error))
                    break
        self.pids[name] = self.stack.processes[name].pid

    def look(self, name: str) -> None:
        """If a process is not the one that was started, it died by itself: that is noted, and it is started."""
        if name in self.pids and self.stack.processes[name].pid != self.pids[name]:
            self.died.append(f"{name} died by itself:\n{self.stack.processes[name].tail()}")
            self.start(name)

    def take(self) -> tuple[list[Fault], list[str]]:
        """The faults so far and who died by himself; both begin anew."""
        for name in self.stack.names:
            self.look(name)
        log, died, self.log, self.died = self.log, self.died, [], []
        return log, died
