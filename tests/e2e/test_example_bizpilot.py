"""bizpilot: permissions and features of a business (conf/examples/bizpilot)."""

import http.client

from harness import App, ExampleJourney, main, wait_until


class Bizpilot(App):
    def __init__(self):
        super().__init__()
        business = "/businesses/{business_id}"
        self.route("GET", business + "/permissions", self.permissions)
        self.route("GET", business + "/features/{feature}", self.feature)
        self.route("PUT", business + "/subscription", self.changed)
        self.route("POST", business + "/subscription/reactivate", self.changed)
        self.route("POST", business + "/feature-overrides", self.changed)
        self.route("DELETE", business + "/feature-overrides/{feature}", self.changed)
        self.route("POST", "/auth/token", lambda request: {"token": "secret"})

    def permissions(self, request, business_id):
        return {"tier": "pro", "device_limit": 5, **self.read(request, business_id)}

    def feature(self, request, business_id, feature):
        return {"feature": feature, **self.read(request, business_id)}

    def changed(self, request, business_id, feature=None):
        return self.write(business_id)


READS_OF_7 = ("/businesses/7/permissions", "/businesses/7/features/export", "/businesses/7/features/api")
READS_OF_8 = ("/businesses/8/permissions", "/businesses/8/features/export")


class BizpilotJourney(ExampleJourney):
    example = "bizpilot"
    make_app = Bizpilot

    def test_permissions_and_features_live_300_seconds(self):
        for target in ("/businesses/7/permissions", "/businesses/7/features/export"):
            with self.subTest(target):
                self.assertLifetime(target, 300)

    def test_users_never_share_an_answer(self):
        self.assertMiss(self.read("/businesses/7/permissions", "alice"))
        self.assertMiss(self.read("/businesses/7/permissions", "bob"))
        answer = self.read("/businesses/7/permissions", "alice")
        self.assertHit(answer)
        self.assertEqual(answer.json()["user"], "Bearer token-of-alice")

    def test_each_write_forgets_its_business_for_all_users_and_no_other(self):
        for method, path, body in (
                ("PUT", "/businesses/7/subscription", {"tier": "free"}),
                ("POST", "/businesses/7/subscription/reactivate", None),
                ("POST", "/businesses/7/feature-overrides", {"feature": "api"}),
                ("DELETE", "/businesses/7/feature-overrides/api", None)):
            with self.subTest(method + " " + path):
                self.warm(*READS_OF_7, *READS_OF_8)
                version = self.write(method, path, body=body).json()["7"]
                answer = self.read(READS_OF_7[0], "bob")
                self.assertEqual(answer.json()["state"], {"7": version})
                self.assertStale(*READS_OF_7[1:])
                self.assertUntouched(*READS_OF_8)

    def test_a_refused_write_forgets_nothing(self):
        self.warm(*READS_OF_7)
        self.origin.fail("/businesses/7/subscription", 403)
        answer = self.front.request("PUT", "/businesses/7/subscription",
                                    headers=self.identity_fields("alice"))
        self.assertEqual(answer.status, 403)
        self.assertUntouched(*READS_OF_7[1:])

    def test_a_write_of_unknown_outcome_forgets_as_a_success_does(self):
        self.warm(*READS_OF_7, *READS_OF_8)
        self.origin.cut("/businesses/7/subscription", after=1)
        with self.assertRaises((http.client.HTTPException, ConnectionError)):
            self.front.client().request("PUT", "/businesses/7/subscription",
                                        headers=self.identity_fields("alice"))
        for target in READS_OF_7:
            self.assertFalse(self.read(target).cache.hit, target)
        self.assertUntouched(*READS_OF_8)

    def test_an_operator_forgets_one_business_through_the_admin_api(self):
        self.warm(*READS_OF_7, *READS_OF_8)
        self.assertEqual(self.front.admin("DELETE", "/cache/business/7", token=None).status, 401)
        self.assertUntouched(*READS_OF_7)
        self.assertEqual(self.front.admin("DELETE", "/cache/business/7").status, 200)
        self.assertStale(*READS_OF_7)
        self.assertUntouched(*READS_OF_8)

    def test_tokens_pass_through(self):
        for _ in range(2):
            self.assertFalse(self.write("POST", "/auth/token").cache.stored)
        self.assertEqual(self.origin.count("/auth/token"), 2)

    def test_statistics_add_up(self):
        for _ in range(4):
            self.read("/businesses/7/permissions")
        self.write("PUT", "/businesses/7/subscription")
        self.read("/businesses/7/permissions")
        stats = self.stats_with_sets(2)
        self.assertEqual((stats["enabled"], stats["hits"], stats["misses"], stats["sets"]),
                         (True, 3, 2, 2))
        self.assertAlmostEqual(float(stats["hit_rate"]), 60, delta=0.1)
        wait_until(lambda: self.front.stats()["keys"] >= 1, "keys are counted")


class BizpilotSwitchedOff(ExampleJourney):
    example = "bizpilot"
    make_app = Bizpilot

    def environment(self):
        return {"CACHE_ENABLED": "false"}

    def test_everything_passes_when_caching_is_off(self):
        for _ in range(3):
            self.assertPassed(self.read("/businesses/7/permissions"), "cache-off")
        self.assertEqual(self.origin.count("/businesses/7/permissions"), 3)
        self.assertFalse(self.front.stats()["enabled"])


del ExampleJourney
if __name__ == "__main__":
    main()
