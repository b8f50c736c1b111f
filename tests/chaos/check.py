"""What must hold whatever died meanwhile, checked over the logs of a run. Pure: no clock, no files, no network.

    I1   every blob that was answered 201 has its outcome, and the one that its upload asks for
    I2   one outcome for each generation; the flat status says what the transition means
    I3   events come as seq 1, 2, 3 …, each the first time after its predecessor, and every transition is legal
    I4   delivered: the receiver answered 204; given up: it refused, or the attempts were made
    I5   accepted callbacks and paid calls: one for each blob, and one more at most for each fault that touched them
    I6   all callbacks of a blob and the last GET have the same body
    I7   every API request has a whole answer in time: 2xx, 4xx, or 503 with Retry-After
    I14  what is no message of ours comes to labelwire.dead, and nothing else does

The rest needs no thought and is told by whoever watched (chaos.py): I8 memory, I11 recovery, I12 nothing left in
Kafka, I13 no secrets in logs, and no process that died by itself.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

REQUEST_LIMIT = 1.0  # seconds for an API request
REQUEST_LIMIT_FAULT = 2.0  # the same while a fault is on
FAULT_ECHO = 1.0  # seconds that a fault is felt after its end: connections are made anew
DEATHS = 4  # of workers over one blob: the next start gives it up (LIFE_STARTS_MAX in common/blob/life.h)

# Transition: phases that it leads from ("*": any), and to. common/blob/life.c is where they happen.
LEGAL = {
    "blob.created": ("", "awaiting"),
    "upload.seen": ("awaiting", "queued"),
    "upload.seen_late": ("finished", "queued"),
    "upload.replaced": ("*", "queued"),
    "upload.timed_out": ("awaiting", "finished"),
    "upload.looked_late": ("finished", "finished"),
    "recognition.queued": ("resting parked", "queued"),
    "recognition.queued_again": ("queued", "queued"),
    "recognition.started": ("queued", "recognizing"),
    "recognition.lease_ended": ("recognizing", "queued resting"),
    "recognition.postponed": ("recognizing", "resting"),
    "recognition.parked": ("recognizing", "parked"),
    "recognition.failed": ("queued recognizing", "delivering finished"),
    "recognition.asked_again": ("finished", "queued"),
    "image.probed": ("recognizing", "recognizing"),
    "labels.saved": ("recognizing", "delivering finished"),
    "delivery.queued": ("holding", "delivering"),
    "delivery.queued_again": ("delivering", "delivering"),
    "delivery.started": ("delivering", "attempting"),
    "delivery.lease_ended": ("attempting", "delivering holding"),
    "delivery.failed": ("attempting", "holding"),
    "delivery.gave_up": ("delivering attempting", "finished"),
    "delivery.done": ("attempting", "finished"),
    "delivery.asked_again": ("finished", "delivering"),
    "retention.ended": ("finished", "erasing"),
    "erasing.asked": ("*", "erasing"),
    "object.erased": ("erasing", "erasing"),
    "blob.erased": ("erasing", "erasing"),
}
BEGINS_GENERATION = {"upload.seen_late", "upload.replaced", "recognition.asked_again"}
OUTCOMES = {"labels.saved", "recognition.failed", "upload.timed_out"}
OVER = {"finished", "erasing"}
FAILURES = {"invalid-blob-has-been-uploaded", "too-large-blob-has-been-uploaded", "unexpected-error"}
STATUSES = {  # what an event's flat status may be; the others follow their outcome
    "blob.created": {"waiting-for-upload"},
    "upload.timed_out": {"upload-timed-out"},
    "labels.saved": {"in-progress", "success"},
    "recognition.failed": FAILURES,
}

# What touches a delivery, and what touches a paid call.
TOUCHES_CALLBACK = ("callback-dispatcher", "redis", "kafka")
TOUCHES_CALL = ("recognizer", "rekognition-local", "rekognition", "redis", "kafka",
                "versitygw")  # Rekognition reads the picture there: a call that was given up may be answered later


@dataclass
class Blob:
    """A blob that was answered 201, and what its owner did and saw."""

    id: str
    kind: str  # one of load.KINDS
    at: float  # of the answer
    path: str = ""  # of its callback URL; "": none
    uploaded: str = "no"  # "yes", "no", or "maybe": the PUT's answer was lost or came late
    last_get: tuple[int, bytes] | None = None


@dataclass
class Request:
    """One request to the API."""

    at: float
    took: float
    gateway: str  # name of the process
    what: str
    status: int = 0  # 0: no whole answer
    problem: str = ""
    retry_after: bool = False


@dataclass
class Callback:
    at: float
    path: str
    body: bytes
    status: int  # that it was answered


@dataclass
class Fault:
    kind: str
    target: str
    begin: float
    end: float  # when what was hit was ready again

    def touches(self, begin: float, end: float) -> bool:
        return self.begin <= end and begin <= self.end + FAULT_ECHO

    def hits(self, targets: tuple[str, ...]) -> bool:
        return self.target.removesuffix("-2") in targets


@dataclass
class History:
    blobs: list[Blob] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    callbacks: list[Callback] = field(default_factory=list)
    events: dict[str, list[dict]] = field(default_factory=dict)  # by blob, each in the topic's order
    paid: dict[str, int] = field(default_factory=dict)  # DetectLabels calls answered with labels, by blob
    faults: list[Fault] = field(default_factory=list)
    poison: dict[str, bool] = field(default_factory=dict)  # unreadable messages; whether Kafka took them for sure
    letters: Counter[str] = field(default_factory=Counter)  # what is in labelwire.dead


@dataclass(frozen=True)
class Violation:
    invariant: str
    blob: str
    text: str


def type_of(event: dict) -> str:
    return event["type"].removeprefix("labelwire.")


def time_of(event: dict) -> float:
    return datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()


def firsts(events: list[dict]) -> list[dict]:
    """The events without repetitions, as they first came."""
    seen: dict[int, dict] = {}
    for event in events:
        seen.setdefault(event["data"]["seq"], event)
    return list(seen.values())


def ended(events: list[dict], uploaded: str = "maybe") -> bool:
    """Whether a blob with these events has its outcome; one that was uploaded for sure waits for more than "absent"."""
    if not events:
        return False
    last = max(events, key=lambda event: event["data"]["seq"])
    return last["data"]["phase"] in OVER and not (uploaded == "yes" and last["data"]["status"] == "upload-timed-out")


def timeline(history: History, blob_id: str) -> list[str]:
    """What is known of a blob, a line each, for a person."""
    lines = [(time_of(event), "event {seq} gen {gen} {phase} {status}".format(**event["data"]) + f" {type_of(event)}")
             for event in history.events.get(blob_id, [])]
    for blob in history.blobs:
        if blob.id == blob_id:
            lines.append((blob.at, f"created, {blob.kind}, uploaded: {blob.uploaded}"))
            lines += [(c.at, f"callback answered {c.status}") for c in history.callbacks if c.path == blob.path]
    lines += [line for fault in history.faults for line in (
        (fault.begin, f"-- {fault.kind} {fault.target}"), (fault.end, f"-- {fault.target} is back"))]
    return [f"{datetime.fromtimestamp(at).isoformat(timespec='milliseconds')[11:]} {text}"
            for at, text in sorted(lines)]


def check(history: History) -> list[Violation]:
    """Every violation found."""
    found = []
    for blob_id, events in history.events.items():
        found += [Violation(invariant, blob_id, text) for invariant, text in check_events(events)]
    callbacks: dict[str, list[Callback]] = {}
    for callback in history.callbacks:
        callbacks.setdefault(callback.path, []).append(callback)
    for blob in history.blobs:
        got = callbacks.get(blob.path, []) if blob.path else []
        events = history.events.get(blob.id, [])
        for invariant, text in (*check_outcome(blob, events, got), *check_bodies(blob, got),
                                *check_duplicates(blob, events, got, history)):
            found.append(Violation(invariant, blob.id, text))
    found += [Violation("I14", "", f"{text} never came to labelwire.dead")
              for text, sure in history.poison.items() if sure and not history.letters[text]]
    found += [Violation("I14", "", f"{text} is in labelwire.dead") for text in history.letters
              if text not in history.poison]
    for request in history.requests:
        problem = request_problem(request, history.faults)
        if problem:
            found.append(Violation("I7", "", f"{request.what} at {request.gateway}: {problem}"))
    return found


def check_events(events: list[dict]):
    """I2 and I3 of one blob."""
    before, phase, gen = 0, "", 1
    seen: dict[int, dict] = {}
    outcomes: Counter[int] = Counter()
    for event in events:
        data, kind = event["data"], type_of(event)
        seq = data["seq"]
        if seq in seen:
            if event != seen[seq]:
                yield "I3", f"two events have seq {seq}: {type_of(seen[seq])} and {kind}"
            continue
        seen[seq] = event
        if seq != before + 1:
            yield "I3", f"seq {seq} ({kind}) came after {before}"
        before = seq
        begin, to = LEGAL.get(kind, ("", ""))
        if not to:
            yield "I3", f"unknown transition {kind}"
        elif (begin != "*" and phase not in begin.split() and phase != begin) or data["phase"] not in to.split():
            yield "I3", f"{kind} led from {phase or 'nothing'} to {data['phase']}"
        if data["gen"] != gen + (kind in BEGINS_GENERATION):
            yield "I3", f"{kind} changed the generation from {gen} to {data['gen']}"
        phase, gen = data["phase"], data["gen"]
        if kind in OUTCOMES:
            outcomes[gen] += 1
        if data["status"] not in STATUSES.get(kind, {data["status"]}):
            yield "I2", f"{kind} says {data['status']}"
    yield from (("I2", f"generation {n} has {times} outcomes") for n, times in outcomes.items() if times > 1)


def check_outcome(blob: Blob, events: list[dict], got: list[Callback]):
    """I1 and I4 of one blob."""
    if not ended(events, blob.uploaded):
        last = firsts(events)[-1]["data"] if events else {"phase": "no event", "status": "none"}
        yield "I1", f"no outcome: {last['phase']}, {last['status']}"
        return
    happened = [type_of(event) for event in firsts(events)]
    outcome = [kind for kind in happened if kind in OUTCOMES][-1:]
    wanted = {"upload.timed_out"} if blob.uploaded != "yes" else set()
    if blob.uploaded != "no":
        wanted.add("recognition.failed" if blob.kind in ("invalid", "small") else "labels.saved")
    if happened.count("recognition.lease_ended") >= DEATHS:
        wanted.add("recognition.failed")
    if not set(outcome) & wanted:
        yield "I1", f"ended with {outcome}, not with {sorted(wanted)}"
    if not blob.path or outcome == ["upload.timed_out"]:
        return
    answers = Counter(callback.status for callback in got)
    if "delivery.done" in happened and not answers[204]:
        yield "I4", f"delivered, but the receiver answered {dict(answers)}"
    elif "delivery.gave_up" in happened and not answers[410] and happened.count("delivery.lease_ended") < DEATHS:
        yield "I4", f"given up, but the receiver answered {dict(answers)}"
    elif not {"delivery.done", "delivery.gave_up"} & set(happened):
        yield "I4", f"over without delivery; the receiver answered {dict(answers)}"


def check_duplicates(blob: Blob, events: list[dict], got: list[Callback], history: History):
    """I5 of one blob."""
    accepted = sum(callback.status == 204 for callback in got)
    for count, what, targets in ((accepted, "accepted callbacks", TOUCHES_CALLBACK),
                                 (history.paid.get(blob.id, 0), "paid calls", TOUCHES_CALL)):
        bound = 1 + len(touching(blob, events, history.faults, targets))
        if count > bound:
            yield "I5", f"{count} {what}, at most {bound} are explained by faults"


def touching(blob: Blob, events: list[dict], faults: list[Fault], targets: tuple[str, ...]) -> list[Fault]:
    """The faults of these targets that were on during the blob's life."""
    end = max((time_of(event) for event in events if event["data"]["phase"] != "erasing"), default=blob.at)
    return [fault for fault in faults if fault.hits(targets) and fault.touches(blob.at, end)]


