"""Two gateways that share one Redis: what one stored or forgot, the other has or has not.

What is counted here: the commands that a purge costs, by Redis's own statistics, for a group of one
answer and of thousands. CACHEGATE_FLEET_ENTRIES=1000000 makes them a million, on demand.
"""

import itertools
import os
import threading

from harness import ADMIN_TOKEN, App, Journey, main, wait_until
from redis_servers import SECRET, Redis, RedisCluster

ENTRIES = int(os.environ.get("CACHEGATE_FLEET_ENTRIES", "2000"))
READ_MAX = 3000  # answers that are read into the cache; the others are copies in Redis
ROUNDS = 25

RULES = """
defaults: { ttl: 10m, scope: user }
groups:
  session:
    - /list?session={id}
    - /sessions/{id}/**
routes:
  - match: GET /items/{id}
  - match: GET /list
  - match: GET /sessions/{id}/items
  - match: GET /shared/{id}
    scope: shared
    override: [authorization]
  - match: GET /mine
  - match: PUT /items/{id}
    invalidate:
      - { group: session, id: "{response.session}" }
      - "/shared/{id}"
      - "/mine"
  - match: POST /by-request
    invalidate:
      - { group: session, id: "{request.session}" }
      - "/items/{request.id}"
      - "/shared/{request.id}"
      - "/mine"
  - match: POST /by-wildcard
    invalidate: ["/**"]
  - match: POST /by-user
    invalidate:
      - { pattern: "/**", audience: self }
      - "/shared/**"
"""
IDENTITY = [{"header": "X-User", "name": "user"}, {"header": "Authorization"}]


class Items(App):
    """Items 0 to 9, of the session 0 (even) or 1 (odd). A read shows who asked and every number."""

    def __init__(self):
        super().__init__()
        self.numbers = [0] * 10
        for path in ("/items/{id}", "/list", "/sessions/{id}/items", "/shared/{id}", "/mine"):
            self.route("GET", path, self.show)
        self.route("PUT", "/items/{id}", lambda request, id: self.change(int(id)))
        for path in ("/by-request", "/by-wildcard", "/by-user", "/bypass"):
            self.route("POST", path, lambda request: self.change(int(request.json()["id"])))

    def show(self, request, id=None):
        with self.lock:
            return {"target": request.target, "user": request.field("x-user"), "items": list(self.numbers)}

    def change(self, item):
        with self.lock:
            self.numbers[item] += 1
            return {"session": str(item % 2), "number": self.numbers[item]}


def reads_of(item):
    return ["/items/%d" % item, "/list?session=%d" % (item % 2), "/list?page=3&session=%d" % (item % 2),
            "/sessions/%d/items" % (item % 2), "/shared/%d" % item, "/mine"]


class FleetJourney(Journey):
    users = ("alice", "bob")

    def store(self):
        redis = Redis()
        self.addCleanup(redis.close)
        return redis

    def setUp(self):
        super().setUp()
        self.redis = self.store()
        self.origin = self.upstream(Items())
        self.one, self.two = self.front(), self.front()

    def front(self, **environment):
        variables = dict({"CACHEGATE_STORE_REDIS": self.redis.url, "CACHEGATE_SECRET": SECRET,
                          "CACHEGATE_STORE_TIMEOUT": "10s"}, **environment)
        front = self.gateway(self.origin, RULES, config={"identity": IDENTITY}, environment=variables)
        wait_until(lambda: self.read(front, "/items/9").status == 200
                   and self.read(front, "/items/9").cache.hit, "the gateway uses its Redis")
        wait_until(lambda: front.admin("GET", "/cache/health").json()["status"] == "ok",
                   "its admin API does, over a connection of its own")
        return front

    def read(self, front, target, user="alice"):
        answer = front.get(target, user, headers={"X-User": user})
        self.assertEqual(answer.status, 200, repr(answer))
        if not target.startswith("/shared"):
            self.assertEqual(answer.json()["user"], user, target)
        self.assertEqual(answer.json()["target"], target)
        return answer

    def write(self, front, method, target, user="alice", body=None):
        answer = front.request(method, target, user=user, headers={"X-User": user}, body=body or {})
        self.assertEqual(answer.status, 200, repr(answer))
        return answer

    def change_unseen(self, item):
        """A change that no gateway sees: somebody else's purge has to make it known."""
        return self.origin.app.change(item)

    def admin(self, front, method, path, body=None):
        self.assertEqual(front.admin(method, path, body=body).status, 200)


