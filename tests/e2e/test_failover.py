"""A primary is lost under load, with Sentinel and in a Cluster: clients see no error and nothing stale,
and hits come back from the replica that took over.
"""

import pathlib
import shutil
import subprocess
import tempfile

import test_consistency
from harness import Journey, main, wait_until
from redis_servers import SECRET, Connection, Redis, RedisCluster, RedisError, free_ports, on_free_port

DOWN_AFTER_MS = 1000


class Sentinel:
    def __init__(self, primary_port, quorum):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="cachegate-sentinel-"))
        configuration = self.directory / "sentinel.conf"
        configuration.write_text(
            "sentinel monitor main 127.0.0.1 %d %d\nsentinel down-after-milliseconds main %d\n"
            "sentinel failover-timeout main 6000\n" % (primary_port, quorum, DOWN_AFTER_MS))
        for _ in range(5):
            self.port, = free_ports(1)
            self.process = subprocess.Popen(
                ["redis-server", str(configuration), "--sentinel", "--port", str(self.port), "--bind",
                 "127.0.0.1", "--dir", str(self.directory)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until(lambda: self.answers() or self.process.poll() is not None, "a sentinel")
            if self.process.poll() is None:
                return
        raise AssertionError("no port for a sentinel")

    def answers(self):
        try:
            with Connection(("127.0.0.1", self.port)) as connection:
                return connection.command("PING") == b"PONG"
        except (OSError, RedisError):
            return False

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def sees(self, sentinels):
        """It knows a replica and the other sentinels."""
        try:
            with Connection(("127.0.0.1", self.port)) as connection:
                found = connection.command("SENTINEL", "MASTER", "main")
        except (OSError, RedisError):
            return False
        state = dict(zip(found[::2], found[1::2]))
        return state[b"num-slaves"] == b"1" and state[b"num-other-sentinels"] == b"%d" % (sentinels - 1)


def role(redis):
    return redis.info("replication")["role"]


class Failover(Journey):
    def on_port(self, *options):
        redis = on_free_port(lambda port: Redis(*options, port=port))
        self.addCleanup(redis.close)
        return redis

    def through(self, url, primary, replica):
        app = test_consistency.Versions(1)
        front = self.gateway(
            self.upstream(app), test_consistency.RULES.format(**test_consistency.SOUND), threads=2,
            environment={"CACHEGATE_STORE_REDIS": url, "CACHEGATE_SECRET": SECRET,
                         "CACHEGATE_STORE_TIMEOUT": "1s", "CACHEGATE_STORE_FAILOVER_TIME": "1s"},
            config={"limits": {"write_hold": "50ms"}})
        run = test_consistency.Run(front, app, 1)
        threads = list(run.threads())
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: run.checker.hits > 50 or run.errors, "hits", 60)
            primary.kill()
            wait_until(lambda: role(replica) == "master", "the replica takes over", 60)
            hits = run.checker.hits
            wait_until(lambda: run.checker.hits > hits + 100 or run.errors, "hits again", 60)
        finally:
            run.over.set()
            for thread in threads:
                thread.join(120)
        print("%d reads, %d hits, %d writes" % (run.checker.reads, run.checker.hits, run.checker.writes))
        self.assertEqual(run.errors, [])
        self.assertEqual(run.checker.violations, [])
        # Hits of other shards say nothing about the one that was lost.
        wait_until(lambda: front.admin("GET", "/cache/health").json()["status"] == "ok", "all shards", 60)

    def test_primary_of_sentinels(self):
        primary = self.on_port()
        replica = self.on_port("--replicaof", "127.0.0.1", str(primary.port),
                               "--repl-diskless-sync-delay", "0")
        sentinels = [Sentinel(primary.port, 2) for _ in range(3)]
        for sentinel in sentinels:
            self.addCleanup(sentinel.close)
        wait_until(lambda: all(sentinel.sees(3) for sentinel in sentinels), "the sentinels see each other")
        wait_until(lambda: replica.info("replication").get("master_link_status") == "up", "a replica")
        self.through("redis+sentinel://" + ",".join("127.0.0.1:%d" % sentinel.port for sentinel in sentinels)
                     + "/main", primary, replica)

    def test_primary_of_a_cluster(self):
        cluster = RedisCluster(3, "--cluster-replica-validity-factor", "0")
        self.addCleanup(cluster.close)
        primary = cluster.nodes[2]
        bus_port, = free_ports(1)
        replica = self.on_port(
            "--cluster-enabled", "yes", "--cluster-port", str(bus_port), "--cluster-node-timeout", "2000",
            "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0")
        name = primary.command("CLUSTER", "MYID")
        cluster.nodes[0].command("CLUSTER", "MEET", "127.0.0.1", replica.port, bus_port)
        wait_until(lambda: name in replica.command("CLUSTER", "NODES"), "they meet")
        replica.command("CLUSTER", "REPLICATE", name)
        wait_until(lambda: replica.info("replication").get("master_link_status") == "up", "a replica")
        self.through(cluster.url, primary, replica)


if __name__ == "__main__":
    main()
