"""HTTP caching by its clauses (freshness, storing, Vary, invalidation).

A real gateway between a client and an upstream that answers as told.

Each row of a table names the clause it is about. Lifetimes are long and clocks are moved, so that
nothing depends on how fast the machine is. What the clauses come to in detail is in the unit tests;
rules/README.md (RFC table) leads to both.
"""

import email.utils
import threading

from harness import main
from rfc import AGE, LIFE_S, RULES, TAG, USER, At, Rfc


class Freshness(Rfc):
    # clause, prefix of the path, fields of the answer, how long it is fresh (0: never)
    ROWS = [
        ("9111 4.2.1 max-age", "origin", [("Cache-Control", "max-age=1000")], LIFE_S),
        ("9111 4.2.1 s-maxage first", "origin", [("Cache-Control", "max-age=1, s-maxage=1000")], LIFE_S),
        ("9111 4.2.1 max-age before Expires", "origin",
         [("Cache-Control", "max-age=1000"), ("Expires", "0")], LIFE_S),
        ("9111 5.3 Expires", "origin", [("Date", At(0)), ("Expires", At(1000))], LIFE_S),
        ("9111 5.3 Expires without Date", "origin", [("Expires", At(1000))], LIFE_S),
        ("9111 5.3 Expires is no date", "origin", [("Date", At(0)), ("Expires", "0")], 0),
        ("9111 5.3 Expires is over", "origin", [("Date", At(0)), ("Expires", At(-1))], 0),
        ("9111 4.2.3 Age is added", "origin",
         [("Cache-Control", "max-age=5000"), ("Age", "4000")], LIFE_S),
        ("9111 4.2.3 apparent age", "origin",
         [("Cache-Control", "max-age=5000"), ("Date", At(-4000))], LIFE_S),
        ("9111 4.2.3 the larger of both", "origin",
         [("Cache-Control", "max-age=5000"), ("Date", At(-4000)), ("Age", "10")], LIFE_S),
        ("9111 4.2.3 clock that runs ahead", "origin",
         [("Cache-Control", "max-age=1000"), ("Date", At(4000))], LIFE_S),
        ("9111 5.1 invalid Age", "origin",
         [("Cache-Control", "max-age=1000"), ("Age", "-40")], LIFE_S),
        ("9111 5.1 first member of Age", "origin",
         [("Cache-Control", "max-age=5000"), ("Age", "4000, 1")], LIFE_S),
        ("9111 5.2 case and spaces", "origin",
         [("Cache-Control", "  Public ,,MAX-AGE=1000 ")], LIFE_S),
        ("9111 5.2 several lines", "origin",
         [("Cache-Control", "public"), ("Cache-Control", "max-age=1000")], LIFE_S),
        ("9111 5.2.3 unknown directives", "origin",
         [("Cache-Control", 'new="a, no-store", max-age=1000')], LIFE_S),
        ("9111 5.2 quoted", "origin", [("Cache-Control", 'max-age="1000"')], LIFE_S),
        ("9111 4.2.1 conflict", "origin",
         [("Cache-Control", "max-age=9000, max-age=1000")], LIFE_S),
        ("9111 4.2.1 malformed", "origin", [("Cache-Control", "max-age=1000s")], 0),
        ("9111 1.2.2 negative", "origin", [("Cache-Control", "max-age=-1000")], 0),
        ("9111 4.2.2 no guess unless asked", "origin",
         [("Date", At(0)), ("Last-Modified", At(-10000))], 0),
        ("9111 4.2.2 a tenth", "guess", [("Date", At(0)), ("Last-Modified", At(-10000))], LIFE_S),
        ("9111 4.2.2 not with an explicit one", "guess",
         [("Last-Modified", At(-90000)), ("Cache-Control", "max-age=1000")], LIFE_S),
        ("9213 2.2 targeted before Cache-Control", "origin",
         [("CDN-Cache-Control", "max-age=1000"), ("Cache-Control", "no-store")], LIFE_S),
        ("9213 2.2 ours first", "origin",
         [("Cachegate-Cache-Control", "max-age=1000"), ("CDN-Cache-Control", "max-age=1")], LIFE_S),
        ("9213 2.2 Surrogate-Control last", "origin",
         [("Surrogate-Control", "max-age=1"), ("CDN-Cache-Control", "max-age=1000")], LIFE_S),
        ("9213 2.2 hides Expires", "origin",
         [("CDN-Cache-Control", "public"), ("Expires", At(1000))], 0),
        ("9213 2.1 one that does not parse", "origin",
         [("CDN-Cache-Control", "max-age=&"), ("Cache-Control", "max-age=1000")], LIFE_S),
        ("a rule's duration replaces the origin's", "rule", [("Cache-Control", "max-age=1")], LIFE_S),
        ("a rule's duration counts from arrival", "rule", [("Age", "5000")], LIFE_S),
    ]

    def test_answers_are_fresh_for_as_long_as_they_say(self):
        for clause, prefix, fields, seconds in self.ROWS:
            with self.subTest(clause):
                path = self.path(prefix)
                self.tell(path, self.reply(fields))
                self.asks(path)
                if seconds == 0:
                    self.assertTrue(self.asks(path)[1], "it was never fresh")
                    continue
                self.front.advance(seconds - 300)
                answer, asked = self.asks(path)
                self.assertFalse(asked, repr(answer))
                self.assertHit(answer)
                self.front.advance(600)
                self.assertTrue(self.asks(path)[1], "it is over")

    def test_age_and_date_of_hits(self):
        """9111 5.1, 9110 6.6.1: Age on every stored answer, Date as the origin said, or that of
        the arrival."""
        path = self.stored("origin", [("Cache-Control", "max-age=1000"), ("Age", "100"),
                                      ("Date", At(-10))])
        date = self.origin.app.told[path][0].fields[-1][1]
        self.front.advance(50)
        answer, _ = self.asks(path)
        self.assertIn(int(answer.field("age")), range(150, 200))
        self.assertEqual(answer.field("date"), date)
        path = self.stored("origin", [("Cache-Control", "max-age=1000")])
        arrived = self.now()
        self.front.advance(500)
        date = email.utils.parsedate_to_datetime(self.asks(path)[0].field("date")).timestamp()
        self.assertLess(abs(date - arrived), 200)

    def test_targeted_fields_travel_on(self):
        """9213 3.1."""
        path = self.stored("origin", [("CDN-Cache-Control", "max-age=1000"),
                                      ("Cache-Control", "no-store")])
        answer, asked = self.asks(path)
        self.assertFalse(asked)
        self.assertEqual(answer.field("cdn-cache-control"), "max-age=1000")
        self.assertEqual(answer.field("cache-control"), "no-store")


