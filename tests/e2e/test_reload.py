"""What changes without a restart: rules, secrets, tokens, certificates; and what a bad set changes:
nothing."""

import http.client
import json
import os
import random
import re
import shutil
import signal
import ssl
import subprocess
import threading

import test_consistency
import test_redis
from harness import (ADMIN_TOKEN, Client, EchoApp, Journey,
                     binary, main, sanitizer, seed, wait_until)
from redis_servers import SECRET, Redis

RULES = """
routes:
  - match: GET /a
    ttl: {ttl}
    scope: shared
    override: [authorization]
{more}
"""
OFF = {"watch": "off"}


def rules(ttl="5m", more=""):
    return RULES.format(ttl=ttl, more=more)


def replace(path, text):
    """As a careful program does: the file is never half there."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    os.replace(beside, path)


class Reloading(Journey):
    reload = OFF

    def setUp(self):
        self.origin = self.upstream(EchoApp())

    def start(self, text=None, **config):
        self.front = self.gateway(self.origin, text or rules(), config={
            "reload": self.reload, "upstreams": {"api": self.origin.url, "other": self.origin.url},
            **config})
        self.rule_file = self.front.directory / "rules.yaml"
        self.config_file = self.front.directory / "cachegate.yaml"
        return self.front

    def gateway(self, upstream=None, text=None, config=None, **arguments):
        config = dict(config or {})
        if "upstreams" in config:
            config["upstream"] = None
        return super().gateway(upstream, text, config=config, **arguments)

    def ask(self):
        return self.front.admin("POST", "/reload")

    def change(self, text):
        replace(self.rule_file, text)
        answer = self.ask()
        self.assertEqual(answer.status, 200, repr(answer))
        return answer

    def configure(self, **changes):
        config = json.loads(self.config_file.read_text())
        config.update(changes)
        replace(self.config_file, json.dumps({k: v for k, v in config.items() if v is not None}))

    def health(self):
        return self.front.admin("GET", "/cache/health").json()["configuration"]

    def metric(self, name):
        text = self.front.admin("GET", "/metrics").body.decode()
        return float(re.search(r"^%s(?:\{[^}]*\})? (\S+)$" % name, text, re.M).group(1))

    def generation(self):
        return self.health()["generation"]


class Rules(Reloading):
    def test_a_lifetime_a_new_route_and_one_that_is_gone(self):
        self.start()
        self.assertMiss(self.front.get("/a"))
        self.assertPassed(self.front.get("/b"), "no-route")
        self.change(rules("1h", "  - match: GET /b\n    ttl: 1m\n    scope: shared\n"))
        self.assertEqual(self.front.get("/a").cache.ttl, 3600)
        self.assertMiss(self.front.get("/b"))
        self.assertHit(self.front.get("/b"))
        self.change("routes: []\n")
        self.assertPassed(self.front.get("/a"), "no-route")
        self.assertEqual(self.generation(), 3)

    def test_what_did_not_change_stays_stored(self):
        self.start(rules(more="  - match: GET /kept\n    ttl: 1h\n    scope: shared\n"))
        for target in ("/a", "/kept"):
            self.assertMiss(self.front.get(target))
        self.change(rules("1m", "  - match: GET /kept\n    ttl: 1h\n    scope: shared\n"))
        self.assertHit(self.front.get("/kept"))
        self.assertMiss(self.front.get("/a"))

    def test_an_answer_kept_for_longer_does_not_outlive_a_shorter_rule(self):
        self.start(rules("1d"))
        self.assertMiss(self.front.get("/a"))
        self.change(rules("10s"))
        self.assertMiss(self.front.get("/a"))
        self.front.advance(20)
        self.assertMiss(self.front.get("/a"))

    def test_rules_away_and_back_show_nothing_that_was_written_meanwhile(self):
        sound = rules(more="  - match: PUT /things/{id}\n    invalidate: [/a]\n")
        self.start(sound)
        before = self.front.get("/a").json()["number"]
        self.change(rules(more="  - match: PUT /things/{id}\n    invalidate: none\n"))
        self.front.request("PUT", "/things/1", body={})
        self.change(sound)
        answer = self.front.get("/a")
        self.assertMiss(answer)
        self.assertGreater(answer.json()["number"], before)

    def test_from_a_users_copy_to_a_shared_one_and_back(self):
        private = "routes: [{match: GET /a, ttl: 1h}]\n"
        self.start(private)
        self.assertMiss(self.front.get("/a", "alice"))
        self.change(rules("1h"))
        answer = self.front.get("/a", "bob")
        self.assertMiss(answer)
        self.assertEqual(self.front.get("/a", "alice").json()["user"], "Bearer bob")
        self.change(private)
        for user in ("alice", "bob"):
            self.assertEqual(self.front.get("/a", user).json()["user"], "Bearer " + user)

    def test_identity_changes(self):
        self.start("routes: [{match: GET /a, ttl: 1h}]\n")
        self.assertMiss(self.front.get("/a", "alice"))
        self.configure(identity=[{"header": "X-User"}])
        self.assertEqual(self.ask().status, 200)
        self.assertPassed(self.front.get("/a", "alice"), "uncovered-credential")
        self.assertMiss(self.front.get("/a", headers={"X-User": "alice"}))

    def test_groups_of_new_rules_can_be_purged(self):
        self.start()
        self.assertEqual(self.front.admin("DELETE", "/cache/one/1").status, 404)
        self.change("groups: {one: ['/a?id={id}']}\n" + rules())
        self.assertMiss(self.front.get("/a?id=1"))
        self.assertEqual(self.front.admin("DELETE", "/cache/one/1").status, 200)
        self.assertMiss(self.front.get("/a?id=1"))

    def test_limits_that_requests_obey_change(self):
        self.start()
        self.configure(limits={"flight_wait": "123ms"}, via="other-name", log={"level": "debug"})
        self.assertEqual(self.ask().status, 200)
        self.assertIn("other-name", self.front.get("/a").field("cache-status"))
        self.front.wait_line(r"debug request-step ")
        self.configure(limits={"flight_wait": "0"}, cache=False)
        self.assertEqual(self.ask().status, 200)
        self.assertPassed(self.front.get("/a"))

    def test_what_is_warmed_is_asked_for_again(self):
        self.start(warm={"requests": ["/a"]})
        wait_until(lambda: self.origin.count("/a") == 1, "/a is warmed")
        self.change(rules("1h"))
        wait_until(lambda: self.origin.count("/a") == 2, "/a is warmed again")
        wait_until(lambda: self.front.get("/a").cache.hit, "/a is stored again")


class BadSets(Reloading):
    def test_every_mistake_is_told_and_the_old_rules_stay(self):
        self.start()
        self.assertMiss(self.front.get("/a"))
        replace(self.rule_file, rules("soon") + "  - mitch: GET /b\n")
        answer = self.ask()
        self.assertEqual(answer.status, 422)
        problems = "\n".join(answer.json()["problems"])
        self.assertRegex(problems, r"rules\.yaml:4: routes\[0\]\.ttl: .*soon")
        self.assertRegex(problems, r"rules\.yaml:8: .*mitch")
        self.assertHit(self.front.get("/a"))
        health = self.health()
        self.assertEqual((health["generation"], health["last_reload"]), (1, "refused"))
        self.assertRegex(health["error"], r"rules\.yaml:4: routes\[0\]\.ttl: ")
        self.front.wait_line(r"error reload-refused .*rules\.yaml:4: ")
        self.front.wait_line(r"error reload-refused .*rules\.yaml:8: ")
        self.change(rules("1h"))
        health = self.health()
        self.assertEqual((health["generation"], health["last_reload"]), (2, "ok"))
        self.assertNotIn("error", health)

    def test_metrics_say_so(self):
        self.start()
        self.assertEqual(self.metric("cachegate_config_generation"), 1)
        self.assertEqual(self.metric("cachegate_config_last_reload_successful"), 1)
        replace(self.rule_file, "nonsense: 1\n")
        self.ask()
        self.assertEqual(self.metric("cachegate_config_last_reload_successful"), 0)
        self.assertEqual(self.metric("cachegate_config_generation"), 1)
        self.change(rules("1h"))
        self.assertEqual(self.metric("cachegate_config_last_reload_successful"), 1)
        self.assertEqual(self.metric("cachegate_config_generation"), 2)

    def test_a_file_that_is_gone(self):
        self.start()
        self.rule_file.unlink()
        answer = self.ask()
        self.assertEqual(answer.status, 422)
        self.assertIn("rules.yaml", answer.json()["problems"][0])
        self.assertMiss(self.front.get("/a"))

    def test_an_unknown_upstream_is_a_mistake_even_if_the_file_now_names_it(self):
        self.start()
        self.configure(upstreams={"api": self.origin.url, "new": self.origin.url})
        replace(self.rule_file, rules() + "    upstream: new\n")
        self.assertEqual(self.ask().status, 422)
        self.assertMiss(self.front.get("/a"))

    def test_the_command_prints_what_is_wrong_and_ends_with_1(self):
        self.start()

        def command(*where):
            where = where or ("--admin", self.front.admin_address, "--token", ADMIN_TOKEN)
            return subprocess.run([binary(), "reload", *where], capture_output=True, text=True,
                                  timeout=60, check=False)

        good = command()
        self.assertEqual(good.returncode, 0, good.stderr)
        self.assertEqual(json.loads(good.stdout)["generation"], 2)
        replace(self.rule_file, rules("soon"))
        bad = command()
        self.assertEqual(bad.returncode, 1)
        self.assertRegex(bad.stderr, r"rules\.yaml:4: routes\[0\]\.ttl: ")
        self.assertIn("stays", bad.stderr)
        # Where to ask stands in a configuration whose rules are the broken ones.
        config = json.loads(self.config_file.read_text())
        config["admin"] = {"listen": self.front.admin_address, "token": ADMIN_TOKEN}
        there = self.front.directory / "there.yaml"
        there.write_text(json.dumps(config))
        self.assertEqual(command("-c", str(there)).stderr.replace("%s: " % there, "", 1), bad.stderr)
        self.assertEqual(self.health()["last_reload"], "refused")

    def test_without_the_token_nothing_is_read(self):
        self.start()
        self.assertEqual(self.front.admin("POST", "/reload", token="wrong").status, 401)
        self.assertEqual(self.generation(), 1)

    def test_what_did_not_change_is_not_named(self):
        folder = self.directory()
        (folder / "token").write_text("a token of this test\n")
        self.start(admin={"listen": "127.0.0.1:0", "token_file": str(folder / "token")},
                   listen=["127.0.0.1:0", "unix:" + str(folder / "socket"),
                           {"address": "127.0.0.1:0", "proxy_protocol": True}],
                   log={"access": str(folder / "access"), "secret_query": ["mine*"]},
                   store={"memory": "64MB"}, warm={"requests": [
                       "/a", {"url": "/b", "headers": {"Authorization": "Bearer x"}}]},
                   upstreams={"api": {"url": self.origin.url, "timeouts": {"connect": "1s"}},
                              "other": "https://localhost:1/base"},
                   limits={"connections": 500})
        warnings = "\n".join(self.ask().json()["warnings"])
        self.assertNotIn("cannot change", warnings)

    def test_what_cannot_change_is_named_and_the_rest_is_taken(self):
        self.start()
        replace(self.rule_file, rules("1h"))
        self.configure(threads=3, listen=["127.0.0.1:1"], store={"memory": "64MB"},
                       upstreams={"api": "http://127.0.0.1:1"})
        answer = self.ask()
        self.assertEqual(answer.status, 200, repr(answer))
        warnings = "\n".join(answer.json()["warnings"])
        for name in ("threads", "listen", "store.memory", "upstreams"):
            self.assertIn("`%s` cannot change while the gateway runs" % name, warnings)
        self.assertEqual(self.front.get("/a").cache.ttl, 3600)
        self.front.wait_line(r"warn reload .*`threads` cannot change")


class Signals(Reloading):
    def test_sighup(self):
        self.start()
        replace(self.rule_file, rules("1h"))
        self.front.process.send_signal(signal.SIGHUP)
        self.front.wait_line(r"reloaded generation=2\b")
        self.assertEqual(self.front.get("/a").cache.ttl, 3600)

    def test_many_at_once(self):
        self.start()
        for _ in range(50):
            self.front.process.send_signal(signal.SIGHUP)
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.ask().status))
                   for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(answers, [200] * 20)

    def test_the_end_does_not_wait_for_changes(self):
        self.start()
        for _ in range(20):
            self.front.process.send_signal(signal.SIGHUP)
        self.front.stop()


class Watching(Reloading):
    reload = {"watch": "on", "debounce": "20ms", "poll": "1h"}

    def atomic_writer(self, folder, files):
        """What kubelet does to a mounted ConfigMap or Secret."""
        self.number = getattr(self, "number", 0) + 1
        fresh = folder / ("..2026_%d" % self.number)
        fresh.mkdir()
        for name, text in files.items():
            (fresh / name).write_text(text)
        before = os.readlink(folder / "..data") if (folder / "..data").is_symlink() else None
        os.symlink(fresh.name, folder / "..data_tmp")
        os.rename(folder / "..data_tmp", folder / "..data")
        for name in files:
            if not (folder / name).is_symlink():
                os.symlink("..data/" + name, folder / name)
        if before:
            shutil.rmtree(folder / before)

    def mounted(self, **config):
        self.mount = self.directory()
        self.atomic_writer(self.mount, {"rules.yaml": rules()})
        self.start(rules=[str(self.mount / "*.yaml")], **config)

    def wait_generation(self, number):
        self.front.wait_line(r"reloaded generation=%d\b" % number)

    def test_a_config_map_that_is_swapped_again_and_again(self):
        self.mounted()
        self.assertMiss(self.front.get("/a"))
        for number in range(2, 6):
            self.atomic_writer(self.mount, {"rules.yaml": rules("%dh" % number)})
            self.wait_generation(number)
            self.assertEqual(self.front.get("/a").cache.ttl, 3600 * number)

    def test_another_file_appears(self):
        self.mounted()
        self.atomic_writer(self.mount, {
            "rules.yaml": rules(), "more.yaml": "routes: [{match: GET /b, ttl: 1h, scope: shared}]\n"})
        self.wait_generation(2)
        self.assertMiss(self.front.get("/b"))

    def test_a_bad_swap_is_refused_and_the_next_good_one_is_taken(self):
        self.mounted()
        self.atomic_writer(self.mount, {"rules.yaml": rules("soon")})
        self.front.wait_line(r"reload-refused .*soon")
        self.assertMiss(self.front.get("/a"))
        self.atomic_writer(self.mount, {"rules.yaml": rules("1h")})
        self.wait_generation(2)

    def test_the_same_contents_again_change_nothing(self):
        self.mounted()
        self.atomic_writer(self.mount, {"rules.yaml": rules()})
        self.atomic_writer(self.mount, {"rules.yaml": rules("1h")})
        self.wait_generation(2)
        self.assertEqual(self.generation(), 2)

    def test_a_file_written_in_place_and_the_configuration_itself(self):
        self.start()
        self.rule_file.write_text(rules("1h"))
        self.wait_generation(2)
        self.configure(via="another")
        self.wait_generation(3)
        self.assertIn("another", self.front.get("/a").field("cache-status"))

    def test_poll_finds_what_nobody_tells(self):
        self.mounted(reload={"watch": "poll", "debounce": "0s", "poll": "20ms"})
        self.atomic_writer(self.mount, {"rules.yaml": rules("1h")})
        self.wait_generation(2)

    def test_off_is_off_until_asked(self):
        self.mounted(reload=OFF)
        self.atomic_writer(self.mount, {"rules.yaml": rules("1h")})
        self.assertMiss(self.front.get("/a"))
        self.assertHit(self.front.get("/a"))
        self.assertEqual(self.ask().status, 200)
        self.assertEqual(self.front.get("/a").cache.ttl, 3600)


class Secrets(Reloading):
    def test_the_admin_token_is_read_again(self):
        folder = self.directory()
        token = folder / "token"
        token.write_text("the-first-token\n")
        self.origin_rules = rules()
        self.front = self.gateway(self.origin, rules(), config={
            "reload": OFF, "admin": {"listen": "127.0.0.1:0", "token_file": str(token)}},
            environment={"CACHEGATE_ADMIN_TOKEN": ""})

        def purge(text):
            return (self.front.admin("POST", "/cache/purge", {"patterns": ["/a"]}, token=text).status,
                    self.front.request("PURGE", "/a", headers={"Authorization": "Bearer " + text}).status)

        self.assertEqual(purge("the-first-token"), (200, 200))
        replace(token, "the-second-token\n")
        self.assertEqual(self.front.admin("POST", "/reload", token="the-first-token").status, 200)
        self.assertEqual(purge("the-first-token"), (401, 405))
        self.assertEqual(purge("the-second-token"), (200, 200))

    def test_what_has_no_end_is_refused_in_time(self):
        folder = self.directory()
        secret = folder / "secret"
        secret.write_text("one secret that is long enough")
        self.start(secret_file=str(secret))
        for path in (secret, self.rule_file, self.config_file):
            text = path.read_text()
            for make in (os.mkfifo, lambda name: os.symlink("/dev/zero", name), os.mkdir):
                path.unlink()
                make(path)
                answer = self.ask()
                self.assertEqual(answer.status, 422, repr((path, make, answer)))
                self.assertIn(str(path), "\n".join(answer.json()["problems"]))
                path.rmdir() if path.is_dir() else path.unlink()
                path.write_text(text)
            self.assertEqual(self.ask().status, 200)
        secret.unlink()
        os.mkfifo(secret)
        self.front.process.send_signal(signal.SIGHUP)
        self.front.process.terminate()  # a reload that waits does not hold up the end
        self.front.expect_end(0)

    def test_the_deployment_secret_away_and_back(self):
        secret = self.directory() / "secret"
        secret.write_text("one secret that is long enough")
        self.start(rules(more="  - match: PUT /a\n"), secret_file=str(secret))
        before = self.front.get("/a").json()["number"]
        self.assertHit(self.front.get("/a"))
        replace(secret, "another secret that is long enough")
        self.assertEqual(self.ask().status, 200)
        self.assertMiss(self.front.get("/a"))
        self.front.request("PUT", "/a", body={})
        replace(secret, "one secret that is long enough")
        self.assertEqual(self.ask().status, 200)
        self.assertGreater(self.front.get("/a").json()["number"], before)

    def test_a_secret_of_the_process_is_carried_over(self):
        self.start()
        self.assertMiss(self.front.get("/a"))
        self.assertEqual(self.ask().status, 200)
        self.assertHit(self.front.get("/a"))


class Certificates(Reloading):
    def make(self, name):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=" + name, "-keyout", self.keys / "new-key.pem",
             "-out", self.keys / "new-certificate.pem"],
            check=True, capture_output=True, timeout=60)
        for part in ("key", "certificate"):
            os.replace(self.keys / ("new-%s.pem" % part), self.keys / (part + ".pem"))

    def setUp(self):
        super().setUp()
        self.keys = self.directory()
        self.make("first")
        self.start(listen=[{"address": "127.0.0.1:0", "tls": True}], tls={
            "certificate": str(self.keys / "certificate.pem"), "key": str(self.keys / "key.pem")})

    def connect(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        host, _, port = self.front.address.rpartition(":")
        connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=60)
        connection.connect()
        self.addCleanup(connection.close)
        return connection

    def name(self, connection=None):
        certificate = (connection or self.connect()).sock.getpeercert(binary_form=True)
        text = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-subject"],
                              input=certificate, capture_output=True, timeout=60, check=True).stdout
        return text.decode().rpartition("=")[2].strip()

    def get(self, connection):
        connection.request("GET", "/a")
        return connection.getresponse().read()

    def test_new_connections_see_the_new_one_and_old_ones_go_on(self):
        old = self.connect()
        self.assertEqual(self.name(old), "first")
        self.make("second")
        self.assertEqual(self.ask().status, 200)
        self.assertEqual(self.name(), "second")
        self.assertTrue(self.get(old))
        self.assertTrue(self.get(self.connect()))

    def test_a_pipe_and_a_device_are_refused_in_time(self):
        for name in ("certificate.pem", "key.pem"):
            for make in (os.mkfifo, lambda file: os.symlink("/dev/zero", file)):
                (self.keys / name).unlink()
                make(self.keys / name)
                answer = self.ask()
                self.assertEqual(answer.status, 422)
                self.assertIn(name, "\n".join(answer.json()["problems"]))
                (self.keys / name).unlink()
                self.make("first")
        self.assertEqual(self.name(), "first")

    def test_a_broken_one_leaves_the_old_one(self):
        (self.keys / "certificate.pem").write_text("no certificate\n")
        answer = self.ask()
        self.assertEqual(answer.status, 422)
        self.assertIn("certificate", "\n".join(answer.json()["problems"]))
        self.assertEqual(self.name(), "first")
        self.make("third")
        self.assertEqual(self.ask().status, 200)
        self.assertEqual(self.name(), "third")


class OnRedis(Reloading):
    def setUp(self):
        super().setUp()
        self.redis = Redis()
        self.addCleanup(self.redis.close)

    def start(self, text=None, environment=None, **config):
        self.front = self.gateway(self.origin, text or rules(), config={
            "reload": self.reload, "upstreams": {"api": self.origin.url}, **config},
            environment=dict({"CACHEGATE_STORE_REDIS": self.redis.url, "CACHEGATE_SECRET": SECRET,
                              "CACHEGATE_STORE_TIMEOUT": "10s"}, **environment or {}))
        self.rule_file = self.front.directory / "rules.yaml"
        self.config_file = self.front.directory / "cachegate.yaml"
        test_redis.wait_connected(self.front)

    def warm(self, target, **arguments):
        self.front.get(target, **arguments)
        wait_until(lambda: self.front.get(target, **arguments).cache.hit, target + " is stored")

    def names(self):
        return sorted(key.decode().split(":")[2] for key in self.redis.keys("*:e:*"))

    def test_changed_routes_begin_anew_and_new_ones_have_names(self):
        self.start(rules(more="  - match: GET /kept\n    ttl: 1h\n    scope: shared\n"
                              "    override: [authorization]\n"))
        for target in ("/a", "/kept"):
            self.warm(target)
        self.change("routes:\n  - match: GET /new\n    name: fresh\n    ttl: 2d\n    scope: shared\n"
                    + rules("1h", "  - match: GET /kept\n    ttl: 1h\n    scope: shared\n"
                                  "    override: [authorization]\n").replace("routes:\n", ""))
        self.assertHit(self.front.get("/kept"))
        answer = self.front.get("/a")
        self.assertMiss(answer)
        self.assertEqual(answer.cache.ttl, 3600)
        self.warm("/new")
        self.assertEqual(self.names().count("fresh"), 1)
        # What keeps answers for longer keeps versions for longer.
        lives = [int(self.redis.command("PTTL", key)) for key in self.redis.keys("*:v:*")]
        self.assertGreater(max(lives), 2 * 86400 * 1000)

    def test_away_and_back(self):
        sound = rules(more="  - match: PUT /things/{id}\n    invalidate: [/a]\n")
        self.start(sound)
        self.warm("/a")
        before = self.front.get("/a").json()["number"]
        self.change(rules(more="  - match: PUT /things/{id}\n    invalidate: none\n"))
        self.front.request("PUT", "/things/1", body={})
        self.change(sound)
        self.assertGreater(self.front.get("/a").json()["number"], before)

    def test_the_secret_is_rotated_without_a_restart(self):
        folder = self.directory()
        (folder / "secret").write_text("one secret that is long enough")
        (folder / "previous").write_text("another secret that is long enough")
        self.start("routes: [{match: GET /a, ttl: 1h}]\n", environment={"CACHEGATE_SECRET": ""},
                   secret_file=str(folder / "secret"), secret_previous_file=str(folder / "previous"))
        self.warm("/a", user="alice")
        replace(folder / "secret", "another secret that is long enough")
        replace(folder / "previous", "one secret that is long enough")
        self.assertEqual(self.ask().status, 200)
        self.assertHit(self.front.get("/a", user="alice"))

    def test_while_redis_is_away(self):
        self.start()
        self.warm("/a")
        self.redis.kill()
        self.change(rules("1h"))
        self.assertEqual(self.front.get("/a").status, 200)
        self.change(rules("2h"))
        self.assertEqual(self.generation(), 3)

    def end_while_a_change_waits(self, **config):
        self.start(environment={"CACHEGATE_STORE_ON_OUTAGE": "memory"}, **config)
        self.warm("/a")
        self.addCleanup(self.redis.thaw)
        self.redis.freeze()
        replace(self.rule_file, rules("1h"))
        self.front.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.health()["alive"] == 2, "it has begun")
        self.front.stop()

    def test_redis_is_given_up_between_the_end_of_reloading_and_that_of_the_threads(self):
        self.end_while_a_change_waits(drain_accept="3s")

    def test_the_threads_end_while_a_change_waits_for_redis(self):
        self.end_while_a_change_waits()


class InFlight(Reloading):
    def once(self, method, target):
        client = Client(self.front.address)
        try:
            return client.request(method, target, body={} if method == "PUT" else None)
        finally:
            client.close()

    def test_slow_requests_end_under_the_rules_they_began_with(self):
        self.start()
        gate = self.origin.hold("/a")
        answers = []
        reader = threading.Thread(target=lambda: answers.append(self.once("GET", "/a")))
        reader.start()
        gate.wait_arrived()
        self.change(rules("1h"))
        fresh = self.front.get("/a")  # does not wait for the one in flight
        self.assertMiss(fresh)
        self.assertEqual(fresh.cache.ttl, 3600)
        self.assertEqual(self.health()["alive"], 2)  # that of the start always is
        self.change(rules("2h"))
        gate.release()
        reader.join(60)
        self.assertEqual(answers[0].cache.ttl, 300)
        self.assertMiss(self.front.get("/a"))

    def test_a_slow_write_purges_what_the_new_rules_say(self):
        self.start(rules(more="  - match: PUT /things/{id}\n    invalidate: none\n"))
        gate = self.origin.hold("/things/1")
        writer = threading.Thread(target=self.once, args=("PUT", "/things/1"))
        writer.start()
        gate.wait_arrived()
        self.change(rules(more="  - match: PUT /things/{id}\n    invalidate: [/a]\n"))
        self.assertPassed(self.front.get("/a"), "write-in-flight")
        gate.release()
        writer.join(60)
        self.assertMiss(self.front.get("/a"))
        self.assertHit(self.front.get("/a"))

    def test_a_generation_goes_with_its_last_request(self):
        self.start()
        gates = []
        threads = []
        for number in range(3):
            gates.append(self.origin.hold("/a"))
            threads.append(threading.Thread(target=self.once, args=("GET", "/a")))
            threads[-1].start()
            gates[-1].wait_arrived()
            self.change(rules("%dh" % (number + 1)))
        self.assertEqual(self.health()["alive"], 4)
        for gate, thread in zip(gates, threads):
            gate.release()
            thread.join(60)
        wait_until(lambda: self.health()["alive"] == 2, "two generations are left")


class Load(Reloading):
    def hammer(self, *arguments):
        if shutil.which("h2load") is None:
            self.skipTest("h2load is not installed")
        url = "http://%s/a" % self.front.address
        return subprocess.Popen(["h2load", "-c", "8", "-t", "1", "-D", "4", *arguments, url],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test_no_request_fails_while_rules_change(self):
        self.start()
        for arguments in (("--h1",), ("-m", "10")):
            with self.subTest(arguments):
                load = self.hammer(*arguments)
                number = 0
                while load.poll() is None:
                    number += 1
                    self.change(rules("%dm" % (1 + number % 3)))
                text = load.communicate(timeout=60)[0]
                self.assertGreater(number, 5)
                done = re.search(r"requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, "
                                 r"(\d+) timeout", text)
                self.assertIsNotNone(done, text)
                self.assertGreater(int(done.group(1)), 100)
                self.assertEqual(done.groups()[1:], ("0", "0", "0"), text)
                self.assertRegex(text, r"status codes: \d+ 2xx, 0 3xx, 0 4xx, 0 5xx")

    def test_a_thousand_reloads_hold_no_memory(self):
        self.start()

        def resident_kb():
            with open("/proc/%d/status" % self.front.process.pid) as status:
                return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

        client = Client(self.front.admin_address)
        count = 300 if sanitizer() else 1000
        for number in range(count):
            replace(self.rule_file, rules("%dm" % (1 + number % 50)))
            answer = client.request("POST", "/reload",
                                    headers={"Authorization": "Bearer " + ADMIN_TOKEN})
            self.assertEqual(answer.status, 200)
            self.front.get("/a")
            if number == 200:
                early = resident_kb()
        wait_until(lambda: self.health()["alive"] == 2, "two generations are left")
        self.assertEqual(self.generation(), count + 1)
        if sanitizer() is None:
            self.assertLess(resident_kb() - early, 8192)


class SlowWrites(test_consistency.Versions):
    """Writes that are at the upstream while rules are exchanged, and then commit."""

    def change(self, request, item):
        with self.lock:
            seconds = self.random.random() * 0.2
        self.wakes.wait(seconds)
        return super().change(request, item)


class Exchanged(test_consistency.Run):
    """Readers and writers while rules are exchanged: each set purges all that it caches."""

    SETS = [
        test_consistency.RULES.format(**test_consistency.SOUND),
        # Without what is shared: no write says anything of it.
        """
