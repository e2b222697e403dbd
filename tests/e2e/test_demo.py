"""The quickstart's demo application behind the rules that it is shown with."""

import re
import subprocess
import sys

from harness import EXAMPLES, TREE, Journey, main


class DemoUpstream:
    """conf/demo/finance.py as a process of its own, with few rows."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, str(TREE / "conf" / "demo" / "finance.py"), "--listen", "127.0.0.1:0",
             "--rows", "2000"], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.url = re.fullmatch(r"listening on (http://\S+)\n", line).group(1)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.process.stdout.close()


class Demo(Journey):
    def setUp(self):
        self.demo = DemoUpstream()
        self.addCleanup(self.demo.stop)
        self.front = self.gateway(self.demo, config_file=EXAMPLES / "finance" / "cachegate.yaml")

    def test_a_write_is_seen_by_the_next_read_of_its_session_only(self):
        reads = ["/summary?session_id=alice-01", "/category-summary?session_id=alice-01",
                 "/transactions?session_id=alice-01&page=2", "/sessions"]
        others = ["/summary?session_id=alice-02", "/rules"]
        before = {}
        for target in reads + others:
            self.assertMiss(self.front.get(target, "alice"))
            before[target] = self.front.get(target, "alice")
            self.assertHit(before[target])
        for category in ("uncategorised", "rent"):
            answer = self.front.request("PUT", "/transactions/1", user="alice", body={"category": category})
            self.assertEqual(answer.json()["session_id"], "alice-01")
            for target in reads:
                self.assertMiss(self.front.get(target, "alice"))
        for target in others:
            self.assertHit(self.front.get(target, "alice"))
        changed = self.front.request("POST", "/bulk-categorise", user="alice", body={
            "session_id": "alice-01", "merchant": "merchant-03", "category": "uncategorised"})
        self.assertEqual(changed.status, 200)
        summary = self.front.get(reads[0], "alice")
        self.assertMiss(summary)
        self.assertGreaterEqual(summary.json()["uncategorised"], changed.json()["changed"])

    def test_what_the_application_refuses_is_refused_and_not_stored(self):
        for target, user, status in (("/summary?session_id=alice-01", "bob", 404),
                                     ("/summary?session_id=alice-01", "mallory", 401),
                                     ("/summary?session_id=alice-01", None, 401),
                                     ("/summary", "alice", 400), ("/nothing", "alice", 404)):
            for _ in range(2):
                answer = self.front.get(target, user)
                self.assertEqual(answer.status, status)
                self.assertFalse(answer.cache.hit or answer.cache.stored, repr(answer))


if __name__ == "__main__":
    main()