class Storing(Rfc):
    # clause, prefix, fields of the request, status, fields of the answer, whether it is stored
    ROWS = [
        ("9111 3 plain", "origin", {}, 200, [AGE], True),
        ("9111 5.2.2.5 no-store", "origin", {}, 200, [("Cache-Control", "max-age=1000, no-store")], False),
        ("9111 5.2.2.5 under a rule's duration", "rule", {}, 200, [("Cache-Control", "no-store")], False),
        ("9111 5.2.2.7 private, shared", "origin", {}, 200,
         [("Cache-Control", "max-age=1000, private")], False),
        ("9111 5.2.2.7 private, by user", "mine", USER, 200,
         [("Cache-Control", "max-age=1000, private")], True),
        ("9111 5.2.2.7 private fields", "origin", {}, 200,
         [("Cache-Control", 'max-age=1000, private="x-secret"'), ("X-Secret", "1")], True),
        ("9111 5.2.2.4 no-cache without validator", "origin", {}, 200,
         [("Cache-Control", "max-age=1000, no-cache")], False),
        ("9111 5.2.2.4 no-cache fields", "origin", {}, 200,
         [("Cache-Control", 'max-age=1000, no-cache="x-secret"'), ("X-Secret", "1")], True),
        ("9111 5.2.2.3 must-understand, known", "origin", {}, 200,
         [("Cache-Control", "max-age=1000, no-store, must-understand")], True),
        ("9111 5.2.2.3 must-understand, unknown", "origin", {}, 299,
         [("Cache-Control", "max-age=1000, no-store, must-understand")], False),
        ("9111 3.5 credential", "origin", USER, 200, [AGE], False),
        ("9111 3.5 credential, public", "origin", USER, 200,
         [("Cache-Control", "max-age=1000, public")], True),
        ("9111 3.5 credential, s-maxage", "origin", USER, 200, [("Cache-Control", "s-maxage=1000")], True),
        ("9111 3 301", "origin", {}, 301, [AGE, ("Location", "/x")], True),
        ("9111 3 302", "origin", {}, 302, [AGE, ("Location", "/x")], True),
        ("9111 3 404", "origin", {}, 404, [AGE], True),
        ("9111 3 500", "origin", {}, 500, [AGE], True),
        ("9111 3 unknown status", "origin", {}, 299, [AGE], True),
        ("9111 3 a rule's duration is not for failures", "rule", {}, 404, [], False),
        ("9111 3.3 206 is not the whole", "origin", {}, 206,
         [AGE, ("Content-Range", "bytes 0-3/10")], False),
        ("9111 7.3 Set-Cookie", "origin", {}, 200, [AGE, ("Set-Cookie", "s=1")], False),
        ("9111 5.2.1.5 no-store of the request", "origin", {"Cache-Control": "no-store"}, 200, [AGE], False),
        ("9111 4.1 Vary: *", "origin", {}, 200, [AGE, ("Vary", "Accept, *")], False),
        ("9111 5.2.2.9 public needs a lifetime", "origin", {}, 200, [("Cache-Control", "public")], False),
    ]

    def test_what_is_stored_and_what_is_not(self):
        for clause, prefix, headers, status, fields, is_stored in self.ROWS:
            with self.subTest(clause):
                path = self.path(prefix)
                self.tell(path, self.reply(fields, status=status))
                first, _ = self.asks(path, headers)
                self.assertEqual(first.status, status)
                self.assertEqual(first.cache.stored, is_stored, repr(first))
                again, asked = self.asks(path, {name: value for name, value in headers.items()
                                                if name != "Cache-Control"})
                self.assertEqual(asked, not is_stored, repr(again))
                self.assertEqual(again.status, status)
                if is_stored:
                    self.assertIsNone(again.field("x-secret"), "it is not replayed")

    def test_fields_of_one_hop_are_not_stored(self):
        """9111 3.1, 9110 7.6.1."""
        path = self.stored("origin", [AGE, ("Connection", "X-Hop"), ("X-Hop", "1"),
                                      ("Keep-Alive", "timeout=1"), ("Proxy-Authenticate", "Basic"),
                                      ("X-End", "1")])
        answer, asked = self.asks(path)
        self.assertFalse(asked)
        for name in ("x-hop", "keep-alive", "proxy-authenticate"):
            self.assertIsNone(answer.field(name), name)
        self.assertEqual(answer.field("x-end"), "1")

    def test_other_methods_are_not_cached(self):
        """9111 3: only GET is understood."""
        for method in ("OPTIONS", "POST", "BREW", "QUERY"):
            path = self.path("origin")
            self.tell(path, self.reply([AGE]))
            for _ in range(2):
                answer, asked = self.asks(path, method=method)
                self.assertTrue(asked, method)
                self.assertFalse(answer.cache.stored)
            self.assertTrue(self.asks(path)[1], method)

    def test_cut_answers_are_not_stored(self):
        """9111 3.3: an incomplete answer."""
        path = self.path("origin")
        self.tell(path, self.reply([AGE], b"x" * 1000))
        self.origin.cut(path, after=10)
        with self.assertRaises(Exception):
            self.asks(path)
        self.assertTrue(self.asks(path)[1])

    def test_trailers_are_dropped(self):
        """9110 6.5.1: they are not merged, and not replayed."""
        path = self.path("origin")
        self.origin.write_raw(path, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                                    b"Trailer: X-Sum\r\nCache-Control: max-age=1000\r\n\r\n"
                                    b"4\r\nbody\r\n0\r\nX-Sum: 1\r\nCache-Control: no-store\r\n\r\n")
        first, _ = self.asks(path)
        self.assertEqual(first.body, b"body")
        again, asked = self.asks(path)
        self.assertFalse(asked)
        self.assertEqual(again.body, b"body")
        self.assertIsNone(again.field("x-sum"))

    def test_interim_answers_are_not_the_answer(self):
        """9110 15.2, 9111 3: a 1xx is never stored, and never taken for the final answer."""
        path = self.path("origin")
        self.origin.write_raw(path, b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
                                    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
                                    b"Cache-Control: max-age=1000\r\n\r\nbody")
        first, _ = self.asks(path)
        self.assertEqual((first.status, first.body), (200, b"body"))
        self.assertIsNone(first.field("link"))
        self.assertFalse(self.asks(path)[1])


