"""That loadtest/run works: it measures, its checks tell, its tables are right, it ends what it started.

No figure is judged here: machines differ, and others use them.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from harness import TREE, binary

sys.path.insert(0, str(TREE / "loadtest"))
from lab import checks, contenders, goals, measure, report, tables  # noqa: E402
from lab.processes import Lab  # noqa: E402
from lab.summary import Summary  # noqa: E402

RUN = [str(TREE / "loadtest" / "run"), "--no-install"]
LIMIT_S = 240
MISSING = [tool for tool in ("wrk", "h2load", "redis-server", "redis-benchmark", "curl", "openssl")
           if shutil.which(tool) is None]


def needs_tools(test):
    if MISSING:
        print("SKIPPED: not installed: %s" % ", ".join(MISSING), file=sys.stderr)
    return unittest.skipIf(MISSING, "not installed: %s" % ", ".join(MISSING))(test)


def rows_of(markdown):
    """Every line of every Markdown table, as lists of words."""
    return [[word.strip() for word in line.strip("|").split("|")]
            for line in markdown.splitlines() if line.startswith("|")]


def started_under(folder):
    """Processes that have a folder among their arguments."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if folder in words:
            found.append("%s: %s" % (path.parent.name, words.replace("\0", " ")[:200]))
    return found


@needs_tools
class Runs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="loadtest-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.environment = {**os.environ, "TMPDIR": self.folder}

    def start(self, *arguments):
        return subprocess.Popen([*RUN, "--output", self.folder, *arguments], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment)

    def assertNothingLeft(self):
        self.assertEqual(started_under(self.folder), [])
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith("cachegate-")], [])

    def test_a_small_run_measures_every_store_and_leaves_nothing_behind(self):
        run = self.start("--only", "hit-1k", "--rounds", "1", "--seconds", "1", "--contender",
                         "cachegate", "--binary", "cachegate=" + binary())
        out, words = run.communicate(timeout=LIMIT_S)
        self.assertEqual(run.returncode, 0, words)
        names = {"cachegate-" + kind for kind in ("redis", "near", "pushed", "embedded")}
        (raw,) = pathlib.Path(self.folder, "results").glob("*.json")
        numbers = json.loads(raw.read_text())
        self.assertEqual(numbers["left_out"], [])
        self.assertEqual({row["contender"] for row in numbers["rows"]}, names)
        for row in numbers["rows"]:
            self.assertIsNone(row["complaint"], row)
            self.assertGreater(row["requests"], 100)
            self.assertGreater(row["gateway_us"], 0)
            self.assertEqual(row["redis_us"] > 0, row["contender"] != "cachegate-embedded")
            self.assertLess(0, row["p50_us"])
            self.assertLessEqual(row["p50_us"], row["p999_us"])
        self.assertEqual(pathlib.Path(self.folder, "report.md").read_text().strip(), out.strip())
        cost = [row for row in rows_of(out) if row[0] in names and re.search(r"\(\d", row[1])]
        self.assertEqual({row[0] for row in cost}, names)
        self.assertNothingLeft()

    def test_a_run_that_is_told_to_end_leaves_nothing_behind(self):
        run = self.start("--only", "hit-1k", "--seconds", "100", "--contender", "cachegate-embedded",
                         "--binary", "cachegate=" + binary())
        for line in run.stderr:
            if line.startswith("hit-1k:"):
                break
        self.assertNotEqual(started_under(self.folder), [])
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=LIMIT_S)
        self.assertNotEqual(run.returncode, 0)
        self.assertNothingLeft()


class Forgetful(contenders.H2oProxy):
    """Says that it stores, and does not."""

    name, protocols, caches = "forgetful", ("h1",), True


class Unmoved(contenders.Ceiling):
    """Answers without ever asking the upstream."""

    name, protocols, caches = "unmoved", ("h1",), True


class Mixing(contenders.Cachegate):
    """Gives one user what belongs to another."""

    def rules(self):
        return super().rules().replace("scope: user", "scope: shared").replace(
            "match: GET /transactions", "match: GET /transactions\n    override: [authorization]")


class Stubborn(contenders.Cachegate):
    """Keeps what was written to."""

    def rules(self):
        return super().rules().replace('"{id}"', '"another"')


