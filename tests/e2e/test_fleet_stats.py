"""What the gateways on one Redis count together: sums of all, keys by route that forget what expired.

The numbers are put together a few times a second here, so that tests wait for them and not for
clocks. Keys are counted by the gateways: nobody scans.
"""

import json
import signal
import subprocess

import redis_servers
from harness import App, Journey, Reply, binary, main, wait_until
from test_redis import wait_connected

SECRET = "a-secret-that-all-gateways-of-these-tests-share"
RULES = """
defaults: { ttl: 10m, scope: user }
routes:
  - { match: "GET /items/{id}", name: the_items }
  - { match: "GET /long/{id}", name: long, ttl: 1d }
  - { match: "GET /more/{id}", name: "the items" }
  - match: PUT /items/{id}
"""


class Items(App):
    def __init__(self):
        super().__init__()
        for path in ("items", "long", "more"):
            self.route("GET", "/%s/{id}" % path, lambda request, id: {"state": id})
        self.route("PUT", "/items/{id}", lambda request, id: {})
        self.route("GET", "/*", lambda request: Reply.json({}))


class OnRedis(Journey):
    def setUp(self):
        super().setUp()
        self.origin = self.upstream(Items())
        self.redis = self.make_redis()
        self.addCleanup(self.redis.close)

    def make_redis(self):
        return redis_servers.Redis()

    def front(self, interval="100ms", **environment):
        front = self.gateway(self.origin, RULES, threads=1, environment=dict({
            "CACHEGATE_STORE_REDIS": self.redis.url, "CACHEGATE_SECRET": SECRET,
            "CACHEGATE_STORE_STATS": interval, "CACHEGATE_STORE_TIMEOUT": "10s"}, **environment))
        wait_connected(front, 2)
        return front

    def read(self, front, *targets, user="alice"):
        for target in targets:
            self.assertEqual(front.get(target, user=user).status, 200)

    def shows(self, front, **expected):
        """Waits until the fleet's part of the statistics says all that."""
        seen = {}

        def says():
            seen.clear()
            seen.update(front.stats().get("fleet", {}))
            return all(seen.get(name) == value for name, value in expected.items())

        try:
            wait_until(says, "the fleet's numbers")
        except AssertionError:
            raise AssertionError("expected %s, found %s" % (expected, seen)) from None
        return seen

    def keys_of(self, front):
        return {route["name"]: route["keys"] for route in front.stats()["routes"]}


