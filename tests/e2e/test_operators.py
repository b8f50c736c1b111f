"""What operators do and see: the gauges, and the commands that move a blob on by hand."""
import re
import subprocess

from client import call, wait_for
from stacks import BIN

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def gauges(stack, service="upload-watcher"):
    """Every row of a service's /metrics by its name with its labels."""
    text = call(stack.urls[service] + "/metrics").body.decode()
    return {name: int(value) for name, value in re.findall(r"^(\w+(?:\{[^}]*\})?) (-?\d+)$", text, re.M)}


def labelwire(stack, *words):
    return subprocess.run([BIN / "labelwire", *words], env=stack.env("labelwire"), text=True, timeout=30,
                          capture_output=True, check=False)


def test_gauges_of_the_phases(client, stack):
    before = gauges(stack)
    created = client.create()
    awaiting = 'labelwire_phase_blobs{phase="awaiting"}'
    seen = wait_for("the new blob", lambda: (now := gauges(stack))[awaiting] == 1 and now)
    assert 0 < wait_for("its age", lambda: gauges(stack)['labelwire_phase_oldest_ms{phase="awaiting"}']) < 20_000
    client.upload(created)
    client.ended(created["blob_id"])
    finished = 'labelwire_phase_blobs{phase="finished"}'
    wait_for("it among the finished", lambda: gauges(stack)[finished] == before[finished] + 1)
    assert seen["labelwire_relay_outbox_rows"] >= 0
    assert sum(value for name, value in gauges(stack).items() if name.startswith("labelwire_phase_blobs")) == \
        gauges(stack)[finished]


def test_recognize_again(client, stack, receiver):
    blob_id, first = client.label(callback_url=receiver.url("/again"))
    wait_for("the callback", lambda: client.last_status(blob_id) == "success")
    done = labelwire(stack, "recognize", blob_id)
    assert (done.returncode, done.stdout) == (0, f"{blob_id}  queued, generation 2\n"), done.stderr
    assert client.get(blob_id).body == first.body  # the old labels stay until there are new ones
    wait_for("another callback", lambda: len(receiver.of("/again")) == 2)
    wait_for("success again", lambda: client.events(blob_id)[-1]["data"] | {"timer_ms": 0} == {
        "seq": 13, "gen": 2, "phase": "finished", "status": "success", "attempts": 1, "timer_ms": 0})


def test_redeliver(client, stack, receiver):
    blob_id, _ = client.label(callback_url=receiver.url("/once-more"))
    wait_for("success", lambda: client.last_status(blob_id) == "success")
    done = labelwire(stack, "redeliver", blob_id)
    assert (done.returncode, done.stdout) == (0, f"{blob_id}  delivering, generation 1\n"), done.stderr
    wait_for("the second callback", lambda: len(receiver.of("/once-more")) == 2)
    (_, _, first), (_, _, second) = receiver.of("/once-more")
    assert first == second
    wait_for("the end", lambda: client.event_types(blob_id)[-3:] == ["delivery.asked_again", "delivery.started",
                                                                     "delivery.done"])
    assert client.last_status(blob_id) == "success"


def test_erase(client, stack):
    blob_id, _ = client.label()
    done = labelwire(stack, "erase", blob_id)
    assert (done.returncode, done.stdout) == (0, f"{blob_id}  erasing, generation 1\n"), done.stderr
    assert client.get(blob_id).json["payload"]["status"] == "not-found"
    wait_for("the end", lambda: "blob.erased" in client.event_types(blob_id), 20)
    again = labelwire(stack, "erase", blob_id)
    assert (again.returncode, again.stderr) == (1, f"labelwire: {blob_id}: not found\n")


def test_what_cannot_be_moved(client, stack):
    created = client.create()
    done = labelwire(stack, "recognize", created["blob_id"], UNKNOWN, "nonsense")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"labelwire: {created['blob_id']}: is awaiting; only a finished blob that was uploaded can be recognized again",
        f"labelwire: {UNKNOWN}: not found",
        "labelwire: 'nonsense' is not a blob id",
    ]
