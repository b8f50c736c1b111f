"""The stand-in for Rekognition against a client that is not ours: boto3.

Starts rekognition-local ($LABELWIRE_BIN, default build/dev/bin) on a free port with a certificate
of its own, and a small S3 in this process for images that are named by their object.
"""

import email.utils
import http.server
import json
import os
import pathlib
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib

import boto3
import botocore.config
import botocore.exceptions
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / os.environ.get("LABELWIRE_BIN", "build/dev/bin")
JPEG = (ROOT / "tests/data/rekognition/gray.jpg").read_bytes()
KEYS = {"aws_access_key_id": "labelwire", "aws_secret_access_key": "labelwire-secret"}
START_S = 20


def png(width, height, red, green, blue):
    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    row = b"\0" + bytes((red, green, blue)) * width
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(row * height))
        + chunk(b"IEND", b"")
    )


BLUE = png(320, 200, 20, 60, 220)


class Store(http.server.BaseHTTPRequestHandler):
    """An S3 that holds what OBJECTS says and wants a signature."""

    OBJECTS = {
        "/labelwire/uploads/blue.png": BLUE,
        "/labelwire/a b+c/é.png": BLUE,
        "/labelwire/large.png": b"\x89PNG" + bytes(15 * 1024 * 1024),
        "/another-bucket/x.png": BLUE,
    }

    def do_GET(self):
        key = urllib.parse.unquote(self.path)
        scope = "/us-east-1/s3/aws4_request"
        allowed = scope in self.headers.get("Authorization", "")
        body = self.OBJECTS.get(key) if allowed else None
        status = 200 if body else 404 if allowed else 403
        if body is None:
            code = "NoSuchKey" if allowed else "AccessDenied"
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"0"')
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:
            pass  # it has read enough

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """The program under test."""

    def __init__(self, folder, s3_url, tls):
        self.folder = folder
        self.control = folder / "control.json"
        self.log = folder / "log"
        self.admin = f"127.0.0.1:{free_port()}"
        self.cert = folder / "cert.pem"
        self.scheme = "https" if tls else "http"
        env = {
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": KEYS["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": KEYS["aws_secret_access_key"],
            "AWS_REGION": "us-east-1",
            "LW_S3_ENDPOINT": s3_url,
            "LW_S3_BUCKET": "labelwire",
            "LW_LISTEN": "127.0.0.1:0",
            "LW_ADMIN_LISTEN": self.admin,
            "LW_REKOGNITION_CONTROL": str(self.control),
        }
        env |= {k: v for k, v in os.environ.items() if k in ("LD_LIBRARY_PATH", "ASAN_OPTIONS")}
        if tls:
            env["LW_TLS_CERT"] = str(folder / "both.pem")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [BIN / "rekognition-local"], env=env, stdout=log, stderr=log
            )

    def events(self, name=None):
        lines = self.log.read_text().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [e for e in events if name in (None, e["event"])]

    def wait(self):
        """True when it listens; False when it has left."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            listening = self.events("rekognition.listening")
            if listening and self.events("service.started"):
                self.url = f"{self.scheme}://127.0.0.1:{listening[0]['port']}"
                return True
            try:
                self.process.wait(0.02)
                return False
            except subprocess.TimeoutExpired:
                pass
        raise AssertionError("not started: " + self.log.read_text())

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def tell(self, **control):
        part = self.folder / "control.part"
        part.write_text(json.dumps(control))
        part.rename(self.control)

    def client(self, *, keys=KEYS, region="us-east-1", read_timeout=30, control=None):
        config = botocore.config.Config(
            retries={"total_max_attempts": 1},
            read_timeout=read_timeout,
            connect_timeout=5,
            proxies={},
        )
        client = boto3.client(
            "rekognition",
            endpoint_url=self.url,
            region_name=region,
            verify=str(self.cert),
            config=config,
            **keys,
        )
        if control is not None:
            text = json.dumps(control)

            def add(request, **_):
                request.headers["X-Labelwire-Control"] = text

            client.meta.events.register("before-sign.rekognition.DetectLabels", add)
        return client

    def post(self, headers, body=b"{}"):
        """A request without boto3: status, exception, message."""
        context = ssl.create_default_context(cafile=str(self.cert)) if "https" in self.url else None
        request = urllib.request.Request(self.url + "/", data=body, headers=headers)
        handlers = [urllib.request.ProxyHandler({})]
        if context:
            handlers.append(urllib.request.HTTPSHandler(context=context))
        try:
            urllib.request.build_opener(*handlers).open(request, timeout=10)
        except urllib.error.HTTPError as refused:
            answer = json.loads(refused.read())
            assert refused.headers["x-amzn-RequestId"]
            assert answer["__type"] == answer["Code"]
            return refused.code, answer["__type"], answer["Message"]
        raise AssertionError("not refused")

    def metrics(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        text = opener.open(f"http://{self.admin}/metrics", timeout=10).read().decode()
        name = "labelwire_rekognition_local_calls_total"
        rows = [line for line in text.splitlines() if line.startswith(name + "{")]
        return {row.split('"')[1]: int(row.split()[-1]) for row in rows}


def make_certificate(folder):
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=rekognition-local",
            "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    both = (folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes()
    (folder / "both.pem").write_bytes(both)


@pytest.fixture(scope="module")
def store():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def start(folder, store):
    """With TLS; without where the installed civetweb cannot (then it says so and leaves)."""
    make_certificate(folder)
    server = Server(folder, store, tls=True)
    if not server.wait():
        assert server.process.returncode == 2
        assert "libssl.so" in server.events("service.failed")[0]["detail"]
        server = Server(folder, store, tls=False)
        assert server.wait(), server.log.read_text()
    return server


@pytest.fixture(scope="module")
def running(store, tmp_path_factory):
    server = start(tmp_path_factory.mktemp("rekognition"), store)
    try:
        yield server
    finally:
        code = server.stop()
    assert code == 0, server.log.read_text()
    assert "Sanitizer" not in server.log.read_text()


@pytest.fixture
def server(running):
    yield running
    running.control.unlink(missing_ok=True)


def refused(client, **ask):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.detect_labels(**ask)
    answer = caught.value.response
    assert answer["ResponseMetadata"]["RequestId"]
    return (
        answer["ResponseMetadata"]["HTTPStatusCode"],
        answer["Error"]["Code"],
        answer["Error"]["Message"],
    )


# ---- labels


def test_labels_of_a_picture(server):
    answer = server.client().detect_labels(Image={"Bytes": BLUE})
    labels = answer["Labels"]
    names = [label["Name"] for label in labels]
    assert {"Blue", "Color", "Solid Color", "Landscape Orientation", "Smooth"} <= set(names)
    assert 8 <= len(names) == len(set(names)) <= 20
    assert answer["LabelModelVersion"] == "3.0-local"
    confidence = {label["Name"]: label["Confidence"] for label in labels}
    assert list(confidence.values()) == sorted(confidence.values(), reverse=True)
    assert all(55 <= c <= 100 for c in confidence.values())
    for label in labels:
        assert label["Instances"] == [] and label["Aliases"] == []
        assert label["Categories"] == [{"Name": "Colors and Visual Composition"}]
        for parent in label["Parents"]:
            assert confidence[parent["Name"]] >= label["Confidence"]
    again = server.client().detect_labels(Image={"Bytes": BLUE})
    assert again["Labels"] == labels


def test_jpeg_and_limits(server):
    client = server.client()
    whole = client.detect_labels(Image={"Bytes": JPEG}, MinConfidence=0)["Labels"]
    assert "Grayscale" in [label["Name"] for label in whole]
    few = client.detect_labels(Image={"Bytes": JPEG}, MaxLabels=3)["Labels"]
    assert few == whole[:3]
    assert client.detect_labels(Image={"Bytes": JPEG}, MaxLabels=0)["Labels"] == []
    sure = client.detect_labels(Image={"Bytes": JPEG}, MinConfidence=95.5)["Labels"]
    assert sure == [label for label in whole if label["Confidence"] >= 95.5]
    assert 0 < len(sure) < len(whole)


def test_image_properties(server):
    answer = server.client().detect_labels(
        Image={"Bytes": BLUE},
        Features=["IMAGE_PROPERTIES"],
        Settings={"ImageProperties": {"MaxDominantColors": 1}},
    )
    assert "Labels" not in answer
    (color,) = answer["ImageProperties"]["DominantColors"]
    assert (color["Red"], color["Green"], color["Blue"]) == (20, 60, 220)
    assert color["SimplifiedColor"] == "blue" and color["PixelPercent"] == 100
    assert 0 < answer["ImageProperties"]["Quality"]["Brightness"] < 100


def test_named_objects(server):
    client = server.client()
    by_bytes = client.detect_labels(Image={"Bytes": BLUE})["Labels"]
    for bucket, name in [
        ("labelwire", "uploads/blue.png"),
        ("labelwire", "a b+c/é.png"),
        ("another-bucket", "x.png"),
    ]:
        image = {"S3Object": {"Bucket": bucket, "Name": name}}
        assert client.detect_labels(Image=image)["Labels"] == by_bytes


# ---- refusals


@pytest.mark.parametrize(
    "image, code, part",
    [
        (b"this is a text that was named cat.jpg", "InvalidImageFormatException", "format"),
        (b"GIF89a" + bytes(100), "InvalidImageFormatException", "format"),
        (JPEG[: len(JPEG) // 2], "InvalidImageFormatException", "format"),
        (BLUE[:-20], "InvalidImageFormatException", "format"),
        (b"", "ValidationException", "greater than or equal to 1"),
        (bytes(5242881), "ValidationException", "less than or equal to 5242880"),
        (bytes(5242880), "InvalidImageFormatException", "format"),
        (png(79, 200, 1, 2, 3), "InvalidParameterException", "Invalid Parameters"),
        (png(10001, 100, 1, 2, 3), "ImageTooLargeException", "10001 x 100"),
    ],
    ids=["text", "gif", "half-jpeg", "cut-png", "empty", "5MiB+1", "5MiB", "79px", "10001px"],
)
def test_images_refused(server, image, code, part):
    status, got, message = refused(server.client(), Image={"Bytes": image})
    assert (status, got) == (400, code) and part in message


def test_objects_refused(server):
    client = server.client()

    def ask(bucket, name, **more):
        return refused(client, Image={"S3Object": {"Bucket": bucket, "Name": name, **more}})[:2]

    missing = (400, "InvalidS3ObjectException")
    assert ask("labelwire", "uploads/nothing.png") == missing
    assert ask("not-a-bucket", "x.png") == missing
    assert ask("BAD_BUCKET", "x.png") == missing
    assert ask("labelwire", "large.png") == (400, "ImageTooLargeException")
    assert ask("labelwire", "uploads/blue.png", Version="3") == (400, "InvalidParameterException")


def test_parameters_refused(server):
    client = server.client()
    assert refused(client, Image={})[1] == "InvalidParameterException"
    assert refused(client, Image={"Bytes": BLUE}, Features=["FACES"])[1] == "ValidationException"
    assert refused(client, Image={"Bytes": BLUE}, MinConfidence=101)[1] == "ValidationException"


def test_signatures_refused(server):
    wrong = KEYS | {"aws_secret_access_key": "another"}
    unknown = KEYS | {"aws_access_key_id": "another"}
    image = {"Bytes": BLUE}
    status, code, message = refused(server.client(keys=wrong), Image=image)
    assert (status, code) == (400, "InvalidSignatureException") and "does not match" in message
    status, code, _ = refused(server.client(keys=unknown), Image=image)
    assert (status, code) == (400, "UnrecognizedClientException")
    token = KEYS | {"aws_session_token": "x"}
    assert refused(server.client(keys=token), Image=image)[1] == "UnrecognizedClientException"
    region = server.client(region="eu-west-1")
    assert refused(region, Image=image)[1] == "InvalidSignatureException"


def test_old_signatures_refused(server):
    client = server.client()

    def send_old(request, **_):
        request.context["timestamp"] = "20200101T000000Z"
        request.headers["X-Amz-Date"] = "20200101T000000Z"

    client.meta.events.register("before-send.rekognition.DetectLabels", send_old)
    status, code, _ = refused(client, Image={"Bytes": BLUE})
    assert (status, code) == (400, "InvalidSignatureException")


def test_requests_that_no_sdk_sends(server):
    json_11 = {"Content-Type": "application/x-amz-json-1.1"}
    target = {"X-Amz-Target": "RekognitionService.DetectLabels"}
    assert server.post(json_11)[:2] == (400, "UnknownOperationException")
    faces = {"X-Amz-Target": "RekognitionService.DetectFaces"}
    assert server.post(json_11 | faces)[:2] == (400, "UnknownOperationException")
    assert server.post({"Content-Type": "text/plain"} | target)[1] == "UnknownOperationException"
    assert server.post(json_11 | target)[:2] == (400, "MissingAuthenticationTokenException")
    broken = {"Authorization": "AWS4-HMAC-SHA256 nonsense"}
    assert server.post(json_11 | target | broken)[1] == "IncompleteSignatureException"


# ---- control


def test_throttled_by_header(server):
    client = server.client(control={"mode": "throttle"})
    status, code, message = refused(client, Image={"Bytes": BLUE})
    assert (status, code) == (400, "ThrottlingException") and "Slow down" in message
    assert server.client().detect_labels(Image={"Bytes": BLUE})["Labels"]


def test_throttled_by_file_so_many_times(server):
    client = server.client()
    server.tell(mode="throttle", count=2, error="ProvisionedThroughputExceededException")
    for _ in range(2):
        assert refused(client, Image={"Bytes": BLUE})[1] == "ProvisionedThroughputExceededException"
    assert client.detect_labels(Image={"Bytes": BLUE})["Labels"]


def test_other_modes(server):
    image = {"Bytes": BLUE}
    cats = [{"Name": "Cat", "Confidence": 99.5, "Parents": [{"Name": "Animal"}]}]
    answer = server.client(control={"mode": "labels", "labels": cats}).detect_labels(Image=image)
    assert answer["Labels"] == cats
    failing = server.client(control={"mode": "fail"})
    assert refused(failing, Image=image)[:2] == (500, "InternalServerError")
    denied = {"mode": "fail", "error": "AccessDeniedException", "message": "not you"}
    assert refused(server.client(control=denied), Image=image) == (
        400,
        "AccessDeniedException",
        "not you",
    )
    half = {"mode": "body", "body": '{"Labels":['}  # which boto3 takes for an empty answer
    assert "Labels" not in server.client(control=half).detect_labels(Image=image)
    assert refused(server.client(control={"mode": "slow"}), Image=image)[1] == "ValidationException"


def test_broken_control_file_is_ignored(server):
    before = len(server.events("control.refused"))
    server.control.write_text("{throttle}")
    assert server.client().detect_labels(Image={"Bytes": BLUE})["Labels"]
    warnings = server.events("control.refused")
    assert len(warnings) == before + 1 and "not JSON" in warnings[-1]["why"]


def test_delay_and_stall(server):
    started = time.monotonic()
    slow = server.client(control={"delay_ms": 400})
    assert slow.detect_labels(Image={"Bytes": BLUE})["Labels"]
    assert time.monotonic() - started >= 0.4
    stalled = server.client(control={"mode": "stall", "delay_ms": 3000}, read_timeout=0.5)
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        stalled.detect_labels(Image={"Bytes": BLUE})


def test_calls_are_counted_and_logged(server):
    before = server.metrics()
    server.client().detect_labels(Image={"Bytes": BLUE})
    refused(server.client(), Image={"Bytes": b"x"})
    refused(server.client(control={"mode": "throttle"}), Image={"Bytes": BLUE})
    after = server.metrics()
    assert {name: after[name] - before[name] for name in after} == {
        "answered": 1,
        "refused": 1,
        "controlled": 1,
    }
    answered, bad, throttled = server.events("detect.called")[-3:]
    assert (answered["type"], answered["bytes"], answered["width"]) == ("image/png", len(BLUE), 320)
    assert answered["labels"] > 0 and answered["took_ms"] >= 0
    assert (answered["status"], answered["error"]) == (200, "")
    assert (bad["status"], bad["error"]) == (400, "InvalidImageFormatException")
    assert (throttled["status"], throttled["error"]) == (400, "ThrottlingException")
    assert KEYS["aws_secret_access_key"] not in server.log.read_text()


def test_its_clock_can_be_wrong(server):
    server.tell(skew_ms=-1200000)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        server.client().detect_labels(Image={"Bytes": BLUE})
    assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"
    assert "Signature not yet current" in caught.value.response["Error"]["Message"]
    date = caught.value.response["ResponseMetadata"]["HTTPHeaders"]["date"]
    shown = email.utils.parsedate_to_datetime(date).timestamp()
    assert -1210 < shown - time.time() < -1190


def test_quota_and_expired_token(server):
    server.tell(quota=2, expired_token="old")
    client = server.client()
    for _ in range(2):
        client.detect_labels(Image={"Bytes": BLUE})
    code = "ProvisionedThroughputExceededException"
    assert refused(client, Image={"Bytes": BLUE})[1:] == (code, "Provisioned Rate exceeded")
    token = KEYS | {"aws_session_token": "old"}
    assert refused(server.client(keys=token), Image={"Bytes": BLUE})[1] == "ExpiredTokenException"
    server.tell(expired_token=KEYS["aws_access_key_id"])
    assert refused(client, Image={"Bytes": BLUE})[1] == "ExpiredTokenException"


def test_many_at_once(server):
    failures = []

    def work():
        try:
            client = server.client()
            for _ in range(4):
                assert client.detect_labels(Image={"Bytes": BLUE}, MaxLabels=1)["Labels"]
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_stops_while_it_stalls(store, tmp_path):
    server = start(tmp_path, store)
    try:
        client = server.client(control={"mode": "stall"})
        answers = []
        thread = threading.Thread(
            target=lambda: answers.append(client.detect_labels(Image={"Bytes": BLUE}))
        )
        thread.start()
        deadline = time.monotonic() + START_S
        while not server.events("detect.held") and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 15
        thread.join()
        assert answers[0]["Labels"]
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def test_bad_configuration_is_told_at_once(tmp_path):
    env = {"PATH": os.environ["PATH"], "LW_LISTN": "x", "LW_S3_ENDPOINT": "not a url"}
    done = subprocess.run(
        [BIN / "rekognition-local", "--check-config"], env=env, capture_output=True, text=True,
        timeout=30,
    )  # fmt: skip
    assert done.returncode == 2
    for part in ("LW_LISTN", "LW_LISTEN", "LW_S3_ENDPOINT", "AWS_REGION"):
        assert part in done.stderr
