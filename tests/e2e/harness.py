"""What every journey needs: a gateway started and stopped, its clock, upstreams and clients.

Everything runs on free ports or UNIX sockets in a temporary directory, is bounded in time, and is
ended by process id. Environment: CACHEGATE names the binary (else build/dev/cachegate).
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

from client import Answer, CacheStatus, Client, exchange_raw, split_answers  # noqa: F401
from upstream import App, EchoApp, Gate, Reply, Request, Upstream  # noqa: F401

os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"  # curl is to reach the gateway, always

TREE = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = TREE / "conf" / "examples"
READY_S = 60
STOP_S = 60
ADMIN_TOKEN = "journey-admin-token"
SANITIZER_REPORT = re.compile(
    r"(ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|assertion failed)")


def binary():
    path = os.environ.get("CACHEGATE") or str(TREE / "build" / "dev" / "cachegate")
    if not os.access(path, os.X_OK):
        raise AssertionError("no gateway at %s; build it or set CACHEGATE" % path)
    return path


def sanitizer():
    """`address`, `thread` or None: memory and speed under one say nothing about the gateway."""
    with open(binary(), "rb") as file:
        content = file.read()
    if b"__tsan_init" in content:
        return "thread"
    return "address" if b"__asan_init" in content else None


class Gateway:
    """One gateway process.

    `rules` is the text of a rule file, or a path. `config` is merged over the base configuration.
    With `config_file` an operator's own file is used, and only addresses are given by flags.
    `output` is its standard output.
    """

    def __init__(self, upstream=None, rules=None, config=None, config_file=None, environment=None,
                 arguments=(), listen=("127.0.0.1:0",), threads=2, output=subprocess.DEVNULL):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="cachegate-e2e-"))
        self.clock_file = self.directory / "clock"
        self.clock_file.write_bytes(struct.pack("<q", 0))
        self.offset_ms = 0
        self.lines = []
        self._changed = threading.Condition()
        self._ended = False
        self._expected_end = False
        self._clients = []
        command = [binary(), "run"]
        if config_file:
            command += ["-c", str(config_file), "--upstream", upstream.url,
                        "--admin", "127.0.0.1:0", "--threads", str(threads)]
            for address in listen:
                command += ["--listen", address]
        else:
            command += ["-c", str(self._write_config(upstream, rules, config, listen, threads))]
        command += list(arguments)
        variables = dict(os.environ, CACHEGATE_TEST_CLOCK=str(self.clock_file),
                         CACHEGATE_ADMIN_TOKEN=ADMIN_TOKEN)
        variables.update(environment or {})
        self.command = shlex.join(command)
        self.process = subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL,
                                        stdout=output, stderr=subprocess.PIPE,
                                        text=True, errors="replace")
        self._reader = threading.Thread(target=self._read_stderr, daemon=True)
        self._reader.start()
        try:
            self._take_addresses(self.wait_line(r" ready ", READY_S))
        except BaseException:
            self._end()
            raise

    def _write_config(self, upstream, rules, config, listen, threads):
        rule_file = rules
        if not isinstance(rules, pathlib.Path):
            rule_file = self.directory / "rules.yaml"
            rule_file.write_text(rules or "routes: []\n")
        base = {"listen": list(listen), "admin": {"listen": "127.0.0.1:0"}, "threads": threads,
                "identity": [{"header": "Authorization"}], "rules": [str(rule_file)]}
        if upstream is not None:
            base["upstream"] = upstream.url
        base.update(config or {})
        path = self.directory / "cachegate.yaml"
        path.write_text(json.dumps({k: v for k, v in base.items() if v is not None}, indent=1))
        return path

    def _read_stderr(self):
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_line(self, pattern, timeout_s=READY_S):
        """The first line of the log that matches; waits for it."""
        expression = re.compile(pattern)

        def found():
            return next((line for line in self.lines if expression.search(line)), None)

        with self._changed:
            self._changed.wait_for(lambda: found() or self._ended, timeout_s)
            line = found()
        if line is None:
            raise AssertionError("no line like %r from: %s\n%s"
                                 % (pattern, self.command, "\n".join(self.lines)))
        return line

    def _take_addresses(self, line):
        """Addresses of the `ready` line: those of its `admin=` value, and all others."""
        address = r"unix:[^\s\",]+|\[[0-9a-fA-F:.]*\]:\d+|[\w.*-]+:\d+"
        line = re.sub(r"^\S+Z ", "", line)  # the time of day looks like an address
        admin = re.search(r"\badmin=\"?(%s)" % address, line)
        self.admin_address = admin.group(1) if admin else None
        if admin:
            line = line[:admin.start()] + line[admin.end():]
        self.addresses = [re.sub(r"^(0\.0\.0\.0|\*)?:", "127.0.0.1:", found)
                          for found in re.findall(address, line)]
        if not self.addresses:
            raise AssertionError("the ready line names no address: " + line)
        self.address = self.addresses[0]

    # Talking to it.

    def client(self, address=None):
        client = Client(address or self.address)
        self._clients.append(client)
        return client

    @property
    def _default_client(self):
        if not hasattr(self, "_client"):
            self._client = self.client()
        return self._client

    def request(self, method, target, **arguments):
        return self._default_client.request(method, target, **arguments)

    def get(self, target, user=None, **arguments):
        return self.request("GET", target, user=user, **arguments)

    def admin(self, method, path, body=None, token=ADMIN_TOKEN):
        headers = {"Authorization": "Bearer " + token} if token else {}
        return Client(self.admin_address).request(method, path, headers=headers, body=body)

    def stats(self):
        return self.admin("GET", "/cache/stats").json()

    def raw(self, bytes_, half_close=False):
        return exchange_raw(self.address, bytes_, half_close)

    def advance(self, seconds):
        """Moves the gateway's wall clock ahead: lifetimes pass without waiting."""
        self.offset_ms += int(seconds * 1000)
        descriptor = os.open(self.clock_file, os.O_WRONLY)
        try:
            os.pwrite(descriptor, struct.pack("<q", self.offset_ms), 0)
        finally:
            os.close(descriptor)

    def memory_peak_kb(self):
        status = pathlib.Path("/proc/%d/status" % self.process.pid).read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status).group(1))

    def sleeps(self):
        """How often its threads had nothing to do: a loop that spins never has."""
        return sum(int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", status.read_text()).group(1))
                   for status in pathlib.Path("/proc/%d/task" % self.process.pid).glob("*/status"))

    # Its end.

    def expect_end(self, status=None):
        """The process ends by itself (a test has signalled it), with this status if given."""
        ended = self.process.wait(STOP_S)
        self._expected_end = True
        if status is not None and ended != status:
            raise AssertionError("the gateway ended with %d:\n%s" % (ended, "\n".join(self.lines[-60:])))

    def stop(self):
        """SIGTERM, and all that a clean end means: status 0, no sanitizer report."""
        running = self.process.poll() is None
        if running:
            self._expected_end = False
            self.process.send_signal(signal.SIGTERM)
        for client in self._clients:
            client.close()
        try:
            status = self.process.wait(STOP_S)
            self._reader.join(STOP_S)
        except subprocess.TimeoutExpired:
            status = "still running %d s after SIGTERM" % STOP_S
        log = "\n".join(self.lines[-60:])
        self._end()
        if self._expected_end:
            status = 0
        elif not running:
            status = "it had ended by itself, %s" % status
        if status != 0 or SANITIZER_REPORT.search("\n".join(self.lines)):
            raise AssertionError("the gateway ended badly (%s):\n%s" % (status, log))
        self._expected_end = True  # a second time does nothing

    def freeze(self):
        freeze(self.process)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        """SIGKILL: no clean end. Returns the log."""
        self._expected_end = True
        self._end()
        return list(self.lines)

    def _end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(STOP_S)
        self.process.stderr.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class Journey(unittest.TestCase):
    """A test case whose gateways and upstreams end with it."""

    maxDiff = None

    def upstream(self, app=None, **arguments):
        upstream = Upstream(app, **arguments)
        self.addCleanup(upstream.stop)
        return upstream

    def gateway(self, upstream=None, rules=None, **arguments):
        gateway = Gateway(upstream, rules, **arguments)
        self.addCleanup(gateway.stop)
        return gateway

    def directory(self):
        path = pathlib.Path(tempfile.mkdtemp(prefix="cachegate-e2e-"))
        self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        return path

    def assertHit(self, answer, message=None):
        self.assertTrue(answer.cache.hit, message or "expected a hit: %r" % answer)

    def assertMiss(self, answer, detail=None):
        """Asked upstream with intent to store, and stored."""
        self.assertFalse(answer.cache.hit, "expected a miss: %r" % answer)
        self.assertTrue(answer.cache.stored, "expected it to be stored: %r" % answer)
        if detail is not None:
            self.assertEqual(answer.cache.detail, detail, repr(answer))

    def assertPassed(self, answer, detail=None):
        """Asked upstream and not stored."""
        self.assertFalse(answer.cache.hit, "expected a pass: %r" % answer)
        self.assertFalse(answer.cache.stored, "expected it not to be stored: %r" % answer)
        if detail is not None:
            self.assertEqual(answer.cache.detail, detail, repr(answer))


