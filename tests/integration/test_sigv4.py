"""Signs thousands of hostile requests with botocore and with common/aws/sigv4.c: every canonical
request and every signature must be the same.

The C side is build/<flavour>/tools/sigv4_sign (`make tools`; folder from $BUILD_DIR, default
build/dev), called once for each batch.  Random, but seeded: a failure repeats itself.
"""

import datetime
import hashlib
import json
import os
import pathlib
import random
import string
import subprocess
import urllib.parse

import boto3
import botocore.auth
import botocore.config
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / os.environ.get("BUILD_DIR", "build/dev") / "tools" / "sigv4_sign"

SAFE = string.ascii_letters + string.digits + "-._~"
HOSTILE = [
    " ", "  ", "%", "%2F", "%41", "+", "//", "/./", "/../", "..", ".", "=", "&", "?", "#", "(", ")",
    "*", "'", '"', "!", ":", "@", ";", ",", "<", ">", "[", "]", "{", "}", "|", "\\", "^", "`", "$",
    "~", "\t", "\n", "\r", "\x01", "\x7f", "é", "ü", "日本", "語", "😀", "\u00a0", "\u2028", "e\u0301",
]  # fmt: skip
HEADER_NAMES = [
    "Range", "If-None-Match", "Content-Type", "x-amz-meta-a", "X-Amz-Meta-A-b", "x-amz-meta-a1",
    "X-AMZ-Storage-Class", "x-amz-acl", "Cache-Control", "x-amz-meta-a_b", "Content-MD5",
]  # fmt: skip
HEADER_VALUES = SAFE + "=+/,;:\"'()%é日😀"
HOSTS = [
    "https://examplebucket.s3.amazonaws.com", "https://s3.eu-west-1.amazonaws.com",
    "http://127.0.0.1:7070", "https://127.0.0.1:9443", "http://[::1]:7070",
    "https://MixedCase.example:443", "http://plain.example:80",
]  # fmt: skip
REGIONS = ["us-east-1", "eu-central-1", "ap-southeast-2"]


class Dice(random.Random):
    def text(self, most):
        parts = [
            self.choice(HOSTILE) if self.random() < 0.5 else self.choice(SAFE)
            for _ in range(self.randint(0, most))
        ]
        return "".join(parts)

    def query(self, most, repeats):
        names = [self.text(4) for _ in range(self.randint(0, most))]
        pairs = [(n, self.choice(["", self.text(6)])) for n in names]
        if repeats and pairs:
            pairs += [(self.choice(names), self.text(3)) for _ in range(self.randint(0, 3))]
        else:
            pairs = [(n, v) for n, v in dict(pairs).items() if n or v]
        self.shuffle(pairs)
        return pairs

    def headers(self):
        def value():
            words = ("".join(self.choices(HEADER_VALUES, k=self.randint(1, 6))) for _ in range(4))
            text = self.choice([" ", "   ", "\t", " \t "]).join(list(words)[: self.randint(0, 4)])
            return self.choice(["", " ", "\t "]) + text + self.choice(["", "  "])

        names = self.choices(HEADER_NAMES, k=self.randint(0, 6))  # some of them more than once
        return [(n, value()) for n in names]

    def credentials(self):
        token = "".join(self.choices(SAFE + "+/=", k=300)) if self.random() < 0.4 else None
        return Credentials(
            "AKIA" + "".join(self.choices(string.ascii_uppercase, k=16)),
            "".join(self.choices(SAFE + "+/=", k=self.choice([40, 60, 100]))),
            token,
        )

    def moment(self):
        start = datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)
        return start + datetime.timedelta(seconds=self.randrange(2**31))


def encode(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "~")


def sign(monkeypatch, auth, request, moment):
    """Signs with botocore at that moment; returns the canonical request it made."""
    seen = []
    make = auth.canonical_request
    auth.canonical_request = lambda rq: seen.append(make(rq)) or seen[-1]
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: moment)
    auth.add_auth(request)
    return seen[0]