class Vary(Rfc):
    # clause, Vary lines, request that stores, request that comes next, whether it is the same
    ROWS = [
        ("9111 4.1 same", ["Accept-Language"], {"Accept-Language": "de"}, {"Accept-Language": "de"}, True),
        ("9111 4.1 other", ["Accept-Language"], {"Accept-Language": "de"}, {"Accept-Language": "en"}, False),
        ("9111 4.1 absent differs", ["X-A"], {"X-A": ""}, {}, False),
        ("9111 4.1 absent in both", ["X-A"], {}, {}, True),
        ("9111 4.1 several names", ["X-A, X-B"], {"X-A": "1", "X-B": "2"}, {"X-A": "1", "X-B": "3"}, False),
        ("9111 4.1 several lines", ["X-A", "X-B"], {"X-A": "1", "X-B": "2"}, {"X-A": "1", "X-B": "3"}, False),
        ("9111 4.1 names have no case", ["x-A"], {"X-a": "1"}, {"X-A": "1"}, True),
        ("9111 4.1 empty", [""], {"X-A": "1"}, {"X-A": "2"}, True),
        ("9111 4.1 spelling", ["Accept-Language"], {"Accept-Language": "de, en;q=0.5"},
         {"Accept-Language": "DE,en; q=0.5"}, True),
        ("an encoded answer without Vary", [], {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "br"}, False),
    ]

    def test_variants_are_told_apart(self):
        for clause, lines, one, other, is_same in self.ROWS:
            with self.subTest(clause):
                fields = [AGE] + [("Vary", line) for line in lines]
                if not lines:
                    fields.append(("Content-Encoding", "gzip"))
                path = self.stored("origin", fields, one)
                answer, asked = self.asks(path, other)
                self.assertEqual(asked, not is_same, repr(answer))
                if asked:
                    self.assertEqual(answer.cache.fwd, "vary-miss")
                self.assertFalse(self.asks(path, one)[1], "the first is still there")
                self.assertFalse(self.asks(path, other)[1], "both are")


