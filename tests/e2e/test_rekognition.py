"""Rekognition as it really is: quotas that nobody tells, a clock of its own, keys that expire, answers that are none."""
import json
import re
import signal
import subprocess
from collections import Counter

import pytest
from client import call, kcat, wait_for
from stacks import make_stack, sound
from parts import VERSITYGW

KEYS = "[default]\naws_access_key_id = {0}\naws_secret_access_key = {0}-secret\n"
FILE = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": "credentials"}
SETTINGS = {f"{service}:{name}": value for service in ("recognizer", "rekognition-local")
            for name, value in FILE.items()}  # the file is in the folder where they run


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stack")
    write(folder / "credentials", KEYS.format("labelwire"))
    (folder / "accounts").mkdir()
    with make_stack(folder, **SETTINGS, **{"versitygw:VGW_IAM_DIR": str(folder / "accounts")}) as running:
        admin = [VERSITYGW, "admin", "-a", "labelwire", "-s", "labelwire-secret", "--er", running.urls["s3"]]
        subprocess.run([*admin, "create-user", "-a", "second", "-s", "second-secret", "-r", "admin"], check=True)
        yield running
        sound(running)


def write(path, text):
    part = path.with_suffix(".part")
    part.write_text(text)
    part.rename(path)


@pytest.fixture
def control(stack):
    path = stack.state / "rekognition-control.json"
    yield lambda **what: write(path, json.dumps(what))
    path.unlink(missing_ok=True)


def log(stack, service, event):
    lines = stack.log_path(service).read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == event]


def calls(stack):
    """Every call that Rekognition got, as (key, status)."""
    return [(line["key"], line["status"]) for line in log(stack, "rekognition-local", "detect.called")]


def paid(stack, client, blob_ids):
    """How often each blob was paid for."""
    answered = Counter(key for key, status in calls(stack) if status == 200)
    return [answered[client.record(blob_id)["object_key"]] for blob_id in blob_ids]


def upload(client, n):
    created = [client.create() for _ in range(n)]
    for one in created:
        client.upload(one)
    return [one["blob_id"] for one in created]


def metric(stack, name):
    text = call(stack.urls["recognizer"] + "/metrics").body.decode()
    return int(re.search(rf"^{name} (\d+)$", text, re.M).group(1))


def test_a_backlog_waits_in_kafka(client, stack, control):
    """A quota of 20 a second, and 150 pictures at once."""
    stack.kill("recognizer", signal.SIGSTOP)
    control(quota=20)
    blob_ids = upload(client, 150)
    stack.kill("recognizer", signal.SIGCONT)
    wait_for("all labels", lambda: sum(client.get(b).status == 200 for b in blob_ids[-20:]) == 20, 40)
    assert {client.ended(blob_id).status for blob_id in blob_ids} == {200}
    assert paid(stack, client, blob_ids) == [1] * 150
    keys = Counter(kcat(stack, "-C", "-t", "labelwire.recognize", "-e", "-q", "-f", "%k\n").split())
    assert sum(keys[blob_id] for blob_id in blob_ids) <= 1.2 * 150
    statuses = Counter(status for _, status in calls(stack)[-200:])
    assert statuses[400] <= 0.25 * statuses[200]  # the search for the quota included
    assert 1 <= metric(stack, "labelwire_recognizer_rate") <= 60


def test_throttled_for_a_while(client, stack, control):
    before = metric(stack, "labelwire_recognizer_throttled_total")
    control(mode="throttle", count=8)
    blob_ids = upload(client, 6)
    assert [client.ended(blob_id).status for blob_id in blob_ids] == [200] * 6
    assert paid(stack, client, blob_ids) == [1] * 6
    assert metric(stack, "labelwire_recognizer_throttled_total") == before + 8
    assert metric(stack, "labelwire_recognizer_retries_total") > 0


