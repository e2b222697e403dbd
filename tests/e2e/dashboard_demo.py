"""The picture of the dashboard in the documentation: the demo application under traffic.

    tests/e2e/test_dashboard.py --screenshot conf/dashboard.png            five minutes, light
    tests/e2e/test_dashboard.py --screenshot FILE --seconds 40 --dark

Readers of conf/demo/finance.py come and go, some write; the store is a Redis of its own.
"""

import argparse
import collections
import json
import math
import pathlib
import random
import re
import struct
import subprocess
import sys
import threading
import time
import zlib

import browser
from harness import ADMIN_TOKEN, EXAMPLES, TREE, Gateway, wait_until
from redis_servers import SECRET, Redis, on_free_port

USERS = ("alice", "bob", "carol", "dave")
READERS = 6
READS_PER_S = 90


class Finance:
    """The demo application as a process of its own."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, str(TREE / "conf" / "demo" / "finance.py"), "--listen", "127.0.0.1:0",
             "--rows", "4000"], stdout=subprocess.PIPE, text=True)
        self.url = re.fullmatch(r"listening on (http://\S+)\n", self.process.stdout.readline()).group(1)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.process.stdout.close()


class Traffic:
    """People who look at a few sessions often and at others seldom, and now and then change one."""

    def __init__(self, front):
        self.front = front
        self.over = threading.Event()
        self.began = time.monotonic()
        self.threads = [threading.Thread(target=self.read, args=(number,)) for number in range(READERS)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def pause(self, chance):
        """More comes in waves of a minute and a half."""
        wave = 1 + 0.45 * math.sin((time.monotonic() - self.began) / 90 * 2 * math.pi)
        self.over.wait(chance.expovariate(READS_PER_S * wave / READERS))

    def read(self, number):
        chance = random.Random(number)
        client = self.front.client()
        while not self.over.is_set():
            user = chance.choice(USERS)
            session = "%s-%02d" % (user, min(9, int(chance.paretovariate(0.9)) - 1))
            target = chance.choices(
                ("/transactions?session_id=%s&page=%d" % (session, min(40, int(chance.paretovariate(1.1)))),
                 "/summary?session_id=" + session, "/category-summary?session_id=" + session, "/sessions", "/rules"),
                (10, 4, 3, 3, 1))[0]
            if chance.random() < 0.012:
                self.write(client, user, session, chance)
            else:
                client.get(target, user)
            self.pause(chance)
        client.close()

    @staticmethod
    def write(client, user, session, chance):
        category = chance.choice(("rent", "travel", "groceries"))
        if chance.random() < 0.6:
            number = 1 + USERS.index(user) * 10 + int(session[-2:]) + 40 * chance.randrange(90)
            client.request("PUT", "/transactions/%d" % number, user=user, body={"category": category})
        else:
            client.request("POST", "/bulk-categorise", user=user, body={
                "session_id": session, "merchant": "merchant-%02d" % chance.randrange(40), "category": category})


def chunks(png):
    at = 8
    while at < len(png):
        length = int.from_bytes(png[at:at + 4], "big")
        yield png[at + 4:at + 8], png[at + 8:at + 8 + length]
        at += 12 + length


def rows_of(png):
    """The rows of a PNG of Chromium: eight bits a channel, RGB or RGBA, not interlaced."""
    parts = {kind: content for kind, content in chunks(png) if kind != b"IDAT"}
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    assert (depth, interlaced) == (8, 0) and colour in (2, 6), "another kind of PNG"
    size = 3 if colour == 2 else 4
    data = zlib.decompress(b"".join(content for kind, content in chunks(png) if kind == b"IDAT"))
    before = bytearray(width * size)
    for number in range(height):
        line = data[number * (width * size + 1):(number + 1) * (width * size + 1)]
        row = bytearray(line[1:])
        for i in range(len(row)):
            left = row[i - size] if i >= size else 0
            above, corner = before[i], before[i - size] if i >= size else 0
            if line[0] == 1:
                row[i] = (row[i] + left) & 255
            elif line[0] == 2:
                row[i] = (row[i] + above) & 255
            elif line[0] == 3:
                row[i] = (row[i] + (left + above) // 2) & 255
            elif line[0] == 4:
                guess = left + above - corner
                near = min((left, above, corner), key=lambda value: abs(guess - value))
                row[i] = (row[i] + near) & 255
        before = row
        yield [bytes(row[i:i + 3]) for i in range(0, len(row), size)]


def shrink(png):
    """The same with 256 colours: the frequent ones as they are, each other one as the nearest of them."""
    rows = list(rows_of(png))
    counts = collections.Counter(pixel for row in rows for pixel in row)
    palette = [pixel for pixel, _ in counts.most_common(256)]
    index = {pixel: number for number, pixel in enumerate(palette)}
    for pixel in counts:
        if pixel not in index:
            index[pixel] = min(range(len(palette)), key=lambda n: sum((a - b) ** 2 for a, b in zip(palette[n], pixel)))
    data = b"".join(b"\0" + bytes(index[pixel] for pixel in row) for row in rows)
    parts = ((b"IHDR", struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 3, 0, 0, 0)),
             (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(data, 9)), (b"IEND", b""))
    return png[:8] + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts)


def take(front, options):
    chromium = browser.Browser()
    try:
        page = chromium.page(width=options.width, height=options.height, dark=options.dark)
        page.open("http://%s/" % front.admin_address)
        page.wait("document.querySelector('#version').textContent !== ''")
        page.type("#token", ADMIN_TOKEN)
        page.type("#pattern", "/transactions?session_id=alice-03")
        page.click("#submit")
        page.wait("document.querySelector('#result').className === 'good'")
        page.wait("document.querySelector('#purges td.cause')?.innerText === 'admin'")
        page.value("document.activeElement.blur(), scrollTo(0, 0)")
        complaints = page.complaints()
        picture = page.screenshot()
    finally:
        chromium.close()
    if complaints:
        sys.exit("the page complains:\n" + "\n".join(complaints))
    return picture


def take_picture(arguments):
    parser = argparse.ArgumentParser(prog="test_dashboard.py", description="Takes the picture of the dashboard.")
    parser.add_argument("--screenshot", required=True, type=pathlib.Path, metavar="FILE")
    parser.add_argument("--seconds", type=int, default=305, help="of traffic before it (default %(default)s)")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=1200)
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args(arguments)
    application, redis = Finance(), on_free_port(lambda port: Redis(port=port))
    front = None
    try:
        front = Gateway(application, config_file=EXAMPLES / "finance" / "cachegate.yaml",
                        environment={"CACHEGATE_STORE_REDIS": "redis://127.0.0.1:%d" % redis.port,
                                     "CACHEGATE_SECRET": SECRET})
        wait_until(lambda: sum("message=connected" in line for line in list(front.lines)) >= 3,
                   "each thread and the admin API are connected to Redis")
        traffic = Traffic(front)
        try:
            traffic.over.wait(options.seconds)
            options.screenshot.write_bytes(shrink(take(front, options)))
        finally:
            traffic.stop()
        print(json.dumps({"file": str(options.screenshot), "bytes": options.screenshot.stat().st_size}))
    finally:
        if front is not None:
            front.stop()
        redis.close()
        application.stop()