class Invalidation(Rfc):
    # clause, method, status, name of a field that points to the other path, whether it is purged
    ROWS = [
        ("9111 4.4 PUT", "PUT", 200, None, True),
        ("9111 4.4 POST", "POST", 201, None, True),
        ("9111 4.4 DELETE", "DELETE", 204, None, True),
        ("9111 4.4 unknown method", "BREW", 200, None, True),
        ("9111 4.4 redirect", "POST", 303, None, True),
        ("9111 4.4 refused", "PUT", 400, None, False),
        ("9111 4.4 refused", "PUT", 409, None, False),
        ("9110 9.2.1 safe method", "OPTIONS", 200, None, False),
        ("9111 4.4 Location", "POST", 201, "Location", True),
        ("9111 4.4 Content-Location", "POST", 200, "Content-Location", True),
    ]

    def test_unsafe_methods_invalidate(self):
        for clause, method, status, field, is_purged in self.ROWS:
            with self.subTest(clause, method=method, status=status):
                path = self.stored("origin", [AGE])
                target = path if field is None else self.path("origin")
                fields = [] if field is None else [(field, path)]
                self.tell(target, self.reply(fields, b"" if status == 204 else b"x", status))
                answer, _ = self.asks(target, method=method, body=None if method == "OPTIONS" else "x")
                self.assertEqual(answer.status, status)
                self.tell(path, self.reply([AGE]))
                self.assertEqual(self.asks(path)[1], is_purged)

    def test_other_hosts_are_not_invalidated(self):
        """9111 4.4: only of the same origin."""
        for value in ("http://evil.example%s", "//evil.example%s"):
            path = self.stored("origin", [AGE])
            target = self.path("origin")
            self.tell(target, self.reply([("Location", value % path)], b"", 201))
            self.asks(target, method="POST", body="x")
            self.assertFalse(self.asks(path)[1])


