"""The end of a gateway, and what comes before and after it.

What is in flight is answered, clients are told to go elsewhere, idle connections end, a deadline and a
second signal cut the rest; a successor on the same addresses takes over without a refused connection;
drain, wait and healthcheck, the commands of hooks.
"""

import contextlib
import signal
import socket
import struct
import subprocess
import threading
import time

import h2_abuse
from harness import (ADMIN_TOKEN, App, Client, EchoApp, Journey, binary, main, split_answers,
                     wait_until)
from test_redis import Redis, environment_for, wait_connected

RULES = """
routes:
  - match: GET /cached
    scope: shared
    ttl: 10m
  - match: PUT /cached
"""
QUEUED = 400  # more than the threads accept in a few turns of their loops


def cli(*arguments, timeout_s=60):
    done = subprocess.run([binary(), *arguments], capture_output=True, text=True, timeout=timeout_s,
                          check=False)
    return done.returncode, done.stdout, done.stderr


def connect(address):
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(60)
        connection.connect(address[len("unix:"):])
        return connection
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), 60)


def ask(target="/cached", *fields):
    lines = ["GET %s HTTP/1.1" % target, "Host: api.example", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_all(connection):
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def read_one(connection):
    """One answer with a Content-Length; what came when the connection ends before."""
    received = b""
    while True:
        head, separator, body = received.partition(b"\r\n\r\n")
        if separator and len(body) >= int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]):
            return received
        piece = connection.recv(65536)
        if not piece:
            return b"cut: " + received
        received += piece


def once(address, method):
    """One request to /cached, over a connection of its own."""
    with contextlib.closing(Client(address)) as client:
        return client.request(method, "/cached")


class Loop:
    """A client that asks again and again until told to stop; `failures` is what went wrong."""

    def __init__(self, address, keeps=False):
        self.address = address
        self.keeps = keeps
        self.answered = 0
        self.failures = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._over.is_set():
            try:
                with connect(self.address) as connection:
                    self._ask_on(connection)
            except OSError as error:
                self.failures.append(repr(error))

    def _ask_on(self, connection):
        closes = False
        while not closes and not self._over.is_set():
            connection.sendall(ask("/loop", *([] if self.keeps else ["Connection: close"])))
            answer = read_one(connection)
            if not answer.startswith(b"HTTP/1.1 200 "):
                self.failures.append("answer: %r" % answer[:200])
                return
            self.answered += 1
            closes = b"connection: close" in answer.lower()

    def stop(self):
        self._over.set()
        self._thread.join(60)