class ExampleJourney(Journey):
    """An example of conf/examples in front of a fake of its application.

    `example` names the folder, `make_app` the fake. `identity_fields(user)` says how a request
    shows who asks.
    """

    example = None
    make_app = None

    def setUp(self):
        if self.example is None:
            self.skipTest("a base class")
        self.origin = self.upstream(type(self).make_app())
        self.front = self.gateway(self.origin,
                                  config_file=EXAMPLES / self.example / "cachegate.yaml",
                                  environment=self.environment())

    def environment(self):
        return {}

    def identity_fields(self, user):
        return {"Authorization": "Bearer token-of-" + user}

    def read(self, target, user="alice"):
        answer = self.front.get(target, headers=self.identity_fields(user))
        self.assertEqual(answer.status, 200, repr(answer))
        return answer

    def write(self, method, target, user="alice", body=None):
        answer = self.front.request(method, target, headers=self.identity_fields(user), body=body)
        self.assertIn(answer.status, (200, 201, 204), repr(answer))
        self.assertFalse(answer.cache.hit, repr(answer))
        return answer

    def warm(self, *targets, users=("alice", "bob")):
        for user in users:
            for target in targets:
                self.read(target, user)
                self.assertHit(self.read(target, user), "%s for %s does not warm" % (target, user))

    def stats_with_sets(self, count):
        """A fill is counted when the store has acknowledged it; no reader waits for that."""
        wait_until(lambda: self.front.stats()["sets"] >= count, "%d fills are acknowledged" % count)
        return self.front.stats()

    def assertStale(self, *targets, users=("alice", "bob")):
        """Each is asked upstream again, and then warm again."""
        for user in users:
            for target in targets:
                answer = self.read(target, user)
                self.assertFalse(answer.cache.hit, "%s for %s was not purged" % (target, user))
                self.assertHit(self.read(target, user))

    def assertUntouched(self, *targets, users=("alice", "bob")):
        for user in users:
            for target in targets:
                self.assertHit(self.read(target, user), "%s for %s was purged" % (target, user))

    def assertLifetime(self, target, seconds, user="alice"):
        """Fresh until just before `seconds`, gone just after."""
        self.front.advance(400 * 86400)  # whatever was stored before is over
        self.assertMiss(self.read(target, user))
        self.front.advance(seconds - 5)
        self.assertHit(self.read(target, user), "%s did not live %d s" % (target, seconds))
        self.front.advance(10)
        self.assertMiss(self.read(target, user))


