"""`cachegate inspect`: what stands under each kind of key, told without the secret.

A gateway fills a real Redis; the command is then run on every key, as an operator would. It must never
show what is sealed, never change anything, and say clearly what is missing.
"""

import subprocess
import threading

import redis_servers
import test_redis
from harness import App, Journey, binary, main, wait_until
from test_redis import wait_connected

SECRET, OTHER = "the-secret-of-these-tests-is-long", "another-secret-of-these-tests"
RULES = """
defaults: { ttl: 10m, scope: user }
routes:
  - match: GET /items/{id}
  - { match: "GET /shared/{id}", scope: shared, override: [authorization], stale_if_error: 1h }
  - match: PUT /items/{id}
"""


class Items(App):
    def __init__(self):
        super().__init__()
        self.route("GET", "/items/{id}", lambda request, id: {"hidden": "treasure"})
        self.route("GET", "/shared/{id}", lambda request, id: {"hidden": "treasure"})
        self.route("PUT", "/items/{id}", lambda request, id: {})


def inspect(*arguments, stdin=None, **environment):
    ended = subprocess.run([binary(), "inspect", *arguments], input=stdin, capture_output=True, timeout=60,
                           env=environment)
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode()


class Inspect(Journey):
    redis_options = ()

    def setUp(self):
        super().setUp()
        self.origin = self.upstream(Items())
        self.redis = self.make_redis()
        self.addCleanup(self.redis.close)
        self.front = self.gateway(
            self.origin, RULES, threads=1, environment={
                "CACHEGATE_STORE_REDIS": self.redis.url, "CACHEGATE_SECRET": SECRET,
                "CACHEGATE_STORE_TIMEOUT": "10s"})
        wait_connected(self.front, 2)
        self.assertMiss(self.front.get("/items/1", user="alice"))
        self.assertHit(self.front.get("/items/1", user="alice"))

    def make_redis(self):
        return redis_servers.Redis()

    def keys(self, pattern):
        return sorted(key.decode() for key in self.redis.keys(pattern))

    def one(self, pattern):
        found = self.keys(pattern)
        self.assertEqual(len(found), 1, (pattern, self.keys("*")))
        return found[0]

    def inspect(self, *arguments, **environment):
        environment.setdefault("CACHEGATE_SECRET", SECRET)
        status, out, err = inspect("--redis", self.redis.url, *arguments, **environment)
        self.assertEqual((status, err), (0, ""), out + err)
        for word in ("treasure", "alice", "/items/1", SECRET):
            self.assertNotIn(word, out)
        return out

    def test_entry_lives_until_it_is_purged(self):
        key = self.one("*:e:*")
        out = self.inspect(key, "--rules", str(self.front.directory / "rules.yaml"))
        for line in ("epoch          ", "kind           a stored answer, sealed", "scope          one user's",
                     "the one in `secret`", "route          0, GET /items/{id}",
                     "status         200",
                     "current", "so it is       alive"):
            self.assertIn(line, out)
        self.assertRegex(out, r"fresh until    \d{4}-\d\d-\d\dT[\d:.]+Z \(in 9m \d+s\)|\(in 10m\)")
        self.assertRegex(out, r"in Redis until \d{4}-")
        self.assertEqual(self.front.request("PUT", "/items/1", user="alice", body=b"{}").status, 200)
        out = self.inspect(key)
        self.assertIn("changed: purged since", out)
        self.assertIn("so it is       dead", out)
        self.assertEqual(self.front.admin("DELETE", "/cache/flush").status, 200)
        self.assertIn(", 1 open purges since", self.inspect(key))
        for version in self.keys("*:v:*"):
            self.redis.command("DEL", version)
        self.assertIn("absent: it expired, was evicted or purged", self.inspect(key))

    def test_busy_while_a_write_is_out(self):
        key = self.one("*:e:*")
        with self.origin.hold("/items/1") as gate:
            client = self.front.client()
            thread = threading.Thread(target=client.request, args=("PUT", "/items/1"),
                                      kwargs={"user": "alice", "body": b"{}"})
            thread.start()
            gate.wait_arrived()
            entry = self.inspect(key)
            versions = [self.inspect(version) for version in self.keys("*:v:*")]
            gate.release()
            thread.join()
        self.assertIn("busy: a write is in flight", entry)
        self.assertIn("so it is       dead", entry)
        marked = [out for out in versions if "marks          1" in out]
        self.assertEqual(len(marked), 2, versions)  # the path, and the one above it
        self.assertRegex(marked[0], r"writer [0-9a-f]{32} until \S+Z \(in \d+")
        self.assertIn("so it is       busy", marked[0])

    def test_version_epoch_list_and_members(self):
        out = self.inspect(self.keys("*:v:*")[0])
        self.assertIn("kind           the version of an instance", out)
        self.assertRegex(out, r"base           [0-9a-f]{32}\nmarks          0\nso it is       current")
        self.assertEqual(self.front.admin("POST", "/cache/purge", body={"patterns": ["/it/*"]}).status, 200)
        out = self.inspect(self.one("*:{bans}:epoch"))
        self.assertRegex(out, r"generation     [0-9a-f]{16}\nopen purges    1\nmade under     \S+\n")
        out = self.inspect(self.one("*:{bans}:list"))
        self.assertRegex(out, r"open purges    1\n  [0-9a-f]{16} 1  /it/\*\n")
        for key in self.keys("*:{bans}:members"):
            self.assertRegex(self.inspect(key), r"  \S+ until \S+Z \(in ")
        for key in "cachegate:{bans}:beat:0123456789abcdef:7", "cachegate:beat:{7}":
            self.redis.command("SET", key, "1", "PX", "60000")
            self.assertIn("kind           a heartbeat", self.inspect(key))

    def test_whose_secret(self):
        key = self.one("*:e:*")
        self.assertIn("no secret was given", self.inspect(key, CACHEGATE_SECRET=""))
        self.assertIn("not the one in `secret`", self.inspect(key, CACHEGATE_SECRET=OTHER))
        self.assertIn("the one in `secret_previous`",
                      self.inspect(key, CACHEGATE_SECRET=OTHER, CACHEGATE_SECRET_PREVIOUS=SECRET))
        self.assertIn("neither", self.inspect(key, CACHEGATE_SECRET=OTHER,
                                              CACHEGATE_SECRET_PREVIOUS="a-third-secret-of-tests"))

    def test_entry_under_another_key_and_shared_one(self):
        key = self.one("*:e:*")
        copy = key[:-4] + "beef"
        self.redis.command("SET", copy, self.redis.command("GET", key))
        self.assertIn("it was made for another key", self.inspect(copy))
        self.assertIn("for ever: it has no expiry", self.inspect(copy))
        self.redis.command("DEL", copy)
        self.assertMiss(self.front.get("/shared/1"))
        self.front.get("/shared/1")
        out = self.inspect(self.one("*:e:*shared*"))
        self.assertIn("scope          shared", out)
        self.assertRegex(out, r"on errors      \S+Z \(in 1h ")

    def test_value_from_a_file_or_standard_input(self):
        value = self.redis.command("GET", self.one("*:e:*"))
        path = self.directory() / "value"
        path.write_bytes(value)
        status, out, err = inspect("--value", str(path))
        self.assertEqual((status, err), (0, ""))
        self.assertIn("in time; whether it was purged only Redis knows", out)
        self.assertIn("  not known\n", out)
        status, piped, err = inspect("--value", "-", stdin=value + b"\n", CACHEGATE_SECRET=SECRET)
        self.assertEqual((status, err), (0, ""))
        self.assertIn("the one in `secret`", piped)
        for cut in (b"", value[:-1], value[:40], b"\x01short", b"nothing of ours"):
            status, out, err = inspect("--value", "-", stdin=cut)
            self.assertEqual((status, out), (1, ""), cut)
            self.assertIn("no gateway writes such a value", err)

    def test_only_reads(self):
        """By somebody who may do nothing else."""
        self.redis.command("ACL", "SETUSER", "reader", "on", ">sesame", "~*", "-@all", "+get", "+lrange",
                           "+zrange", "+hgetall", "+type", "+pttl", "+time")
        # Claims end on their own.
        before = [key for key in self.keys("*") if ":c:" not in key]
        url = self.redis.url.replace("unix://", "unix://reader:sesame@")
        for key in before:
            self.assertEqual(inspect("--redis", url, key)[::2], (0, ""), key)
        self.assertEqual([key for key in self.keys("*") if ":c:" not in key], before)

    def test_claim(self):
        key = "cachegate:c:" + "ab" * 16
        for value, said in ((b"\x01" * 16 + b"\x02" * 16, ["holder         " + "01" * 16, "versions       " + "02" * 16]),
                            (b"\x01" * 16 + bytes(16), ["not known yet"]),
                            (bytes(16) + b"\x02" * 16, ["nobody any more"])):
            self.redis.command("SET", key, value, "PX", "600000")
            out = self.inspect(key)
            for line in ["a claim", "in Redis until", *said]:
                self.assertIn(line, out)
        self.redis.command("SET", key, b"\x01" * 31, "PX", "600000")
        status, out, err = inspect("--redis", self.redis.url, key)
        self.assertEqual((status, out), (1, ""))
        self.assertIn("no gateway writes such a value", err)
        self.redis.command("DEL", key)

    def test_clear_errors(self):
        def fails(*arguments, **environment):
            status, out, err = inspect(*arguments, **environment)
            self.assertNotEqual(status, 0)
            self.assertEqual(out, "")
            return err

        self.assertIn("there is no such key", fails("--redis", self.redis.url, "cachegate:v:00"))
        self.assertIn("which server?", fails("cachegate:v:00"))
        self.assertIn("what? Give a key", fails())
        self.assertIn("nowhere.sock", fails("--redis", "unix:///nowhere.sock", "cachegate:v:00"))
        self.assertIn("store.redis", fails("--redis", "http://h", "cachegate:v:00"))
        self.assertIn("did you mean --value", fails("--valeu", "x", "k"))
        self.assertIn("No such file", fails("--value", "/nowhere"))
        self.redis.command("SADD", "a-set", "1")
        self.redis.command("SET", "a-text", "of somebody else")
        self.redis.command("RPUSH", "a-list", "of somebody else")
        for key in ("a-set", "a-text", "a-list"):
            self.assertIn("no gateway writes", fails("--redis", self.redis.url, key))
            self.redis.command("DEL", key)


