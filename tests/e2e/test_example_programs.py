"""programs: roles and scopes of users (conf/examples/programs)."""

from harness import App, ExampleJourney, main

KINDS = ("permissions", "accessible-programs", "accessible-projects", "scope-summary")


def reads_of(*users):
    return ["/users/%s/%s" % (user, kind) for user in users for kind in KINDS]


class Programs(App):
    def __init__(self):
        super().__init__()
        for kind in KINDS:
            self.route("GET", "/users/{user_id}/" + kind, self.member)
        for kind in ("roles", "scopes"):
            self.route("POST", "/users/{user_id}/" + kind, self.changed)
            self.route("PATCH|DELETE", "/users/{user_id}/" + kind + "/{name}", self.changed)
        self.route("POST", "/scopes/bulk-assign", self.bulk)
        self.route("POST", "/organization/rebuild", self.rebuild)

    def member(self, request, user_id):
        return self.read(request, user_id, "organization")

    def changed(self, request, user_id, name=None):
        return self.write(user_id)

    def bulk(self, request):
        return self.write(*[str(item["user_id"]) for item in request.json()["assignments"]])

    def rebuild(self, request):
        return self.write("organization")


class ProgramsJourney(ExampleJourney):
    example = "programs"
    make_app = Programs

    def test_each_kind_lives_an_hour(self):
        for target in reads_of("1"):
            with self.subTest(target):
                self.assertLifetime(target, 3600)

    def test_users_never_share_an_answer(self):
        for target in reads_of("1"):
            self.assertMiss(self.read(target, "alice"))
            self.assertMiss(self.read(target, "bob"))
            self.assertEqual(self.read(target, "alice").json()["user"], "Bearer token-of-alice")

    def test_each_change_forgets_that_user_for_every_reader_and_no_other(self):
        for method, path in (("POST", "/users/1/roles"), ("DELETE", "/users/1/roles/editor"),
                             ("PATCH", "/users/1/roles/editor"), ("POST", "/users/1/scopes"),
                             ("DELETE", "/users/1/scopes/north"), ("PATCH", "/users/1/scopes/north")):
            with self.subTest(method + " " + path):
                self.warm(*reads_of("1", "2"))
                version = self.write(method, path, body={}).json()["1"]
                self.assertEqual(self.read("/users/1/permissions", "bob").json()["state"]["1"], version)
                self.assertStale(*reads_of("1")[1:])
                self.assertUntouched(*reads_of("2"))

    def test_a_bulk_assignment_forgets_every_user_it_names_as_number_or_text(self):
        self.warm(*reads_of("1", "2", "3"))
        self.write("POST", "/scopes/bulk-assign",
                   body={"assignments": [{"user_id": 1, "scope": "n"}, {"user_id": "3", "scope": "s"}]})
        self.assertStale(*reads_of("1", "3"))
        self.assertUntouched(*reads_of("2"))

    def test_an_empty_bulk_assignment_forgets_nobody(self):
        self.warm(*reads_of("1"))
        self.write("POST", "/scopes/bulk-assign", body={"assignments": []})
        self.assertUntouched(*reads_of("1"))

    def test_a_bulk_assignment_that_cannot_be_read_forgets_all_users(self):
        for body in ({"assignments": [{"user_id": 1}, {"name": "no id"}]}, {}, "not json"):
            with self.subTest(body=body):
                self.warm(*reads_of("1", "2"))
                self.origin.fail("/scopes/bulk-assign", 200)  # an application that does not mind
                self.write("POST", "/scopes/bulk-assign", body=body)
                self.assertStale(*reads_of("1", "2"))
        self.assertIn("widened", self.front.stats())
        self.assertGreaterEqual(self.front.stats()["widened"], 3)

    def test_a_rebuilt_organisation_forgets_all_users(self):
        self.warm(*reads_of("1", "2", "3"))
        self.write("POST", "/organization/rebuild")
        self.assertStale(*reads_of("1", "2", "3"))

    def test_an_operator_forgets_one_user_through_the_admin_api(self):
        self.warm(*reads_of("1", "2"))
        self.assertEqual(self.front.admin("DELETE", "/cache/member/1").status, 200)
        self.assertStale(*reads_of("1"))
        self.assertUntouched(*reads_of("2"))

    def test_statistics_add_up(self):
        self.warm(*reads_of("1"), users=("alice",))
        stats = self.stats_with_sets(4)
        self.assertEqual((stats["hits"], stats["misses"], stats["sets"]), (4, 4, 4))
        self.assertAlmostEqual(float(stats["hit_rate"]), 50, delta=0.1)


class ProgramsSettings(ExampleJourney):
    example = "programs"
    make_app = Programs

    def environment(self):
        return {"CACHE_TTL_PERMISSIONS": "60", "CACHE_TTL_PROGRAMS": "120",
                "CACHE_TTL_PROJECTS": "10m", "CACHE_TTL_SCOPES": "1d"}

    def test_each_lifetime_comes_from_its_own_variable(self):
        for kind, seconds in zip(KINDS, (60, 120, 600, 86400)):
            with self.subTest(kind):
                self.assertLifetime("/users/1/" + kind, seconds)


del ExampleJourney
if __name__ == "__main__":
    main()
