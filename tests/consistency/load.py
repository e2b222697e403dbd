"""Readers and writers of a consistency run, and the application behind the gateways.

The application counts a number per item; each item belongs to a session. It answers after random
delays before and after it looks at its state, so that old answers are always under way. Clients note
what they did and saw, in one clock; history.py judges it afterwards.
"""

import collections
import http.client
import random
import threading
import time

from harness import App, Client, Reply
from history import Read, Write

ITEMS = 8
SESSIONS = 4
USERS = 2
CUT_SHARE = 0.03
MARK_S = 2  # limits.write_mark: longer than any fault, or a crash would leave no reader protected
ALTERNATIVES = 6  # users that a writer may be, so that writers' own answers differ from readers'

RULES = """
defaults: {{ ttl: 20s, scope: user, stale_while_revalidate: 10s, stale_if_error: 1m{more} }}
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
    invalidate:
      - {{ group: session, id: "{{response.session}}" }}
      - "/shared/{{id}}"
  - match: POST /change
    invalidate:
      - {{ group: session, id: "{{request.session}}" }}
      - "/items/{{request.item}}"
      - "/shared/{{request.item}}"
  - match: POST /sweep
    invalidate: ["/items/**", "/shared/**", "/list", "/sessions/**"]
"""


def session_of(item):
    return item % SESSIONS


class Numbers(App):
    def __init__(self, seed, jitter_s):
        super().__init__()
        self.random = random.Random(seed)
        self.jitter_s = jitter_s
        self.never = threading.Event()  # waiting for it is a delay
        self.numbers = [0] * ITEMS
        self.commits = {}  # write id → (number, moment)
        self.at_commit = None  # called with the gateway's number after a commit, before the answer
        self.route("GET", "/items/{id}", lambda request, id: self.look(request, [int(id)]))
        self.route("GET", "/shared/{id}", lambda request, id: self.look(request, [int(id)]))
        self.route("GET", "/list", lambda request: self.of(request, int(request.parameter("session"))))
        self.route("GET", "/sessions/{id}/items", lambda request, id: self.of(request, int(id)))
        self.route("PUT", "/items/{id}", lambda request, id: self.change(request, int(id)))
        self.route("POST", "/change", lambda request: self.change(request, request.json()["item"]))
        self.route("POST", "/sweep", lambda request: self.change(request, request.json()["item"]))
        self.route("POST", "/bypass", lambda request: self.change(request, request.json()["item"]))

    def delay(self):
        with self.lock:
            seconds = self.random.random() * self.jitter_s
        self.never.wait(seconds)

    def look(self, request, items):
        self.delay()
        with self.lock:
            seen = {str(item): self.numbers[item] for item in items}
        self.delay()
        return {"items": seen, "user": request.field("authorization")}

    def of(self, request, session):
        return self.look(request, [item for item in range(ITEMS) if session_of(item) == session])

    def change(self, request, item):
        self.delay()
        with self.lock:
            self.numbers[item] += 1
            number = self.numbers[item]
            self.commits[request.field("x-write")] = (number, time.monotonic())
            cut = self.random.random() < CUT_SHARE
            at_commit, self.at_commit = self.at_commit, None
        if at_commit:
            at_commit(int(request.field("x-gateway")))
        self.delay()
        reply = Reply.json({"item": item, "session": session_of(item), "number": number})
        if cut:  # less than its Content-Length, and then the end of the connection
            reply.chunks, reply.length = _cut(reply.body), len(reply.body)
        return reply


def _cut(body):
    yield body[:5]
    raise ConnectionAbortedError("told to cut")


