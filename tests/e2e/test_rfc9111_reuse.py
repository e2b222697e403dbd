"""HTTP caching by its clauses (validation, stale answers, ranges, wishes).

A real gateway between a client and an upstream that answers as told.

Each row of a table names the clause it is about. Lifetimes are long and clocks are moved, so that
nothing depends on how fast the machine is. What the clauses come to in detail is in the unit tests;
rules/README.md (RFC table) leads to both.
"""

from harness import main
from rfc import AGE, ALPHABET, LIFE_S, TAG, At, Rfc


class Validation(Rfc):
    def test_expired_answer_is_asked_about_and_renewed(self):
        """9111 4.3.1, 4.3.3, 4.3.4, 3.2."""
        changed = At(-86400)
        path = self.stored("origin", [AGE, TAG, ("Last-Modified", changed), ("X-Build", "old"),
                                      ("Content-Type", "text/plain")])
        self.front.advance(LIFE_S + 300)
        self.tell(path, self.reply([TAG, ("Cache-Control", "max-age=5000"), ("X-Build", "new"),
                                    ("Date", At(0))], b"", 304))
        answer, asked = self.asks(path)
        self.assertTrue(asked)
        self.assertEqual(self.origin.last(path).field("if-none-match"), '"1"')
        self.assertIsNotNone(self.origin.last(path).field("if-modified-since"))
        self.assertEqual((answer.status, answer.body), (200, b"body"))
        self.assertEqual((answer.cache.fwd, answer.cache.fwd_status, answer.cache.detail),
                         ("stale", 304, "validated"))
        self.assertTrue(answer.cache.stored)
        self.front.advance(4000)
        answer, asked = self.asks(path)
        self.assertFalse(asked)
        self.assertEqual(answer.field("x-build"), "new")
        self.assertEqual(answer.field("content-type"), "text/plain")
        self.assertEqual(answer.field("content-length"), "4")

    # clause, fields of the stored answer, fields of the 304, whether that confirms it
    CONFIRMS = [
        ("9111 4.3.4 same strong tag", [TAG], [TAG], True),
        ("9111 4.3.4 other strong tag", [TAG], [("ETag", '"2"')], False),
        ("9111 4.3.4 weak tag", [("ETag", 'W/"1"')], [("ETag", 'W/"1"')], True),
        ("9111 4.3.4 no validator", [TAG], [], True),
        ("9110 8.8.3 malformed tag is none", [TAG, ("Last-Modified", At(-9))], [("ETag", "1")], True),
    ]

    def test_only_a_304_of_the_stored_answer_confirms_it(self):
        for clause, fields, confirmation, confirms in self.CONFIRMS:
            with self.subTest(clause):
                path = self.stored("origin", [AGE] + fields)
                self.front.advance(LIFE_S + 300)
                self.tell(path, self.reply([AGE] + confirmation, b"", 304),
                          self.reply([AGE], b"whole"))
                before = self.origin.count(path)
                answer, _ = self.asks(path)
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.body, b"body" if confirms else b"whole")
                self.assertEqual(self.origin.count(path) - before, 1 if confirms else 2)
                if not confirms:
                    self.assertIsNone(self.origin.last(path).field("if-none-match"))

    def test_answer_without_validator_is_fetched_whole(self):
        """9111 4.3.1."""
        path = self.stored("origin", [AGE, ("ETag", "malformed")])
        self.front.advance(LIFE_S + 300)
        self.asks(path)
        for name in ("if-none-match", "if-modified-since"):
            self.assertIsNone(self.origin.last(path).field(name))

    def test_no_cache_is_kept_and_asked_about(self):
        """9111 5.2.2.4."""
        path = self.stored("origin", [TAG, ("Cache-Control", "max-age=1000, no-cache")])
        self.tell(path, self.reply([TAG], b"", 304))
        for _ in range(2):
            answer, asked = self.asks(path)
            self.assertTrue(asked)
            self.assertEqual((answer.status, answer.body), (200, b"body"))

    def test_purged_answer_is_never_asked_about(self):
        """CONSISTENCY row 4: its validator may be too coarse to tell."""
        path = self.stored("origin", [AGE, TAG])
        self.assertEqual(self.front.request("PUT", path, body="x").status, 200)
        self.asks(path)
        self.assertIsNone(self.origin.last(path).field("if-none-match"))

    # clause, fields of the request, fields of the stored answer, status
    CLIENT = [
        ("9110 13.1.2 same", {"If-None-Match": '"1"'}, [TAG], 304),
        ("9110 13.1.2 weak comparison", {"If-None-Match": 'W/"1"'}, [TAG], 304),
        ("9110 13.1.2 list", {"If-None-Match": '"0", "1"'}, [TAG], 304),
        ("9110 13.1.2 any", {"If-None-Match": "*"}, [], 304),
        ("9110 13.1.2 other", {"If-None-Match": '"2"'}, [TAG], 200),
        ("9110 13.1.2 malformed", {"If-None-Match": "1"}, [TAG], 200),
        ("9110 13.1.3 not modified", {"If-Modified-Since": At(-5000)}, [("Last-Modified", At(-6000))], 304),
        ("9110 13.1.3 modified", {"If-Modified-Since": At(-6000)}, [("Last-Modified", At(-5000))], 200),
        ("9110 13.1.3 no date", {"If-Modified-Since": "yesterday"}, [("Last-Modified", At(-5000))], 200),
        ("9110 13.2.2 the tag comes first",
         {"If-None-Match": '"2"', "If-Modified-Since": At(0)}, [TAG, ("Last-Modified", At(-5000))], 200),
    ]

    def test_client_conditions_are_answered_from_the_store(self):
        for clause, headers, fields, status in self.CLIENT:
            with self.subTest(clause):
                path = self.stored("origin", [AGE, ("Content-Type", "text/plain")] + fields)
                answer, asked = self.asks(path, dict(self.fields(headers.items())))
                self.assertFalse(asked)
                self.assertHit(answer)
                self.assertEqual(answer.status, status)
                if status == 304:  # 9110 15.4.5
                    self.assertEqual(answer.body, b"")
                    self.assertIsNone(answer.field("content-type"))
                    self.assertIsNotNone(answer.field("cache-control"))

    def test_conditions_on_what_is_fetched(self):
        """9110 13.2.1: judged on the answer that the client would get; the origin sees ours."""
        path = self.stored("origin", [AGE, TAG])
        self.front.advance(LIFE_S + 300)
        self.tell(path, self.reply([TAG, AGE], b"", 304))
        answer, asked = self.asks(path, {"If-None-Match": '"1"'})
        self.assertTrue(asked)
        self.assertEqual((answer.status, answer.body), (304, b""))
        self.assertEqual(self.asks(path)[0].body, b"body")
        path = self.path("origin")
        self.tell(path, self.reply([AGE, TAG]))
        answer, _ = self.asks(path, {"If-None-Match": '"1"'})
        self.assertIsNone(self.origin.last(path).field("if-none-match"))
        self.assertEqual((answer.status, answer.cache.fwd_status), (304, 200))
        self.assertFalse(self.asks(path)[1], "the whole was stored")

    def test_some_conditions_are_the_origin_s(self):
        """9110 13.1.1, 13.1.4."""
        path = self.stored("origin", [AGE, TAG])
        for name, value in (("If-Match", '"1"'), ("If-Unmodified-Since", "Tue, 01 Jan 2030 00:00:00 GMT")):
            answer, asked = self.asks(path, {name: value})
            self.assertTrue(asked)
            self.assertEqual(self.origin.last(path).field(name), value)
            self.assertEqual((answer.cache.detail, answer.cache.about), ("condition", name.lower()))

    def test_head_of_a_stored_get(self):
        """9110 9.3.2, 9111 4.3.5: answered from it while fresh; later it updates or ends it."""
        path = self.stored("origin", [AGE, TAG, ("X-Build", "old")])
        answer, asked = self.asks(path, method="HEAD")
        self.assertFalse(asked)
        self.assertEqual((answer.body, answer.field("content-length")), (b"", "4"))
        self.front.advance(LIFE_S + 300)
        self.tell(path, self.reply([AGE, TAG, ("X-Build", "new")]))
        self.assertTrue(self.asks(path, method="HEAD")[1])
        answer, asked = self.asks(path)
        self.assertFalse(asked)
        self.assertEqual(answer.field("x-build"), "new")
        self.front.advance(LIFE_S + 300)
        self.tell(path, self.reply([AGE, ("ETag", '"2"')], b"other"))
        self.assertTrue(self.asks(path, method="HEAD")[1])
        answer, _ = self.asks(path)
        self.assertIsNone(self.origin.last(path).field("if-none-match"), "it was ended")
        self.assertEqual(answer.body, b"other")


