"""A hostile HTTP/2 client neither ends nor stops the gateway, and others go on being served."""

import h2_abuse
from harness import App, Journey, Reply, main, wait_until

SIZE = 60_000  # less than one window, so that a whole answer can be exactly one
RULES = """
routes:
  - match: GET /big
    scope: shared
    ttl: 10m
"""

# By name: whether the connection has to be ended for it. The others are harmless as they are.
DROPPED = {
    "rapid-reset": True,
    "made-you-reset-zero": True,
    "made-you-reset-overflow": True,
    "made-you-reset-data": True,
    "ping": True,
    "settings": True,
    "unknown": True,
    "priority": True,
    "empty-data": True,
    "continuation": True,
    "headers": True,
    "reference": True,
    "crumbs": True,
    "trailers": True,
    "reset-in-one-write": False,
    "window-abort": False,
}


class Abuse(Journey):
    def setUp(self):
        app = App()
        app.route("GET", "/big", lambda request: Reply(200, b"x" * SIZE))
        app.route("GET", "/slow", lambda request: Reply(200, "late"))
        self.origin = self.upstream(app)
        self.front = self.gateway(self.origin, RULES)
        self.assertMiss(self.front.get("/big"))

    def assertServes(self):
        answer = self.front.client().get("/big")
        self.assertEqual((answer.status, len(answer.body)), (200, SIZE))

    def test_every_attack_is_cut_off_or_harmless(self):
        self.assertEqual(set(DROPPED), set(h2_abuse.ATTACKS))
        for name, attack in h2_abuse.ATTACKS.items():
            with self.subTest(attack=name), attack(self.front.address, "/big") as attacker:
                # On a busy machine half a second of silence does not say that it never will be.
                self.assertEqual(attacker.wait_dropped() if DROPPED[name] else attacker.dropped, DROPPED[name])
                self.assertServes()

    def test_windows_that_open_for_a_stuck_write_end_nothing(self):
        for _ in range(3):
            with h2_abuse.window_abort(self.front.address, "/big", SIZE) as attacker:
                self.assertFalse(attacker.dropped)
            self.assertServes()

    def test_references_to_large_fields_cost_little_memory(self):
        before = self.front.memory_peak_kb()
        for name in ("x-large", "cookie"):
            for _ in range(20):
                h2_abuse.reference_bomb(self.front.address, "/big", name=name).close()
        self.assertLess(self.front.memory_peak_kb() - before, 40_000)
        self.assertServes()

    def test_an_open_header_block_does_not_keep_the_gateway_from_ending(self):
        gate = self.origin.hold("/slow")
        with h2_abuse.open_header_block(self.front.address, "/big", "/slow") as attacker:
            gate.wait_arrived()
            self.front.process.terminate()
            self.front.wait_line(r"\bdraining\b")
            attacker.read(2)  # what libh2o would do a second after it said goodbye
            h2_abuse.finish_header_block(attacker)
            attacker.read(0.5)
            gate.release()

            def body():
                attacker.read(0.05)
                return b"".join(payload for kind, _, stream, payload in attacker.frames()
                                if kind == h2_abuse.DATA and stream == 1)
            wait_until(lambda: body() == b"late", "the request in flight is answered")
        self.front.expect_end(0)


if __name__ == "__main__":
    main()