def task(mode, method, path, query, headers, payload, moment, creds, region, service, **more):
    return {
        "mode": mode, "method": method, "path": path, "query": query, "headers": headers,
        "payload": payload, "time": moment.strftime("%Y%m%dT%H%M%SZ"),
        "access_key": creds.access_key, "secret_key": creds.secret_key,
        "token": creds.token or "", "region": region, "service": service, **more,
    }  # fmt: skip


def run(tasks):
    assert TOOL.exists(), f"{TOOL} is missing: run `make tools`"
    lines = "".join(json.dumps(t, ensure_ascii=False) + "\n" for t in tasks)
    done = subprocess.run([TOOL], input=lines.encode(), stdout=subprocess.PIPE, timeout=60)
    answers = [json.loads(line) for line in done.stdout.split(b"\n") if line]
    assert done.returncode == 0, [a for a in answers if "error" in a][:3]
    assert len(answers) == len(tasks)
    return answers


def sent_headers(request):
    """What botocore put on the request and signed, with the Host it worked out."""
    pairs = [(n, v) for n, v in request.headers.items() if n.lower() != "authorization"]
    return pairs + [("Host", botocore.auth._host_from_url(request.url))]


@pytest.mark.parametrize("seed", range(4))
def test_s3_headers(seed, monkeypatch):
    dice = Dice(f"headers {seed}")
    tasks, want = [], []
    for _ in range(750):
        creds, region, moment = dice.credentials(), dice.choice(REGIONS), dice.moment()
        key, query = "/" + dice.text(12), dice.query(5, repeats=True)
        method = dice.choice(["GET", "HEAD", "PUT", "DELETE"])
        url = dice.choice(HOSTS) + encode(key, "/")
        in_url = dice.random() < 0.5
        if in_url and query:
            url += "?" + "&".join(f"{encode(n)}={encode(v)}" for n, v in query)
        request = AWSRequest(method, url, data=dice.text(20).encode())
        request.params = {} if in_url else query
        for name, value in dice.headers():
            request.headers[name] = value
        if dice.random() < 0.5:
            request.context["client_config"] = botocore.config.Config(
                s3={"payload_signing_enabled": False}
            )
        canonical = sign(
            monkeypatch, botocore.auth.S3SigV4Auth(creds, "s3", region), request, moment
        )
        want.append((request.headers["Authorization"], canonical))
        payload = request.headers["X-Amz-Content-SHA256"]
        headers = sent_headers(request)
        tasks.append(
            task("header", method, key, query, headers, payload, moment, creds, region, "s3")
        )
    for answer, (authorization, canonical), asked in zip(run(tasks), want, tasks):
        assert answer["canonical"] == canonical, asked
        assert answer["authorization"] == authorization, asked


@pytest.mark.parametrize("seed", range(3))
def test_s3_presigned(seed, monkeypatch):
    dice = Dice(f"presigned {seed}")
    tasks, want = [], []
    for _ in range(750):
        creds, region, moment = dice.credentials(), dice.choice(REGIONS), dice.moment()
        # botocore keeps one value of a repeated name when it presigns, so names are unique here
        key, query = "/" + dice.text(12), dice.query(4, repeats=False)
        method, expires = dice.choice(["GET", "PUT"]), dice.randint(1, 604800)
        request = AWSRequest(method, dice.choice(HOSTS) + encode(key, "/"))
        request.params = dict(query)
        for name, value in dice.headers() if dice.random() < 0.3 else []:
            request.headers[name] = value
        headers = sent_headers(request)
        auth = botocore.auth.S3SigV4QueryAuth(creds, "s3", region, expires)
        canonical = sign(monkeypatch, auth, request, moment)
        want.append((request.url, canonical))
        tasks.append(
            task(
                "presign", method, key, query, headers, "UNSIGNED-PAYLOAD", moment, creds, region,
                "s3", expires=expires,
            )
        )  # fmt: skip
    for answer, (url, canonical), asked in zip(run(tasks), want, tasks):
        signed, _, signature = answer["query"].rpartition("&X-Amz-Signature=")
        assert answer["path"] == canonical.split("\n")[1], asked
        assert signed == canonical.split("\n")[2], asked
        assert signature == url.rpartition("&X-Amz-Signature=")[2], asked


