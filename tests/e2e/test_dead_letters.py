"""What cannot be worked on goes to labelwire.dead, delays nobody, and an operator can deal with it."""
import json
import re
import subprocess
from collections import Counter

import pytest
from client import call, kcat, wait_for

TOPICS = {"labelwire.uploads": "upload-watcher", "labelwire.recognize": "recognizer",
          "labelwire.deliver": "callback-dispatcher"}
NOBODY = "00000000-0000-4000-8000-000000000000"


def record(key, bucket="labelwire", name="ObjectCreated:Put", **more):
    return {"eventVersion": "2.1", "eventName": name,
            "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 9, "eTag": "e", **more}}}


GOOD_EVENT = json.dumps({"Records": [record(f"blobs/{NOBODY}")]})
GOOD_WORK = json.dumps({"v": 1, "id": NOBODY, "seq": 1})
BROKEN = ["{broken", "x", "null", "[" * 40, '"text"', "{}", "\N{SNOWMAN}", "y" * 900_000]
POISON = {
    "labelwire.uploads": [*BROKEN, GOOD_EVENT[:-9], '{"Records":5}', '{"Records":[{}]}', '{"Records":[null,7]}',
                          json.dumps({"Records": [record(f"blobs/{NOBODY}", eTag=5)]}),
                          json.dumps({"Records": [record(None)]}), json.dumps({"Records": [record("%zz")]}),
                          '{"Type":"Notification","Message":"{}"}'],
    "labelwire.recognize": [*BROKEN, GOOD_WORK[:-1], '{"v":1}', '{"v":"1","id":"x","seq":1}', '{"v":0}',
                            json.dumps({"v": 1, "id": NOBODY.upper().replace("0", "A"), "seq": 1}),
                            json.dumps({"v": 1, "id": NOBODY, "seq": 0}), json.dumps({"v": 1, "id": NOBODY, "seq": 1.5}),
                            json.dumps({"v": 1, "id": NOBODY})],
}
POISON["labelwire.deliver"] = POISON["labelwire.recognize"]


@pytest.fixture
def produce(stack, tmp_path):
    """Sends values as they are, in order, to one partition; None is a tombstone."""
    def send(topic, *values, key="k"):
        for i, value in enumerate(values):
            if value is None:
                kcat(stack, "-P", "-t", topic, "-K:", "-Z", feed=f"{key}:\n")
            else:
                path = tmp_path / f"value-{i}"
                path.write_bytes(value if isinstance(value, bytes) else value.encode())
                kcat(stack, "-P", "-t", topic, "-k", key, str(path))
    return send


def letters(stack, topic=None):
    """What labelwire.dead holds: letters from one topic, or all messages, marks included."""
    found = []
    for line in kcat(stack, "-C", "-t", "labelwire.dead", "-e", "-q", "-J").splitlines():
        message = json.loads(line)
        words = message.get("headers", [])
        message["headers"] = dict(zip(words[::2], words[1::2]))
        message["id"] = f"{message['partition']}-{message['offset']}"
        if topic in (None, message["headers"].get("source-topic")):
            found.append(message)
    return found


def metrics(stack, service):
    """Of counters and gauges without labels."""
    lines = call(stack.urls[service] + "/metrics").body.decode().splitlines()
    return {name: int(value) for name, value in (line.split() for line in lines if re.match(r"labelwire_\w+ ", line))}


def all_finished(stack, service):
    now = metrics(stack, service)
    consumed, done = (now[f"labelwire_kafka_messages_{what}_total"] for what in ("consumed", "done"))
    return now if consumed == done and now["labelwire_kafka_window_in_flight"] == 0 else None


def dead(stack, *arguments):
    return subprocess.run([stack.bin / "labelwire", "dead", *arguments], env=stack.env("labelwire"), timeout=60,
                          capture_output=True)


def well(stack, *arguments):
    result = dead(stack, *arguments)
    assert (result.returncode, result.stderr) == (0, b"")
    return result.stdout.decode()


@pytest.mark.parametrize("topic", TOPICS)
def test_poison_lands_there_and_delays_nobody(client, stack, produce, topic):
    service, poison = TOPICS[topic], [*POISON[topic], None]
    before = metrics(stack, service)["labelwire_dead_letters_total"]
    good = GOOD_EVENT if topic == "labelwire.uploads" else GOOD_WORK
    produce(topic, *[value for one in poison for value in (one, good)])
    assert client.label()[1].status == 200
    wait_for("letters", lambda: len(letters(stack, topic)) == len(poison), 5)
    now = wait_for("everything to be finished", lambda: all_finished(stack, service))
    assert now["labelwire_dead_letters_total"] == before + len(poison)
    assert now["labelwire_dead_letters_waiting"] == 0
    found = letters(stack, topic)
    assert Counter(letter["payload"] for letter in found) == Counter(poison)
    for letter in found:
        headers = letter["headers"]
        assert letter["key"] == "k"
        assert headers["service"] == service
        assert headers["reason"] in ("not-a-work-item", "not-an-s3-event", "unreadable-record")
        assert headers["detail"]
        assert re.fullmatch(r"\d+", headers["source-partition"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", headers["time"])
        assert headers["source-timestamp"][:10] <= headers["time"][:10]
    assert len({letter["headers"]["source-offset"] for letter in found}) == len(poison)
    log = stack.log_path(service).read_text()
    assert '"event":"work.unreadable"' in log or '"event":"upload.unreadable"' in log


def test_good_records_beside_a_bad_one_are_worked_on(client, stack, produce):
    created = client.create()
    key = f"blobs/{created['blob_id']}"
    before = len(letters(stack, "labelwire.uploads"))
    message = json.dumps({"Records": [{}, record(key), record(None)]})
    produce("labelwire.uploads", message)
    wait_for("upload.seen", lambda: "upload.seen" in client.event_types(created["blob_id"]))
    wait_for("the letter", lambda: len(letters(stack, "labelwire.uploads")) == before + 1, 5)
    letter = next(one for one in letters(stack, "labelwire.uploads") if one["payload"] == message)
    assert letter["headers"]["reason"] == "unreadable-record"
    assert letter["headers"]["detail"] == "record 1: eventVersion is not 2.x"


def test_what_is_no_poison(stack, produce):
    before = len(letters(stack))
    produce("labelwire.uploads", '{"Event":"s3:TestEvent"}', '{"Records":[]}',
            json.dumps({"Records": [record("k", bucket="other"), record("k", name="ObjectRemoved:Delete")]}))
    gone = metrics(stack, "recognizer")["labelwire_worker_obsolete_total"]
    produce("labelwire.recognize", GOOD_WORK)
    wait_for("the obsolete item", lambda: metrics(stack, "recognizer")["labelwire_worker_obsolete_total"] == gone + 1)
    wait_for("the events", lambda: all_finished(stack, "upload-watcher"))
    assert len(letters(stack)) == before


def test_operator(stack, produce):
    well(stack, "discard", "--all")
    assert well(stack, "ls") == "no dead letters\n"
    assert well(stack, "ls", "--json") == ""
    binary = bytes(range(256))
    produce("labelwire.deliver", "junk\n\u202e!", binary)
    wait_for("two letters", lambda: len(well(stack, "ls", "--json").splitlines()) == 2, 5)
    first, second = [json.loads(line) for line in well(stack, "ls", "--json").splitlines()]
    assert re.fullmatch(r"labelwire\.deliver/\d+/\d+", first["source"])
    assert (first["reason"], first["size"], first["state"]) == ("not-a-work-item", 9, "open")
    assert [line.split()[0] for line in well(stack, "ls").splitlines()] == ["ID", first["id"], second["id"]]
    assert well(stack, "ls", "--reason", "other") == "no dead letters\n"

    shown = well(stack, "show", first["id"])
    assert re.search(r"^reason +not-a-work-item$", shown, re.M) and "\njunk\n?!\n" in shown
    assert "00000010  10 11 12" in well(stack, "show", second["id"])
    raw = dead(stack, "show", "--raw", second["id"])
    assert (raw.returncode, raw.stdout) == (0, binary)

    assert well(stack, "retry", first["id"]) == f"{first['id']}  retried to labelwire.deliver\n"
    newer = wait_for("it to come back", lambda: [one for one in map(json.loads, well(stack, "ls", "--json").splitlines())
                                                 if one["id"] not in (first["id"], second["id"])], 5)
    assert newer[0]["source"] != first["source"] and newer[0]["size"] == 9
    assert well(stack, "discard", second["id"], newer[0]["id"]).count("  discarded\n") == 2
    assert well(stack, "ls") == "no dead letters\n"
    states = {one["id"]: one["state"] for one in map(json.loads, well(stack, "ls", "--all", "--json").splitlines())}
    assert (states[first["id"]], states[second["id"]]) == ("retried", "discarded")
    assert re.search(r"^resolution +retried\nby +\S+@\S*\nat +\d{4}-", well(stack, "show", first["id"]), re.M)
    again = dead(stack, "discard", first["id"], "77-1")
    assert again.returncode == 1 and again.stdout == b""
    assert f"{first['id']}: already retried" in again.stderr.decode() and b"77-1: no such letter" in again.stderr


def test_retry_all_sends_the_same_bytes(stack, produce):
    well(stack, "discard", "--all")
    values = ["{one", b"\0\xff" * 450_000, None]
    produce("labelwire.recognize", *values)
    wait_for("letters", lambda: len(well(stack, "ls", "--json").splitlines()) == 3, 5)
    old = {json.loads(line)["id"] for line in well(stack, "ls", "--json").splitlines()}
    said = well(stack, "retry", "--all", "--reason", "not-a-work-item").splitlines()
    assert len(said) == 4 and said[-1] == "3 letters retried"

    def back():
        found = [json.loads(line) for line in well(stack, "ls", "--json").splitlines()]
        return found if len(found) == 3 and not old & {one["id"] for one in found} else None
    found = {one["size"]: one["id"] for one in wait_for("all to come back", back, 5)}
    assert dead(stack, "show", "--raw", found[900_000]).stdout == values[1]
    assert "no value" in well(stack, "show", found[0])
    well(stack, "discard", "--all")


def values_there(stack, values):
    return not set(values) - {letter["payload"] for letter in letters(stack, "labelwire.recognize")}


def poison_in_a_row(stack, name):
    """A few hundred, sent at once; their values."""
    values = [f"{name} {i} " + "." * 5000 for i in range(300)]
    kcat(stack, "-P", "-t", "labelwire.recognize", feed="\n".join(values) + "\n")
    return values


def test_kafka_away_with_poison_in_hand(client, stack):
    values = poison_in_a_row(stack, "kafka")
    stack.kill("kafka")
    try:
        wait_for("its absence to be seen", lambda: call(stack.urls["recognizer"] + "/readyz").status == 503)
        assert call(stack.urls["recognizer"] + "/livez").status == 200
        without = dead(stack, "ls")
        assert without.returncode == 1 and b"no Kafka broker answers" in without.stderr
    finally:
        stack.start("kafka")
    wait_for("every letter", lambda: values_there(stack, values), 60)
    assert call(stack.urls["recognizer"] + "/livez").status == 200
    assert client.label()[1].status == 200


def test_recognizer_killed_with_poison_in_hand(client, stack):
    values = poison_in_a_row(stack, "kill")
    stack.kill("recognizer")
    stack.start("recognizer")
    wait_for("every letter", lambda: values_there(stack, values), 30)
    assert client.label()[1].status == 200


def test_newer_version_is_left_for_a_newer_program(stack, produce):
    before = len(letters(stack))
    produce("labelwire.deliver", json.dumps({"v": 2, "id": NOBODY, "seq": 1}))
    wait_for("the alarm", lambda: '"event":"work.too_new"' in stack.log_path("callback-dispatcher").read_text())
    assert all_finished(stack, "callback-dispatcher") is None
    assert len(letters(stack)) == before
