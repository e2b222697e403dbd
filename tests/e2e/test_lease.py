"""`on_unpurgeable: lease`: one of two gateways loses the way to Redis, the other keeps it.

The answer of a write through the first is held until the second believes nothing that it reads; when
the first was declared gone its writes are refused, until it is back.
"""

import pathlib
import shutil
import socket
import tempfile
import threading

from harness import App, Journey, main, wait_until
from redis_servers import SECRET, Redis

RULES = """
defaults: { ttl: 10m, scope: user }
routes:
  - match: GET /items/{id}
  - match: PUT /items/{id}
"""
STORE = {"on_unpurgeable": "lease", "failover_time": "500ms"}


class Way:
    """A UNIX socket that leads to another, until it is cut."""

    def __init__(self, path):
        self.target = str(path)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="cachegate-way-"))
        self.path = self.directory / "way.sock"
        self.lock = threading.Lock()
        self.is_cut = False
        self.ends = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return "unix://%s" % self.path

    def _accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            with self.lock:
                if self.is_cut:
                    near.close()
                    continue
                far = socket.socket(socket.AF_UNIX)
                far.connect(self.target)
                self.ends += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    @staticmethod
    def _carry(source, sink):
        try:
            while True:
                piece = source.recv(65536)
                if not piece:
                    break
                sink.sendall(piece)
        except OSError:
            pass
        Way._end(source)
        Way._end(sink)

    @staticmethod
    def _end(end):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def cut(self):
        with self.lock:
            self.is_cut = True
            for end in self.ends:
                self._end(end)

    def mend(self):
        with self.lock:
            self.is_cut = False

    def close(self):
        self.cut()
        self._end(self.listener)
        self.listener.close()
        for end in self.ends:
            end.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class Items(App):
    def __init__(self):
        super().__init__()
        self.route("GET", "/items/{id}", lambda request, id: self.read(request, id))
        self.route("PUT", "/items/{id}", lambda request, id: {"version": self.write(id)[id]})


class Lease(Journey):
    def setUp(self):
        super().setUp()
        self.origin = self.upstream(Items())
        self.redis = Redis()
        self.addCleanup(self.redis.close)
        self.way = Way(self.redis.path)
        self.addCleanup(self.way.close)

    def front(self, url, timeout, lease, gone_after):
        store = dict(STORE, redis=url, timeout=timeout, lease=lease, gone_after=gone_after)
        return self.gateway(self.origin, RULES, threads=1, config={"store": store},
                            environment={"CACHEGATE_SECRET": SECRET})

    def item(self, front, item="a"):
        """What it shows, and whether from the cache."""
        answer = front.get("/items/%s" % item, user="alice")
        self.assertEqual(answer.status, 200, repr(answer))
        return answer.json()["state"][item], answer.cache.hit

    def write(self, front, item="a"):
        return front.client().request("PUT", "/items/%s" % item, user="alice", body=b"{}")

    def wait_hits(self, front):
        wait_until(lambda: self.item(front)[1], "it answers from Redis")

    def both(self, *terms):
        # Whose way is not cut has time enough, however busy the machine is.
        cut_off, other = self.front(self.way.url, "100ms", *terms), self.front(self.redis.url, "10s", *terms)
        self.wait_hits(other)
        self.wait_hits(cut_off)
        self.wait_hits(other)
        return cut_off, other

    def test_a_write_is_answered_when_nobody_believes_what_it_made_wrong(self):
        cut_off, other = self.both("2s", "20s")
        answers = []
        self.way.cut()
        writer = threading.Thread(target=lambda: answers.append(self.write(cut_off)))
        writer.start()
        seen = []
        while writer.is_alive():
            answered = bool(answers)
            seen.append(self.item(other))
            if answered:
                self.assertEqual(seen[-1][0], 1)
        writer.join()
        self.assertEqual(answers[0].status, 200, repr(answers[0]))
        self.assertIn((0, True), seen, "the write was held, and what it made wrong believed")
        self.assertEqual(self.item(other), (1, False), "no longer, when it was answered")

    def test_who_was_declared_gone_writes_no_more_until_it_is_back(self):
        cut_off, other = self.both("1s", "3s")
        self.way.cut()
        self.assertEqual(self.write(cut_off).status, 200)
        # After a flush; and it keeps its own lease of a second as well as a busy machine lets it.
        wait_until(lambda: self.item(other) == (1, True), "it answers from Redis")
        refused = self.write(cut_off)
        self.assertEqual(refused.status, 503, repr(refused))
        self.assertIn("unpurgeable", refused.field("cache-status"))
        self.assertNotEqual(refused.field("retry-after"), None)
        self.assertEqual(self.item(cut_off), (1, False), "and was not forwarded")
        self.way.mend()
        self.wait_hits(cut_off)
        self.assertEqual(self.write(cut_off).status, 200)
        self.assertEqual(self.item(other)[0], 2)
        self.assertEqual(self.item(cut_off)[0], 2)


if __name__ == "__main__":
    main()
