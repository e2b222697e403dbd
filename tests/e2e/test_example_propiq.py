"""propiq: property analyses (conf/examples/propiq)."""

from harness import App, ExampleJourney, main

API = "/api/v1"
PROFILE = API + "/auth/users/7"
PAGES = [API + "/propiq/analyses?page=%d" % page for page in (1, 2)]
ANALYSIS = API + "/propiq/analyses/55"
CONVERSATIONS = API + "/support/conversations"
STATUS = API + "/subscription/status"
USAGE = API + "/usage/statistics"
ALL = (PROFILE, *PAGES, ANALYSIS, CONVERSATIONS, STATUS, USAGE)


class Propiq(App):
    """Each user's state is named `<what> <user>`."""

    def __init__(self):
        super().__init__()
        self.route("GET", API + "/auth/users/{id}", lambda request, id: self.read(request, "profile " + id))
        self.route("PUT", API + "/auth/users/{id}", lambda request, id: self.write("profile " + id))
        self.route("GET", API + "/auth/me", lambda request: self.read(request, "me"))
        for what, path in (("analyses", "/propiq/analyses"), ("conversations", "/support/conversations"),
                           ("status", "/subscription/status"), ("usage", "/usage/statistics")):
            self.route("GET", API + path, self.reader(what))
        self.route("GET", API + "/propiq/analyses/{id}", lambda request, id: self.read(request, "analysis " + id))
        self.route("POST", API + "/propiq/analyses", self.writer("analyses", "usage"))
        self.route("DELETE", API + "/propiq/analyses/{id}", self.deleted)
        self.route("POST", API + "/support/conversations/{id}/messages", self.message)
        self.route("PUT|POST|DELETE", API + "/subscription", self.writer("status", "usage"))

    @staticmethod
    def caller(request):
        return request.field("x-user-id", "nobody")

    def reader(self, what):
        return lambda request: self.read(request, what + " " + self.caller(request))

    def writer(self, *whats):
        return lambda request: self.write(*[what + " " + self.caller(request) for what in whats])

    def deleted(self, request, id):
        return self.write("analysis " + id, "analyses " + self.caller(request))

    def message(self, request, id):
        return self.write("conversations " + self.caller(request))


class PropiqJourney(ExampleJourney):
    example = "propiq"
    make_app = Propiq

    def identity_fields(self, user):
        return {"Authorization": "Bearer token-of-" + user, "X-User-Id": user}

    def test_each_read_lives_its_time(self):
        for target, seconds in ((PROFILE, 3600), (PAGES[0], 300), (ANALYSIS, 86400),
                                (CONVERSATIONS, 300), (STATUS, 3600), (USAGE, 300)):
            with self.subTest(target):
                self.assertLifetime(target, seconds)

    def test_users_never_share_an_answer(self):
        for target in ALL:
            self.assertMiss(self.read(target, "alice"))
            self.assertMiss(self.read(target, "bob"))
            self.assertEqual(self.read(target, "alice").json()["user"], "Bearer token-of-alice")

    def test_somebody_elses_user_id_opens_nothing(self):
        self.warm(*ALL, users=("alice",))
        for target in ALL:
            answer = self.front.get(target, headers={"Authorization": "Bearer token-of-mallory",
                                                     "X-User-Id": "alice"})
            self.assertMiss(answer)
            self.assertEqual(answer.json()["user"], "Bearer token-of-mallory")

    def test_pages_are_answers_of_their_own(self):
        self.assertMiss(self.read(PAGES[0]))
        self.assertMiss(self.read(PAGES[1]))
        self.assertEqual(self.read(PAGES[0]).json()["target"], PAGES[0])

    def test_a_changed_user_is_read_fresh_by_everybody(self):
        self.warm(*ALL)
        self.write("PUT", PROFILE, body={"name": "new"})
        self.assertStale(PROFILE)
        self.assertUntouched(*PAGES, ANALYSIS, CONVERSATIONS, STATUS, USAGE)

    def test_a_new_analysis_forgets_all_pages_and_the_callers_usage(self):
        self.warm(*ALL)
        self.write("POST", API + "/propiq/analyses", "alice", body={"address": "x"})
        self.assertStale(*PAGES, USAGE, users=("alice",))
        self.assertUntouched(USAGE, users=("bob",))
        self.assertUntouched(PROFILE, ANALYSIS, CONVERSATIONS, STATUS)

    def test_a_deleted_analysis_forgets_itself_and_the_callers_pages_only(self):
        self.warm(*ALL)
        self.write("DELETE", ANALYSIS, "alice")
        self.assertStale(ANALYSIS)
        self.assertStale(*PAGES, users=("alice",))
        self.assertUntouched(*PAGES, users=("bob",))
        self.assertUntouched(PROFILE, CONVERSATIONS, STATUS, USAGE)

    def test_a_message_forgets_the_callers_conversations_only(self):
        self.warm(*ALL)
        self.write("POST", CONVERSATIONS + "/3/messages", "alice", body={"text": "hello"})
        self.assertStale(CONVERSATIONS, users=("alice",))
        self.assertUntouched(CONVERSATIONS, users=("bob",))
        self.assertUntouched(PROFILE, *PAGES, ANALYSIS, STATUS, USAGE)

    def test_a_subscription_change_forgets_the_callers_status_and_usage_only(self):
        for method in ("POST", "PUT", "DELETE"):
            with self.subTest(method):
                self.warm(*ALL)
                self.write(method, API + "/subscription", "bob", body={"plan": "pro"})
                self.assertStale(STATUS, USAGE, users=("bob",))
                self.assertUntouched(STATUS, USAGE, users=("alice",))
                self.assertUntouched(PROFILE, *PAGES, ANALYSIS, CONVERSATIONS)

    def test_a_renewed_token_still_forgets_what_the_old_one_had_read(self):
        self.warm(CONVERSATIONS, users=("alice",))
        self.front.request("POST", CONVERSATIONS + "/3/messages", body={"text": "hello"},
                           headers={"Authorization": "Bearer renewed", "X-User-Id": "alice"})
        self.assertStale(CONVERSATIONS, users=("alice",))

    def test_the_rest_of_auth_is_never_stored(self):
        for _ in range(2):
            self.assertPassed(self.read(API + "/auth/me"), "rule-never")

    def test_an_analysis_outlives_a_failing_upstream_by_an_hour(self):
        self.warm(ANALYSIS, users=("alice",))
        self.front.advance(86400 + 3000)
        self.origin.fail(ANALYSIS, 503, times=2)
        answer = self.read(ANALYSIS)
        self.assertEqual(answer.cache.detail, "stale-if-error", repr(answer))
        self.front.advance(700)
        failed = self.front.get(ANALYSIS, headers=self.identity_fields("alice"))
        self.assertEqual(failed.status, 503)

    def test_an_operator_forgets_one_user(self):
        self.warm(*ALL)
        self.assertEqual(self.front.admin("DELETE", "/cache/user/alice").status, 200)
        self.assertStale(*ALL, users=("alice",))
        self.assertUntouched(*ALL, users=("bob",))

    def test_statistics_add_up(self):
        self.warm(*ALL, users=("alice",))
        stats = self.stats_with_sets(7)
        self.assertEqual((stats["hits"], stats["misses"], stats["sets"]), (7, 7, 7))


del ExampleJourney
if __name__ == "__main__":
    main()
