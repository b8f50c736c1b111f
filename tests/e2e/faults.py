"""Servers that fail as told: an S3 server, by a proxy before the real one, and the TLS of any server.

    with FaultyS3(port_of_the_real_one) as s3:
        s3.fail("HEAD", error(503, "SlowDown"), of=blob_id)
        wait_for("a look", lambda: s3.asked("HEAD", of=blob_id))
        s3.mend()

What is not told to fail passes unchanged, Host included, because Host is signed.
"""
import collections
import http.client
import http.server
import select
import socket
import ssl
import threading
from contextlib import suppress
from xml.sax.saxutils import escape

HOST = "127.0.0.1"


class FaultyS3:
    """Listens on a free port of the loopback from the beginning until close()."""

    def __init__(self, port_behind):
        self.behind = port_behind
        self.lock = threading.Lock()
        self.faults = []  # (method, end of the path, what to do instead)
        self.requests = collections.Counter()  # by method and path
        self.now, self.most_at_once = collections.Counter(), collections.Counter()  # by method
        self.mended = threading.Event()
        self.port, self.server = 0, None
        self.listen()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def url(self):
        return f"http://{HOST}:{self.port}"

    # --- what tests tell and ask ----------------------------------------------------------------

    def fail(self, method, how, of=""):
        """Requests of this method on paths that end in `of` fail like this until mend()."""
        with self.lock:
            self.mended.clear()
            self.faults.append((method, of, how))

    def mend(self):
        """All is well again; what hangs is cut off."""
        with self.lock:
            self.faults = []
            self.mended.set()

    def asked(self, method, of=""):
        """How many requests of this method came for paths that end in `of`."""
        with self.lock:
            return sum(n for (m, path), n in self.requests.items() if m == method and path.endswith(of))

    def refuse(self):
        """Connections are refused until listen()."""
        self.server.shutdown()
        self.server.server_close()
        self.server = None

    def listen(self):
        self.server = Server((HOST, self.port), Exchange)
        self.server.proxy = self
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.mend()
        if self.server:
            self.refuse()

    # --- what exchanges ask ---------------------------------------------------------------------

    def begin(self, method, path):
        """Counts a request; what is to be done to it, or None."""
        with self.lock:
            self.requests[method, path] += 1
            self.now[method] += 1
            self.most_at_once[method] = max(self.most_at_once[method], self.now[method])
            return next((how for m, of, how in self.faults if m == method and path.endswith(of)), None)

    def end(self, method):
        with self.lock:
            self.now[method] -= 1


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512


class Exchange(http.server.BaseHTTPRequestHandler):
    """One request and its answer; faults work on it."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def serve(self):
        self.proxy = self.server.proxy
        how = self.proxy.begin(self.command, self.path)
        try:
            (how or passed)(self)
        except OSError:
            self.close_connection = True  # the client, or the server behind, went away
        finally:
            self.proxy.end(self.command)

    do_HEAD = do_GET = do_PUT = do_DELETE = serve

    def ask_behind(self):
        """Status, headers and body of the real answer."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = http.client.HTTPConnection(HOST, self.proxy.behind, timeout=30)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def answer(self, status, headers, body=b""):
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def drop(self):
        self.close_connection = True

    def log_message(self, *_):
        pass


def passed(exchange):
    exchange.answer(*exchange.ask_behind())


# --- faults: what happens to a request --------------------------------------------------------------


def error(status, code):
    """An error as AWS words it; to a HEAD without a body, as always."""
    def how(exchange):
        text = (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>No.</Message>'
                f"<Resource>{escape(exchange.path)}</Resource><RequestId>4442587FB7D0A2F9</RequestId></Error>")
        body = b"" if exchange.command == "HEAD" else text.encode()
        exchange.answer(status, {"Content-Type": "application/xml", "Content-Length": str(len(text))}, body)
    return how


def hang(exchange):
    """No answer until all is mended, and then none either."""
    exchange.proxy.mended.wait(60)
    exchange.drop()


def drop(exchange):
    """The connection ends instead of an answer."""
    exchange.drop()


def cut(n):
    """The connection ends after n bytes of the body."""
    def how(exchange):
        status, headers, body = exchange.ask_behind()
        exchange.answer(status, headers, body[:n])
        exchange.drop()
    return how


def drip(exchange):
    """A byte of the body now and then."""
    status, headers, body = exchange.ask_behind()
    exchange.answer(status, headers, body[:1])
    for i in range(1, len(body)):
        if exchange.proxy.mended.wait(0.2):
            break
        exchange.wfile.write(body[i:i + 1])
    exchange.drop()


def short(n, ranged):
    """A well-formed answer that has only n bytes; to requests with or without a range."""
    def how(exchange):
        status, headers, body = exchange.ask_behind()
        if ranged == ("Range" in exchange.headers):
            headers["Content-Length"], body = str(n), body[:n]
        exchange.answer(status, headers, body)
    return how


def without(header):
    """The real answer, but for one header."""
    def how(exchange):
        status, headers, body = exchange.ask_behind()
        kept = {name: value for name, value in headers.items() if name.lower() != header}
        exchange.answer(status, kept, body)
        if header == "content-length":
            exchange.drop()
    return how


class TlsFront:
    """TLS before a server that speaks plain HTTP; show() says with which certificate, or how it fails."""
    HANG, PLAIN = "hang", "plain"

    def __init__(self, port_behind):
        self.behind, self.shown, self.carried = port_behind, self.HANG, []
        self.changed = threading.Event()
        self.listener = socket.create_server((HOST, 0), backlog=128)
        self.url = f"https://{HOST}:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.show(self.HANG)
        self.listener.close()

    def show(self, what):
        """A PEM file with certificate and key, HANG or PLAIN, for connections from now on; those of before end."""
        self.shown = what
        for tls in self.carried:
            with suppress(OSError):
                tls.shutdown(socket.SHUT_RDWR)
        self.carried.clear()
        self.changed.set()  # ends what hangs
        self.changed = threading.Event()

    def accept(self):
        with suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, client):
        with suppress(OSError), client:
            if self.shown == self.HANG:
                self.changed.wait(60)
            elif self.shown == self.PLAIN:
                client.recv(1024)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            else:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.shown)
                with context.wrap_socket(client, server_side=True) as tls:
                    self.carried.append(tls)
                    self.carry(tls)

    def carry(self, tls):
        with socket.create_connection((HOST, self.behind)) as behind:
            while True:
                ready = [tls] if tls.pending() else select.select([tls, behind], [], [])[0]
                for here in ready:
                    data = here.recv(65536)
                    if not data:
                        return
                    (behind if here is tls else tls).sendall(data)
