"""Bad input at every door: a clear answer, nothing crashes, the next request works."""
import json
import socket
import time

import pytest
from client import call, kcat, metric, redis, wait_for

INVALID_URL = "Invalid callback url supplied"


def post(client, body, **headers):
    return call(f"{client.url}/blobs", "POST", body, headers)


@pytest.mark.parametrize("sent", ["ftp://x.example/", "not a url", "", "/path", "http://", "http://a b/",
                                  "http://user:secret@x.example/", "http://x.example/#fragment",
                                  "http://x.example:0/", "http://x.example:99999/", "javascript:alert(1)",
                                  "http://" + "a" * 2100 + ".example/", 5, True, [], {}, 1e400])
def test_bad_callback_url(client, sent):
    answer = post(client, json.dumps({"callback_url": sent}).replace("Infinity", "1e400"))
    assert answer.status == 400
    body = json.loads(answer.body.replace(b"1e400", b"Infinity"))
    assert body == {"error": INVALID_URL, "description": f"{INVALID_URL}.", "payload": {"callback_url": sent}}


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"{}{}", b"{'a':1}", b'{"a":01}', b"\xef\xbb\xbf{}", b"nul",
                                  b'{"callback_url":"\xff"}', b"[" * 4000, b'{"callback_url":null,"callback_url":null}',
                                  b'{"callback_url":"http://a.example/","calback_url":"http://b.example/"}'])
def test_malformed_body(client, body):
    answer = post(client, body)
    assert answer.status == 400
    assert answer.json["error"] and len(answer.body) < 1000


@pytest.mark.parametrize("body, headers", [(b"", {}), (b"  ", {}), (b"{}", {}), (b'{"callback_url":null}', {}),
                                           (b'{"something":"else"}', {}),
                                           (b"{}", {"Content-Type": "application/x-www-form-urlencoded"})])
def test_what_is_fine_without_callback(client, body, headers):
    answer = post(client, body, **headers)
    assert answer.status == 201
    assert answer.json["callback_url"] is None


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/nothing", 404), ("DELETE", "/blobs", 405), ("PUT", "/blobs/1", 405), ("GET", "/blobs/", 404),
    ("POST", "/blobs/x/y", 404), ("GET", "/blobs/%2e%2e", 404), ("GET", "/../etc/passwd", 404), ("GET", "/blobs%00", 404),
    ("GET", "/" + "a" * 3000, 414), ("GET", "/blobs", 405)])
def test_unknown_paths_and_methods(client, method, path, status):
    assert call(client.url + path, method).status == status


@pytest.mark.parametrize("blob_id", ["x", "00000000-0000-4000-8000-000000000000", "A" * 36, "a" * 500])
def test_unknown_ids_all_look_the_same(client, blob_id):
    answer = client.get(blob_id)
    assert answer.status == 404
    assert answer.json["description"] == "Blob not found."
    assert answer.json["payload"]["status"] == "not-found"


def test_oversized_body(client):
    answer = post(client, b" " * 20000)
    assert answer.status == 413
    assert b"8192" in answer.body


def raw(client, data, seconds=10):
    """Sends bytes as they are and reads all that comes until the end."""
    host, port = client.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        connection.sendall(data)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def test_post_without_body_and_without_length(client):
    assert raw(client, b"POST /blobs HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 201 ")


def test_slow_body_is_cut_off_and_others_are_served(client):
    started = time.monotonic()
    received = raw(client, b"POST /blobs HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
    assert received.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - started < 6
    assert post(client, b"{}").status == 201


@pytest.mark.parametrize("head, status", [
    (b"POST /blobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"411"),
    (b"POST /blobs HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", b"400"),
    (b"POST /blobs HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n{}", b"400"),
    (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 62 + b"\r\n", b"431"),
])
def test_framing(client, head, status):
    assert raw(client, head).split(b" ")[1] == status


def test_second_request_on_a_connection_is_not_served(client):
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert raw(client, request + request).count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("message", [
    "not json", "{}", "[]", '{"Records":5}', '{"Records":[{}]}', '{"Records":[]}', '{"Event":"s3:TestEvent"}',
    '{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"other"},"object":{"key":"k","size":1}}}]}',
    '{"Records":[{"eventName":"ObjectRemoved:Delete","s3":{"bucket":{"name":"labelwire"},"object":{"key":"k"}}}]}',
    '{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"labelwire"},"object":'
    '{"key":"blobs/00000000-0000-4000-8000-000000000000","size":1,"eTag":"e"}}}]}',
])
def test_foreign_or_broken_s3_events(client, stack, message):
    kcat(stack, "-P", "-t", "labelwire.uploads", feed=message)
    assert client.label()[1].status == 200


def test_broken_work_items(client, stack):
    for topic in ("labelwire.recognize", "labelwire.deliver"):
        kcat(stack, "-P", "-t", topic, feed='junk\n{"v":1}\n{"v":1,"id":"x","seq":1}\n')
    assert client.label()[1].status == 200


def test_a_record_that_nobody_can_read_holds_up_nothing(client, stack):
    blob_id, _ = client.label()
    wait_for("its end", lambda: client.record(blob_id)["phase"] == "finished")
    key, = (key for n in range(4) if (key := f"lw:{{{n}}}:blob:{blob_id}") and redis(stack, "EXISTS", key) == "1\n")
    redis(stack, "HSET", key, "phase", "nonsense")
    kcat(stack, "-P", "-t", "labelwire.recognize", "-k", blob_id, feed=f'{{"v":1,"id":"{blob_id}","seq":6}}\n')
    wait_for("the alarm", lambda: metric(stack, "recognizer", "labelwire_worker_failed_total") == 1)
    wait_for("an empty window", lambda: metric(stack, "recognizer", "labelwire_kafka_window_in_flight") == 0)
    redis(stack, "HSET", key, "phase", "finished")
    assert client.get(blob_id).status == 200


def test_same_event_many_times_is_one_recognition(client, stack):
    blob_id, _ = client.label()
    uploads = [line for line in kcat(stack, "-C", "-t", "labelwire.uploads", "-e", "-q").splitlines()
               if blob_id in line]
    kcat(stack, "-P", "-t", "labelwire.uploads", feed="\n".join(uploads * 5) + "\n")
    assert client.label()[1].status == 200
    wait_for("its events", lambda: "labels.saved" in client.event_types(blob_id))
    assert client.event_types(blob_id).count("recognition.started") == 1


def test_cors(client):
    preflight = call(f"{client.url}/blobs", "OPTIONS", headers={
        "Origin": "https://app.example", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type"})
    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert post(client, b"{}").headers["Access-Control-Allow-Origin"] == "*"


def test_admin_port(stack):
    for name in ("api-gateway", "upload-watcher", "recognizer", "callback-dispatcher", "rekognition-local"):
        for path in ("/livez", "/readyz", "/metrics"):
            wait_for(f"{name}{path}", lambda url=stack.urls[name] + path: call(url).status == 200)
        assert b"labelwire_build_info" in call(stack.urls[name] + "/metrics").body


def test_nothing_secret_in_the_logs(client, stack, receiver):
    client.label(callback_url=receiver.url("/canary-in-path"))
    for name in stack.names:
        log = stack.log_path(name).read_text(errors="replace")
        assert "labelwire-secret" not in log and "X-Amz-Signature" not in log, name
