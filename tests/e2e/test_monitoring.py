"""conf/monitoring: alerts that fire when they should, and no query for what no gateway tells."""

import json
import re
import unittest

import yaml

from harness import TREE, main
from prometheus import needs, promtool, table

FOLDER = TREE / "conf" / "monitoring"
NAME = re.compile(r"\b((?:cachegate|process)_[a-z_]+)(\{[^}]*\})?")


def alerts():
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


class Monitoring(unittest.TestCase):
    def setUp(self):
        self.rows = table()

    def check_query(self, query):
        """Metrics and labels that it names are those of the table. Returns how many there are."""
        found = 0
        for name, selector in NAME.findall(query):
            family = name if name in self.rows else re.sub(r"_(bucket|sum|count)$", "", name)
            self.assertIn(family, self.rows, query)
            kind, labels = self.rows[family]
            self.assertEqual(kind == "histogram", family != name, query)
            allowed = set(labels) | {"job", "instance", "le"}
            for label in re.findall(r"([a-z]+) *(?:=~|!=|!~|=)", selector or ""):
                self.assertIn(label, allowed, query)
            if kind == "counter":
                self.assertRegex(query, r"(rate|increase)\(", query)
            found += 1
        return found

    def test_the_dashboard_asks_for_what_there_is(self):
        dashboard = json.loads((FOLDER / "grafana-dashboard.json").read_text())
        panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
        asked = set()
        self.assertGreater(len(panels), 30)
        self.assertEqual(len({panel["id"] for panel in dashboard["panels"]}), len(dashboard["panels"]))
        for panel in panels:
            self.assertTrue(panel["targets"], panel["title"])
            for target in panel["targets"]:
                self.assertTrue(self.check_query(target["expr"]) or target["expr"].startswith("sum(up{"),
                                target["expr"])
                self.assertIn("$instance", target["expr"])
                asked.update(name for name, _ in NAME.findall(target["expr"]))
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                self.assertEqual(self.check_query(variable["query"]["query"]), 1)
        families = {re.sub(r"_bucket$", "", name) for name in asked}
        unseen = set(self.rows) - families - {
            "cachegate_build_info", "cachegate_ready", "cachegate_store_server_up",
            "cachegate_store_breaker_openings_total", "cachegate_tracking_lost_total",
            "cachegate_access_log_dropped_total", "cachegate_previous_secret_hits_total",
            "process_virtual_memory_bytes", "process_open_fds", "process_max_fds"}
        self.assertEqual(unseen, set(), "in the table and not on the dashboard")

    def test_panels_do_not_lie_on_each_other(self):
        dashboard = json.loads((FOLDER / "grafana-dashboard.json").read_text())
        taken = set()
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24)
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(taken & cells, panel["title"])
            taken |= cells

    def test_alerts_ask_for_what_there_is_and_say_what_to_do(self):
        for rule in alerts():
            query = rule["expr"]
            found = self.check_query(query.replace("cachegate:hit_ratio:rate15m", ""))
            self.assertTrue(found or "hit_ratio" in query or "up{" in query, query)
            self.assertIn(rule["labels"]["severity"], ("critical", "warning", "info"))
            self.assertEqual(set(rule["annotations"]), {"summary", "meaning", "action"}, rule["alert"])
            for text in rule["annotations"].values():
                self.assertGreater(len(text), 20, rule["alert"])

    def test_every_alert_has_a_test(self):
        tests = yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"]
        self.assertEqual([test["name"] for test in tests], [rule["alert"] for rule in alerts()])
        for test in tests:
            samples = test["promql_expr_test"][0]
            self.assertIn('alertname="%s"' % test["name"], samples["expr"])
            self.assertEqual(samples["exp_samples"], [{"labels": '{instance="bad"}', "value": 1}])
            series = [row["series"] for row in test["input_series"]]
            bad = [name for name in series if 'instance="bad"' in name]
            self.assertEqual(sorted(series), sorted(bad + [name.replace('"bad"', '"good"') for name in bad]))
            for name in series:
                metric = name.split("{")[0]
                self.assertTrue(metric == "up" or self.check_query("rate(" + name + ")") == 1
                                or metric.endswith("_count"), name)

    def test_the_readme_asks_for_what_there_is(self):
        text = (FOLDER / "README.md").read_text()
        queries = re.findall(r"\| `([^`]*cachegate_[^`]*)` \|", text)
        self.assertGreater(len(queries), 7)
        for query in queries:
            self.assertGreater(self.check_query(query.replace("\\|", "|")), 0, query)
        for name in re.findall(r"^\| `([^` ]+)` \|", text, re.MULTILINE):
            if "." in name:
                self.assertTrue((FOLDER / name).exists(), name)

    def test_no_page_names_a_metric_that_there_is_not(self):
        pages = [TREE / "README.md", TREE / "gateway" / "DESIGN.md", TREE / "k8s" / "README.md",
                 *(TREE / "docs").glob("*.md"), *(TREE / "conf").glob("*.md")]
        named = 0
        for page in pages:
            for name in re.findall(r"`((?:cachegate|process)_[a-z_]+)[`{]", page.read_text()):
                family = name if name in self.rows else re.sub(r"_(bucket|sum|count)$", "", name)
                self.assertIn(family, self.rows, page)
                named += 1
        self.assertGreater(named, len(self.rows))

    @needs("promtool")
    def test_promtool_accepts_configuration_and_alerts(self):
        status, said = promtool("check", "config", str(FOLDER / "prometheus.yml"))
        self.assertEqual(status, 0, said)
        status, said = promtool("check", "rules", str(FOLDER / "alerts.yaml"))
        self.assertEqual(status, 0, said)

    @needs("promtool")
    def test_every_alert_fires_when_it_should_and_not_else(self):
        status, said = promtool("test", "rules", str(FOLDER / "alerts_test.yaml"))
        self.assertEqual(status, 0, said)


if __name__ == "__main__":
    main()
