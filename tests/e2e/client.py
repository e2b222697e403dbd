"""The client's side of a journey: requests over kept connections, answers with their Cache-Status.

One Client is one connection at a time and belongs to one thread.
"""

import http.client
import json
import re
import socket
from dataclasses import dataclass, field

TIMEOUT_S = 60


def _split(text, separator):
    """Splits a structured field, not inside its strings."""
    return [part.strip() for part in re.findall(r'(?:"(?:\\.|[^"\\])*"|[^"%s])+' % separator, text)]


@dataclass
class CacheStatus:
    """Our member of a Cache-Status field (RFC 9211), taken apart."""

    hit: bool = False
    fwd: str | None = None
    fwd_status: int | None = None
    stored: bool = False
    collapsed: bool = False
    ttl: int | None = None
    detail: str = ""  # the reason's word
    about: str = ""  # the field or part that it is about
    parameters: dict = field(default_factory=dict)

    @classmethod
    def parse(cls, text):
        status = cls()
        for member in _split(text or "", ","):
            name, *parameters = _split(member, ";")
            if name != "cachegate":
                continue
            for parameter in parameters:
                key, _, value = parameter.partition("=")
                status.parameters[key] = value.strip('"') if value else True
        known = status.parameters
        status.hit = bool(known.get("hit", False))
        status.fwd = known.get("fwd")
        status.fwd_status = int(known["fwd-status"]) if "fwd-status" in known else None
        status.stored = bool(known.get("stored", False))
        status.collapsed = bool(known.get("collapsed", False))
        status.ttl = int(known["ttl"]) if "ttl" in known else None
        status.detail, _, status.about = known.get("detail", "").partition(": ")
        return status


class Answer:
    def __init__(self, status, fields, body):
        self.status = status
        self.fields = fields  # (lower-case name, value) pairs in order
        self.body = body
        self.cache = CacheStatus.parse(self.field("cache-status"))

    def field(self, name, otherwise=None):
        values = [value for known, value in self.fields if known == name.lower()]
        return ", ".join(values) if values else otherwise

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "<%d %s %r>" % (self.status, self.field("cache-status"), self.body[:200])


class _Connection(http.client.HTTPConnection):
    """http.client to an address of ours: `host:port` or `unix:/path`."""

    def __init__(self, address):
        self.address = address
        host, port = ("localhost", None)
        if not address.startswith("unix:"):
            host, _, port = address.rpartition(":")
        super().__init__(host.strip("[]"), port and int(port), timeout=TIMEOUT_S)

    def connect(self):
        if self.address.startswith("unix:"):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(TIMEOUT_S)
            self.sock.connect(self.address[len("unix:"):])
        else:
            super().connect()


class Client:
    def __init__(self, address, host="api.example"):
        self.address = address
        self.host = host
        self.connection = _Connection(address)

    def close(self):
        self.connection.close()

    def send(self, method, target, user=None, headers=None, body=None, host=None):
        """Sends a request and returns the http.client response, its body unread."""
        fields = {"Host": host or self.host, "Accept-Encoding": "identity"}
        if user is not None:
            fields["Authorization"] = "Bearer " + user
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            fields["Content-Type"] = "application/json"
        fields.update(headers or {})
        for attempt in (1, 2):
            reused = self.connection.sock is not None
            try:
                self._send(method, target, body, fields)
                return self.connection.getresponse()
            except (http.client.RemoteDisconnected, ConnectionError):
                # A kept connection that the gateway had closed meanwhile says nothing about it.
                self.connection.close()
                if attempt == 2 or not reused:
                    raise
        raise AssertionError("unreachable")

    def _send(self, method, target, body, fields):
        try:
            self.connection.request(method, target, body, fields)
        except (BrokenPipeError, ConnectionResetError):
            # Refused before it was sent whole: the answer to it is there to be read. Without a
            # socket the connection was never made.
            if not body or self.connection.sock is None:
                raise

    def request(self, method, target, **arguments):
        response = self.send(method, target, **arguments)
        body = response.read()
        fields = [(name.lower(), value) for name, value in response.getheaders()]
        return Answer(response.status, fields, body)

    def get(self, target, user=None, **arguments):
        return self.request("GET", target, user=user, **arguments)


def exchange_raw(address, bytes_, half_close=False):
    """Sends bytes as they are and returns all that comes back until the gateway closes."""
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(TIMEOUT_S)
        connection.connect(address[len("unix:"):])
    else:
        host, _, port = address.rpartition(":")
        connection = socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S)
    with connection:
        connection.sendall(bytes_)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
        return received


def split_answers(received):
    """Answers with Content-Length, one after the other, as (status, head text, body)."""
    answers = []
    while received:
        head, separator, rest = received.partition(b"\r\n\r\n")
        if not separator:
            break
        text = head.decode("latin-1")
        length = 0
        for line in text.split("\r\n")[1:]:
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                length = int(value)
        answers.append((int(text.split(" ")[1]), text, rest[:length]))
        received = rest[length:]
    return answers
