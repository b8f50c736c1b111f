"""The command line `labelwire` against a small stand-in for gateway and store, and against
librdkafka's mock cluster: what it sends, what it prints, how it ends.

The program is $LABELWIRE_BIN/labelwire (default build/dev/bin).
"""

import contextlib
import ctypes
import fcntl
import http.server
import json
import os
import pathlib
import pty
import queue
import re
import select
import socket
import struct
import subprocess
import termios
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LABELWIRE = ROOT / os.environ.get("LABELWIRE_BIN", "build/dev/bin") / "labelwire"

ID = "2f1c0a52-94c8-4b7e-8a39-5e0f6c1d7b24"
LABELS = (
    '[{"label":"Cat","confidence":98.95704650878906,"parents":["Animal","Pet"]},'
    '{"label":"Sphynx cat","confidence":50.0,"parents":[]}]'
)
PICTURE = b"\xff\xd8\xff\xe0 not really a picture"
PATIENCE = 20  # seconds, for what takes a fraction of one


# ---- the stand-in ------------------------------------------------------------------------------


def standing(status, description="It stands there."):
    """The answer of GET for a blob without labels: HTTP status, headers, body."""
    return (
        404,
        {},
        json.dumps({"description": description, "payload": {"blob_id": ID, "status": status}}),
    )


def labelled(labels=LABELS):
    return 200, {}, f'{{"blob_id":"{ID}","labels":{labels}}}'


BUSY = 503, {"Retry-After": "0"}, '{"type":"about:blank","status":503,"detail":"More is waiting."}'
IN_PROGRESS = standing("in-progress", "Recognition is in progress.")
HANG_UP = None


class StandIn:
    """Gateway and store in one.  Each method has a list of answers; the last one stays."""

    def __init__(self):
        self.seen = []  # (method, path, headers, body)
        self.answers = {"GET": [labelled()], "PUT": [(200, {}, "")], "POST": []}
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                stand_in.seen.append((self.command, self.path, self.headers, body))
                answer = stand_in.answer(self.command)
                if answer is HANG_UP:
                    self.close_connection = True
                    return
                status, headers, text = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_PUT = do_POST = handle_any

            def log_message(self, *_):
                """Quiet: pytest shows what matters."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.answers["POST"] = [self.created()]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def created(self, upload_url=None):
        url = upload_url or f"{self.url}/bucket/blobs/{ID}?X-Amz-Signature=5ec2e7"
        return 201, {}, json.dumps({"blob_id": ID, "callback_url": None, "upload_url": url})

    def answer(self, method):
        rest = self.answers[method]
        return rest.pop(0) if len(rest) > 1 else rest[0]

    def requests(self, method):
        return [seen for seen in self.seen if seen[0] == method]


@pytest.fixture
def server():
    stand_in = StandIn()
    yield stand_in
    stand_in.server.shutdown()
    stand_in.server.server_close()


@pytest.fixture
def cat(tmp_path):
    path = tmp_path / "cat.jpg"
    path.write_bytes(PICTURE)
    return path


def environment(**more):
    """What a shell with the variables of services in it looks like."""
    return {
        "PATH": "/usr/bin:/bin",
        "TERM": "xterm",
        "TZ": "UTC",
        "LW_REDIS_URL": "redis://r",
        "LW_NO_SUCH_THING": "1",
        "LW_LOG_LEVEL": "nonsense",
    } | more


def run(*args, env=None, **options):
    return subprocess.run(
        [LABELWIRE, *args],
        env=env or environment(),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        **options,
    )


def label(server, *args, **options):
    return run("label", "--gateway", server.url, *args, **options)


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


@contextlib.contextmanager
def closed_port():
    """An address at which nobody listens, reserved so that nobody else takes it."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{s.getsockname()[1]}"


# ---- help and usage ----------------------------------------------------------------------------

COMMANDS = [
    ["label"],
    ["get"],
    ["tail"],
    ["setup"],
    ["setup", "topics"],
    ["setup", "bucket"],
    ["setup", "epoch"],
    ["recognize"],
    ["redeliver"],
    ["erase"],
    ["dead"],
    ["dead", "ls"],
    ["dead", "show"],
    ["dead", "retry"],
    ["dead", "discard"],
]


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_explains_itself(command, flag):
    result = run(*command, flag)
    text = result.stdout.decode()
    assert (result.returncode, result.stderr) == (0, b"")
    assert f"usage: labelwire {' '.join(command)}" in text
    assert "\nExample\n  " in text
    for option in re.findall(r"\[(--[a-z-]+)", text):
        assert re.search(rf"^  {option} ", text, re.M), f"{option} is not explained"


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"]], ids=str)
def test_the_program_lists_its_commands(args):
    result = run(*args)
    assert result.returncode == 0
    for command in ("label", "get", "tail", "dead", "setup"):
        assert re.search(rf"^  {command} ", result.stdout.decode(), re.M)


