"""Somebody who can write to Redis, and servers that are no Redis: no answer of another user, no stale
answer that is not the forger's own doing, no crash, no hang, no growth, no secret in a log.

Forger uses a real Redis and writes what it likes under the keys it sees. Impostor stands between the
gateway and a real Redis and replaces replies. Neither knows the secret.
"""

import itertools
import os
import socketserver
import subprocess
import threading

from harness import App, Journey, binary, main, sanitizer, wait_until
from redis_servers import ANSWER_S, SECRET, Connection, FakeRedis, Redis, encode

RULES = """
defaults: { ttl: 10m, scope: user }
routes:
  - match: GET /items/{id}
  - match: PUT /items/{id}
  - match: DELETE /items/{id}
    invalidate: ["/items/**"]
"""
USERS = ("alice", "bob")
MEGABYTE = 1 << 20


class Items(App):
    def __init__(self):
        super().__init__()
        self.changes = {"1": 0, "2": 0}
        self.route("GET", "/items/{id}", self.show)
        self.route("PUT|DELETE", "/items/{id}", self.change)

    def show(self, request, id):
        return {"user": request.field("authorization"), "item": id, "changes": self.changes[id]}

    def change(self, request, id):
        with self.lock:
            for item in self.changes if request.method == "DELETE" else [id]:
                self.changes[item] += 1
        return {}


class HostileJourney(Journey):
    def setUp(self):
        super().setUp()
        self.origin = self.upstream(Items())
        self.redis = Redis()
        self.addCleanup(self.redis.close)

    def front_of(self, url, **variables):
        return self.gateway(self.origin, RULES, threads=1, environment=dict({
            "CACHEGATE_STORE_REDIS": url, "CACHEGATE_SECRET": SECRET, "CACHEGATE_STORE_TIMEOUT": "500ms",
            "CACHEGATE_STORE_STATS": "100ms", "CACHEGATE_STORE_NEAR": "0"}, **variables))

    def read(self, front, user="alice", item="1", newest=True):
        """Whatever Redis says: the user's own answer, and the newest."""
        answer = front.get("/items/" + item, headers={"Authorization": user})
        self.assertEqual(answer.status, 200, repr(answer))
        content = answer.json()
        self.assertEqual((content["user"], content["item"]), (user, item))
        if newest:
            self.assertEqual(content["changes"], self.origin.app.changes[item])
        return answer

    def read_all(self, front, newest=True):
        return [self.read(front, user, item, newest) for user in USERS for item in ("1", "2")]

    def write(self, front, method="PUT"):
        self.assertEqual(front.request(method, "/items/1", headers={"Authorization": "alice"}).status, 200)

    def warm(self, front):
        wait_until(lambda: all(answer.cache.hit for answer in self.read_all(front)), "all are hits")


