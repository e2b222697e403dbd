"""The commands of the program as somebody types them."""

import json
import os
import signal
import socket
import subprocess
import unittest

from harness import ADMIN_TOKEN, EXAMPLES, TREE, EchoApp, Journey, binary, main

FINANCE = str(EXAMPLES / "finance" / "cachegate.yaml")
RULES = "routes: [{ match: GET /items, ttl: 1h }]\ngroups: { session: [ '/items?session={id}' ] }\n"


def cli(*arguments, environment=None, status=0):
    """(standard output, standard error) of a command that ends by itself."""
    variables = {name: value for name, value in os.environ.items()
                 if not name.startswith("CACHEGATE_")}
    variables.update(environment or {})
    result = subprocess.run([binary(), *map(str, arguments)], env=variables, capture_output=True,
                            text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    if result.returncode != status:
        raise AssertionError("cachegate %s ended with %d, expected %d\n%s%s"
                             % (" ".join(map(str, arguments)), result.returncode, status,
                                result.stdout, result.stderr))
    return result.stdout, result.stderr


class Help(unittest.TestCase):
    def test_help_names_every_command_and_flag(self):
        text = cli("help")[0]
        for word in ("run", "check", "explain", "stats", "health", "purge", "flush", "--listen",
                     "--upstream", "--rules", "--redis", "--admin", "--threads", "--set"):
            self.assertIn(word, text)
        self.assertEqual(cli("--help")[0], text)
        self.assertEqual(cli(status=2)[0], text)

    def test_a_command_has_a_help_of_its_own(self):
        text = cli("help")[0]
        for command in ("run", "check", "explain", "stats", "health", "purge", "refresh", "flush", "reload",
                        "drain", "wait", "healthcheck", "inspect", "reference", "version"):
            own = cli(command, "--help")[0]
            self.assertTrue(own.startswith("  cachegate %s" % command), own)
            self.assertEqual(cli("help", command)[0], own)
            for line in own.strip().split("\n"):
                self.assertIn(line.strip(), text)
        drain = cli("drain", "--help")[0]
        for flag in ("--admin", "--token", "--config", "--wait", "--timeout"):
            self.assertIn(flag, drain)
        for flag in ("--listen", "--group", "--status"):
            self.assertNotIn(flag, drain)
        self.assertIn("not understood", cli("help", "bogus", status=2)[1])

    def test_the_version_is_printed(self):
        self.assertRegex(cli("version")[0], r"^cachegate \d+\.\d+\.\d+\n$")

    def test_slips_get_the_nearest_word(self):
        self.assertIn("did you mean `check`?", cli("chekc", status=2)[1])
        self.assertEqual(cli("run", "--listne", ":1", status=2)[1],
                         "cachegate: there is no --listne; did you mean --listen?\n")
        self.assertIn("--upstream needs a value", cli("run", "--upstream", status=2)[1])
        self.assertIn("`x` is not understood", cli("run", "x", status=2)[1])
        self.assertIn("path=value", cli("run", "--set", "x", status=2)[1])


class Check(Journey):
    def write(self, name, text):
        if not hasattr(self, "folder"):
            self.folder = self.directory()
        path = self.folder / name
        path.write_text(text)
        return path

    def test_a_right_configuration_is_ok(self):
        out, _ = cli("check", "-c", FINANCE)
        self.assertRegex(out, r"^ok: 8 routes \(5 cached\), 1 group,")

    def test_every_mistake_is_reported_in_one_run(self):
        self.write("rules.yaml", "routes:\n  - match: GET /a\n    tll: 5m\n  - match: get /b\n    ttl: x\n")
        config = self.write("c.yaml", "listen: 80\nupstream: http://a\nlimit: {}\nrules: rules.yaml\n")
        out, err = cli("check", "-c", config, status=1)
        self.assertEqual(out, "")
        for place in ("c.yaml:1: listen", "c.yaml:3: limit", "rules.yaml:3: ", "rules.yaml:5: "):
            self.assertIn(place, err)
        self.assertIn("did you mean `limits`?", err)
        self.assertRegex(err, r"cachegate: \d+ mistakes, see above\n$")

    def test_rules_are_checked_alone(self):
        rules = self.write("r.yaml", "routes: [{match: GET /a, ttl: 1m}]")
        self.assertIn("ok: 1 route ", cli("check", "--rules", rules)[0])
        self.assertIn("nothing to check", cli("check", status=2)[1])
        empty = self.write("empty.yaml", "")
        self.assertIn("nothing is cached", cli("check", "--rules", empty)[1])

    def test_a_redis_url_is_refused_with_a_remedy_and_never_shown(self):
        for url, sentence in (("redis+cluster://:hunter2@h/1", "has no database but 0"),
                              ("redis://:hunter2@h/zero", "the database must be a number"),
                              ("redis://:hunter2@", "the host is missing"),
                              ("tcp://:hunter2@h", "must begin with redis://")):
            err = cli("check", "-c", FINANCE, "--redis", url, status=1)[1]
            self.assertIn(sentence, err)
            self.assertNotIn("hunter2", err)

    def test_a_missing_file_is_named(self):
        self.assertIn("nowhere.yaml", cli("check", "-c", "nowhere.yaml", status=1)[1])


class Explain(Journey):
    def facts(self, *arguments):
        """First column → its lines."""
        facts, name = {}, None
        for line in cli("explain", "-c", FINANCE, *arguments)[0].splitlines():
            name = line[:15].strip() or name
            facts.setdefault(name, []).append(line[15:].strip())
        return facts

    def test_a_read_shows_rule_scope_key_lifetime_and_what_purges_it(self):
        facts = self.facts("GET /transactions?page=2&session_id=1&utm_source=x",
                           "-H", "Authorization: Bearer t")
        self.assertIn("GET /transactions", facts["rule"][0])
        self.assertIn("rules.yaml:", facts["rule"][0])
        self.assertIn("look up", facts["decision"][0])
        self.assertEqual(facts["forwarded as"], ["GET /transactions?page=2&session_id=1 to default"])
        self.assertIn("header authorization (sent)", facts["scope"][0])
        self.assertIn("query page=2&session_id=1", facts["key"])
        self.assertTrue(facts["lifetime"][0].startswith("5m, by the rule"))
        self.assertIn("/transactions?session_id=1", facts["purged by"])
        self.assertIn("path /transactions", facts["purged by"])

    def test_variables_of_the_rules_are_filled_in(self):
        out = cli("explain", "-c", FINANCE, "GET /summary",
                  environment={"CACHE_TTL_SUMMARIES": "90"})[0]
        self.assertIn("lifetime       90s, by the rule", out)

    def test_a_pass_says_why(self):
        facts = self.facts("GET /summary?session_id=1", "-H", "X-Api-Key: 1")
        self.assertIn("pass", facts["decision"][0])
        self.assertIn("uncovered-credential", facts["because"][0])
        self.assertIn("(x-api-key)", facts["because"][0])
        self.assertIn("no-route", self.facts("/elsewhere")["because"][0])
        self.assertIn("rule-never", self.facts("GET", "/auth/me")["because"][0])

    def test_a_refused_target_says_so(self):
        self.assertIn("refuse with 400", self.facts("GET /a/../b")["decision"][0])

    def test_a_write_shows_what_it_purges_before_and_after_its_answer(self):
        facts = self.facts("PUT /transactions/5", "--response-body", '{"session_id": "s1"}')
        self.assertIn("path /transactions/5", facts["kept busy"])
        purged = facts["purged at 200"]
        self.assertIn("/transactions?session_id=s1", purged)
        self.assertIn("/sessions", purged)
        self.assertFalse([line for line in purged if line.startswith("open")])

    def test_a_value_that_is_missing_shows_the_widening(self):
        purged = self.facts("PUT /transactions/5")["purged at 200"]
        self.assertTrue([line for line in purged if line.startswith("widened: ")])
        self.assertTrue([line for line in purged if "--response-body" in line])

    def test_a_refused_write_purges_nothing(self):
        facts = self.facts("PUT /transactions/5", "--status", "409")
        self.assertIn("nothing", facts["purged at 409"][0])

    def test_bodies_are_read_from_files(self):
        body = self.directory() / "body"
        body.write_text('{"session_id": 7}')
        facts = self.facts("POST /bulk-categorise", "--request-body", "@%s" % body)
        self.assertIn("/summary?session_id=7", facts["kept busy"])
        self.assertIn("No such file", cli("explain", "-c", FINANCE, "POST /a", "--request-body",
                                          "@/nowhere", status=2)[1])

    def test_questions_that_make_no_sense_are_refused(self):
        for arguments, words in (([], "which request?"), (["GET items"], "begins with `/`"),
                                 (["GET /a b"], "percent-encoded"), (["G@T /a"], "is no method"),
                                 (["/a", "-H", "novalue"], "'Name: value'"),
                                 (["/a", "--status", "700"], "100 to 599")):
            self.assertIn(words, cli("explain", "-c", FINANCE, *arguments, status=2)[1])


class Run(Journey):
    def test_a_busy_address_is_an_error_with_the_address(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            for flags in (("--listen", address), ("--listen", "127.0.0.1:0", "--admin", address)):
                err = cli("run", *flags, "--upstream", "http://127.0.0.1:1", status=1)[1]
                self.assertIn(address, err)
                self.assertIn("in use", err)
                self.assertNotIn(" ready ", err)

    def test_a_socket_without_its_directory_is_an_error_with_the_reason(self):
        err = cli("run", "--listen", "unix:/no/such/directory/socket", "--upstream",
                  "http://127.0.0.1:1", status=1)[1]
        self.assertIn("No such file or directory", err)

    def test_mistakes_stop_it_before_it_listens(self):
        err = cli("run", status=1)[1]
        self.assertIn("--listen", err)
        self.assertIn("--upstream", err)

    def test_flags_suffice_and_win_over_variables(self):
        origin = self.upstream(EchoApp())
        front = self.gateway(origin, RULES, config={"via": "from-file"},
                             environment={"CACHEGATE_VIA": "from-variable"},
                             arguments=["--set", "via=from-flag"])
        self.assertIn("from-flag", front.get("/items").field("via"))

    def test_a_second_signal_ends_it_at_once(self):
        origin = self.upstream(EchoApp())
        front = self.gateway(origin, RULES)
        with origin.hold("/slow") as held:
            host, port = front.address.split(":")
            with socket.create_connection((host, int(port)), 30) as connection:
                connection.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
                held.wait_arrived()
                front.process.send_signal(signal.SIGINT)
                front.wait_line(r" draining ")
                front.process.send_signal(signal.SIGINT)
                front.expect_end(1)
                self.assertEqual(connection.recv(1), b"")
        front.wait_line(r"asked again")


class Operate(Journey):
    def setUp(self):
        self.origin = self.upstream(EchoApp())
        self.front = self.gateway(self.origin, RULES)
        self.variables = {"CACHEGATE_ADMIN_LISTEN": self.front.admin_address,
                          "CACHEGATE_ADMIN_TOKEN": ADMIN_TOKEN}

    def test_stats_and_health_print_what_the_api_says(self):
        self.front.get("/items", user="a")
        stats = json.loads(cli("stats", "--admin", self.front.admin_address)[0])
        self.assertEqual(stats["misses"], 1)
        health = json.loads(cli("health", environment=self.variables)[0])
        self.assertEqual(health["status"], "ok")

    def test_purge_and_flush_reach_the_store(self):
        for arguments in (["purge", "/items"], ["purge", "--pattern", "/items"],
                          ["purge", "--group", "session:id=1"], ["flush"]):
            self.front.get("/items?session=1", user="a")
            self.assertHit(self.front.get("/items?session=1", user="a"))
            cli(*arguments, environment=self.variables)
            self.assertMiss(self.front.get("/items?session=1", user="a"))

    def test_purge_by_tag_reaches_the_store(self):
        front = self.gateway(self.origin, "routes: [{ match: GET /items, ttl: 1h, groups: keep }]\n")
        flags = ["--admin", front.admin_address, "--token", ADMIN_TOKEN]
        self.assertEqual(json.loads(cli("purge", "--tag", "news", *flags)[0]).keys(), {"purged", "banned"})
        err = cli("purge", "--tag", "news", environment=self.variables, status=1)[1]
        self.assertIn("no rule knows the groups that answers name", err)

    def test_refusals_are_told_with_their_remedy(self):
        address = ["--admin", self.front.admin_address]
        err = cli("flush", *address, "--token", "wrong", status=1)[1]
        self.assertIn(self.front.admin_address + ": the admin token is missing or wrong", err)
        self.assertIn("--token", err)
        for command in ("drain", "reload"):
            self.assertIn("CACHEGATE_ADMIN_TOKEN", cli(command, *address, status=1)[1])
        err = cli("purge", "--group", "sesion:id=1", environment=self.variables, status=1)[1]
        self.assertIn("did you mean `session`?", err)
        self.assertIn("session:id=", cli("purge", "--group", "x", environment=self.variables,
                                         status=2)[1])
        self.assertIn("what?", cli("purge", environment=self.variables, status=2)[1])
        self.assertIn("CACHEGATE_ADMIN_LISTEN", cli("stats", status=1)[1])
        self.assertIn("port", cli("stats", "--admin", "nowhere", status=1)[1])

    def test_a_gateway_that_is_not_there_is_a_sentence(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
        self.assertIn("Connection refused: is the gateway running", cli("stats", "--admin", address, status=1)[1])
        self.assertIn("no host of this name", cli("stats", "--admin", "nowhere.invalid:1", status=1)[1])
        self.assertIn("without http://", cli("stats", "--admin", "http://127.0.0.1:1", status=1)[1])

    def test_the_address_of_traffic_is_not_that_of_the_commands(self):
        for command in ("stats", "reload", "drain", "healthcheck"):
            self.assertIn("traffic arrives there", cli(command, "--admin", self.front.address, status=1)[1])

    def test_messages_name_configuration_and_address(self):
        config = self.directory() / "c.yaml"
        config.write_text("listen: 127.0.0.1:0\nupstream: http://a\nadmin: 127.0.0.1:1\n")
        self.assertIn("c.yaml: 127.0.0.1:1: Connection refused", cli("reload", "-c", config, status=1)[1])
        config.write_text("listen: 127.0.0.1:0\nupstream: http://a\n")
        self.assertIn("or give --admin", cli("reload", "-c", config, status=1)[1])


class Configurations(unittest.TestCase):
    def test_every_configuration_of_the_tree_passes(self):
        found = [*TREE.glob("conf/*.yaml"), *EXAMPLES.glob("*/cachegate.yaml")]
        self.assertGreaterEqual(len(found), 7)
        for path in found:
            with self.subTest(str(path.relative_to(TREE))):
                self.assertIn("ok: ", cli("check", "-c", path)[0])


if __name__ == "__main__":
    main()