@pytest.mark.parametrize("command", ["label", "get", "dead"])
def test_a_command_without_its_operand_explains_itself_and_fails(command):
    result = run(command)
    assert result.returncode == 2 and result.stdout == b""
    assert b"usage: labelwire" in result.stderr and b"Example" in result.stderr


def test_version():
    assert re.fullmatch(rb"labelwire \d+\.\d+\.\d+\n", run("--version").stdout)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["lable"], "unknown command 'lable'; labelwire --help"),
        (["--bogus"], "unknown option '--bogus'; labelwire --help"),
        (["label", "--bogus", "x"], "unknown option '--bogus'"),
        (["label", "--json=yes", "x"], "--json takes no value"),
        (["label", "x", "--timeout"], "--timeout wants a value"),
        (["label", "x", "--callback", ""], "--callback wants a value"),
        (["label", "x", "--timeout=soon"], "--timeout: got 'soon', want a duration"),
        (["label", "x", "--timeout", "0"], "--timeout: got '0', want"),
        (["label", "x", "--gateway", "127.0.0.1"], "--gateway: got '127.0.0.1', want an endpoint"),
        (
            ["label", "x", "--callback", "ftp://x/"],
            "--callback: got 'ftp://x/', want an http or https URL",
        ),
        (["label", "--json"], "FILE... is missing"),
        (["get", "a", "b"], "'b' is one too many"),
        (["tail", "now"], "'now' is one too many"),
        (["setup", "everything"], "'everything' is one too many"),
        (["setup", "topics", "--partitions", "0"], "--partitions: got '0', want"),
        (["setup", "topics", "--replicas", "0"], "--replicas: 0 keeps nothing"),
        (["setup", "bucket"], "LW_S3_BUCKET: not set"),
        (["dead", "list"], "unknown part 'list', want ls, show"),
        (["dead", "--all"], "unknown option '--all'"),
        (["dead", "ls", "0-1"], "'0-1' is one too many"),
        (["dead", "show", "0-1", "0-2"], "'0-2' is one too many"),
        (["dead", "show", "17"], "got '17', want an ID"),
        (["dead", "retry", "0-1", "0-x"], "got '0-x', want an ID"),
        (["dead", "retry"], "want either IDs or --all"),
        (["dead", "discard", "--all", "0-1"], "want either IDs or --all"),
        (["dead", "discard", "0-1", "--reason", "x"], "want --reason with --all only"),
        (["setup", "epoch", "--accept-loss=yes"], "--accept-loss takes no value"),
        (["setup", "epoch"], "LW_S3_BUCKET: not set"),
        (["label", "\x1b[2Jx", "--timeout", "\x1b]0;x\x07"], "--timeout: got '?]0;x?', want"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_says_what_to_do_and_exits_with_2(args, why):
    result = run(*args)
    assert result.returncode == 2 and result.stdout == b""
    assert why in result.stderr.decode()
    assert "help" in result.stderr.decode() or "want" in result.stderr.decode()


def test_a_wrong_variable_is_named_and_a_flag_wins_over_it(server, cat):
    env = environment(LW_GATEWAY="nowhere")
    result = run("label", str(cat), env=env)
    assert result.returncode == 2 and b"LW_GATEWAY: got 'nowhere'" in result.stderr
    assert label(server, str(cat), env=env).returncode == 0


# ---- label -------------------------------------------------------------------------------------


def test_a_picture_becomes_a_table(server, cat):
    result = run("label", str(cat), env=environment(LW_GATEWAY=server.url))
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.decode() == (
        f"{cat}  {ID}\n"
        "  LABEL       CONFIDENCE  PARENTS\n"
        "  Cat               99.0  Animal, Pet\n"
        "  Sphynx cat        50.0\n"
    )


def test_what_is_sent(server, cat):
    assert label(server, "--callback", "https://example.com/x?y=1", str(cat)).returncode == 0
    ((_, path, headers, body),) = server.requests("POST")
    assert (path, headers["Content-Type"]) == ("/blobs", "application/json")
    assert json.loads(body) == {"callback_url": "https://example.com/x?y=1"}
    ((_, path, headers, body),) = server.requests("PUT")
    assert (path, body) == (f"/bucket/blobs/{ID}?X-Amz-Signature=5ec2e7", PICTURE)
    assert headers["Content-Type"] is None  # a URL that signs the host only bears any, and none
    assert [seen[1] for seen in server.requests("GET")] == [f"/blobs/{ID}"]


def test_without_a_callback_none_is_named(server, cat):
    assert label(server, str(cat)).returncode == 0
    assert json.loads(server.requests("POST")[0][3]) == {}


def test_json_has_the_labels_as_they_came(server, cat):
    result = label(server, "--json", str(cat))
    assert result.returncode == 0
    assert result.stdout.decode() == (
        f'{{"file":{json.dumps(str(cat))},"blob_id":"{ID}","status":"success","labels":{LABELS}}}\n'
    )


def test_json_of_labels_on_many_lines_is_one_line(server, cat):
    server.answers["GET"] = [
        labelled('[\n\t{"label": "Cat",\r\n "confidence": 1e1, "parents": []}\n]')
    ]
    result = label(server, "--json", str(cat))
    assert result.stdout.count(b"\n") == 1 and b'"confidence": 1e1' in result.stdout
    assert lines(result)[0]["labels"] == [{"label": "Cat", "confidence": 10, "parents": []}]


def test_it_waits_until_there_are_labels(server, cat):
    server.answers["GET"] = [standing("waiting-for-upload"), IN_PROGRESS, IN_PROGRESS, labelled()]
    assert b"Sphynx cat" in label(server, str(cat)).stdout
    assert len(server.requests("GET")) == 4


def test_no_labels_are_a_result(server, cat):
    server.answers["GET"] = [labelled("[]")]
    result = label(server, str(cat))
    assert (result.returncode, result.stdout.decode()) == (0, f"{cat}  {ID}\n  no labels\n")


def test_labels_that_lack_something_are_shown_all_the_same(server, cat):
    server.answers["GET"] = [
        labelled('[{"label":"Cat"},{"confidence":7},7,{"label":null,"parents":"x"}]')
    ]
    result = label(server, str(cat))
    assert result.returncode == 0
    assert re.search(r"^  Cat +-$", result.stdout.decode(), re.M)


@pytest.mark.parametrize(
    "status",
    [
        "invalid-blob-has-been-uploaded",
        "too-large-blob-has-been-uploaded",
        "upload-timed-out",
        "unexpected-error",
        "not-found",
        "something-new",
    ],
)
def test_a_failed_file_is_told_and_the_others_go_on(server, cat, status):
    server.answers["GET"] = [standing(status, "It did not work."), labelled()]
    result = label(server, str(cat), str(cat))
    assert result.returncode == 1
    assert f"labelwire: {cat}: {status}: It did not work." in result.stderr.decode()
    assert result.stdout.count(b"Sphynx cat") == 1


def test_json_of_a_failed_file(server, cat):
    server.answers["GET"] = [
        standing("invalid-blob-has-been-uploaded", 'Not "an" image.'),
        labelled(),
    ]
    result = label(server, "--json", str(cat), "/no/such/file", str(cat))
    assert result.returncode == 1
    failed, absent, fine = lines(result)
    assert failed == {
        "file": str(cat),
        "blob_id": ID,
        "status": "invalid-blob-has-been-uploaded",
        "description": 'Not "an" image.',
    }
    assert (absent["file"], absent["blob_id"], absent["status"]) == ("/no/such/file", None, "error")
    assert fine["status"] == "success"


def test_busy_answers_are_waited_out(server, cat):
    for method in ("POST", "PUT", "GET"):
        server.answers[method].insert(0, BUSY)
        server.answers[method].insert(0, BUSY)
    result = label(server, str(cat))
    assert result.returncode == 0 and b"Sphynx cat" in result.stdout
    assert [len(server.requests(m)) for m in ("POST", "PUT", "GET")] == [3, 3, 3]


def test_a_gateway_that_stays_busy_is_given_up_in_time(server, cat):
    server.answers["POST"] = [BUSY]
    result = label(server, "--timeout", "400ms", str(cat))
    assert result.returncode == 1
    assert f"{server.url} answered 503: More is waiting.; try again later" in result.stderr.decode()


def test_a_pause_longer_than_the_time_left_is_not_begun(server, cat):
    server.answers["POST"] = [(503, {"Retry-After": "3600"}, "")]
    assert label(server, str(cat)).returncode == 1
    assert len(server.requests("POST")) == 1


def test_no_labels_in_time(server, cat):
    server.answers["GET"] = [IN_PROGRESS]
    result = label(server, "--timeout", "500ms", str(cat))
    assert (result.returncode, result.stdout) == (1, b"")
    assert (
        f"no labels in time; look later: labelwire get {ID} (in-progress)" in result.stderr.decode()
    )


def test_json_when_there_are_no_labels_in_time(server, cat):
    server.answers["GET"] = [IN_PROGRESS]
    result = label(server, "--timeout", "300ms", "--json", str(cat))
    assert result.returncode == 1
    assert lines(result) == [
        {
            "file": str(cat),
            "blob_id": ID,
            "status": "in-progress",
            "description": "Recognition is in progress.",
        }
    ]


def test_a_gateway_that_goes_away_for_a_moment_while_waiting(server, cat):
    server.answers["GET"] = [HANG_UP, IN_PROGRESS, HANG_UP, labelled()]
    result = label(server, str(cat))
    assert result.returncode == 0 and b"Sphynx cat" in result.stdout


def test_an_unreachable_gateway(cat):
    with closed_port() as address:
        result = run("label", "--gateway", f"http://{address}", str(cat))
    assert (result.returncode, result.stdout) == (1, b"")
    assert f"http://{address} cannot be reached" in result.stderr.decode()
    assert "is it up? try `make up`" in result.stderr.decode()


def test_an_unreachable_store(server, cat):
    with closed_port() as address:
        server.answers["POST"] = [server.created(f"http://{address}/b/k?X-Amz-Signature=5ec2e7")]
        result = label(server, str(cat))
    assert result.returncode == 1
    assert f"the upload to {address} failed" in result.stderr.decode()
    assert b"5ec2e7" not in result.stderr


def test_a_refused_upload(server, cat):
    server.answers["PUT"] = [
        (403, {}, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
    ]
    result = label(server, str(cat))
    assert result.returncode == 1
    assert re.search(
        r"127.0.0.1:\d+ refused the upload: 403 AccessDenied\n", result.stderr.decode()
    )


def test_a_refused_callback_url(server, cat):
    server.answers["POST"] = [
        (
            400,
            {},
            '{"error":"Invalid callback url","description":"Invalid callback url supplied."}',
        )
    ]
    result = label(server, "--callback", "http://10.0.0.1/", str(cat))
    assert result.returncode == 1
    assert "answered 400: Invalid callback url supplied." in result.stderr.decode()


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, "<html>hello</html>"),
        (201, {}, "{}"),
        (201, {}, '{"blob_id":7,"upload_url":"http://x/"}'),
        (201, {}, '{"blob_id":"x","upload_url":"file:///etc/passwd"}'),
        (302, {"Location": "http://elsewhere/"}, ""),
        (404, {}, ""),
    ],
    ids=str,
)
def test_something_that_is_no_gateway(server, cat, answer):
    server.answers["POST"] = [answer]
    result = label(server, str(cat))
    assert result.returncode == 1 and result.stdout == b""
    assert server.url in result.stderr.decode()
    assert server.requests("PUT") == []


