"""The access log: one line for each request, with the right members and without a secret; rotation, a
reader that is stuck, traces that go on."""

import asyncio
import fcntl
import json
import os
import re
import resource
import signal
import stat
import subprocess
import threading

from harness import EchoApp, Journey, binary, curl, main, wait_until

RULES = """
defaults: { ttl: 1m, scope: user }
routes:
  - { match: "GET /items/**", name: items, stale_while_revalidate: 1h }
  - { match: GET /shared, scope: shared, override: [authorization] }
  - { match: GET /never, cache: never }
"""
COMBINED = re.compile(
    r'^(?P<client>\S+) (?P<ident>\S+) (?P<user>\S+) \[(?P<time>[^\]]+)\] '
    r'"(?P<method>\S+) (?P<path>[^" ]+) (?P<protocol>[^"]+)" (?P<status>\d{3}) (?P<bytes>\d+|-) '
    r'"(?P<referer>[^"]*)" "(?P<agent>[^"]*)"$')
TRACE = "0af7651916cd43dd8448eb211c80319c"
THEIRS = "00-%s-b7ad6b7169203331-01" % TRACE
HUSH = "QxZwJvHuSh"


class LogJourney(Journey):
    def setUp(self):
        self.file = self.directory() / "access.log"
        self.origin = self.upstream(EchoApp())

    def start(self, **log):
        arguments = log.pop("arguments", {})
        log.setdefault("access", str(self.file))
        self.front = self.gateway(self.origin, RULES, config={"log": log, **log.pop("more", {})},
                                  **arguments)
        return self.front

    def text(self, file=None):
        return (file or self.file).read_text(encoding="ascii")

    def entries(self, count, file=None):
        """Exactly so many lines, each a JSON object; waits for the end of the gateway's turn."""
        wait_until(lambda: self.text(file).count("\n") >= count, "%d lines are written" % count)
        lines = self.text(file).splitlines()
        self.assertEqual(len(lines), count, self.text(file))
        return [json.loads(line) for line in lines]

    def entry(self, index=-1):
        wait_until(lambda: self.text().count("\n") > (0 if index < 0 else index), "a line")
        return json.loads(self.text().splitlines()[index])


