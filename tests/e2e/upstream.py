"""An upstream under the test's control: counts, holds, fails and cuts.

It is a small HTTP/1.1 server of its own, because a test must be able to do what a well-behaved
server library refuses to: cut a body, close without an answer, hold an answer until the test says
so. What it answers comes from an App. Nothing here sleeps: a held answer waits for an event.
"""

import json
import os
import socket
import socketserver
import threading
import urllib.parse
from collections import Counter

WAIT_S = 60  # an event that has not come by then will never come


class Request:
    """One request as the upstream received it."""

    def __init__(self, method, target, fields, body):
        self.method = method
        self.target = target
        self.fields = fields  # (lower-case name, value) pairs in order
        self.body = body
        path, _, query = target.partition("?")
        self.path = path
        self.query = urllib.parse.parse_qs(query, keep_blank_values=True)

    def field(self, name, otherwise=None):
        values = [value for field, value in self.fields if field == name.lower()]
        return ", ".join(values) if values else otherwise

    def parameter(self, name, otherwise=None):
        return self.query.get(name, [otherwise])[-1]

    def json(self):
        return json.loads(self.body)


class Reply:
    """One answer. `chunks` is an iterable of bytes: sent chunked unless `length` is given."""

    def __init__(self, status=200, body=b"", fields=(), chunks=None, length=None):
        self.status = status
        self.body = body.encode() if isinstance(body, str) else body
        self.fields = list(fields)
        self.chunks = chunks
        self.length = length

    @classmethod
    def json(cls, value, status=200, fields=()):
        return cls(status, json.dumps(value), [("Content-Type", "application/json"), *fields])


class Gate:
    """Holds one request. `arrived` is set when it is held; release() lets it go on."""

    def __init__(self):
        self.arrived = threading.Event()
        self.released = threading.Event()

    def release(self):
        self.released.set()

    def wait_arrived(self):
        assert self.arrived.wait(WAIT_S), "no request arrived at the gate"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()


class _Trouble:
    """What goes wrong for the next `times` requests to a path."""

    def __init__(self, kind, times, **details):
        self.kind = kind
        self.times = times
        self.details = details


class App:
    """Routes `(methods, path with {names}, function)`; the first that matches answers.

    The function takes the request and the named segments, and returns a Reply, or a value that
    becomes JSON.
    """

    def __init__(self):
        self.lock = threading.RLock()
        self.routes = []
        self.versions = Counter()

    def route(self, methods, path, function):
        self.routes.append((methods.split("|"), path.split("/"), function))

    def answer(self, request):
        segments = [urllib.parse.unquote(part) for part in request.path.split("/")]
        for methods, pattern, function in self.routes:
            if request.method not in methods and methods != ["*"]:
                continue
            names = _match(pattern, segments)
            if names is not None:
                result = function(request, **names)
                return result if isinstance(result, Reply) else Reply.json(result)
        return Reply.json({"error": "no such path"}, 404)

    # Versioned state, enough for most fakes: a read tells the version of what it shows, a write
    # makes a new one.

    def read(self, request, *names):
        with self.lock:
            state = {name: self.versions[name] for name in names}
        return {"target": request.target, "user": request.field("authorization"), "state": state}

    def write(self, *names):
        with self.lock:
            for name in names:
                self.versions[name] += 1
            return {name: self.versions[name] for name in names}


def _match(pattern, segments):
    if len(pattern) != len(segments):
        return None
    names = {}
    for expected, segment in zip(pattern, segments):
        if expected.startswith("{"):
            names[expected[1:-1]] = segment
        elif expected != segment:
            return None
    return names


class EchoApp(App):
    """Every path answers what was asked, the user and a number that grows with each answer."""

    def __init__(self):
        super().__init__()
        self.served = 0

    def answer(self, request):
        for methods, pattern, _ in self.routes:
            segments = request.path.split("/")
            if request.method in methods and _match(pattern, segments) is not None:
                return super().answer(request)
        with self.lock:
            self.served += 1
            number = self.served
        return Reply.json({"target": request.target, "method": request.method, "number": number,
                           "user": request.field("authorization"),
                           "body": request.body.decode("latin-1")})


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    wbufsize = 0

    def setup(self):
        if self.server.is_unix:
            self.disable_nagle_algorithm = False
        super().setup()
        self.server.owner.opened(self.connection)

    def finish(self):
        self.server.owner.closed(self.connection)
        super().finish()

    def handle(self):
        try:
            while True:
                request = _read_request(self.rfile)
                if request is None or not self.server.owner.serve(self, request):
                    return
        except (ConnectionError, TimeoutError):
            return


def _read_request(stream):
    line = stream.readline(65537)
    if not line:
        return None
    method, target, _ = line.decode("latin-1").rstrip("\r\n").split(" ", 2)
    fields = []
    while True:
        line = stream.readline(65537).decode("latin-1").rstrip("\r\n")
        if not line:
            break
        name, _, value = line.partition(":")
        fields.append((name.lower(), value.strip()))
    framing = dict(fields)
    body = b""
    if "chunked" in framing.get("transfer-encoding", ""):
        while size := int(stream.readline().split(b";")[0] or b"0", 16):
            body += stream.read(size)
            stream.readline()
        while stream.readline().strip():
            pass
    elif "content-length" in framing:
        body = stream.read(int(framing["content-length"]))
    return Request(method, target, fields, body)


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    is_unix = False


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    is_unix = True

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("unix", 0)


