"""After the retention nothing of a blob is left: not in Redis, not in the bucket."""
from client import PHOTO, call, png, redis, wait_for
from stacks import MOVERS

SETTINGS_HERE = {f"{service}:LW_RETENTION": "2s" for service in MOVERS}
READ = {"string": ("GET",), "hash": ("HGETALL",), "list": ("LRANGE", "0", "-1"),
        "zset": ("ZRANGE", "0", "-1"), "stream": ("XRANGE", "-", "+")}


def all_of_redis(stack):
    """Every key with all that it holds."""
    for key in redis(stack, "--scan").splitlines():
        kind = redis(stack, "TYPE", key).strip()
        if kind in READ:  # else it has gone meanwhile
            yield key
            yield redis(stack, READ[kind][0], key, *READ[kind][1:])


def objects(stack):
    """The bucket as versitygw keeps it: a file for each object."""
    return {path.name for path in (stack.state / "s3").rglob("*") if path.is_file()}


def test_nothing_is_left(stack, client, receiver):
    blob_id, answer = client.label(callback_url=receiver.url())
    assert answer.status == 200
    assert blob_id in objects(stack)
    wait_for("the end", lambda: "blob.erased" in client.event_types(blob_id))
    assert client.get(blob_id).json["payload"]["status"] == "not-found"
    assert blob_id not in objects(stack)
    wait_for("an empty outbox", lambda: not any(blob_id in text for text in all_of_redis(stack)))


def test_what_is_uploaded_while_it_is_erased_goes_too(stack, client):
    created = client.create()
    blob_id = created["blob_id"]
    client.upload(created)
    wait_for("the first deletion", lambda: "object.erased" in client.event_types(blob_id))
    assert client.get(blob_id).json["payload"]["status"] == "not-found"
    assert call(created["upload_url"], "PUT", png(300, 300)).status == 200  # the URL is still good
    assert blob_id in objects(stack)
    wait_for("the second deletion", lambda: "blob.erased" in client.event_types(blob_id))
    assert blob_id not in objects(stack)
    assert client.event_types(blob_id).count("labels.saved") == 1


def test_one_that_was_never_uploaded(stack, client):
    created = client.create()
    blob_id = created["blob_id"]
    wait_for("the end", lambda: "blob.erased" in client.event_types(blob_id), 30)
    assert call(created["upload_url"], "PUT", PHOTO).status == 403  # nobody can bring it back
    assert blob_id not in objects(stack)