@pytest.mark.parametrize(
    "answer",
    [(200, {}, '{"labels":{}}'), (404, {}, '{"detail":"No such path."}'), (500, {}, "")],
    ids=str,
)
def test_a_look_that_is_not_answered_as_it_should(server, cat, answer):
    server.answers["GET"] = [answer]
    result = label(server, str(cat))
    assert result.returncode == 1 and result.stdout == b""
    assert f"{server.url} answered {answer[0]}" in result.stderr.decode()


# ---- files -------------------------------------------------------------------------------------


def test_standard_input(server):
    assert b"Sphynx cat" in label(server, "-", input=PICTURE).stdout
    assert server.requests("PUT")[0][3] == PICTURE


def test_a_name_that_looks_like_an_option(server, tmp_path):
    (tmp_path / "--json").write_bytes(PICTURE)
    result = label(server, "--", "--json", cwd=tmp_path)
    assert result.returncode == 0 and result.stdout.startswith(b"--json  ")


def test_files_that_cannot_be_taken(server, tmp_path, cat):
    (tmp_path / "empty").touch()
    with open(tmp_path / "big", "wb") as big:
        big.truncate((64 << 20) + 1)
    result = label(
        server,
        str(tmp_path / "missing"),
        str(tmp_path),
        str(tmp_path / "empty"),
        str(tmp_path / "big"),
        str(cat),
    )
    assert result.returncode == 1
    said = result.stderr.decode().splitlines()
    assert [line.partition(": ")[2].removeprefix(str(tmp_path)) for line in said] == [
        "/missing: cannot be opened: No such file or directory",
        ": is a directory; name the files in it",
        "/empty: is empty",
        "/big: is larger than 64 MiB, the most that is uploaded",
    ]
    assert result.stdout.startswith(str(cat).encode())
    assert len(server.requests("POST")) == 1


