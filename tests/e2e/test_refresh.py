"""POST /cache/refresh: purges, and fetches again only with credentials given in the call (CONSISTENCY row 33)."""

import json
import signal
import socket
import subprocess

from harness import ADMIN_TOKEN, App, Journey, Reply, binary, main, wait_until
from redis_servers import SECRET, Redis

RULES = """
defaults: { ttl: 1h }
groups:
  session:
    - /mine?session={id}
routes:
  - { match: GET /items/**, scope: shared }
  - { match: GET /tagged/**, scope: shared, groups: keep }
  - { match: GET /mine, scope: user }
  - { match: GET /never, cache: never }
"""


class Numbered(App):
    """Each answer has a number of its own."""

    def __init__(self):
        super().__init__()
        self.number = 0

    def answer(self, request):
        with self.lock:
            self.number += 1
            number = self.number
        fields = [("Surrogate-Key", "all")] if request.path.startswith("/tagged") else []
        return Reply.json({"number": number, "user": request.field("authorization")}, fields=fields)


class Refresh(Journey):
    def start(self, **arguments):
        self.origin = self.upstream(Numbered())
        self.front = self.gateway(self.origin, RULES, **arguments)

    def read(self, target, user=None):
        return self.front.get(target, headers=dict({"Host": "localhost"}, **({"Authorization": user} if user else {})))

    def warm(self, target, user=None):
        number = self.read(target, user).json()["number"]
        self.assertHit(self.read(target, user))
        return number

    def refresh(self, **body):
        return self.front.admin("POST", "/cache/refresh", body=json.dumps(body))

    def assertTaken(self, answer, fetching, left):
        self.assertEqual(answer.status, 202, repr(answer))
        told = answer.json()
        self.assertEqual((told["fetching"], told["left"]), (fetching, left), told)
        return told

    def wait_fetched(self, count, failed=0):
        self.front.wait_line(r"refresh.*%d fetched, %d of them failed" % (count, failed))

    def is_deaf(self):
        host, port = self.front.address.split(":")
        try:
            socket.create_connection((host, int(port)), 30).close()
        except OSError:
            return True
        return False

    def test_what_all_share_is_purged_and_fetched_again(self):
        self.start()
        targets = ["/items/1", "/items/2?page=1"]
        old = [self.warm(target) for target in targets]
        before = self.origin.count()
        told = self.assertTaken(self.refresh(urls=[targets[0], "http://localhost" + targets[1]]), 2, 0)
        self.assertGreaterEqual(told["purged"], 2)
        self.wait_fetched(2)
        self.assertEqual(self.origin.count(), before + 2)
        for target, number in zip(targets, old):
            answer = self.read(target)
            self.assertHit(answer)
            self.assertGreater(answer.json()["number"], number)
        self.assertEqual(self.origin.count(), before + 2)

    def test_what_is_a_users_is_only_fetched_with_credentials_of_the_call(self):
        self.start()
        self.warm("/mine", "ann")
        self.warm("/mine", "bob")
        before = self.origin.count()
        self.assertTaken(self.refresh(urls=["/mine"]), 0, 1)
        self.assertEqual(self.origin.count(), before, "nobody's credentials were given")
        self.assertMiss(self.read("/mine", "ann"))
        self.assertMiss(self.read("/mine", "bob"))
        self.assertTaken(self.refresh(urls=["/mine"], headers={"authorization": "ann"}), 1, 0)
        self.wait_fetched(1)
        self.assertEqual(self.origin.last("/mine").field("authorization"), "ann")
        self.assertHit(self.read("/mine", "ann"))
        self.assertFalse(self.read("/mine", "bob").cache.hit, "it was purged for everybody")

    def test_what_is_never_stored_is_not_fetched(self):
        self.start()
        self.assertTaken(self.refresh(urls=["/never", "/nowhere"]), 0, 2)
        self.assertEqual(self.origin.count(), 0)

    def test_it_takes_what_a_purge_takes(self):
        self.start()
        self.warm("/items/1")
        self.warm("/tagged/1")
        self.warm("/mine?session=7", "ann")
        self.assertTaken(self.refresh(urls=["/items/2"], patterns=["/items/1"], tags=["all"], users=[],
                                      groups=[{"group": "session", "id": 7}]), 1, 0)
        self.wait_fetched(1)
        self.assertHit(self.read("/items/2"))
        for target, user in (("/items/1", None), ("/tagged/1", None), ("/mine?session=7", "ann")):
            self.assertFalse(self.read(target, user).cache.hit, target)
        self.assertTaken(self.refresh(patterns=["/items/1"]), 0, 0)

    def test_with_one_mistake_nothing_is_done(self):
        self.start()
        self.warm("/items/1")
        before = self.origin.count()
        mistakes = [({}, "the body names nothing"), ({"urls": "/items/1"}, "`urls` must be a list"),
                    ({"urls": [1]}, "is no URL"), ({"urls": ["items"]}, "is no URL"),
                    ({"urls": ["http://a\r\nX: y/b"]}, "is no URL"), ({"urls": ["/a/../b"]}, "would be refused"),
                    ({"urls": ["/items/%d" % i for i in range(1001)]}, "at most 1000"),
                    ({"headers": {"Authorization": "s3cret"}}, "the body names nothing"),
                    ({"urls": ["/items/2"], "headers": {"a b": "s3cret"}}, "cannot be sent"),
                    ({"urls": ["/items/2"], "headers": {"a": "s3cret\r\nb: c"}}, "cannot be sent"),
                    ({"urls": ["/items/2"], "headers": {"a": ["s3cret"]}}, "cannot be sent"),
                    ({"urls": ["/items/2"], "headers": ["s3cret"]}, "`headers` must be a map"),
                    ({"urls": ["/items/%d" % i for i in range(999)], "headers": {"Authorization": "s3cret" * 150000}},
                     "`headers` is over"),
                    ({"urls": ["/items/2"], "pattern": ["/items/1"]}, "unknown name `pattern`"),
                    ({"urls": ["/items/2"], "tags": ["x", ""]}, "non-empty text")]
        for body, words in mistakes:
            body = dict(body, urls=["/items/1"] + body["urls"]) if isinstance(body.get("urls"), list) else body
            answer = self.refresh(**body)
            self.assertEqual(answer.status, 400, repr((body, answer)))
            self.assertIn(words, answer.json()["error"])
            self.assertNotIn("s3cret", answer.body.decode() + "\n".join(self.front.lines))
        self.assertEqual(self.front.admin("POST", "/cache/refresh", body="{").status, 400)
        self.assertHit(self.read("/items/1"))
        self.assertEqual(self.origin.count(), before)

    def test_few_are_asked_for_at_a_time_and_few_lists_wait(self):
        self.start(config={"warm": {"concurrency": 2}}, threads=1)
        gates = [self.origin.hold("/items/%d" % i) for i in range(6)]
        self.assertTaken(self.refresh(urls=["/items/%d" % i for i in range(6)]), 6, 0)
        waiting = list(gates)
        while waiting:
            expected = min(2, len(waiting))
            arrived = []

            def look():
                arrived[:] = [gate for gate in waiting if gate.arrived.is_set()]
                return len(arrived) >= expected
            wait_until(look, "%d are asked for" % expected)
            self.assertEqual(len(arrived), expected)
            if len(waiting) == 6:
                statuses = [self.refresh(urls=["/items/again"]).status for _ in range(17)]
                self.assertEqual(statuses, [202] * 16 + [503], "one list is under way, 16 wait")
            for gate in arrived:
                waiting.remove(gate)
                gate.release()
        self.wait_fetched(6)
        wait_until(lambda: sum("1 fetched" in line for line in self.front.lines) == 16, "all lists are through")

    def test_a_fetch_that_fails_is_told(self):
        self.start()
        self.origin.fail("/items/1", times=1)
        self.assertTaken(self.refresh(urls=["/items/1"]), 1, 0)
        self.wait_fetched(1, failed=1)

    def test_the_end_of_the_gateway_forgets_what_was_not_asked_for(self):
        self.start(config={"warm": {"concurrency": 1}}, threads=1)
        with self.origin.hold("/items/1") as gate:
            self.assertTaken(self.refresh(urls=["/items/1", "/items/2"]), 2, 0)
            self.assertTaken(self.refresh(urls=["/items/3"]), 1, 0)
            gate.wait_arrived()
            self.front.process.send_signal(signal.SIGTERM)
            wait_until(self.is_deaf, "its one thread knows")
        self.front.expect_end(0)
        self.assertEqual(self.origin.count(), 1)

    def test_from_the_command_line(self):
        self.start()
        self.warm("/mine", "ann")

        def run(*arguments):
            return subprocess.run([binary(), "refresh", "--admin", self.front.admin_address, "--token", ADMIN_TOKEN,
                                   *arguments], capture_output=True, text=True, timeout=60, check=False)
        done = run("/mine", "-H", "Authorization: ann")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["fetching"], 1)
        self.wait_fetched(1)
        self.assertHit(self.read("/mine", "ann"))
        done = run("--pattern", "/mine")
        self.assertEqual(json.loads(done.stdout)["fetching"], 0, done.stderr)
        self.assertFalse(self.read("/mine", "ann").cache.hit)
        self.assertEqual(run().returncode, 2)
        self.assertEqual(run("/mine", "-H", "nothing").returncode, 2)

    def test_on_redis_nothing_is_fetched_that_was_not_purged(self):
        redis = Redis()
        self.addCleanup(redis.close)
        self.start(environment={"CACHEGATE_STORE_REDIS": redis.url, "CACHEGATE_SECRET": SECRET})
        wait_until(lambda: self.read("/items/1").cache.hit, "Redis is used")
        other = self.gateway(self.origin, RULES, environment={
            "CACHEGATE_STORE_REDIS": redis.url, "CACHEGATE_SECRET": SECRET})
        wait_until(lambda: other.get("/items/1", headers={"Host": "localhost"}).cache.hit, "it is shared")
        old = self.read("/items/1").json()["number"]
        self.assertTaken(self.refresh(urls=["/items/1"]), 1, 0)
        self.wait_fetched(1)
        before = self.origin.count()
        # Another gateway's connection may overtake what was sent to be stored, and fetch it once more.
        answer = other.get("/items/1", headers={"Host": "localhost"})
        self.assertGreater(answer.json()["number"], old)
        self.assertLessEqual(self.origin.count(), before + 1)
        redis.close()
        before = self.origin.count()
        wait_until(lambda: self.refresh(urls=["/items/1"]).status == 503, "the purge is not acknowledged")
        self.assertEqual(self.origin.count(), before)


if __name__ == "__main__":
    main()
