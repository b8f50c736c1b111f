"""What the end-to-end tests do as a client of the system would, and the receiver of callbacks."""
import http.client
import http.server
import json
import subprocess
import threading
import time
import urllib.parse
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PHOTO = (ROOT / "deploy/local/demo.jpg").read_bytes()
FINAL = {"success", "upload-timed-out", "invalid-blob-has-been-uploaded", "too-large-blob-has-been-uploaded",
         "failed-due-to-callback-failure", "failed-due-to-callback-time-out",
         "failed-due-to-callback-connection", "unexpected-error"}


def wait_for(what, condition, seconds=20.0):
    """The first truthy result of condition(); fails, naming what was waited for, after some seconds."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        threading.Event().wait(0.05)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


def call(url, method="GET", body=None, headers=None, timeout=10):
    """One HTTP request, without retries, proxies or redirects."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body=body, headers=headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


class Client:
    """Talks to a gateway of a stack."""

    def __init__(self, stack, gateway="gateway"):
        self.stack = stack
        self.url = stack.urls[gateway]

    def create(self, callback_url=None, **more):
        fields = dict(more)
        if callback_url is not None:
            fields["callback_url"] = callback_url
        answer = call(f"{self.url}/blobs", "POST", json.dumps(fields), {"Content-Type": "application/json"})
        assert answer.status == 201, (answer.status, answer.body)
        return answer.json

    def get(self, blob_id):
        return call(f"{self.url}/blobs/{blob_id}")

    def prompt(self, blob_id):
        """The promise that holds whatever happens behind the gateway: POST and GET answer within a second."""
        for method, path, statuses in (("POST", "/blobs", {201}), ("GET", f"/blobs/{blob_id}", {200, 404})):
            begun = time.monotonic()
            answer = call(self.url + path, method, b"" if method == "POST" else None)
            assert answer.status in statuses, (method, answer.status, answer.body)
            assert time.monotonic() - begun < 1, f"{method} took {time.monotonic() - begun:.1f} s"

    def upload(self, created, content=PHOTO):
        answer = call(created["upload_url"], "PUT", content, timeout=30)
        assert answer.status == 200, (answer.status, answer.body)

    def label(self, content=PHOTO, callback_url=None):
        """Creates, uploads and waits for the end; returns the blob id and GET's last answer."""
        created = self.create(callback_url)
        self.upload(created, content)
        return created["blob_id"], self.ended(created["blob_id"])

    def status(self, blob_id):
        """The status of a blob: GET's answer does not tell it once labels are there, the record does."""
        answer = self.get(blob_id)
        return "labels" if answer.status == 200 else answer.json["payload"]["status"]

    def ended(self, blob_id, seconds=30):
        """GET's answer once labels are there or the status is final."""
        def look():
            answer = self.get(blob_id)
            done = answer.status == 200 or answer.json["payload"]["status"] in FINAL
            return answer if done else None
        return wait_for(f"end of {blob_id}", look, seconds)

    def events(self, blob_id=None):
        """All that labelwire.events holds, in order, or what it holds of one blob."""
        lines = kcat(self.stack, "-C", "-t", "labelwire.events", "-e", "-q").splitlines()
        events = [json.loads(line) for line in lines]
        return [event for event in events if blob_id in (None, event["subject"])]

    def event_types(self, blob_id):
        return [event["type"].removeprefix("labelwire.") for event in self.events(blob_id)]

    def last_status(self, blob_id):
        """The flat status in the blob's last event."""
        events = self.events(blob_id)
        return events[-1]["data"]["status"] if events else None

    def record(self, blob_id):
        """The record as Redis holds it."""
        for shard in range(int(self.stack.settings.get("LW_SHARDS", 1))):
            words = redis(self.stack, "HGETALL", f"lw:{{{shard}}}:blob:{blob_id}").splitlines()
            if len(words) > 1:
                return dict(zip(words[::2], words[1::2]))
        return {}


def kcat(stack, *arguments, feed=None):
    done = subprocess.run(["kcat", "-b", stack.urls["kafka"], *arguments], input=feed, text=True, check=True,
                          errors="replace", capture_output=True, timeout=30)
    return done.stdout


def redis(stack, *words):
    done = subprocess.run(["redis-cli", "-p", str(stack.ports["redis"]), *words], text=True, check=True,
                          capture_output=True, timeout=10)
    return done.stdout


def metric(stack, service, name):
    """The sum of a metric over its labels."""
    lines = call(stack.urls[service] + "/metrics").body.decode().splitlines()
    values = [float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name]
    assert values, f"{service} has no metric {name}"
    return sum(values)


def log_lines(stack, service, event):
    """The lines of a service's log that tell of an event."""
    lines = stack.log_path(service).read_text(errors="replace").splitlines()
    return [json.loads(line) for line in lines if f'"event":"{event}"' in line]


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # the library's 5 lets connections of a burst wait until they time out


class Receiver:
    """A callback URL: remembers what it got and answers as told, 204 by default."""

    def __init__(self):
        self.got, self.status, self.headers = [], 204, {}
        self.hold = threading.Event()
        self.hold.set()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.path, dict(self.headers), body))
                receiver.hold.wait(30)
                self.send_response(receiver.answer(self.path, body))
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, path, body):
        """The status to answer with."""
        return self.status

    def url(self, path="/hook"):
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def of(self, path):
        return [entry for entry in self.got if entry[0] == path]

    def close(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()


def png(width, height, noise=0):
    """A PNG of one colour, or, with noise bytes, one that is at least so large."""
    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    rows = zlib.compress((b"\0" + b"\x30\x60\xc0" * width) * height, 9)
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    filler = chunk(b"teXt", b"\0" * noise) if noise else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + filler + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
