"""The metrics page as data, and the tools of Prometheus."""

import json
import re
import shutil
import subprocess
import sys
import unittest
import urllib.parse

from harness import Client, binary, wait_until
from redis_servers import free_ports

_SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:\\.|[^"\\])*",?)+)\})? (\S+)')
_LABEL = re.compile(r'([a-z]+)="((?:\\.|[^"\\])*)"')


class Page:
    """What GET /metrics said: types and sentences by name, values by name and labels."""

    def __init__(self, text):
        self.text = text
        self.types, self.sentences, self.samples = {}, {}, {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                name, self.types[name] = line.split(" ")[2], line.split(" ")[3]
            elif line.startswith("# HELP "):
                _, _, name, self.sentences[name] = line.split(" ", 3)
            else:
                name, labels, value = _SAMPLE.fullmatch(line).groups()
                key = tuple(_LABEL.findall(labels or ""))
                if key in self.samples.setdefault(name, {}):
                    raise AssertionError("the same series twice: " + line)
                self.samples[name][key] = float(value)

    def value(self, name, **labels):
        """The sum of the series with these labels."""
        wanted = set(labels.items())
        return sum(value for key, value in self.samples.get(name, {}).items() if wanted <= set(key))

    def family(self, sample):
        """The name that the TYPE line of a sample has."""
        if sample in self.types:
            return sample
        return re.sub(r"_(bucket|sum|count)$", "", sample)


def page_of(gateway):
    return Page(gateway.admin("GET", "/metrics").body.decode())


def settled_page_of(gateway):
    """When no request is in flight: a request is counted when it is over, which its client does not wait for."""
    page = None

    def settled():
        nonlocal page
        page = page_of(gateway)
        return page.value("cachegate_requests_in_flight") == 0

    wait_until(settled, "every request is over")
    return page


def table():
    """The rows of `cachegate reference --metrics`: (type, labels) by name."""
    text = subprocess.run([binary(), "reference", "--metrics"], capture_output=True, text=True, timeout=60,
                          check=True).stdout
    rows = {}
    for line in text.split("\n## ")[0].splitlines():
        row = re.match(r"\| `([a-z_]+)` \| ([a-z]+) \| ([^|]*) \|", line)
        if row:
            rows[row.group(1)] = (row.group(2), re.findall(r"`([a-z]+)`", row.group(3)))
    return rows


def needs(tool):
    """Skips, and says so, where a tool is not installed (tests/packages names them all)."""
    def wrap(test):
        if shutil.which(tool):
            return test
        print("SKIPPED: %s is not installed" % tool, file=sys.stderr)
        return unittest.skip("%s is not installed" % tool)(test)
    return wrap


def promtool(*arguments, text=None):
    """(status, everything it said)."""
    result = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True,
                            timeout=120, check=False)
    return result.returncode, result.stdout + result.stderr


class Prometheus:
    """A server of its own, which looks at the targets every second."""

    def __init__(self, directory, targets, interval="1s"):
        self.address = "127.0.0.1:%d" % free_ports(1)[0]
        config = directory / "prometheus.json"
        config.write_text(json.dumps({  # JSON is YAML
            "global": {"scrape_interval": interval, "scrape_timeout": interval},
            "scrape_configs": [{"job_name": "cachegate", "static_configs": [{"targets": targets}]}]}))
        self.process = subprocess.Popen(
            ["prometheus", "--config.file", str(config), "--storage.tsdb.path", str(directory / "data"),
             "--web.listen-address", self.address, "--log.level", "warn"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def ask(self, path):
        if self.process.poll() is not None:
            raise AssertionError("prometheus ended: " + self.process.stderr.read())
        client = Client(self.address, host=self.address)
        try:
            return client.request("GET", path)
        except OSError:
            return None
        finally:
            client.close()

    def wait_ready(self):
        def ready():
            answer = self.ask("/-/ready")
            return answer is not None and answer.status == 200
        wait_until(ready, "prometheus is ready", 60)

    def query(self, expression):
        """Its samples: {labels: value}."""
        answer = self.ask("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        if answer.status != 200:
            raise AssertionError("%s: %s" % (expression, answer.body.decode()))
        result = answer.json()["data"]["result"]
        return {tuple(sorted(sample["metric"].items())): float(sample["value"][1]) for sample in result}

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
        self.process.stderr.close()
