"""Two long faults by themselves: Kafka away for a while, and more work than Rekognition's quota lets through."""
import json
import threading
import time

from schedules import Planned
from watch import messages

# As in life: what is uploaded while Kafka is away is found when the upload window and its grace are over.
LIFELIKE = {"api-gateway:LW_UPLOAD_WINDOW": "30s", "api-gateway:LW_UPLOAD_GRACE": "10s"}
RETURN_LIMIT = 60.0  # seconds from Kafka's return until all that was uploaded meanwhile has its labels
MESSAGES_LIMIT = 1.2  # on each work topic, for each blob
LOOK_EVERY = 1.0  # seconds
PLAIN = {"plain": 1}


def wait(run, what, condition, patience):
    """Until the condition holds; says every ten seconds how far it is. False when patience has ended."""
    begun = said = time.monotonic()
    while not condition():
        now = time.monotonic()
        if now - begun > patience:
            run.wrong.append(f"{what}: not within {patience:.0f} s")
            return False
        if now - said > 10:
            said = now
            run.say(f"{what}: {sum(1 for _ in labelled(run))} blobs have labels")
        threading.Event().wait(LOOK_EVERY)
    return True


def labelled(run):
    """The time at which each blob got its labels."""
    for events in run.events.snapshot().values():
        for event in events:
            if event["type"] == "labelwire.labels.saved":
                yield event["time"]
                break


def outage(run, seconds: float, rate: float):
    """Kafka is stopped under load: every POST is answered 201 meanwhile, and all get their labels soon after."""
    load = run.load(rate, 1, PLAIN)
    threading.Event().wait(5)
    run.say(f"Kafka is away; {rate:.0f} blobs/s for {seconds:.0f} s")
    run.faults.hit(Planned(0, "kill", "kafka", seconds))
    back = time.monotonic()
    load.stop()
    created = len(load.blobs)
    run.say(f"Kafka is back; {created} blobs were created, {load.refused} POSTs refused, {load.unknown} without answer")
    if load.refused + load.unknown:
        run.wrong.append(f"{load.refused + load.unknown} POSTs were not answered 201 while Kafka was away")
    wait(run, "labels for all", lambda: sum(1 for _ in labelled(run)) == created, 2 * RETURN_LIMIT)
    took = time.monotonic() - back
    run.say(f"all have labels {took:.1f} s after Kafka's return")
    if took > RETURN_LIMIT:
        run.wrong.append(f"labels came {took:.1f} s after Kafka's return, not within {RETURN_LIMIT:.0f} s")
    wait(run, "callbacks for all", lambda: len(run.hooks.log) >= created, RETURN_LIMIT)
    return load


def backlog(run, blobs: int, quota: int, rate: float):
    """All blobs wait before the first is recognized; then Rekognition takes `quota` calls per second."""
    run.faults.pids["recognizer"] = None
    run.stack.kill("recognizer")
    load = run.load(rate, 1, PLAIN)
    while len(load.blobs) < blobs:
        threading.Event().wait(0.1)
    load.stop()
    created = len(load.blobs)
    run.say(f"{created} blobs are uploaded; Rekognition takes {quota} calls per second from now on")
    (run.stack.state / "rekognition-control.json").write_text(json.dumps({"mode": "normal", "quota": quota}))
    begun = time.monotonic()
    run.faults.start("recognizer")
    if not wait(run, "labels for all", lambda: sum(1 for _ in labelled(run)) == created, 3 * created / quota + 60):
        return load
    took = time.monotonic() - begun
    wait(run, "callbacks for all", lambda: len(run.hooks.log) >= created, RETURN_LIMIT)
    run.say(f"all have labels after {took:.0f} s: {created / took:.1f} per second of {quota}")
    for topic in ("labelwire.recognize", "labelwire.deliver"):
        each = messages(run.stack.ports["kafka"], topic) / created
        run.say(f"{each:.3f} messages for each blob on {topic}")
        if each > MESSAGES_LIMIT:
            run.wrong.append(f"{each:.3f} messages for each blob on {topic}, more than {MESSAGES_LIMIT}")
    return load
