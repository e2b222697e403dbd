"""The second promise: a read that starts after a write was answered never sees the state before it.

Many readers and writers go through one gateway with several threads, over many connections. The
upstream counts a version per item and answers after random delays before and after it looks at its
state, so that old answers are always under way when a write happens. Each reader notes, before it
asks, the newest version of which it knows that a write of it was answered; an older answer is a
violation. Lifetimes pass meanwhile (the test clock jumps), and some writes are cut after they were
committed.

CACHEGATE_SEED replays a seed; CACHEGATE_CONSISTENCY_S makes it run longer (default 6 s a part). The
last part takes the invalidation away and expects the checker to notice: a checker that cannot fail
proves nothing.
"""

import http.client
import os
import random
import threading
import time
import unittest

from harness import App, Client, Gateway, Reply, Upstream, main, seed

ITEMS = 4
SESSIONS = 2
USERS = 2
READERS = 16
WRITERS = 3
SECONDS = float(os.environ.get("CACHEGATE_CONSISTENCY_S", "6"))
BUSY_S = 60  # so much longer, where the machine is too busy for a part to do enough
JITTER_S = 0.02
CUT_SHARE = 0.05

RULES = """
defaults: {{ ttl: 20s, scope: user, stale_while_revalidate: 10s, stale_if_error: 1m }}
groups:
  session:
    - /list?session={{id}}
    - /sessions/{{id}}/items
routes:
  - match: GET /items/{{id}}
  - match: GET /list
  - match: GET /sessions/{{id}}/items
  - match: GET /shared/{{id}}
    scope: shared
    override: [authorization]
  - match: PUT /items/{{id}}
    {by_response}
  - match: POST /change
    {by_request}
"""
SOUND = {
    "by_response": """invalidate:
      - { group: session, id: "{response.session}" }
      - "/shared/{id}\"""",
    "by_request": """invalidate:
      - { group: session, id: "{request.session}" }
      - "/items/{request.item}"
      - "/shared/{request.item}\"""",
}
BROKEN = {"by_response": "invalidate: none", "by_request": "invalidate: none"}


def session_of(item):
    return item % SESSIONS


class Versions(App):
    """Items with versions; each belongs to a session. Delays by a seeded generator."""

    def __init__(self, seed_):
        super().__init__()
        self.random = random.Random(seed_)
        self.wakes = threading.Event()  # never set: waiting for it is the delay
        self.items = [0] * ITEMS
        self.committed = {}  # write id → (item, version), also of writes whose answer was cut
        self.route("GET", "/items/{id}", self.item)
        self.route("GET", "/shared/{id}", self.item)
        self.route("GET", "/list", lambda request: self.of_session(int(request.parameter("session"))))
        self.route("GET", "/sessions/{id}/items", lambda request, id: self.of_session(int(id)))
        self.route("PUT", "/items/{id}", lambda request, id: self.change(request, int(id)))
        self.route("POST", "/change", lambda request: self.change(request, request.json()["item"]))

    def delay(self):
        with self.lock:
            seconds = self.random.random() * JITTER_S
        self.wakes.wait(seconds)

    def look(self, items):
        self.delay()
        with self.lock:
            versions = {str(item): self.items[item] for item in items}
        self.delay()
        return {"items": versions}

    def item(self, request, id):
        return self.look([int(id)])

    def of_session(self, session):
        return self.look([item for item in range(ITEMS) if session_of(item) == session])

    def change(self, request, item):
        self.delay()
        with self.lock:
            self.items[item] += 1
            version = self.items[item]
            self.committed[request.field("x-write")] = (item, version)
            cut = self.random.random() < CUT_SHARE
        self.delay()
        reply = Reply.json({"item": item, "session": session_of(item), "version": version})
        if cut:
            # Less than its Content-Length, and then the end of the connection.
            reply.chunks, reply.length = _cut(reply.body), len(reply.body)
        return reply


def _cut(body):
    yield body[:5]
    raise ConnectionAbortedError("told to cut")


