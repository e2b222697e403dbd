"""Gateways over one store, and what befalls them: kills, freezes, restarts, a store that forgets.

A fault is one of the names in FAULTS; each puts things right again before it returns, so that the run
ends with everything alive. Which faults a store knows is said by its class.
"""

import http.client
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass

from harness import Gateway, wait_until
from redis_servers import SECRET, Redis, RedisCluster

HERE = pathlib.Path(__file__).resolve().parent

@dataclass(frozen=True)
class Place:
    number: int
    address: str
    admin: str
    life: int  # how often it was started


class MemoryStore:
    """Nothing to share, so one gateway; what it knew dies with it."""

    faults = ("kill-gateway", "kill-in-write", "freeze-gateway")
    shared = False

    def environment(self, number):
        """What the gateway of that number is told."""
        return {}

    def close(self):
        pass


class RedisStore:
    """One server, and between it and each gateway a relay that can be cut alone."""

    faults = MemoryStore.faults + ("kill-store", "old-store", "flush-store", "freeze-store",
                                   "cut-gateway", "isolate-gateway")
    shared = True

    def __init__(self):
        self.server = Redis()
        self.nodes = [self.server]
        self.relays = {}

    def environment(self, number):
        if number not in self.relays:
            self.relays[number] = Relay(self.server, number)
        return {"CACHEGATE_STORE_REDIS": "unix://%s" % self.relays[number].path, "CACHEGATE_SECRET": SECRET}

    def close(self):
        for relay in self.relays.values():
            relay.stop()
        self.server.close()


class Relay:
    def __init__(self, server, number):
        self.target = server.path
        self.path = server.directory / ("relay-%d.sock" % number)
        self.start()

    def start(self):
        self.path.unlink(missing_ok=True)
        self.process = subprocess.Popen([sys.executable, str(HERE / "relay.py"), str(self.path),
                                         str(self.target)], stdin=subprocess.DEVNULL)
        wait_until(self.path.exists, "the relay listens")

    def stop(self):
        self.process.kill()
        self.process.wait()


class ClusterStore(RedisStore):
    faults = MemoryStore.faults + ("kill-store", "old-store", "flush-store", "freeze-store")

    def __init__(self):
        self.server = RedisCluster(3)
        self.nodes = self.server.nodes

    def environment(self, number):
        return {"CACHEGATE_STORE_REDIS": self.server.url, "CACHEGATE_SECRET": SECRET}

    def close(self):
        self.server.close()


