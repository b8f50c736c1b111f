"""A dependency or a service that dies: quick answers meanwhile, and everything ends well."""
import signal
import time

import pytest
from client import PHOTO, Client, call, metric, redis, wait_for
from stacks import DeafStack, make_stack

SERVICES = ("api-gateway", "upload-watcher", "recognizer", "callback-dispatcher")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["gone", "silent"])
def test_redis_away(client, stack, number):
    blob_id, labels = client.label()
    stack.kill("redis", number)
    try:
        for method, path in (("POST", "/blobs"), ("GET", f"/blobs/{blob_id}")):
            started = time.monotonic()
            answer = call(client.url + path, method, b"" if method == "POST" else None)
            assert answer.status == 503 and answer.headers["Retry-After"]
            assert time.monotonic() - started < 1
        assert call(f"{client.url}/").status == 200
        wait_for("not ready", lambda: call(stack.urls["api-gateway"] + "/readyz").status == 503)
    finally:
        if number == signal.SIGKILL:
            stack.start("redis")
        else:
            stack.kill("redis", signal.SIGCONT)
    assert wait_for("the old labels", lambda: client.get(blob_id).status == 200)
    assert client.get(blob_id).body == labels.body
    assert client.label()[1].status == 200


def test_kafka_away_for_a_while(client, stack):
    stack.kill("kafka")
    try:
        created = [client.create() for _ in range(3)]
        for one in created[:2]:
            assert call(one["upload_url"], "PUT", PHOTO).status == 200
        wait_for("the outbox that grows", lambda: metric(stack, "upload-watcher", "labelwire_relay_outbox_rows") >= 3)
        wait_for("and its age", lambda: metric(stack, "upload-watcher", "labelwire_relay_outbox_age_ms") > 1000)
    finally:
        stack.start("kafka")
    wait_for("an empty outbox", lambda: metric(stack, "upload-watcher", "labelwire_relay_outbox_rows") == 0)
    for one in created[:2]:
        assert client.ended(one["blob_id"], 60).status == 200
    assert client.ended(created[2]["blob_id"], 60).json["payload"]["status"] == "upload-timed-out"
    assert client.event_types(created[0]["blob_id"])[0] == "blob.created"


@pytest.mark.parametrize("service", SERVICES)
def test_kill_in_the_middle_of_ten_uploads(client, stack, receiver, service):
    created = []
    for i in range(10):
        one = client.create(receiver.url(f"/{service}/{i}"))
        client.upload(one)
        created.append(one)
        if i == 4:
            stack.kill(service)
            stack.start(service)
    for i, one in enumerate(created):
        assert client.ended(one["blob_id"], 60).status == 200
        wait_for("success", lambda blob_id=one["blob_id"]: client.last_status(blob_id) == "success", 60)
        assert len({body for _, _, body in receiver.of(f"/{service}/{i}")}) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_sigterm_drains(client, stack, service):
    stack.restart(service)
    assert '"event":"service.drained"' in stack.log_path(service).read_text()
    assert client.label()[1].status == 200


def test_services_start_before_their_dependencies(tmp_path):
    stack = make_stack(tmp_path)
    try:
        stack.up()
        for part in ("redis", "kafka"):
            stack.kill(part)
        for service in SERVICES:
            stack.kill(service)
        processes = {name: stack.processes[name] for name in SERVICES}
        for name, process in processes.items():
            process.start(stack._command(name), stack.env(name))
        wait_for("quick 503", lambda: refused(stack), 10)
        for part in ("redis", "kafka"):
            stack.start(part)
        for name in SERVICES:
            wait_for(f"{name} ready", lambda n=name: stack.ready(n), 30)
            assert processes[name].pid, f"{name} did not wait"
        assert Client(stack).label()[1].status == 200
    finally:
        stack.down()


def refused(stack):
    try:
        return call(stack.urls["gateway"] + "/blobs", "POST", b"").status == 503
    except OSError:
        return False


def test_lost_event_is_found_by_the_timer(tmp_path):
    with make_stack(tmp_path, DeafStack) as deaf:
        client = Client(deaf)
        blob_id, answer = client.label()
        assert answer.status == 200
        assert client.event_types(blob_id)[:2] == ["blob.created", "upload.seen"]


def test_another_number_of_shards_is_refused(stack):
    stack.settings["api-gateway:LW_SHARDS"] = "2"
    try:
        stack.kill("api-gateway")
        with pytest.raises(Exception, match="died"):
            stack.start("api-gateway")
        assert "LW_SHARDS is 2 but this Redis was set up with 4" in stack.log_path("api-gateway").read_text()
    finally:
        del stack.settings["api-gateway:LW_SHARDS"]
        stack.start("api-gateway")


def test_a_redis_that_is_not_durable_is_refused(client, stack):
    redis(stack, "CONFIG", "SET", "appendfsync", "everysec")
    try:
        stack.kill("api-gateway")
        with pytest.raises(Exception, match="died"):
            stack.start("api-gateway")
        log = stack.log_path("api-gateway").read_text()
        assert "appendfsync of Redis is everysec" in log and "LW_REDIS_DURABILITY=standard" in log
        stack.settings["api-gateway:LW_REDIS_DURABILITY"] = "standard"
        stack.start("api-gateway")
        assert client.label()[1].status == 200
    finally:
        redis(stack, "CONFIG", "SET", "appendfsync", "always")
        stack.settings.pop("api-gateway:LW_REDIS_DURABILITY", None)
        stack.restart("api-gateway")
