"""S3 fails in every way it can: nobody's picture is to blame, everything waits and ends well.

The store tells nobody of uploads here; the tests do, or the timers find out.
"""
import hashlib
import json

import faults
import pytest
from client import PHOTO, Client, kcat, log_lines, metric, png, redis, wait_for
from stacks import MOVERS, DeafStack, make_stack, sound

BUCKET = "/labelwire"
LOOKS_MAX = 128  # WATCHER_LOOKS_MAX
HOLD = 15  # seconds until a timer whose look failed falls due again
RETENTION = 6
SETTINGS_HERE = {
    "api-gateway:LW_UPLOAD_WINDOW": "2s",
    **{f"{service}:LW_RETENTION": f"{RETENTION}s" for service in MOVERS},
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    stack = make_stack(tmp_path_factory.mktemp("stack"), DeafStack, **SETTINGS_HERE)
    with faults.FaultyS3(stack.ports["s3"]) as stack.proxy:
        for service in ("upload-watcher", "recognizer"):
            stack.settings[f"{service}:LW_S3_ENDPOINT"] = stack.proxy.url
        with stack:
            yield stack
            stack.proxy.mend()
            sound(stack)


@pytest.fixture
def s3(stack):
    yield stack.proxy
    stack.proxy.mend()


def uploaded(client, content=PHOTO):
    created = client.create()
    client.upload(created, content)
    return created["blob_id"]


def tell(stack, blob_id, content=PHOTO):
    """The event that the store would send for this content."""
    record = {"eventVersion": "2.1", "eventName": "ObjectCreated:Put", "s3": {
        "bucket": {"name": "labelwire"},
        "object": {"key": f"blobs/{blob_id}", "size": len(content), "eTag": hashlib.md5(content).hexdigest()}}}
    kcat(stack, "-P", "-t", "labelwire.uploads", "-k", "s3", feed=json.dumps({"Records": [record]}))


def object_of(stack, blob_id):
    return any(path.name == blob_id for path in (stack.state / "s3").rglob("*"))


def all_have(client, event_type, blob_ids, seconds):
    """Waits for this event of each; their records may be erased already, the events stay."""
    def look():
        have = {event["subject"] for event in client.events() if event["type"] == f"labelwire.{event_type}"}
        return set(blob_ids) <= have
    wait_for(f"{event_type} of all", look, seconds)


LOOKS = {
    "403": faults.error(403, "AccessDenied"),
    "404 bucket": faults.error(404, "NoSuchBucket"),
    "500": faults.error(500, "InternalError"),
    "503": faults.error(503, "SlowDown"),
    "hangs": faults.hang,
    "dropped": faults.drop,
    "no ETag": faults.without("etag"),
    "no size": faults.without("content-length"),
}


def test_looks_that_fail_are_repeated(stack, client, s3):
    """A HEAD does not tell a missing bucket from a missing object, but neither is anybody's time-out."""
    blobs = {name: uploaded(client) for name in LOOKS}
    never = client.create()["blob_id"]
    for name, how in LOOKS.items():
        s3.fail("HEAD", how, of=blobs[name])
    for of in (BUCKET, never):
        s3.fail("HEAD", faults.error(404, "NoSuchBucket"), of=of)
    for name, blob_id in {**blobs, "never uploaded": never}.items():
        wait_for(f"a look, {name}", lambda b=blob_id: s3.asked("HEAD", of=b))
    client.prompt(never)
    wait_for("complaints", lambda: len(log_lines(stack, "upload-watcher", "s3.look_failed")) > len(LOOKS))
    lines = log_lines(stack, "upload-watcher", "s3.look_failed")
    assert all(line["hint"] for line in lines)
    assert any("bucket" in line["hint"] and line["status"] == 404 for line in lines)
    for name, blob_id in {**blobs, "never uploaded": never}.items():
        assert client.status(blob_id) == "waiting-for-upload", name
    s3.mend()
    all_have(client, "labels.saved", blobs.values(), HOLD + 10)
    all_have(client, "upload.timed_out", [never], 5)


def test_a_look_for_an_event_is_repeated(stack, client, s3):
    """An old event that comes late needs a look; while that fails, its message stays, and no longer."""
    created = client.create()
    blob_id = created["blob_id"]
    client.upload(created, png(200, 200))
    client.upload(created)
    s3.fail("HEAD", faults.error(500, "InternalError"), of=blob_id)
    tell(stack, blob_id)
    assert client.ended(blob_id).status == 200
    tell(stack, blob_id, png(200, 200))
    wait_for("a second look", lambda: s3.asked("HEAD", of=blob_id) > 1)
    assert metric(stack, "upload-watcher", "labelwire_kafka_window_in_flight") == 1
    client.prompt(blob_id)
    s3.mend()
    wait_for("its end", lambda: metric(stack, "upload-watcher", "labelwire_kafka_window_in_flight") == 0, 5)
    assert client.event_types(blob_id).count("labels.saved") == 1


def test_a_look_for_an_event_outlasts_a_lost_redis(stack, client, s3):
    """While Redis holds other data nothing is asked, and nothing is forgotten."""
    created = client.create()
    blob_id = created["blob_id"]
    client.upload(created, png(200, 200))
    client.upload(created)
    assert client.ended(blob_id).status == 200
    wait_for("its events", lambda: metric(stack, "upload-watcher", "labelwire_kafka_window_in_flight") == 0)
    s3.fail("HEAD", faults.error(500, "InternalError"), of=blob_id)
    tell(stack, blob_id, png(200, 200))
    wait_for("a look", lambda: s3.asked("HEAD", of=blob_id) > 0)
    epoch = redis(stack, "HGET", "lw:meta", "epoch").strip()
    redis(stack, "HDEL", "lw:meta", "epoch")
    wait_for("the loss", lambda: metric(stack, "upload-watcher", "labelwire_redis_epoch_ok") == 0)
    s3.mend()
    redis(stack, "HSET", "lw:meta", "epoch", epoch)
    wait_for("its return", lambda: metric(stack, "upload-watcher", "labelwire_redis_epoch_ok") == 1)
    wait_for("its end", lambda: metric(stack, "upload-watcher", "labelwire_kafka_window_in_flight") == 0, 5)


def test_a_mirror_that_cannot_be_written_is_told_once(stack, s3):
    mirror = stack.state / "s3/labelwire/.labelwire/epoch"
    text = mirror.read_text()
    told = len(log_lines(stack, "upload-watcher", "epoch.bucket_silent"))
    s3.fail("PUT", faults.error(403, "AccessDenied"), of="/.labelwire/epoch")
    mirror.unlink()
    stack.restart("upload-watcher")
    wait_for("several attempts", lambda: s3.asked("PUT", of="/.labelwire/epoch") > 2)
    assert len(log_lines(stack, "upload-watcher", "epoch.bucket_silent")) - told == 1
    s3.mend()
    wait_for("the mirror", mirror.exists)
    wait_for("its content", lambda: mirror.read_text() == text)


SLOW_FETCHES = {
    "hangs": faults.hang,
    "drips": faults.drip,
}
FETCHES = {
    "403": faults.error(403, "AccessDenied"),
    "404 key": faults.error(404, "NoSuchKey"),
    "404 bucket": faults.error(404, "NoSuchBucket"),
    "500": faults.error(500, "InternalError"),
    "503": faults.error(503, "SlowDown"),
    "dropped": faults.drop,
    "cut": faults.cut(100),
    "short": faults.short(20, ranged=True),
}


def test_fetches_that_fail_are_repeated(stack, client, s3):
    picture, blobs = png(300, 300), {}
    for kind in (SLOW_FETCHES, FETCHES):  # the pauses grow: the quick ones must not fail for so long
        for name, how in kind.items():
            blobs[name] = uploaded(client, picture)
            s3.fail("GET", how, of=blobs[name])
            tell(stack, blobs[name], picture)
        for name in kind:
            wait_for(f"a second fetch, {name}", lambda b=blobs[name]: s3.asked("GET", of=b) > 1)
    for name, blob_id in blobs.items():
        assert client.status(blob_id) == "in-progress", name
    client.prompt(blobs["403"])
    s3.mend()
    all_have(client, "labels.saved", blobs.values(), 30)


def test_a_short_picture_is_not_paid_for(stack, client, s3):
    """By value the whole picture goes to Rekognition, which would call half of it invalid."""
    stack.settings["recognizer:LW_REKOGNITION_IMAGE"] = "bytes"
    stack.restart("recognizer")
    try:
        blob_id = uploaded(client)
        s3.fail("GET", faults.short(70000, ranged=False), of=blob_id)
        tell(stack, blob_id)
        wait_for("fetches of it", lambda: s3.asked("GET", of=blob_id) > 3)  # of its head and all of it, twice
        assert client.status(blob_id) == "in-progress"
        s3.mend()
        assert client.ended(blob_id).status == 200
    finally:
        del stack.settings["recognizer:LW_REKOGNITION_IMAGE"]
        stack.restart("recognizer")


def test_replaced_before_it_is_read(stack, client):
    created = client.create()
    for content in (png(200, 200), PHOTO):
        client.upload(created, content)
    tell(stack, created["blob_id"], png(200, 200))
    answer = client.ended(created["blob_id"])
    assert answer.status == 200
    events = client.event_types(created["blob_id"])
    assert "upload.replaced" in events and events.count("labels.saved") == 1


ERASES = {
    "403": faults.error(403, "AccessDenied"),
    "404": faults.error(404, "NoSuchBucket"),
    "500": faults.error(500, "InternalError"),
    "hangs": faults.hang,
}


def test_erasing_is_repeated_until_it_works(stack, client, s3):
    blobs = {name: uploaded(client) for name in ERASES}
    for name, how in ERASES.items():
        s3.fail("DELETE", how, of=blobs[name])
        tell(stack, blobs[name])
    for name, blob_id in blobs.items():
        wait_for(f"a deletion, {name}", lambda b=blob_id: s3.asked("DELETE", of=b), 30)
    client.prompt(blobs["403"])
    for name, blob_id in blobs.items():
        assert client.record(blob_id)["phase"] == "erasing" and object_of(stack, blob_id), name
    s3.mend()
    for blob_id in blobs.values():
        wait_for("the end", lambda b=blob_id: not client.record(b), HOLD + 15)
        assert not object_of(stack, blob_id)


def test_many_looks_that_hang_stop_nobody(stack, client, s3):
    s3.fail("HEAD", faults.hang)
    waiting = [client.create()["blob_id"] for _ in range(200)]
    wait_for("looks at once", lambda: s3.most_at_once["HEAD"] == LOOKS_MAX)
    blob_id = uploaded(client)
    tell(stack, blob_id)
    wait_for("a quick transition", lambda: client.status(blob_id) != "waiting-for-upload", 2)
    client.prompt(blob_id)
    assert s3.most_at_once["HEAD"] == LOOKS_MAX
    s3.refuse()
    try:
        complaints = len(log_lines(stack, "upload-watcher", "s3.look_failed"))
        wait_for("refused looks", lambda: len(log_lines(stack, "upload-watcher", "s3.look_failed")) > complaints)
        client.prompt(blob_id)
    finally:
        s3.listen()
        s3.mend()
    all_have(client, "upload.timed_out", waiting, 3 * HOLD)  # one asks first, then the others
