"""Gateways over one store, killed and frozen under load (tests/consistency); and the judge of it.

A short run of each store. CACHEGATE_SEED replays a seed, CACHEGATE_CONSISTENCY_S makes the runs longer;
tests/consistency/run has all the choices.
"""

import os
import pathlib
import subprocess
import sys
import unittest

CONSISTENCY = pathlib.Path(__file__).resolve().parents[1] / "consistency"
sys.path.insert(0, str(CONSISTENCY))

from test_history import Judge  # noqa: E402, F401

SECONDS = os.environ.get("CACHEGATE_CONSISTENCY_S")
SEED = os.environ.get("CACHEGATE_SEED")


class Fleet(unittest.TestCase):
    def run_with(self, *arguments, seconds):
        command = [sys.executable, str(CONSISTENCY / "run"), "--seconds", SECONDS or str(seconds), *arguments]
        if SEED:
            command += ["--seed", SEED]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                timeout=float(SECONDS or 0) + 250)
        print(result.stdout, flush=True)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_one_gateway_with_its_own_memory(self):
        self.run_with("--store", "memory", seconds=6)

    def test_three_gateways_on_one_redis(self):
        self.run_with("--store", "redis", seconds=16)

    def test_gateways_that_lose_their_redis_alone(self):
        self.run_with("--on-unpurgeable", "lease", "--faults", "cut-gateway,isolate-gateway,freeze-gateway",
                      seconds=10)

    def test_three_gateways_on_a_cluster(self):
        self.run_with("--store", "cluster", seconds=12)

    def test_pushed_answers_lag_behind_for_a_moment_at_most(self):
        self.run_with("--pushed", "--delay-ms", "2", seconds=8)


if __name__ == "__main__":
    unittest.main(verbosity=2)
