"""An upstream that fails: what the client is told, and that nothing broken is ever stored."""

import socket
import threading

from harness import EchoApp, Journey, Reply, main, sanitizer, wait_until

RULES = """
defaults: { ttl: 60s, scope: user }
routes:
  - match: GET /plain
  - match: GET /patient
    stale_while_revalidate: 30s
  - match: GET /sturdy
    stale_if_error: 1h
  - match: GET /strict
    stale_if_error: 1h
    stale_while_revalidate: 1h
  - match: PUT /plain
  - match: PUT /sturdy
"""
PATIENCE = "3s" if sanitizer() else "1s"  # what is in order has to happen within it, on a busy machine
SHORT = {"timeouts": {"connect": "10s", "first_byte": PATIENCE, "between_bytes": PATIENCE}}


class Failures(Journey):
    def setUp(self):
        self.origin = self.upstream(EchoApp())
        self.front = self.gateway(self.origin, RULES)

    def test_an_upstream_that_closes_without_an_answer_is_502(self):
        self.origin.drop("/plain", times=5)  # a retry on a fresh connection must not help
        answer = self.front.get("/plain", "alice")
        self.assertEqual(answer.status, 502)
        self.assertIn("cachegate; error=", answer.field("proxy-status"))
        self.assertEqual(answer.cache.detail, "upstream-failed")
        self.front.wait_line(r' upstream-failed message="default: ')
        self.origin.heal("/plain")
        self.assertMiss(self.front.get("/plain", "alice"))

    def test_a_cut_body_is_cut_for_the_client_and_never_stored(self):
        for chunked in (False, True):
            with self.subTest(chunked=chunked):
                self.front.advance(100)
                self.origin.cut("/plain", after=10, chunked=chunked)
                with self.assertRaises(Exception) as raised:
                    self.front.client().get("/plain", "alice")
                self.assertIn(type(raised.exception).__name__,
                              ("IncompleteRead", "RemoteDisconnected", "ConnectionResetError"))
                answer = self.front.get("/plain", "alice")
                self.assertMiss(answer)
                self.assertHit(self.front.get("/plain", "alice"))

    def test_answers_that_are_not_http_are_502_and_not_stored(self):
        for name, bytes_ in (
                ("junk", b"hello\r\n\r\n"),
                ("negative length", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"),
                ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
                ("space before the colon", b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello"),
                ("unasked switch", b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"),
                ("huge head", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n")):
            with self.subTest(name):
                self.origin.write_raw("/plain", bytes_)
                answer = self.front.get("/plain", "alice")
                self.assertEqual(answer.status, 502, repr(answer))
                self.assertFalse(answer.cache.stored)
        self.assertMiss(self.front.get("/plain", "alice"))

    def test_bytes_beyond_the_answer_never_reach_the_next_client(self):
        evil = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\npoison!"
        self.origin.write_raw("/plain", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + evil)
        self.assertEqual(self.front.get("/plain", "alice").body, b"ok")
        for user in ("bob", "carol"):
            self.assertEqual(self.front.get("/plain", user).json()["user"], "Bearer " + user)

    def test_a_dead_upstream_is_502_and_stored_answers_still_serve(self):
        self.front.get("/plain", "alice")
        self.origin.stop()
        self.assertHit(self.front.get("/plain", "alice"))
        answer = self.front.get("/plain", "bob")
        self.assertEqual(answer.status, 502)
        self.assertIn("error=connection_refused", answer.field("proxy-status"))
        self.assertEqual(self.front.admin("GET", "/livez").status, 200)

    def test_the_last_answer_serves_while_the_upstream_fails(self):
        first = self.front.get("/sturdy", "alice")
        self.front.advance(1800)
        for trouble in (lambda: self.origin.fail("/sturdy", 503),
                        lambda: self.origin.drop("/sturdy", times=2),
                        lambda: self.origin.write_raw("/sturdy", b"junk\r\n\r\n")):
            trouble()
            answer = self.front.get("/sturdy", "alice")
            self.assertEqual((answer.status, answer.body), (200, first.body))
            self.assertEqual(answer.cache.detail, "stale-if-error", repr(answer))
            self.origin.heal("/sturdy")
        self.front.advance(2000)
        self.origin.fail("/sturdy", 503)
        self.assertEqual(self.front.get("/sturdy", "alice").status, 503)

    def test_a_purged_answer_is_never_served_because_the_upstream_fails(self):
        self.front.get("/sturdy", "alice")
        self.front.request("PUT", "/sturdy", user="alice", body="x")
        self.origin.fail("/sturdy", 503)
        self.assertEqual(self.front.get("/sturdy", "alice").status, 503)

    def test_a_just_expired_answer_is_served_while_one_fetch_refreshes_it(self):
        self.front.get("/patient", "alice")
        self.front.advance(70)
        gate = self.origin.hold("/patient")
        with gate:
            for _ in range(5):
                answer = self.front.get("/patient", "alice")
                self.assertEqual(answer.json()["number"], 1)
                self.assertEqual(answer.cache.detail, "stale-while-revalidate")
            gate.wait_arrived()
            self.assertEqual(self.origin.count("/patient"), 2)
        wait_until(lambda: self.front.get("/patient", "alice").cache.detail == "fresh", "the refresh")
        self.assertEqual(self.front.get("/patient", "alice").json()["number"], 2)
        self.front.advance(95)
        self.assertMiss(self.front.get("/patient", "alice"))

    def test_must_revalidate_forbids_stale_answers(self):
        self.origin.app.route("GET", "/strict", lambda request: Reply.json(
            {}, fields=[("Cache-Control", "must-revalidate")]))
        self.front.get("/strict", "alice")
        self.front.advance(70)
        self.origin.fail("/strict", 503)
        self.assertEqual(self.front.get("/strict", "alice").status, 503)

    def test_a_write_that_is_cut_forgets_and_a_refused_one_does_not(self):
        self.front.get("/plain", "alice")
        self.origin.fail("/plain", 409)
        self.assertEqual(self.front.request("PUT", "/plain", user="alice", body="x").status, 409)
        self.assertHit(self.front.get("/plain", "alice"))
        self.origin.drop("/plain", times=3)  # PUT may be sent again when a kept connection died
        self.assertEqual(self.front.request("PUT", "/plain", user="alice", body="x").status, 502)
        self.origin.heal("/plain")
        self.assertFalse(self.front.get("/plain", "alice").cache.hit)

    def test_a_post_is_not_sent_twice(self):
        self.front.get("/plain", "alice")  # leaves an idle connection to reuse
        self.origin.drop("/plain", times=3)
        self.front.request("POST", "/plain", user="alice", body="x")
        self.assertEqual(self.origin.count(method="POST"), 1)

    def test_401_forgets_what_that_identity_had_read(self):
        self.front.get("/plain", "alice")
        self.front.get("/sturdy", "alice")
        self.front.get("/plain", "bob")
        self.origin.fail("/other", 401)
        self.assertEqual(self.front.get("/other", "alice").status, 401)
        self.assertFalse(self.front.get("/plain", "alice").cache.hit)
        self.assertFalse(self.front.get("/sturdy", "alice").cache.hit)
        self.assertHit(self.front.get("/plain", "bob"))


class Timeouts(Journey):
    def setUp(self):
        self.origin = self.upstream(EchoApp())
        self.front = self.gateway(self.origin, RULES, config={
            "upstream": None, "upstreams": {"default": {"url": self.origin.url, **SHORT}}})

    def test_a_silent_upstream_is_504(self):
        with self.origin.hold("/plain"):
            answer = self.front.get("/plain", "alice")
        self.assertEqual(answer.status, 504)
        self.assertIn("error=http_response_timeout", answer.field("proxy-status"))
        self.assertMiss(self.front.get("/plain", "alice"))

    def test_an_upstream_that_stalls_in_a_body_is_cut_and_not_stored(self):
        stall = threading.Event()
        self.addCleanup(stall.set)

        def chunks():
            yield b"begin"
            stall.wait(60)

        self.origin.app.route("GET", "/plain", lambda request: Reply(chunks=chunks()))
        with self.assertRaises(Exception):
            self.front.client().get("/plain", "alice")
        stall.set()
        self.origin.app.routes.clear()
        self.assertMiss(self.front.get("/plain", "alice"))

    def test_a_write_that_times_out_keeps_what_it_touches_out_of_the_cache(self):
        self.front.get("/plain", "alice")
        with self.origin.hold("/plain"):
            self.assertEqual(self.front.request("PUT", "/plain", user="alice", body="x").status, 504)
            self.assertPassed(self.front.get("/plain", "alice"), "write-in-flight")

    def test_a_client_that_sends_half_a_request_is_dropped(self):
        front = self.gateway(self.origin, RULES, config={"limits": {"request_timeout": PATIENCE,
                                                                    "idle_timeout": PATIENCE}})
        host, _, port = front.address.rpartition(":")
        with socket.create_connection((host, int(port)), 60) as connection:
            connection.sendall(b"GET /plain HTTP/1.1\r\nHost:")
            try:
                while connection.recv(65536):
                    pass
            except ConnectionResetError:
                pass
        self.assertMiss(front.get("/plain", "alice"))


if __name__ == "__main__":
    main()
