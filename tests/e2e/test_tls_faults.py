"""The TLS of S3 and Rekognition is wrong: the log says what to do, everything waits and ends well."""
import subprocess

import faults
import pytest
from client import Client, log_lines, wait_for
from stacks import make_stack, sound

HOLD = 15  # seconds until a timer whose look failed falls due again
AUTHORITY = """\
[ca]
default_ca = this
[this]
database = index.txt
new_certs_dir = .
serial = serial
default_md = sha256
policy = policy
copy_extensions = copy
unique_subject = no
[policy]
commonName = supplied
"""
NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Authority:
    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        (folder / "index.txt").touch()
        (folder / "ca.conf").write_text(AUTHORITY)
        self.run("req", "-x509", *NEW_KEY, "-subj", "/CN=Test CA", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem",
                 "-addext", "keyUsage=critical,keyCertSign")

    def run(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True, timeout=10)

    def certificate(self, name, host="IP:127.0.0.1", until="20991231000000Z"):
        """A PEM file with a certificate and its key."""
        self.run("req", *NEW_KEY, "-subj", f"/CN={name}", "-addext", f"subjectAltName={host}",
                 "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self.run("ca", "-batch", "-config", "ca.conf", "-create_serial", "-cert", "ca.pem", "-keyfile", "ca.key",
                 "-in", f"{name}.csr", "-out", f"{name}.crt", "-notext",
                 "-startdate", "20200101000000Z", "-enddate", until)
        both = self.folder / f"{name}.pem"
        both.write_text((self.folder / f"{name}.crt").read_text() + (self.folder / f"{name}.key").read_text())
        return both


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stack")
    ours, foreign = Authority(folder / "ours"), Authority(folder / "foreign")
    stack = make_stack(folder / "stack", **{
        "api-gateway:LW_UPLOAD_WINDOW": "1s", "api-gateway:LW_UPLOAD_GRACE": "0",
        "rekognition-local:LW_TLS_CERT": "",
        "upload-watcher:AWS_CA_BUNDLE": str(ours.folder / "ca.pem"),
        "recognizer:AWS_CA_BUNDLE": str(ours.folder / "ca.pem")})
    stack.good = ours.certificate("good")
    stack.bad = {  # and what the log says
        "expired": (ours.certificate("expired", until="20200102000000Z"), "expired"),
        "unknown authority": (foreign.certificate("foreign"), "certificate"),
        "another host": (ours.certificate("other", host="DNS:other.example"), "127.0.0.1"),
        "no TLS": (faults.TlsFront.PLAIN, "SSL"),
        "silence": (faults.TlsFront.HANG, "time"),
    }
    with faults.TlsFront(stack.ports["s3"]) as stack.s3, \
            faults.TlsFront(stack.ports["rekognition"]) as stack.rekognition:
        stack.s3.show(stack.good)  # the watcher begins the installation
        stack.settings["upload-watcher:LW_S3_ENDPOINT"] = stack.s3.url
        stack.settings["recognizer:LW_REKOGNITION_ENDPOINT"] = stack.rekognition.url
        with stack:
            yield stack
            sound(stack)


def complained(lines, text):
    """One of the lines says so, and each has a hint for the operator."""
    assert all(line["hint"] for line in lines), lines
    return any(text in line["why"] for line in lines)


def test_bad_tls(stack):
    client = Client(stack)
    uploaded, never = {}, {}
    for name, (shown, text) in stack.bad.items():
        stack.s3.show(shown)
        stack.rekognition.show(shown)
        before = len(log_lines(stack, "upload-watcher", "s3.look_failed"))
        never[name] = client.create()["blob_id"]
        created = client.create()
        client.upload(created)
        uploaded[name] = created["blob_id"]
        wait_for(f"the watcher's complaint, {name}", lambda n=before, t=text: complained(
            log_lines(stack, "upload-watcher", "s3.look_failed")[n:], t))
        wait_for(f"the reason in the record, {name}", lambda t=text: t in client.record(created["blob_id"]).get("detail", ""))
        client.prompt(uploaded[name])
    alarm, *_ = log_lines(stack, "recognizer", "rekognition.denied")  # once a minute
    assert "AWS_CA_BUNDLE" in alarm["hint"]
    for name in stack.bad:
        assert client.status(never[name]) == "waiting-for-upload", name
        assert client.status(uploaded[name]) == "in-progress", name
    stack.s3.show(stack.good)
    stack.rekognition.show(stack.good)
    for blob_id in uploaded.values():
        assert client.ended(blob_id).status == 200
    for blob_id in never.values():
        assert client.ended(blob_id, HOLD + 10).json["payload"]["status"] == "upload-timed-out"
