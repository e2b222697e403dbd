"""A fleet that exchanges its secret, gateway by gateway, on one Redis.

"Accept everywhere, switch, drop": while half of the fleet has switched, each half reads what the
other stored, and a purge through either ends what both stored. At no stage is a read stale.
"""

import random
import threading

from harness import App, Client, Journey, main, seed
from test_redis import Redis, wait_connected

OLD, NEW = "the-old-secret-of-these-tests", "the-new-secret-of-these-tests"
RULES = """
defaults: { ttl: 10m, scope: user }
groups:
  list: ["/list?of={id}"]
routes:
  - match: GET /items/{id}
  - match: GET /list
  - { match: "GET /shared/{id}", scope: shared, override: [authorization] }
  - match: PUT /items/{id}
    invalidate: ["/shared/{id}", { group: list, id: "{id}" }]
"""


class Items(App):
    def __init__(self):
        super().__init__()
        self.route("GET", "/items/{id}", lambda request, id: self.read(request, id))
        self.route("GET", "/shared/{id}", lambda request, id: self.read(request, id))
        self.route("GET", "/list", lambda request: self.read(request, request.parameter("of", "1")))
        self.route("PUT", "/items/{id}", lambda request, id: {"version": self.write(id)[id]})


class Rotation(Journey):
    def setUp(self):
        super().setUp()
        self.origin = self.upstream(Items())
        self.redis = Redis()
        self.addCleanup(self.redis.close)

    def front(self, secret, previous=None, threads=1):
        environment = {"CACHEGATE_STORE_REDIS": self.redis.url, "CACHEGATE_SECRET": secret,
                       "CACHEGATE_STORE_TIMEOUT": "10s"}
        if previous:
            environment["CACHEGATE_SECRET_PREVIOUS"] = previous
        front = self.gateway(self.origin, RULES, environment=environment, threads=threads,
                             config={"identity": [{"header": "X-User", "name": "user"}]})
        wait_connected(front, threads + 1)
        return front

    def get(self, front, target, user="alice"):
        answer = front.get(target, headers={"X-User": user})
        self.assertEqual(answer.status, 200, repr(answer))
        return answer

    def put(self, front, item):
        self.assertEqual(front.request("PUT", "/items/%s" % item, headers={"X-User": "alice"},
                                       body=b"{}").status, 200)

    def warm(self, front, *targets):
        for target in targets:
            self.get(front, target)
            self.assertHit(self.get(front, target), "%s does not warm" % target)

    def assertCold(self, front, *targets):
        for target in targets:
            answer = self.get(front, target)
            self.assertFalse(answer.cache.hit, "%s was not purged: %r" % (target, answer))

    TARGETS = ("/items/1", "/shared/1", "/list?of=1")

    def test_accept_everywhere_then_switch_then_drop(self):
        old = self.front(OLD)
        self.warm(old, *self.TARGETS)
        accepting, switched = self.front(OLD, NEW), self.front(NEW, OLD)
        for target in self.TARGETS:
            self.assertHit(self.get(accepting, target))
            self.assertHit(self.get(switched, target), "%s was lost with the exchange" % target)
        self.warm(switched, "/items/2")
        self.assertHit(self.get(accepting, "/items/2"))
        new = self.front(NEW)
        self.assertHit(self.get(new, "/items/2"))
        self.assertFalse(self.get(new, "/items/1").cache.hit, "the old secret still opens things")

    def test_write_through_either_half_purges_what_both_stored(self):
        halves = {"accepting": self.front(OLD, NEW), "switched": self.front(NEW, OLD)}
        for writer in halves.values():
            for storer in halves.values():
                self.admin_flush(storer)
                self.warm(storer, *self.TARGETS)
                self.put(writer, "1")
                for reader in halves.values():
                    for target in self.TARGETS:
                        self.assertEqual(self.get(reader, target).json()["state"]["1"],
                                         self.origin.app.versions["1"], target)

    def admin_flush(self, front):
        self.assertEqual(front.admin("DELETE", "/cache/flush").status, 200)

    def test_admin_purges_reach_both(self):
        accepting, switched = self.front(OLD, NEW), self.front(NEW, OLD)
        purges = (("POST", "/cache/purge", {"patterns": ["/items/1"]}, ("/items/1",)),
                  ("POST", "/cache/purge", {"patterns": ["/items/*"]}, ("/items/1",)),
                  ("DELETE", "/cache/list/1", None, ("/list?of=1",)),
                  ("DELETE", "/cache/user/alice", None, ("/items/1", "/list?of=1")),
                  ("DELETE", "/cache/flush", None, self.TARGETS))
        for storer, purger in ((accepting, switched), (switched, accepting)):
            for method, path, body, targets in purges:
                self.warm(storer, *targets)
                answer = purger.admin(method, path, body=body)
                self.assertEqual(answer.status, 200, repr(answer))
                self.assertCold(storer, *targets)

    def test_readers_and_writers_at_random_over_both_halves(self):
        fronts = [self.front(OLD, NEW, threads=2), self.front(NEW, OLD, threads=2)]
        known = {"a": 0, "b": 0}  # newest version whose write was answered
        lock, wrong, stop = threading.Lock(), [], threading.Event()
        start = seed()

        def read(number):
            dice = random.Random(start + number)
            clients = [Client(front.address) for front in fronts]
            for _ in range(250):
                item = dice.choice(sorted(known))
                with lock:
                    before = known[item]
                answer = dice.choice(clients).request("GET", "/items/" + item,
                                                      headers={"X-User": dice.choice("xy")})
                seen = answer.json()["state"][item]
                if seen < before:
                    wrong.append((item, seen, before, repr(answer)))
            for client in clients:
                client.close()

        def write(number):
            dice = random.Random(start + 100 + number)
            clients = [Client(front.address) for front in fronts]
            while not stop.is_set():
                item = dice.choice(sorted(known))
                answer = dice.choice(clients).request("PUT", "/items/" + item, body=b"{}",
                                                      headers={"X-User": "w"})
                with lock:
                    known[item] = max(known[item], answer.json()["version"])
                stop.wait(0.005)
            for client in clients:
                client.close()

        readers = [threading.Thread(target=read, args=(i,)) for i in range(6)]
        writers = [threading.Thread(target=write, args=(i,)) for i in range(2)]
        for thread in readers + writers:
            thread.start()
        for thread in readers:
            thread.join()
        stop.set()
        for thread in writers:
            thread.join()
        self.assertEqual(wrong, [], "seed %d" % start)
        hits = sum(front.stats()["hits"] for front in fronts)
        self.assertGreater(hits, 50, "nothing was tested")


if __name__ == "__main__":
    main()
