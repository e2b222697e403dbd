"""Every command that gateways send, and scripts call, is one that Redis 6.2 has, in a form that 6.2 takes.

MONITOR watches a server while gateways do all they can do with it. ALLOWED is the written list: a
command that is not in it, or with an option that is not in it, fails here first and not at somebody
who runs an older server. What 7.0 added and is easily taken: SET with NX and GET, INFO of several
sections, ZRANGE … WITHSCORE (ZRANGE itself is of 6.2 where it has BYSCORE), CLIENT NO-EVICT, EXPIRE NX.
"""

import re
import socket
import threading

from harness import Journey, main, wait_until
from redis_servers import SECRET, Connection, Redis, RedisCluster, on_free_port
from test_fleet import IDENTITY, RULES, Items, reads_of

# Command → how many words follow it at least and at most, and which of them are options that 6.2 knows.
ALLOWED = {
    "auth": (1, 2, ()), "select": (1, 1, ()), "ping": (0, 0, ()), "asking": (0, 0, ()),
    "client": (1, 13, ("setname", "id", "tracking", "on", "redirect", "bcast", "prefix", "noloop")),
    "info": (0, 1, ()), "role": (0, 0, ()), "wait": (2, 2, ()), "time": (0, 0, ()),
    "subscribe": (1, 1, ()), "publish": (2, 2, ()), "cluster": (1, 1, ("slots", "info")),
    "get": (1, 1, ()), "mget": (1, 200, ()), "getex": (3, 3, ("px",)), "set": (2, 5, ("px", "nx")),
    "unlink": (1, 200, ()), "pexpire": (2, 2, ()), "pttl": (1, 1, ()), "type": (1, 1, ()),
    "exists": (1, 1, ()), "evalsha": (3, 200, ()), "eval": (3, 200, ()),
    "rpush": (2, 200, ()), "ltrim": (3, 3, ()), "lrange": (3, 3, ()), "llen": (1, 1, ()),
    "hincrby": (3, 3, ()), "hgetall": (1, 1, ()), "hdel": (2, 200, ()), "hset": (3, 5, ()),
    "hget": (2, 2, ()), "hlen": (1, 1, ()), "zcard": (1, 1, ()),
    "zadd": (3, 3, ()), "zrem": (2, 200, ()), "zscore": (2, 2, ()), "zcard": (1, 1, ()),
    "zrange": (3, 4, ("withscores",)), "zrangebyscore": (3, 4, ("withscores",)),
    "zremrangebyscore": (3, 3, ()), "zcount": (3, 3, ()),
}
WORD = re.compile(r'"((?:\\.|[^"\\])*)"')
# Where options stand: behind this many words of a command.
OPTIONS_BEHIND = {"getex": 1, "set": 2, "zrange": 3, "zrangebyscore": 3, "cluster": 0}


class Monitor:
    """What one server executes, as (words, whether a script did it)."""

    def __init__(self, redis):
        self.connection = Connection(redis.path)
        self.connection.command("MONITOR")
        self.lines = []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            while True:
                self.lines.append(self.connection.read().decode("latin-1"))
        except (OSError, ValueError):
            return

    def close(self):
        self.connection.socket.shutdown(socket.SHUT_RDWR)  # ends the read that is under way
        self.thread.join()
        self.connection.close()

    def commands(self):
        for line in list(self.lines):
            source = line.split("[", 1)[1].split("]", 1)[0]
            words = WORD.findall(line.split("]", 1)[1])
            if words:
                yield words[0].lower(), words[1:], source.endswith("lua")


def complaint(name, words):
    """What is wrong with a command; None when nothing is."""
    if name not in ALLOWED:
        return "is not in the list"
    least, most, options = ALLOWED[name]
    if not least <= len(words) <= most:
        return "has %d words" % len(words)
    if name in OPTIONS_BEHIND:
        for word in words[OPTIONS_BEHIND[name]:]:
            if word.lower() not in options and not word.lstrip("-").isdigit():
                return "has the option %s" % word
    if name == "client" and words[0].lower() not in options:
        return "has the subcommand %s" % words[0]
    return None