class Forger(HostileJourney):
    def setUp(self):
        super().setUp()
        self.front = self.front_of(self.redis.url, CACHEGATE_STORE_TIMEOUT="10s")  # a late fill undoes a forgery
        self.warm(self.front)

    def keys(self, pattern):
        found = sorted(self.redis.keys(pattern))
        self.assertTrue(found, pattern)
        return found

    def settle(self):
        """Nobody waits for a fill. When the last one has arrived, so have those before it."""
        wait_until(lambda: self.read(self.front, USERS[-1], "2").cache.hit, "what was fetched is stored")

    def survives(self):
        """Reads and writes are right under the forged value, and hits come back by themselves."""
        self.read_all(self.front)
        self.write(self.front, "PUT")
        self.read_all(self.front)
        self.write(self.front, "DELETE")
        self.read_all(self.front)
        self.warm(self.front)

    def test_entries_under_other_keys_open_for_nobody(self):
        keys = self.keys("*:e:*")
        self.assertEqual(len(keys), 4)
        values = [self.redis.command("GET", key) for key in keys]
        for turn in range(1, 4):
            for at, key in enumerate(keys):
                self.redis.command("SET", key, values[(at + turn) % 4], "PX", 600000)
            for answer in self.read_all(self.front):
                self.assertFalse(answer.cache.hit, repr(answer))
            self.settle()
        self.warm(self.front)

    def test_entries_that_were_changed_do_not_open(self):
        keys = self.keys("*:e:*")
        values = [self.redis.command("GET", key) for key in keys]
        at = max(len(value) for value in values)
        while at > 0:  # every byte would take long; the head is denser than the body
            at -= 1 if at < 40 else min(at, 7) if at < 300 else 31
            for keep in (b"", b"\1"):  # cut there, or one bit changed
                for key, value in zip(keys, values):
                    changed = bytes([value[at] ^ 1]) + value[at + 1:] if keep and at < len(value) else b""
                    self.redis.command("SET", key, value[:at] + changed, "PX", 600000)
                for answer in self.read_all(self.front):
                    self.assertTrue(not answer.cache.hit or at >= min(len(value) for value in values),
                                    (at, answer))
                self.settle()
        self.survives()

    def test_values_of_other_types(self):
        def each(pattern):
            for key in self.keys(pattern):
                self.redis.command("DEL", key)
                yield key

        for key in each("*:e:*"):
            self.redis.command("RPUSH", key, "a", "b")
        self.survives()
        for key in each("*:v:*"):
            self.redis.command("HSET", key, "a", "b")
        self.survives()
        for pattern in ("*{bans}:epoch", "*{bans}:members"):
            for key in each(pattern):
                self.redis.command("SADD", key, "a", "b")
            self.survives()
        self.redis.command("SET", "cachegate:{bans}:list", "no list")
        self.warm(self.front_of(self.redis.url))  # which has to read it
        self.survives()
        for name in ("keys", "fleet"):
            self.redis.command("DEL", "cachegate:{stats}:" + name)
            self.redis.command("SET", "cachegate:{stats}:" + name, "no hash")
        self.survives()

    def test_epochs_that_nobody_can_read(self):
        [key] = self.keys("*{bans}:epoch")
        record = self.redis.command("GET", key).split(b":", 2)[2]
        for forged in (b"", b"nothing", b"abc:1:" + record, b"0" * 16 + b":" + b"9" * 30 + b":" + record,
                       b"0" * 16 + b":4503599627370496:" + record, b"0" * 16 + b":-1:" + record,
                       b"0" * 17 + b":1:" + record, b"g" * 16 + b":1:" + record, b"x" * MEGABYTE):
            self.redis.command("SET", key, forged, "PX", 600000)
            self.survives()

    def test_bans_that_nobody_wrote(self):
        [key] = self.keys("*{bans}:epoch")
        generation, counter, _ = self.redis.command("GET", key).split(b":", 2)
        following = int(counter) + 1
        for forged in (b"", b"x", b"\0" * 100, b"%s:%d:" % (generation, following),
                       b"%s:%d:\xff\xff\xff\xff" % (generation, following),
                       b"%s:%d:" % (generation, following) + b"\x01\0" + b"/" * 9000):
            self.redis.command("DEL", "cachegate:{bans}:list")
            for _ in range(3000):
                self.redis.command("RPUSH", "cachegate:{bans}:list", forged)
            self.survives()
        self.redis.command("DEL", "cachegate:{bans}:list")
        for _ in range(150):
            self.redis.command("RPUSH", "cachegate:{bans}:list", *[b"x"] * 10000)
        self.warm(self.front_of(self.redis.url))  # which has to read it
        self.survives()

    def test_members_that_do_not_exist(self):
        key = "cachegate:{bans}:members"
        for name, score in (("", 1), ("x", "inf"), ("x" * 100000, "-inf"), (b"\0\xff\x1b[2J:", 0),
                            ("0" * 32 + ":" + "y" * 1000, 2 ** 60), (":" * 50, "1e308")):
            self.redis.command("ZADD", key, score, name)
        self.survives()

    def test_sets_of_rules_that_nobody_told(self):
        key = "cachegate:{bans}:rules"
        forged = {"": "", "x": "", "y": ":", "a" * 32: "1:", b"\0\xff": "1:" + "z" * 9, "b" * 32: "1.x.y:", "c" * 32: "x" * MEGABYTE,
                  "d" * 32: "9" * 15 + ":", "e" * 32: "9" * 400 + ":", "f" * 32: "9" * 15 + ".a.9:" + "y" * MEGABYTE,
                  "used": "abc", "past": "x" * MEGABYTE}
        for name, value in forged.items():
            with self.subTest(name[:2], value=value[:9]):
                self.redis.command("HSET", key, name, value)
                self.front.admin("DELETE", "/cache/flush")  # whoever sees a new epoch reads them
                self.survives()
        for number in range(0, 60000, 1000):
            self.redis.command("HSET", key, *[part for at in range(number, number + 1000) for part in ("%032x" % at, "1:")])
        self.front.admin("DELETE", "/cache/flush")
        self.survives()
        self.redis.command("UNLINK", key)
        self.redis.command("SET", key, "no hash")
        self.front.admin("DELETE", "/cache/flush")
        self.survives()

    def test_statistics_that_nobody_counted(self):
        for name in ("keys", "fleet"):
            for field in ("hits", "misses", "x:99999999999", "y:99999999999", "GET /items/{id}:99999999999",
                          ":", "", "a:", ":1", b"\x1b[2J\r\n:99999999999", "z" * MEGABYTE):
                for value in (2 ** 63 - 1, -2 ** 63, "x", ""):
                    self.redis.command("HSET", "cachegate:{stats}:" + name, field, value)
        self.redis.command("HSET", "cachegate:{stats}:fleet", "hits", 10 ** 12)
        wait_until(lambda: self.front.stats().get("fleet", {}).get("hits", 0) >= 10 ** 12, "a report with them")
        self.assertNotIn("\x1b", self.front.admin("GET", "/metrics").body.decode())
        self.survives()

    def test_versions_with_more_writers_than_there_can_be(self):
        for key in self.keys("*:v:*"):
            for forged in (b"\1", b"\1" * 16, b"\2" + b"x" * 16, b"\1" + b"x" * (16 + 24 * 1025),
                           b"\1" + b"\xff" * 40, b"\1" + b"\0" * 40, b"\1" + b"x" * 17):
                self.redis.command("SET", key, forged, "PX", 600000)
                self.read_all(self.front)
                self.write(self.front)
                self.read_all(self.front)
            break
        for key in self.keys("*:v:*"):
            self.redis.command("SET", key, b"\1" + b"x" * (16 + 24 * 5000), "PX", 600000)
        self.survives()

    def test_values_that_are_far_too_large(self):
        before_kb = self.front.memory_peak_kb()
        patterns = ("*:e:*", "*:v:*", "*{bans}:epoch")
        for pattern in patterns:
            key = self.keys(pattern)[0]
            self.redis.command("SETRANGE", key, 200 * MEGABYTE, b"x")
            for _ in range(3):
                self.read_all(self.front)
            self.redis.command("UNLINK", key)
            self.warm(self.front)
        if sanitizer() is None:
            self.assertLess(self.front.memory_peak_kb() - before_kb, 150 * 1024)

    def test_scripts_that_are_forgotten_at_any_time(self):
        for _ in range(20):
            self.redis.command("SCRIPT", "FLUSH")
            self.write(self.front)
            self.read_all(self.front)
        self.survives()


