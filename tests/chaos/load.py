"""The owners of blobs: create and upload at a steady rate, receive callbacks, write down what they saw."""
import http.client
import itertools
import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from check import Blob, Callback, Request
from client import Receiver, call, png

API_PATIENCE = 5.0  # seconds for an answer of the gateway; longer than any limit of the checker
WINDOW = 6.0  # seconds that the upload URL is good, as stacks.SETTINGS says
GRACE = 1.0  # and until the bucket is looked at

# What owners do, and how many of them in 100.
KINDS = {
    "plain": 80,  # a picture, a callback
    "quiet": 5,  # a picture, no callback
    "absent": 3,  # nothing is uploaded
    "invalid": 3,  # no picture
    "small": 3,  # a picture under 80 px
    "flaky": 3,  # the receiver answers 500 once
    "gone": 3,  # the receiver answers 410
}
SLOW = ("absent", "flaky")  # take seconds by themselves
PICTURES = [png(80 + n, 100) for n in range(16)]
CONTENT = {"invalid": b"this is not a picture\n" * 40, "small": png(79, 300)}


class Hooks(Receiver):
    """The receivers of all callbacks; the path says how each behaves. They take their time, so that faults hit."""

    def __init__(self):
        super().__init__()
        self.log: list[Callback] = []
        self.asked: set[str] = set()
        self.lock = threading.Lock()

    def answer(self, path, body):
        _, number, kind = path.split("/")
        threading.Event().wait(int(number, 16) % 300 / 1000)
        with self.lock:
            first = path not in self.asked
            self.asked.add(path)
            status = 410 if kind == "gone" else 500 if kind == "flaky" and first else 204
            self.log.append(Callback(time.time(), path, body, status))
        return status

    def take(self):
        """The log so far, which begins anew."""
        with self.lock:
            log, self.log = self.log, []
        return log


class Load:
    """Creates blobs at a rate until it is stopped; `blobs` and `requests` are its log.

    gateways  (name of the process, URL) of each, asked in turn
    weights   as KINDS
    slow      whether blobs that take seconds by themselves may still be created
    """

    def __init__(self, gateways, hooks, rate, seed, weights=None):
        self.gateways = itertools.cycle(gateways)
        self.hooks, self.rate = hooks, rate
        self.weights = weights or KINDS
        self.dice = random.Random(seed)
        self.blobs: list[Blob] = []
        self.requests: list[Request] = []
        self.unknown = self.refused = 0  # POSTs without a whole answer, and those answered 503
        self.slow = True
        self.stopping = threading.Event()
        self.pool = ThreadPoolExecutor(96)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self):
        """Ends the load and waits until the last upload was tried."""
        self.stopping.set()
        self.thread.join()
        self.pool.shutdown()

    def _run(self):
        due = time.monotonic()
        while not self.stopping.is_set():
            kind, = self.dice.choices(list(self.weights), list(self.weights.values()))
            if not self.slow and kind in SLOW:
                kind = "plain"
            self.pool.submit(self._one, next(self.gateways), kind, self.dice.randrange(1 << 48))
            due += 1 / self.rate
            self.stopping.wait(max(0, due - time.monotonic()))

    def ask(self, gateway, method, path, body=None):
        """One request to the API, written down; None without a whole answer."""
        name, url = gateway
        entry = Request(time.time(), 0, name, f"{method} {path}")
        begun, answer = time.monotonic(), None
        try:
            answer = call(url + path, method, body, timeout=API_PATIENCE)
            entry.status, entry.retry_after = answer.status, "Retry-After" in answer.headers
            json.loads(answer.body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            entry.status, entry.problem, answer = 0, repr(error), None
        entry.took = time.monotonic() - begun
        self.requests.append(entry)
        return answer

    def _one(self, gateway, kind, number):
        path = "" if kind == "quiet" else f"/{number:012x}/{kind}"
        body = json.dumps({"callback_url": self.hooks.url(path)} if path else {})
        answer = self.ask(gateway, "POST", "/blobs", body)
        if answer is None:
            self.unknown += 1
        elif answer.status == 503:
            self.refused += 1
        elif answer.status == 201:
            # It counts as open before its upload is tried: the upload may take as long as its URL is good.
            blob = Blob(answer.json["blob_id"], kind, time.time(), path, "maybe")
            self.blobs.append(blob)
            content = CONTENT.get(kind, PICTURES[number % len(PICTURES)])
            blob.uploaded = "no" if kind == "absent" else upload(answer.json["upload_url"], content)
            self.ask(gateway, "GET", f"/blobs/{blob.id}")


def upload(url, content):
    """Tries as long as the URL is good: "yes", "no", or "maybe" if nobody can know, or it came late."""
    begun, lost = time.monotonic(), False
    while time.monotonic() < begun + WINDOW:
        try:
            answer = call(url, "PUT", content, timeout=WINDOW)
            if answer.status == 200:
                return "yes" if time.monotonic() < begun + WINDOW + GRACE / 2 else "maybe"
            lost |= answer.status >= 500
        except ConnectionRefusedError:
            pass
        except (OSError, http.client.HTTPException):
            lost = True
        threading.Event().wait(0.1)
    return "maybe" if lost else "no"