def check_bodies(blob: Blob, got: list[Callback]):
    """I6 of one blob."""
    bodies = {callback.body for callback in got}
    if len(bodies) > 1:
        yield "I6", f"callbacks differ: {sorted(bodies)}"
    for body in bodies:
        text = json.loads(body)
        if text.get("payload", text).get("blob_id") != blob.id:
            yield "I6", f"a callback for another blob: {body!r}"
        if blob.last_get and blob.last_get[1] != body:
            yield "I6", f"the callback said {body!r}, GET {blob.last_get[1]!r}"


def excused(request: Request, faults: list[Fault]) -> bool:
    """Whether its gateway was hit itself."""
    return any(fault.target == request.gateway and fault.touches(request.at, request.at + request.took)
               for fault in faults)


def request_problem(request: Request, faults: list[Fault]) -> str:
    """I7 of one request: what is wrong with it, or ""."""
    on = [fault for fault in faults if fault.touches(request.at, request.at + request.took)]
    if excused(request, on):
        return ""
    limit = REQUEST_LIMIT_FAULT if on else REQUEST_LIMIT
    if not request.status:
        return f"no whole answer: {request.problem}"
    if request.took > limit:
        return f"{request.status} after {request.took:.2f} s"
    if request.status >= 500 and (request.status != 503 or not request.retry_after):
        return f"answered {request.status}, Retry-After: {request.retry_after}"
    return ""