class Groups(Rfc):
    # clause, field of the answers, how they are purged, whether that purges them
    ROWS = [
        ("9875 2, 3", ("Cache-Groups", '"a", "b"'), '"b"', True),
        ("9875 3 another group", ("Cache-Groups", '"a"'), '"A"', False),
        ("9875 2 no list of strings", ("Cache-Groups", "a, b"), '"b"', False),
        ("Surrogate-Key", ("Surrogate-Key", "a b"), '"b"', True),
        ("Cache-Tag", ("Cache-Tag", "a, b"), '"b"', True),
    ]

    def test_groups_are_invalidated_by_writes_and_operators(self):
        for clause, field, invalidated, is_purged in self.ROWS:
            for by in ("write", "operator"):
                with self.subTest(clause, by=by):
                    paths = [self.stored("tagged", [AGE, field]) for _ in range(2)]
                    for path in paths:
                        self.assertFalse(self.asks(path)[1])
                    if by == "write":
                        target = self.path("elsewhere")
                        self.tell(target, self.reply([("Cache-Group-Invalidation", invalidated)]))
                        self.asks(target, method="POST", body="x")
                    else:
                        answer = self.front.admin("POST", "/cache/purge",
                                                  body={"tags": [invalidated.strip('"')]})
                        self.assertEqual(answer.status, 200, repr(answer))
                    for path in paths:
                        self.assertEqual(self.asks(path)[1], is_purged)

    def test_fields_that_name_groups_can_be_removed(self):
        fields = [("Surrogate-Key", "a"), ("Cache-Tag", "b"), ("Cache-Groups", '"c"')]
        for prefix, is_shown in (("tagged", True), ("hidden", False)):
            path = self.stored(prefix, [AGE] + fields)
            answer, asked = self.asks(path)
            self.assertFalse(asked)
            for name, value in fields:
                self.assertEqual(answer.field(name), value if is_shown else None)
            self.assertFalse([name for name, _ in answer.fields if name.startswith("cachegate")])

    def test_purge_while_the_answer_is_under_way(self):
        """CONSISTENCY row 1: what was fetched before the purge is not stored after it."""
        path = self.path("tagged")
        self.tell(path, self.reply([AGE, ("Surrogate-Key", "a")]))
        gate = self.origin.hold(path, "after")
        thread = threading.Thread(target=self.front.client().get, args=(path,))
        thread.start()
        gate.wait_arrived()
        self.front.admin("POST", "/cache/purge", body={"tags": ["a"]})
        gate.release()
        thread.join()
        self.assertTrue(self.asks(path)[1])


class CacheStatus(Rfc):
    def test_member_says_how_the_answer_came_about(self):
        """9211 2."""
        path = self.path("origin")
        self.tell(path, self.reply([AGE, TAG, ("Cache-Status", "inner; hit; ttl=5")]))
        rows = [
            ("9211 2.2 uri-miss", {}, 0, "fwd=uri-miss; ttl=\\d+; stored; detail=absent"),
            ("9211 2.1 hit", {}, 0, "hit; ttl=\\d+; detail=fresh"),
            ("9211 2.2 bypass", {"If-Match": '"1"'}, 0, 'fwd=bypass; detail="condition: if-match"'),
            ("9211 2.2 stale", {}, LIFE_S + 300, "fwd=stale; ttl=\\d+; stored; detail=expired"),
        ]
        for clause, headers, seconds, member in rows:
            with self.subTest(clause):
                self.front.advance(seconds)
                answer, _ = self.asks(path, headers)
                self.assertRegex(answer.field("cache-status"), "cachegate; " + member + "$")
                if not answer.cache.hit:
                    self.assertTrue(answer.field("cache-status").startswith("inner; hit; ttl=5, "))
        answer, _ = self.asks(path, method="POST", body="x")
        self.assertEqual(answer.cache.fwd, "method")

    def test_key_is_shown_where_the_operator_wants_it(self):
        """9211 2.7."""
        front = self.gateway(self.origin, RULES, config={"cache_status_key": True})
        path = self.path("origin")
        self.tell(path, self.reply([AGE]))
        keys = {front.get(path).cache.parameters.get("key") for _ in range(2)}
        self.assertEqual(len(keys), 1)
        self.assertRegex(keys.pop(), "^[0-9a-f]{16,}$")
        self.assertNotIn("key", self.front.get(path).cache.parameters)


if __name__ == "__main__":
    main()
