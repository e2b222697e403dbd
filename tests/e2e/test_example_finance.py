"""finance: transactions of import sessions (conf/examples/finance)."""

import threading

from harness import App, ExampleJourney, main


class Finance(App):
    """Transaction 1 to 99 belong to session s1, those from 100 to s2."""

    def __init__(self):
        super().__init__()
        for path in ("/transactions", "/summary", "/category-summary"):
            self.route("GET", path, self.of_session)
        self.route("GET", "/sessions", lambda request: self.read(request, "s1", "s2"))
        self.route("GET", "/rules", lambda request: self.read(request, "rules"))
        self.route("PUT", "/transactions/{id}", self.update)
        self.route("POST", "/bulk-categorise", self.bulk)
        self.route("GET", "/auth/token", lambda request: {"token": "secret"})

    def of_session(self, request):
        return self.read(request, request.parameter("session_id", "none"))

    def update(self, request, id):
        session = "s1" if int(id) < 100 else "s2"
        return {"id": id, "session_id": session, "version": self.write(session)[session]}

    def bulk(self, request):
        session = request.json()["session_id"]
        return {"changed": 3, "version": self.write(session)[session]}


def reads_of(session):
    return ["/transactions?session_id=%s" % session,
            "/transactions?session_id=%s&category=rent" % session,
            "/transactions?session_id=%s&page=2" % session,
            "/transactions?session_id=%s&category=rent&page=2" % session,
            "/summary?session_id=%s" % session,
            "/category-summary?session_id=%s" % session]


class FinanceJourney(ExampleJourney):
    example = "finance"
    make_app = Finance

    def test_each_read_lives_its_time(self):
        for target, seconds in (("/transactions?session_id=s1", 300), ("/summary?session_id=s1", 1800),
                                ("/category-summary?session_id=s1", 1800), ("/sessions", 600),
                                ("/rules", 3600)):
            with self.subTest(target):
                self.assertLifetime(target, seconds)

    def test_users_never_share_an_answer(self):
        for target in reads_of("s1") + ["/sessions", "/rules"]:
            self.assertMiss(self.read(target, "alice"))
            self.assertMiss(self.read(target, "bob"))
            self.assertEqual(self.read(target, "bob").json()["user"], "Bearer token-of-bob")

    def test_each_page_and_category_is_an_answer_of_its_own(self):
        for target in reads_of("s1") + reads_of("s2"):
            self.assertMiss(self.read(target))
            self.assertEqual(self.read(target).json()["state"],
                             {target.split("session_id=")[1].split("&")[0]: 0})

    def test_parameters_that_do_not_matter_make_no_copies_and_do_not_travel(self):
        self.assertMiss(self.read("/transactions?session_id=s1&page=2"))
        self.assertHit(self.read("/transactions?utm_source=mail&page=2&session_id=s1"))
        self.assertMiss(self.read("/transactions?_=1700000000&session_id=s2"))
        self.assertEqual(self.origin.last().target, "/transactions?session_id=s2")

    def test_an_update_forgets_the_session_that_its_answer_names(self):
        self.warm(*reads_of("s1"), *reads_of("s2"), "/sessions", "/rules")
        version = self.write("PUT", "/transactions/5", body={"category": "rent"}).json()["version"]
        self.assertEqual(self.read(reads_of("s1")[0], "bob").json()["state"], {"s1": version})
        self.assertStale(*reads_of("s1")[1:], "/sessions")
        self.assertUntouched(*reads_of("s2"), "/rules")

    def test_a_bulk_change_forgets_the_session_that_its_request_names(self):
        self.warm(*reads_of("s1"), *reads_of("s2"), "/sessions", "/rules")
        self.write("POST", "/bulk-categorise", body={"session_id": "s2", "category": "rent"})
        self.assertStale(*reads_of("s2"), "/sessions")
        self.assertUntouched(*reads_of("s1"), "/rules")

    def test_an_answer_without_a_session_forgets_every_session(self):
        self.warm(*reads_of("s1"), *reads_of("s2"), "/rules")
        self.origin.fail("/transactions/5", 200)  # `{"error": …}`: no session_id in it
        self.write("PUT", "/transactions/5", body={"category": "rent"})
        self.assertStale(*reads_of("s1"), *reads_of("s2"))
        self.assertUntouched("/rules")
        self.assertGreaterEqual(self.front.stats()["widened"], 1)

    def test_a_read_in_flight_while_a_session_changes_is_not_stored(self):
        gate = self.origin.hold("/summary", when="after")
        with gate:
            client = self.front.client()
            early = []
            reader = threading.Thread(target=lambda: early.append(
                client.get("/summary?session_id=s1", headers=self.identity_fields("alice"))))
            reader.start()
            gate.wait_arrived()  # the application has read the old state
            self.write("POST", "/bulk-categorise", body={"session_id": "s1"})
        reader.join()
        self.assertEqual(early[0].json()["state"], {"s1": 0})
        self.assertEqual(self.read("/summary?session_id=s1").json()["state"], {"s1": 1})

    def test_tokens_are_never_stored(self):
        for _ in range(2):
            self.assertPassed(self.read("/auth/token"), "rule-never")

    def test_an_operator_forgets_one_session_or_one_user_or_all(self):
        self.warm(*reads_of("s1"), *reads_of("s2"), "/rules")
        self.assertEqual(self.front.admin("DELETE", "/cache/session/s1").status, 200)
        self.assertStale(*reads_of("s1"))
        self.assertUntouched(*reads_of("s2"), "/rules")
        self.assertEqual(self.front.admin("DELETE", "/cache/flush").status, 200)
        self.assertStale(*reads_of("s1"), *reads_of("s2"), "/rules")

    def test_statistics_add_up(self):
        self.warm(*reads_of("s1"))
        for _ in range(6):
            self.read("/summary?session_id=s1")
        stats = self.stats_with_sets(12)
        self.assertEqual((stats["hits"], stats["misses"], stats["sets"]), (18, 12, 12))
        self.assertAlmostEqual(float(stats["hit_rate"]), 60, delta=0.1)
        routes = {route["name"]: route for route in stats["routes"]}
        self.assertEqual(routes["GET /summary"]["hits"], 8)


class FinanceSettings(ExampleJourney):
    example = "finance"
    make_app = Finance

    def environment(self):
        return {"CACHE_TTL_TRANSACTIONS": "20", "CACHE_TTL_SUMMARIES": "40",
                "CACHE_TTL_SESSIONS": "60", "CACHE_TTL_RULES": "80"}

    def test_each_lifetime_comes_from_its_own_variable(self):
        for target, seconds in (("/transactions?session_id=s1", 20), ("/summary?session_id=s1", 40),
                                ("/sessions", 60), ("/rules", 80)):
            with self.subTest(target):
                self.assertLifetime(target, seconds)


del ExampleJourney
if __name__ == "__main__":
    main()
