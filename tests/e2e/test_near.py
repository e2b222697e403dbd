"""Near copies: what two gateways on one Redis see of each other, and what a read costs Redis.

Routes under /strict ask Redis for versions each time, routes under /pushed are told of changes.
Whatever happens to the connection on which they are told, they stay within their bound.
"""

import threading
import time

from harness import App, Journey, Reply, main, wait_until
from test_redis import Redis, environment_for, wait_connected

RULES = """
defaults: { ttl: 10m, scope: user }
routes:
  - match: GET /strict/{id}
  - { match: "GET /pushed/{id}", consistency: pushed }
  - { match: "GET /tagged/{id}", scope: shared, groups: keep, override: [authorization] }
  - { match: "PUT /{kind}/{id}" }
"""
LONG = "1m"  # the tracking timeout where a busy machine must not end it
BODY = "x" * 20000


class Items(App):
    def __init__(self):
        super().__init__()
        for kind in ("strict", "pushed"):
            self.route("GET", "/%s/{id}" % kind, lambda request, id, kind=kind:
                       dict(self.read(request, "%s/%s" % (kind, id)), body=BODY))
            self.route("PUT", "/%s/{id}" % kind, lambda request, id, kind=kind:
                       {"version": self.write("%s/%s" % (kind, id))["%s/%s" % (kind, id)]})


        self.route("GET", "/tagged/{id}", self.tagged)
        self.route("POST", "/tags/{name}", lambda request, name: Reply.json(
            self.write("tag"), fields=[("Cache-Group-Invalidation", '"%s"' % name)]))

    def tagged(self, request, id):
        return Reply.json(dict(self.read(request, "tag"), body=BODY), fields=[("Cache-Groups", '"all", "%s"' % id)])


