"""What every user of the gateway relies on: hits, misses, isolation, and what is left alone."""

import email.utils
import threading

from harness import App, EchoApp, Journey, Reply, main, wait_until

RULES = """
defaults: { ttl: 60s, scope: user }
routes:
  - match: GET /plain
  - match: GET /items/{id}
  - match: GET /items
  - match: GET /shared
    scope: shared
  - match: GET /public
    scope: shared
  - match: GET /overridden
    scope: shared
    override: [authorization, set-cookie]
  - match: GET /origin/{name}
    ttl: origin
  - match: GET /language
    key: { headers: [Accept-Language] }
  - match: GET /cookies
    key: { cookies: [theme] }
    inert: { cookies: [_ga], headers: [X-Session-Hint] }
  - match: GET /tenants
    scope: [ { tenant: header X-Tenant } ]
  - match: GET /search
    key: { query: { ignore: [utm_*] } }
  - match: GET /never
    cache: never
  - match: GET /logout
    ttl: 60s
    invalidate: [/plain]
  - match: POST /silent
    invalidate: none
  - match: GET /silent
"""


class Shop(EchoApp):
    """EchoApp with answers that carry what their path says."""

    def __init__(self):
        super().__init__()
        self.fields = {
            "/public": [("Cache-Control", "public")],
            "/items/cookie": [("Set-Cookie", "sid=1")],
            "/overridden": [("Set-Cookie", "sid=1")],
            "/items/no-store": [("Cache-Control", "no-store")],
            "/items/private": [("Cache-Control", "private")],
            "/shared": [("X-Shared", "1")],
            "/items/any": [("Vary", "*")],
            "/items/varied": [("Vary", "Accept-Language")],
            "/origin/fresh": [("Cache-Control", "max-age=100"), ("Age", "40")],
            "/origin/silent": [],
            "/origin/expires": [("Expires", email.utils.formatdate(4102444800, usegmt=True))],
        }

    def answer(self, request):
        reply = super().answer(request)
        reply.fields += self.fields.get(request.path, [])
        if request.path == "/items/missing":
            reply.status = 404
        if request.path == "/items/error":
            reply.status = 500
        if request.path == "/items/partial":
            reply.status = 206
        return reply


