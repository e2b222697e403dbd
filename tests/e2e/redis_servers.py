"""Redis servers of a test's own: one alone, a cluster of primaries, or a script that plays one.

Servers live in a temporary directory, listen on UNIX sockets or free ports of loopback, and are ended
by process id. CACHEGATE_REDIS_SERVER names another binary than `redis-server` (such as valkey-server).
"""

import os
import pathlib
import random
import shutil
import signal
import socket
import socketserver
import subprocess
import tempfile
import threading

from harness import freeze, wait_until

SECRET = "a-secret-that-all-gateways-of-these-tests-share"
SLOTS = 16384
ANSWER_S = 120  # a Redis that copies 200 MB for each of several readers is busy for a while


class RedisError(Exception):
    """An error that the server answered."""


class Connection:
    """One connection that speaks RESP2. Replies are bytes, int, None or lists; errors are raised."""

    def __init__(self, address):
        if isinstance(address, tuple):
            self.socket = socket.create_connection(address, ANSWER_S)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(ANSWER_S)
            self.socket.connect(str(address))
        self.stream = self.socket.makefile("rb")

    def close(self):
        self.stream.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *words):
        self.socket.sendall(encode(words))

    def read(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, text = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(text.decode())
        if kind == b":":
            return int(text)
        if kind == b"+":
            return text
        length = int(text)
        if length < 0:
            return None
        if kind == b"$":
            return self.stream.read(length + 2)[:-2]
        return [self.read() for _ in range(length)]

    def command(self, *words):
        self.send(*words)
        return self.read()


def encode(words):
    """A command, or an answer of bulk strings."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


class Redis:
    """One redis-server. Listens on a UNIX socket, and with `port` on that port of loopback too."""

    def __init__(self, *options, port=0):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="cachegate-redis-"))
        self.path = self.directory / "redis.sock"
        self.options = options
        self.port = port
        self.frozen = False
        try:
            self.start()
        except AssertionError:
            self.close()
            raise

    @property
    def url(self):
        return "unix://%s" % self.path

    def start(self):
        """Again after kill(): with what SAVE left in its directory, if anything."""
        self.launch()
        wait_until(lambda: self.answers() or self.process.poll() is not None, "redis-server answers")
        if self.process.poll() is not None:
            raise AssertionError("redis-server ended at once; somebody else may have taken its port")

    def launch(self):
        self.process = subprocess.Popen(
            [os.environ.get("CACHEGATE_REDIS_SERVER", "redis-server"), "--port", str(self.port), "--bind",
             "127.0.0.1", "--unixsocket", str(self.path), "--save", "", "--dir", str(self.directory),
             *self.options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def connect(self):
        return Connection(self.path)

    def command(self, *words):
        with self.connect() as connection:
            return connection.command(*words)

    def command_as(self, password, *words):
        with self.connect() as connection:
            connection.command("AUTH", password)
            return connection.command(*words)

    def ask(self, line):
        """An inline command, and its answer as it came: for what answers in one piece."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_S)
            connection.connect(str(self.path))
            connection.sendall(line.encode() + b"\r\n")
            return connection.recv(65536).decode(errors="replace")

    def answers(self):
        try:
            return self.ask("PING")[:1] in "+-"
        except OSError:
            return False

    def info(self, section):
        lines = self.command("INFO", section).decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def calls(self):
        """How often each command was executed, since CONFIG RESETSTAT, those of scripts included."""
        return {name[len("cmdstat_"):]: int(value.split(",")[0].split("=")[1])
                for name, value in self.info("commandstats").items()}

    def keys(self, pattern="*"):
        return self.command("KEYS", pattern)

    def freeze(self):
        self.frozen = True
        freeze(self.process)

    def thaw(self):
        self.frozen = False
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.thaw()
        self.process.kill()
        self.process.wait()
        if self.path.exists():
            self.path.unlink()

    def close(self):
        if self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def free_ports(count):
    """Ports that nobody had a moment ago; whoever uses them must be ready to lose the race. The kernel gives
    them to nobody: a thousand clients of another test, or its `:0`, would take one sooner or later."""
    first_of_kernel = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    sockets = []
    try:
        while len(sockets) < count:
            sockets.append(socket.socket())
            try:
                sockets[-1].bind(("127.0.0.1", random.SystemRandom().randrange(10000, max(first_of_kernel, 20000))))
            except OSError:
                sockets.pop().close()
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def on_free_port(make):
    """What make(port) returns; with another port where it finds that one taken."""
    for attempt in (1, 2, 3, 4, 5):
        try:
            return make(*free_ports(1))
        except AssertionError:
            if attempt == 5:
                raise


class RedisCluster:
    """Primaries with the slots in equal parts, no replicas. A primary that was killed comes back with
    its slots and without its data. It can be used like a Redis where that makes sense."""

    def __init__(self, primaries=3, *options):
        for attempt in (1, 2, 3):
            self.nodes = []
            try:
                self._form(primaries, options)
                return
            except (AssertionError, OSError, RedisError):
                self.close()  # somebody else may have taken one of the ports
                if attempt == 3:
                    raise

    def _form(self, primaries, options):
        ports = free_ports(2 * primaries)
        for number in range(primaries):
            self.nodes.append(Redis(
                "--cluster-enabled", "yes", "--cluster-port", str(ports[primaries + number]),
                "--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no", *options,
                port=ports[number]))
        bounds = [SLOTS * number // primaries for number in range(primaries + 1)]
        for number, node in enumerate(self.nodes):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            node.command("CLUSTER", "ADDSLOTS", *range(bounds[number], bounds[number + 1]))
            if number > 0:
                node.command("CLUSTER", "MEET", "127.0.0.1", ports[0], ports[primaries])
        for node in self.nodes:
            wait_until(lambda node=node: self._knows_all(node, primaries), "the cluster forms")

    @staticmethod
    def _knows_all(node, primaries):
        state = dict(line.split(":", 1) for line in node.command("CLUSTER", "INFO").decode().split("\r\n")
                     if ":" in line)
        return (state["cluster_state"] == "ok" and int(state["cluster_slots_ok"]) == SLOTS
                and int(state["cluster_size"]) == primaries)

    @property
    def url(self):
        return "redis+cluster://" + ",".join("127.0.0.1:%d" % node.port for node in self.nodes)

    def calls(self):
        total = {}
        for node in self.nodes:
            for name, count in node.calls().items():
                total[name] = total.get(name, 0) + count
        return total

    def close(self):
        for node in self.nodes:
            node.close()


class FakeRedis:
    """Plays a server: `answer(words)` gets each command as bytes and returns the bytes to send, or
    None to close. What it got is in `commands`."""

    server_class = socketserver.ThreadingUnixStreamServer

    def bind(self):
        return str(self.path)

    def __init__(self, answer):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="cachegate-fake-redis-"))
        self.path = self.directory / "redis.sock"
        self.answer = answer
        self.commands = []
        owner = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                try:
                    while (words := owner._read(self.rfile)) is not None:
                        owner.commands.append(words)
                        reply = owner.answer(words)
                        if reply is None:
                            return
                        self.wfile.write(reply)
                except OSError:
                    return

        class Server(self.server_class):
            daemon_threads = True
            block_on_close = False

        self.server = Server(self.bind(), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return "unix://%s" % self.path

    @staticmethod
    def _read(stream):
        line = stream.readline()
        if not line.startswith(b"*"):
            return None
        words = []
        for _ in range(int(line[1:])):
            length = int(stream.readline()[1:])
            words.append(stream.read(length + 2)[:-2])
        return words

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(ANSWER_S)
        shutil.rmtree(self.directory, ignore_errors=True)