class Proxy(FakeRedis):
    """A real Redis, but for the replies that `replace(words, reply)` makes up. Replies are raw bytes."""

    def __init__(self, redis):
        self.redis = redis
        self.local = threading.local()
        self.connections = []
        self.replace = lambda words, reply: reply
        super().__init__(self.forward)

    def forward(self, words):
        if not hasattr(self.local, "connection"):
            self.local.connection = Connection(self.redis.path)
            self.connections.append(self.local.connection)
        connection = self.local.connection
        connection.socket.sendall(encode(words))
        return self.replace([words[0].upper()] + words[1:], read_raw(connection.stream))

    def close(self):
        super().close()
        for connection in self.connections:
            connection.close()


def read_raw(stream):
    line = stream.readline()
    if line[:1] == b"$" and int(line[1:]) >= 0:
        return line + stream.read(int(line[1:]) + 2)
    if line[:1] == b"*" and int(line[1:]) > 0:
        return line + b"".join(read_raw(stream) for _ in range(int(line[1:])))
    return line


# What no Redis would say, to any command.
NONSENSE = [
    b"*-1\r\n", b"*0\r\n", b"$-1\r\n", b"$0\r\n\r\n", b":-1\r\n", b":9223372036854775807\r\n", b"+\r\n", b"-\r\n",
    b"-ERR\r\n", b"-NOSCRIPT again\r\n", b"-MOVED 1 127.0.0.1:1\r\n", b"-ASK 1 127.0.0.1:1\r\n", b"-MOVED\r\n",
    b"-MOVED 1 \r\n", b"-ASK x x:x\r\n", b"-TRYAGAIN \r\n", b"-CLUSTERDOWN \r\n", b"-OOM full\r\n",
    b"-READONLY no\r\n", b"-LOADING x\r\n", b"-NOAUTH x\r\n", b"-MASTERDOWN x\r\n", b"-BUSY x\r\n",
    b"*-2\r\n", b"$-2\r\n", b"*2147483647\r\n", b"*4\r\n*2147483647\r\n", b"*1048577\r\n", b"*1\r\n" * 12 + b":1\r\n",
    b">3\r\n$1\r\na\r\n:1\r\n:2\r\n", b"%1\r\n+a\r\n+b\r\n", b"_\r\n", b"#t\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\0" * 100,
    b"*9\r\n" + b"-ERR inside\r\n" * 9, b"*9\r\n" + b"*1\r\n:1\r\n" * 9, b"*9\r\n" + b":7\r\n" * 9,
    b"*4\r\n$1\r\nx\r\n:9223372036854775807\r\n:9223372036854775807\r\n:9223372036854775807\r\n",
    b"*4\r\n:1\r\n:1\r\n:1\r\n:1\r\n", b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n",
    b"+OK\r\n+OK\r\n", b"$-1\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n",
]
COMMANDS = [b"MGET", b"GETEX", b"SET", b"EVALSHA", b"EVAL", b"LRANGE", b"HGETALL", b"PTTL", b"INFO", b"CLIENT"]


