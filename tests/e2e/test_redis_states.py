"""Redis in every state short of gone: quick answers, never a wrong one, and what was accepted ends well afterwards."""
import subprocess
import time

import pytest
from client import call, redis, wait_for
from stacks import make_stack
from stack import Stack

QUICK = 1.0  # seconds for an answer
LOAD_KEYS, LOAD_DELAY_US = 12000, 300  # it looks at its clients every 1024 commands


class OpenStack(Stack):
    """Its Redis can be told to sleep, and to load slowly."""

    redis_options = ()

    def _command(self, name):
        command = super()._command(name)
        return [*command, "--enable-debug-command", "local", *self.redis_options] if name == "redis" else command


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with make_stack(tmp_path_factory.mktemp("stack"), OpenStack) as running:
        yield running


class State:
    """One state of Redis: how it comes about, and how it ends."""

    reads = False  # whether reading works meanwhile

    def __init__(self, stack):
        self.stack = stack

    def begin(self):
        raise NotImplementedError

    def end(self):
        pass

    def config(self, name, value):
        assert redis(self.stack, "CONFIG", "SET", name, value).strip() == "OK"

    def behind_our_back(self, *words):
        """A command whose answer comes when the state is over; returns when the state has begun."""
        subprocess.Popen(["redis-cli", "-p", str(self.stack.ports["redis"]), *words], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
        wait_for("silence", lambda: "PONG" not in self.ping(0.2))

    def ping(self, seconds=10.0):
        try:
            done = subprocess.run(["redis-cli", "-p", str(self.stack.ports["redis"]), "PING"], text=True,
                                  capture_output=True, check=False, timeout=seconds)
        except subprocess.TimeoutExpired:
            return "nothing"
        return done.stdout + done.stderr


class Paused(State):
    def begin(self):
        redis(self.stack, "CLIENT", "PAUSE", "4000", "ALL")


class WritesPaused(State):
    def begin(self):
        redis(self.stack, "CLIENT", "PAUSE", "4000", "WRITE")


class Asleep(State):
    def begin(self):
        self.behind_our_back("DEBUG", "SLEEP", "4")


class Busy(State):
    """A script of somebody else that takes long; from 100 ms on Redis says so."""

    def begin(self):
        self.config("busy-reply-threshold", "100")
        self.behind_our_back("EVAL", "while true do end", "0")

    def end(self):
        redis(self.stack, "SCRIPT", "KILL")


class ReadOnly(State):
    reads = True

    def begin(self):
        redis(self.stack, "REPLICAOF", "127.0.0.1", "1")

    def end(self):
        redis(self.stack, "REPLICAOF", "NO", "ONE")


class NoReplicas(State):
    reads = True

    def begin(self):
        self.config("min-replicas-to-write", "1")

    def end(self):
        self.config("min-replicas-to-write", "0")


class CannotSave(State):
    """A snapshot that cannot be written, which by Redis' default stops all writes."""

    reads = True

    def begin(self):
        self.obstacle = self.stack.state / "redis/dump.rdb"
        self.obstacle.mkdir()
        self.config("save", "3600 1000000")
        redis(self.stack, "BGSAVE")
        wait_for("failed snapshot", lambda: "rdb_last_bgsave_status:err" in redis(self.stack, "INFO", "persistence"))

    def end(self):
        self.obstacle.rmdir()
        redis(self.stack, "BGSAVE")
        wait_for("snapshot", lambda: "rdb_last_bgsave_status:ok" in redis(self.stack, "INFO", "persistence"))
        self.config("save", "")


class Full(State):
    reads = True

    def begin(self):
        self.config("maxmemory", "1mb")

    def end(self):
        self.config("maxmemory", "0")


class Loading(State):
    """Restarted with a file that takes seconds to load; it answers LOADING meanwhile."""

    def begin(self):
        redis(self.stack, "EVAL", f"for i = 1, {LOAD_KEYS} do redis.call('SET', 'filler:' .. i, i) end", "0")
        self.stack.kill("redis")
        self.stack.redis_options = ("--key-load-delay", str(LOAD_DELAY_US))
        process = self.stack.processes["redis"]
        process.start(self.stack._command("redis"), self.stack.env("redis"))
        wait_for("LOADING", lambda: "LOADING" in self.ping(), 10)

    def end(self):
        wait_for("PONG", lambda: "PONG" in self.ping(), 30)
        self.stack.redis_options = ()
        redis(self.stack, "EVAL", f"for i = 1, {LOAD_KEYS} do redis.call('DEL', 'filler:' .. i) end", "0")


STATES = [Paused, WritesPaused, Asleep, Busy, ReadOnly, NoReplicas, CannotSave, Full, Loading]


def timed(client, method, path):
    started = time.monotonic()
    answer = call(client.url + path, method, b"" if method == "POST" else None)
    took = time.monotonic() - started
    assert took < QUICK, f"{method} took {took:.1f} s"
    assert answer.status != 503 or answer.headers["Retry-After"]
    return answer


@pytest.mark.parametrize("kind", STATES, ids=lambda kind: kind.__name__)
def test_state(client, stack, kind):
    done = {blob_id: labels.body for blob_id, labels in (client.label() for _ in range(2))}
    under_way = [client.create() for _ in range(3)]
    state = kind(stack)
    state.begin()
    try:
        for one in under_way:
            client.upload(one)
        statuses = {"POST": set(), "GET": set()}
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            statuses["POST"].add(timed(client, "POST", "/blobs").status)
            for blob_id, body in done.items():
                answer = timed(client, "GET", f"/blobs/{blob_id}")
                statuses["GET"].add(answer.status)
                assert answer.status == 503 or answer.body == body
            for one in under_way:
                answer = timed(client, "GET", f"/blobs/{one['blob_id']}")
                assert answer.status == 503 or one["blob_id"] in answer.body.decode()
        assert statuses["POST"] == {503}
        assert statuses["GET"] == ({200} if state.reads else {503}) or kind is WritesPaused
    finally:
        state.end()
        wait_for("creating", lambda: call(f"{client.url}/blobs", "POST", b"").status == 201)
    for one in under_way:
        assert client.ended(one["blob_id"]).status == 200
    for blob_id, body in done.items():
        assert client.get(blob_id).body == body
    wait_for("all ready", lambda: all(stack.ready(name) for name in stack.names))


def test_scripts_forgotten(client, stack):
    """SCRIPT FLUSH, as after a failover: nobody notices."""
    created = client.create()
    for _ in range(3):
        redis(stack, "SCRIPT", "FLUSH")
        assert timed(client, "POST", "/blobs").status == 201
        assert timed(client, "GET", f"/blobs/{created['blob_id']}").status == 404
    client.upload(created)
    redis(stack, "SCRIPT", "FLUSH")
    assert client.ended(created["blob_id"]).status == 200
