"""`on_outage: memory`: while Redis is away the gateway answers from its own memory for a short time.

Writes through it are seen at once, whatever answered before.
"""

import test_outage
from harness import main, wait_until
from redis_servers import SECRET


class OutageMemory(test_outage.OutageJourney):
    def front(self, url):
        store = {"redis": url, "timeout": test_outage.TIMEOUT, "on_outage": "memory", "outage_ttl": "1h"}
        return self.gateway(self.origin, test_outage.RULES, config={"store": store},
                            environment={"CACHEGATE_SECRET": SECRET})

    def assertServes(self, front, *items):
        """Each thread that notices what Redis does begins anew: after a while there are hits."""
        for item in items:
            wait_until(lambda item=item: all(self.is_hit(front, item) for _ in range(4)), "it hits")

    def write_and_see(self, front, item, times=5):
        for _ in range(times):
            self.assertEqual(self.write(front, item).status, 200)
            self.assertEqual(self.version(front, item), self.origin.app.versions[item])
            self.assertServes(front, item)

    def through(self, begin, end):
        front = self.front(self.server.url)
        self.assertServes(front, "a", "b")
        begin()
        self.assertServes(front, "a", "b")
        self.write_and_see(front, "a")
        self.assertEqual(self.version(front, "b"), 0)
        end()
        self.assertEqual(self.version(front, "a"), self.origin.app.versions["a"])
        self.assertServes(front, "a", "b")
        wait_until(lambda: self.health(front)["status"] == "ok", "its health says so")
        self.write_and_see(front, "a")

    def setUp(self):
        super().setUp()
        self.server = self.redis()

    def test_killed_and_back(self):
        self.through(self.server.kill, self.server.start)

    def test_frozen(self):
        self.through(self.server.freeze, self.server.thaw)

    def test_started_without(self):
        self.server.kill()
        front = self.front(self.server.url)
        self.assertServes(front, "a")
        self.write_and_see(front, "a")
        self.server.start()
        wait_until(lambda: self.health(front)["status"] == "ok", "its health says so")
        self.assertServes(front, "a")
        self.write_and_see(front, "a")

    def test_back_and_gone_again(self):
        front = self.front(self.server.url)
        for _ in range(3):
            self.assertServes(front, "a")
            self.write_and_see(front, "a", times=2)
            self.server.kill()
            self.write_and_see(front, "a", times=2)
            self.server.start()


if __name__ == "__main__":
    main()
