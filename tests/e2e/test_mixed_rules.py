"""Gateways with different rules on one Redis (CONSISTENCY row 14): routes that not all of them define and purge
alike pass, until they do; what was kept of them before is not believed afterwards.

One of two gateways has rules in which the write does not purge the read. Nothing the other one serves may be stale.
"""

import itertools
import signal
import threading

from harness import App, Journey, main, wait_until
from redis_servers import SECRET, Redis

PURGING = """
defaults: { ttl: 10m, scope: shared }
routes:
  - match: GET /items/{id}
  - match: GET /other/{id}
  - match: POST /change/{id}
    invalidate: [ "/items/{id}" ]
"""
NOT_PURGING = PURGING.replace('invalidate: [ "/items/{id}" ]', "invalidate: [ /nothing ]")


class Items(App):
    def __init__(self):
        super().__init__()
        self.numbers = {}
        self.route("GET", "/items/{id}", lambda request, id: {"number": self.numbers.get(id, 0)})
        self.route("GET", "/other/{id}", lambda request, id: {"number": 0})
        self.route("POST", "/change/{id}", self.change)

    def change(self, request, id):
        with self.lock:
            self.numbers[id] = self.numbers.get(id, 0) + 1
            return {"number": self.numbers[id]}


class MixedRules(Journey):
    def setUp(self):
        super().setUp()
        self.redis = Redis()
        self.addCleanup(self.redis.close)
        self.origin = self.upstream(Items())

    def front(self, rules):
        front = self.gateway(self.origin, rules, environment={
            "CACHEGATE_STORE_REDIS": self.redis.url, "CACHEGATE_SECRET": SECRET, "CACHEGATE_STORE_TIMEOUT": "10s"})
        wait_until(lambda: front.admin("GET", "/cache/health").json()["status"] == "ok", "it uses its Redis")
        wait_until(lambda: front.get("/other/warm").cache.hit, "… on a thread of traffic too")
        return front

    def number(self, front, target="/items/1"):
        answer = front.get(target)
        self.assertEqual(answer.status, 200)
        return answer.json()["number"]

    def kept(self, front, target="/items/1"):
        front.get(target)
        self.assertTrue(front.get(target).cache.hit, target)

    def passes(self, front, target="/items/1"):
        answer = front.get(target)
        self.assertFalse(answer.cache.hit)
        self.assertEqual(answer.cache.detail, "rules-differ")

    def end(self, front):
        front.stop()

    def test_what_they_differ_on_passes_and_the_rest_is_kept(self):
        one = self.front(PURGING)
        self.kept(one)
        two = self.front(NOT_PURGING)
        self.passes(one)
        self.passes(two)
        self.kept(one, "/other/1")
        self.assertTrue(two.get("/other/1").cache.hit, "what is alike is shared all the same")

    def test_a_write_that_one_does_not_purge_makes_nothing_stale(self):
        one = self.front(PURGING)
        self.kept(one)
        two = self.front(NOT_PURGING)
        for expected in range(1, 4):
            self.assertEqual(two.request("POST", "/change/1").json()["number"], expected)
            self.assertEqual(self.number(one), expected)

    def test_what_was_kept_before_is_not_believed_afterwards(self):
        one = self.front(PURGING)
        self.kept(one)
        two = self.front(NOT_PURGING)
        two.request("POST", "/change/1")
        self.end(two)
        self.assertEqual(self.number(one), 1, "two is gone, and what one had stored before it came is old")
        self.kept(one)

    def test_the_same_after_nobody_was_there_for_a_while(self):
        one = self.front(PURGING)
        self.kept(one)
        self.end(one)
        two = self.front(NOT_PURGING)
        two.request("POST", "/change/1")
        self.end(two)
        one = self.front(PURGING)
        self.assertEqual(self.number(one), 1)

    def test_a_rollout_keeps_what_the_rules_left_alone(self):
        one = self.front(PURGING)
        self.kept(one, "/other/1")
        two = self.front(NOT_PURGING)
        self.end(one)
        self.assertTrue(two.get("/other/1").cache.hit)
        self.kept(two)

    def test_one_after_the_other_reloads(self):
        one, two = self.front(PURGING), self.front(PURGING)
        self.kept(one)
        self.assertTrue(two.get("/items/1").cache.hit)
        for front in (one, two):
            (front.directory / "rules.yaml").write_text(NOT_PURGING)
            front.process.send_signal(signal.SIGHUP)
            front.wait_line(r" reloaded ")
            if front is one:
                self.passes(one)
                self.passes(two)
        wait_until(lambda: one.get("/items/1").cache.hit, "both have the same rules")
        self.assertTrue(two.get("/items/1").cache.hit)

    def test_readers_and_writers_while_rules_come_and_go(self):
        one = self.front(PURGING)
        done, stale, reads = threading.Event(), [], itertools.count()
        writer = self.front(PURGING)

        def read():
            client = one.client()
            while not done.is_set():
                floor = answered[0]
                number = client.get("/items/1").json()["number"]
                next(reads)
                if number < floor:
                    stale.append((number, floor))

        answered = [0]
        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for rules in (NOT_PURGING, PURGING, NOT_PURGING):
                for _ in range(20):
                    answered[0] = writer.request("POST", "/change/1").json()["number"]
                self.end(writer)
                writer = self.front(rules)
                for _ in range(20):
                    answered[0] = writer.request("POST", "/change/1").json()["number"]
        finally:
            done.set()
            for thread in threads:
                thread.join()
        self.assertEqual(stale, [])
        self.assertGreater(next(reads), 100)


if __name__ == "__main__":
    main()