def test_a_stream_without_end(server):
    with open("/dev/zero", "rb") as endless:
        result = label(server, "-", stdin=endless)
    assert result.returncode == 1 and b"-: is larger than 64 MiB" in result.stderr
    assert server.requests("POST") == []


def test_the_largest_file(server, tmp_path):
    with open(tmp_path / "large", "wb") as large:
        large.truncate(64 << 20)
    assert label(server, str(tmp_path / "large")).returncode == 0
    assert len(server.requests("PUT")[0][3]) == 64 << 20


# ---- get ---------------------------------------------------------------------------------------


def test_get_prints_the_table(server):
    result = run("get", ID, env=environment(LW_GATEWAY=server.url))
    assert result.returncode == 0
    assert result.stdout.decode().startswith(f"{ID}\n  LABEL") and b"Animal, Pet" in result.stdout


def test_get_prints_where_it_stands(server):
    server.answers["GET"] = [IN_PROGRESS]
    result = run("get", "--gateway", server.url, ID)
    assert (result.returncode, result.stdout.decode()) == (
        0,
        f"{ID}  in-progress: Recognition is in progress.\n",
    )


def test_get_as_json(server):
    server.answers["GET"] = [labelled(), IN_PROGRESS]
    result = run("get", "--gateway", server.url, "--json", ID)
    assert result.stdout.decode() == f'{{"blob_id":"{ID}","status":"success","labels":{LABELS}}}\n'
    result = run("get", "--gateway", server.url, "--json", ID)
    assert result.returncode == 0
    assert lines(result) == [
        {"blob_id": ID, "status": "in-progress", "description": "Recognition is in progress."}
    ]