def wait_until(condition, what, timeout_s=30):
    """For states that only a poll can see, such as a counter of the gateway."""
    done = threading.Event()
    for _ in range(int(timeout_s / 0.02)):
        if condition():
            return
        done.wait(0.02)
    raise AssertionError("did not come to pass: " + what)


def freeze(process):
    """SIGSTOP, and until each thread has heard of it: on a busy machine they run on for a while."""
    def stopped():
        try:
            return all(status.read_text().rsplit(") ", 1)[1][0] in "TtZX"
                       for status in pathlib.Path("/proc/%d/task" % process.pid).glob("*/stat"))
        except OSError:  # a thread that ends meanwhile
            return False

    process.send_signal(signal.SIGSTOP)
    wait_until(stopped, "every thread has stopped")


def curl(*arguments):
    """Runs curl; (status, head, body). For what http.client cannot speak."""
    result = subprocess.run(["curl", "--silent", "--show-error", "--max-time", "60", "--include",
                             *arguments], capture_output=True, timeout=90, check=False)
    if result.returncode != 0:
        raise AssertionError("curl failed (%d): %s" % (result.returncode, result.stderr.decode()))
    head, _, body = result.stdout.partition(b"\r\n\r\n")
    fields = []
    status_line, *lines = head.decode("latin-1").split("\r\n")
    for line in lines:
        name, _, value = line.partition(":")
        fields.append((name.lower(), value.strip()))
    answer = Answer(int(status_line.split(" ")[1]), fields, body)
    answer.protocol = status_line.split(" ")[0]
    return answer


def seed():
    """The seed of a random journey: CACHEGATE_SEED, or a new one; always printed."""
    value = int(os.environ.get("CACHEGATE_SEED") or int.from_bytes(os.urandom(4), "little"))
    print("seed: CACHEGATE_SEED=%d" % value, file=sys.stderr)
    return value


def main():
    unittest.main(verbosity=2)


__all__ = [name for name in dir() if not name.startswith("_")]