class Fleet:
    def __init__(self, store, upstream, rules, count, config, environment, chance):
        self.store = store
        self.upstream = upstream
        self.upstream_address = upstream.address
        self.chance = chance
        self.lock = threading.RLock()
        self.started = threading.Condition(self.lock)
        self.never = threading.Event()
        self.done = {}  # fault → how often
        self.near = {}
        self.story = []  # (moment, what), for whoever has to find out why
        self.store_trouble_ended = 0.0  # inf while it lasts
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="cachegate-fleet-"))
        self.clock_file = self.directory / "clock"
        self.offset_ms = 0
        self._write_clock()
        self.environment = dict(environment, CACHEGATE_TEST_CLOCK=str(self.clock_file))
        self.arguments = dict(rules=rules, config=config, threads=2)
        self.gateways, self.places, self.lines = [], [], []
        self.lives = 0
        try:
            for number in range(count):
                self.gateways.append(None)
                self.places.append(None)
                self._start(number)
        except BaseException:
            self.gateways = [gateway for gateway in self.gateways if gateway is not None]
            self.close()
            raise

    def close(self):
        problems = []
        for gateway in self.gateways:
            self._count_near(gateway)
            self.lines += gateway.lines
            try:
                gateway.stop()
            except AssertionError as problem:
                problems.append(problem)
        self.store.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        if problems:
            raise problems[0]

    def _count_near(self, gateway):
        """Hits on near copies, of the gateways that live at the end."""
        for line in gateway.admin("GET", "/metrics").body.decode().split("\n"):
            if line.startswith(("cachegate_near_hits_total ", "cachegate_pushed_hits_total ")):
                name, count = line.split()
                name = name[len("cachegate_"):-len("_total")]
                self.near[name] = self.near.get(name, 0) + int(count)

    # What clients ask.

    def place(self, chance):
        """Some gateway that is thought to be alive; waits for one."""
        with self.started:
            assert self.started.wait_for(lambda: any(self.places), 60), "no gateway came back"
            return chance.choice([place for place in self.places if place is not None])

    def is_at(self, place):
        """Whether it is still that process, which nobody has decided to kill."""
        with self.lock:
            return self.places[place.number] == place

    def store_was_calm(self, since):
        """No fault of the store after `since`, nor now."""
        with self.lock:
            return self.store_trouble_ended < since

    def advance(self, seconds):
        """Lifetimes pass, for all gateways alike."""
        with self.lock:
            self.offset_ms += int(seconds * 1000)
            self._write_clock()

    def flush(self, place):
        host, port = place.admin.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        try:
            connection.request("DELETE", "/cache/flush", headers={
                "Authorization": "Bearer journey-admin-token"})
            return connection.getresponse().status
        finally:
            connection.close()

    # What befalls it.

    def befall(self, fault, app):
        self._tell(fault)
        {"kill-gateway": self._kill_gateway, "freeze-gateway": self._freeze_gateway,
         "kill-in-write": lambda: self._kill_in_write(app), "kill-store": self._kill_store,
         "old-store": self._bring_back_an_old_store, "flush-store": self._flush_store,
         "freeze-store": self._freeze_store, "cut-gateway": self._cut_gateway,
         "isolate-gateway": self._isolate_gateway}[fault]()
        with self.lock:
            self.done[fault] = self.done.get(fault, 0) + 1
        self._tell("over: " + fault)

    def _tell(self, what):
        with self.lock:
            self.story.append((time.monotonic(), what))

    def _write_clock(self):
        with open(self.clock_file, "r+b" if self.clock_file.exists() else "wb") as file:
            file.write(struct.pack("<q", self.offset_ms))

    def _start(self, number):
        environment = dict(self.store.environment(number), **self.environment)
        gateway = Gateway(self.upstream, environment=environment, **self.arguments)
        with self.lock:
            self.lives += 1
            self.gateways[number] = gateway
            self.places[number] = Place(number, gateway.address, gateway.admin_address, self.lives)
            self.started.notify_all()

    def _kill(self, number):
        """Clients learn that it is doomed before it dies, or a cut would pass for an answer."""
        with self.lock:
            gateway = self.gateways[number]
            self.places[number] = None
        self.lines += gateway.kill()

    def _victim(self):
        return self.chance.randrange(len(self.gateways))

    def _kill_gateway(self):
        number = self._victim()
        self._kill(number)
        self._start(number)

    def _kill_in_write(self, app):
        """Between the commit and the answer: the client never learns of the outcome."""
        killed = []
        dead = threading.Event()

        def at_commit(number):
            self._kill(number)
            killed.append(number)
            dead.set()

        with app.lock:
            app.at_commit = at_commit
        if not dead.wait(20):
            with app.lock:
                app.at_commit = None
            if not dead.wait(1):
                return
        self._start(killed[0])

    def _freeze_gateway(self):
        gateway = self.gateways[self._victim()]
        gateway.freeze()
        self.never.wait(0.1 + 0.6 * self.chance.random())
        gateway.thaw()

    def _trouble(self, begins):
        with self.lock:
            self.store_trouble_ended = float("inf") if begins else time.monotonic()

    def _kill_store(self, save=False):
        node = self.chance.choice(self.store.nodes)
        if save:
            node.command("SAVE")
            self.never.wait(0.3 * self.chance.random())  # for writes after the snapshot
        self._trouble(True)
        node.kill()
        self.never.wait(0.3 * self.chance.random())
        if not save:
            (node.directory / "dump.rdb").unlink(missing_ok=True)
        node.start()
        self._trouble(False)

    def _bring_back_an_old_store(self):
        self._kill_store(save=True)

    def _flush_store(self):
        self._trouble(True)
        self.chance.choice(self.store.nodes).command("FLUSHALL")
        self._trouble(False)

    def _freeze_store(self):
        node = self.chance.choice(self.store.nodes)
        self._trouble(True)
        node.freeze()
        self.never.wait(0.2 + 0.8 * self.chance.random())
        node.thaw()
        self._trouble(False)

    def _cut_gateway(self):
        """One gateway loses the store, the others do not."""
        relay = self.store.relays[self._victim()]
        self._trouble(True)
        relay.stop()
        self.never.wait(0.2 + 0.8 * self.chance.random())
        relay.start()
        self._trouble(False)

    def _isolate_gateway(self):
        """What one gateway and the store say to each other is under way for a while."""
        relay = self.store.relays[self._victim()]
        self._trouble(True)
        relay.process.send_signal(signal.SIGSTOP)
        self.never.wait(0.2 + 0.8 * self.chance.random())
        relay.process.send_signal(signal.SIGCONT)
        self._trouble(False)
