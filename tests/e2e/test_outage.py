"""What clients see of a Redis in trouble, for every trouble that we know of.

While Redis cannot be used, reads are answered by the upstream and are never stale; writes follow
`store.on_unpurgeable`; `/cache/health` says `degraded`. When it can be used again, hits come back and
show the newest state. Each case of Trouble says how a Redis gets there and out of it.
"""

import threading

import test_consistency
from harness import App, Journey, main, wait_until
from redis_servers import SECRET, FakeRedis, Redis, RedisError

RULES = """
defaults: { ttl: 10m, scope: user }
routes:
  - match: GET /items/{id}
  - match: PUT /items/{id}
  - match: PATCH /items/{id}
    invalidate: ["/items/**"]
"""
TIMEOUT = "300ms"


class Items(App):
    """Items with numbers; `most` is the greatest number of reads that were here at the same time."""

    def __init__(self):
        super().__init__()
        self.route("GET", "/items/{id}", self.show)
        self.route("PUT|PATCH", "/items/{id}", lambda request, id: {"version": self.write(id)[id]})
        self.never = threading.Event()
        self.delay_s = 0
        self.here = self.most = 0

    def show(self, request, id):
        with self.lock:
            self.here += 1
            self.most = max(self.most, self.here)
        self.never.wait(self.delay_s)
        with self.lock:
            self.here -= 1
        return self.read(request, id)


class OutageJourney(Journey):
    policy = "journal"

    def setUp(self):
        super().setUp()
        self.origin = self.upstream(Items())

    def redis(self, *options, **more):
        redis = Redis(*options, **more)
        self.addCleanup(redis.close)
        return redis

    def fake(self, answer):
        redis = FakeRedis(answer)
        self.addCleanup(redis.close)
        return redis

    def front(self, url, threads=2, **variables):
        return self.gateway(self.origin, RULES, threads=threads, environment=dict({
            "CACHEGATE_STORE_REDIS": url, "CACHEGATE_SECRET": SECRET, "CACHEGATE_STORE_TIMEOUT": TIMEOUT,
            "CACHEGATE_STORE_ON_UNPURGEABLE": self.policy}, **variables))

    def version(self, front, item):
        answer = front.get("/items/%s" % item, user="alice")
        self.assertEqual(answer.status, 200, repr(answer))
        return answer.json()["state"][item]

    def is_hit(self, front, item):
        self.assertEqual(self.version(front, item), self.origin.app.versions[item])
        answer = front.get("/items/%s" % item, user="alice")
        self.assertEqual(answer.json()["state"][item], self.origin.app.versions[item])
        return answer.cache.hit

    def wait_usable(self, front, item="warm"):
        # Each of two connections may land on another thread of the gateway.
        wait_until(lambda: all(self.is_hit(front, item) for _ in range(3)), "it uses its Redis")

    def health(self, front):
        return front.admin("GET", "/cache/health").json()

    def write(self, front, item, method="PUT"):
        return front.request(method, "/items/%s" % item, user="alice", body=b"{}")

    def assertWrites(self, front, item, joined=True):
        """A write is answered as the policy says while purges are not acknowledged. Who never joined
        has no lease that could run out: it refuses."""
        before = self.origin.app.versions[item]
        for method in ("PUT", "PATCH"):
            answer = self.write(front, item, method)
            if self.policy == "refuse" or (self.policy == "lease" and not joined):
                self.assertEqual(answer.status, 503, repr(answer))
                self.assertIn("unpurgeable", answer.field("cache-status"))
                self.assertEqual(self.origin.app.versions[item], before, "it was not forwarded")
            else:
                self.assertEqual(answer.status, 200, repr(answer))
                before += 1
            self.assertEqual(self.version(front, item), before)

    def assertOut(self, front, item, joined=True):
        """Redis cannot be used: the answers of an outage, and nothing stale."""
        for _ in range(3):
            answer = front.get("/items/%s" % item, user="alice")
            self.assertEqual(answer.status, 200, repr(answer))
            self.assertEqual(answer.json()["state"][item], self.origin.app.versions[item])
            self.assertFalse(answer.cache.hit, repr(answer))
        self.assertWrites(front, item, joined)
        wait_until(lambda: self.health(front)["status"] == "degraded", "its health says so")

    def assertBack(self, front, *items):
        """Redis can be used again: hits, of the newest state."""
        for item in items:
            self.assertEqual(self.version(front, item), self.origin.app.versions[item])
        self.wait_usable(front)
        for item in items:
            self.assertEqual(self.version(front, item), self.origin.app.versions[item])
        wait_until(lambda: self.health(front)["status"] == "ok", "its health says so")