def test_its_clock_is_another(client, stack, control):
    control(skew_ms=600000)
    before = len(log(stack, "recognizer", "clock.skewed"))
    blob_ids = [client.label()[0], client.label()[0]]
    for blob_id in blob_ids:
        assert client.get(blob_id).status == 200
        assert "recognition.postponed" not in client.event_types(blob_id)
    assert len(log(stack, "recognizer", "clock.skewed")) == before + 1


def test_keys_expire_and_are_renewed(client, stack, control):
    control(expired_token="labelwire")
    [blob_id] = upload(client, 1)
    wait_for("a pause", lambda: "recognition.postponed" in client.event_types(blob_id))
    assert client.record(blob_id)["code"] == "expired_credentials"
    assert "put new keys into" in log(stack, "recognizer", "credentials.expired")[0]["hint"]
    write(stack.state / "credentials", KEYS.format("second"))
    assert client.ended(blob_id).status == 200
    assert log(stack, "recognizer", "credentials.renewed")


def test_denied_for_a_while(client, stack, control):
    """Blobs wait, however long it takes, and one line says what to do."""
    control(mode="fail", error="AccessDeniedException", message="not authorized to perform: rekognition:DetectLabels")
    blob_ids = upload(client, 3)
    for blob_id in blob_ids:
        wait_for("a pause", lambda b=blob_id: "recognition.postponed" in client.event_types(b))
    assert client.status(blob_ids[0]) == "in-progress"
    control(mode="normal")
    assert [client.ended(blob_id).status for blob_id in blob_ids] == [200] * 3
    [line] = log(stack, "recognizer", "rekognition.denied")
    assert line["level"] == "error" and "rekognition:DetectLabels" in line["hint"]


# ---- answers that are none


@pytest.mark.parametrize("answer, code", [
    pytest.param({"body": '{"Labels":[{"Name":"Cat"'}, "bad_answer", id="cut off"),
    pytest.param({"body": '{"Labels":{"Name":"Cat"}}'}, "bad_answer", id="no list"),
    pytest.param({"body": '{"__type":"NobodyKnowsException","Message":"?"}', "status": 400}, "bad_answer",
                 id="unknown error"),
])
def test_broken_answers_end_in_an_error(client, stack, control, answer, code):
    control(mode="body", **answer)
    blob_id, end = client.label()
    assert end.json["payload"]["status"] == "unexpected-error"
    assert client.record(blob_id)["code"] == code
    assert client.event_types(blob_id).count("recognition.postponed") == 1  # once may be an accident


def test_something_else_answers_for_a_while(client, stack, control):
    control(mode="body", status=503, body="<html><body>Service Unavailable</body></html>", count=2)
    blob_id, end = client.label()
    assert end.status == 200
    assert "recognition.postponed" not in client.event_types(blob_id)  # tried again in place
    assert paid(stack, client, [blob_id]) == [1]


def test_ten_thousand_labels(client, control):
    control(mode="labels", labels=[{"Name": f"L{i}", "Confidence": 99.5, "Parents": []} for i in range(10000)])
    _, end = client.label()
    assert end.status == 200
    assert 0 < len(end.json["labels"]) <= 1000


def test_more_than_a_megabyte(client, stack, control):
    """Given up at the limit, and tried again."""
    labels = [{"Name": "x" * 90, "Confidence": 99.5, "Parents": [], "Padding": 0} for _ in range(6900)]
    text = json.dumps({"mode": "labels", "count": 1, "labels": labels}, separators=(",", ":"))
    filler = (1 << 20) - len(text)
    labels[0]["Name"] += "x" * filler
    control_file = stack.state / "rekognition-control.json"
    write(control_file, json.dumps({"mode": "labels", "count": 1, "labels": labels}, separators=(",", ":")))
    blob_id, end = client.label()
    assert end.status == 200
    assert [status for key, status in calls(stack) if key == client.record(blob_id)["object_key"]] == [200, 200]
