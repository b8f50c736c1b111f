"""An outage fails no blob however long it takes; a blob that fails while others get through is given up."""
import faults
import pytest
from client import wait_for
from stacks import make_stack, sound

TRIES = 2
ERROR = faults.error(500, "InternalError")


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    stack = make_stack(tmp_path_factory.mktemp("stack"), **{"recognizer:LW_RECOGNIZE_TRIES": str(TRIES)})
    with faults.FaultyS3(stack.ports["s3"]) as stack.proxy:
        stack.settings["recognizer:LW_S3_ENDPOINT"] = stack.proxy.url
        with stack:
            yield stack
            stack.proxy.mend()
            sound(stack)


def postponed(client, blob_id):
    return client.event_types(blob_id).count("recognition.postponed")


def uploaded(client):
    created = client.create()
    client.upload(created)
    return created["blob_id"]


def waits_out(client, mend):
    blobs = [uploaded(client) for _ in range(2)]
    for blob_id in blobs:
        wait_for("more tries than a blob has", lambda b=blob_id: postponed(client, b) > TRIES, 40)
        assert client.status(blob_id) == "in-progress"
    mend()
    for blob_id in blobs:
        assert client.ended(blob_id, 40).status == 200


def test_s3_is_away(stack, client):
    stack.proxy.fail("GET", ERROR)
    waits_out(client, stack.proxy.mend)


def test_rekognition_is_away(stack, client):
    stack.kill("rekognition-local")
    waits_out(client, lambda: stack.start("rekognition-local"))


def test_one_blob_fails_while_others_get_through(stack, client):
    created = client.create()
    one = created["blob_id"]
    stack.proxy.fail("GET", faults.hang, of=one)  # so that others get through meanwhile
    client.upload(created)

    def failed():
        client.label()
        return client.status(one) == "unexpected-error"
    wait_for("the end of its tries", failed, 60)
    assert postponed(client, one) == TRIES - 1
    assert client.record(one)["code"] == "s3_unavailable"
