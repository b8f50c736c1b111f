"""One picture, end to end: created, uploaded, labelled, called back, read, told in events."""
import json
import subprocess

from client import PHOTO, Client, call, kcat, png, wait_for
from stacks import BIN, ROOT, make_stack

LIFE = ["blob.created", "upload.seen", "recognition.started", "image.probed", "labels.saved", "delivery.started",
        "delivery.done"]


def check_labels(labels):
    assert 1 <= len(labels) <= 10
    for label in labels:
        assert list(label) == ["label", "confidence", "parents"]
        assert 50 <= label["confidence"] <= 100
        assert all(isinstance(parent, str) for parent in label["parents"])
    assert len({label["label"] for label in labels}) == len(labels)


def test_created_answer(client):
    created = client.create("  http://127.0.0.1:9/hook ")
    assert list(created) == ["blob_id", "callback_url", "upload_url"]
    assert created["callback_url"] == "http://127.0.0.1:9/hook"
    assert "X-Amz-SignedHeaders=host&" in created["upload_url"]
    assert client.create()["callback_url"] is None
    assert client.create(calback_url="http://x.example/")["callback_url"] == "http://x.example/"


def test_labels_arrive_at_get_and_at_the_callback(client, receiver):
    blob_id, answer = client.label(callback_url=receiver.url("/cat"))
    assert answer.status == 200
    assert list(answer.json) == ["blob_id", "labels"]
    assert answer.json["blob_id"] == blob_id
    check_labels(answer.json["labels"])
    wait_for("callback", lambda: receiver.of("/cat"))
    (_, headers, body), = receiver.of("/cat")
    assert body == answer.body
    assert headers["Content-Type"] == "application/json"
    assert headers["traceparent"].startswith("00-")
    wait_for("success", lambda: client.last_status(blob_id) == "success")
    wait_for("its whole life told", lambda: client.event_types(blob_id) == LIFE)
    assert client.get(blob_id).body == answer.body


def test_events_are_in_order_and_say_no_secrets(client, receiver):
    blob_id, _ = client.label(callback_url=receiver.url("/secret-path"))
    wait_for("success", lambda: client.last_status(blob_id) == "success")
    events = client.events(blob_id)
    assert [event["data"]["seq"] for event in events] == list(range(1, len(events) + 1))
    assert all(event["specversion"] == "1.0" and event["id"] == f"{blob_id}/{event['data']['seq']}"
               for event in events)
    headers = kcat(client.stack, "-C", "-t", "labelwire.events", "-e", "-q", "-f", "%h\n").splitlines()
    assert set(headers) == {"content-type=application/cloudevents+json"}
    assert "secret-path" not in json.dumps(events) and "X-Amz-Signature" not in json.dumps(events)


def test_numbers_are_as_rekognition_wrote_them(client, stack):
    control = stack.state / "rekognition-control.json"
    control.write_text('{"mode":"labels","labels":[{"Name":"Cat","Confidence":98.95704650878906,'
                       '"Parents":[{"Name":"Animal"}]},{"Name":"Dog","Confidence":49.9,"Parents":[]}]}')
    try:
        _, answer = client.label()
    finally:
        control.unlink()
    assert answer.body.endswith(b'"labels":[{"label":"Cat","confidence":98.95704650878906,"parents":["Animal"]}]}')


def test_bare_curl_uploads(client, tmp_path):
    created = client.create()
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(PHOTO)
    subprocess.run(["curl", "-sSf", "-T", picture, created["upload_url"]], check=True, timeout=20)
    assert client.ended(created["blob_id"]).status == 200


def test_upload_with_a_content_type_nobody_signed(client):
    created = client.create()
    answer = call(created["upload_url"], "PUT", PHOTO, {"Content-Type": "application/octet-stream"})
    assert answer.status == 200
    assert client.ended(created["blob_id"]).status == 200


def test_png_without_callback(client):
    blob_id, answer = client.label(png(300, 200))
    assert answer.status == 200
    wait_for("success told", lambda: client.last_status(blob_id) == "success")


def test_record_keeps_what_was_seen(client):
    blob_id, _ = client.label(png(300, 200))
    record = client.record(blob_id)
    assert (record["content_type"], record["width"], record["height"]) == ("image/png", "300", "200")
    assert record["phase"] == "finished"


def test_replaced_upload_is_labelled_again(client):
    created = client.create()
    client.upload(created)
    first = client.ended(created["blob_id"])
    client.upload(created, png(400, 400))
    wait_for("second generation", lambda: client.record(created["blob_id"])["gen"] == "2")
    wait_for("its labels", lambda: client.record(created["blob_id"])["phase"] == "finished")
    assert client.get(created["blob_id"]).body != first.body


def test_command_line(client, stack, tmp_path):
    environment = stack.env("labelwire")
    done = subprocess.run([BIN / "labelwire", "label", "--json", ROOT / "deploy/local/demo.jpg"], env=environment,
                          check=True, capture_output=True, text=True, timeout=60)
    line = json.loads(done.stdout)
    check_labels(line["labels"])
    shown = subprocess.run([BIN / "labelwire", "get", line["blob_id"]], env=environment, check=True,
                           capture_output=True, text=True, timeout=20)
    assert line["labels"][0]["label"] in shown.stdout


def test_one_shard_works_the_same(tmp_path):
    with make_stack(tmp_path, LW_SHARDS="1") as single:
        client = Client(single)
        blob_id, answer = client.label()
        assert answer.status == 200
        assert client.record(blob_id)["phase"] == "finished"
        assert kcat(single, "-C", "-t", "labelwire.recognize", "-e", "-q").count(blob_id) == 1
