"""Gateways that are broken on purpose must be caught (tests/consistency/check_broken)."""

import pathlib
import subprocess
import sys
import unittest

from harness import sanitizer

CHECK = pathlib.Path(__file__).resolve().parents[1] / "consistency" / "check_broken"


class Broken(unittest.TestCase):
    """A checker that cannot fail proves nothing: gateways without one of their safeguards."""

    def check(self, *arguments):
        result = subprocess.run([sys.executable, str(CHECK), *arguments],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=280)
        print(result.stdout, flush=True)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_the_patches_still_apply(self):
        self.check("--apply-only")

    @unittest.skipIf(sanitizer(), "it builds a gateway of its own, the same in every preset")
    def test_broken_gateways_are_caught(self):
        self.check()


if __name__ == "__main__":
    unittest.main(verbosity=2)