class WrongPassword(Journey):
    def test_refusal_is_told_and_password_works(self):
        redis = redis_servers.Redis("--requirepass", "sesame", "--databases", "4")
        self.addCleanup(redis.close)
        status, _, err = inspect("--redis", redis.url, "k")
        self.assertEqual(status, 1)
        self.assertIn("NOAUTH", err)
        wrong = redis.url.replace("unix://", "unix://:hunter2@")
        status, _, err = inspect("--redis", wrong, "k")
        self.assertEqual(status, 1)
        self.assertIn("WRONGPASS", err)
        self.assertNotIn("hunter2", err)
        right = redis.url.replace("unix://", "unix://:sesame@") + "?db=3"
        status, _, err = inspect("--redis", right, "k")
        self.assertIn("there is no such key", err)


class OverTls(Journey):
    certificates, on_tls = test_redis.OnRedis.certificates, test_redis.OnRedis.on_tls

    def test_verifies_as_the_gateway_does(self):
        directory = self.certificates()
        mine = "&cert={0}/client.pem&key={0}/client.key".format(directory)
        trusted = "?ca=%s/ca.pem%s" % (directory, mine)
        url = self.on_tls(directory, "server")
        self.assertIn("there is no such key", inspect("--redis", url + trusted, "k")[2])
        for options in ("?ca=%s/stranger.pem%s" % (directory, mine), trusted + "&server_name=redis.example"):
            status, out, err = inspect("--redis", url + options, "k")
            self.assertEqual((status, out), (1, ""))
            self.assertIn("certificate verify failed", err)
        other = self.on_tls(directory, "other")
        self.assertIn("certificate verify failed", inspect("--redis", other + trusted, "k")[2])
        self.assertIn("there is no such key",
                      inspect("--redis", other + trusted + "&server_name=elsewhere", "k")[2])


