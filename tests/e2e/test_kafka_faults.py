"""Kafka fails, forgets and reorganises itself: the gateway does not notice, and no blob is lost."""
import json
import os
import signal
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest
from client import call, log_lines, metric, redis, wait_for
from stacks import BIN, ROOT

SERVICES = ("api-gateway", "upload-watcher", "recognizer", "callback-dispatcher")
TOPICS = ("labelwire.recognize", "labelwire.deliver", "labelwire.events")
ADMIN = ROOT / os.environ.get("BUILD_DIR", BIN.parent) / "tools/kafka_admin"
PARTITIONS = 4
BUSY_MAX = 16  # BUSY_BY_VALUE
SETTINGS_HERE = {"recognizer:LW_REKOGNITION_IMAGE": "bytes"}


def admin(stack, *words):
    subprocess.run([ADMIN, stack.urls["kafka"], *words], check=True, timeout=30)


def uploaded(client, n):
    blobs = [client.create() for _ in range(n)]
    for created in blobs:
        client.upload(created)
    return [created["blob_id"] for created in blobs]


def labelled_once(client, blob_ids, seconds=60):
    deadline = time.monotonic() + seconds
    for blob_id in blob_ids:
        assert client.ended(blob_id, max(deadline - time.monotonic(), 0)).status == 200
    def saved():
        """Who got labels, once for each time; the message about it may come twice."""
        events = {(event["subject"], event["id"]) for event in client.events()
                  if event["type"] == "labelwire.labels.saved" and event["subject"] in blob_ids}
        return sorted(subject for subject, _ in events)
    wait_for("an event of each", lambda: saved() == sorted(blob_ids))


@contextmanager
def control(stack, **how):
    """Rekognition answers like this."""
    file = stack.state / "rekognition-control.json"
    file.write_text(json.dumps(how))
    try:
        yield
    finally:
        file.unlink()