class Trouble(OutageJourney):
    """`journal`: writes are answered, and told to Redis later."""

    def through(self, redis, begin, end, **variables):
        """A usable Redis, a trouble, and its end."""
        front = self.front(redis.url, **variables)
        self.wait_usable(front)
        wait_until(lambda: self.is_hit(front, "a"), "a hit")
        begin()
        self.assertOut(front, "a")
        self.assertOut(front, "b")
        end()
        self.assertBack(front, "a", "b")

    def test_killed_and_back_empty(self):
        redis = self.redis()
        self.through(redis, redis.kill, redis.start)

    def test_killed_and_back_with_an_old_snapshot(self):
        redis = self.redis()

        def begin():
            redis.command("SAVE")
            redis.kill()

        self.through(redis, begin, redis.start)

    def test_frozen(self):
        redis = self.redis()
        self.through(redis, redis.freeze, redis.thaw)

    def test_slow(self):
        """It answers nobody for eight seconds, and then everybody at once."""
        redis = self.redis()
        self.through(redis, lambda: redis.command("CLIENT", "PAUSE", 8000, "ALL"),
                     lambda: redis.command("PING"))

    def test_a_primary_that_becomes_a_replica(self):
        redis = self.redis()
        front = self.front(redis.url)
        self.wait_usable(front)
        wait_until(lambda: self.is_hit(front, "a"), "a hit")
        redis.command("REPLICAOF", "127.0.0.1", "1")
        self.assertWrites(front, "a")
        self.assertOut(front, "a")
        redis.command("REPLICAOF", "NO", "ONE")
        self.assertBack(front, "a")

    def test_a_replica_is_noticed_without_a_write(self):
        redis = self.redis()
        front = self.front(redis.url, CACHEGATE_STORE_LEASE="300ms")
        self.wait_usable(front)
        redis.command("REPLICAOF", "127.0.0.1", "1")
        wait_until(lambda: not any(front.get("/items/warm", user="alice").cache.hit for _ in range(4)),
                   "nothing is believed any more")
        self.assertOut(front, "a")

    def test_busy_with_somebodys_script_that_is_then_killed(self):
        redis = self.redis("--busy-reply-threshold", "50")
        looping = []

        def begin():
            connection = redis.connect()
            looping.append(connection)
            connection.send("EVAL", "while true do end", 0)
            wait_until(lambda: "BUSY" in redis.ask("GET x"), "the script runs")

        def end():
            redis.command("SCRIPT", "KILL")
            with self.assertRaises(RedisError):
                looping[0].read()
            looping[0].close()

        self.through(redis, begin, end)

    def test_a_password_is_asked_for_from_now_on(self):
        redis = self.redis()

        def begin():
            redis.command("CONFIG", "SET", "requirepass", "right")
            redis.command_as("right", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

        self.through(redis, begin, lambda: redis.command_as("right", "CONFIG", "SET", "requirepass", ""))

    def test_started_before_its_redis(self):
        redis = self.redis()
        redis.kill()
        front = self.front(redis.url)
        self.assertOut(front, "a", joined=False)
        redis.start()
        self.assertBack(front, "a")

    def test_a_wrong_password(self):
        redis = self.redis()
        redis.command("CONFIG", "SET", "requirepass", "right")
        front = self.front("unix://:wr0ng@%s" % redis.path)
        front.wait_line("WRONGPASS|invalid username-password")
        self.assertOut(front, "a", joined=False)
        self.assertFalse(any("wr0ng" in line for line in front.lines))
        redis.command_as("right", "CONFIG", "SET", "requirepass", "wr0ng")
        self.assertBack(front, "a")

    def test_a_replica(self):
        replica = self.redis("--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "yes")
        self.assertOut(self.front(replica.url), "a", joined=False)

    def test_a_replica_that_serves_no_stale_data(self):
        replica = self.redis("--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no")
        self.assertOut(self.front(replica.url), "a", joined=False)

    def test_loading(self):
        loading = self.fake(lambda words: b"-LOADING Redis is loading the dataset in memory\r\n")
        self.assertOut(self.front(loading.url), "a", joined=False)

    def test_what_is_no_redis(self):
        for bytes_ in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\xff\xfe" * 40, None):
            with self.subTest(bytes_):
                stranger = self.fake(lambda words, bytes_=bytes_: bytes_)
                self.assertOut(self.front(stranger.url), "a", joined=False)


class TroubleRefused(Trouble):
    """`refuse`: the same troubles; writes are answered 503 and not forwarded."""

    policy = "refuse"


class TroubleLeased(Trouble):
    """`lease`: writes are answered, when no other gateway believes any more what they made wrong."""

    policy = "lease"

    def front(self, url, threads=2, **variables):
        return super().front(url, threads, **dict({
            "CACHEGATE_STORE_LEASE": "300ms", "CACHEGATE_STORE_GONE_AFTER": "1h"}, **variables))


class Losses(OutageJourney):
    """Redis answers, but forgot or does not keep: not an outage."""

    def front(self, url, threads=2, **variables):
        return super().front(url, threads, **dict({"CACHEGATE_STORE_TIMEOUT": "10s"}, **variables))

    def test_flushed(self):
        redis = self.redis()
        front = self.front(redis.url)
        self.wait_usable(front)
        for _ in range(3):
            redis.command("FLUSHALL")
            self.assertBack(front, "a", "b")
            self.write(front, "a")
            self.assertBack(front, "a", "b")

    def test_its_scripts_are_forgotten(self):
        redis = self.redis()
        front = self.front(redis.url)
        self.wait_usable(front)
        for item in ("a", "b"):
            redis.command("SCRIPT", "FLUSH")
            self.assertEqual(self.write(front, item).status, 200)
            self.assertTrue(self.is_hit(front, item))
        self.assertEqual(self.health(front)["status"], "ok")

    def full(self, redis, front):
        self.wait_usable(front)
        wait_until(lambda: self.is_hit(front, "a"), "a hit")
        redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        redis.command("CONFIG", "SET", "maxmemory", "1")

    def test_full(self):
        """Purges delete versions where nothing can be written; nothing more is stored."""
        redis = self.redis()
        front = self.front(redis.url)
        self.full(redis, front)
        for _ in range(2):
            for method in ("PUT", "PATCH"):
                self.assertEqual(self.write(front, "a", method).status, 200)
                for item in ("a", "b"):
                    self.assertEqual(self.version(front, item), self.origin.app.versions[item])
        redis.command("CONFIG", "SET", "maxmemory", "0")
        self.assertBack(front, "a", "b")

    def test_full_and_writes_that_need_marks_are_refused(self):
        self.policy = "refuse"
        redis = self.redis()
        front = self.front(redis.url)
        self.full(redis, front)
        self.assertEqual(self.write(front, "a").status, 503)
        self.assertEqual(self.origin.app.versions["a"], 0)
        self.assertEqual(self.version(front, "a"), 0)
        redis.command("CONFIG", "SET", "maxmemory", "0")
        wait_until(lambda: self.write(front, "a").status == 200, "writes pass again")
        self.assertBack(front, "a", "b")

    def test_evicting(self):
        """Versions, entries, the epoch and its list go at random while items are written and read."""
        redis = self.redis("--maxmemory-policy", "allkeys-random", "--maxmemory-samples", "1")
        front = self.front(redis.url)
        self.wait_usable(front)
        base = int(redis.info("memory")["used_memory"])
        redis.command("CONFIG", "SET", "maxmemory", base + 15000)
        hits = 0
        for turn in range(300):
            item = "item-%d" % (turn * 7 % 40)
            if turn % 5 == 0:
                self.assertEqual(self.write(front, item, "PATCH" if turn % 25 == 0 else "PUT").status, 200)
            hits += self.is_hit(front, item)
        self.assertGreater(int(redis.info("stats")["evicted_keys"]), 20)
        self.assertGreater(hits, 20)


class Crowd(OutageJourney):
    """The upstream is spared while Redis is away: limits.outage_*."""

    CAP = 4

    def out(self, threads=2, **variables):
        redis = self.redis()
        front = self.front(redis.url, threads=threads, **variables)
        self.wait_usable(front)
        redis.kill()
        wait_until(lambda: front.get("/items/a", user="alice").cache.detail == "store-unavailable",
                   "it notices")
        return front

    def ask(self, front, target, answers):
        def run():
            answers.append(front.client().get(target, user="alice"))

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def test_no_more_fetches_than_the_cap_and_no_errors(self):
        front = self.out(CACHEGATE_LIMITS_OUTAGE_FETCHES=str(self.CAP))
        self.origin.app.delay_s = 0.02
        self.origin.app.most = 0
        failures = []

        def run(number):
            client = front.client()
            for turn in range(12):
                item = "crowd-%d-%d" % (number, turn)
                answer = client.get("/items/" + item, user="alice")
                if answer.status != 200 or answer.json()["state"][item] != 0:
                    failures.append(answer)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        self.assertEqual(failures, [])
        self.assertLessEqual(self.origin.app.most, self.CAP)
        self.assertGreaterEqual(self.origin.app.most, 2, "there was a crowd")
        self.assertEqual(self.origin.count(), len({request.target for request in self.origin.requests
                                                   if "crowd" in request.target})
                         + sum("crowd" not in request.target for request in self.origin.requests))

    def test_who_waits_is_answered_and_equal_requests_share(self):
        front = self.out(threads=1, CACHEGATE_LIMITS_OUTAGE_FETCHES="1")
        answers, others = [], []
        with self.origin.hold("/items/first") as gate:
            threads = [self.ask(front, "/items/first", answers)]
            gate.wait_arrived()
            threads += [self.ask(front, "/items/second", others) for _ in range(5)]
            wait_until(lambda: self.counted(front, "requests_in_flight") == 6, "they wait")
            self.assertEqual(self.counted(front, "outage_queued_total"), 1)
            self.assertEqual(self.origin.count("/items/second"), 0)
        for thread in threads:
            thread.join(60)
        self.assertEqual([answer.status for answer in answers + others], [200] * 6)
        self.assertEqual(self.origin.count("/items/second"), 1)

    def counted(self, front, name):
        text = front.admin("GET", "/metrics").body.decode()
        return next(int(line.split()[1]) for line in text.split("\n") if line.startswith("cachegate_%s " % name))

    def test_over_the_queue_is_told_when_to_come_again(self):
        front = self.out(threads=1, CACHEGATE_LIMITS_OUTAGE_FETCHES="1", CACHEGATE_LIMITS_OUTAGE_QUEUE="0")
        answers = []
        with self.origin.hold("/items/first") as gate:
            thread = self.ask(front, "/items/first", answers)
            gate.wait_arrived()
            refused = front.client().get("/items/second", user="alice")
            self.assertEqual(self.write(front, "third").status, 200, "writes never wait")
        thread.join(60)
        self.assertEqual(answers[0].status, 200)
        self.assertEqual(refused.status, 503)
        self.assertGreaterEqual(int(refused.field("retry-after")), 1)
        self.assertIn("outage-crowded", refused.field("cache-status"))
        self.assertEqual(self.origin.count("/items/second"), 0)

    def test_nobody_waits_for_ever(self):
        front = self.out(threads=1, CACHEGATE_LIMITS_OUTAGE_FETCHES="1", CACHEGATE_LIMITS_OUTAGE_WAIT="50ms")
        answers = []
        with self.origin.hold("/items/first") as gate:
            thread = self.ask(front, "/items/first", answers)
            gate.wait_arrived()
            refused = front.client().get("/items/second", user="alice")
        thread.join(60)
        self.assertEqual(answers[0].status, 200)
        self.assertEqual(refused.status, 503)
        self.assertIn("outage-crowded", refused.field("cache-status"))


class Crowded(test_consistency.Versions):
    """Counts how many reads it answers at a time."""

    def __init__(self, seed_):
        super().__init__(seed_)
        self.running, self.most = 0, 0

    def look(self, items):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            return super().look(items)
        finally:
            with self.lock:
                self.running -= 1


class UnderLoad(OutageJourney):
    """Readers and writers at random while Redis is killed and comes back: no error, nothing stale, and no crowd
    at the upstream."""

    CAP = 4

    def test_killed_under_load(self):
        redis = self.redis()
        app = Crowded(1)
        front = self.gateway(self.upstream(app), test_consistency.RULES.format(**test_consistency.SOUND),
                             threads=2, environment={
                                 "CACHEGATE_STORE_REDIS": redis.url, "CACHEGATE_SECRET": SECRET,
                                 "CACHEGATE_LIMITS_OUTAGE_FETCHES": str(self.CAP), "CACHEGATE_STORE_TIMEOUT": "1s"},
                             config={"limits": {"write_hold": "50ms"}})
        run = test_consistency.Run(front, app, 1)
        threads = list(run.threads())
        crowds = []
        for thread in threads:
            thread.start()
        try:
            for number in range(4):
                hits = run.checker.hits
                wait_until(lambda: run.checker.hits > hits + 20 or run.errors, "hits", 60)
                if number % 2:
                    redis.command("SAVE")
                redis.kill()
                wait_until(lambda: self.health(front)["status"] == "degraded", "its health says so")
                self.go_on(run, 100)  # what was under way before has been answered
                with app.lock:
                    app.most = app.running
                self.go_on(run, 200)
                crowds.append(app.most)
                redis.start()
        finally:
            run.over.set()
            for thread in threads:
                thread.join(120)
        print("%d reads, %d hits, %d writes, at most %s reads at the upstream at a time"
              % (run.checker.reads, run.checker.hits, run.checker.writes, crowds))
        self.assertEqual(run.errors, [])
        self.assertEqual(run.checker.violations, [])
        self.assertLessEqual(max(crowds), self.CAP)
        self.assertEqual(max(crowds), self.CAP, "there was a crowd")

    def go_on(self, run, count):
        reads = run.checker.reads
        wait_until(lambda: run.checker.reads > reads + count or run.errors, "reads go on", 60)


if __name__ == "__main__":
    main()