class BySentinel(Journey):
    def test_finds_the_primary(self):
        redis = redis_servers.on_free_port(lambda port: redis_servers.Redis(port=port))
        self.addCleanup(redis.close)
        port, (sentinel_port,) = redis.port, redis_servers.free_ports(1)
        redis.command("SET", "cachegate:{bans}:epoch", "0123456789abcdef:7:record")
        configuration = self.directory() / "sentinel.conf"
        configuration.write_text("sentinel monitor it 127.0.0.1 %d 1\n" % port)
        process = subprocess.Popen(
            ["redis-server", str(configuration), "--sentinel", "--port", str(sentinel_port)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        url = "redis+sentinel://127.0.0.1:%d,127.0.0.1:%d/" % (redis_servers.free_ports(1)[0], sentinel_port)
        wait_until(lambda: inspect("--redis", url + "it", "cachegate:{bans}:epoch")[0] == 0, "it is found")
        self.assertIn("open purges    7", inspect("--redis", url + "it", "cachegate:{bans}:epoch")[1])
        self.assertIn("does not know the primary", inspect("--redis", url + "another", "k")[2])


class OnCluster(Journey):
    """Every key is found whichever node is asked first."""

    def test_follows_redirections(self):
        cluster = redis_servers.RedisCluster(3)
        self.addCleanup(cluster.close)
        generation = "0123456789abcdef"
        for number in range(6):
            key = "cachegate:v:%032x" % number
            value = b"\x01" + bytes(16)
            for node in cluster.nodes:
                try:
                    node.command("SET", key, value)
                except redis_servers.RedisError:
                    continue
            for node in cluster.nodes:
                url = "redis+cluster://127.0.0.1:%d" % node.port
                status, out, err = inspect("--redis", url, key)
                self.assertEqual((status, err), (0, ""))
                self.assertIn("so it is       current", out)
        for node in cluster.nodes:
            try:
                node.command("SET", "cachegate:{bans}:epoch", "%s:7:record" % generation)
            except redis_servers.RedisError:
                continue
        status, out, err = inspect("--redis", cluster.url, "cachegate:{bans}:epoch")
        self.assertIn("open purges    7", out)


if __name__ == "__main__":
    main()
