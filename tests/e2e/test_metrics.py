"""GET /metrics: one table, right numbers, bounded series, and a Prometheus that reads it."""

import itertools
import json
import random
import socket
import string
import subprocess

from harness import ADMIN_TOKEN, Client, EchoApp, Journey, Reply, TREE, curl, main, seed, wait_until
from prometheus import Page, Prometheus, needs, page_of, promtool, settled_page_of, table
from redis_servers import Redis
from test_redis import wait_connected

FEW_RULES = """
defaults: { ttl: 60s }
routes:
  - match: GET /items/{id}
    name: items
    scope: shared
    stale_if_error: 1h
"""
RULES = FEW_RULES + """
  - match: GET /lists
    name: lists
    scope: shared
  - match: GET /mine
    name: mine
  - match: GET /never/**
    name: 'a "name" with \\\\ in it'
    cache: never
  - match: GET /dead/**
    name: dead
    upstream: dead
  - match: PUT /items/{id}
    name: change
    invalidate: [ "/items/{id}", "/lists?owner={request.owner}" ]
"""
SECRET = "the-secret-of-this-deployment"
PASSWORD = "a-password-of-redis"
USER = "a-user-of-the-test"


def make_certificate(directory):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", str(directory / "key.pem"),
                    "-out", str(directory / "certificate.pem")], check=True, capture_output=True, timeout=60)


