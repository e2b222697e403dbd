"""How a gateway ends: in good order or not, with a spool or without, and what the next one makes of it."""

from harness import App, Journey, main, wait_until
from redis_servers import SECRET, Redis

RULES = """
defaults: { ttl: 10m, scope: user }
routes:
  - match: GET /items/{id}
  - match: PUT /items/{id}
"""


class Items(App):
    def __init__(self):
        super().__init__()
        self.route("GET", "/items/{id}", lambda request, id: self.read(request, id))
        self.route("PUT", "/items/{id}", lambda request, id: {"version": self.write(id)[id]})


class Ends(Journey):
    def setUp(self):
        super().setUp()
        self.origin = self.upstream(Items())
        self.redis = Redis()
        self.addCleanup(self.redis.close)
        self.spool = self.directory() / "spool"

    def front(self, spool=True, timeout="10s"):
        environment = {"CACHEGATE_STORE_REDIS": self.redis.url, "CACHEGATE_SECRET": SECRET,
                       "CACHEGATE_STORE_TIMEOUT": timeout, "CACHEGATE_STORE_LEASE": "1s",
                       "CACHEGATE_STORE_GONE_AFTER": "1h"}
        if spool:
            environment["CACHEGATE_STORE_SPOOL"] = str(self.spool)
        front = self.gateway(self.origin, RULES, environment=environment)
        wait_until(lambda: self.health(front)["status"] == "ok", "a connection to Redis")
        wait_until(lambda: self.members(), "a membership")
        return front

    @staticmethod
    def health(front):
        return front.admin("GET", "/cache/health").json()

    def members(self):
        return self.redis.command("ZRANGE", "cachegate:{bans}:members", "0", "-1")

    def generation(self):
        return self.redis.command("GET", "cachegate:{bans}:epoch")[:16]

    def lapse(self):
        """Until the leases of all who are gone are over."""
        def over():
            seconds, micros = self.redis.command("TIME")
            now_ms = int(seconds) * 1000 + int(micros) // 1000
            last = self.redis.command("ZRANGE", "cachegate:{bans}:members", "-1", "-1", "WITHSCORES")
            return not last or int(last[1]) < now_ms
        wait_until(over, "the end of their leases")

    def get(self, front):
        answer = front.get("/items/1", user="alice")
        self.assertEqual(answer.status, 200)
        return answer

    def test_a_good_end_leaves_no_member_and_the_cache_as_it_was(self):
        front = self.front(spool=False)
        self.get(front)
        self.assertHit(self.get(front))
        front.stop()
        self.assertEqual(self.members(), [])
        self.assertHit(self.get(self.front(spool=False)))

    def test_after_an_unclean_end_the_next_one_flushes(self):
        front = self.front(spool=False)
        self.get(front)
        before = self.generation()
        front.kill()
        self.assertEqual(len(self.members()), 1)
        self.lapse()
        self.assertMiss(self.get(self.front(spool=False)))
        self.assertNotEqual(self.generation(), before)

    def test_with_a_spool_it_need_not(self):
        front = self.front()
        self.get(front)
        self.assertHit(self.get(front))  # it was stored before the process is killed
        members = self.members()
        front.kill()
        self.lapse()
        front = self.front()
        self.assertHit(self.get(front))
        self.assertEqual(self.members(), members, "it is the same one")

    def test_purges_that_were_owed_are_delivered_by_the_next_one(self):
        front = self.front(timeout="2s")  # the write waits for it
        self.get(front)
        self.assertHit(self.get(front))
        self.redis.freeze()
        self.assertEqual(front.request("PUT", "/items/1", user="alice").status, 200)
        wait_until(lambda: self.health(front)["journal"] > 0, "a purge that is owed")
        front.kill()
        self.redis.thaw()
        front = self.front()
        self.assertMiss(self.get(front))
        wait_until(lambda: self.health(front)["journal"] == 0, "an empty journal")

    def test_a_spool_serves_one_gateway(self):
        self.front()
        with self.assertRaisesRegex(AssertionError, "is used by another process"):
            self.front()


main()
