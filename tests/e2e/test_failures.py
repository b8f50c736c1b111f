"""The plain failures: each gets its status, and its owner is told."""
import json

import pytest
from client import PHOTO, png, wait_for

GIF = b"GIF89a" + b"\x80\x02\xe0\x01" + b"\0" * 600
INVALID, TOO_LARGE = "invalid-blob-has-been-uploaded", "too-large-blob-has-been-uploaded"


@pytest.mark.parametrize("content, status", [
    pytest.param(b"this is not a picture\n" * 40, INVALID, id="text"),
    pytest.param(b"", INVALID, id="empty file"),
    pytest.param(b"\xff\xd8\xff\xe0", INVALID, id="first bytes of a JPEG"),
    pytest.param(PHOTO[:3000], INVALID, id="JPEG cut short"),
    pytest.param(GIF, INVALID, id="GIF"),
    pytest.param(png(79, 300), INVALID, id="79 px wide"),
    pytest.param(png(10001, 100), TOO_LARGE, id="10,001 px wide"),
    pytest.param(png(100, 100, noise=16 << 20), TOO_LARGE, id="16 MB"),
])
def test_bad_picture(client, receiver, content, status):
    blob_id, answer = client.label(content, receiver.url())
    assert answer.status == 404
    assert list(answer.json) == ["description", "payload"]
    assert answer.json["payload"] == {"blob_id": blob_id, "status": status}
    wait_for("callback about the failure", lambda: receiver.got)
    assert json.loads(receiver.got[0][2]) == answer.json
    assert client.record(blob_id).get("detail"), client.record(blob_id)


def test_what_is_six_megabytes_is_fine(client):
    assert client.label(png(200, 200, noise=6 << 20))[1].status == 200


def test_never_uploaded(client, receiver):
    created = client.create(receiver.url())
    assert client.get(created["blob_id"]).json == {
        "description": "Blob hasn't been uploaded yet.",
        "payload": {"blob_id": created["blob_id"], "status": "waiting-for-upload"}}
    answer = client.ended(created["blob_id"])
    assert answer.json == {"description": "Blob upload is timed out.",
                           "payload": {"blob_id": created["blob_id"], "status": "upload-timed-out"}}
    wait_for("both events", lambda: client.event_types(created["blob_id"]) == ["blob.created", "upload.timed_out"])
    assert receiver.got == []


@pytest.mark.parametrize("how, status", [
    ({"status": 500}, "failed-due-to-callback-failure"),
    ({"status": 200}, "failed-due-to-callback-failure"),
    ({"status": 410}, "failed-due-to-callback-failure"),
    ({"status": 302, "headers": {"Location": "http://127.0.0.1:9/"}}, "failed-due-to-callback-failure"),
    ({"hold": True}, "failed-due-to-callback-time-out"),
])
def test_callback_trouble_does_not_hide_the_labels(client, receiver, how, status):
    receiver.status = how.get("status", 204)
    receiver.headers = how.get("headers", {})
    if how.get("hold"):
        receiver.hold.clear()
    blob_id, answer = client.label(callback_url=receiver.url())
    assert answer.status == 200
    wait_for(status, lambda: client.last_status(blob_id) == status)
    assert client.get(blob_id).body == answer.body


@pytest.mark.parametrize("url", [
    pytest.param("http://127.0.0.1:9/", id="nobody listens"),
    pytest.param("http://no-such-host.invalid/", id="no such name"),
    pytest.param("http://169.254.169.254/latest/meta-data", id="address that is never allowed"),
    pytest.param("http://10.255.255.1/", id="private address"),
])
def test_callback_that_cannot_be_connected(client, url):
    blob_id, answer = client.label(callback_url=url)
    assert answer.status == 200
    wait_for("its class", lambda: client.last_status(blob_id) == "failed-due-to-callback-connection")


def test_callback_gets_through_later(client, receiver):
    receiver.status = 503
    blob_id, _ = client.label(callback_url=receiver.url())
    wait_for("first attempt", lambda: client.last_status(blob_id) == "failed-due-to-callback-failure")
    receiver.status = 204
    wait_for("success", lambda: client.last_status(blob_id) == "success")
    assert len(receiver.got) == 2
    assert receiver.got[0][2] == receiver.got[1][2]


@pytest.mark.parametrize("trouble", [
    {"mode": "throttle", "count": 3},
    {"mode": "fail", "error": "InternalServerError", "status": 500, "count": 3},
    {"mode": "stall", "count": 1},
], ids=lambda trouble: trouble["mode"])
def test_rekognition_in_trouble_for_a_while(client, stack, trouble):
    """Two further attempts are made at once if the lease has time for them; after that the blob rests."""
    control = stack.state / "rekognition-control.json"
    control.write_text(json.dumps(trouble))
    try:
        blob_id, answer = client.label()
    finally:
        control.unlink()
    assert answer.status == 200
    wait_for("its events", lambda: "labels.saved" in client.event_types(blob_id))
    assert "recognition.postponed" in client.event_types(blob_id)


def test_rekognition_says_invalid(client, stack):
    control = stack.state / "rekognition-control.json"
    control.write_text('{"mode":"fail","error":"InvalidImageFormatException","status":400}')
    try:
        _, answer = client.label()
    finally:
        control.unlink()
    assert answer.json["payload"]["status"] == INVALID