class Impostor(HostileJourney):
    def setUp(self):
        super().setUp()
        self.proxy = Proxy(self.redis)
        self.addCleanup(self.proxy.close)
        self.front = self.front_of(self.proxy.url)
        self.warm(self.front)

    def recover(self):
        self.proxy.replace = lambda words, reply: reply
        self.redis.command("FLUSHALL")
        self.warm(self.front)

    def test_nonsense_is_not_waited_for(self):
        """Some of it acknowledges a purge: who lies so makes answers stale, and nothing else."""
        for command in COMMANDS:
            for nonsense in NONSENSE:
                self.proxy.replace = \
                    lambda words, reply: nonsense if words[0] == command else reply
                self.read(self.front, newest=False)
                self.write(self.front)
                self.read(self.front, newest=False)
        self.recover()

    def test_an_answer_of_another_command_opens_for_nobody(self):
        """All of one user's lookup, versions and epoch too, as the answer to another's."""
        seen = {}

        def record(words, reply):
            if words[0] == b"MGET":
                seen[words[1]] = reply
            return reply

        def exchange(words, reply):
            others = [other for key, other in seen.items() if key != words[1]]
            return others[0] if words[0] == b"MGET" and others else reply

        self.proxy.replace = record
        self.warm(self.front)
        self.assertEqual(len(seen), 4)
        self.proxy.replace = exchange
        for _ in range(5):
            for answer in self.read_all(self.front):
                self.assertFalse(answer.cache.hit, repr(answer))
        self.recover()

    def test_replies_that_are_one_too_many(self):
        """From then on every reply is that of the command before."""
        for extra in (b"+OK\r\n", b"$-1\r\n", b"*0\r\n", b":1\r\n"):
            sent = threading.Event()

            def add(words, reply):
                if words[0] == b"MGET" and not sent.is_set():
                    sent.set()
                    return extra + reply
                return reply

            self.proxy.replace = add
            for _ in range(5):
                self.read_all(self.front, newest=False)
                self.write(self.front)
            self.recover()

    def test_a_reply_that_never_ends(self):
        before_kb = self.front.memory_peak_kb()
        for endless in (b"$536870912\r\n", b"*1000000\r\n", b"+"):
            self.proxy.replace = lambda words, reply: \
                endless + b"x" * (60 * MEGABYTE) if words[0] == b"MGET" else reply
            for _ in range(2):
                self.read_all(self.front)
        self.recover()
        if sanitizer() is None:
            self.assertLess(self.front.memory_peak_kb() - before_kb, 200 * 1024)