def test_get_of_an_unknown_blob(server):
    server.answers["GET"] = [standing("not-found", "Blob not found.")]
    result = run("get", "--gateway", server.url, "a/../b c")
    assert (result.returncode, result.stdout) == (1, b"")
    assert b"a/../b c: not found" in result.stderr
    assert server.requests("GET")[0][1] == "/blobs/a%2F..%2Fb%20c"
    result = run("get", "--gateway", server.url, "--json", ID)
    assert result.returncode == 1 and lines(result)[0]["status"] == "not-found"


def test_get_from_an_unreachable_gateway():
    with closed_port() as address:
        result = run("get", "--gateway", f"http://{address}", ID)
    assert result.returncode == 1 and b"is it up? try `make up`" in result.stderr


# ---- the terminal ------------------------------------------------------------------------------

EVIL = '[{"label":"C\\u001b[2Jat\\u009b1m\\u202e","confidence":1,"parents":["\\u0007x\\ny"]}]'
EVIL_RAW = '[{"label":"\u009b31mCat\u202e\x7f","confidence":1,"parents":[]}]'
WANTED_CONTROLS = re.compile(rb"\x1b\[(K|0?m|[1-3][0-9]?m)|\r\n?|\n")


def is_harmless(output):
    rest = WANTED_CONTROLS.sub(b"", output).decode()
    return not re.search("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", rest)


class Terminal:
    """A pseudo-terminal, 60 columns wide, and what was written to it."""

    def __init__(self):
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        self.output = b""
        self.grew = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while chunk := os.read(self.ours, 65536):
                with self.grew:
                    self.output += chunk
                    self.grew.notify_all()

    def wait_for(self, text):
        with self.grew:
            assert self.grew.wait_for(lambda: text in self.output, PATIENCE), self.output

    def close(self):
        os.close(self.theirs)
        self.reader.join(PATIENCE)
        os.close(self.ours)
        return self.output