class Load:
    """Clients of a fleet until told to stop. `fleet` says where gateways are and what befell them
    (fleet.py)."""

    def __init__(self, fleet, app, seed, readers, writers):
        self.fleet = fleet
        self.app = app
        self.seed = seed
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.reads, self.writes, self.ids = [], [], []
        self.counts = {"hits": 0, "stored": 0, "stale_while_revalidate": 0, "collapsed": 0,
                       "answered": 0, "unknown": 0, "read_errors": 0, "swept": 0,
                       "flushed": 0}
        self.reasons = collections.Counter()
        self.surprises = []
        self.threads = [threading.Thread(target=self._run, args=(self._read, number))
                        for number in range(readers)]
        self.threads += [threading.Thread(target=self._run, args=(self._write, readers + number))
                         for number in range(writers)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(120)

    def history(self):
        """All writes, with what the application knows of them, and all reads."""
        with self.lock, self.app.lock:
            for write, id_ in zip(self.writes, self.ids):
                write.number, write.committed = self.app.commits.get(id_, (None, None))
                if write.committed is not None and write.committed - write.started > MARK_S / 2:
                    write.protected = False  # the gateway was frozen; its mark may have ended
            return list(self.writes), list(self.reads)

    def _count(self, name, by=1):
        with self.lock:
            self.counts[name] = self.counts.get(name, 0) + by

    def _run(self, work, number):
        chance = random.Random(self.seed * 1000 + number)
        client = place = None
        try:
            while not self.over.is_set():
                moved = place is not None and not self.fleet.is_at(place)
                if client is None or moved or chance.random() < 0.1:
                    if client:
                        client.close()
                    place = self.fleet.place(chance)
                    client = Client(place.address)
                work(client, place, chance)
        except Exception as error:  # noqa: BLE001: any surprise fails the run
            self.surprises.append("%s: %r" % (work.__name__, error))
            self.over.set()
        finally:
            if client:
                client.close()

    def _read(self, client, place, chance):
        item = chance.randrange(ITEMS)
        target = chance.choice(["/items/%d" % item, "/shared/%d" % item,
                                "/list?session=%d" % session_of(item),
                                "/sessions/%d/items" % session_of(item)])
        user = "user-%d" % chance.randrange(USERS)
        started = time.monotonic()
        try:
            answer = client.get(target, user)
        except (http.client.HTTPException, OSError):
            client.close()
            self._read_failed(place, "no answer to %s" % target)
            return
        ended = time.monotonic()
        if answer.status != 200:
            self._read_failed(place, "%s: %r" % (target, answer))
            return
        shown = answer.json()
        read = Read(started, ended, {int(item): number for item, number in shown["items"].items()},
                    "%s of gateway %d for %s (%s)" % (target, place.number, user,
                                                       answer.field("cache-status")))
        if not target.startswith("/shared"):
            read.asked_by, read.shown_to = "Bearer " + user, shown["user"]
        with self.lock:
            self.reads.append(read)
            self.counts["hits"] += answer.cache.hit
            self.counts["stored"] += answer.cache.stored
            self.counts["collapsed"] += answer.cache.collapsed
            self.reasons[answer.cache.detail] += 1
            self.counts["stale_while_revalidate"] += answer.cache.detail == "stale-while-revalidate"

    def _read_failed(self, place, what):
        self._count("read_errors")
        if self.fleet.is_at(place):
            self.surprises.append("a read failed at gateway %d, which lives: %s" % (place.number, what))

    def _write(self, client, place, chance):
        item = chance.randrange(ITEMS)
        id_ = "%x" % chance.getrandbits(80)
        user = "user-%d" % chance.randrange(ALTERNATIVES)
        headers = {"X-Write": id_, "X-Gateway": str(place.number)}
        kind = chance.choices(["put", "change", "sweep", "flush"], [43, 50, 4, 3])[0]
        answered, status = True, None
        started = time.monotonic()
        try:
            if kind == "put":
                status = client.request("PUT", "/items/%d" % item, user=user, body={},
                                        headers=headers).status
            elif kind == "flush":
                status = self._bypass_and_flush(place, item, headers)
            else:
                status = client.request("POST", "/" + kind, user=user, headers=headers,
                                        body={"item": item, "session": session_of(item)}).status
        except (http.client.HTTPException, OSError):
            client.close()
            # A cut that the gateway passed on is an answer; a gateway that died gave none.
            answered = self.fleet.is_at(place)
        if kind == "flush" and status != 200:
            answered = False  # whoever flushes is told when it did not happen
        write = Write(item, started, time.monotonic(), answered,
                      protected=kind == "change" and self.fleet.store_was_calm(started))
        if status is not None and status >= 500:
            self._count("refused_%d" % status)
        with self.lock:
            self.writes.append(write)
            self.ids.append(id_)
            self.counts["answered" if answered else "unknown"] += 1
            self.counts["swept"] += kind == "sweep" and answered
            self.counts["flushed"] += kind == "flush" and answered
        self.over.wait(chance.random() * 0.25)  # reads outnumber writes
        if chance.random() < 0.1:
            self.fleet.advance(chance.random() * 15)

    def _bypass_and_flush(self, place, item, headers):
        """A change that the gateways do not see, and an operator who then forgets everything."""
        client = Client(self.fleet.upstream_address)
        try:
            client.request("POST", "/bypass", headers=headers, body={"item": item})
        except (http.client.HTTPException, OSError):
            pass  # cut, as others are; it is committed
        finally:
            client.close()
        return self.fleet.flush(place)