class Members(LogJourney):
    def test_each_kind_of_result_is_one_line_that_says_so(self):
        self.start()
        self.origin.fail("/items/bad", 500)
        self.origin.drop("/never/../gone")
        steps = [
            ("GET", "/items/1", "miss", "absent", 200, True, True),
            ("GET", "/items/1", "hit", "fresh", 200, True, False),
            ("GET", "/never", "pass", "rule-never", 200, False, True),
            ("GET", "/other", "pass", "no-route", 200, False, True),
            ("PUT", "/items/1", "write", "write", 200, False, True),
            ("GET", "/items/1", "miss", "purged", 200, True, True),
            ("GET", "/items/bad", "miss", "absent", 500, True, True),
            ("HEAD", "/items/1", "hit", "fresh", 200, True, False),
        ]
        for method, target, *_ in steps:
            self.front.request(method, target, user="alice", body=b"{}" if method == "PUT" else None)
        entries = self.entries(len(steps))
        for entry, (method, target, result, reason, status, keyed, asked) in zip(entries, steps):
            with self.subTest(entry=entry):
                self.assertEqual([entry[name] for name in ("method", "path", "cache", "reason", "status")],
                                 [method, target, result, reason, status])
                self.assertEqual("key" in entry, keyed)
                self.assertEqual("upstream" in entry, asked)
                self.assertEqual(entry.get("upstream_status"), status if asked else None)
                self.assertEqual("span_id" in entry, asked)
                self.assertEqual([entry[name] for name in ("client", "scheme", "host", "protocol", "complete")],
                                 ["127.0.0.1", "http", "api.example", "HTTP/1.1", True])
                self.assertRegex(entry["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
                self.assertRegex(entry["trace_id"], r"^[0-9a-f]{32}$")
                self.assertGreaterEqual(entry["duration_ms"], entry["first_byte_ms"])
        self.assertEqual(entries[0]["key"], entries[1]["key"])
        self.assertRegex(entries[0]["key"], r"^[0-9a-f]{32}$")
        self.assertEqual(entries[0]["route"], "items")
        self.assertEqual(entries[4]["bytes_in"], 2)
        self.assertNotIn("route", entries[3])
        self.assertGreater(entries[1]["bytes_out"], 50)

    def test_stale_answers_and_our_own_errors(self):
        self.start()
        self.front.get("/items/1", user="alice")
        self.front.advance(120)
        self.front.get("/items/1", user="alice")
        self.origin.drop("/never", times=10)
        self.assertEqual(self.front.get("/never").status, 502)
        entries = self.entries(3)
        self.assertEqual((entries[1]["cache"], entries[1]["reason"]), ("stale", "stale-while-revalidate"))
        self.assertEqual((entries[2]["status"], entries[2]["reason"]), (502, "upstream-failed"))
        self.assertNotIn("upstream_status", entries[2])

    def test_refused_requests_are_told_as_they_came(self):
        self.start()
        head = "GET /a?token=%s&b=1 HTTP/1.1\r\nHost: a\r\nHost: b\r\nUser-Agent: odd\r\n\r\n" % HUSH
        answer = self.front.raw(head.encode())
        self.assertIn(b" 400 ", answer)
        entry, = self.entries(1)
        self.assertEqual((entry["status"], entry["cache"], entry["reason"], entry["path"]),
                         (400, "error", "bad-request", "/a?token=***&b=1"))
        self.front.raw(b"GET /a#b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertEqual(self.entries(2)[1]["status"], 400)

    def test_clients_that_leave_before_their_answer_are_told(self):
        self.start()  # over HTTP/2: of HTTP/1.1, libh2o reads nothing while it owes an answer
        with self.origin.hold("/never") as gate:
            curl = subprocess.Popen(["curl", "-s", "--http2-prior-knowledge", "--max-time", "60",
                                     "http://%s/never" % self.front.address], stdout=subprocess.DEVNULL)
            gate.wait_arrived()
            curl.kill()
            curl.wait()
            entry, = self.entries(1)
        self.assertEqual((entry["status"], entry["complete"], entry["path"]), (0, False, "/never"))
        self.assertNotIn("first_byte_ms", entry)

    def test_answers_that_are_cut_are_told(self):
        self.start()
        self.origin.cut("/never", after=20)
        self.assertRaises(Exception, self.front.get, "/never")
        entry, = self.entries(1)
        self.assertEqual((entry["status"], entry["complete"]), (200, False))

    def test_http2_requests_are_told(self):
        self.start()
        for _ in range(2):
            curl("--http2-prior-knowledge", "-A", "h2 agent", "-e", "http://r.test/?code=" + HUSH,
                 "-H", "Authorization: Bearer x", "http://%s/items/1?b=2" % self.front.address)
        first, second = self.entries(2)
        self.assertEqual([first["protocol"], first["cache"], second["cache"]], ["HTTP/2.0", "miss", "hit"])
        self.assertEqual((first["user_agent"], first["referer"]), ("h2 agent", "http://r.test/?code=***"))
        self.assertEqual(first["host"], self.front.address)

    def test_the_client_is_the_one_of_the_proxy_line_and_never_of_a_field(self):
        self.start(arguments={"listen": [{"address": "127.0.0.1:0", "proxy_protocol": True}]})
        self.front.raw(b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 80\r\nGET /items/1 HTTP/1.1\r\nHost: a\r\n"
                       b"X-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n")
        self.assertEqual(self.entries(1)[0]["client"], "192.0.2.7")
        self.assertNotIn("6.6.6.6", self.text())

    def test_warming_and_the_admin_api_are_no_requests_of_clients(self):
        self.start(more={"warm": {"requests": ["/shared"]}})
        wait_until(lambda: self.origin.count("/shared") == 1, "it is warmed")
        self.front.stats()
        self.front.get("/shared")
        self.assertEqual(self.entries(1)[0]["path"], "/shared")

    def test_without_an_access_log_nothing_is_written(self):
        read, write = os.pipe()
        self.gateway(self.origin, RULES, output=write).get("/items/1")
        os.close(write)
        os.set_blocking(read, False)
        self.assertRaises(BlockingIOError, os.read, read, 1)
        os.close(read)


class Secrets(LogJourney):
    def test_no_spelling_of_a_secret_is_seen(self):
        self.start(secret_query=["customer_id"], level="debug")
        names = ["token", "TOKEN", "%74oken", "%2574oken", "access_token", "accessToken", "api-key",
                 "api.key", "apikey", "key", "client_secret", "password", "user[password]", "passwd",
                 "session", "session_id", "sid", "sig", "X-Amz-Signature", "code", "auth", "jwt",
                 "token[]", "%20token", "customer_id", "Customer-Id"]
        targets = ["/items/1?%s=%s&page=2" % (name, HUSH) for name in names]
        targets += ["/items/1?page=2;token=" + HUSH, "/items/1?a=1&token=a&token=" + HUSH,
                    "/items/1?token=a;b" + HUSH, "/items/1?next=%2Fcb%3Fcode%3D" + HUSH,
                    "/items/1?f=%7B%22token%22%3A%22" + HUSH + "%22%7D", "/items/1;jsessionid=" + HUSH,
                    "/items/1?token%3D" + HUSH, "/items/1?x=eyJhbGciOiJIUzI1NiJ9." + HUSH]
        for target in targets:
            self.front.get(target, user=HUSH, headers={
                "Cookie": "sid=" + HUSH, "X-Api-Key": HUSH, "User-Agent": "app/1 (session=%s)" % HUSH,
                "Referer": "https://%s@app.test/?token=%s" % (HUSH, HUSH)})
        for raw in ("/items/1?a=1#token=" + HUSH, "//u:%s@h/?token=%s" % (HUSH, HUSH)):
            self.front.raw(("GET %s HTTP/1.1\r\nHost: %s@h\r\nConnection: close\r\n\r\n"
                            % (raw, HUSH)).encode())
        entries = self.entries(len(targets) + 2)
        shown = self.text().replace("//u:%s@h/" % HUSH, "")  # a path, whatever it looks like
        self.assertNotIn(HUSH[:4], shown)
        self.assertNotIn("Bearer", shown)
        self.assertTrue(all(entry["path"].endswith("=***&page=2") for entry in entries[:len(names)]))
        self.assertEqual(entries[0]["referer"], "https://***@app.test/?token=***")
        self.assertNotIn(HUSH, "\n".join(self.front.lines))

    def test_nobody_forges_a_line(self):
        self.start()
        for agent in ('a"}\\', "\xe4\xff", "\xe2\x80\xa8{\"status\":200}", "\t\x80"):
            self.front.get("/items/1?x=%0a%0d%22", headers={"User-Agent": agent})
            self.front.raw(b'GET /a"b\\\xff?c=\xc3\xa4 HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff"}\r\n'
                           b'Connection: close\r\n\r\n')
        self.front.get("/items/1", headers={"User-Agent": "\xc3\xa4\xff"})
        self.assertEqual(self.entries(9)[-1]["user_agent"], "\u00e4\\xff")


class Many(LogJourney):
    def test_a_thousand_clients_at_once_are_a_thousand_lines(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
        self.start(arguments={"threads": 4})
        for number in range(11):  # a stampede is not the point: all find it stored
            self.front.get("/shared?n=0&token=%d" % (number % 10), host="a")

        async def ask(number):
            host, port = self.front.address.rsplit(":", 1)
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /shared?n=0&token=%d HTTP/1.1\r\nHost: a\r\nUser-Agent: %d\r\n"
                         b"Connection: close\r\n\r\n" % (number % 10, number))
            while await reader.read(65536):
                pass
            writer.close()

        async def everybody():
            await asyncio.gather(*(ask(number) for number in range(1000)))

        asyncio.run(everybody())
        entries = self.entries(1011)[11:]
        self.assertEqual(sorted(int(entry["user_agent"]) for entry in entries), list(range(1000)))
        self.assertEqual({entry["cache"] for entry in entries}, {"hit"})
        self.assertEqual(len({entry["trace_id"] for entry in entries}), 1000)

    def test_who_shares_a_fetch_names_its_trace(self):
        self.start(arguments={"threads": 1})
        clients = [self.front.client() for _ in range(3)]
        threads = [threading.Thread(target=client.get, args=["/shared"]) for client in clients]
        with self.origin.hold("/shared") as gate:
            threads[0].start()
            gate.wait_arrived()
            for thread in threads[1:]:
                thread.start()
            wait_until(lambda: "cachegate_requests_in_flight 3" in
                       self.front.admin("GET", "/metrics").body.decode(), "all three are in flight")
        for thread in threads:
            thread.join(60)
        entries = self.entries(3)
        leader, = [entry for entry in entries if entry["cache"] == "miss"]
        shared = [entry for entry in entries if entry["cache"] == "collapsed"]
        self.assertEqual(len(shared), 2)
        for entry in shared:
            self.assertEqual(entry["fetch_trace_id"], leader["trace_id"])
            self.assertNotEqual(entry["trace_id"], leader["trace_id"])
            self.assertNotIn("span_id", entry)
        self.assertEqual(self.origin.last("/shared").field("traceparent").split("-")[1:3],
                         [leader["trace_id"], leader["span_id"]])


class Rotation(LogJourney):
    def test_renaming_and_sighup_lose_no_line_under_load(self):
        self.start()
        stop, sent = threading.Event(), []

        def load():
            client, count = self.front.client(), 0
            while not stop.is_set():
                client.get("/items/%d" % (count % 7))
                count += 1
            sent.append(count)

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        rotated = []
        for number in range(5):
            wait_until(lambda: self.file.exists() and self.text().count("\n") > 20, "lines come")
            rotated.append(self.file.with_suffix(".%d" % number))
            self.file.rename(rotated[-1])
            self.front.process.send_signal(signal.SIGHUP)
        wait_until(self.file.exists, "the file is opened again")
        stop.set()
        for thread in threads:
            thread.join(60)
        self.front.stop()
        lines = [line for file in [*rotated, self.file] for line in self.text(file).splitlines()]
        self.assertEqual(len(lines), sum(sent))
        for line in lines:
            json.loads(line)
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode) & ~0o640, 0)
        self.assertEqual(len([line for line in self.front.lines if "was opened again" in line]), 5)

    def test_a_file_that_cannot_be_opened_again_leaves_the_old_one(self):
        self.start()
        old = self.file.with_suffix(".1")
        self.file.rename(old)
        self.file.mkdir()
        self.front.process.send_signal(signal.SIGHUP)
        self.front.wait_line("cannot open .*access.log again: Is a directory")
        self.front.get("/items/1")
        self.assertEqual(len(self.entries(1, old)), 1)

    def test_a_gateway_without_its_log_does_not_start(self):
        missing = self.file.parent / "missing" / "access.log"
        result = subprocess.run(
            [binary(), "run", "--listen", "127.0.0.1:0", "--upstream", self.origin.url,
             "--access-log", str(missing)], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn(str(missing), result.stderr)
        self.assertIn("its folder must exist", result.stderr)

    def test_the_end_writes_what_is_left(self):
        self.start()
        self.front.get("/items/1")
        self.front.stop()
        self.assertEqual(len(self.entries(1)), 1)


class Reader(LogJourney):
    def pipe(self):
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        self.addCleanup(os.close, read)
        return read, write

    def dropped(self):
        told = self.front.admin("GET", "/metrics").body.decode()
        return int(re.search(r"^cachegate_access_log_dropped_total (\d+)$", told, re.M).group(1))

    def test_standard_output_gets_the_lines(self):
        read, write = self.pipe()
        self.start(access="stdout", arguments={"output": write})
        os.close(write)
        self.front.get("/items/1")
        self.front.stop()
        self.assertEqual(json.loads(os.read(read, 65536))["path"], "/items/1")
        self.assertEqual(os.read(read, 1), b"")

    def test_a_stuck_reader_stalls_nobody_and_drops_are_counted(self):
        read, write = self.pipe()
        self.start(access="stdout", access_buffer="8KB", arguments={"output": write, "threads": 1})
        os.close(write)
        client = self.front.client()
        for number in range(400):
            self.assertEqual(client.get("/items/1?n=%d" % number).status, 200)
        wait_until(lambda: self.dropped() > 200, "lines are dropped")
        self.front.wait_line(r"access-log .*lines were dropped: standard output: its reader is too slow")
        received = []
        reader = threading.Thread(target=lambda: received.extend(iter(lambda: os.read(read, 65536), b"")))
        reader.start()
        wait_until(lambda: received, "the reader reads again")
        self.assertEqual(client.get("/items/after").status, 200)
        dropped = self.dropped()
        self.front.stop()
        reader.join(60)
        lines = b"".join(received).decode("ascii").splitlines()
        self.assertEqual(len(lines) + dropped, 401)
        self.assertEqual([json.loads(line)["path"] for line in lines[:3]],
                         ["/items/1?n=%d" % number for number in range(3)])
        self.assertEqual(json.loads(lines[-1])["path"], "/items/after")
        said = [line for line in self.front.lines if "lines were dropped" in line]
        self.assertLess(len(said), 100, "once a second at most")

    def test_a_reader_that_left_stalls_nobody(self):
        read, write = os.pipe()
        self.start(access="stdout", arguments={"output": write})
        os.close(write)
        os.close(read)
        for _ in range(10):
            self.assertEqual(self.front.get("/items/1").status, 200)
        wait_until(lambda: self.dropped() == 10, "lines are dropped")


class Combined(LogJourney):
    def test_lines_are_what_other_servers_write(self):
        self.start(access_format="combined")
        self.front.get("/items/1?token=%s&b=2" % HUSH, headers={
            "User-Agent": 'Mozilla/5.0 "x" \\', "Referer": "https://app.test/?code=" + HUSH})
        self.front.get("/never")
        wait_until(lambda: self.text().count("\n") == 2, "two lines")
        first, second = [COMBINED.match(line) for line in self.text().splitlines()]
        self.assertEqual(first.group("client", "method", "path", "protocol", "status", "referer", "agent"),
                         ("127.0.0.1", "GET", "/items/1?token=***&b=2", "HTTP/1.1", "200",
                          "https://app.test/?code=***", "Mozilla/5.0 \\x22x\\x22 \\x5c"))
        self.assertRegex(first.group("time"), r"^\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000$")
        self.assertGreater(int(first.group("bytes")), 50)
        self.assertEqual(second.group("referer", "agent"), ("-", "-"))
        self.assertNotIn(HUSH, self.text())


class Traces(LogJourney):
    def forwarded(self, headers=(), **arguments):
        self.front.get("/never", headers=dict(headers), **arguments)
        return self.origin.last("/never")

    def test_a_valid_trace_goes_on(self):
        self.start()
        request = self.forwarded({"traceparent": THEIRS, "tracestate": "a=b"})
        sent = request.field("traceparent")
        self.assertRegex(sent, "^00-%s-[0-9a-f]{16}-01$" % TRACE)
        self.assertNotEqual(sent, THEIRS)
        self.assertEqual(request.field("tracestate"), "a=b")
        entry = self.entry()
        self.assertEqual(sent.split("-")[1:3], [entry["trace_id"], entry["span_id"]])

    def test_what_is_no_trace_is_replaced(self):
        self.start()
        for wrong in ("", "00", THEIRS.upper(), "ff" + THEIRS[2:], THEIRS + "-x", THEIRS + ", " + THEIRS,
                      "00-%s-b7ad6b7169203331-01" % ("0" * 32), "00-%s-%s-01" % (TRACE, "0" * 16)):
            headers = {"tracestate": "a=b", **({"traceparent": wrong} if wrong else {})}
            request = self.forwarded(headers)
            self.assertRegex(request.field("traceparent"), "^00-[0-9a-f]{32}-[0-9a-f]{16}-01$")
            self.assertNotIn(TRACE, request.field("traceparent"))
            self.assertIsNone(request.field("tracestate"), wrong)

    def test_hits_go_on_with_the_trace_of_their_own_request(self):
        self.start()
        self.front.get("/items/1")
        self.front.get("/items/1", headers={"traceparent": THEIRS})
        first, second = self.entries(2)
        self.assertEqual((second["cache"], second["trace_id"]), ("hit", TRACE))
        self.assertNotEqual(first["trace_id"], TRACE)

    def test_traces_may_be_passed_on_untouched(self):
        self.front = self.gateway(self.origin, RULES, config={"traceparent": "pass"})
        self.assertEqual(self.forwarded({"traceparent": THEIRS}).field("traceparent"), THEIRS)
        self.assertIsNone(self.forwarded().field("traceparent"))


main()
