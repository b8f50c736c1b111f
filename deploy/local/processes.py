"""Processes that outlive the command that started them, and the ports that they need."""

import errno
import glob
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

STEP = 0.05  # seconds between two looks at a condition


class StackError(Exception):
    """What went wrong, in words for the person at the terminal."""


class Process:
    """A program run in the background, known by pid and start time so that a reused pid is never taken for it."""

    def __init__(self, name: str, state: Path) -> None:
        self.name = name
        self.state = state
        self.log = state / "logs" / f"{name}.log"
        self.note = state / "run" / f"{name}.pid"
        self._child: subprocess.Popen | None = None
        self._log_begin = 0

    def start(self, command: list, env: Mapping[str, str]) -> None:
        """Run the command in a session of its own, its output appended to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.note.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log, interrupts_held():
            self._log_begin = log.tell()
            self._child = subprocess.Popen(command, env=env, cwd=self.state, stdin=subprocess.DEVNULL, stdout=log,
                                           stderr=subprocess.STDOUT, start_new_session=True)
            self.note.write_text(f"{self._child.pid} {start_time(self._child.pid)}\n")

    @property
    def started(self) -> bool:
        """Whether it was started and not yet stopped; it may have died since."""
        return self.note.exists()

    @property
    def pid(self) -> int | None:
        """Its pid, or None if it does not run."""
        if self._child:
            self._child.poll()  # so that a dead child does not linger as a zombie
        try:
            pid, began = map(int, self.note.read_text().split())
        except (FileNotFoundError, ValueError):
            return None
        return pid if start_time(pid) == began else None

    def signal(self, number: int) -> None:
        """Send a signal if it runs."""
        pid = self.pid
        if pid:
            os.kill(pid, number)

    def age(self) -> float:
        """Seconds since it was started."""
        began = int(self.note.read_text().split()[1])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Bytes of memory that it occupies."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def tail(self, lines: int = 15) -> str:
        """The last lines that it wrote since this command started it."""
        with open(self.log, errors="replace") as log:
            log.seek(self._log_begin)
            return "".join(log.readlines()[-lines:]).rstrip()


def stop(processes: Sequence[Process], patience: float) -> list[Process]:
    """Stop processes side by side, those that do not obey by force; the latter are returned."""
    running = [p for p in processes if p.pid]
    for process in running:
        process.signal(signal.SIGTERM)
        process.signal(signal.SIGCONT)  # a suspended process would never see the first
    left = wait_gone(running, patience)
    for process in left:
        process.signal(signal.SIGKILL)
    wait_gone(left, patience)
    for process in processes:
        process.note.unlink(missing_ok=True)
    return left


def wait_gone(processes: Iterable[Process], patience: float) -> list[Process]:
    """Wait until the processes have ended; those that have not in time are returned."""
    deadline = time.monotonic() + patience
    left = [p for p in processes if p.pid]
    while left and time.monotonic() < deadline:
        time.sleep(STEP)
        left = [p for p in left if p.pid]
    return left


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if there is none or it is only a zombie.

    A killed process whose main thread is a zombie already still holds its ports until the last thread is gone.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, threads, began = fields[0], int(fields[17]), int(fields[19])
    return None if state in "ZX" and threads <= 1 else began


@contextmanager
def interrupts_held():
    """Hold Ctrl-C back for a moment, so that no process is started without being noted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    before = {s: signal.signal(s, lambda number, _: caught.append(number)) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for held, handler in before.items():
            signal.signal(held, handler)
        for number in caught:
            signal.raise_signal(number)


def port_is_free(port: int) -> bool:
    """Whether a program could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def port_holder(port: int) -> str:
    """Who listens on a port, as far as /proc lets this user see."""
    listening = "0A"
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:] if os.path.exists(table) else ():
            fields = line.split()
            if fields[3] == listening and int(fields[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{fields[9]}]")
    for fd in glob.iglob("/proc/[0-9]*/fd/*"):
        try:
            if os.readlink(fd) in sockets:
                process = Path(fd).parents[1]
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                return f"pid {process.name} ({command.strip()[:60]})"
        except OSError:
            continue  # gone by now, or another user's
    return "another program"