def on_terminal(*args, **more):
    """Runs with both streams on terminals; returns the exit code and what each of them showed."""
    out, err = Terminal(), Terminal()
    code = subprocess.run(
        [LABELWIRE, *args],
        env=environment(**more),
        stdout=out.theirs,
        stderr=err.theirs,
        timeout=PATIENCE,
        check=False,
    ).returncode
    return code, out.close(), err.close()


@pytest.mark.parametrize("labels", [EVIL, EVIL_RAW], ids=["escaped", "raw"])
def test_control_characters_do_not_reach_the_table(server, cat, labels):
    server.answers["GET"] = [labelled(labels)]
    result = label(server, str(cat))
    assert result.returncode == 0 and b"?" in result.stdout and is_harmless(result.stdout)


def test_control_characters_of_a_description(server, cat):
    server.answers["GET"] = [standing("un\x1bexpected", "\x1b]0;title\x07 \u009b1m \u202e.")]
    result = label(server, str(cat))
    assert result.returncode == 1 and b"]0;title" in result.stderr and is_harmless(result.stderr)
    result = run("get", "--gateway", server.url, ID)
    assert b"]0;title" in result.stdout and is_harmless(result.stdout)


def test_control_characters_of_a_file_name(server, tmp_path):
    evil = tmp_path / "\x1b[2J\nfake\u202e"
    evil.write_bytes(PICTURE)
    result = label(server, str(evil), str(evil) + "2")
    assert is_harmless(result.stdout) and is_harmless(result.stderr)
    assert result.stdout.count(b"\n") == 4 and result.stderr.count(b"\n") == 1


def test_json_is_unchanged_in_a_pipe_and_escaped_on_a_terminal(server, cat):
    server.answers["GET"] = [labelled(EVIL_RAW)]
    assert EVIL_RAW.encode() in label(server, "--json", str(cat)).stdout
    code, out, _ = on_terminal("label", "--gateway", server.url, "--json", str(cat))
    assert code == 0 and is_harmless(out) and rb"\u009b31mCat\u202e\u007f" in out
    assert json.loads(out)["labels"] == json.loads(EVIL_RAW)


def test_progress_is_drawn_on_a_terminal_and_wiped(server, tmp_path):
    picture = tmp_path / ("a-long-name" * 10 + "\x1b[2J.jpg")
    picture.write_bytes(PICTURE * 200_000)
    server.answers["GET"] = [IN_PROGRESS] * 4 + [labelled()]
    code, out, err = on_terminal("label", "--gateway", server.url, str(picture))
    assert code == 0 and b"Sphynx cat" in out
    assert b"[####################] 100 %" in err and b"MiB of" in err
    assert b"waiting for labels" in err
    assert is_harmless(err) and err.endswith(b"\r\x1b[K")
    for drawn in err.decode().split("\r"):
        assert len(drawn.removesuffix("\x1b[K")) < 60, "wraps"


def test_a_terminal_shows_colours_unless_told_otherwise(server, cat):
    args = "label", "--gateway", server.url, str(cat)
    assert b"\x1b[1m" in on_terminal(*args)[1]
    assert b"\x1b" not in on_terminal(*args, NO_COLOR="1")[1]
    _, out, err = on_terminal(*args, TERM="dumb")
    assert b"\x1b" not in out + err


def test_a_result_that_cannot_be_written(server, cat):
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [LABELWIRE, "label", "--gateway", server.url, cat],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    assert result.returncode == 1 and b"standard output cannot be written" in result.stderr


# ---- tail --------------------------------------------------------------------------------------