@needs_tools
class Checks(unittest.TestCase):
    """A contender that does another job is left out."""

    @classmethod
    def setUpClass(cls):
        tools = TREE / "build" / "loadtest-tools"
        for words in (["-S", TREE / "loadtest", "-B", tools], ["--build", tools]):
            subprocess.run(["cmake", *map(str, words)], check=True, capture_output=True, timeout=LIMIT_S)
        cls.lab = cls.enterClassContext(Lab())
        cls.lab.tools = tools
        measure.Shared(cls.lab)

    def left_out(self, contender):
        good, left_out = measure.start_all(self.lab, [contender])
        return left_out[0][1] if left_out else None

    def test_who_stores_nothing_is_left_out(self):
        self.assertIn("never stored", self.left_out(Forgetful()))

    def test_who_does_not_ask_the_upstream_is_left_out(self):
        self.assertIn("not the upstream's", self.left_out(Unmoved()))

    def test_who_mixes_users_is_left_out(self):
        self.assertIn("belongs to user a", self.left_out(Mixing("mixing", binary(), "embedded")))

    def test_who_does_not_forget_is_left_out(self):
        self.assertIn("make it forget", self.left_out(Stubborn("stubborn", binary(), "embedded")))

    def test_who_claims_not_to_sort_but_does_is_left_out(self):
        one = contenders.Cachegate("cachegate", binary(), "embedded")
        one.sorts = False
        self.assertIn("sorts the query", self.left_out(one))

    def test_who_does_the_job_is_not(self):
        self.assertIsNone(self.left_out(contenders.Cachegate("cachegate", binary(), "embedded")))


def row(scenario, contender, number, gateway_us, **more):
    return {"scenario": scenario, "contender": contender, "round": number, "gateway_us": gateway_us,
            "redis_us": 0.0, "upstream_us": 0.0, "rate": 1e6 / gateway_us, "busy": 1.0, "p50_us": 100,
            "p99_us": 200, "p999_us": 300, "max_us": 400, "upstream_requests": 0, "seconds": 1.0,
            "requests": 1000, "gateway_bytes": 1 << 20, "complaint": None, **more}


class Figures(unittest.TestCase):
    def setUp(self):
        # The second round is three times as slow for everybody, as noisy rounds are.
        self.rows = [row("hit-1k", "nginx-lua", 0, 20.0, redis_us=10.0),
                     row("hit-1k", "cachegate-redis", 0, 10.0, redis_us=2.0),
                     row("hit-1k", "nginx-lua", 1, 60.0, redis_us=30.0),
                     row("hit-1k", "cachegate-redis", 1, 30.0, redis_us=6.0)]
        self.summary = Summary(self.rows)

    def test_ratios_are_taken_within_a_round(self):
        self.assertAlmostEqual(self.summary.ratio("hit-1k", "cachegate-redis", "nginx-lua"), 0.5)
        self.assertAlmostEqual(self.summary.ratio("hit-1k", "cachegate-redis", "nginx-lua", "redis_us"), 0.2)
        self.assertIsNone(self.summary.ratio("hit-1k", "cachegate-redis", "varnish"))

    def test_rows_whose_rounds_differ_are_soft(self):
        self.assertIn("~", tables.cost(self.summary, "hit-1k", "cachegate-redis"))
        steady = Summary([row("hit-1k", "nginx-lua", number, us) for number, us in enumerate((10, 10.5, 11))])
        self.assertEqual(tables.cost(steady, "hit-1k", "nginx-lua"), "10.5 (10.0) 1.00")

    def test_goals_say_what_is_reached(self):
        by_name = {(goal["what"], goal["figure"]): goal["verdict"]
                   for goal in goals.all_goals(self.summary, [], ["cachegate"])}
        self.assertEqual(by_name, {("Redis hit, 1 KB", "CPU to nginx-lua"): "reached",
                                   ("Redis's own CPU at a hit", "Redis CPU to nginx-lua"): "reached"})
        self.assertEqual([goals.verdict(0.7, 0.7, 0.6), goals.verdict(0.7, 0.5, 0.6)],
                         ["not reached", "soft"])

    def test_a_purge_that_grows_does_not_reach_its_goal(self):
        def cost(entries, us):
            return {"contender": "cachegate-redis", "entries": entries, "later_p50_us": us,
                    "later_redis_us": 10.0}
        found = goals.purge_goals([cost(1000, 100.0), cost(1_000_000, 200.0)], "cachegate")
        self.assertEqual([goal["verdict"] for goal in found], ["not reached", "reached"])

    def test_the_readme_has_a_place_for_the_tables(self):
        text = report.README.read_text()
        self.assertEqual((text.count(report.BEGIN), text.count(report.END)), (1, 1))
        self.assertLess(text.index(report.BEGIN), text.index(report.END))


if __name__ == "__main__":
    unittest.main()