class Near(Journey):
    def setUp(self):
        super().setUp()
        self.origin = self.upstream(Items())
        self.redis = Redis()
        self.addCleanup(self.redis.close)

    def front(self, tracking_timeout=LONG, **environment):
        front = self.gateway(self.origin, RULES, environment=environment_for(
            self.redis, CACHEGATE_STORE_TRACKING_TIMEOUT=tracking_timeout, **environment))
        wait_connected(front)
        self.wait_tracking(front, "up")
        return front

    def tracking(self, front):
        return front.admin("GET", "/cache/health").json()["tracking"]

    def wait_tracking(self, front, state):
        wait_until(lambda: self.tracking(front) == state, "tracking " + state)

    def near(self, front):
        return front.stats()["near"]

    def read(self, front, path):
        answer = front.get(path, user="alice")
        self.assertEqual(answer.status, 200)
        return answer.json()["state"][path.strip("/")], answer.cache.hit

    def write(self, front, path):
        answer = front.request("PUT", path, user="alice", body=b"{}")
        self.assertEqual(answer.status, 200)
        return answer.json()["version"]

    def is_pushed(self, front, path):
        before = self.near(front)["pushed_hits"]
        _, hit = self.read(front, path)
        return hit and self.near(front)["pushed_hits"] > before

    def warm(self, front, path):
        wait_until(lambda: self.is_pushed(front, path), "pushed hits of " + path)

    def info(self, section, name):
        for line in self.redis.ask("INFO " + section).split("\r\n"):
            if line.startswith(name):
                return line[len(name):]
        return "0,"

    def commands(self, name):
        return int(self.info("commandstats", "cmdstat_%s:calls=" % name).split(",")[0])

    def sent_bytes(self):
        return int(self.info("stats", "total_net_output_bytes:"))

    def test_a_strict_hit_moves_no_body(self):
        front = self.front()
        self.read(front, "/strict/a")
        wait_until(lambda: self.read(front, "/strict/a")[1], "a hit")
        before, mgets = self.sent_bytes(), self.commands("mget")
        for _ in range(20):
            self.assertTrue(self.read(front, "/strict/a")[1])
        self.assertLess(self.sent_bytes() - before, len(BODY))
        self.assertEqual(self.commands("mget") - mgets, 20)
        self.assertGreaterEqual(self.near(front)["confirmed_hits"], 20)
        self.assertEqual(self.near(front)["pushed_hits"], 0)

    def test_a_strict_read_always_sees_a_write_through_another_gateway(self):
        one, two = self.front(), self.front()
        for i in range(40):
            reader, writer = (one, two) if i % 2 else (two, one)
            path = "/strict/%d" % (i % 4)
            self.read(reader, path)
            self.read(reader, path)
            version = self.write(writer, path)
            self.assertEqual(self.read(reader, path)[0], version)
        self.assertGreater(self.near(one)["confirmed_hits"] + self.near(two)["confirmed_hits"], 10)

    def test_answers_that_name_groups_are_near_too_and_end_with_their_groups(self):
        one, two = self.front(), self.front()

        def read():
            answer = one.get("/tagged/a", user="alice")
            return answer.json()["state"]["tag"], answer.cache.hit
        version, _ = read()
        wait_until(lambda: read()[1], "a hit")
        before, bytes_before = self.near(one)["confirmed_hits"], self.sent_bytes()
        for _ in range(10):
            self.assertEqual(read(), (version, True))
        self.assertGreaterEqual(self.near(one)["confirmed_hits"] - before, 10)
        self.assertLess(self.sent_bytes() - bytes_before, len(BODY), "no body moved")
        for name in ("all", "a") * 5:
            version = two.request("POST", "/tags/" + name, user="alice", body=b"{}").json()["tag"]
            self.assertEqual(read()[0], version, "what is near ends with its group")
            wait_until(lambda: read()[1], "a hit")
        two.request("POST", "/tags/other", user="alice", body=b"{}")
        self.assertTrue(read()[1], "another group says nothing")

    def test_a_pushed_hit_costs_redis_nothing(self):
        front = self.front()
        self.warm(front, "/pushed/a")
        mgets = self.commands("mget")
        for _ in range(20):
            self.assertTrue(self.read(front, "/pushed/a")[1])
        self.assertEqual(self.commands("mget"), mgets)
        page = front.admin("GET", "/metrics").body.decode()
        self.assertIn("\ncachegate_tracking_up 1\n", page)
        self.assertRegex(page, r"\ncachegate_pushed_hits_total [1-9]")
        self.assertRegex(page, r"\ncachegate_near_entries [1-9]")

    def test_a_pushed_read_sees_its_own_gateways_writes_at_once(self):
        front = self.front()
        for _ in range(20):
            self.warm(front, "/pushed/a")
            version = self.write(front, "/pushed/a")
            self.assertEqual(self.read(front, "/pushed/a")[0], version)

    def test_a_pushed_read_sees_other_gateways_writes_soon(self):
        one, two = self.front(), self.front()
        longest = 0.0
        for _ in range(20):
            self.warm(one, "/pushed/a")
            version = self.write(two, "/pushed/a")
            answered = time.monotonic()
            wait_until(lambda: self.read(one, "/pushed/a")[0] == version, "version %d" % version)
            longest = max(longest, time.monotonic() - answered)
        print("longest staleness seen: %.1f ms" % (longest * 1000))

    def test_flushall_empties(self):
        front = self.front()
        self.warm(front, "/pushed/a")
        self.redis.ask("FLUSHALL")
        wait_until(lambda: not self.is_pushed(front, "/pushed/a"), "it asks again")
        self.warm(front, "/pushed/a")

    def test_a_purge_of_operators_reaches_copies(self):
        one, two = self.front(), self.front()
        for path in ("/strict/a", "/pushed/a"):
            self.read(one, path)
            wait_until(lambda: self.read(one, path)[1], "a hit")
        self.warm(one, "/pushed/a")
        self.assertEqual(two.admin("DELETE", "/cache/flush").status // 100, 2)
        self.assertFalse(self.read(one, "/strict/a")[1])
        wait_until(lambda: self.near(one)["pushes"] and not self.is_pushed(one, "/pushed/a"), "told of it")

    def test_a_lost_connection_is_noticed_and_made_again(self):
        one, two = self.front(), self.front()
        self.warm(one, "/pushed/a")
        self.redis.ask("CLIENT KILL TYPE pubsub")
        wait_until(lambda: self.near(one)["tracking_lost"] == 1 and self.near(two)["tracking_lost"] == 1,
                   "both lost it")
        version = self.write(two, "/pushed/a")
        self.wait_tracking(one, "up")
        self.assertEqual(self.read(one, "/pushed/a")[0], version)
        self.warm(one, "/pushed/a")

    def test_a_server_that_hangs_is_not_believed(self):
        front = self.front("300ms", CACHEGATE_STORE_TIMEOUT="300ms")
        self.warm(front, "/pushed/a")
        self.redis.freeze()
        self.wait_tracking(front, "down")
        version = self.write(front, "/pushed/a")
        self.assertEqual(self.read(front, "/pushed/a")[0], version)
        self.redis.thaw()
        self.wait_tracking(front, "up")
        self.warm(front, "/pushed/a")
        self.assertEqual(self.read(front, "/pushed/a")[0], version)

    def test_it_logs_in(self):
        self.redis.ask("ACL SETUSER gate on >pass ~* &* +@all")
        front = self.front(CACHEGATE_STORE_REDIS="unix://gate:pass@%s" % self.redis.path)
        self.warm(front, "/pushed/a")

    def test_who_may_not_subscribe_is_strict(self):
        self.redis.ask("ACL SETUSER gate on >pass ~* &* +@all -subscribe")
        front = self.gateway(self.origin, RULES, environment=environment_for(
            self.redis, CACHEGATE_STORE_REDIS="unix://gate:pass@%s" % self.redis.path))
        wait_connected(front)
        front.wait_line("does not tell of changes.*NOPERM")
        self.read(front, "/pushed/a")
        wait_until(lambda: self.read(front, "/pushed/a")[1], "a hit")
        version = self.write(front, "/pushed/a")
        self.assertEqual(self.read(front, "/pushed/a")[0], version)
        self.assertEqual(self.tracking(front), "down")
        self.assertEqual(self.near(front)["pushed_hits"], 0)

    def test_killed_and_back_with_its_old_file(self):
        front = self.front()
        self.warm(front, "/pushed/a")
        self.read(front, "/strict/a")
        self.redis.ask("SAVE")
        versions = {path: self.write(front, path) for path in ("/pushed/a", "/strict/a")}
        self.redis.kill()
        self.redis.start()
        wait_connected(front, 6)
        for path, version in versions.items():
            self.assertEqual(self.read(front, path)[0], version)
        self.wait_tracking(front, "up")
        self.warm(front, "/pushed/a")

    def test_writers_and_readers_at_random_on_one_gateway(self):
        """Through one gateway nobody reads the past, whatever the route says."""
        front = self.front()
        self.warm(front, "/pushed/a")
        answered, stale, over = [self.write(front, "/pushed/a")], [], threading.Event()

        def read():
            client = front.client()
            while not over.is_set():
                oldest = answered[-1]
                state = client.request("GET", "/pushed/a", user="alice").json()["state"]["pushed/a"]
                if state < oldest:
                    stale.append((state, oldest))

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        try:
            for _ in range(60):
                answered.append(self.write(front, "/pushed/a"))
                wait_until(lambda: self.is_pushed(front, "/pushed/a"), "pushed hits")
        finally:
            over.set()
            for reader in readers:
                reader.join()
        self.assertEqual(stale, [])
        self.assertGreater(self.near(front)["pushed_hits"], 60)


if __name__ == "__main__":
    main()