class MockKafka:
    """librdkafka's mock cluster, in this process, and a producer for it."""

    PRODUCER = 0
    COPY = 2

    def __init__(self):
        self.lib = ctypes.CDLL("librdkafka.so.1")
        for name in ("conf_new", "new", "mock_cluster_new", "topic_new"):
            getattr(self.lib, f"rd_kafka_{name}").restype = ctypes.c_void_p
        self.lib.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        self.host = self._client()
        self.cluster = ctypes.c_void_p(self.lib.rd_kafka_mock_cluster_new(self.host, 1))
        self.brokers = self.lib.rd_kafka_mock_cluster_bootstraps(self.cluster)
        self.lib.rd_kafka_mock_topic_create(self.cluster, b"labelwire.events", 2, 1)
        self.producer = self._client(self.brokers)
        self.topic = ctypes.c_void_p(
            self.lib.rd_kafka_topic_new(self.producer, b"labelwire.events", None)
        )

    def _client(self, brokers=None):
        conf, why = ctypes.c_void_p(self.lib.rd_kafka_conf_new()), ctypes.create_string_buffer(256)
        settings = {b"bootstrap.servers": brokers} if brokers else {b"log_level": b"0"}
        for name, value in settings.items():
            self.lib.rd_kafka_conf_set(conf, name, value, why, ctypes.c_size_t(len(why)))
        return ctypes.c_void_p(
            self.lib.rd_kafka_new(self.PRODUCER, conf, why, ctypes.c_size_t(len(why)))
        )

    def send(self, *values):
        for value in values:
            self.lib.rd_kafka_produce(
                self.topic,
                ctypes.c_int32(0),
                self.COPY,
                value,
                ctypes.c_size_t(len(value)),
                None,
                ctypes.c_size_t(0),
                None,
            )
        assert self.lib.rd_kafka_flush(self.producer, 5000) == 0

    def close(self):
        self.lib.rd_kafka_topic_destroy(self.topic)
        self.lib.rd_kafka_destroy(self.producer)
        self.lib.rd_kafka_mock_cluster_destroy(self.cluster)
        self.lib.rd_kafka_destroy(self.host)


@pytest.fixture
def kafka():
    cluster = MockKafka()
    yield cluster
    cluster.close()


def event(transition, **data):
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"{ID}/1",
            "source": "labelwire/api-gateway",
            "type": f"labelwire.{transition}",
            "subject": ID,
            "time": "2026-11-21T02:48:27.123Z",
            "data": data,
        },
        separators=(",", ":"),
    ).encode()


CREATED = event("blob.created", phase="awaiting", status="waiting-for-upload")
GAVE_UP = event(
    "delivery.gave_up", phase="finished", status="failed-due-to-callback-connection", code="refused"
)


@contextlib.contextmanager
def tail(kafka, *args, **options):
    command = [LABELWIRE, "tail", "--brokers", kafka.brokers.decode(), *args]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment()} | options
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def read_lines(stream, n):
    """The next n lines of a pipe, whenever they come."""
    got = queue.Queue()
    threading.Thread(
        target=lambda: [got.put(stream.readline()) for _ in range(n)], daemon=True
    ).start()
    return [got.get(timeout=PATIENCE) for _ in range(n)]


def test_tail_shows_transitions_as_lines(kafka):
    kafka.send(
        CREATED, GAVE_UP, b"\x1b[2J no JSON", b"{}", event("x.\x1b[2J", phase="\u009b", status=7)
    )
    with tail(kafka, "--from-start") as process:
        first, second, bare, evil = read_lines(process.stdout, 4)
        assert (
            first.decode()
            == "02:48:27.123  2f1c0a52  blob.created              awaiting     waiting-for-upload\n"
        )
        assert second.decode() == (
            "02:48:27.123  2f1c0a52  delivery.gave_up          finished     "
            "failed-due-to-callback-connection  refused\n"
        )
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  - {7}  - {23}  - {10}  -\n", bare.decode())
        assert is_harmless(evil)
        said = read_lines(process.stderr, 1)[0]
        assert b"left out what is no event (partition 0, offset 2)" in said and is_harmless(said)


def test_tail_as_json_shows_the_events_as_they_are(kafka):
    kafka.send(CREATED, GAVE_UP)
    with tail(kafka, "--from-start", "--json") as process:
        assert read_lines(process.stdout, 2) == [CREATED + b"\n", GAVE_UP + b"\n"]


def test_tail_begins_now_and_goes_on(kafka):
    kafka.send(*[CREATED] * 3)
    with tail(kafka) as process:
        sent = 0
        while not select.select([process.stdout], [], [], 0.2)[0] and sent < 100:
            kafka.send(GAVE_UP)  # until the first one is seen, which is when it listens
            sent += 1
        assert b"delivery.gave_up" in read_lines(process.stdout, 1)[0]


def test_tail_ends_well_when_its_reader_leaves(kafka):
    kafka.send(CREATED)
    with tail(kafka, "--from-start") as process:
        read_lines(process.stdout, 1)
        process.stdout.close()
        assert process.wait(PATIENCE) == 0  # although nothing happens any more
        assert process.stderr.read() == b""


