"""The sidecar demo as a pod in a network namespace: start, hardening, a changed ConfigMap, the end."""

import os
import pathlib
import re
import subprocess
import threading
import time
import unittest

import pod as pods

TREE = pathlib.Path(__file__).resolve().parents[2]
GATEWAY = os.environ.get("CACHEGATE") or str(TREE / "build" / "dev" / "cachegate")
RULES = "items.yaml"
IN_FORCE_S = 30  # kubelet's own delay comes on top


def ttl_of(fields):
    found = re.search(r"ttl=(-?\d+)", fields.get("cache-status", ""))
    return int(found.group(1)) if found else None


class Client:
    """Asks in a loop over connections of its own, as a load balancer would, until told that the pod's
    endpoint is gone."""

    def __init__(self, pod):
        self.pod = pod
        self.answered = 0
        self.failures = []
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._gone.is_set():
            # A user for each request: half of them are misses, which need the application.
            status, fields, body = self.pod.ask(
                "/items", headers={"Authorization": "Bearer %d" % (self.answered // 2)})
            if status == 200:
                self.answered += 1
            else:
                self.failures.append((status, fields, body))

    def wait_answered(self, more):
        until = self.answered + more
        deadline = time.monotonic() + 60
        while self.answered < until and not self.failures and time.monotonic() < deadline:
            self._gone.wait(0.01)

    def endpoint_is_gone(self):
        self._gone.set()
        self._thread.join(60)


class Demonstration(unittest.TestCase):
    def test_it_walks_through(self):
        try:
            pods.Pod(GATEWAY).close()
        except pods.Unavailable as why:
            self.skipTest("no pod can be simulated here: %s" % why)
        done = subprocess.run([TREE / "k8s" / "try-sidecar"], env=dict(os.environ, CACHEGATE=GATEWAY),
                              capture_output=True, text=True, timeout=250)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for expected in ("hit; ttl=299", "detail=purged", '"purged": 1', "0 of them lost"):
            self.assertIn(expected, done.stdout)


class Pod(unittest.TestCase):
    def setUp(self):
        try:
            self.pod = pods.Pod(GATEWAY)
        except pods.Unavailable as why:
            self.skipTest("no pod can be simulated here: %s" % why)
        self.addCleanup(self.pod.close)

    def start(self):
        """As kubelet: the sidecar, its startup probe, then the application."""
        self.pod.start_gateway()
        self.pod.wait_probe("startupProbe")
        self.pod.start_app()
        self.pod.wait_probe("readinessProbe")

    def test_start_and_service(self):
        self.pod.start_gateway()
        self.pod.wait_probe("startupProbe")  # nobody listens behind it yet
        self.assertIn(self.pod.ask("/items")[0], (502, 503, 504))
        self.pod.start_app()
        self.pod.wait_probe("readinessProbe")
        self.pod.wait_probe("livenessProbe")
        # The connection to Redis may need its first moments.
        deadline = time.monotonic() + 60
        while "hit" not in (seen := self.pod.ask("/items")[1].get("cache-status", "")):
            self.assertLess(time.monotonic(), deadline, "never a hit: " + seen)
        self.assertEqual(self.pod.ask("/items/2", "PUT", b'{"name": "plum"}')[0], 200)
        status, fields, body = self.pod.ask("/items")
        self.assertNotIn("hit", fields["cache-status"])
        self.assertIn(b"plum", body)
        # From outside only the gateway can be reached, past which nobody gets.
        self.assertEqual(self.pod.ask("/items", port=3000)[0], 0)

    def test_hardening(self):
        self.start()
        folder = pathlib.Path("/proc/%d" % self.pod.gateway.process.pid)
        status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines())
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(status[name], 16), 0, name)
        self.assertEqual(status["NoNewPrivs"].strip(), "1")
        self.assertEqual(set(status["Uid"].split() + status["Gid"].split()), {"65532"})
        self.assertEqual(status["Groups"].strip(), "")
        mounts = [line.split() for line in (folder / "mounts").read_text().splitlines()]
        root = next(fields for fields in mounts if fields[1] == "/")
        self.assertIn("ro", root[3].split(","))
        if self.pod.cgroup.path is None:
            print("SKIPPED in part: no memory control group can be made here")
        else:
            line = self.pod.gateway.wait_line(" ready ")
            self.assertIn("memory_limit=%dMB" % (self.pod.manifests.memory_bytes() >> 20), line)

    def test_a_changed_config_map_is_in_force_without_a_restart(self):
        self.start()
        self.assertEqual(ttl_of(self.pod.ask("/items")[1]), 300)
        rules = self.pod.manifests.rules[RULES]
        for ttl, seconds in (("7m", 420), ("90s", 90), ("11m", 660)):
            self.pod.publish_rules({RULES: rules.replace("ttl: 5m", "ttl: " + ttl)})
            self.wait_ttl(seconds)
        # A bad set is refused whole, and the last good one stays.
        self.pod.publish_rules({RULES: rules.replace("ttl: 5m", "ttl: forever")})
        self.pod.gateway.wait_line("forever")
        deadline = time.monotonic() + IN_FORCE_S
        while b"forever" not in (health := self.pod.admin("/cache/health")[2]):
            self.assertLess(time.monotonic(), deadline, health)
        self.assertEqual(self.fresh_ttl(), 660)
        self.pod.publish_rules({RULES: rules})
        self.wait_ttl(300)

    def fresh_ttl(self):
        """Of an answer that nobody has asked for before."""
        user = "Bearer %d" % time.monotonic_ns()
        return ttl_of(self.pod.ask("/items", headers={"Authorization": user})[1])

    def wait_ttl(self, seconds):
        deadline = time.monotonic() + IN_FORCE_S
        while (seen := self.fresh_ttl()) != seconds:
            self.assertLess(time.monotonic(), deadline, "ttl is %s, not %d" % (seen, seconds))

    def test_the_end_loses_no_request(self):
        self.start()
        client = Client(self.pod)
        slow = []
        waiter = threading.Thread(target=lambda: slow.append(self.pod.ask("/slow")))
        try:
            client.wait_answered(20)
            waiter.start()
            self.pod.app.wait_line("slow")
            # 1. All hooks at once. The application's is a sleep: it, and we, serve on.
            status, output = self.pod.run_pre_stop()
            self.assertEqual((status, output), (0, ""))
            self.assertEqual(self.pod.probe("readinessProbe"), 503)
            self.assertEqual(self.pod.probe("livenessProbe"), 200)
            client.wait_answered(50)
            self.pod.ask("/items/2", headers={"Authorization": "Bearer late"})
            self.assertIsNone(self.pod.gateway.process.poll(), "the hook must not end the sidecar")
            # 2. Every node has heard that the endpoint is gone, and the sleep is over.
            client.endpoint_is_gone()
            self.pod.app.terminate()
            self.pod.app.wait_line("draining")
            self.pod.gate.write_text("")
            # 3. The sidecar is told when the application has ended.
            self.assertEqual(self.pod.app.wait(), 0)
            status, fields, _ = self.pod.ask("/items/2", headers={"Authorization": "Bearer late"})
            self.assertEqual(status, 200, "what is fresh needs no application")
            self.assertIn("hit", fields["cache-status"])
            self.assertIn(self.pod.ask("/unknown")[0], (502, 503))
            self.pod.gateway.terminate()
            self.assertEqual(self.pod.gateway.wait(), 0)
        finally:
            client.endpoint_is_gone()
            self.pod.gate.write_text("")
            waiter.join(60)
        self.assertEqual([], client.failures[:3])
        self.assertGreaterEqual(client.answered, 70)
        self.assertEqual([one[0] for one in slow], [200])

    def test_a_sidecar_that_is_told_first_lets_requests_finish(self):
        """Whoever has no native sidecars gets SIGTERM in any order."""
        self.start()
        slow = []
        waiter = threading.Thread(target=lambda: slow.append(self.pod.ask("/slow")))
        waiter.start()
        self.pod.app.wait_line("slow")
        self.pod.gateway.terminate()
        self.pod.gateway.wait_line("draining")
        self.pod.gate.write_text("")
        waiter.join(60)
        self.assertEqual([one[0] for one in slow], [200])
        self.assertEqual(self.pod.gateway.wait(), 0)


if __name__ == "__main__":
    unittest.main()