class Stale(Rfc):
    def expired(self, prefix, fields, seconds):
        path = self.stored(prefix, fields)
        self.front.advance(LIFE_S + seconds)
        return path

    # clause, prefix, what Cache-Control adds, whether an expired answer stands in for a failure
    ROWS = [
        ("5861 4 stale-if-error", "windows", ", stale-if-error=10000", True),
        ("5861 4 not without it", "windows", "", False),
        ("5861 4 the rule's", "stale", "", True),
        ("9111 5.2.2.2 must-revalidate", "stale", ", must-revalidate", False),
        ("9111 5.2.2.8 proxy-revalidate", "stale", ", proxy-revalidate", False),
        ("9111 5.2.2.10 s-maxage", "stale", ", s-maxage=1000", False),
    ]

    def test_failing_origin(self):
        for clause, prefix, more, stands_in in self.ROWS:
            for trouble in ("status", "drop", "cut"):
                with self.subTest(clause, trouble=trouble):
                    path = self.expired(prefix, [("Cache-Control", "max-age=1000" + more)], 5000)
                    if trouble == "status":
                        self.origin.fail(path, 503, times=10)
                    elif trouble == "drop":
                        self.origin.drop(path, times=10)
                    else:
                        self.origin.write_raw(path, b"HTTP/1.1 200 O", times=10)
                    answer, asked = self.asks(path)
                    self.assertTrue(asked)
                    self.assertEqual(answer.status == 200, stands_in, repr(answer))
                    if stands_in:
                        self.assertEqual(answer.cache.detail, "stale-if-error")
                        self.assertLess(answer.cache.ttl, 0)
                        self.assertEqual(answer.cache.fwd, "stale")
                        self.assertGreater(int(answer.field("age")), LIFE_S)

    def test_stale_while_revalidate(self):
        """5861 3: served at once, and refreshed behind the client's back, with a condition."""
        path = self.expired("windows", [TAG, ("Cache-Control", "max-age=1000, stale-while-revalidate=1000")], 300)
        gate = self.origin.hold(path)
        for _ in range(200):  # just after something was stored a shared store lets nobody refresh
            answer, _ = self.asks(path)
            self.assertEqual((answer.body, answer.cache.hit, answer.cache.detail),
                             (b"body", True, "stale-while-revalidate"))
            self.assertLess(answer.cache.ttl, 0)
            if gate.arrived.wait(0.05):
                break
        gate.wait_arrived()
        self.assertEqual(self.origin.last(path).field("if-none-match"), '"1"')
        self.tell(path, self.reply([TAG, AGE], b"", 304))
        gate.release()


