"""Redis without its data: nobody is told that a blob is not there, and nothing is forgotten that can be restored."""
import shutil
import signal
import subprocess
import time

import pytest
from client import call, redis, wait_for

SERVICES = ("api-gateway", "upload-watcher", "recognizer", "callback-dispatcher")


def statuses(client, blob_id):
    """What creating and reading answer now; each within a second."""
    answers = []
    for method, path in (("POST", "/blobs"), ("GET", f"/blobs/{blob_id}")):
        started = time.monotonic()
        answers.append(call(client.url + path, method, b"" if method == "POST" else None))
        assert time.monotonic() - started < 1
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status == 503)
    return [answer.status for answer in answers]


def refusing(client, blob_id, seconds=3.0):
    """Nothing but 503 for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert statuses(client, blob_id) == [503, 503]


def begin(stack, names):
    """Start services without waiting until they are ready."""
    for name in names:
        stack.kill(name)
        stack.processes[name].start(stack._command(name), stack.env(name))


def all_ready(stack):
    wait_for("everything ready", lambda: all(stack.ready(name) for name in SERVICES), 30)


def epoch(stack, *flags):
    return subprocess.run([stack.bin / "labelwire", "setup", "epoch", *flags], env=stack.env("labelwire"), text=True,
                          capture_output=True, check=False, timeout=30)


@pytest.fixture
def backup(stack, tmp_path):
    """A function that takes a backup of Redis, and one that brings it back."""
    data, copy = stack.state / "redis/appendonlydir", tmp_path / "appendonlydir"

    def restore():
        stack.kill("redis")
        shutil.rmtree(data)
        shutil.copytree(copy, data)
        stack.start("redis")
    return lambda: shutil.copytree(data, copy), restore


def test_lost_and_restored(client, stack, backup):
    back_up, restore = backup
    told = epoch(stack)
    assert told.returncode == 0 and told.stdout.count("go together") == 1
    old, labels = client.label()
    stack.kill("recognizer", signal.SIGSTOP)
    under_way = client.create()
    client.upload(under_way)
    wait_for("upload seen", lambda: client.record(under_way["blob_id"]).get("phase") == "queued")
    back_up()

    redis(stack, "FLUSHALL")
    refusing(client, old)
    stack.kill("recognizer", signal.SIGCONT)
    wait_for("not ready", lambda: call(stack.urls["api-gateway"] + "/readyz").status == 503)
    assert "redis.data_lost" in stack.log_path("api-gateway").read_text()
    wait_for("the gauge", lambda: b"labelwire_redis_epoch_ok 0" in call(stack.urls["recognizer"] + "/metrics").body)

    begin(stack, SERVICES)
    wait_for("an answer", lambda: answers(client))
    refusing(client, old)
    told = epoch(stack)
    assert told.returncode == 1 and "epoch of Redis:  none" in told.stdout and "lost its data" in told.stdout
    assert redis(stack, "HGET", "lw:meta", "epoch").strip() == ""
    assert not any(stack.ready(name) for name in SERVICES)

    restore()
    all_ready(stack)
    assert client.get(old).body == labels.body
    assert client.ended(under_way["blob_id"]).status == 200
    assert client.label()[1].status == 200


def answers(client):
    try:
        return call(client.url + "/").status == 200
    except OSError:
        return False


def test_running_services_go_on_by_themselves(client, stack, backup):
    back_up, restore = backup
    old, labels = client.label()
    back_up()
    redis(stack, "FLUSHALL")
    refusing(client, old, 2.0)
    restore()
    all_ready(stack)
    assert client.get(old).body == labels.body
    assert client.label()[1].status == 200


def test_one_shard_lost(client, stack, backup):
    back_up, restore = backup
    old, labels = client.label()
    back_up()
    for shard in range(4):
        keys = redis(stack, "KEYS", f"lw:{{{shard}}}:*").split()
        if any(old in key for key in keys):
            redis(stack, "DEL", *keys)
    assert client.get(old).status == 503
    begin(stack, ["upload-watcher"])
    wait_for("the watcher's word",
             lambda: "some shards of Redis lost their data" in stack.log_path("upload-watcher").read_text())
    assert "in 1 of 4 shards" in epoch(stack).stdout
    assert epoch(stack, "--accept-loss").returncode == 1  # the others still hold theirs
    restore()
    all_ready(stack)
    assert client.get(old).body == labels.body


def test_another_redis_is_refused(client, stack, backup):
    """Redis was restored from another installation's backup."""
    back_up, restore = backup
    back_up()
    for key in ["lw:meta"] + [f"lw:{{{shard}}}:epoch" for shard in range(4)]:
        words = ["HSET", key, "epoch"] if key == "lw:meta" else ["SET", key]
        redis(stack, *words, "00000000-0000-4000-8000-000000000000")
    begin(stack, ["upload-watcher"])
    wait_for("the watcher's word", lambda: "do not go together" in stack.log_path("upload-watcher").read_text())
    assert not stack.ready("upload-watcher")
    restore()
    all_ready(stack)
    assert client.label()[1].status == 200


def test_mirror_lost(client, stack):
    mirror = stack.state / "s3/labelwire/.labelwire/epoch"
    text = mirror.read_text()
    mirror.unlink()
    stack.restart("upload-watcher")
    wait_for("the mirror", mirror.exists)
    wait_for("its content", lambda: mirror.read_text() == text)


def test_bucket_away(client, stack):
    """Redis by itself tells that it still holds our data."""
    stack.kill("versitygw")
    try:
        stack.restart("upload-watcher")
        assert call(f"{client.url}/blobs", "POST", b"").status == 201
    finally:
        stack.start("versitygw")
    assert client.label()[1].status == 200


def test_loss_accepted(client, stack):
    old, _ = client.label()
    told = epoch(stack, "--accept-loss")
    assert told.returncode == 0 and "nothing is lost" in told.stderr
    redis(stack, "FLUSHALL")
    refusing(client, old, 1.0)
    told = epoch(stack, "--accept-loss")
    assert told.returncode == 0 and "answer 404" in told.stderr and "restart" in told.stderr
    refusing(client, old, 2.0)  # what runs has seen the old epoch
    begin(stack, SERVICES)
    all_ready(stack)
    assert client.get(old).status == 404
    assert client.label()[1].status == 200
