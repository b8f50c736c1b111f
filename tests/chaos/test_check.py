"""The checker of the chaos runs sees each violation in a doctored history, and none in a sound one."""
import copy
import re
import sys
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import check  # noqa: E402
from check import Blob, Callback, Fault, History, Request  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BODY = b'{"blob_id":"b1","labels":[]}'
LIFE = [("blob.created", "awaiting", "waiting-for-upload"), ("upload.seen", "queued", "in-progress"),
        ("recognition.started", "recognizing", "in-progress"), ("image.probed", "recognizing", "in-progress"),
        ("labels.saved", "delivering", "in-progress"), ("delivery.started", "attempting", "in-progress"),
        ("delivery.done", "finished", "success")]


def event(seq, kind, phase, status, gen=1, blob_id="b1"):
    time = datetime.fromtimestamp(1000 + seq, timezone.utc).isoformat().replace("+00:00", "Z")
    return {"type": f"labelwire.{kind}", "subject": blob_id, "time": time,
            "data": {"seq": seq, "gen": gen, "phase": phase, "status": status}}


def sound():
    """One blob that was created, uploaded, labelled and called back."""
    return History(
        blobs=[Blob("b1", "plain", 1000.0, "/b1", "yes", (200, BODY))],
        requests=[Request(1000.0, 0.1, "api-gateway", "POST", 201)],
        callbacks=[Callback(1006.5, "/b1", BODY, 204)],
        events={"b1": [event(seq, *step) for seq, step in enumerate(LIFE, 1)]},
        paid={"b1": 1}, poison={"p": True, "perhaps": False}, letters=Counter({"p": 2}))


def found(history):
    return {violation.invariant for violation in check.check(history)}


def test_sound_history():
    assert check.check(sound()) == []


def test_repeated_events_are_fine():
    history = sound()
    events = history.events["b1"]
    history.events["b1"] = events[:3] + events[1:3] + events[3:] + events[:1]
    assert found(history) == set()


def test_never_uploaded():
    history = sound()
    history.blobs[0].uploaded, history.blobs[0].last_get, history.callbacks = "no", None, []
    history.events["b1"] = [event(1, *LIFE[0]), event(2, "upload.timed_out", "finished", "upload-timed-out")]
    assert found(history) == set()
    history.blobs[0].uploaded = "maybe"
    assert found(history) == set()
    history.blobs[0].uploaded = "yes"
    assert found(history) == {"I1"}


def test_late_upload_is_a_second_generation():
    history = sound()
    late = [event(1, *LIFE[0]), event(2, "upload.timed_out", "finished", "upload-timed-out"),
            event(3, "upload.seen_late", "queued", "in-progress", 2)]
    late += [event(seq, *step, gen=2) for seq, step in enumerate(LIFE[2:], 4)]
    history.events["b1"] = late
    assert found(history) == set()
    late[3]["data"]["gen"] = 3
    assert found(history) == {"I3"}


def without(n):
    return lambda history: history.events["b1"].pop(n)


def change(n, **data):
    return lambda history: history.events["b1"][n]["data"].update(data)


def swap(history):
    events = history.events["b1"]
    events[3], events[4] = events[4], events[3]


def again(seq, *step):
    return lambda history: history.events["b1"].append(event(seq, *step))


def other_with_that_seq(history):
    history.events["b1"].append(event(3, "recognition.lease_ended", "queued", "in-progress"))


def labels_twice(history):
    history.events["b1"].insert(5, event(6, *LIFE[4]))
    for n, one in enumerate(history.events["b1"], 1):
        one["data"]["seq"] = n


def more_callbacks(history):
    history.callbacks *= 2


def field(name, value):
    return lambda history: setattr(history.blobs[0], name, value)


def callback(**fields):
    def doctor(history):
        for name, value in fields.items():
            setattr(history.callbacks[0], name, value)
    return doctor


def request(**fields):
    def doctor(history):
        for name, value in fields.items():
            setattr(history.requests[0], name, value)
    return doctor


