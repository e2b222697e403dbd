"""The wire: protocols, sockets, large bodies, and input that must be refused."""

import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from harness import (EchoApp, Journey, Reply, binary, curl, exchange_raw, main, sanitizer, split_answers,
                     wait_until)

RULES = """
defaults: { ttl: 60s, scope: user }
routes:
  - match: GET /plain
  - match: GET /large
  - match: GET /chunked
"""
MEGABYTE = 1 << 20
LARGE_MB = 50


def request(method="GET", target="/plain", fields=("Host: a",), version="HTTP/1.1", body=b""):
    lines = ["%s %s %s" % (method, target, version), *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


class Http1(Journey):
    def setUp(self):
        self.origin = self.upstream(EchoApp())
        self.front = self.gateway(self.origin, RULES)

    def test_a_connection_is_kept_for_many_requests(self):
        client = self.front.client()
        client.get("/plain", "alice")
        used = client.connection.sock
        for _ in range(20):
            self.assertHit(client.get("/plain", "alice"))
        self.assertIs(client.connection.sock, used)

    def test_connection_close_is_obeyed(self):
        received = self.front.raw(request(fields=("Host: a", "Connection: close")))
        (status, head, _), = split_answers(received)
        self.assertEqual(status, 200)
        self.assertIn("connection: close", head.lower())

    def test_pipelined_requests_are_answered_in_order(self):
        targets = ["/one", "/plain", "/two", "/plain", "/three"]
        last = request(target="/last", fields=("Host: a", "Connection: close"))
        received = self.front.raw(b"".join(request(target=target) for target in targets) + last)
        answers = split_answers(received)
        self.assertEqual([status for status, _, _ in answers], [200] * 6)
        for target, (_, _, body) in zip(targets + ["/last"], answers):
            self.assertIn(b'"target": "%s"' % target.encode(), body)

    def test_what_comes_while_a_request_is_answered_waits_for_its_turn(self):
        host, _, port = self.front.address.rpartition(":")
        for half_close in (False, True):
            with self.subTest(half_close=half_close), socket.create_connection((host, int(port)), 30) as client:
                seen = self.origin.count("/early/0")
                with self.origin.hold("/held") as gate:
                    client.sendall(request(target="/held", fields=("Host: a", "X-Mark: " + "m" * 3000)))
                    gate.wait_arrived()
                    # More than libh2o's first buffer, so that it would have to move to be read.
                    for number in range(4):
                        client.sendall(request(target="/early/%d" % number, fields=("Host: a", "X-Fill: " + "f" * 3000)))
                    client.sendall(request(target="/last", fields=("Host: a", "Connection: close")))
                    if half_close:
                        client.shutdown(socket.SHUT_WR)
                    self.assertEqual(self.origin.count("/early/0"), seen)
                answers = split_answers(b"".join(iter(lambda: client.recv(65536), b"")))
                targets = ["/held", "/early/0", "/early/1", "/early/2", "/early/3", "/last"]
                self.assertEqual([status for status, _, _ in answers], [200] * 6)
                for target, (_, _, body) in zip(targets, answers):
                    self.assertIn(b'"target": "%s"' % target.encode(), body)

    def test_who_leaves_while_a_request_is_answered_costs_nothing(self):
        self.front = self.gateway(self.origin, RULES, threads=1)
        host, _, port = self.front.address.rpartition(":")
        with self.origin.hold("/held") as gate:
            with socket.create_connection((host, int(port)), 30) as client:
                client.sendall(request(target="/held"))
                gate.wait_arrived()
            slept = self.front.sleeps()
            for _ in range(200):
                self.front.get("/plain", "alice")
            self.assertGreater(self.front.sleeps() - slept, 20, "it spins on a connection that has ended")

    def test_http_1_0_is_answered_and_closed(self):
        received = self.front.raw(request(version="HTTP/1.0"))
        self.assertEqual(split_answers(received)[0][0], 200)

    def test_chunked_answers_are_stored_whole(self):
        pieces = [b"x" * size for size in (1, 1000, 70_000)]
        self.origin.app.route("GET", "/chunked", lambda request: Reply(chunks=pieces))
        first = self.front.get("/chunked", "alice")
        self.assertMiss(first)
        self.assertEqual(first.body, b"".join(pieces))
        second = self.front.get("/chunked", "alice")
        self.assertHit(second)
        self.assertEqual(second.body, first.body)

    def test_answers_without_a_body(self):
        self.origin.app.route("DELETE", "/plain", lambda request: Reply(204))
        self.assertEqual(self.front.request("DELETE", "/plain").status, 204)
        self.origin.app.route("GET", "/empty", lambda request: Reply(200, b""))
        self.assertEqual(self.front.get("/empty").body, b"")

    def test_what_a_second_parser_could_read_differently_is_refused(self):
        cases = {
            "no host": request(fields=()),
            "two hosts": request(fields=("Host: a", "Host: b")),
            "host with a path": request(fields=("Host: a/b",)),
            "host with a space": request(fields=("Host: a b",)),
            "host with userinfo": request(fields=("Host: a@b",)),
            "length and coding": request("POST", fields=("Host: a", "Content-Length: 5",
                                                         "Transfer-Encoding: chunked"), body=b"0\r\n\r\n"),
            "two lengths": request("POST", fields=("Host: a", "Content-Length: 1", "Content-Length: 2"),
                                   body=b"xx"),
            "negative length": request("POST", fields=("Host: a", "Content-Length: -1")),
            "folded field": b"GET /plain HTTP/1.1\r\nHost: a\r\nX: 1\r\n  2\r\n\r\n",
            "bare line feed": b"GET /plain HTTP/1.1\nHost: a\n\n",
            "space before the colon": request(fields=("Host: a", "X : 1")),
            "name that is no token": request(fields=("Host: a", "X(y): 1")),
            "NUL in a value": request(fields=("Host: a", "X: 1\0002")),
            "method that is no token": request("G<T"),
            "connect": request("CONNECT", "a:80"),
            "trace": request("TRACE"),
            "absolute target": request(target="http://b/plain"),
            "target without a slash": request(target="plain"),
            "fragment": request(target="/plain#x"),
            "high bytes in the target": request(target="/pl\xe4in"),
            "unknown coding": request("POST", fields=("Host: a", "Transfer-Encoding: xchunked"),
                                      body=b"0\r\n\r\n"),
            "coding list": request("POST", fields=("Host: a", "Transfer-Encoding: gzip, chunked"),
                                   body=b"0\r\n\r\n"),
            "junk": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 junk\r\n\r\n",
        }
        tail = request(target="/smuggled", fields=("Host: a", "Connection: close"))
        for name, bytes_ in cases.items():
            with self.subTest(name):
                answers = split_answers(self.front.raw(bytes_ + tail, half_close=True))
                self.assertLessEqual(len(answers), 1, answers)
                if answers:
                    self.assertGreaterEqual(answers[0][0], 400, answers)
                    self.assertLess(answers[0][0], 600, answers)
        self.assertEqual(self.origin.count(), 0, [seen.target for seen in self.origin.requests])
        self.assertMiss(self.front.get("/plain", "alice"))

    def test_dot_segments_and_encoded_slashes_open_no_other_route(self):
        for target in ("/x/../plain", "/./plain", "/x%2f..%2fplain", "/%2e%2e/plain"):
            with self.subTest(target):
                answer = self.front.get(target)
                self.assertFalse(answer.cache.stored, repr(answer))

    def test_escaped_spelling_of_the_same_path_is_the_same_answer(self):
        self.assertMiss(self.front.get("/plain", "alice"))
        self.assertHit(self.front.get("/%70lain", "alice"))

    def test_limits_are_answered_by_status(self):
        front = self.gateway(self.origin, RULES, config={
            "limits": {"request_body": "1KB", "request_head": "2KB", "request_fields": 20}})
        body = exchange_raw(front.address, request("POST", fields=(
            "Host: a", "Content-Length: 5000", "Connection: close")) + b"x" * 5000, half_close=True)
        self.assertEqual(split_answers(body)[0][0], 413)
        for length, expected in ((1024, 200), (1025, 413), (2048, 413)):
            self.assertEqual(curl("--http2-prior-knowledge", "--data", "x" * length,
                                  "http://%s/up" % front.address).status, expected, length)
        many = front.get("/plain", headers={"X-%d" % number: "1" for number in range(30)})
        self.assertEqual(many.status, 431)
        large = front.get("/plain", headers={"X-Large": "x" * 3000})
        self.assertEqual(large.status, 431)
        self.assertEqual(self.origin.count(), 1)
        self.assertMiss(front.get("/plain"))


class LargeBodies(Journey):
    def setUp(self):
        self.sent = 0
        self.whole = threading.Event()
        app = EchoApp()
        for path in ("/large", "/pass"):
            app.route("GET", path, lambda request: Reply(
                chunks=self.pieces(), length=LARGE_MB * MEGABYTE if "length" in request.query else None))
        self.origin = self.upstream(app)
        self.front = self.gateway(self.origin, RULES)

    def pieces(self):
        self.sent = 0
        self.whole.clear()
        for number in range(LARGE_MB * 4):
            yield bytes([number % 251]) * (MEGABYTE // 4)
            self.sent += MEGABYTE // 4
        self.whole.set()

    def read_all(self, response):
        number = 0
        while piece := response.read(MEGABYTE // 4):
            self.assertEqual(piece, bytes([number % 251]) * (MEGABYTE // 4))
            number += 1
        self.assertEqual(number, LARGE_MB * 4)

    def test_fifty_megabytes_stream_through_in_bounded_memory(self):
        self.front.get("/plain", "alice")
        before = self.front.memory_peak_kb()
        for target in ("/pass", "/pass?length", "/large", "/large?length"):
            with self.subTest(target):
                client = self.front.client()
                self.read_all(client.send("GET", target, user="alice"))
        grown = self.front.memory_peak_kb() - before
        if sanitizer() is None:
            self.assertLess(grown, 16 * 1024, "KB of memory")
        self.assertFalse(self.front.get("/large?length", "alice").cache.hit)
        self.assertEqual(self.front.stats()["keys"], 3, "one answer, and what is remembered of two that are too large")

    def test_an_upstream_waits_for_a_client_that_does_not_read(self):
        client = self.front.client()
        response = client.send("GET", "/pass", user="alice")
        # Unread, it can fill buffers of the kernel and of the gateway, and no more: the upstream must
        # not come to its end. Nothing tells us that it never would; half a second is what we give it.
        self.assertFalse(self.whole.wait(0.5), "50 MB went nowhere: somebody keeps them in memory")
        self.assertLess(self.sent, 30 * MEGABYTE)
        self.read_all(response)
        self.assertTrue(self.whole.wait(60))

    def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(self):
        for target in ("/pass", "/large"):
            client = self.front.client()
            response = client.send("GET", target, user="alice")
            response.read(MEGABYTE)
            response.close()
            client.close()
        self.assertMiss(self.front.get("/plain", "alice"))


class Tls(Journey):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keys = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="cachegate-e2e-")))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", cls.keys / "key.pem",
                        "-out", cls.keys / "certificate.pem"], check=True, capture_output=True, timeout=60)

    def setUp(self):
        self.origin = self.upstream(EchoApp())
        self.front = self.gateway(self.origin, RULES, config={
            "listen": [{"address": "127.0.0.1:0", "tls": True}, "127.0.0.1:0"],
            "tls": {"certificate": str(self.keys / "certificate.pem"), "key": str(self.keys / "key.pem")}})
        self.secure = "https://localhost:" + self.front.addresses[0].rpartition(":")[2]
        self.plain = "http://" + self.front.addresses[1]

    def get(self, url, *arguments):
        return curl("--cacert", str(self.keys / "certificate.pem"), *arguments, url)

    def test_http1_and_http2_over_tls_and_cleartext_share_no_scheme_but_all_work(self):
        for url, argument, protocol in ((self.secure, "--http1.1", "HTTP/1.1"),
                                        (self.secure, "--http2", "HTTP/2"),
                                        (self.plain, "--http1.1", "HTTP/1.1"),
                                        (self.plain, "--http2-prior-knowledge", "HTTP/2")):
            with self.subTest(url + " " + argument):
                for _ in range(2):
                    answer = self.get(url + "/plain", argument)
                self.assertEqual(answer.protocol, protocol)
                self.assertHit(answer)
        # Stored once for each scheme and authority, not for each protocol.
        self.assertEqual(self.origin.count("/plain"), 2)

    def test_the_scheme_is_that_of_the_connection(self):
        self.get(self.secure + "/unnamed", "--http2", "-H", "X-Forwarded-Proto: http")
        self.assertEqual(self.origin.last().field("x-forwarded-proto"), "https")

    def test_http2_requests_write_and_invalidate(self):
        self.get(self.secure + "/plain", "--http2")
        answer = self.get(self.secure + "/plain", "--http2", "-X", "PUT", "-d", "x" * 100_000)
        self.assertEqual(len(answer.json()["body"]), 100_000)
        self.assertMiss(self.get(self.secure + "/plain", "--http2"))

    def test_http2_heads_have_no_body(self):
        self.get(self.secure + "/plain", "--http2")
        self.assertHit(self.get(self.secure + "/plain", "--http2", "--head"))

    def test_many_requests_on_one_http2_connection(self):
        urls = [self.secure + "/plain"] * 50
        result = subprocess.run(
            ["curl", "-sS", "--http2", "--parallel", "--parallel-max", "20", "--max-time", "60",
             "--cacert", str(self.keys / "certificate.pem"), "-w", "%{http_code} ",
             *sum((["-o", os.devnull, url] for url in urls), [])],
            capture_output=True, text=True, timeout=90, check=True)
        self.assertEqual(result.stdout.split(), ["200"] * 50)
        self.assertLessEqual(self.origin.count("/plain"), 2)

    def test_old_tls_is_refused(self):
        result = subprocess.run(["curl", "-sS", "--tls-max", "1.1", "--tlsv1.0", "--insecure",
                                 self.secure + "/plain"], capture_output=True, timeout=60, check=False)
        self.assertNotEqual(result.returncode, 0)

    def test_files_that_are_no_certificate_or_key_are_named_with_the_reason(self):
        names = {"certificate": str(self.keys / "certificate.pem"), "key": str(self.keys / "key.pem")}
        for wrong, other in (("certificate", "key"), ("key", "certificate")):
            with self.subTest(wrong):
                flags = sum((["--tls-" + name, names[other]] for name in names), [])
                result = subprocess.run(
                    [binary(), "run", "--tls-listen", "127.0.0.1:0", *flags, "--upstream", "http://127.0.0.1:1"],
                    capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(result.returncode, 1)
                self.assertIn("cannot use the %s %s: the file holds none" % (wrong, names[other]), result.stderr)


class Sockets(Journey):
    def setUp(self):
        self.origin = self.upstream(EchoApp())

    def test_a_unix_socket_serves_beside_a_port(self):
        path = str(self.directory() / "front.sock")
        front = self.gateway(self.origin, RULES, listen=("unix:" + path, "127.0.0.1:0"))
        unix = front.client("unix:" + path)
        self.assertMiss(unix.get("/plain", "alice"))
        tcp = next(address for address in front.addresses if not address.startswith("unix:"))
        self.assertHit(front.client(tcp).get("/plain", "alice"))

    def test_a_stale_socket_file_is_replaced(self):
        path = str(self.directory() / "front.sock")
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(path)
        front = self.gateway(self.origin, RULES, listen=("unix:" + path,))
        self.assertMiss(front.client("unix:" + path).get("/plain", "alice"))

    def test_an_upstream_on_a_unix_socket(self):
        origin = self.upstream(EchoApp(), unix_path=str(self.directory() / "origin.sock"))
        front = self.gateway(origin, RULES)
        self.assertMiss(front.get("/plain", "alice"))
        self.assertHit(front.get("/plain", "alice"))

    def test_ipv6(self):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            raise unittest.SkipTest("no IPv6 here") from None
        front = self.gateway(self.origin, RULES, listen=("[::1]:0",))
        self.assertMiss(front.get("/plain", "alice"))

    def test_the_proxy_protocol_names_the_client(self):
        front = self.gateway(self.origin, RULES, config={
            "listen": [{"address": "127.0.0.1:0", "proxy_protocol": True}]})
        line = b"PROXY TCP4 203.0.113.9 203.0.113.1 4711 80\r\n"
        received = exchange_raw(front.address, line + request(fields=("Host: a", "Connection: close")))
        self.assertEqual(split_answers(received)[0][0], 200)
        self.assertEqual(self.origin.last().field("x-forwarded-for"), "203.0.113.9")
        without = exchange_raw(front.address, request(fields=("Host: a", "Connection: close")),
                               half_close=True)
        self.assertNotIn(b"200 OK", without)
        self.assertEqual(self.origin.count(), 1)


class Drain(Journey):
    def test_a_request_in_flight_is_answered_whole_after_sigterm(self):
        origin = self.upstream(EchoApp())
        front = self.gateway(origin, RULES)
        answers = []
        with origin.hold("/other") as gate:
            reader = threading.Thread(target=lambda: answers.append(front.client().get("/other", "alice")))
            reader.start()
            gate.wait_arrived()
            front.process.send_signal(signal.SIGTERM)
            host, _, port = front.address.rpartition(":")
            wait_until(lambda: _refused(host, int(port)), "new connections are refused")
            gate.release()
        reader.join()
        self.assertEqual(answers[0].status, 200)
        front.expect_end(0)

    def test_a_second_signal_ends_it_at_once(self):
        origin = self.upstream(EchoApp())
        front = self.gateway(origin, RULES)
        gate = origin.hold("/other")
        with gate:
            client = front.client()
            client.connection.request("GET", "/other", headers={"Host": "a"})
            gate.wait_arrived()
            front.process.send_signal(signal.SIGTERM)
            host, _, port = front.address.rpartition(":")
            wait_until(lambda: _refused(host, int(port)), "new connections are refused")
            front.process.send_signal(signal.SIGTERM)
            front.expect_end()


def _refused(host, port):
    try:
        socket.create_connection((host, port), 5).close()
        return False
    except ConnectionError:
        return True


if __name__ == "__main__":
    main()
