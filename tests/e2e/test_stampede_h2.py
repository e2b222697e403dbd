"""test_stampede.py over HTTP/2: many streams on few connections. Heads are not decoded, but for the status."""

import asyncio
import struct
import time

import test_stampede as stampede
from h2_abuse import (DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PING, PREFACE, RST_STREAM,
                      SETTINGS, WINDOW_MAX, WINDOW_UPDATE, field, frame, request_block)
from harness import main

STREAMS = 90  # on one connection; limits.http2_streams is 100
ACK = 1
OK = 0x88  # ":status: 200" of the static table


async def ask_on_one(address, questions, tell):
    """`questions` are (number, target, fields); tell(number, answer) for each."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    window = struct.pack(">I", WINDOW_MAX - 65535)
    bytes_ = PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, 1 << 24))
    bytes_ += frame(WINDOW_UPDATE, 0, 0, window)
    answers = {}
    for place, (number, target, fields) in enumerate(questions):
        extra = b"".join(field(name.lower(), value) for name, value in fields)
        bytes_ += frame(HEADERS, END_HEADERS | END_STREAM, 2 * place + 1,
                        request_block(target, authority="api.test", extra=extra))
        answers[2 * place + 1] = (number, stampede.Told(0, "", b"", 0))
    writer.write(bytes_)
    while answers:
        head = await reader.readexactly(9)
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
        if kind == SETTINGS and not flags & ACK:
            writer.write(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            writer.write(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            raise ConnectionError("the gateway says goodbye: %r" % payload)
        if stream not in answers:
            continue
        number, answer = answers[stream]
        if kind == HEADERS:
            answer.status = 200 if payload[0] == OK else answer.status or 1
        elif kind == DATA:
            answer.body += payload
        if kind == RST_STREAM or (kind in (HEADERS, DATA) and flags & END_STREAM):
            answer.status = 0 if kind == RST_STREAM else answer.status
            answer.at_s = time.monotonic()
            tell(number, answer)
            del answers[stream]
    writer.close()


def all_ask(questions, when_asked):
    """As the one over HTTP/1.1; a connection for each 90 of a gateway. None: no answer."""
    answers = [None] * len(questions)
    apart = {}
    for number, (address, target, *fields) in enumerate(questions):
        apart.setdefault(address, []).append((number, target, fields[0] if fields else ()))

    async def run():
        tasks = [asyncio.ensure_future(ask_on_one(address, share[start:start + STREAMS], answers.__setitem__))
                 for address, share in apart.items() for start in range(0, len(share), STREAMS)]
        await asyncio.get_running_loop().run_in_executor(None, when_asked)
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 120)
    asyncio.run(run())
    return answers


class ColdKey(stampede.ColdKey):
    ask_all = staticmethod(all_ask)


class Killed(stampede.StampedeJourney):
    ask_all = staticmethod(all_ask)
    test_one_takes_over_when_the_leader_is_killed = stampede.Leaders.test_one_takes_over_when_the_leader_is_killed


class Identity(stampede.Identity):
    ask_all = staticmethod(all_ask)


if __name__ == "__main__":
    main()