class Second:
    """Another recognizer beside the stack's."""

    def __init__(self, stack):
        self.log = stack.state / f"logs/second-{time.monotonic_ns()}.log"
        env = stack.env("recognizer") | {"LW_ADMIN_LISTEN": ""}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([stack.bin / "recognizer"], env=env, stdout=log, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end(signal.SIGTERM)

    def end(self, number):
        self.process.send_signal(number)
        assert self.process.wait(30) in (0, -signal.SIGKILL)
        text = self.log.read_text(errors="replace")
        assert "Sanitizer" not in text and "runtime error" not in text, text[-4000:]

    def has_work(self):
        return '"event":"kafka.partitions_assigned"' in self.log.read_text(errors="replace")


def start_without_waiting(stack, names):
    for name in names:
        stack.processes[name].start(stack._command(name), stack.env(name))


def test_away_from_the_start(stack, client):
    for name in ("kafka", *SERVICES):
        stack.kill(name)
    start_without_waiting(stack, SERVICES)
    wait_for("the gateway", lambda: stack.ready("api-gateway"))
    for name in SERVICES[1:]:
        page = wait_for(f"a page of {name}", lambda n=name: answer_of(stack, n))
        assert page.status == 503 and b"kafka" in page.body
    blobs = uploaded(client, 3)
    client.prompt(blobs[0])
    stack.start("kafka")
    labelled_once(client, blobs)
    for name in SERVICES:
        wait_for(f"{name} ready", lambda n=name: stack.ready(n))


def answer_of(stack, service):
    try:
        return call(stack.urls[service] + "/readyz")
    except OSError:
        return None


def test_topics_made_later(stack, client):
    for name in SERVICES:
        stack.kill(name)
    for topic in TOPICS:
        admin(stack, "delete", topic)
    start_without_waiting(stack, SERVICES)
    wait_for("the gateway", lambda: stack.ready("api-gateway"))
    blobs = uploaded(client, 2)
    client.prompt(blobs[0])
    wait_for("a complaint", lambda: "UNKNOWN_TOPIC" in stack.log_path("recognizer").read_text())
    stack._setup("topics")
    labelled_once(client, blobs, 30)


def resets(stack):
    """How often the recognizer's library noticed that a partition does not have its offset."""
    return sum("offset reset" in line["text"] for line in log_lines(stack, "recognizer", "kafka.library_warned"))


def test_topic_deleted_and_made_anew(stack, client):
    """Its offsets begin anew while work with the old ones is under way.

    The library notices by an offset beyond the end; a topic that fills up before it looks would hide that, and the
    timer of a blob whose message was skipped says it again an hour later.
    """
    pids = {name: stack.processes[name].pid for name in SERVICES}
    labelled_once(client, uploaded(client, 24))  # some in each partition
    with control(stack, mode="normal", delay_ms=2500):
        first = uploaded(client, 8)
        for blob_id in first:
            wait_for("recognition", lambda b=blob_id: client.record(b)["phase"] == "recognizing")
        before = resets(stack)
        admin(stack, "delete", TOPICS[0])
        stack._setup("topics")
        wait_for("offsets that are reset", lambda: resets(stack) >= before + PARTITIONS)
        second = uploaded(client, 8)
        client.prompt(first[0])
        labelled_once(client, first + second)
    assert {name: stack.processes[name].pid for name in SERVICES} == pids


def test_events_that_kafka_has_dropped(stack, client):
    stack.kill("upload-watcher")
    blobs = uploaded(client, 3)
    admin(stack, "trim", "labelwire.uploads")
    stack.start("upload-watcher")
    client.prompt(blobs[0])
    labelled_once(client, blobs)


@pytest.mark.parametrize("topic", ["no such topic!", "labelwire.no-such-topic"], ids=["impossible", "missing"])
def test_refused_row_holds_up_its_shard_only(stack, client, topic):
    outbox = "lw:{1}:outbox"
    bad = redis(stack, "XADD", outbox, "*", "t", topic, "k", "", "v", "{}").strip()
    try:
        blobs = uploaded(client, 8)
        there = {b for b in blobs if redis(stack, "EXISTS", f"lw:{{1}}:blob:{b}").strip() == "1"}
        client.prompt(blobs[0])
        labelled_once(client, [b for b in blobs if b not in there], 15)
        wait_for("the reason", lambda: any(line["topic"] == topic for line in
                                           log_lines(stack, "upload-watcher", "outbox.row_refused")))
    finally:
        redis(stack, "XDEL", outbox, bad)
    labelled_once(client, there, 20)


def test_full_worker_takes_part_in_rebalances(stack, client):
    longer = {"recognizer:LW_REKOGNITION_TIMEOUT": "8s", "recognizer:LW_RECOGNIZE_LEASE": "19s"}
    before = {name: stack.settings[name] for name in longer}
    stack.settings.update(longer)
    stack.restart("recognizer")
    calls = "labelwire_recognizer_calls_total"
    try:
        with control(stack, mode="stall"):
            blobs = uploaded(client, 2 * BUSY_MAX)
            wait_for("a full worker", lambda: metric(stack, "recognizer", calls) >= BUSY_MAX)
            with Second(stack) as second:
                wait_for("work for the second", second.has_work, 5)
                assert metric(stack, "recognizer", calls) == BUSY_MAX  # and none has ended
                client.prompt(blobs[0])
                (stack.state / "rekognition-control.json").write_text("{}")
                labelled_once(client, blobs)
    finally:
        stack.settings.update(before)
        stack.restart("recognizer")


def test_rebalance_storm(stack, client):
    blobs, over = [], threading.Event()
    def load():
        while not over.wait(0.2):
            blobs.extend(uploaded(client, 1))
    loader = threading.Thread(target=load)
    loader.start()
    try:
        for i in range(6):
            second = Second(stack)
            over.wait(1)
            second.end(signal.SIGKILL if i == 3 else signal.SIGTERM)
    finally:
        over.set()
        loader.join()
    client.prompt(blobs[0])
    assert len(blobs) > 20
    labelled_once(client, blobs)


def test_consumer_that_was_away_for_longer_than_its_session(stack, client):
    """Its lease ends too: another recognizes, and what the first brings after it woke up is refused."""
    with Second(stack) as second:
        wait_for("work for the second", second.has_work)
        with control(stack, mode="normal", delay_ms=2000):
            blobs = uploaded(client, 6)
            for blob_id in blobs:
                wait_for("recognition", lambda b=blob_id: client.record(b)["phase"] == "recognizing")
            stack.kill("recognizer", signal.SIGSTOP)
        try:
            client.prompt(blobs[0])
            labelled_once(client, blobs)
        finally:
            stack.kill("recognizer", signal.SIGCONT)
        wait_for("ready again", lambda: stack.ready("recognizer"))
        more = uploaded(client, 6)
    labelled_once(client, blobs + more)
