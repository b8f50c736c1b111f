"""Two instances of each service share the work; one that dies or is taken away leaves nothing behind."""
import re
import signal
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import pytest
from client import Client, call, wait_for
from processes import stop

TWICE = ("api-gateway", "upload-watcher", "recognizer", "callback-dispatcher")
SHARDS = 4  # as conftest.SETTINGS says
BLOBS = 60


class Load:
    """Blobs that are created and uploaded in the background, with both gateways in turn."""

    def __init__(self, stack, receiver, name):
        self.clients = [Client(stack), Client(stack, "gateway-2")]
        self.receiver, self.name = receiver, name
        self.pool = ThreadPoolExecutor(4)
        turns = cycle(self.clients)
        self.futures = [self.pool.submit(self.one, next(turns), i) for i in range(BLOBS)]

    def one(self, client, i):
        url = self.receiver.url(f"/{self.name}/{i}")
        try:
            created = client.create(url)
        except OSError:  # that gateway is being stopped: a balancer would ask the other
            other, = (c for c in self.clients if c is not client)
            created = other.create(url)
        client.upload(created)
        return created["blob_id"]

    def done(self):
        return sum(future.done() for future in self.futures)

    def reached(self, part):
        wait_for(f"{part} of the load", lambda: self.done() >= part, 60)

    def ids(self):
        with self.pool:
            return [future.result(60) for future in self.futures]

    def callbacks(self):
        return Counter(path for path, _, _ in self.receiver.got)


def leading(stack, watcher):
    """Shards whose outbox this watcher relays."""
    text = call(stack.urls[watcher] + "/metrics").body.decode()
    return int(re.search(r"^labelwire_relay_leading_shards (\d+)", text, re.M)[1])


def all_succeed(client, ids):
    """Every blob has ended well, and its events came in order, each after its predecessor."""
    def look():
        statuses = {event["subject"]: event["data"]["status"] for event in client.events()}
        return all(statuses.get(blob_id) == "success" for blob_id in ids)
    wait_for("success of all", look, 60)
    seen = defaultdict(list)
    for event in client.events():
        seqs = seen[event["subject"]]
        if event["data"]["seq"] not in seqs:  # at least once
            seqs.append(event["data"]["seq"])
    for blob_id in ids:
        assert seen[blob_id] == list(range(1, len(seen[blob_id]) + 1)), blob_id
        assert client.get(blob_id).status == 200


def test_work_is_shared(client, stack, receiver):
    recognizers = ("recognizer", "recognizer-2")
    wait_for("partitions of both", lambda: all(
        '"kafka.partitions_assigned"' in stack.log_path(name).read_text() for name in recognizers))
    load = Load(stack, receiver, "shared")
    all_succeed(client, load.ids())
    assert len(load.callbacks()) == BLOBS and set(load.callbacks().values()) == {1}
    for name in recognizers:
        text = call(stack.urls[name] + "/metrics").body.decode()
        assert int(re.search(r"^labelwire_recognizer_calls_total (\d+)", text, re.M)[1]) > 0, name


def test_leader_of_the_relay_dies(client, stack, receiver):
    watchers = ("upload-watcher", "upload-watcher-2")
    wait_for("leaders", lambda: sum(leading(stack, name) for name in watchers) == SHARDS)
    leader = max(watchers, key=lambda name: leading(stack, name))
    other, = set(watchers) - {leader}
    load = Load(stack, receiver, "leader")
    load.reached(BLOBS // 3)
    stack.kill(leader)
    try:
        wait_for("the other to lead", lambda: leading(stack, other) == SHARDS, 6)
        all_succeed(client, load.ids())
    finally:
        stack.start(leader)
    assert len(load.callbacks()) == BLOBS


@pytest.mark.parametrize("service", ["recognizer", "callback-dispatcher", "api-gateway", "upload-watcher"])
def test_scale_down_and_up_under_load(client, stack, receiver, service):
    load = Load(stack, receiver, service)
    load.reached(BLOBS // 4)
    assert stop([stack.processes[service]], 20) == []
    load.reached(BLOBS // 2)
    stack.start(service)
    all_succeed(client, load.ids())
    assert len(load.callbacks()) == BLOBS and set(load.callbacks().values()) == {1}


def test_stopped_instance_comes_back_as_a_stranger(client, stack, receiver):
    """What it still wanted to write is refused, and whoever took over has the last word."""
    load = Load(stack, receiver, "stopped")
    load.reached(BLOBS // 4)
    for name in ("recognizer", "callback-dispatcher", "upload-watcher"):
        stack.kill(name, signal.SIGSTOP)
    try:
        load.reached(BLOBS)
        wait_for("the other to lead", lambda: leading(stack, "upload-watcher-2") == SHARDS, 6)
    finally:
        for name in ("recognizer", "callback-dispatcher", "upload-watcher"):
            stack.kill(name, signal.SIGCONT)
    all_succeed(client, load.ids())
    assert len(load.callbacks()) == BLOBS