class Shared(FleetJourney):
    """Every form of purge through one gateway, seen by the next read through the other."""

    def purges(self):
        """(name, what does it through a gateway for an item, targets it covers, users it covers)"""
        def every(item):
            return reads_of(item)

        def by_group(item):
            return [target for target in reads_of(item) if "session" in target]

        def private(item):
            return [target for target in reads_of(item) if not target.startswith("/shared")]

        def unseen_and(method, path, body=None):
            def purge(front, item):
                self.change_unseen(item)
                self.admin(front, method, path.format(item=item, session=item % 2), body)
            return purge

        def unseen_and_purge(front, item):
            self.change_unseen(item)
            answer = front.request("PURGE", "/items/%d" % item,
                                   headers={"Authorization": "Bearer " + ADMIN_TOKEN})
            self.assertEqual(answer.status, 200, repr(answer))

        def post(path):
            return lambda front, item: self.write(front, "POST", path, body={
                "id": item, "session": str(item % 2)})

        return [
            ("a write whose answer names the group",
             lambda front, item: self.write(front, "PUT", "/items/%d" % item), every, ("alice", "bob")),
            ("a write that names all", post("/by-request"), every, ("alice", "bob")),
            ("a write with a wildcard", post("/by-wildcard"), every, ("alice", "bob")),
            ("a write for its own user", post("/by-user"), every, ("alice",)),
            ("an operator's group", unseen_and("DELETE", "/cache/session/{session}"), by_group,
             ("alice", "bob")),
            ("an operator's user", unseen_and("DELETE", "/cache/user/bob"), private, ("bob",)),
            ("an operator's patterns", unseen_and("POST", "/cache/purge", {"patterns": ["/**"]}), every,
             ("alice", "bob")),
            ("an operator's flush", unseen_and("DELETE", "/cache/flush"), every, ("alice", "bob")),
            ("PURGE", unseen_and_purge, lambda item: ["/items/%d" % item], ("alice", "bob")),
        ]

    def test_what_one_stored_is_a_hit_in_the_other(self):
        for item, (here, there) in enumerate([(self.one, self.two), (self.two, self.one)] * 2):
            for user in self.users:
                for target in reads_of(item):
                    self.read(here, target, user)
                    # Nobody waits for a fill; a hit here says that it has arrived.
                    self.assertHit(self.read(here, target, user), "%s for %s" % (target, user))
                    self.assertHit(self.read(there, target, user), "%s for %s" % (target, user))

    def test_a_purge_through_one_is_seen_by_the_next_read_through_the_other(self):
        for name, purge, covers, users in self.purges():
            for item in range(6):
                here, there = (self.one, self.two) if item % 3 else (self.two, self.one)
                with self.subTest(name, item=item):
                    for user in users:
                        for target in covers(item):
                            self.read(there, target, user)
                            self.assertHit(self.read(there, target, user))
                    purge(here, item)
                    for front in (there, here):
                        for user in users:
                            for target in covers(item):
                                answer = self.read(front, target, user)
                                self.assertEqual(answer.json()["items"][item],
                                                 self.origin.app.numbers[item],
                                                 "%s for %s: %r" % (target, user, answer))

    def test_many_rounds(self):
        for number in range(ROUNDS):
            here, there = (self.one, self.two) if number % 2 else (self.two, self.one)
            self.write(here, "PUT", "/items/3")
            for front in (there, here, there):
                seen = self.read(front, "/items/3").json()["items"][3]
                self.assertEqual(seen, self.origin.app.numbers[3], "round %d" % number)
        self.assertHit(self.read(self.one, "/items/3"))

    def test_a_purge_leaves_alone_what_it_does_not_name(self):
        for target in reads_of(0) + reads_of(1)[:4]:
            self.read(self.two, target)
        self.admin(self.one, "DELETE", "/cache/session/1")
        for target in ["/items/0", "/items/1", "/shared/0", "/mine", "/list?session=0"]:
            self.assertHit(self.read(self.two, target), target)

    def test_a_read_in_flight_in_one_is_not_stored_after_a_write_through_the_other(self):
        gate = self.origin.hold("/items/5", when="after")
        answers = []
        with gate:
            client = self.one.client()
            reader = threading.Thread(target=lambda: answers.append(
                client.get("/items/5", "carol", headers={"X-User": "carol"})))
            reader.start()
            gate.wait_arrived()  # the application has looked at the old state
            self.write(self.two, "PUT", "/items/5")
        reader.join()
        self.assertEqual(answers[0].json()["items"][5], 0)
        for front in (self.one, self.two):
            self.assertEqual(self.read(front, "/items/5", "carol").json()["items"][5], 1)