class Basics(Journey):
    def setUp(self):
        self.origin = self.upstream(Shop())
        self.front = self.gateway(self.origin, RULES)

    def number(self, answer):
        return answer.json()["number"]

    # Hits and misses.

    def test_the_second_read_is_a_hit_and_says_so(self):
        first = self.front.get("/plain", "alice")
        self.assertMiss(first, "absent")
        self.assertEqual(first.cache.fwd, "uri-miss")
        self.front.advance(17)
        second = self.front.get("/plain", "alice")
        self.assertHit(second)
        self.assertEqual(second.body, first.body)
        self.assertEqual(second.field("content-type"), "application/json")
        self.assertAlmostEqual(int(second.field("age")), 17, delta=5)
        self.assertAlmostEqual(second.cache.ttl, 43, delta=5)
        self.assertEqual(self.origin.count(), 1)

    def test_an_expired_answer_is_fetched_again(self):
        self.front.get("/plain", "alice")
        self.front.advance(61)
        again = self.front.get("/plain", "alice")
        self.assertMiss(again)
        self.assertEqual(self.number(again), 2)

    def test_head_is_answered_from_a_stored_get(self):
        stored = self.front.get("/plain", "alice")
        head = self.front.request("HEAD", "/plain", user="alice")
        self.assertHit(head)
        self.assertEqual(head.body, b"")
        self.assertEqual(int(head.field("content-length")), len(stored.body))
        self.assertEqual(self.origin.count(method="HEAD"), 0)

    def test_a_head_that_finds_nothing_passes_and_stores_nothing(self):
        self.assertPassed(self.front.request("HEAD", "/plain", user="alice"), "head-miss")
        self.assertMiss(self.front.get("/plain", "alice"))

    def test_the_order_of_parameters_does_not_matter_but_their_values_do(self):
        self.assertMiss(self.front.get("/search?b=2&a=1", "alice"))
        self.assertHit(self.front.get("/search?a=1&b=2", "alice"))
        self.assertHit(self.front.get("/search?%61=1&b=%32&utm_source=x", "alice"))
        self.assertEqual(self.origin.last().target, "/search?a=1&b=2")
        for other in ("/search?a=1&b=3", "/search?a=1", "/search?a=1&b=2&b=4", "/search?a=1&b=2&c="):
            self.assertMiss(self.front.get(other, "alice"))

    def test_hosts_are_apart(self):
        self.assertMiss(self.front.get("/plain", "alice", host="one.example"))
        self.assertMiss(self.front.get("/plain", "alice", host="two.example"))
        self.assertHit(self.front.get("/plain", "alice", host="ONE.example"))

    def test_a_get_with_a_body_passes(self):
        for _ in range(2):
            self.assertPassed(self.front.get("/plain", "alice", body="x"), "request-body")

    def test_only_named_routes_are_cached(self):
        for target in ("/unnamed", "/items/1/parts", "/Plain"):
            for _ in range(2):
                self.assertPassed(self.front.get(target, "alice"), "no-route")
        for _ in range(2):
            self.assertPassed(self.front.get("/never", "alice"), "rule-never")
        self.assertEqual(self.origin.count(), 8)

    # Isolation.

    def test_users_have_answers_of_their_own(self):
        alice = self.front.get("/plain", "alice")
        bob = self.front.get("/plain", "bob")
        nobody = self.front.get("/plain")
        for answer in (alice, bob, nobody):
            self.assertMiss(answer)
        self.assertEqual(self.front.get("/plain", "bob").body, bob.body)
        self.assertEqual(self.front.get("/plain").body, nobody.body)
        self.assertEqual(bob.json()["user"], "Bearer bob")

    def test_a_credential_that_nobody_declared_passes(self):
        for name in ("X-Api-Key", "X-Session-Token", "X-User-Id", "X-Tenant", "Proxy-Authorization"):
            answer = self.front.get("/plain", "alice", headers={name: "value"})
            self.assertPassed(answer, "uncovered-credential")
            self.assertEqual(answer.cache.about, name.lower())
        self.assertPassed(self.front.get("/plain", headers={"Cookie": "sid=1"}), "uncovered-credential")

    def test_a_doubled_identity_passes(self):
        answer = self.front.raw(b"GET /plain HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\n"
                                b"Authorization: Bearer b\r\nConnection: close\r\n\r\n")
        self.assertIn(b"detail=\"ambiguous-identity: authorization\"", answer)

    def test_cookies_count_as_the_rule_says(self):
        def read(cookie):
            return self.front.get("/cookies", "alice", headers={"Cookie": cookie})

        self.assertMiss(read("theme=dark"))
        self.assertHit(read("_ga=77; theme=dark"))
        self.assertMiss(read("theme=light"))
        self.assertPassed(read("theme=dark; sid=9"), "uncovered-credential")

    def test_inert_fields_make_no_copies(self):
        self.assertMiss(self.front.get("/cookies", "alice", headers={"X-Session-Hint": "1"}))
        self.assertHit(self.front.get("/cookies", "alice", headers={"X-Session-Hint": "2"}))

    def test_key_headers_and_scope_parts_tell_answers_apart(self):
        for target, field in (("/language", "Accept-Language"), ("/tenants", "X-Tenant")):
            self.assertMiss(self.front.get(target, "alice", headers={field: "de"}))
            self.assertMiss(self.front.get(target, "alice", headers={field: "fr"}))
            self.assertHit(self.front.get(target, "alice", headers={field: "de"}))
        self.assertMiss(self.front.get("/tenants", "bob", headers={"X-Tenant": "de"}))

    def test_a_shared_answer_needs_the_origins_word_or_the_rules_when_asked_with_a_credential(self):
        self.assertMiss(self.front.get("/shared"))
        self.assertHit(self.front.get("/shared", "alice"))
        self.front.advance(100)
        self.assertPassed(self.front.get("/shared", "alice"), "credential-shared")
        self.assertMiss(self.front.get("/shared"))
        self.assertMiss(self.front.get("/public", "alice"))
        self.assertHit(self.front.get("/public", "bob"))
        self.assertMiss(self.front.get("/overridden", "alice"))
        self.assertHit(self.front.get("/overridden", "bob"))

    def test_a_cookie_is_never_stored_even_when_its_answer_is(self):
        self.assertEqual(self.front.get("/overridden", "alice").field("set-cookie"), "sid=1")
        stored = self.front.get("/overridden", "bob")
        self.assertHit(stored)
        self.assertIsNone(stored.field("set-cookie"))

    # What the origin says.

    def test_the_origins_prohibitions_stand(self):
        for name, detail in (("cookie", "set-cookie"), ("no-store", "no-store"), ("any", "vary-any"),
                             ("error", "status"), ("missing", "status"), ("partial", "partial")):
            with self.subTest(name):
                for _ in range(2):
                    answer = self.front.get("/items/" + name, "alice")
                    self.assertFalse(answer.cache.hit or answer.cache.stored, repr(answer))
                    self.assertEqual(answer.cache.detail, detail)

    def test_private_is_no_obstacle_in_a_users_own_partition(self):
        self.assertMiss(self.front.get("/items/private", "alice"))
        self.assertHit(self.front.get("/items/private", "alice"))

    def test_vary_selects_among_stored_answers(self):
        def read(language):
            return self.front.get("/items/varied", "alice", headers={"Accept-Language": language})

        german, french = read("de"), read("fr")
        self.assertNotEqual(german.body, french.body)
        self.assertEqual((read("de").body, read("fr").body), (german.body, french.body))
        self.assertHit(read("de"))
        self.assertHit(read("fr"))

    def test_a_route_with_ttl_origin_obeys_the_origin(self):
        self.assertMiss(self.front.get("/origin/fresh", "alice"))
        self.front.advance(50)
        answer = self.front.get("/origin/fresh", "alice")
        self.assertHit(answer)
        self.assertAlmostEqual(int(answer.field("age")), 90, delta=5)
        self.front.advance(20)
        self.assertMiss(self.front.get("/origin/fresh", "alice"))
        self.assertPassed(self.front.get("/origin/silent", "alice"), "no-lifetime")
        self.assertMiss(self.front.get("/origin/expires", "alice"))
        self.assertHit(self.front.get("/origin/expires", "alice"))

    # Writes.

    def test_a_write_without_a_rule_forgets_its_path_and_the_one_above_for_everybody(self):
        for user in ("alice", "bob"):
            for target in ("/items/5", "/items?page=2", "/items", "/items/6"):
                self.assertMiss(self.front.get(target, user))
        self.front.request("DELETE", "/items/5", user="alice")
        for user in ("alice", "bob"):
            for target in ("/items/5", "/items?page=2", "/items"):
                self.assertMiss(self.front.get(target, user))
            self.assertHit(self.front.get("/items/6", user))

    def test_location_is_forgotten_too(self):
        self.origin.app.fields["/create"] = [("Location", "/items/9")]
        self.front.get("/items/9", "alice")
        self.front.request("POST", "/create", user="bob", body="x")
        self.assertMiss(self.front.get("/items/9", "alice"))

    def test_location_on_another_host_is_not(self):
        self.origin.app.fields["/create"] = [("Location", "http://other.example/items/9")]
        self.front.get("/items/9", "alice")
        self.front.request("POST", "/create", user="bob", body="x")
        self.assertHit(self.front.get("/items/9", "alice"))

    def test_invalidate_none_forgets_nothing(self):
        self.front.get("/silent", "alice")
        self.front.request("POST", "/silent", user="alice", body="x")
        self.assertHit(self.front.get("/silent", "alice"))

    def test_a_get_with_an_invalidate_list_is_never_stored_and_forgets(self):
        self.front.get("/plain", "alice")
        for _ in range(2):
            self.assertPassed(self.front.get("/logout", "alice"), "rule-invalidates")
            self.assertMiss(self.front.get("/plain", "alice"))

    def test_unknown_methods_pass_and_forget(self):
        self.front.get("/items/5", "alice")
        answer = self.front.request("FROB", "/items/5", user="alice")
        self.assertEqual(answer.json()["method"], "FROB")
        self.assertMiss(self.front.get("/items/5", "alice"))

    def test_request_bodies_reach_the_upstream_whole(self):
        body = "x" * 200_000
        answer = self.front.request("POST", "/upload", user="alice", body=body)
        self.assertEqual(answer.json()["body"], body)
        chunked = self.front.request("POST", "/upload", user="alice", body=iter([b"ab", b"cd"]))
        self.assertEqual(chunked.json()["body"], "abcd")

    def test_purge_on_the_traffic_port_is_refused(self):
        self.front.get("/plain", "alice")
        self.assertEqual(self.front.request("PURGE", "/plain").status, 405)
        self.assertHit(self.front.get("/plain", "alice"))

    # Several at once.

    def test_readers_of_one_cold_answer_share_the_fetch(self):
        gate = self.origin.hold("/plain")
        answers = []
        with gate:
            readers = [threading.Thread(target=lambda: answers.append(
                self.front.client().get("/plain", "alice"))) for _ in range(20)]
            for reader in readers:
                reader.start()
            gate.wait_arrived()
        for reader in readers:
            reader.join()
        self.assertEqual([answer.status for answer in answers], [200] * 20)
        self.assertLessEqual(self.origin.count("/plain"), 2)  # one for each thread of the gateway

    def test_a_reader_after_a_write_does_not_join_a_fetch_from_before_it(self):
        front = self.gateway(self.origin, RULES, threads=1)  # fetches are shared within a thread
        gate = self.origin.hold("/items/5", when="after")
        with gate:
            early = []
            reader = threading.Thread(target=lambda: early.append(front.client().get("/items/5", "alice")))
            reader.start()
            gate.wait_arrived()
            front.request("PUT", "/items/5", user="alice", body="x")
            released = threading.Timer(2, gate.release)  # a gateway that joins it gets the old answer
            released.start()
            late = front.get("/items/5", "alice")
            released.cancel()
        reader.join()
        self.assertGreater(self.number(late), self.number(early[0]))
        self.assertGreaterEqual(self.number(front.get("/items/5", "alice")), self.number(late))

    def test_reads_during_a_write_pass_and_are_not_stored(self):
        self.front.get("/items/5", "alice")
        gate = self.origin.hold("/items/5")
        with gate:
            writer = threading.Thread(target=lambda: self.front.client().request(
                "PUT", "/items/5", user="alice", body="x"))
            writer.start()
            gate.wait_arrived()
            self.assertPassed(self.front.get("/items/5", "bob"), "write-in-flight")
            self.assertPassed(self.front.get("/items/5", "alice"), "write-in-flight")
        writer.join()
        self.assertMiss(self.front.get("/items/5", "alice"))

    def test_a_client_that_leaves_does_not_stop_its_write(self):
        self.front.get("/items/5", "alice")
        gate = self.origin.hold("/items/5", when="after")
        with gate:
            client = self.front.client()
            client.connection.request("PUT", "/items/5", "x", {"Authorization": "Bearer alice",
                                                               "Host": client.host})
            gate.wait_arrived()
            client.close()
        wait_until(lambda: self.front.get("/items/5", "alice").cache.stored, "the purge is over")
        self.assertGreater(self.number(self.front.get("/items/5", "alice")), 2)