defaults: { ttl: 20s, scope: user }
groups: { session: ["/list?session={id}", "/sessions/{id}/items"] }
routes:
  - match: GET /items/{id}
  - match: GET /list
  - match: GET /sessions/{id}/items
  - match: PUT /items/{id}
    invalidate: [ { group: session, id: "{response.session}" } ]
  - match: POST /change
    invalidate: [ { group: session, id: "{request.session}" }, "/items/{request.item}" ]
""",
        # Only what is shared, and longer.
        """
defaults: { ttl: 40s, scope: shared, override: [] }
routes:
  - match: GET /shared/{id}
    override: [authorization]
  - match: PUT /items/{id}
    invalidate: [ "/shared/{id}" ]
  - match: POST /change
    invalidate: [ "/shared/{request.item}" ]
""".replace(", override: []", ""),
    ]

    exchanged = 0

    def exchanges(self):
        admin = Client(self.gateway.admin_address)
        number = 0
        chance = random.Random(self.seed)
        try:
            while not self.over.wait(0.05 + 0.3 * chance.random()):
                number += 1
                replace(self.gateway.directory / "rules.yaml", self.SETS[number % len(self.SETS)])
                answer = admin.request("POST", "/reload",
                                       headers={"Authorization": "Bearer " + ADMIN_TOKEN})
                if answer.status != 200:
                    raise AssertionError("reload: %r" % answer)
                self.exchanged = number
        except Exception as error:  # noqa: BLE001: any surprise fails the test
            self.errors.append("reload: %r" % error)
            self.over.set()

    def threads(self):
        yield from super().threads()
        yield threading.Thread(target=self.exchanges)


class ConsistencyOverExchanges(Journey):
    def test_no_read_after_a_write_sees_the_state_before_it(self):
        seed_ = seed()
        app = SlowWrites(seed_)
        origin = self.upstream(app)
        front = self.gateway(origin, Exchanged.SETS[0], threads=4, config={
            "reload": OFF, "limits": {"write_hold": "50ms"}})
        run = Exchanged(front, app, seed_)
        checker = run.go(test_consistency.SECONDS, lambda checker: min(
            run.exchanged, checker.hits, checker.writes) > 10)
        print("%d reads, %d hits, %d writes, %d exchanges, %d violations" % (
            checker.reads, checker.hits, checker.writes, run.exchanged, len(checker.violations)))
        self.assertEqual(run.errors, [])
        self.assertEqual(checker.violations, [], "CACHEGATE_SEED=%d" % seed_)
        self.assertGreater(run.exchanged, 10)
        self.assertGreater(checker.hits, 10)
        self.assertGreater(checker.writes, 10)


if __name__ == "__main__":
    main()