def test_other_services(monkeypatch):
    """Rekognition and the like: at "/", body hashed; and paths that get normalised."""
    dice = Dice("others")
    tasks, want = [], []
    for _ in range(1000):
        creds, region, moment = dice.credentials(), dice.choice(REGIONS), dice.moment()
        service = dice.choice(["rekognition", "sqs", "sts", "kafka-cluster"])
        # no escapes: botocore would encode them a second time, we are never asked to
        segments = dice.choices(["", ".", "..", "a", "b-c", "d_e.f", "~g"], k=dice.randint(0, 8))
        path, body = "/" + "/".join(segments), dice.text(30).encode()
        request = AWSRequest("POST", f"https://{service}.{region}.amazonaws.com{path}", data=body)
        request.headers["X-Amz-Target"] = "RekognitionService.DetectLabels"
        request.headers["Content-Type"] = "application/x-amz-json-1.1"
        canonical = sign(
            monkeypatch, botocore.auth.SigV4Auth(creds, service, region), request, moment
        )
        want.append((request.headers["Authorization"], canonical))
        tasks.append(
            task(
                "header", "POST", path, [], sent_headers(request), hashlib.sha256(body).hexdigest(),
                moment, creds, region, service, normalize=True,
            )
        )  # fmt: skip
    for answer, (authorization, canonical), asked in zip(run(tasks), want, tasks):
        assert answer["canonical"] == canonical, asked
        assert answer["authorization"] == authorization, asked


def test_upload_links_of_boto3(monkeypatch):
    """Whole URLs as a user of boto3 gets them, path style, as against our local S3."""
    dice = Dice("links")
    creds, moment = Credentials("AKIDEXAMPLE", "secret/+=", None), dice.moment()
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: moment)
    s3 = boto3.client(
        "s3", endpoint_url="http://127.0.0.1:7070", region_name="us-east-1",
        aws_access_key_id=creds.access_key, aws_secret_access_key=creds.secret_key,
        config=botocore.config.Config(signature_version="s3v4"),
    )  # fmt: skip
    keys = ["blobs/x y+z.jpg", "a//b", "../up", "./here", "100%", "%2F"]
    keys += ["k" + dice.text(10) for _ in range(200)]
    tasks, want = [], []
    for key in keys:
        want.append(
            s3.generate_presigned_url(
                "put_object", Params={"Bucket": "labelwire", "Key": key}, ExpiresIn=300
            )
        )
        tasks.append(
            task(
                "presign", "PUT", "/labelwire/" + key, [], [("host", "127.0.0.1:7070")],
                "UNSIGNED-PAYLOAD", moment, creds, "us-east-1", "s3", expires=300,
            )
        )  # fmt: skip
    for answer, url, asked in zip(run(tasks), want, tasks):
        parts = urllib.parse.urlsplit(url)
        assert answer["path"] == parts.path, asked
        assert sorted(answer["query"].split("&")) == sorted(parts.query.split("&")), asked


def test_refusals():
    creds, moment = Credentials("A", "S", None), Dice(0).moment()
    base = ("PUT", "/k", [], [("host", "h")], "UNSIGNED-PAYLOAD", moment, creds, "r", "s3")
    answers = run(
        [
            task("presign", *base, expires=604800),
            task("presign", *base, expires=604801),
            task("presign", *base, expires=0),
            task("header", "GET", "/", [], [], "x", moment, creds, "r", "s3"),
            task("header", "GET", "/", [("a", "b")] * 65, [("host", "h")], "x", moment, creds,
                 "r", "s3"),
        ]
    )  # fmt: skip
    assert [a.get("error") for a in answers] == [
        None, "out of range", "out of range", "invalid", "too big",
    ]  # fmt: skip
