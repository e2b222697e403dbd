"""The operator's API: who may purge, what a purge reaches, and what the numbers say."""

import json
import re
import socket
import threading

from harness import ADMIN_TOKEN, EchoApp, Journey, curl, main

RULES = """
defaults: { ttl: 1h, scope: user }
groups:
  session:
    - /items?session={id}
    - /summary?session={id}
  pair:
    - /pairs/{a}/{b}
routes:
  - match: GET /items
  - match: GET /summary
  - { match: "GET /pairs/{a}/{b}" }
  - { match: GET /open/**, name: 'o"p\\en', scope: shared, override: [authorization] }
"""

USERS = [{"header": "X-User-Id", "name": "user"}, {"header": "Authorization"}]


class AdminJourney(Journey):
    def setUp(self):
        self.origin = self.upstream(EchoApp())
        self.front = self.gateway(self.origin, RULES, config={"identity": USERS})

    def read(self, target, user="alice"):
        answer = self.front.get(target, headers={"X-User-Id": user, "Authorization": "Bearer t"})
        self.assertEqual(answer.status, 200, repr(answer))
        return answer

    def warm(self, *targets, user="alice"):
        for target in targets:
            self.read(target, user)
            self.assertHit(self.read(target, user))

    def purge(self, body, **arguments):
        return self.front.admin("POST", "/cache/purge", body=json.dumps(body), **arguments)

    def assertRefused(self, answer, status, *words):
        self.assertEqual(answer.status, status, repr(answer))
        told = answer.json()
        self.assertTrue(told["error"])
        for word in words:
            self.assertIn(word, told["error"] + " " + told.get("remedy", ""))

    # Who may.

    def test_mutations_need_the_token_and_reads_do_not(self):
        mutations = [("DELETE", "/cache/flush"), ("DELETE", "/cache/session/1"),
                     ("DELETE", "/cache/user/alice"), ("POST", "/cache/purge"),
                     ("POST", "/cache/refresh")]
        for method, path in mutations:
            for token in (None, "wrong", ADMIN_TOKEN + "x", ADMIN_TOKEN[:-1], ""):
                answer = self.front.admin(method, path, token=token)
                self.assertRefused(answer, 401, "token")
                self.assertEqual(answer.field("www-authenticate"), "Bearer")
        for path in ("/", "/cache/stats", "/cache/health", "/metrics", "/livez", "/readyz"):
            self.assertEqual(self.front.admin("GET", path, token=None).status, 200, path)

    def test_without_a_configured_token_no_token_is_right(self):
        front = self.gateway(self.origin, RULES, environment={"CACHEGATE_ADMIN_TOKEN": ""})
        for token in (None, "", "x"):
            self.assertRefused(front.admin("DELETE", "/cache/flush", token=token), 401,
                               "no admin token is configured", "CACHEGATE_ADMIN_TOKEN")

    def test_two_credentials_are_none(self):
        body = ("DELETE /cache/flush HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer wrong\r\n"
                "Authorization: Bearer %s\r\nConnection: close\r\n\r\n" % ADMIN_TOKEN)
        host, port = self.front.admin_address.split(":")
        with socket.create_connection((host, int(port)), 30) as connection:
            connection.sendall(body.encode())
            self.assertIn(b" 401 ", connection.makefile("rb").readline())

    # What is there.

    def test_unknown_paths_and_methods_are_told_what_there_is(self):
        self.assertRefused(self.front.admin("GET", "/cache/sats"), 404, "/cache/stats")
        self.assertRefused(self.front.admin("GET", "/nothing/of/the/kind"), 404, "GET /")
        self.assertRefused(self.front.admin("GET", "/a/../b"), 400)
        for method, path, allowed in (("POST", "/cache/stats", "GET, HEAD"),
                                      ("GET", "/cache/purge", "POST"),
                                      ("GET", "/cache/session/1", "DELETE")):
            answer = self.front.admin(method, path)
            self.assertRefused(answer, 405)
            self.assertEqual(answer.field("allow"), allowed)
        self.assertRefused(self.front.admin("POST", "/cache/refresh"), 400, "JSON")

    def test_the_index_names_every_path(self):
        index = self.front.admin("GET", "/").body.decode()
        for path in ("/cache/stats", "/cache/flush", "/cache/{group}/{value}", "/metrics"):
            self.assertIn(path, index)

    def test_head_has_the_length_and_no_body(self):
        answer = self.front.admin("HEAD", "/cache/stats")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertGreater(int(answer.field("content-length")), 100)

    # What a purge reaches.

    def test_a_group_of_one_placeholder_is_purged_by_its_path(self):
        self.warm("/items?session=1", "/summary?session=1", "/items?session=2")
        answer = self.front.admin("DELETE", "/cache/session/1")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.json()["banned"], 0)
        self.assertGreaterEqual(answer.json()["purged"], 2)
        self.assertMiss(self.read("/items?session=1"), "purged")
        self.assertMiss(self.read("/summary?session=1"), "purged")
        self.assertHit(self.read("/items?session=2"))

    def test_values_in_paths_are_decoded(self):
        self.warm("/items?session=a%2Fb%20c")
        self.assertEqual(self.front.admin("DELETE", "/cache/session/a%2Fb%20c").status, 200)
        self.assertMiss(self.read("/items?session=a%2Fb%20c"), "purged")

    def test_groups_that_do_not_fit_are_refused_with_a_remedy(self):
        self.assertRefused(self.front.admin("DELETE", "/cache/sesion/1"), 404, "session")
        self.assertRefused(self.front.admin("DELETE", "/cache/pair/1"), 400, "POST /cache/purge")

    def test_a_user_is_purged_wherever_he_has_been(self):
        self.warm("/items?session=1", "/summary?session=9")
        self.warm("/items?session=1", user="bob")
        self.assertEqual(self.front.admin("DELETE", "/cache/user/alice").status, 200)
        self.assertMiss(self.read("/items?session=1"), "purged")
        self.assertMiss(self.read("/summary?session=9"), "purged")
        self.assertHit(self.read("/items?session=1", "bob"))

    def test_a_flush_leaves_nothing(self):
        self.warm("/items?session=1", "/open/a")
        self.assertEqual(self.front.admin("DELETE", "/cache/flush").json()["banned"], 1)
        self.assertMiss(self.read("/items?session=1"))
        self.assertMiss(self.read("/open/a"))

    def test_one_body_purges_patterns_groups_and_users(self):
        targets = ("/items?session=1", "/pairs/1/2", "/open/a/b", "/open/c")
        self.warm(*targets, "/items?session=5", "/pairs/2/1")
        self.warm("/items?session=7", user="bob")
        answer = self.purge({"patterns": ["/open/a/**"],
                             "groups": [{"group": "session", "id": 1},
                                        {"group": "pair", "a": "1", "b": 2}],
                             "users": ["bob"]})
        self.assertEqual(answer.status, 200, repr(answer))
        self.assertEqual(answer.json()["banned"], 1)
        for target in targets[:3]:
            self.assertFalse(self.read(target).cache.hit, target)
        self.assertMiss(self.read("/items?session=7", "bob"), "purged")
        for target in ("/open/c", "/items?session=5", "/pairs/2/1"):
            self.assertHit(self.read(target), target)

    def test_a_body_with_a_mistake_purges_nothing(self):
        self.warm("/items?session=1")
        well = ["/items"]
        for body, words in (
                ([], "JSON map"), ({}, "nothing to purge"), ({"patterns": []}, "nothing to purge"),
                ({"patterns": well, "group": []}, "groups"), ({"patterns": "/items"}, "list"),
                ({"patterns": well + ["items"]}, "begins with"), ({"patterns": well + [""]}, "text"),
                ({"patterns": well, "groups": ["session"]}, "map"),
                ({"patterns": well, "groups": [{"group": "sesion", "id": "1"}]}, "session"),
                ({"patterns": well, "groups": [{"group": "session"}]}, "placeholders are id"),
                ({"patterns": well, "groups": [{"group": "session", "id": None}]}, "id"),
                ({"patterns": well, "groups": [{"group": "session", "id": "1", "x": "2"}]}, "id"),
                ({"patterns": well, "users": [{}]}, "users")):
            with self.subTest(body):
                self.assertRefused(self.purge(body), 400, words)
        for text in (b"", b"{", b'{"patterns": ["/items"]} x', b'{"users": [], "users": ["a"]}'):
            self.assertRefused(self.front.admin("POST", "/cache/purge", body=text), 400, "JSON")
        self.assertHit(self.read("/items?session=1"))

    def test_bodies_are_bounded(self):
        body = json.dumps({"patterns": ["/" + "a" * 4000] * 300})
        self.assertEqual(self.front.admin("POST", "/cache/purge", body=body).status, 413)

    # What the numbers say.

    def test_a_list_that_is_too_long_holds_nobody_up(self):
        for name, text in (("users", "u%d"), ("patterns", "/items/%d"), ("patterns", "/x/*/%d")):
            answer = self.purge({name: [text % number for number in range(40000)]})
            self.assertRefused(answer, 400, "more than 4096", "several times")
        answer = self.purge({"users": ["u%d" % number for number in range(4096)]})
        self.assertEqual(answer.status, 200, repr(answer))

    def test_who_does_not_ask_keeps_no_probe_out(self):
        begun = (b"", b"POST /cache/purge HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", b"GET /liv")
        for number in range(700):
            connection = socket.create_connection(self.front.admin_address.rsplit(":", 1))
            self.addCleanup(connection.close)
            connection.sendall(begun[number % 3])
            if number % 50 == 0:
                self.assertEqual(self.front.admin("GET", "/livez").status, 200)
        self.assertEqual(self.front.admin("GET", "/livez").status, 200)
        self.assertEqual(self.purge({"patterns": ["/items"]}).status, 200)

    def test_statistics_health_and_metrics_agree(self):
        self.warm("/items?session=1", "/summary?session=1")  # two misses, two hits
        self.assertHit(self.read("/items?session=1"))
        self.assertHit(self.read("/items?session=1"))
        self.front.admin("DELETE", "/cache/session/9")
        stats = self.front.stats()
        self.assertEqual((stats["enabled"], stats["hits"], stats["misses"], stats["sets"]),
                         (True, 4, 2, 2))
        self.assertAlmostEqual(stats["hit_rate"], 66.66, delta=0.01)
        self.assertGreaterEqual(stats["keys"], 2)
        self.assertGreater(stats["deletes"], 0)
        self.assertEqual(stats["reasons"]["fresh"], 4)
        routes = {route["name"]: route for route in stats["routes"]}
        self.assertEqual((routes["GET /items"]["hits"], routes["GET /items"]["misses"]), (3, 1))
        health = self.front.admin("GET", "/cache/health").json()
        self.assertEqual((health["status"], health["backend"], health["breaker"]),
                         ("ok", "memory", "closed"))
        self.assertEqual(health["hits"], 4)
        metrics = self.front.admin("GET", "/metrics")
        self.assertIn("version=0.0.4", metrics.field("content-type"))
        text = metrics.body.decode()
        hits = re.findall(r'\ncachegate_requests_total\{[^}]*cache="hit"\} (\d+)', text)
        self.assertEqual(sum(map(int, hits)), 4)
        self.assertIn('\ncachegate_reasons_total{reason="fresh"} 4\n', text)
        self.assertIn('route="o\\"p\\\\en"', text)

    def test_the_exposition_is_well_formed(self):
        text = self.front.admin("GET", "/metrics").body.decode()
        described, seen = set(), set()
        sample = re.compile(r'([a-z_]+?)(?:_bucket|_sum|_count)?(\{([a-z]+="(\\.|[^"\\])*",?)+\})? \d+(\.\d+)?')
        for line in text.rstrip("\n").split("\n"):
            if line.startswith("# "):
                described.add(line.split(" ")[2])
                continue
            match = sample.fullmatch(line)
            self.assertIsNotNone(match, line)
            self.assertIn(match.group(1), described)
            self.assertNotIn(line.rsplit(" ", 1)[0], seen, "the same series twice")
            seen.add(line.rsplit(" ", 1)[0])

    def test_probes_tell_the_state(self):
        self.assertEqual(self.front.admin("GET", "/readyz").status, 200)
        alive = self.front.admin("GET", "/livez").json()
        self.assertEqual((alive["status"], alive["threads"], alive["alive"]), ("ok", 2, 2))

    def test_readiness_ends_when_draining_begins(self):
        held = self.origin.hold("/slow")
        with held:
            client = self.front.client()
            reader = threading.Thread(target=lambda: client.get("/slow"))
            reader.start()
            held.wait_arrived()
            self.front.process.terminate()
            self.front.wait_line(r" draining ")
            answer = self.front.admin("GET", "/readyz")
            self.assertEqual(answer.status, 503)
            self.assertEqual(self.front.admin("GET", "/livez").status, 200)
        reader.join(60)
        self.front.expect_end(0)

    def test_it_listens_on_unix_sockets_and_ends_idle_connections_at_once(self):
        path = self.directory() / "admin.sock"
        front = self.gateway(self.origin, RULES, config={"admin": "unix:%s" % path})
        self.assertEqual(front.admin_address, "unix:%s" % path)
        self.assertEqual(front.admin("GET", "/cache/stats").status, 200)
        answer = curl("--unix-socket", str(path), "http://cachegate/readyz")
        self.assertEqual(answer.status, 200)
        idle = socket.socket(socket.AF_UNIX)
        self.addCleanup(idle.close)
        idle.connect(str(path))
        front.process.terminate()
        front.expect_end(0)
        self.assertFalse(path.exists())


if __name__ == "__main__":
    main()