class Upstream:
    """Serves an App on a free port of loopback, or on a UNIX socket; a context manager."""

    def __init__(self, app=None, unix_path=None):
        self.app = app if app is not None else EchoApp()
        self.lock = threading.Lock()
        self.requests = []  # every Request, in order of arrival
        self.connections = set()  # those that are open
        self._gates = {}
        self._troubles = {}
        if unix_path:
            self.server = _UnixServer(unix_path, _Handler)
            self.url = "unix:" + unix_path
            self.address = "unix:" + unix_path
        else:
            self.server = _TcpServer(("127.0.0.1", 0), _Handler)
            self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
            self.address = self.url[len("http://"):]
        self.server.owner = self
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self):
        """Nobody listens any more, and every connection is closed."""
        for gates in list(self._gates.values()):
            for _, gate in gates:
                gate.release()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(WAIT_S)
        with self.lock:
            for connection in self.connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the gateway was faster
        if self.server.is_unix and os.path.exists(self.server.server_address):
            os.unlink(self.server.server_address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # What a test asks and orders.

    def count(self, target=None, method=None):
        """How many requests came, for a target (with its query) or a path (without one)."""
        with self.lock:
            return sum(1 for request in self.requests
                       if target in (None, request.target, request.path)
                       and method in (None, request.method))

    def last(self, path=None):
        with self.lock:
            return next(request for request in reversed(self.requests)
                        if path in (None, request.path))

    def hold(self, path, when="before"):
        """Holds the next request to `path`: `before` the app sees it, or `after` the app has
        answered, so that the answer shows the state of before the gate was released."""
        gate = Gate()
        with self.lock:
            self._gates.setdefault(path, []).append((when, gate))
        return gate

    def fail(self, path, status=500, times=1, fields=()):
        self._trouble(path, _Trouble("status", times, status=status, fields=fields))

    def cut(self, path, after=10, times=1, chunked=False):
        """The app answers, but the connection ends `after` bytes of the body."""
        self._trouble(path, _Trouble("cut", times, after=after, chunked=chunked))

    def drop(self, path, times=1):
        """The connection closes without an answer, before the app sees the request."""
        self._trouble(path, _Trouble("drop", times))

    def write_raw(self, path, bytes_, times=1):
        """These bytes are the answer, whatever they are; then the connection closes."""
        self._trouble(path, _Trouble("raw", times, bytes=bytes_))

    def heal(self, path):
        with self.lock:
            self._troubles.pop(path, None)

    def _trouble(self, path, trouble):
        with self.lock:
            self._troubles.setdefault(path, []).append(trouble)

    # The server's side.

    def opened(self, connection):
        with self.lock:
            self.connections.add(connection)

    def closed(self, connection):
        with self.lock:
            self.connections.discard(connection)

    def serve(self, handler, request):
        with self.lock:
            self.requests.append(request)
            gates = self._gates.get(request.path)
            when, gate = gates.pop(0) if gates else (None, None)
            trouble = self._next_trouble(request.path)
        if when == "before":
            gate.arrived.set()
            gate.released.wait(WAIT_S)
        if trouble and trouble.kind == "drop":
            return False
        if trouble and trouble.kind == "raw":
            handler.wfile.write(trouble.details["bytes"])
            return False
        if trouble and trouble.kind == "status":
            reply = Reply.json({"error": "told to fail"}, trouble.details["status"],
                               trouble.details["fields"])
        else:
            reply = self.app.answer(request)
        if when == "after":
            gate.arrived.set()
            gate.released.wait(WAIT_S)
        if trouble and trouble.kind == "cut":
            _write_cut(handler.wfile, reply, trouble.details)
            return False
        return _write_reply(handler.wfile, request, reply)

    def _next_trouble(self, path):
        troubles = self._troubles.get(path)
        if not troubles:
            return None
        trouble = troubles[0]
        trouble.times -= 1
        if trouble.times == 0:
            troubles.pop(0)
        return trouble


def _head(reply, framing):
    lines = ["HTTP/1.1 %d Status" % reply.status]
    lines += ["%s: %s" % field for field in reply.fields]
    lines += ["%s: %s" % field for field in framing]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _write_reply(stream, request, reply):
    bodiless = request.method == "HEAD" or reply.status in (204, 304)
    if reply.chunks is None:
        framing = [] if reply.status in (204, 304) else [("Content-Length", len(reply.body))]
        stream.write(_head(reply, framing) + (b"" if bodiless else reply.body))
        return True
    if reply.length is not None:
        stream.write(_head(reply, [("Content-Length", reply.length)]))
        for chunk in () if bodiless else reply.chunks:
            stream.write(chunk)
        return True
    stream.write(_head(reply, [("Transfer-Encoding", "chunked")]))
    if not bodiless:
        for chunk in reply.chunks:
            stream.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        stream.write(b"0\r\n\r\n")
    return True


def _write_cut(stream, reply, details):
    part = reply.body[:details["after"]]
    if details["chunked"]:
        stream.write(_head(reply, [("Transfer-Encoding", "chunked")])
                     + b"%x\r\n%s\r\n" % (len(part), part))
    else:
        stream.write(_head(reply, [("Content-Length", len(reply.body))]) + part)