class Drain(Journey):
    def setUp(self):
        self.app = EchoApp()
        self.app.route("PUT", "/write", lambda request: {"length": len(request.body)})
        self.origin = self.upstream(self.app)

    def drain(self, front):
        front.process.send_signal(signal.SIGTERM)
        front.wait_line(r" draining ")

    def drain_heard(self, front):
        """The same, of a gateway with one thread: waits until that has heard of it."""
        with connect(front.address) as kept:
            kept.sendall(ask())
            read_one(kept)
            self.drain(front)
            answer = b""
            while b"connection: close" not in answer.lower():
                kept.sendall(ask())
                answer = read_one(kept)
                self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer)
            self.assertEqual(kept.recv(1), b"")

    def test_an_answer_in_flight_says_that_the_connection_closes(self):
        front = self.gateway(self.origin, RULES, threads=1)
        with self.origin.hold("/slow") as gate, connect(front.address) as connection:
            connection.sendall(ask("/slow"))
            gate.wait_arrived()
            self.drain_heard(front)
            self.assertEqual(front.admin("GET", "/readyz").status, 503)
            self.assertEqual(front.admin("GET", "/livez").status, 200)
            gate.release()
            ((status, head, _),) = split_answers(read_all(connection))
        self.assertEqual(status, 200)
        self.assertIn("connection: close", head.lower())
        front.expect_end(0)

    def test_a_request_that_is_arriving_is_read_to_its_end(self):
        front = self.gateway(self.origin, RULES)
        with connect(front.address) as connection:
            connection.sendall(b"PUT /write HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
            wait_until(lambda: front.admin("POST", "/drain").json()["connections"] == 1, "it arrives")
            self.drain(front)
            connection.sendall(b"67890")
            ((status, _, body),) = split_answers(read_all(connection))
        self.assertEqual((status, body), (200, b'{"length": 10}'))
        front.expect_end(0)

    def test_a_write_in_flight_is_answered_and_purges(self):
        redis = Redis()
        self.addCleanup(redis.close)
        front, other = (self.gateway(self.origin, RULES, threads=1, environment=environment_for(redis))
                        for _ in range(2))
        wait_connected(front, 2)
        wait_connected(other, 2)
        other.get("/cached")
        self.assertHit(other.get("/cached"))
        with self.origin.hold("/cached") as gate, connect(front.address) as connection:
            connection.sendall(b"PUT /cached HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            gate.wait_arrived()
            self.drain_heard(front)
            gate.release()
            ((status, head, _),) = split_answers(read_all(connection))
        self.assertEqual(status, 200)
        self.assertIn("connection: close", head.lower())
        front.expect_end(0)
        self.assertEqual(self.origin.count("/cached", "PUT"), 1)
        self.assertFalse(other.get("/cached").cache.hit, "the other gateway was not told")

    def test_streams_in_flight_are_answered_after_goaway(self):
        front = self.gateway(self.origin, RULES)
        gates = [self.origin.hold("/s%d" % i) for i in range(5)]
        with h2_abuse.Attacker(front.address) as client:
            streams = [client.open("/s%d" % i) for i in range(5)]
            for gate in gates:
                gate.wait_arrived()
            self.drain(front)
            wait_until(lambda: client.read(0.05) and any(
                one[0] == h2_abuse.GOAWAY for one in client.frames()), "a GOAWAY comes")
            for gate in gates:
                gate.release()
            self.assertTrue(client.wait_dropped(), "the connection does not end")
            frames = client.frames()
        ended = {stream for kind, flags, stream, _ in frames
                 if kind == h2_abuse.DATA and flags & h2_abuse.END_STREAM}
        self.assertEqual(ended, set(streams))
        goodbyes = [struct.unpack(">II", payload[:8]) for kind, _, _, payload in frames
                    if kind == h2_abuse.GOAWAY]
        self.assertEqual(goodbyes, [(0x7fffffff, 0), (streams[-1], 0)])
        front.expect_end(0)

    def test_idle_connections_end(self):
        """Also those that never said anything."""
        front = self.gateway(self.origin, RULES, config={
            "drain_timeout": "1h", "limits": {"request_timeout": "1h", "idle_timeout": "1h"}})
        silent = connect(front.address)
        kept = connect(front.address)
        http2 = h2_abuse.Attacker(front.address)
        with silent, kept, http2:
            kept.sendall(ask())
            self.assertTrue(read_one(kept).startswith(b"HTTP/1.1 200"))
            self.drain(front)
            front.expect_end(0)
            self.assertEqual((silent.recv(1), kept.recv(1)), (b"", b""))
            self.assertTrue(http2.wait_dropped())

    def test_a_kept_connection_is_answered_until_it_is_told_to_close(self):
        front = self.gateway(self.origin, RULES, threads=1)
        self.drain_heard(front)
        front.expect_end(0)

    def test_the_deadline_cuts_and_says_so(self):
        front = self.gateway(self.origin, RULES, config={"drain_timeout": "200ms"})
        with self.origin.hold("/slow") as gate, connect(front.address) as connection:
            connection.sendall(ask("/slow"))
            gate.wait_arrived()
            self.drain(front)
            self.assertEqual(connection.recv(1), b"")
            front.expect_end(3)
        front.wait_line(r"stopped .*1 request.* cut")

    def test_a_second_signal_ends_it_now(self):
        front = self.gateway(self.origin, RULES)
        with self.origin.hold("/slow") as gate, connect(front.address) as connection:
            connection.sendall(ask("/slow"))
            gate.wait_arrived()
            self.drain(front)
            front.process.send_signal(signal.SIGTERM)
            front.expect_end(1)
            self.assertEqual(connection.recv(1), b"")

    def test_new_connections_are_accepted_for_a_while(self):
        front = self.gateway(self.origin, RULES, threads=1, config={"drain_accept": "6s"})
        self.drain_heard(front)
        with connect(front.address) as connection:
            connection.sendall(ask())
            ((status, head, _),) = split_answers(read_all(connection))
        self.assertEqual(status, 200)
        self.assertIn("connection: close", head.lower())
        with h2_abuse.Attacker(front.address) as client:
            client.open("/cached")
            self.assertTrue(client.wait_dropped())
            kinds = [kind for kind, _, _, _ in client.frames()]
        self.assertIn(h2_abuse.DATA, kinds)
        self.assertEqual(kinds.count(h2_abuse.GOAWAY), 2)
        front.expect_end(0)

    def check_queue(self, front):
        """Whoever the kernel has connected is answered, however long the queue is."""
        front.freeze()
        connections = [connect(front.address) for _ in range(QUEUED)]
        for connection in connections:
            connection.sendall(ask("/cached", "Connection: close"))
        front.process.send_signal(signal.SIGTERM)
        front.thaw()
        failures = 0
        for connection in connections:
            with connection:
                try:
                    failures += not read_all(connection).startswith(b"HTTP/1.1 200")
                except OSError:
                    failures += 1
        self.assertEqual(failures, 0, "of %d connections in the queue" % QUEUED)
        front.expect_end(0)

    def test_the_queue_of_a_listener_is_served(self):
        self.check_queue(self.gateway(self.origin, RULES))

    def test_the_queue_of_a_unix_socket_is_served(self):
        path = "unix:%s" % (self.directory() / "traffic.sock")
        self.check_queue(self.gateway(self.origin, RULES, listen=(path,)))


class Begin(Journey):
    """The first clients wait for the store, for a second at most."""

    def setUp(self):
        self.origin = self.upstream(EchoApp())
        self.redis = Redis()
        self.addCleanup(self.redis.close)

    def test_the_first_request_finds_the_store(self):
        for _ in range(10):
            began = time.monotonic()
            self.redis.freeze()
            try:
                front = self.gateway(self.origin, RULES, environment=environment_for(self.redis))
                with connect(front.address) as connection:
                    connection.sendall(ask("/cached", "Connection: close"))
                    self.redis.thaw()
                    answer = read_all(connection)
            finally:
                self.redis.thaw()
            if b"stored; detail=absent" in answer:
                return
            self.assertGreater(time.monotonic() - began, 1, answer)
        self.fail("the second was always over before Redis could be asked")

    def test_a_store_that_is_away_is_no_reason_to_serve_nobody(self):
        self.redis.freeze()
        try:
            front = self.gateway(self.origin, RULES, environment=environment_for(self.redis))
            self.assertPassed(front.get("/cached"), "store-unavailable")
        finally:
            self.redis.thaw()


class Handover(Journey):
    """Two processes on one address. `cache: off`, because they share no store here."""

    CONFIG = {"handover": True, "cache": False}

    def setUp(self):
        self.origin = self.upstream(EchoApp())

    def check(self, listen, admin):
        old = self.gateway(self.origin, RULES, listen=(listen,),
                           config=dict(self.CONFIG, admin={"listen": admin}))
        loops = [Loop(old.address, keeps=i % 2 == 1) for i in range(6)]
        try:
            for _ in range(3):  # one after the other: each becomes the oldest
                new = self.gateway(self.origin, RULES, listen=(old.address,),
                                   config=dict(self.CONFIG, admin={"listen": old.admin_address}))
                self.assertEqual(new.address, old.address)
                before = sum(loop.answered for loop in loops)
                wait_until(lambda: sum(loop.answered for loop in loops) > before + 20, "both serve")
                # The admin address is the successor's from now on.
                self.assertEqual(new.admin("GET", "/readyz").status, 200)
                old.process.send_signal(signal.SIGTERM)
                old.expect_end(0)
                self.assertEqual(new.admin("GET", "/readyz").status, 200)
                before = sum(loop.answered for loop in loops)
                wait_until(lambda: sum(loop.answered for loop in loops) > before + 50, "it serves")
                old = new
        finally:
            for loop in loops:
                loop.stop()
        self.assertEqual([], [failure for loop in loops for failure in loop.failures])

    def test_no_connection_is_refused_on_tcp(self):
        self.check("127.0.0.1:0", "127.0.0.1:0")

    def test_no_connection_is_refused_on_unix_sockets(self):
        folder = self.directory()
        self.check("unix:%s" % (folder / "traffic.sock"), "unix:%s" % (folder / "admin.sock"))

    def test_no_read_is_stale_meanwhile(self):
        """Writes and reads over new connections, which either process may get."""
        redis = Redis()
        self.addCleanup(redis.close)
        app = App()
        app.route("GET", "/cached", lambda request: app.read(request, "it"))
        app.route("PUT", "/cached", lambda request: {"version": app.write("it")["it"]})
        origin = self.upstream(app)

        def start(*listen):
            front = self.gateway(origin, RULES, config={"handover": True},
                                 environment=environment_for(redis), **({"listen": listen} if listen else {}))
            wait_connected(front)
            return front

        old = start()
        over, stale, hits = threading.Event(), [], []

        def write_and_read(address=old.address):
            while not over.is_set():
                version = once(address, "PUT").json()["version"]
                for _ in range(3):
                    answer = once(address, "GET")
                    hits.append(answer.cache.hit)
                    if answer.json()["state"]["it"] < version:
                        stale.append((version, answer))
        threads = [threading.Thread(target=write_and_read) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(2):
                new = start(old.address)
                count = len(hits)
                wait_until(lambda: len(hits) > count + 100, "both serve")
                old.process.send_signal(signal.SIGTERM)
                old.expect_end(0)
                old = new
        finally:
            over.set()
            for thread in threads:
                thread.join(60)
        self.assertEqual(stale, [])
        self.assertIn(True, hits)

    def test_the_successors_threads_all_serve_afterwards(self):
        """While the old one leaves, the kernel is told where connections go; then no longer."""
        old = self.gateway(self.origin, RULES, config=self.CONFIG, threads=1)
        new = self.gateway(self.origin, RULES, listen=(old.address,), config=self.CONFIG, threads=3)
        old.process.send_signal(signal.SIGTERM)
        old.expect_end(0)
        new.freeze()
        connections = [connect(new.address) for _ in range(90)]
        queues = _queues(int(new.address.rpartition(":")[2]))
        new.thaw()
        for connection in connections:
            connection.close()
        self.assertEqual(len(queues), 3)
        self.assertTrue(all(queues), "some thread gets nothing: %r" % queues)

    def test_without_it_a_taken_address_is_a_mistake(self):
        old = self.gateway(self.origin, RULES)
        with self.assertRaisesRegex(AssertionError, "Address already in use"):
            self.gateway(self.origin, RULES, listen=(old.address,))

    def test_two_embedded_stores_are_refused(self):
        with self.assertRaisesRegex(AssertionError, "share a store"):
            self.gateway(self.origin, RULES, config={"handover": True})


def _queues(port):
    """How many connections wait at each socket that listens on a port."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        lines = [line.split() for line in table]
    return [int(fields[4].split(":")[1], 16) for fields in lines
            if fields[1].endswith(":%04X" % port) and fields[3] == "0A"]


class Commands(Journey):
    def setUp(self):
        self.origin = self.upstream(EchoApp())
        self.path = "unix:%s" % (self.directory() / "admin.sock")
        self.flags = ("--admin", self.path, "--token", ADMIN_TOKEN)

    def start(self, **arguments):
        config = {"admin": {"listen": self.path, "token": ADMIN_TOKEN}}
        return self.gateway(self.origin, RULES, config=config, **arguments)

    def test_drain_begins_and_the_gateway_serves_on(self):
        front = self.start()
        self.assertEqual(cli("drain", *self.flags), (0, "", ""))
        self.assertEqual(front.admin("GET", "/readyz").status, 503)
        wait_until(lambda: front.get("/cached").field("connection") == "close", "both threads know")
        self.assertEqual(front.get("/cached").status, 200)
        self.assertEqual(cli("drain", *self.flags)[0], 0, "a second time is the same")
        front.wait_line(r" leaving ")

    def test_drain_waits_until_nobody_is_left(self):
        front = self.start()
        with self.origin.hold("/slow") as gate, connect(front.address) as connection:
            connection.sendall(ask("/slow"))
            gate.wait_arrived()
            status, _, error = cli("drain", *self.flags, "--wait", "--timeout", "300ms")
            self.assertEqual(status, 1)
            self.assertIn("still after 300 ms: 1 connection is left", error)
            gate.release()
            self.assertEqual(cli("drain", *self.flags, "--wait")[0], 0)
            self.assertIn(b"connection: close", read_all(connection).lower())

    def test_drain_waits_until_the_process_has_ended(self):
        front = self.start()
        with self.origin.hold("/slow") as gate, connect(front.address) as connection:
            connection.sendall(ask("/slow"))
            gate.wait_arrived()
            results = []
            waiter = threading.Thread(target=lambda: results.append(cli("drain", *self.flags, "--wait")))
            waiter.start()
            front.wait_line(r" leaving ")
            front.process.send_signal(signal.SIGTERM)
            front.wait_line(r" draining ")
            gate.release()
            waiter.join(60)
        self.assertEqual(results, [(0, "", "")])
        front.expect_end(0)

    def test_drain_needs_the_token(self):
        front = self.start()
        status, _, error = cli("drain", "--admin", self.path)
        self.assertEqual(status, 1)
        self.assertIn("token", error)
        self.assertEqual(front.admin("GET", "/readyz").status, 200)

    def test_wait_until_ready(self):
        waiter = subprocess.Popen([binary(), "wait", "--admin", self.path, "--timeout", "60s"])
        self.start()
        self.assertEqual(waiter.wait(60), 0)

    def test_wait_gives_up(self):
        status, _, error = cli("wait", "--admin", self.path, "--timeout", "50ms")
        self.assertEqual(status, 1)
        self.assertIn("still after 50 ms: No such file or directory", error)
        self.start()
        cli("drain", *self.flags)
        status, _, error = cli("wait", "--admin", self.path, "--timeout", "50ms")
        self.assertEqual(status, 1)
        self.assertIn("/readyz answered 503, draining", error)

    def test_healthcheck(self):
        self.assertEqual(cli("healthcheck", "--admin", self.path)[0], 1)
        self.start()
        self.assertEqual(cli("healthcheck", "--admin", self.path), (0, "", ""))
        cli("drain", *self.flags)
        status, _, error = cli("healthcheck", "--admin", self.path)
        self.assertEqual(status, 1)
        self.assertIn("/readyz answered 503", error)

    def test_the_configuration_says_where_and_with_what_token(self):
        front = self.start()
        config = str(front.directory / "cachegate.yaml")
        (front.directory / "rules.yaml").write_text("routes: is being changed just now")
        for command in (["wait"], ["healthcheck"], ["stats"], ["purge", "/cached"], ["drain"]):
            status, _, error = cli(*command, "-c", config)
            self.assertEqual((status, error), (0, ""), command)
        self.assertEqual(front.admin("GET", "/readyz").status, 503)

    def test_what_is_not_understood(self):
        self.assertEqual(cli("wait", "--admin", self.path, "--timeout", "soon")[0], 2)
        self.assertEqual(cli("healthcheck", "--admin", self.path, "--timeout", "1s")[0], 2)
        self.assertEqual(cli("wait", "--admin", self.path, "--wait")[0], 2)


if __name__ == "__main__":
    main()
