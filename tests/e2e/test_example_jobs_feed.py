"""jobs-feed: a feed shared by all, and private messages (conf/examples/jobs-feed)."""

import threading

from harness import App, ExampleJourney, main, wait_until

FEEDS = ("/feed?skip=0&limit=10", "/feed?skip=10&limit=10")
SHARED = (*FEEDS, "/posts/1", "/posts/2", "/jobs", "/jobs/4")
PRIVATE = ("/users/9", "/messages", "/notifications")
READERS = 100


class JobsFeed(App):
    def __init__(self):
        super().__init__()
        self.route("GET", "/feed", lambda request: self.read(request, "posts"))
        for kind in ("posts", "jobs", "users"):
            self.route("GET", "/%s/{id}" % kind, lambda request, id, kind=kind: self.read(request, kind + id))
            self.route("PUT|PATCH|DELETE", "/%s/{id}" % kind,
                       lambda request, id, kind=kind: self.write(kind + id, kind))
            self.route("POST", "/" + kind, lambda request, kind=kind: self.write(kind))
        for kind in ("jobs", "messages", "notifications"):
            self.route("GET", "/" + kind, lambda request, kind=kind: self.read(request, kind))
        self.route("POST", "/messages", lambda request: self.write("messages"))
        self.route("POST", "/notifications/{id}/read", lambda request, id: self.write("notifications"))


class JobsFeedJourney(ExampleJourney):
    example = "jobs-feed"
    make_app = JobsFeed
    feed_fetches = (2,)

    def identity_fields(self, user):
        return {"Authorization": "Bearer token-of-" + user,
                "Cookie": "member=%s; _ga_X1=GS1.1; consent=yes" % user}

    def warm_all(self):
        self.warm_shared(*SHARED)
        self.warm(*PRIVATE)

    def warm_shared(self, *targets):
        for target in targets:
            self.read(target, "alice")
            self.assertHit(self.read(target, "bob"), target + " is not shared")

    def test_each_read_lives_its_time(self):
        for target, seconds in (("/posts/1", 30), ("/users/9", 300), ("/jobs", 300), ("/jobs/4", 300),
                                ("/messages", 30), ("/notifications", 30)):
            with self.subTest(target):
                self.assertLifetime(target, seconds)

    def test_the_feed_lives_30_seconds_and_is_then_refreshed_behind_one_stale_answer(self):
        self.assertMiss(self.read(FEEDS[0]))
        self.front.advance(28)
        self.assertHit(self.read(FEEDS[0]))
        self.origin.app.write("posts")  # changed behind the gateway's back
        self.front.advance(5)
        stale = self.read(FEEDS[0])
        self.assertHit(stale)
        self.assertEqual(stale.cache.detail, "stale-while-revalidate", repr(stale))
        self.assertEqual(stale.json()["state"], {"posts": 0})
        wait_until(lambda: self.read(FEEDS[0]).json()["state"] == {"posts": 1}, "the feed is refreshed")
        self.assertIn(self.origin.count("/feed"), self.feed_fetches)
        self.front.advance(60)  # beyond the window: nobody gets it any more
        self.assertMiss(self.read(FEEDS[0]))

    def test_the_feed_is_one_copy_for_all_and_private_reads_are_not(self):
        self.warm_shared(*SHARED)
        self.assertEqual(self.origin.count(), len(SHARED))
        for target in PRIVATE:
            self.assertMiss(self.read(target, "alice"))
            self.assertMiss(self.read(target, "bob"))
            self.assertEqual(self.read(target, "bob").json()["user"], "Bearer token-of-bob")

    def test_a_cookie_that_nobody_declared_is_not_cached(self):
        fields = {"Cookie": "member=alice; theme=dark"}
        for _ in range(2):
            self.assertPassed(self.front.get("/feed", headers=fields), "uncovered-credential")
        self.assertEqual(self.front.get("/feed", headers=fields).cache.about, "cookie:theme")

    def test_a_crowd_on_a_cold_feed_costs_one_upstream_call(self):
        gate = self.origin.hold("/feed")
        answers = []
        lock = threading.Lock()

        def read(number):
            client = self.front.client()
            answer = client.get(FEEDS[0], headers=self.identity_fields("reader-%d" % number))
            with lock:
                answers.append(answer)

        readers = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
        with gate:
            for reader in readers:
                reader.start()
            gate.wait_arrived()
        for reader in readers:
            reader.join()
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertEqual(len(answers), READERS)
        # One flight for each thread of the gateway: two.
        self.assertLessEqual(self.origin.count("/feed"), 5)

    def test_each_change_of_a_post_forgets_every_page_and_the_post(self):
        for method, path in (("POST", "/posts"), ("PUT", "/posts/1"), ("PATCH", "/posts/1"),
                             ("DELETE", "/posts/1")):
            with self.subTest(method):
                self.warm_all()
                self.write(method, path, "alice", body={"text": "hello"})
                for target in FEEDS if method == "POST" else (*FEEDS, "/posts/1"):
                    self.assertFalse(self.read(target, "bob").cache.hit, target)
                self.assertUntouched("/posts/2", "/jobs", "/jobs/4", *PRIVATE)

    def test_writes_without_a_list_forget_their_path_and_the_one_above(self):
        for method, path, forgotten, kept in (
                ("PUT", "/jobs/4", ("/jobs/4", "/jobs"), ("/posts/1", *FEEDS, *PRIVATE)),
                ("POST", "/jobs", ("/jobs",), ("/jobs/4", "/posts/1", *FEEDS, *PRIVATE)),
                ("PATCH", "/users/9", ("/users/9",), ("/messages", "/notifications", *SHARED)),
                ("POST", "/messages", ("/messages",), ("/users/9", "/notifications", *SHARED))):
            with self.subTest(method + " " + path):
                self.warm_all()
                self.write(method, path, "alice", body={})
                for target in forgotten:
                    self.assertFalse(self.read(target, "bob").cache.hit, target)
                self.assertUntouched(*kept)

    def test_reading_notifications_forgets_the_callers_only(self):
        self.warm_all()
        self.write("POST", "/notifications/3/read", "alice")
        self.assertStale("/notifications", users=("alice",))
        self.assertUntouched("/notifications", users=("bob",))
        self.assertUntouched(*SHARED, "/users/9", "/messages")

    def test_statistics_add_up(self):
        self.warm_shared(*SHARED)
        stats = self.stats_with_sets(6)
        self.assertEqual((stats["hits"], stats["misses"], stats["sets"]), (6, 6, 6))


del ExampleJourney
if __name__ == "__main__":
    main()