class Ranges(Rfc):
    # clause, fields of the request, status, Content-Range, body
    ROWS = [
        ("9110 14.1.2 first and last", {"Range": "bytes=1-3"}, 206, "bytes 1-3/26", b"bcd"),
        ("9110 14.1.2 to the end", {"Range": "bytes=23-"}, 206, "bytes 23-25/26", b"xyz"),
        ("9110 14.1.2 suffix", {"Range": "bytes=-2"}, 206, "bytes 24-25/26", b"yz"),
        ("9110 14.1.2 last is beyond", {"Range": "bytes=25-99"}, 206, "bytes 25-25/26", b"z"),
        ("9110 15.5.17 unsatisfiable", {"Range": "bytes=26-"}, 416, "bytes */26", None),
        ("9110 14.2 other unit", {"Range": "lines=1-2"}, 200, None, ALPHABET),
        ("9110 14.2 malformed", {"Range": "bytes=3-1"}, 200, None, ALPHABET),
        ("9110 13.1.5 If-Range, same", {"Range": "bytes=0-0", "If-Range": '"1"'}, 206, "bytes 0-0/26", b"a"),
        ("9110 13.1.5 If-Range, other", {"Range": "bytes=0-0", "If-Range": '"2"'}, 200, None, ALPHABET),
        ("9110 13.1.5 If-Range, weak", {"Range": "bytes=0-0", "If-Range": 'W/"1"'}, 200, None, ALPHABET),
        ("9110 13.2.2 conditions come first", {"Range": "bytes=0-0", "If-None-Match": '"1"'}, 304, None, b""),
    ]

    def test_ranges_of_a_stored_answer(self):
        path = self.stored("origin", [AGE, TAG], body=ALPHABET)
        for clause, headers, status, content_range, body in self.ROWS:
            with self.subTest(clause):
                answer, asked = self.asks(path, headers)
                self.assertFalse(asked)
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.field("content-range"), content_range)
                if body is not None:
                    self.assertEqual(answer.body, body)

    def test_several_ranges(self):
        """9110 14.6, 15.3.7.2."""
        content = b"".join(b"%07d\n" % i for i in range(20000))
        path = self.stored("origin", [AGE, ("Content-Type", "text/plain")], body=content)
        wanted = [(0, 7), (80000, 80007), (159992, 159999)]
        answer, asked = self.asks(path, {"Range": "bytes=" + ",".join("%d-%d" % w for w in wanted)})
        self.assertFalse(asked)
        self.assertEqual(answer.status, 206)
        self.assertIsNone(answer.field("content-range"))
        kind, _, boundary = answer.field("content-type").partition("; boundary=")
        self.assertEqual(kind, "multipart/byteranges")
        parts = answer.body.split(b"--" + boundary.strip('"').encode())
        self.assertEqual(parts[-1].strip(), b"--")
        for (first, last), part in zip(wanted, parts[1:-1]):
            head, _, body = part.partition(b"\r\n\r\n")
            self.assertIn(b"bytes %d-%d/%d" % (first, last, len(content)), head)
            self.assertEqual(body[:-2], content[first:last + 1])
        self.assertEqual(int(answer.field("content-length")), len(answer.body))

    def test_range_that_misses(self):
        """9111 3.3, 9110 14.2: it travels, and what comes back is not stored."""
        path = self.path("origin")
        self.tell(path, self.reply([AGE, ("Content-Range", "bytes 0-0/26")], b"a", 206))
        for _ in range(2):
            answer, asked = self.asks(path, {"Range": "bytes=0-0"})
            self.assertTrue(asked)
            self.assertEqual((answer.status, answer.body, answer.cache.fwd), (206, b"a", "partial"))
            self.assertEqual(self.origin.last(path).field("range"), "bytes=0-0")


