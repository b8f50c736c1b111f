"""The demonstration: one picture from upload to callback, through the real services."""

import http.server
import json
import os
import queue
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

from layout import HOST, SERVICES
from processes import StackError
from runner import Stack

PICTURE = Path(__file__).resolve().with_name("demo.jpg")
WIDTH = 110
PATIENCE = 60.0  # seconds for the labels, and again for the callback


def run(stack: Stack) -> None:
    """Label the picture, show the callback, and say where to go from there."""
    tool = os.path.relpath(stack.bin / "labelwire")
    with callback_receiver() as (url, received):
        command = [tool, "label", "--gateway", stack.urls["gateway"], "--callback", url, os.path.relpath(PICTURE)]
        print(f"\n$ {' '.join(command)}\n", flush=True)
        try:
            subprocess.run(command, env=stack.env("labelwire"), check=True, timeout=PATIENCE)
            request_line, headers, body = received.get(timeout=PATIENCE)
        except (subprocess.SubprocessError, queue.Empty) as error:
            raise StackError(f"the demonstration failed: {error or 'no callback came'}; see: make logs") from None
    print("\nThe callback that arrived, and was answered with 204:\n")
    print(f"  {request_line}")
    for name, value in headers.items():
        if name.lower().startswith(("content-type", "webhook-")):
            print(f"  {name}: {value}")
    print(f"\n  {pretty(json.loads(body), '  ')}")
    print("\nThe stack stays up. Look further:\n")
    print(f"  {stack.urls['gateway']}/  the gateway")
    for service in SERVICES:
        print(f"  {stack.urls[service]}/metrics  {service}")
    print(f"  {tool} tail   every transition, as it happens")
    print("  make logs     make status     make down")


def pretty(value, indent: str) -> str:
    """JSON over as many lines as it needs, and no more."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= WIDTH or not isinstance(value, dict | list):
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {pretty(item, deeper)}" for key, item in value.items()]
    else:
        items = [pretty(item, deeper) for item in value]
    inside = f",\n{deeper}".join(items)
    return f"{line[0]}\n{deeper}{inside}\n{indent}{line[-1]}"


@contextmanager
def callback_receiver():
    """A receiver on a free port: its URL, and a queue of (request line, headers, body)."""
    received: queue.Queue = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()
            received.put((self.requestline, self.headers, body))

        def log_message(self, *_) -> None:
            """The demonstration shows the request itself."""

    with http.server.ThreadingHTTPServer((HOST, 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{HOST}:{server.server_port}/labels", received
        finally:
            server.shutdown()
