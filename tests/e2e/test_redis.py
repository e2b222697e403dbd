"""The Redis store: what lies in it, TLS, and the simplest ways in which it fails (test_outage.py has all).

Whatever happens to it, requests are answered and nothing stale is served.
"""

import os
import subprocess
from unittest import mock

import test_consistency
from harness import App, Journey, main, wait_until
from redis_servers import SECRET, Redis, on_free_port

RULES = """
defaults: { ttl: 10m, scope: user }
routes:
  - match: GET /items/{id}
  - match: PUT /items/{id}
"""
TIMEOUT = "10s"  # of a command: the machine that runs this is busy


def environment_for(redis, **more):
    return dict({"CACHEGATE_STORE_REDIS": redis.url, "CACHEGATE_SECRET": SECRET,
                 "CACHEGATE_STORE_TIMEOUT": TIMEOUT}, **more)


def wait_connected(gateway, times=3):
    """Each thread and the admin API have a connection of their own."""
    wait_until(lambda: sum("message=connected" in line for line in list(gateway.lines)) >= times,
               "%d connections to Redis" % times)


class ConsistencyOnRedis(test_consistency.Consistency):
    """Readers and writers at random, one gateway with several connections to Redis."""

    def setUp(self):
        super().setUp()
        redis = Redis()
        self.addCleanup(redis.close)
        variables = mock.patch.dict(os.environ, environment_for(redis))
        variables.start()
        self.addCleanup(variables.stop)


class Items(App):
    def __init__(self):
        super().__init__()
        self.route("GET", "/items/{id}", lambda request, id: self.read(request, id))
        self.route("PUT", "/items/{id}", lambda request, id: {"version": self.write(id)[id]})