class Commands(Journey):
    rules = RULES

    def watch(self, nodes):
        monitors = [Monitor(node) for node in nodes]
        for monitor in monitors:
            self.addCleanup(monitor.close)
        return monitors

    def journey(self, url, rules=RULES, **environment):
        """All that a gateway does with a Redis."""
        origin = self.upstream(Items())
        front = self.gateway(origin, rules, config={"identity": IDENTITY}, environment=dict({
            "CACHEGATE_STORE_REDIS": url, "CACHEGATE_SECRET": SECRET, "CACHEGATE_STORE_TIMEOUT": "5s",
            "CACHEGATE_STORE_LEASE": "2s", "CACHEGATE_STORE_ON_UNPURGEABLE": "lease"}, **environment))

        def read(target):
            return front.get(target, "alice", headers={"X-User": "alice"})

        wait_until(lambda: read("/items/9").cache.hit, "it uses its Redis")
        for item in range(4):
            for target in reads_of(item) * 2:
                read(target)
            for method, target in (("PUT", "/items/%d" % item), ("POST", "/by-request"),
                                   ("POST", "/by-wildcard"), ("POST", "/by-user")):
                front.request(method, target, user="alice", headers={"X-User": "alice"},
                              body={"id": item, "session": "1"})
                for target in reads_of(item):
                    read(target)
        for method, path in (("DELETE", "/cache/session/1"), ("DELETE", "/cache/user/alice"),
                             ("DELETE", "/cache/flush"), ("GET", "/cache/stats"), ("GET", "/cache/health")):
            self.assertEqual(front.admin(method, path).status, 200)
            read("/items/1")
        front.stop()  # what it sends at its end counts too

    def assertAllowed(self, monitors, *expected):
        wait_until(lambda: all(monitor.lines for monitor in monitors), "the monitors saw something")
        wrong, seen = set(), set()
        for monitor in monitors:
            for name, words, in_script in monitor.commands():
                seen.add(name)
                if why := complaint(name, words):
                    wrong.add("%s%s %s: %s" % ("(script) " if in_script else "", name, words[:6], why))
        print("seen: " + " ".join(sorted(seen)), flush=True)
        self.assertEqual(sorted(wrong), [])
        for name in expected:
            self.assertIn(name, seen)

    def test_on_one_server(self):
        redis = Redis()
        self.addCleanup(redis.close)
        monitors = self.watch([redis])
        self.journey(redis.url)
        self.assertAllowed(monitors, "mget", "set", "getex", "evalsha", "eval", "lrange", "info")

    def test_pushed(self):
        redis = Redis()
        self.addCleanup(redis.close)
        monitors = self.watch([redis])
        self.journey(redis.url, RULES.replace("scope: user }", "scope: user, consistency: pushed }"))
        self.assertAllowed(monitors, "client", "subscribe")

    def test_with_a_replica_that_must_have_purges(self):
        primary = on_free_port(lambda port: Redis(port=port))
        self.addCleanup(primary.close)
        replica = Redis("--replicaof", "127.0.0.1 %d" % primary.port)
        self.addCleanup(replica.close)
        wait_until(lambda: replica.info("replication").get("master_link_status") == "up", "the replica follows")
        monitors = self.watch([primary])
        self.journey(primary.url, CACHEGATE_STORE_WAIT_REPLICAS="1", CACHEGATE_STORE_FAILOVER_TIME="10s")
        self.assertAllowed(monitors, "wait")

    def test_on_a_cluster(self):
        cluster = RedisCluster(3)
        self.addCleanup(cluster.close)
        monitors = self.watch(cluster.nodes)
        self.journey(cluster.url)
        self.assertAllowed(monitors, "get", "cluster", "evalsha")

    def test_the_list_is_not_toothless(self):
        for words in (["SET", "k", "v", "NX", "GET"], ["INFO", "server", "memory"], ["EXPIRE", "k", "1", "NX"],
                      ["FCALL", "f", "0"], ["GETEX", "k", "PERSIST"], ["CLIENT", "NO-EVICT", "on"],
                      ["EVAL_RO", "return 1", "0"], ["CLUSTER", "SHARDS"], ["KEYS", "*"], ["SCAN", "0"]):
            self.assertIsNotNone(complaint(words[0].lower(), words[1:]), words)
        for words in (["SET", "k", "v", "PX", "5", "NX"], ["GETEX", "k", "PX", "1"], ["CLUSTER", "SLOTS"]):
            self.assertIsNone(complaint(words[0].lower(), words[1:]), words)


if __name__ == "__main__":
    main()