class Forwarding(Journey):
    """What the upstream sees."""

    def setUp(self):
        self.app = App()
        self.app.route("*", "/plain", lambda request: Reply.json({}, fields=[
            ("Connection", "X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5"), ("X-End", "2")]))
        self.origin = self.upstream(self.app)
        self.front = self.gateway(self.origin, RULES)

    def test_hop_by_hop_fields_stay_on_their_hop(self):
        answer = self.front.get("/plain", headers={"Connection": "X-Mine", "X-Mine": "1", "TE": "trailers",
                                                   "X-Other": "2"})
        seen = self.origin.last()
        self.assertIsNone(seen.field("x-mine"))
        self.assertIsNone(seen.field("te"))
        self.assertEqual(seen.field("x-other"), "2")
        self.assertIsNone(answer.field("x-hop"))
        self.assertIsNone(answer.field("keep-alive"))
        self.assertEqual(answer.field("x-end"), "2")

    def test_forwarding_fields_are_ours(self):
        self.front.get("/plain", headers={"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https",
                                          "Forwarded": "for=6.6.6.6", "X-Original-URL": "/admin"})
        seen = self.origin.last()
        self.assertEqual(seen.field("host"), "api.example")
        self.assertEqual(seen.field("x-forwarded-for"), "127.0.0.1")
        self.assertEqual(seen.field("x-forwarded-proto"), "http")
        self.assertEqual(seen.field("x-forwarded-host"), "api.example")
        self.assertIn("cachegate", seen.field("via"))
        self.assertIsNone(seen.field("forwarded"))
        self.assertIsNone(seen.field("x-original-url"))

    def test_conditions_do_not_travel_on_a_miss(self):
        self.front.get("/plain", headers={"If-None-Match": '"x"', "If-Modified-Since": "yesterday"})
        self.assertIsNone(self.origin.last().field("if-none-match"))
        self.assertIsNone(self.origin.last().field("if-modified-since"))


if __name__ == "__main__":
    main()