class Pushes(HostileJourney):
    def test_pushes_that_nobody_asked_for(self):
        """Whoever may PUBLISH can empty the near copies, and nothing else."""
        front = self.gateway(self.origin, RULES.replace("scope: user", "scope: user, consistency: pushed"), threads=1,
                             environment={"CACHEGATE_STORE_REDIS": self.redis.url, "CACHEGATE_SECRET": SECRET})
        wait_until(lambda: self.warm(front) or front.stats()["near"]["pushed_hits"] > 0, "hits without Redis")
        pushes = front.stats()["near"]["pushes"]
        self.write(front)
        for text in (b"", b"x", b"\0" * 100, b"cachegate:{bans}:epoch", b"x" * MEGABYTE):
            for _ in range(20):
                self.redis.command("PUBLISH", "__redis__:invalidate", text)
        for key in self.redis.keys("*beat*") + [b"cachegate:v:", b"cachegate:v:xyz", b"cachegate:v:" + b"0" * 200]:
            self.redis.command("SET", key, "x")
        wait_until(lambda: front.stats()["near"]["pushes"] >= pushes + 100, "all were pushed")
        self.read_all(front)
        self.write(front, "DELETE")
        self.read_all(front)
        before = front.stats()["near"]["pushed_hits"]
        wait_until(lambda: self.warm(front) or front.stats()["near"]["pushed_hits"] > before, "hits without Redis")


class Node(FakeRedis):
    """A node of a Cluster, on a port of loopback, that says of it what it likes."""

    server_class = socketserver.ThreadingTCPServer

    def bind(self):
        return ("127.0.0.1", 0)

    @property
    def port(self):
        return self.server.server_address[1]