class Isolated(FleetJourney):
    """Bytes of one answer under the key of another, written into Redis by hand."""

    def front(self, **environment):
        # A near copy is the gateway's own memory: nobody's bytes from Redis come in its place.
        return super().front(CACHEGATE_STORE_NEAR="0", **environment)

    def entries(self):
        return {key for node in self.servers() for key in node.keys("cachegate:e:*")}

    def servers(self):
        return [self.redis]

    def make(self):
        """What is read, for whom, and the key under which its answer lies."""
        self.admin(self.one, "DELETE", "/cache/flush")
        self.redis.command("FLUSHALL")
        for front, user in ((self.one, "nobody"), (self.two, "somebody")):
            wait_until(lambda: self.read(front, "/mine", user).cache.stored, "both have told Redis of their rules again")
        wait_until(lambda: len(self.entries()) == 2, "what both store has arrived")
        self.redis.command("DEL", *self.entries())
        kept = []
        for target in ("/items/1", "/items/2", "/list?session=1", "/shared/1"):
            for user in self.users:
                before = self.entries()
                self.read(self.one, target, user)
                self.assertHit(self.read(self.one, target, user))
                new = self.entries() - before
                if target.startswith("/shared") and user != self.users[0]:
                    self.assertEqual(new, set())
                else:
                    self.assertEqual(len(new), 1)
                    kept.append((target, user, new.pop()))
        return kept

    def assertNothingForeign(self, kept, method):
        for (target, user, key), (_, _, other) in itertools.permutations(kept, 2):
            value = self.redis.command("GET", key)
            bytes_, ttl_ms = self.redis.command("GET", other), self.redis.command("PTTL", other)
            dump = self.redis.command("DUMP", other)
            if method == "RESTORE":
                self.redis.command("RESTORE", key, ttl_ms, dump, "REPLACE")
            elif method == "COPY":
                self.redis.command("COPY", other, key, "REPLACE")
            else:
                self.redis.command("SET", key, bytes_, "PX", ttl_ms)
            for front in (self.two, self.one):
                self.assertEqual(self.redis.command("GET", key), bytes_)
                answer = self.read(front, target, user)  # looks at who and what it was made for
                self.assertFalse(answer.cache.hit, "%s for %s, from %s" % (target, user, other))
                wait_until(lambda: self.redis.command("GET", key) != bytes_, "what the read fetched is stored")
                self.redis.command("SET", key, bytes_, "PX", ttl_ms)  # it has been replaced
            self.redis.command("SET", key, value, "PX", ttl_ms)
            self.assertHit(self.read(self.two, target, user), "the right bytes under the right key")

    def test_restored(self):
        self.assertNothingForeign(self.make(), "RESTORE")

    def test_copied(self):
        self.assertNothingForeign(self.make()[:4], "COPY")

    def test_set(self):
        self.assertNothingForeign(self.make()[2:], "SET")


class Cost(FleetJourney):
    """Invalidating costs the same whether it hits one stored answer or a million."""

    def front(self, **environment):
        # What gateways say by themselves is not what purging costs.
        return super().front(CACHEGATE_STORE_LEASE="10m", CACHEGATE_STORE_GONE_AFTER="1h",
                             CACHEGATE_STORE_STATS="0s", **environment)

    def fill(self, session, count):
        """`count` answers of the session: read, and beyond READ_MAX copied to other keys."""
        for page in range(min(count, READ_MAX)):
            self.read(self.one, "/list?page=%d&session=%s" % (page, session))
        if count > READ_MAX:
            script = ("local value = redis.call('GET', KEYS[1]) for i = ARGV[1], ARGV[2] do "
                      "redis.call('SET', KEYS[1] .. i, value, 'EX', 600) end")
            key = self.redis.keys("cachegate:e:*")[0]
            for start in range(READ_MAX, count, 10000):
                self.redis.command("EVAL", script, 1, key, start, min(start + 10000, count) - 1)

    def commands_of(self, act):
        """What Redis executes for it; the least of three, since gateways also talk by themselves."""
        seen = []
        for _ in range(3):
            self.redis.command("CONFIG", "RESETSTAT")
            act()
            calls = self.redis.calls()
            calls.pop("config|resetstat", None)
            calls.pop("config", None)
            calls.pop("info", None)
            seen.append(calls)
        return min(seen, key=lambda calls: sum(calls.values()))

    def test_a_group_of_one_costs_what_a_group_of_thousands_costs(self):
        self.fill("0", 1)
        self.fill("1", ENTRIES)
        self.assertGreaterEqual(self.redis.command("DBSIZE"), ENTRIES)
        for name, purge in (
                ("operator", lambda session: self.admin(self.two, "DELETE", "/cache/session/%d" % session)),
                ("write", lambda session: self.write(self.two, "PUT", "/items/%d" % (6 + session))),
                ("pattern", lambda session: self.admin(self.two, "POST", "/cache/purge", {
                    "patterns": ["/list?session=%d" % session]}))):
            with self.subTest(name):
                costs = [self.commands_of(lambda: purge(session)) for session in (0, 1)]
                print("%s: %s" % (name, costs[1]), flush=True)
                self.assertEqual(costs[0], costs[1])
                self.assertLess(sum(costs[1].values()), 60)
        for page in range(0, min(ENTRIES, READ_MAX), 97):
            self.assertFalse(self.read(self.one, "/list?page=%d&session=1" % page).cache.hit)

    def test_a_flush_costs_the_same_however_much_there_is(self):
        few = self.commands_of(lambda: self.admin(self.two, "DELETE", "/cache/flush"))
        self.fill("1", ENTRIES)
        many = self.commands_of(lambda: self.admin(self.two, "DELETE", "/cache/flush"))
        self.assertEqual(few, many)
        self.assertFalse(self.read(self.one, "/list?page=0&session=1").cache.hit)


class SharedOnCluster(Shared):
    def store(self):
        cluster = RedisCluster(3)
        self.addCleanup(cluster.close)
        return cluster


if __name__ == "__main__":
    main()
