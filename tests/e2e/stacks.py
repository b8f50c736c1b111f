"""Stacks of the whole system for tests: ports of their own, short times."""
import os
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy/local"))

from processes import port_is_free  # noqa: E402
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


# Tests that run side by side each have a range of their own.
PORTS = range(int(os.environ.get("LABELWIRE_PORTS", 15000)), int(os.environ.get("LABELWIRE_PORTS", 31200)) + 800)


def free_ports():
    """A free port for every name, below those that the system gives to clients.

    One of those could be taken while its server is down: by a client that tries to reach just this server.
    """
    ports, wanted = [], ports_from({})
    while len(ports) < len(wanted):
        port = random.choice(PORTS)
        if port not in ports and port_is_free(port):
            ports.append(port)
    return dict(zip(wanted, ports))


class DeafStack(Stack):
    """Its S3 server tells nobody of uploads."""

    def _command(self, name):
        command = super()._command(name)
        if name == "versitygw":
            silent = self.state / "no-events.json"
            silent.write_text('{"s3:ObjectRemoved:*": true}')
            command[command.index("--event-filter") + 1] = silent
        return command


def make_stack(folder, kind=Stack, twice=(), **settings):
    return kind(state=folder, bin=BIN, ports=free_ports(), settings={**SETTINGS, **settings}, twice=twice,
                say=lambda _: None)


def sound(stack):
    """No sanitizer spoke up and no service died by itself."""
    for name in stack.names:
        log = stack.log_path(name).read_text(errors="replace")
        assert "Sanitizer" not in log and "runtime error" not in log, f"{name}: {log[-4000:]}"