class Nodes(HostileJourney):
    INFO = b"run_id:1234\r\nrole:master\r\ncluster_state:ok\r\n"

    def test_maps_of_servers_that_do_not_exist(self):
        """Every answer names other servers, up to 64, and moves every key somewhere else."""
        turns = itertools.count(1)

        def bulk(text):
            return b"$%d\r\n%s\r\n" % (len(text), text)

        def shards(first):
            for at in range(64):  # the node itself is one of them
                host = b"127.0.0.1" if at == 0 else b"127.%d.%d.%d" % (1 + first % 250, at, 1 + first % 7)
                yield b"*3\r\n:%d\r\n:%d\r\n*2\r\n%s:%d\r\n" % (
                    at * 256, at * 256 + 255, bulk(host), node.port)

        def answer(words):
            word = words[0].upper()
            if word == b"INFO" or words[:2] == [b"CLUSTER", b"INFO"]:
                return bulk(self.INFO)
            if word == b"CLUSTER":
                turn = next(turns)
                return b"+OK\r\n" if turn % 5 == 0 else b"*64\r\n" + b"".join(shards(turn))
            kind = (b"MOVED", b"ASK")[next(turns) % 2]
            return b"-%s 1 127.9.9.9:%d\r\n" % (kind, node.port)

        node = Node(answer)
        self.addCleanup(node.close)
        front = self.front_of("redis+cluster://127.0.0.1:%d" % node.port)

        def asked():
            return sum(words[0] == b"CLUSTER" for words in list(node.commands))

        wait_until(lambda: asked() >= 2, "it asks for the map")
        for turn in range(5):
            before = asked()
            wait_until(lambda: self.read(front) and asked() > before + 4, "it asks again")
            self.read_all(front)
            self.write(front)
            self.assertLess(len(os.listdir("/proc/%d/fd" % front.process.pid)), 400)

    def test_one_node_that_sends_every_key_elsewhere(self):
        """A map that makes sense, and redirections for ever."""
        def answer(words):
            word = words[0].upper()
            if word == b"INFO" or words[:2] == [b"CLUSTER", b"INFO"]:
                return b"$%d\r\n%s\r\n" % (len(self.INFO), self.INFO)
            if word == b"CLUSTER":
                return b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % node.port
            if word == b"EVALSHA" and words[3].endswith(b"epoch"):
                return b"*4\r\n$23\r\n0000000000000001:0:made\r\n:1700000000000\r\n:0\r\n:2\r\n"
            if word == b"EVAL" and words[3].endswith(b"rules"):
                return b":1\r\n"
            if word in (b"CLIENT", b"ASKING", b"PING"):
                return b"+OK\r\n"
            kinds = (b"MOVED 1 127.0.0.1:%d" % node.port, b"ASK 1 127.0.0.1:%d" % node.port, b"TRYAGAIN")
            return b"-%s\r\n" % kinds[next(turns) % 3]

        turns = itertools.count(1)
        node = Node(answer)
        self.addCleanup(node.close)
        front = self.front_of("redis+cluster://127.0.0.1:%d" % node.port)
        front.wait_line("message=connected")
        for _ in range(5):
            self.read_all(front)
            self.write(front)


class Secrets(HostileJourney):
    PASSWORD = "the-password-of-this-test"

    def test_a_server_that_repeats_the_password(self):
        """As Redis does of commands that it does not know, AUTH among them."""
        def answer(words):
            texts = " ".join("`%s`" % word.decode("latin-1") for word in words[1:])
            return ("-ERR unknown command `%s`, with args beginning with: %s \x1b[2J\r\n"
                    % (words[0].decode("latin-1"), texts)).encode("latin-1")

        fake = FakeRedis(answer)
        self.addCleanup(fake.close)
        url = "unix://user:%s@%s" % (self.PASSWORD, fake.path)
        front = self.front_of(url)
        front.wait_line(r"the server refuses us")
        self.read(front)
        said = "\n".join(front.lines) + repr(front.admin("GET", "/cache/health").json()) + \
            repr(front.stats()) + front.admin("GET", "/metrics").body.decode()
        self.assertNotIn(self.PASSWORD, said)
        self.assertNotIn(SECRET, said)
        ended = subprocess.run([binary(), "inspect", "--redis", url, "cachegate:e:\x1b[2J"], timeout=ANSWER_S,
                               capture_output=True)
        self.assertNotEqual(ended.returncode, 0)
        self.assertNotIn(self.PASSWORD.encode(), ended.stdout + ended.stderr)
        self.assertNotIn(b"\x1b", ended.stdout + ended.stderr)

    def test_inspect_shows_no_escapes(self):
        hostile = "cachegate:\x1b]0;owned\x07:{bans}:"
        self.redis.command("RPUSH", hostile + "list", "0" * 16 + ":1:\x1b[2J", b"\x1b[31m\x9b", "\x1b[2J" * 1000)
        self.redis.command("ZADD", hostile + "members", "1", "\x1b[2J", "2", "\r\n\x1bc")
        self.redis.command("SET", hostile + "epoch", "0" * 16 + ":1:\x1b[2J")
        for name in ("list", "members", "epoch", "nothing"):
            ended = subprocess.run([binary(), "inspect", "--redis", self.redis.url, hostile + name],
                                   timeout=ANSWER_S, capture_output=True)
            for byte in b"\x1b\x07\r\x9b":
                self.assertNotIn(byte, ended.stdout + ended.stderr, (name, ended))


if __name__ == "__main__":
    main()
