"""Counts test cases in ctest's JUnit file: prints `PASSED FAILED`.

A Criterion program and a unittest script hold many cases and say how many in their last lines; any
other entry is one case. An entry that failed counts at least one failure, whatever it printed. What was
skipped counts as nothing, and is said on standard error with its reason.
"""

import re
import sys
import xml.etree.ElementTree

CRITERION = re.compile(r"Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+) \| Crashing: (\d+)")
UNITTEST = re.compile(r"^Ran (\d+) tests? in ", re.MULTILINE)
UNITTEST_PART = re.compile(r"(failures|errors|skipped|unexpected successes)=(\d+)")


UNITTEST_SKIPPED = re.compile(r"^(\S.*?)(?: \(__main__\.\S+\))? \.\.\. skipped ['\"](.*)['\"]$", re.MULTILINE)


def is_skipped(entry):
    """It said so itself; an executable that is missing looks nearly the same."""
    skipped = entry.find("skipped")
    return skipped is not None and skipped.get("message", "").startswith("SKIP_RETURN_CODE")


def reasons(entry):
    """Why the entry, or cases of it, did not run."""
    output = entry.findtext("system-out") or ""
    if is_skipped(entry):
        return [next((line for line in output.splitlines() if "SKIPPED" in line), "SKIPPED")]
    return ["SKIPPED: %s: %s" % found for found in UNITTEST_SKIPPED.findall(output)]


def count_entry(entry):
    if is_skipped(entry):
        return 0, 0
    output = re.sub(r"\x1b\[[0-9;]*m", "", entry.findtext("system-out") or "")
    good = entry.get("status") == "run"
    passed, failed = 0, 0
    if criterion := CRITERION.findall(output):
        tested, passed = (int(number) for number in criterion[-1][:2])
        failed = tested - passed
    elif unittest := UNITTEST.findall(output):
        parts = {name: int(number) for name, number in UNITTEST_PART.findall(output.rsplit("\nRan ", 1)[1])}
        failed = sum(number for name, number in parts.items() if name != "skipped")
        passed = max(int(unittest[-1]) - failed - parts.get("skipped", 0), 0)
    else:
        passed = 1
    if good:
        return passed, failed
    return (passed, failed) if failed else (max(passed - 1, 0), 1)


def main():
    root = xml.etree.ElementTree.parse(sys.argv[1]).getroot()
    entries = [entry for entry in root.iter("testcase") if entry.get("status") != "disabled"]
    for entry in entries:
        for reason in reasons(entry):
            print("%s: %s" % (entry.get("name"), reason), file=sys.stderr)
    counts = [count_entry(entry) for entry in entries]
    print(sum(passed for passed, _ in counts), sum(failed for _, failed in counts))


if __name__ == "__main__":
    main()