class EveryKind(Journey):
    """A gateway on Redis that has seen a request of every kind."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.rows = table()

    def setUp(self):
        self.redis = Redis("--requirepass", PASSWORD)
        self.addCleanup(self.redis.close)
        self.app = EchoApp()
        self.origin = self.upstream(self.app)
        self.keys = self.directory()
        make_certificate(self.keys)
        self.front = self.start("10s")

    def start(self, timeout):
        return self.gateway(None, RULES, config={
            "listen": ["127.0.0.1:0", {"address": "127.0.0.1:0", "tls": True}],
            "tls": {"certificate": str(self.keys / "certificate.pem"), "key": str(self.keys / "key.pem")},
            "upstreams": {"api": self.origin.url, "dead": "http://127.0.0.1:1"},
            "secret": SECRET,
            "store": {"redis": "unix://:%s@%s" % (PASSWORD, self.redis.path), "timeout": timeout}})

    def traffic(self):
        front = self.front
        wait_connected(front)
        wait_until(lambda: front.admin("GET", "/cache/health").json()["status"] == "ok", "Redis is believed")
        for _ in range(3):
            front.get("/items/1")
        front.get("/items/2")
        front.request("HEAD", "/items/1")
        front.get("/mine", user=USER)
        front.get("/never/1")
        front.get("/dead/1")
        front.request("PUT", "/items/1", body=b'{"owner": "%s"}' % USER.encode())
        front.request("PUT", "/items/1", body=b"{}")
        front.request("POST", "/things", body=b"")
        front.request("BREW", "/things")
        front.raw(b"GET /items/1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        front.admin("POST", "/cache/purge", body=b'{"patterns": ["/items/2"]}')
        front.admin("DELETE", "/cache/flush")
        curl("--http2-prior-knowledge", "http://%s/items/5" % front.addresses[0])
        curl("--insecure", "https://%s/items/5" % front.addresses[1])

    def test_numbers_agree_with_what_was_asked(self):
        self.traffic()

        def all_stored():  # nobody waits for a fill
            return page_of(self.front).value("cachegate_stored_total", route="items") >= 4

        wait_until(all_stored, "what was fetched is stored")
        page = settled_page_of(self.front)

        def requests(**labels):
            return page.value("cachegate_requests_total", **labels)

        self.assertEqual(requests(route="items", method="GET", status="2xx", cache="miss"), 4)
        self.assertEqual(requests(route="items", method="GET", status="2xx", cache="hit"), 2)
        self.assertEqual(requests(route="items", method="HEAD", status="2xx", cache="hit"), 1)
        self.assertEqual(requests(route="mine", cache="miss"), 1)
        self.assertEqual(requests(route=r'a \"name\" with \\\\ in it', cache="pass"), 1)
        self.assertEqual(requests(route="dead", status="5xx", cache="error"), 1)
        self.assertEqual(requests(route="change", method="PUT", cache="write"), 2)
        self.assertEqual(requests(route="(none)", method="POST", cache="write"), 1)
        self.assertEqual(requests(method="other"), 1)
        self.assertEqual(requests(status="4xx", cache="error"), 1)
        self.assertEqual(page.value("cachegate_stored_total", route="items"), 4)
        self.assertEqual(page.value("cachegate_upstream_errors_total", upstream="dead", error="refused"), 1)
        self.assertEqual(page.value("cachegate_upstream_errors_total", upstream="api"), 0)
        self.assertGreater(page.value("cachegate_purges_total", cause="write"), 0)
        self.assertGreater(page.value("cachegate_purges_total", cause="write-default"), 0)
        self.assertEqual(page.value("cachegate_purges_total", cause="widened"), 1)
        self.assertEqual(page.value("cachegate_widened_purges_total"), 1)
        self.assertGreater(page.value("cachegate_purges_total", cause="admin"), 0)
        self.assertEqual(page.value("cachegate_purges_total", cause="flush"), 1)
        self.assertEqual(page.value("cachegate_store_up"), 1)
        self.assertEqual(page.value("cachegate_store_breaker_state"), 0)
        self.assertEqual(len(page.samples["cachegate_store_breaker_state"]), 1)
        self.assertEqual(page.value("cachegate_config_generation"), 1)
        self.assertEqual(page.value("cachegate_config_last_reload_successful"), 1)
        self.assertEqual(page.value("cachegate_ready"), 1)
        for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds",
                     "process_start_time_seconds", "cachegate_config_last_reload_timestamp_seconds"):
            self.assertGreater(page.value(name), 0, name)

    def test_histograms_count_what_was_answered(self):
        self.traffic()
        names = ("cachegate_request_duration_seconds", "cachegate_request_first_byte_seconds",
                 "cachegate_store_operation_duration_seconds", "cachegate_upstream_first_byte_seconds")

        page = settled_page_of(self.front)
        for name in names:
            series = {}
            for key, value in page.samples[name + "_bucket"].items():
                series.setdefault(key[:-1], []).append((key[-1], value))
            for key, buckets in series.items():
                bounds = [float(bound) for (_, bound), _ in buckets]
                self.assertEqual(bounds, sorted(bounds), key)
                counts = [value for _, value in buckets]
                self.assertEqual(counts, sorted(counts), key)
                self.assertEqual(bounds[-1], float("inf"))
                self.assertEqual(counts[-1], page.samples[name + "_count"][key])
        for result in ("hit", "miss", "pass", "write"):
            answered = page.value("cachegate_requests_total", cache=result)
            self.assertGreater(answered, 0)
            for name in names[:2]:
                self.assertEqual(page.value(name + "_count", cache=result), answered, result)
                self.assertGreater(page.value(name + "_sum", cache=result), 0)
        asked = page.value("cachegate_upstream_requests_total")
        failed = page.value("cachegate_upstream_errors_total")
        self.assertEqual(page.value(names[3] + "_count"), asked - failed)
        for operation in ("lookup", "prepare", "fill", "mark", "purge"):
            self.assertGreater(page.value(names[2] + "_count", operation=operation), 0, operation)

    def test_the_page_is_the_table(self):
        self.traffic()
        page = page_of(self.front)
        self.assertEqual({name: row[0] for name, row in self.rows.items()}, page.types)
        self.assertEqual(list(page.types), list(self.rows), "the order of the table")
        self.assertEqual(set(page.sentences), set(self.rows))
        for name, series in page.samples.items():
            kind, labels = self.rows[page.family(name)]
            if name.endswith("_bucket") and kind == "histogram":
                labels = labels + ["le"]
            for key in series:
                self.assertEqual([label for label, _ in key], labels, name)
        silent = set(self.rows) - {page.family(name) for name in page.samples}
        self.assertLessEqual(silent, {"cachegate_store_memory_bytes", "cachegate_store_memory_max_bytes",
                                      "cachegate_tracking_up"}, "of a store in its first second")

    def test_nothing_secret_is_told(self):
        self.traffic()
        text = page_of(self.front).text
        for secret in (SECRET, PASSWORD, ADMIN_TOKEN, USER):
            self.assertNotIn(secret, text)

    def test_an_outage_of_the_store_is_seen(self):
        self.front = self.start("250ms")
        self.traffic()
        self.redis.freeze()
        self.addCleanup(self.redis.thaw)
        asked = itertools.count()

        def is_away():
            self.front.get("/items/%d" % next(asked))
            page = page_of(self.front)
            return (page.value("cachegate_store_up") == 0 and page.value("cachegate_store_breaker_state") > 0
                    and page.value("cachegate_store_errors_total", operation="lookup") > 0
                    and page.value("cachegate_store_lost_commands_total") > 0)

        wait_until(is_away, "the outage is told")
        self.assertEqual(page_of(self.front).value("cachegate_store_server_up"), 0)
        self.redis.thaw()

        def is_back():
            page = page_of(self.front)
            return page.value("cachegate_store_up") == 1 and page.value("cachegate_store_breaker_state") == 0

        wait_until(is_back, "it is over", 60)

    @needs("promtool")
    def test_promtool_has_no_complaints(self):
        self.traffic()
        status, said = promtool("check", "metrics", text=page_of(self.front).text)
        self.assertEqual((status, said), (0, ""))

    @needs("prometheus")
    def test_a_prometheus_reads_it(self):
        self.traffic()
        prometheus = Prometheus(self.directory(), [self.front.admin_address])
        self.addCleanup(prometheus.stop)
        prometheus.wait_ready()
        wait_until(lambda: list(prometheus.query("up").values()) == [1.0], "up is 1", 60)

        def hits():
            return sum(prometheus.query('cachegate_requests_total{cache="hit"}').values())

        self.front.get("/items/7")
        before = settled_page_of(self.front).value("cachegate_requests_total", cache="hit")
        wait_until(lambda: hits() == before, "the hits that were counted", 60)
        self.front.get("/items/7")
        wait_until(lambda: hits() == before + 1, "one hit more", 60)
        quantile = prometheus.query(
            "histogram_quantile(0.5, sum by (le) (cachegate_request_duration_seconds_bucket))")
        self.assertEqual(len(quantile), 1)
        self.assertGreater(list(quantile.values())[0], 0)
        dashboard = json.loads((TREE / "conf" / "monitoring" / "grafana-dashboard.json").read_text())
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                prometheus.query(target["expr"].replace("$job", ".*").replace("$instance", ".*")
                                 .replace("$__rate_interval", "1m"))


class Bounds(Journey):
    def test_a_flood_of_odd_requests_makes_no_series(self):
        randomness = random.Random(seed())
        front = self.gateway(self.upstream(EchoApp()), FEW_RULES)
        client = front.client()

        def word():
            return "".join(randomness.choices(string.ascii_uppercase, k=randomness.randrange(1, 20)))

        for _ in range(300):
            client.request(word(), "/%s/%s?%s=%s" % (word(), word(), word(), word()))
            client.request("GET", "/items/" + word(), headers={word(): word()})
        page = settled_page_of(front)
        series = page.samples["cachegate_requests_total"]
        self.assertEqual({key[0][1] for key in series}, {"(none)", "items"})
        self.assertLessEqual({key[1][1] for key in series},
                             {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "other"})
        self.assertEqual(page.value("cachegate_requests_total"), 600)
        self.assertLess(len(page.text.splitlines()), 1500)

    def test_more_routes_than_slots_share_one(self):
        rules = "routes:\n" + "".join("  - match: GET /r%d\n    scope: shared\n    ttl: 60s\n" % i
                                      for i in range(1100))
        front = self.gateway(self.upstream(EchoApp()), rules)
        client = front.client()
        for i in (0, 1, 1021, 1022, 1098, 1099):
            client.get("/r%d" % i)
        page = settled_page_of(front)
        self.assertEqual(page.value("cachegate_requests_total", route="GET /r1021"), 1)
        self.assertEqual(page.value("cachegate_requests_total", route="(other)"), 3)
        self.assertEqual(len(page.samples["cachegate_stored_total"]), 1023)


class Connections(Journey):
    def open_now(self, front, **labels):
        return page_of(front).value("cachegate_connections", **labels)

    @staticmethod
    def asking(front, target):
        """A connection that has asked, and has not read the answer."""
        host, port = front.address.split(":")
        connection = socket.create_connection((host, int(port)), 30)
        connection.sendall(b"GET %s HTTP/1.1\r\nHost: api.example\r\n\r\n" % target.encode())
        return connection

    def test_open_connections_come_and_go(self):
        front = self.gateway(self.upstream(EchoApp()), FEW_RULES)
        clients = [Client(front.address) for _ in range(5)]
        for client in clients:
            client.get("/items/1")
        self.assertEqual(self.open_now(front, protocol="http/1.1", tls="no"), 5)
        for client in clients:
            client.close()
        wait_until(lambda: self.open_now(front) == 0, "all are closed")
        self.assertEqual(page_of(front).value("cachegate_connections_accepted_total"), 5)

    def test_what_is_beyond_the_bound_waits_and_is_counted(self):
        front = self.gateway(self.upstream(EchoApp()), FEW_RULES, config={"limits": {"connections": 2}}, threads=1)
        with self.asking(front, "/items/1"), self.asking(front, "/items/2"), self.asking(front, "/items/3"):
            wait_until(lambda: page_of(front).value("cachegate_accept_pauses_total") >= 1, "accepting pauses")
            self.assertLessEqual(self.open_now(front), 2)

    def test_connections_are_told_apart(self):
        keys = self.directory()
        make_certificate(keys)
        origin = self.upstream(EchoApp())
        front = self.gateway(origin, FEW_RULES, config={
            "listen": [{"address": "127.0.0.1:0", "tls": True}],
            "tls": {"certificate": str(keys / "certificate.pem"), "key": str(keys / "key.pem")}})
        for flag, protocol in (("--http2", "h2"), ("--http1.1", "http/1.1")):
            gate = origin.hold("/items/" + protocol[-1])
            client = subprocess.Popen(["curl", "-s", "--insecure", flag,
                                       "https://%s/items/%s" % (front.address, protocol[-1])],
                                      stdout=subprocess.DEVNULL)
            with gate:
                gate.wait_arrived()
                self.assertEqual(self.open_now(front, protocol=protocol, tls="yes"), 1)
                self.assertEqual(self.open_now(front), 1)
            self.assertEqual(client.wait(60), 0)
            wait_until(lambda: self.open_now(front) == 0, "it is closed")

    def test_requests_in_flight(self):
        origin = self.upstream(EchoApp())
        front = self.gateway(origin, FEW_RULES)
        gate = origin.hold("/items/1")
        with gate, self.asking(front, "/items/1"):
            gate.wait_arrived()
            self.assertEqual(page_of(front).value("cachegate_requests_in_flight"), 1)
        wait_until(lambda: page_of(front).value("cachegate_requests_in_flight") == 0, "it is over")

    def test_clients_that_leave_are_counted_without_a_status(self):
        origin = self.upstream(EchoApp())
        front = self.gateway(origin, FEW_RULES)
        gate = origin.hold("/items/1")
        with gate:
            # Over HTTP/2: libh2o does not look whether a client of HTTP/1.1 is still there.
            client = subprocess.Popen(["curl", "-s", "--http2-prior-knowledge",
                                       "http://%s/items/1" % front.address], stdout=subprocess.DEVNULL)
            gate.wait_arrived()
            client.kill()
            client.wait(30)
            wait_until(lambda: page_of(front).value("cachegate_requests_total", status="none") == 1,
                       "somebody left")
        self.assertEqual(page_of(front).value("cachegate_clients_gone_total"), 1)

    def test_troubles_have_a_reason(self):
        front = self.gateway(self.upstream(EchoApp()), FEW_RULES, config={"limits": {"request_timeout": "1s"}})
        front.raw(b"GET /items/1 HT")  # and nothing more
        wait_until(lambda: page_of(front).value("cachegate_connections_ended_total", why="slow") >= 1,
                   "a slow request is counted")


class Embedded(Journey):
    def test_the_embedded_store_tells_what_it_holds(self):
        app = EchoApp()
        app.route("GET", "/big/{id}", lambda request, id: Reply(200, b"x" * 50000))
        front = self.gateway(self.upstream(app), "routes:\n  - match: GET /big/**\n    scope: shared\n"
                                                 "    ttl: 60s\n", config={"store": {"memory": "1MB", "entry_max": "100KB"}})
        for i in range(100):
            front.get("/big/%d" % i)
        page = page_of(front)
        self.assertGreater(page.value("cachegate_store_entries"), 0)
        self.assertGreater(page.value("cachegate_store_evictions_total"), 0)
        self.assertLess(page.value("cachegate_store_bytes"), 2 << 20)
        self.assertEqual(page.samples.get("cachegate_store_breaker_state"), None)

    def test_the_page_can_be_parsed_at_once_after_the_start(self):
        page = Page(self.gateway(self.upstream(EchoApp()), "").admin("GET", "/metrics").body.decode())
        self.assertEqual(page.samples.get("cachegate_requests_total"), None)
        self.assertEqual(page.value("cachegate_requests_in_flight"), 0)


if __name__ == "__main__":
    main()
