"""What is watched beside the load: events, logs, memory, and what is left in Kafka."""
import json
import re
import socket
import struct
import subprocess
import threading
import time
from collections import Counter

from layout import HOST, INSTANCES, service_of

SECRETS = re.compile(r"labelwire-secret|X-Amz-Signature=[0-9a-f]")
TROUBLE = re.compile(r"(ERROR: \w+Sanitizer|runtime error:|Assertion .* failed).*")
MEMORY_CAP = {"api-gateway": 128 << 20}
MEMORY_CAP_OTHERS = 96 << 20
DEAD = "labelwire.dead"
GROUPS = {  # consumer groups and what each reads
    "labelwire-upload-watcher": "labelwire.uploads",
    "labelwire-recognizer": "labelwire.recognize",
    "labelwire-callback-dispatcher": "labelwire.deliver",
}


class Topic:
    """Follows a topic from the beginning in a thread, handing each message to take() once."""

    def __init__(self, stack, name):
        self.stack, self.name, self.lock = stack, name, threading.Lock()
        self.next: dict[str, int] = {}  # offset by partition
        self.stopping, self.kcat = False, None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while not self.stopping:  # kcat ends when its broker was away for long
            self.kcat = subprocess.Popen(
                ["kcat", "-b", self.stack.urls["kafka"], "-C", "-t", self.name, "-o", "beginning", "-u", "-q",
                 "-X", "reconnect.backoff.max.ms=500", "-f", "%p %o %s\n"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            for line in self.kcat.stdout:
                partition, offset, text = line.rstrip("\n").split(" ", 2)
                if int(offset) >= self.next.get(partition, 0):
                    self.next[partition] = int(offset) + 1
                    with self.lock:
                        self.take(text)
            self.kcat.wait()
            threading.Event().wait(0.2)

    def stop(self):
        self.stopping = True
        self.kcat.terminate()


class Letters(Topic):
    """Counts what is in labelwire.dead, by its text."""

    def __init__(self, stack):
        self.of = Counter()
        super().__init__(stack, DEAD)

    def take(self, text):
        self.of[text] += 1


class Events(Topic):
    """labelwire.events; `of` has each blob's, in the topic's order."""

    def __init__(self, stack):
        self.of: dict[str, list[dict]] = {}
        super().__init__(stack, "labelwire.events")

    def take(self, text):
        event = json.loads(text)
        self.of.setdefault(event["subject"], []).append(event)

    def snapshot(self) -> dict[str, list[dict]]:
        """All events so far, by blob."""
        with self.lock:
            return {blob: list(events) for blob, events in self.of.items()}

    def forget(self, blobs) -> None:
        with self.lock:
            for blob in blobs:
                self.of.pop(blob, None)


def send_poison(stack, topic: str, text: str) -> bool:
    """Sends what is no message of ours; whether Kafka took it for sure."""
    done = subprocess.run(["kcat", "-b", stack.urls["kafka"], "-P", "-t", topic, "-X", "message.timeout.ms=2000"],
                          input=text, text=True, stderr=subprocess.DEVNULL, check=False, timeout=60)
    return done.returncode == 0


class Logs:
    """Reads what the services wrote since the last look."""

    def __init__(self, stack):
        self.stack, self.at = stack, {}

    def look(self) -> tuple[list[str], Counter]:
        """Secrets and sanitizers' words in any log, and the paid calls by blob."""
        bad, paid = [], Counter()
        for name in self.stack.names:
            if name not in INSTANCES:
                continue
            text = self._new(name)
            for secret in SECRETS.findall(text):
                bad.append(f"I13: {name}'s log has {secret}")
            for trouble in TROUBLE.finditer(text):
                bad.append(f"{name}: {text[trouble.start():trouble.start() + 3000]}")
            if name == "rekognition-local":
                paid = paid_calls(text)
        return bad, paid

    def _new(self, name):
        with open(self.stack.log_path(name), "rb") as log:
            log.seek(self.at.get(name, 0))
            data = log.read()
        whole = data.rpartition(b"\n")[0]
        self.at[name] = self.at.get(name, 0) + len(whole)
        return whole.decode(errors="replace")


def paid_calls(text: str) -> Counter:
    """DetectLabels calls that AWS would be paid for, by blob, in rekognition-local's log."""
    entries = (json.loads(line) for line in text.splitlines() if '"detect.called"' in line)
    return Counter(entry["key"].rpartition("/")[2] for entry in entries if entry["status"] == 200)


class Memory:
    """Samples the resident memory of each process: `most` is its peak, `samples` all of it."""

    def __init__(self, stack, every=1.0):
        self.stack, self.samples, self.stopping = stack, {}, threading.Event()
        self.thread = threading.Thread(target=self._run, args=(every,), daemon=True)
        self.thread.start()

    def _run(self, every):
        while not self.stopping.wait(every):
            for name in self.stack.names:
                try:
                    sample = (self.stack.processes[name].pid, self.stack.processes[name].memory())
                    self.samples.setdefault(name, []).append(sample)
                except OSError:  # it is down
                    pass

    def stop(self):
        self.stopping.set()
        self.thread.join()

    def most(self) -> dict[str, int]:
        return {name: max(size for _, size in samples) for name, samples in self.samples.items()}

    def over(self) -> list[str]:
        """I8: services over their cap."""
        return [f"I8: {name} took {size >> 20} MB" for name, size in self.most().items() if name in INSTANCES
                and size > MEMORY_CAP.get(service_of(name), MEMORY_CAP_OTHERS)]


def lag(port: int) -> dict[str, int]:
    """I12: messages of each work topic that its group has not committed."""
    with socket.create_connection((HOST, port), timeout=5) as broker:
        return {topic: sum(ends(broker, topic).values()) - committed(broker, group, topic)
                for group, topic in GROUPS.items()}


def messages(port: int, topic: str) -> int:
    """How many messages were ever written to a topic."""
    with socket.create_connection((HOST, port), timeout=5) as broker:
        return sum(ends(broker, topic).values())


def ends(broker, topic: str) -> dict[int, int]:
    """The next offset of each partition (ListOffsets)."""
    partitions = range(partition_count(broker, topic))
    asked = struct.pack(">ii", -1, 1) + text(topic) + struct.pack(">i", len(partitions))
    asked += b"".join(struct.pack(">iq", p, -1) for p in partitions)
    answer = ask(broker, 2, 1, asked)[4 + len(text(topic)) + 4:]
    return {p: offset for p, _, _, offset in struct.iter_unpack(">ihqq", answer)}


def committed(broker, group: str, topic: str) -> int:
    """The committed offsets of all partitions together (OffsetFetch)."""
    partitions = range(partition_count(broker, topic))
    asked = text(group) + struct.pack(">i", 1) + text(topic) + struct.pack(">i", len(partitions))
    asked += b"".join(struct.pack(">i", p) for p in partitions)
    answer = ask(broker, 9, 1, asked)[4 + len(text(topic)) + 4:]
    total = 0
    while answer:
        _, offset, length = struct.unpack_from(">iqh", answer)
        total += max(offset, 0)  # -1: nothing yet
        answer = answer[14 + max(length, 0) + 2:]
    return total


def partition_count(broker, topic: str) -> int:
    answer = ask(broker, 3, 1, struct.pack(">i", 1) + text(topic))  # Metadata
    at = 4
    for _ in range(struct.unpack_from(">i", answer)[0]):
        at += 4
        at += 2 + struct.unpack_from(">h", answer, at)[0] + 4  # host, port
        at += 2 + max(struct.unpack_from(">h", answer, at)[0], 0)  # rack
    at += 4 + 4 + 2 + len(text(topic)) + 1  # controller, number of topics, error, name, internal
    return struct.unpack_from(">i", answer, at)[0]


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def ask(broker, key: int, version: int, body: bytes) -> bytes:
    """One request of Kafka's protocol; the answer without its header."""
    request = struct.pack(">hhih", key, version, 0, -1) + body
    broker.sendall(struct.pack(">i", len(request)) + request)
    length, = struct.unpack(">i", broker.recv(4, socket.MSG_WAITALL))
    return broker.recv(length, socket.MSG_WAITALL)[4:]


def lag_left(port: int, seconds: float) -> list[str]:
    """I12 once more until nothing is left; what is left after some seconds."""
    deadline = time.monotonic() + seconds
    while any((left := lag(port)).values()) and time.monotonic() < deadline:
        threading.Event().wait(0.2)
    return [f"I12: {n} messages of {topic} are not committed" for topic, n in left.items() if n]