@pytest.mark.parametrize("invariant, doctor", [
    pytest.param("I1", lambda h: h.events.clear(), id="no event at all"),
    pytest.param("I1", without(-1), id="no outcome"),
    pytest.param("I1", field("kind", "invalid"), id="labels for what is no picture"),
    pytest.param("I1", field("uploaded", "no"), id="labels of nothing"),
    pytest.param("I2", change(-3, status="upload-timed-out"), id="status of another outcome"),
    pytest.param("I2", labels_twice, id="two outcomes"),
    pytest.param("I3", without(0), id="no beginning"),
    pytest.param("I3", without(3), id="gap"),
    pytest.param("I3", swap, id="out of order"),
    pytest.param("I3", other_with_that_seq, id="two transitions with one seq"),
    pytest.param("I3", change(2, phase="finished"), id="phase that it cannot lead to"),
    pytest.param("I3", again(8, "delivery.done", "finished", "success"), id="phase that it cannot lead from"),
    pytest.param("I3", again(8, "blob.polished", "finished", "success"), id="unknown transition"),
    pytest.param("I3", change(4, gen=2), id="generation that nothing began"),
    pytest.param("I4", lambda h: h.callbacks.clear(), id="delivered to nobody"),
    pytest.param("I4", callback(status=500), id="delivered with a 500"),
    pytest.param("I5", more_callbacks, id="two callbacks without a fault"),
    pytest.param("I5", lambda h: h.paid.update(b1=2), id="two paid calls without a fault"),
    pytest.param("I6", callback(body=BODY + b" "), id="callback is not what GET says"),
    pytest.param("I6", lambda h: h.callbacks.append(Callback(1, "/b1", b'{"blob_id":"b1"}', 500)), id="two bodies"),
    pytest.param("I6", callback(body=b'{"blob_id":"b2","labels":[]}'), id="another blob's labels"),
    pytest.param("I7", request(took=1.1), id="slow"),
    pytest.param("I7", request(status=0, problem="reset"), id="empty close"),
    pytest.param("I7", request(status=500), id="500"),
    pytest.param("I7", request(status=503), id="503 without Retry-After"),
    pytest.param("I14", lambda h: h.letters.clear(), id="poison that nobody buried"),
    pytest.param("I14", lambda h: h.letters.update(["work"]), id="a letter that was a message of ours"),
])
def test_violation_is_seen(invariant, doctor):
    history = copy.deepcopy(sound())
    doctor(history)
    assert invariant in found(history)


@pytest.mark.parametrize("target, doctor", [
    ("callback-dispatcher-2", more_callbacks),
    ("redis", more_callbacks),
    ("recognizer", lambda h: h.paid.update(b1=2)),
    ("versitygw", lambda h: h.paid.update(b1=2)),
    ("redis", request(took=1.9)),
    ("api-gateway", request(status=0, problem="reset")),
])
def test_fault_explains(target, doctor):
    history = sound()
    doctor(history)
    assert found(history)
    history.faults = [Fault("kill", target, 999, 1002)]
    assert found(history) == set()
    history.faults = [Fault("kill", target, 990, 992)]
    assert found(history), "it was over before"


@pytest.mark.parametrize("target", ["upload-watcher", "api-gateway", "versitygw"])
def test_fault_elsewhere_explains_no_duplicate(target):
    history = sound()
    more_callbacks(history)
    history.faults = [Fault("kill", target, 999, 1002)]
    assert found(history) == {"I5"}


@pytest.mark.parametrize("deaths, wrong", [(check.DEATHS - 1, {"I1"}), (check.DEATHS, set())])
def test_given_up_after_so_many_deaths(deaths, wrong):
    history = sound()
    died = [("recognition.started", "recognizing", "in-progress"), ("recognition.lease_ended", "queued", "in-progress")]
    failed = ("recognition.failed", "delivering", "unexpected-error")
    told = [(kind, phase, "unexpected-error") for kind, phase, _ in LIFE[-2:]]
    history.events["b1"] = [event(seq, *step) for seq, step in enumerate([*LIFE[:2], *died * deaths, failed, *told], 1)]
    assert found(history) == wrong


def test_gave_up():
    history = sound()
    history.events["b1"][-1] = event(7, "delivery.gave_up", "finished", "failed-due-to-callback-failure")
    history.callbacks[0].status = 410
    assert found(history) == set()
    history.callbacks[0].status = 204
    assert found(history) == {"I4"}


def test_timeline_tells_all():
    history = sound()
    history.faults = [Fault("kill", "redis", 1001, 1002)]
    text = "\n".join(check.timeline(history, "b1"))
    assert "labels.saved" in text and "kill redis" in text and "answered 204" in text


def test_all_transitions_of_life_are_known():
    text = (ROOT / "common/blob/life.c").read_text()
    assert set(re.findall(r'"([a-z]+\.[a-z_]+)"', text)) == set(check.LEGAL)