class Checker:
    """What all clients know together, and what contradicts it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.floors = [0] * ITEMS
        self.violations = []
        self.reads = 0
        self.hits = 0
        self.stale_hits = 0
        self.writes = 0

    def known(self):
        with self.lock:
            return list(self.floors)

    def written(self, item, version):
        with self.lock:
            self.writes += 1
            self.floors[item] = max(self.floors[item], version)

    def read(self, known, answer, target):
        seen = answer.json()["items"]
        with self.lock:
            self.reads += 1
            self.hits += answer.cache.hit
            self.stale_hits += answer.cache.detail == "stale-while-revalidate"
            for item, version in seen.items():
                if version < known[int(item)]:
                    self.violations.append("%s showed item %s at %d, known was %d (%s)" % (
                        target, item, version, known[int(item)], answer.field("cache-status")))


class Run:
    """Readers and writers against one gateway until time is up or, when asked, a violation."""

    def __init__(self, gateway, app, seed_, until_violation=False):
        self.gateway = gateway
        self.app = app
        self.seed = seed_
        self.until_violation = until_violation
        self.checker = Checker()
        self.over = threading.Event()
        self.errors = []

    def threads(self):
        for number in range(READERS):
            yield threading.Thread(target=self.guard, args=(self.read, number))
        for number in range(WRITERS):
            yield threading.Thread(target=self.guard, args=(self.write, READERS + number))

    def guard(self, work, number):
        chance = random.Random(self.seed * 1000 + number)
        try:
            client = None
            while not self.over.is_set():
                if client is None or chance.random() < 0.1:
                    # A new connection may land on another thread of the gateway.
                    if client:
                        client.close()
                    client = Client(self.gateway.address)
                work(client, chance, number)
        except Exception as error:  # noqa: BLE001: any surprise fails the test
            self.errors.append("%s: %r" % (work.__name__, error))
            self.over.set()
        finally:
            if client:
                client.close()

    def read(self, client, chance, number):
        item = chance.randrange(ITEMS)
        target = chance.choice(["/items/%d" % item, "/shared/%d" % item,
                                "/list?session=%d" % session_of(item),
                                "/sessions/%d/items" % session_of(item)])
        known = self.checker.known()
        answer = client.get(target, "user-%d" % chance.randrange(USERS))
        if answer.status != 200:
            raise AssertionError("%s: %r" % (target, answer))
        self.checker.read(known, answer, target)
        if self.until_violation and self.checker.violations:
            self.over.set()

    def write(self, client, chance, number):
        item = chance.randrange(ITEMS)
        write = "%d-%d" % (number, self.checker.writes) + "-%d" % chance.getrandbits(60)
        user = "user-%d" % chance.randrange(USERS)
        try:
            if chance.random() < 0.5:
                client.request("PUT", "/items/%d" % item, user=user, body={}, headers={"X-Write": write})
            else:
                client.request("POST", "/change", user=user, headers={"X-Write": write},
                               body={"item": item, "session": session_of(item)})
        except (http.client.HTTPException, ConnectionError):
            client.close()  # cut after it was committed
        # Answered, with an error or by a cut: whatever was committed must be seen from now on.
        with self.app.lock:
            committed = self.app.committed.pop(write, None)
        if committed:
            self.checker.written(*committed)
        # Reads outnumber writes, or there would be nothing to find stale.
        self.over.wait(chance.random() * 0.08)
        if chance.random() < 0.2:
            self.gateway.advance(chance.random() * 15)

    def go(self, seconds, enough=lambda checker: True):
        """For so long, and then until there was enough to judge."""
        threads = list(self.threads())
        for thread in threads:
            thread.start()
        self.over.wait(seconds)
        until = time.monotonic() + BUSY_S
        while not enough(self.checker) and time.monotonic() < until and not self.over.wait(0.1):
            pass
        self.over.set()
        for thread in threads:
            thread.join(120)
        return self.checker


class Consistency(unittest.TestCase):
    @staticmethod
    def is_enough(checker):
        return checker.reads > 100 and checker.writes > 10 and checker.hits > checker.reads / 20

    def run_with(self, invalidation, seconds, threads, until_violation=False, config=None):
        seed_ = seed()
        app = Versions(seed_)
        with Upstream(app) as upstream:
            gateway = Gateway(upstream, RULES.format(**invalidation), threads=threads, config=config)
            try:
                run = Run(gateway, app, seed_, until_violation)
                began = time.monotonic()
                checker = run.go(seconds, self.is_enough)
                print("%.1f s: %d reads, %d hits (%d stale by time), %d writes, %d violations" % (
                    time.monotonic() - began, checker.reads, checker.hits, checker.stale_hits,
                    checker.writes, len(checker.violations)), flush=True)
            finally:
                gateway.stop()
        self.assertEqual(run.errors, [], "CACHEGATE_SEED=%d" % seed_)
        if not until_violation:
            self.assertTrue(self.is_enough(checker), "hardly any hit: nothing was tested")
        return checker, "CACHEGATE_SEED=%d" % seed_

    def test_no_read_after_a_write_sees_the_state_before_it(self):
        checker, note = self.run_with(SOUND, SECONDS, threads=4,
                                      config={"limits": {"write_hold": "50ms"}})
        self.assertEqual(checker.violations, [], note)

    def test_nor_with_one_thread(self):
        checker, note = self.run_with(SOUND, SECONDS / 2, threads=1,
                                      config={"limits": {"write_hold": "50ms"}})
        self.assertEqual(checker.violations, [], note)

    def test_the_checker_notices_when_nothing_is_invalidated(self):
        checker, note = self.run_with(BROKEN, 30, threads=4, until_violation=True)
        self.assertNotEqual(checker.violations, [], note)


if __name__ == "__main__":
    main()