class OnRedis(Journey):
    def setUp(self):
        super().setUp()
        self.origin = self.upstream(Items())
        self.redis = Redis()
        self.addCleanup(self.redis.close)

    def front(self, times=3, **environment):
        front = self.gateway(self.origin, RULES, environment=environment_for(self.redis, **environment))
        if times:
            wait_connected(front, times)
        return front

    def state(self, front, item):
        answer = front.get("/items/%s" % item, user="alice")
        self.assertEqual(answer.status, 200)
        return answer.json()["state"][item]

    def is_hit(self, front, item):
        front.get("/items/%s" % item, user="alice")
        return front.get("/items/%s" % item, user="alice").cache.hit

    def write(self, front, item):
        answer = front.request("PUT", "/items/%s" % item, user="alice", body=b"{}")
        self.assertEqual(answer.status, 200)
        return answer.json()["version"]

    def test_gateways_share_answers_and_what_was_forgotten(self):
        one, two = self.front(), self.front()
        self.assertTrue(self.is_hit(one, "a"))  # nobody waits for a fill; this says that it has arrived
        self.assertTrue(two.get("/items/a", user="alice").cache.hit)
        self.assertFalse(two.get("/items/a", user="bob").cache.hit)
        version = self.write(one, "a")
        self.assertEqual(self.state(two, "a"), version)
        self.assertIn("cachegate:e:GET", self.redis.ask("KEYS cachegate:e:*"))

    def test_redis_holds_nothing_readable(self):
        front = self.front()
        self.assertTrue(self.is_hit(front, "very-secret-item"))
        keys = [line for line in self.redis.ask("KEYS *").split("\r\n") if line and line[0] not in "*$"]
        self.assertTrue(any(key.startswith("cachegate:e:GET") for key in keys), keys)
        self.assertTrue(any(key.startswith("cachegate:v:") for key in keys), keys)
        for key in keys:
            value = self.redis.ask("GET %s" % key)
            for secret in ("very-secret-item", "alice", '"state"', "application/json"):
                self.assertNotIn(secret, key)
                self.assertNotIn(secret, value, key)

    def test_killed_and_back_empty(self):
        front = self.front()
        self.assertTrue(self.is_hit(front, "a"))
        self.redis.kill()
        version = self.write(front, "a")
        self.assertEqual(self.state(front, "a"), version)
        self.redis.start()
        wait_connected(front, 6)
        wait_until(lambda: self.is_hit(front, "a"), "hits again")
        self.assertEqual(self.state(front, "a"), version)

    def test_killed_and_back_with_its_old_file(self):
        front = self.front()
        self.assertTrue(self.is_hit(front, "a"))
        self.redis.ask("SAVE")
        version = self.write(front, "a")
        self.redis.kill()
        self.redis.start()
        wait_connected(front, 6)
        self.assertEqual(self.state(front, "a"), version)
        self.assertEqual(self.state(self.front(), "a"), version, "another gateway, started since")

    def test_frozen(self):
        front = self.front(CACHEGATE_STORE_TIMEOUT="300ms")
        wait_until(lambda: self.is_hit(front, "a"), "hits")
        self.redis.freeze()
        version = self.write(front, "a")
        self.assertEqual(self.state(front, "a"), version)
        self.redis.thaw()
        wait_until(lambda: self.is_hit(front, "a"), "hits again")
        self.assertEqual(self.state(front, "a"), version)

    def test_wrong_password(self):
        self.redis.ask("CONFIG SET requirepass right")
        front = self.front(0, CACHEGATE_STORE_REDIS="unix://:wr0ng@%s" % self.redis.path)
        front.wait_line("WRONGPASS")
        self.assertEqual(self.state(front, "a"), 0)
        self.assertFalse(self.is_hit(front, "a"))
        version = self.write(front, "a")
        self.assertEqual(self.state(front, "a"), version)
        self.assertFalse(any("wr0ng" in line for line in front.lines))

    def test_started_before_redis(self):
        self.redis.kill()
        front = self.front(0)
        self.assertEqual(self.state(front, "a"), 0)
        self.redis.start()
        wait_until(lambda: self.is_hit(front, "a"), "hits")

    def certificates(self):
        """ca.pem, and server and client certificates that it signed."""
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=directory)

        directory = self.directory()
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        for name in ("ca", "stranger"):
            openssl("req", "-x509", *key, "-keyout", name + ".key", "-out", name + ".pem", "-days", "2",
                    "-subj", "/CN=" + name)
        for name, names in (("server", "IP:127.0.0.1"), ("client", "DNS:gateway"), ("other", "DNS:elsewhere")):
            (directory / "names").write_text("subjectAltName=" + names)
            openssl("req", *key, "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
            openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                    "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", name + ".pem")
        return directory

    def on_tls(self, directory, certificate):
        def start(port):
            redis = Redis("--tls-port", str(port), "--tls-cert-file", str(directory / (certificate + ".pem")),
                          "--tls-key-file", str(directory / (certificate + ".key")),
                          "--tls-ca-cert-file", str(directory / "ca.pem"))
            self.addCleanup(redis.close)
            return "rediss://127.0.0.1:%d/5" % port

        return on_free_port(start)

    def test_tls(self):
        directory = self.certificates()
        url = self.on_tls(directory, "server")
        mine = "&cert={0}/client.pem&key={0}/client.key".format(directory)
        front = self.front(CACHEGATE_STORE_REDIS="%s?ca=%s/ca.pem%s" % (url, directory, mine))
        self.assertTrue(self.is_hit(front, "a"))
        version = self.write(front, "a")
        self.assertEqual(self.state(front, "a"), version)
        for what, options in (("no client certificate", "?ca=%s/ca.pem" % directory),
                              ("a stranger's authority", "?ca=%s/stranger.pem%s" % (directory, mine)),
                              ("another name", "?ca=%s/ca.pem&server_name=redis.example%s" % (directory, mine))):
            with self.subTest(what):
                front = self.front(0, CACHEGATE_STORE_REDIS=url + options)
                front.wait_line("no connection|cannot be used|refuses")
                self.assertFalse(self.is_hit(front, "b"))
        other = self.on_tls(directory, "other")
        front = self.front(0, CACHEGATE_STORE_REDIS="%s?ca=%s/ca.pem%s" % (other, directory, mine))
        front.wait_line("no connection")
        self.assertFalse(self.is_hit(front, "b"))
        front = self.front(CACHEGATE_STORE_REDIS="%s?ca=%s/ca.pem&server_name=elsewhere%s"
                           % (other, directory, mine))
        self.assertTrue(self.is_hit(front, "b"))

    def test_full(self):
        front = self.front()
        self.assertTrue(self.is_hit(front, "a"))
        self.redis.ask("CONFIG SET maxmemory-policy noeviction")
        self.redis.ask("CONFIG SET maxmemory 1")
        version = self.write(front, "a")
        for _ in range(3):
            self.assertEqual(self.state(front, "a"), version)
            self.assertEqual(self.state(front, "b"), 0)
        self.redis.ask("CONFIG SET maxmemory 0")
        wait_until(lambda: self.is_hit(front, "a"), "hits again")
        self.assertEqual(self.state(front, "a"), version)


if __name__ == "__main__":
    main()