def test_tail_fails_when_its_file_is_full(kafka):
    kafka.send(CREATED)
    with open("/dev/full", "wb") as full, tail(kafka, "--from-start", stdout=full) as process:
        assert process.wait(PATIENCE) == 1
        assert b"standard output cannot be written" in process.stderr.read()


def test_tail_colours_on_a_terminal_only(kafka):
    kafka.send(CREATED, event("labels.saved", phase="finished", status="success"))
    terminal = Terminal()
    with tail(kafka, "--from-start", stdout=terminal.theirs) as process:
        terminal.wait_for(b"success")
        process.terminate()
        process.wait(PATIENCE)
    shown = terminal.close()
    assert re.search(rb"\x1b\[32mlabels.saved +\x1b\[0m", shown)
    assert b"  blob.created  " in shown and is_harmless(shown)


def test_tail_says_that_there_is_no_broker():
    with (
        closed_port() as address,
        subprocess.Popen(
            [LABELWIRE, "tail"],
            env=environment(LW_KAFKA_BROKERS=address),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        said = read_lines(process.stderr, 1)[0]
        process.terminate()
        assert f"no Kafka broker answers at {address}".encode() in said
        assert process.stdout.read() == b""


# ---- dead: more of it in tests/e2e/test_dead_letters.py ----------------------------------------


@pytest.mark.parametrize("part", [["ls"], ["discard", "--all"]])
def test_dead_letters_without_a_broker(part):
    with closed_port() as address:
        result = run("dead", *part, "--brokers", address)
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.decode().startswith(f"labelwire: {address}: no Kafka broker answers;")


def test_dead_letters_without_a_topic(kafka):
    unknown_topic_or_partition = 3
    kafka.lib.rd_kafka_mock_topic_set_error(
        kafka.cluster, b"labelwire.dead", unknown_topic_or_partition
    )
    result = run("dead", "ls", "--brokers", kafka.brokers.decode())
    assert (result.returncode, result.stdout) == (1, b"")
    assert b"there is no topic labelwire.dead; `labelwire setup topics`" in result.stderr


def test_dead_letters_without_letters(kafka):
    kafka.lib.rd_kafka_mock_topic_create(kafka.cluster, b"labelwire.dead", 2, 1)
    result = run("dead", "ls", "--brokers", kafka.brokers.decode())
    assert (result.returncode, result.stdout, result.stderr) == (0, b"no dead letters\n", b"")
    result = run("dead", "retry", "--all", "--brokers", kafka.brokers.decode())
    assert (result.returncode, result.stdout, result.stderr) == (0, b"0 letters retried\n", b"")


# ---- setup -------------------------------------------------------------------------------------


def store(server, **more):
    return environment(
        LW_S3_ENDPOINT=server.url,
        LW_S3_BUCKET="pictures",
        AWS_ACCESS_KEY_ID="key",
        AWS_SECRET_ACCESS_KEY="very-secret",
        AWS_REGION="us-east-1",
        **more,
    )


@pytest.mark.parametrize(
    "answers",
    [
        [(200, {}, "")],
        [(409, {}, "<Error><Code>BucketAlreadyOwnedByYou</Code></Error>")],
        [HANG_UP, HANG_UP, (503, {}, "<Error><Code>SlowDown</Code></Error>"), (200, {}, "")],
    ],
    ids=["new", "there", "starting"],
)
def test_setup_bucket(server, answers):
    server.answers["PUT"] = answers
    result = run("setup", "bucket", env=store(server))
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.decode() == f"bucket at {server.url}:\n  pictures\n"
    assert server.requests("PUT")[0][1].rstrip("/") == "/pictures"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            (403, {}, "<Error><Code>InvalidAccessKeyId</Code></Error>"),
            "403 InvalidAccessKeyId; check the AWS_ variables",
        ),
        ((409, {}, "<Error><Code>BucketAlreadyExists</Code></Error>"), "set another LW_S3_BUCKET"),
    ],
)
def test_setup_bucket_that_is_refused(server, answer, why):
    server.answers["PUT"] = [answer]
    result = run("setup", "bucket", env=store(server))
    assert (result.returncode, result.stdout) == (1, b"")
    assert (
        f"bucket pictures at {server.url}: " in result.stderr.decode()
        and why in result.stderr.decode()
    )
    assert b"very-secret" not in result.stderr
