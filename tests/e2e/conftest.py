"""A stack of the whole system for each file of tests, on ports of its own, always taken down."""
import os
import socket
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy/local"))
sys.path.insert(0, str(Path(__file__).parent))

from client import Client, Receiver  # noqa: E402
from stack import Stack, ports_from  # noqa: E402

BIN = Path(os.environ.get("LABELWIRE_BIN", ROOT / "build/dev/bin"))

# Short times, so that what takes half a minute in life takes seconds here; LW_SHARDS as on a cluster.
LIFE = {"LW_UPLOAD_GRACE": "1s", "LW_RECOGNIZE_LEASE": "6s", "LW_CALLBACK_LEASE": "5s"}
MOVERS = ("api-gateway", "upload-watcher", "recognizer", "callback-dispatcher")
SETTINGS = {
    "LW_SHARDS": "4",
    "api-gateway:LW_UPLOAD_WINDOW": "6s",
    "upload-watcher:LW_S3_TIMEOUT": "2s",
    "recognizer:LW_S3_TIMEOUT": "2s",
    "recognizer:LW_REKOGNITION_TIMEOUT": "3s",
    "callback-dispatcher:LW_CALLBACK_TIMEOUT": "2s",
    **{f"{service}:{name}": value for service in MOVERS for name, value in LIFE.items()},
}


def free_ports():
    """A free port for every name, found by asking the system for them all at once."""
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in ports_from({})}
    ports = {name: s.getsockname()[1] for name, s in sockets.items()}
    for s in sockets.values():
        s.close()
    return ports


def make_stack(folder, kind=Stack, twice=(), **settings):
    return kind(state=folder, bin=BIN, ports=free_ports(), settings={**SETTINGS, **settings}, twice=twice,
                say=lambda _: None)


@pytest.fixture(scope="module")
def stack(tmp_path_factory, request):
    settings = getattr(request.module, "SETTINGS_HERE", {})
    twice = getattr(request.module, "TWICE", ())
    with make_stack(tmp_path_factory.mktemp("stack"), twice=twice, **settings) as running:
        yield running
        sound(running)


def sound(stack):
    """No sanitizer spoke up and no service died by itself."""
    for name in stack.names:
        log = stack.log_path(name).read_text(errors="replace")
        assert "Sanitizer" not in log and "runtime error" not in log, f"{name}: {log[-4000:]}"


@pytest.fixture
def client(stack):
    return Client(stack)


@pytest.fixture
def receiver():
    here = Receiver()
    yield here
    here.close()