class Wishes(Rfc):
    # clause, Cache-Control of the request, age of the stored answer, whether it is used
    ROWS = [
        ("9111 5.2.1.4 no-cache", {"Cache-Control": "no-cache"}, 100, False),
        ("9111 5.4 Pragma", {"Pragma": "no-cache"}, 100, False),
        ("9111 5.4 Pragma beside Cache-Control", {"Pragma": "no-cache", "Cache-Control": "x"}, 100, True),
        ("9111 5.2.1.1 max-age, older", {"Cache-Control": "max-age=50"}, 300, False),
        ("9111 5.2.1.1 max-age, younger", {"Cache-Control": "max-age=900"}, 300, True),
        ("9111 5.2.1.3 min-fresh, too short", {"Cache-Control": "min-fresh=900"}, 500, False),
        ("9111 5.2.1.3 min-fresh, enough", {"Cache-Control": "min-fresh=100"}, 500, True),
        ("9111 5.2.1.2 max-stale, any", {"Cache-Control": "max-stale"}, 1200, True),
        ("9111 5.2.1.2 max-stale, enough", {"Cache-Control": "max-stale=900"}, 1200, True),
        ("9111 5.2.1.2 max-stale, too little", {"Cache-Control": "max-stale=10"}, 1500, False),
    ]

    def test_routes_that_obey(self):
        for clause, headers, age, is_used in self.ROWS:
            with self.subTest(clause):
                path = self.stored("obeys", [AGE, TAG])
                self.front.advance(age)
                answer, asked = self.asks(path, headers)
                self.assertEqual(asked, not is_used, repr(answer))
                if asked and age < LIFE_S:
                    self.assertEqual(answer.cache.fwd, "request")

    def test_others_do_not_let_strangers_ask_the_origin(self):
        path = self.stored("origin", [AGE, TAG])
        self.front.advance(300)
        for clause, headers, age, _ in self.ROWS:
            if age < LIFE_S:
                self.assertFalse(self.asks(path, headers)[1], clause)

    def test_only_if_cached(self):
        """9111 5.2.1.7."""
        path = self.stored("origin", [AGE])
        answer, asked = self.asks(path, {"Cache-Control": "only-if-cached"})
        self.assertEqual((answer.status, asked), (200, False))
        self.front.advance(LIFE_S + 300)
        for target in (path, self.path("origin"), self.path("nowhere")):
            self.tell(target, self.reply())
            answer, asked = self.asks(target, {"Cache-Control": "only-if-cached"})
            self.assertEqual((answer.status, asked), (200, True) if "nowhere" in target else (504, False))

    def test_immutable(self):
        """8246 2: a fresh immutable answer is not asked about for its age."""
        path = self.stored("obeys", [TAG, ("Cache-Control", "max-age=1000, immutable")])
        self.front.advance(300)
        self.assertFalse(self.asks(path, {"Cache-Control": "max-age=0"})[1])
        self.assertTrue(self.asks(path, {"Cache-Control": "no-cache"})[1])


if __name__ == "__main__":
    main()