class FleetStats(OnRedis):
    def test_two_gateways_add_up(self):
        one, other = self.front(), self.front()
        self.read(one, "/items/1", "/items/1", "/items/2")      # 2 misses, 1 hit
        self.shows(one, sets=2)                                 # nobody waits for a fill
        self.read(other, "/items/1", "/items/2", "/items/3")    # 1 miss, 2 hits
        for front in (one, other):
            self.shows(front, hits=3, misses=3, sets=3, keys=3, hit_rate=50.0)
        self.assertEqual(one.stats()["hits"], 1)
        self.assertEqual(other.stats()["hits"], 2)
        self.assertEqual(one.request("PUT", "/items/1", user="alice", body=b"{}").status, 200)
        self.assertEqual(other.admin("DELETE", "/cache/flush").status, 200)
        self.shows(one, deletes=one.stats()["deletes"] + other.stats()["deletes"], bans=1)
        self.assertGreater(one.stats()["deletes"], 0)

    def test_counts_outlive_a_gateway_and_are_not_told_twice(self):
        one = self.front()
        self.read(one, "/items/1", "/items/1")
        self.shows(one, hits=1, misses=1)
        one.process.send_signal(signal.SIGTERM)
        one.expect_end(0)
        other = self.front()
        self.shows(other, hits=1, misses=1, keys=1)
        self.read(other, "/items/1")
        self.shows(other, hits=2, misses=1, keys=1)

    def test_overwritten_keys_are_counted_once(self):
        front = self.front()
        self.read(front, "/items/1", "/items/2")
        self.shows(front, keys=2)
        for _ in range(3):
            self.assertEqual(front.request("PUT", "/items/1", user="alice", body=b"{}").status, 200)
            self.read(front, "/items/1", "/items/2")
        self.shows(front, sets=5, keys=2)
        front.advance(300)  # half of the lifetime: another bucket
        self.assertEqual(front.request("PUT", "/items/1", user="alice", body=b"{}").status, 200)
        self.read(front, "/items/1")
        self.shows(front, sets=6, keys=2)

    def test_counts_forget_what_expired(self):
        front = self.front()
        self.read(front, "/items/1", "/items/2", "/long/1")
        self.shows(front, keys=3)
        self.assertEqual(self.keys_of(front)["the_items"], 2)
        self.assertEqual(self.keys_of(front)["long"], 1)
        front.advance(595)
        self.read(front, "/long/2")
        self.shows(front, keys=4)
        front.advance(5 + 600 / 8 + 1)
        self.shows(front, keys=2)
        self.assertEqual((self.keys_of(front)["the_items"], self.keys_of(front)["long"]), (0, 2))
        front.advance(86400 * 9 / 8)
        self.shows(front, keys=0)
        wait_until(lambda: not self.redis.command("HGETALL", "cachegate:{stats}:keys"),
                   "buckets that are over are deleted")

    def test_routes_that_keys_spell_alike_have_one_count(self):
        front = self.front()
        self.read(front, "/items/1", "/more/1")
        self.shows(front, keys=2)
        self.assertEqual((self.keys_of(front)["the_items"], self.keys_of(front)["the items"]), (2, 2))

    def test_everything_expires_and_nobody_scans(self):
        front = self.front()
        self.read(front, "/items/1")
        self.shows(front, keys=1)
        for key in ("cachegate:{stats}:fleet", "cachegate:{stats}:keys"):
            self.assertGreater(self.redis.command("PTTL", key), 0)
        self.assertFalse({"scan", "keys", "dbsize"} & set(self.redis.calls()))

    def test_metrics(self):
        front = self.front()
        self.read(front, "/items/1")
        self.shows(front, keys=1)
        page = front.admin("GET", "/metrics").body.decode()
        self.assertIn("\ncachegate_store_entries 1\n", page)
        self.assertRegex(page, r"\ncachegate_store_memory_bytes [1-9]\d{4,}\n")
        self.assertRegex(page, r"\ncachegate_store_latency_seconds 0\.\d*[1-9]\d*\n")
        self.assertIn("\ncachegate_store_journal 0\n", page)
        self.assertRegex(page, r'\ncachegate_store_server_up\{server="[^"]+"\} 1\n')

    def test_off(self):
        front = self.front("0s")
        self.read(front, "/items/1", "/items/1")
        self.assertNotIn("fleet", front.stats())
        self.assertFalse([key for key in self.redis.keys() if b"{stats}" in key])
        self.assertNotIn("hincrby", self.redis.calls())  # the others are what scripts use too

    def test_foreign_fields_do_no_harm(self):
        for field, value in (("the_items:notanumber", "7"), ("nothing", "x"), ("the_items:99999999999", "many"),
                             ("of another gateway's rules:99999999999", "5"), ("x" * 500, "1")):
            self.redis.command("HSET", "cachegate:{stats}:keys", field, value)
        self.redis.command("HSET", "cachegate:{stats}:fleet", "hits", "many", "made up", "3")
        front = self.front()
        self.read(front, "/items/1")
        self.shows(front, misses=1, keys=6, hits=0)

    def test_health(self):
        front = self.front()
        self.shows(front, keys=0)
        health = front.admin("GET", "/cache/health").json()
        self.assertEqual((health["status"], health["breaker"], health["journal"]), ("ok", "closed", 0))
        self.assertNotIn("why", health)
        self.assertGreater(health["latency_ms"], 0)
        self.assertGreater(health["memory_mb"], 0)
        self.assertEqual([(server["connected"], server["breaker"]) for server in health["servers"]],
                         [(True, "closed")])
        self.assertIn(str(self.redis.path), health["servers"][0]["address"])
        for command in ("stats", "health"):
            out = subprocess.run([binary(), command, "--admin", front.admin_address], capture_output=True,
                                 timeout=60, check=True).stdout
            self.assertEqual(json.loads(out)["backend" if command == "health" else "keys"],
                             "redis" if command == "health" else 0)
        self.redis.kill()
        wait_until(lambda: front.admin("GET", "/cache/health").json()["status"] == "degraded", "it is missed")
        health = front.admin("GET", "/cache/health").json()
        self.assertTrue(health["why"])
        self.assertFalse(health["servers"][0]["connected"])


class FleetStatsOnCluster(OnRedis):
    """The sums are in one slot, whichever node has it; memory is that of all nodes."""

    test_two_gateways_add_up = FleetStats.test_two_gateways_add_up
    test_overwritten_keys_are_counted_once = FleetStats.test_overwritten_keys_are_counted_once

    def make_redis(self):
        return redis_servers.RedisCluster(3)

    def test_health_names_every_node(self):
        front = self.front()
        self.shows(front, keys=0)
        health = front.admin("GET", "/cache/health").json()
        self.assertEqual(sorted(server["address"] for server in health["servers"]),
                         sorted("127.0.0.1:%d" % node.port for node in self.redis.nodes))
        least = min(int(node.info("memory")["used_memory"]) for node in self.redis.nodes) / 2**20
        self.assertGreater(health["memory_mb"], 2 * least)
        self.redis.nodes[1].kill()
        wait_until(lambda: front.admin("GET", "/cache/health").json()["status"] == "degraded", "it is missed")


if __name__ == "__main__":
    main()
