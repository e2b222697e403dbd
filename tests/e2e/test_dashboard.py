#!/usr/bin/env python3
"""The dashboard in a headless Chromium, and the endpoints that feed it.

    tests/e2e/test_dashboard.py -v
    tests/e2e/test_dashboard.py --screenshot conf/dashboard.png      a picture of the demo under traffic

The browser part is SKIPPED, aloud, where there is no Chromium.
"""

import json
import re
import sys
import threading
import unittest

import browser
from harness import ADMIN_TOKEN, EchoApp, Journey, curl, main, wait_until
from redis_servers import SECRET, Redis

EVIL = "<img src=x onerror=window.pwned=1>"
EVIL_WRITE = EVIL + "</script>"
RULES = """
defaults: { ttl: 1h, scope: user }
groups:
  session:
    - /items?session={id}
    - /summary?session={id}
  pair:
    - /pairs/{a}/{b}
routes:
  - match: GET /items
  - match: GET /summary
  - { match: "GET /pairs/{a}/{b}" }
  - { match: GET /evil/**, name: "%s" }
  - match: POST /items
    invalidate: [{ group: session, id: "{query.session}" }]
  - match: PUT /evil/{id}
    name: "%s"
    invalidate: ["/evil/{id}"]
""" % (EVIL, EVIL_WRITE)
USERS = [{"header": "X-User-Id", "name": "user"}, {"header": "Authorization"}]
BROWSER_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class DashboardJourney(Journey):
    def setUp(self):
        self.origin = self.upstream(EchoApp())
        self.front = self.gateway(self.origin, RULES, config={"identity": USERS})
        self.url = "http://%s/" % self.front.admin_address

    def read(self, target, user="alice"):
        answer = self.front.get(target, headers={"X-User-Id": user, "Authorization": "Bearer t"})
        self.assertEqual(answer.status, 200, repr(answer))
        return answer

    def warm(self, *targets):
        for target in targets:
            self.read(target)
            self.assertHit(self.read(target))

    def write(self, method, target):
        headers = {"X-User-Id": "alice", "Authorization": "Bearer t"}
        self.assertEqual(self.front.request(method, target, headers=headers, body={}).status, 200)

    def told(self, path):
        answer = self.front.admin("GET", path, token=None)
        self.assertEqual(answer.status, 200, repr(answer))
        return answer.json()


class Endpoints(DashboardJourney):
    def index(self, *arguments):
        return curl(*arguments, self.url)

    def test_browsers_get_the_page_and_others_the_list(self):
        page = self.index("-H", "Accept: " + BROWSER_ACCEPT)
        self.assertEqual((page.status, page.field("content-type")), (200, "text/html; charset=utf-8"))
        self.assertTrue(page.body.startswith(b"<!doctype html>"))
        for accept in ("*/*", "application/json", "text/plain"):
            answer = self.index("-H", "Accept: " + accept)
            self.assertIn("text/plain", answer.field("content-type"), accept)
            self.assertIn(b"/cache/history", answer.body)
        head = self.index("-H", "Accept: text/HTML", "--head")
        self.assertEqual(int(head.field("content-length")), len(page.body))
        self.assertEqual(head.body, b"")

    def test_the_page_is_one_piece_under_a_strict_policy(self):
        page = self.index("-H", "Accept: " + BROWSER_ACCEPT)
        policy = dict(part.strip().split(" ", 1) for part in page.field("content-security-policy").split(";"))
        self.assertEqual(policy["default-src"], "'none'")
        for kind in ("script-src", "style-src"):
            self.assertRegex(policy[kind], r"^'sha256-[A-Za-z0-9+/]{43}='$")
        self.assertEqual((policy["connect-src"], policy["base-uri"], policy["form-action"], policy["frame-ancestors"]),
                         ("'self'", "'none'", "'none'", "'none'"))
        self.assertNotIn("unsafe", page.field("content-security-policy"))
        self.assertEqual(page.field("x-content-type-options"), "nosniff")
        self.assertEqual(page.field("cache-control"), "no-store")
        self.assertEqual(page.field("referrer-policy"), "no-referrer")
        self.assertEqual(page.field("vary").lower(), "accept")
        for name in ("set-cookie", "access-control-allow-origin"):
            self.assertIsNone(page.field(name))
        text = page.body.decode()
        references = re.findall(r"""(?:src|href|url\()\s*=?\s*["']?([^"'\s>)]+)""", text)
        self.assertEqual([found for found in references if not found.startswith(("/", "#", "data:"))], [])
        self.assertLess(len(page.body), 64 * 1024)

    def test_answers_are_for_this_origin_only(self):
        """Another site's page may send a simple request; it must neither purge nor read an answer."""
        self.warm("/items?session=1")
        answer = curl("-X", "POST", "-H", "Origin: http://evil.example", "-H", "Content-Type: text/plain",
                      "-d", '{"patterns": ["/items"]}', self.url + "cache/purge")
        self.assertEqual(answer.status, 401)
        self.assertIsNone(answer.field("access-control-allow-origin"))
        preflight = curl("-X", "OPTIONS", "-H", "Origin: http://evil.example",
                         "-H", "Access-Control-Request-Method: DELETE",
                         "-H", "Access-Control-Request-Headers: authorization", self.url + "cache/flush")
        self.assertGreaterEqual(preflight.status, 400)
        self.assertIsNone(preflight.field("access-control-allow-origin"))
        self.assertHit(self.read("/items?session=1"))

    def test_samples_add_up_to_the_statistics(self):
        def sums():
            history = self.told("/cache/history?step=1")
            rows = history["series"][0]["samples"]
            found = {name: sum(row[history["columns"].index(name)] for row in rows)
                     for name in ("requests", "hits", "misses", "upstream_requests")}
            timed = [row[history["columns"].index(name)] for row in rows for name in ("latency_hit", "latency_other")]
            return len(rows), found, sum(sum(pairs[1::2]) for pairs in timed)

        for session in (1, 2):
            self.warm("/items?session=%d" % session, "/summary?session=%d" % session)
            stats = self.front.stats()
            wait_until(lambda: sums()[1]["requests"] >= stats["requests"] and sums()[2] >= stats["requests"],
                       "the samples have all requests and their durations")
            before = sums()[0]
            wait_until(lambda: sums()[0] > before, "one more sample is taken")
            _, found, timed = sums()
            self.assertEqual(found, {name: stats[name] for name in found})
            self.assertEqual(timed, stats["requests"])

    def test_samples_can_be_asked_for_by_step_and_number(self):
        wait_until(lambda: len(self.told("/cache/history")["series"][0]["samples"]) >= 2, "two samples are there")
        whole = self.told("/cache/history")
        self.assertEqual([(series["step_s"], series["kept"]) for series in whole["series"]], [(1, 300), (30, 720)])
        self.assertEqual(whole["columns"][:3], ["number", "end_ms", "span_ms"])
        rows = whole["series"][0]["samples"]
        self.assertEqual([row[0] for row in rows], list(range(1, len(rows) + 1)))
        self.assertTrue(all(len(row) == len(whole["columns"]) for row in rows))
        for before, after in zip(rows, rows[1:]):
            self.assertEqual(after[1] - before[1], after[2], "samples follow each other without a gap")
        one = self.told("/cache/history?step=1&after=1")
        self.assertEqual([series["step_s"] for series in one["series"]], [1])
        self.assertEqual(one["series"][0]["samples"][0][0], 2)
        self.assertEqual(self.told("/cache/history?after=99999999")["series"][0]["samples"], [])
        self.assertEqual(one["bounds_us"], sorted(one["bounds_us"]))
        for query in ("step=7", "step=x", "after=-1", "after=", "after=" + "9" * 30):
            answer = self.front.admin("GET", "/cache/history?" + query, token=None)
            self.assertEqual(answer.status, 400, query)
            self.assertIn("step", answer.json()["remedy"])

    def test_purges_are_listed_with_their_cause_and_without_values(self):
        self.warm("/items?session=secret-7", "/evil/secret-8")
        self.assertEqual(self.told("/cache/purges")["purges"], [])
        self.write("POST", "/items?session=secret-7")
        self.write("PUT", "/evil/secret-8")
        self.front.admin("DELETE", "/cache/session/secret-9")
        self.front.admin("DELETE", "/cache/flush")
        listed = self.told("/cache/purges")
        self.assertEqual([purge["cause"] for purge in listed["purges"]], ["flush", "admin", "write", "write"])
        self.assertEqual([purge["number"] for purge in listed["purges"]], [4, 3, 2, 1])
        self.assertEqual(listed["total"], 4)
        write = listed["purges"][3]
        self.assertEqual(write["route"], "POST /items")
        self.assertIn("/items?session={id}", write["patterns"])
        self.assertIn("/summary?session={id}", write["patterns"])
        self.assertGreater(write["purged"], 0)
        self.assertRegex(write["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(listed["purges"][2]["route"], EVIL_WRITE)
        self.assertEqual(listed["purges"][0]["banned"], 1)
        self.assertNotIn("secret", json.dumps(listed))
        self.assertEqual([purge["number"] for purge in self.told("/cache/purges?after=2")["purges"]], [4, 3])
        self.assertEqual(self.front.admin("GET", "/cache/purges?after=x", token=None).status, 400)

    def test_a_refused_purge_is_not_listed(self):
        self.front.admin("DELETE", "/cache/flush", token="wrong")
        self.front.admin("POST", "/cache/purge", body=b'{"patterns": ["no path"]}')
        self.assertEqual(self.told("/cache/purges")["purges"], [])

    def test_groups_are_named_with_their_placeholders(self):
        self.assertEqual(self.told("/cache/groups")["groups"], [
            {"name": "session", "placeholders": ["id"]}, {"name": "pair", "placeholders": ["a", "b"]}])


class InBrowser(DashboardJourney):
    browser = None

    @classmethod
    def setUpClass(cls):
        reason = "there is no Chromium; install Debian's `chromium` or set CHROMIUM"
        try:
            cls.browser = browser.Browser() if browser.find() else None
        except browser.BrowserError as error:
            reason = "Chromium does not start here: %s" % error
        if cls.browser is None:
            print("SKIPPED, nobody looked at the dashboard: " + reason, file=sys.stderr)
            raise unittest.SkipTest(reason)
        cls.addClassCleanup(cls.browser.close)

    def page(self, **arguments):
        page = self.browser.page(**arguments)
        self.addCleanup(page.close)
        page.open(self.url)
        page.wait("document.querySelector('#version').textContent !== ''")
        return page

    def purge(self, page, kind, token=ADMIN_TOKEN, **values):
        page.type("#token", token)
        page.choose("#kind", kind)
        for name, value in values.items():
            page.type("#" + name.replace("_", "-"), value)
        page.value("document.querySelector('#result').textContent = ''")
        page.click("#submit")

    def result(self, page):
        return page.wait("(text => text.length > 1 && text)(document.querySelector('#result').textContent)")

    def rows_of(self, stats):
        def told(route):
            asked = route["hits"] + route["misses"]
            ratio = "–" if asked == 0 else "%s %%" % self.percent(route["hits"] / asked)
            return [route["name"], "{:,}".format(route["hits"]), "{:,}".format(route["misses"]), ratio,
                    "{:,}".format(route["sets"])]
        return sorted(told(route) for route in {route["name"]: route for route in stats["routes"]}.values())

    @staticmethod
    def percent(ratio):
        return "%.0f" % (ratio * 100) if ratio == 0 or ratio > 0.9995 else "%.1f" % (ratio * 100)

    # What it shows.

    def test_it_shows_what_the_statistics_say_while_traffic_runs(self):
        over = threading.Event()

        def traffic():
            client = self.front.client()
            number = 0
            while not over.is_set():
                number += 1
                client.get("/items?session=%d" % (number % 7), headers={"X-User-Id": "alice"})
                client.get("/pairs/%d/2" % (number % 40), headers={"X-User-Id": "bob"})
                over.wait(0.005)

        reader = threading.Thread(target=traffic)
        self.addCleanup(reader.join)
        self.addCleanup(over.set)
        reader.start()
        page = self.page()
        page.wait("parseInt(document.querySelector('#tile-rate-note').textContent) > 20")
        page.wait("document.querySelectorAll('#chart-rate path.line')[0].getAttribute('d').includes('L')")
        over.set()
        reader.join()
        wait_until(lambda: self.front.stats()["sets"] == self.front.stats()["misses"], "all fills are counted")
        stats = self.front.stats()
        page.wait("document.querySelector('#tile-rate-note').textContent === %s"
                  % json.dumps("{:,} in all".format(stats["requests"])))
        page.wait("document.querySelector('#tile-keys-note').textContent.includes(%s)"
                  % json.dumps("{:,} sets".format(stats["sets"])))
        self.assertEqual(sorted(row[:5] for row in page.table("#routes")), self.rows_of(stats))
        self.assertEqual(page.text("#tile-ratio-note"),
                         "{:,} of {:,} in all".format(stats["hits"], stats["hits"] + stats["misses"]))
        self.assertEqual(page.text("#tile-keys"), str(stats["keys"]))
        self.assertTrue(page.text("#tile-upstream-note").startswith("{:,} in all, 0 errors".format(stats["upstream_requests"])))
        page.wait("/^[0-9.]+ %$/.test(document.querySelector('#tile-ratio').innerText)")
        self.assertRegex(page.text("#tile-p50"), r"^[\d.]+ m?s$")
        self.assertRegex(page.text("#tile-p99"), r"^[\d.]+ m?s$")
        for chart in ("ratio", "rate", "latency"):
            self.assertRegex(page.value("document.querySelector('#chart-%s path.line').getAttribute('d')" % chart), r"^M\d")
        health = page.text("#store")
        self.assertIn("memory", health)
        self.assertIn("ok", page.text("#state"))
        self.assertEqual(page.complaints(), [])
        self.assertEqual({re.match(r"^https?://[^/]+/", url).group(0) for url in page.requested()}, {self.url})

    def test_recent_purges_appear_by_themselves(self):
        page = self.page()
        self.assertEqual(page.table("#purges"), [["Nothing was purged since the start."]])
        self.warm("/items?session=1")
        self.write("POST", "/items?session=1")
        page.wait("document.querySelector('#purges td.cause')")
        when, cause, route, what, purged = page.table("#purges")[0]
        self.assertRegex(when, r"^\d\d:\d\d:\d\d$")
        self.assertEqual((cause, route), ("write", "POST /items"))
        self.assertIn("/items?session={id}", what)
        self.assertNotEqual(purged, "0")
        self.assertEqual(page.complaints(), [])

    def test_names_from_rules_and_requests_are_text(self):
        page = self.page()
        self.warm("/evil/1")
        self.write("PUT", "/evil/1")
        page.wait("document.querySelector('#purges td.cause')")
        names = [row[0] for row in page.table("#routes")]
        self.assertIn(EVIL, names)
        self.assertEqual(page.table("#purges")[0][2], EVIL_WRITE)
        self.purge(page, "pattern", pattern="no path " + EVIL)
        self.assertIn(EVIL, self.result(page))
        page.type("#routes-filter", EVIL)
        self.assertEqual({row[0] for row in page.table("#routes")}, {EVIL, EVIL_WRITE})
        self.assertIsNone(page.value("window.pwned"))
        self.assertEqual(page.value("document.images.length"), 0)

    def test_a_store_that_is_gone_is_told(self):
        redis = Redis()
        self.addCleanup(redis.close)
        self.front = self.gateway(self.origin, RULES, config={"identity": USERS}, environment={
            "CACHEGATE_STORE_REDIS": redis.url, "CACHEGATE_SECRET": SECRET})
        self.url = "http://%s/" % self.front.admin_address
        page = self.page()
        page.wait("document.querySelector('#store').innerText.includes('connected')")
        page.wait("document.querySelector('#state').innerText.includes('store ok')")
        store = page.text("#store")
        for word in ("redis", "Latency", "Breaker", "closed", "Purges to deliver", str(redis.path)):
            self.assertIn(word, store)
        redis.kill()
        page.wait("document.querySelector('#state').innerText.includes('store degraded')")
        page.wait("/not connected|breaker/.test(document.querySelector('#store').innerText)")
        self.assertEqual(page.complaints(), [])

    def test_errors_of_the_upstream_are_told(self):
        page = self.page()
        self.read("/items?session=1")
        page.wait("/1 answer, 0 errors/.test(document.querySelector('#upstreams').innerText)")
        self.origin.stop()
        self.assertEqual(self.front.get("/items?session=2").status, 502)
        page.wait("/1 answer, [1-9]\\d* errors?\\b/.test(document.querySelector('#upstreams').innerText)")
        page.wait("!/Errors lately\\s+0/.test(document.querySelector('#upstreams').innerText)")

    def test_a_refused_configuration_is_told(self):
        page = self.page()
        page.wait("/Last reload\\s+ok/.test(document.querySelector('#configuration').innerText)")
        page.value("""(real => {
            window.fetch = async (path, ...rest) => {
                const answer = await real(path, ...rest);
                if (path !== '/cache/health') return answer;
                const health = await answer.json();
                health.configuration = {generation: 7, since: 0, last_reload: 'refused', error: 'rules.yaml:3: %s'};
                return new Response(JSON.stringify(health));
            };
        })(fetch)""" % EVIL)
        page.wait("document.querySelector('#state').innerText.includes('configuration refused')")
        self.assertIn("Generation 7", page.text("#configuration"))
        self.assertIn("rules.yaml:3: " + EVIL, page.text("#configuration"))
        self.assertEqual(page.complaints(), [])

    # What it does.

    def test_a_purge_by_the_form_makes_a_hit_a_miss(self):
        self.warm("/items?session=1", "/items?session=2", "/pairs/3/4")
        page = self.page()
        self.assertTrue(page.value("document.querySelector('#submit').disabled"), "it only reads without the token")
        self.purge(page, "pattern", pattern="/items?session=1")
        self.assertRegex(self.result(page), r"^Purged: \d+ ")
        self.assertMiss(self.read("/items?session=1"))
        self.assertHit(self.read("/items?session=2"))
        page.wait("document.querySelector('#purges td.cause')")
        self.assertEqual(page.table("#purges")[0][1], "admin")
        page.choose("#group", "pair")
        self.purge(page, "group", value_0="3", value_1="4")
        self.assertRegex(self.result(page), r"^Purged: \d+ ")
        self.assertFalse(self.read("/pairs/3/4").cache.hit)
        self.purge(page, "user", user="alice")
        self.assertRegex(self.result(page), r"^Purged: ")
        self.assertFalse(self.read("/items?session=2").cache.hit)
        page.wait("document.querySelectorAll('#purges td.cause').length === 3")
        self.purge(page, "tag", tag="of-nothing")
        self.assertIn("400: no rule knows the groups that answers name\nsay `groups: keep`", self.result(page))
        self.assertEqual(page.value("localStorage.length + sessionStorage.length + document.cookie.length"), 0)

    def test_everything_is_purged_only_when_confirmed(self):
        self.warm("/items?session=1")
        page = self.page()
        self.purge(page, "all")
        page.wait("document.querySelector('#confirm').open")
        page.key("Escape", 27)
        page.wait("!document.querySelector('#confirm').open")
        self.purge(page, "all")
        page.wait("document.querySelector('#confirm').open")
        page.click("#confirm button")  # the first: no
        page.wait("!document.querySelector('#confirm').open")
        self.assertHit(self.read("/items?session=1"))
        self.assertEqual(self.told("/cache/purges")["total"], 0)
        self.purge(page, "all")
        page.wait("document.querySelector('#confirm').open")
        page.click("#confirm-yes")
        self.assertEqual(self.result(page), "Purged: 1 open purge.")
        self.assertFalse(self.read("/items?session=1").cache.hit)
        page.wait("document.querySelector('#purges td.cause')?.innerText === 'flush'")
        self.assertEqual(page.complaints(), [])

    def test_a_wrong_token_is_told_and_purges_nothing(self):
        self.warm("/items?session=1")
        page = self.page()
        self.purge(page, "pattern", token="wrong", pattern="/items?session=1")
        self.assertEqual(self.result(page), "401: the admin token is missing or wrong\n"
                                            "send Authorization: Bearer and the admin token")
        self.assertHit(self.read("/items?session=1"))
        page.type("#token", "")
        page.wait("document.querySelector('#submit').disabled")

    # How it behaves.

    def test_nothing_foreign_can_be_loaded_or_run(self):
        page = self.page()
        self.assertEqual(page.complaints(), [])
        other = self.upstream(EchoApp())
        self.assertEqual(page.value("fetch(%s).then(() => 'read', () => 'refused')" % json.dumps(other.url)), "refused")
        page.value("""(() => {
            const script = document.createElement('script');
            Object.defineProperty(script, 'text', { value: '' });
            script.append('window.pwned = 1');
            try { document.body.append(script); } catch { }
            try { document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.pwned = 2">'); } catch { }
        })()""")
        page.wait("new Promise(done => requestAnimationFrame(() => done(true)))")
        self.assertIsNone(page.value("window.pwned"))
        self.assertTrue(any("Content Security Policy" in text for text in page.complaints()), page.complaints())

    def test_it_fits_every_width_in_both_themes(self):
        self.warm("/items?session=1", "/evil/1")
        self.write("POST", "/items?session=1")
        page = self.page()
        page.wait("document.querySelector('#purges td.cause')")
        grounds = set()
        for dark in (False, True):
            page.set_dark(dark)
            grounds.add(page.value("getComputedStyle(document.documentElement).backgroundColor"))
            for width in (360, 768, 1280, 1920):
                page.resize(width, 900)
                page.wait("innerWidth === %d" % width)
                self.assertLessEqual(page.value("document.documentElement.scrollWidth"), width)
                for selector in ("#submit", "#routes", "#chart-rate svg", "#state"):
                    left, right = page.value("(box => [box.left, box.right])(document.querySelector('%s')"
                                             ".getBoundingClientRect())" % selector)
                    self.assertGreaterEqual(left, 0, selector)
                    if selector != "#routes":  # it scrolls in its own frame
                        self.assertLessEqual(right, width, "%s at %d" % (selector, width))
        self.assertEqual(len(grounds), 2)
        page.click("#theme")
        self.assertEqual(page.value("document.documentElement.dataset.theme"), "light")
        self.assertEqual(page.value("getComputedStyle(document.documentElement).colorScheme"), "light")
        self.assertEqual(page.complaints(), [])

    def test_text_can_be_read_in_both_themes(self):
        """Contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3)."""
        page = self.page()
        for dark in (False, True):
            page.set_dark(dark)
            for text, ground in (("--text", "--ground"), ("--text", "--card"), ("--quiet", "--card"),
                                 ("--quiet", "--ground"), ("--bad", "--card"), ("--bad", "--bad-ground"),
                                 ("--good", "--card"), ("--accent", "--ground"), ("--on-accent", "--accent")):
                self.assertGreaterEqual(page.value(CONTRAST % (text, ground)), 4.5, (dark, text, ground))

    def test_everything_has_a_name_and_the_keyboard_reaches_it(self):
        self.warm("/items?session=1", "/summary?session=1", "/pairs/1/2")
        page = self.page()
        page.wait("document.querySelectorAll('#group option').length === 2")
        page.choose("#kind", "group")
        nodes = [node for node in page.call("Accessibility.getFullAXTree")["nodes"] if not node.get("ignored")]
        roles = {}
        for node in nodes:
            roles.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
        for role in ("button", "textbox", "searchbox", "combobox", "radio", "link", "image", "table", "region", "form"):
            for name in roles.get(role, []):
                self.assertTrue(name or role in ("table", "form"), "a %s without a name" % role)
        for role in ("button", "combobox", "textbox", "radio", "searchbox", "main"):
            self.assertIn(role, roles)
        page.wait("document.querySelector('#routes').tBodies[0].rows.length > 3")
        page.value("document.querySelector('#routes th[data-key=name] button').focus()")
        for order, direction in ((sorted, "ascending"), (lambda names: sorted(names, reverse=True), "descending")):
            page.key("Enter", 13, "\r")
            page.wait("document.querySelector('#routes th[data-key=name]').getAttribute('aria-sort') === '%s'" % direction)
            names = [row[0] for row in page.table("#routes")]
            known = page.value("%s.sort((a, b) => a.localeCompare(b))" % json.dumps(names))
            self.assertEqual(names, known if direction == "ascending" else known[::-1])
        self.assertEqual(page.value("document.querySelectorAll('[aria-sort]').length"), 1)
        page.wait("/L/.test(document.querySelector('#chart-rate path.line').getAttribute('d'))")
        page.value("document.querySelector('#chart-rate svg').focus()")
        page.key("ArrowLeft", 37)
        page.wait("/ ago$/.test(document.querySelector('#chart-rate .at').textContent)")
        self.assertIn("ago", page.value("document.querySelector('#chart-rate svg').getAttribute('aria-label')"))

    def test_charts_answer_the_mouse_and_the_choice_of_span(self):
        self.warm("/items?session=1")
        page = self.page()
        page.wait("/L/.test(document.querySelector('#chart-rate path.line').getAttribute('d'))")
        x, y = page.value("(box => [box.right - 3, box.top + 40])"
                          "(document.querySelector('#chart-rate svg').getBoundingClientRect())")
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        page.wait("/ ago$/.test(document.querySelector('#chart-rate .at').textContent)")
        page.click("#spans label:nth-child(3)")
        page.wait("/−6 h/.test(document.querySelector('#chart-rate svg').textContent)")
        self.assertEqual(page.complaints(), [])

    def test_it_says_when_the_gateway_is_gone(self):
        page = self.page()
        self.assertTrue(page.value("document.querySelector('#alert').hidden"))
        self.front.kill()
        page.wait("!document.querySelector('#alert').hidden")
        self.assertIn("does not answer", page.text("#alert"))


CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const probe = document.body.appendChild(document.createElement('i'));
  const light = (name) => {
    probe.style.color = `var(${name})`;
    canvas.fillStyle = getComputedStyle(probe).color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [a, b] = [light('%s'), light('%s')].sort((x, y) => y - x);
  probe.remove();
  return (a + 0.05) / (b + 0.05);
})()"""


if __name__ == "__main__":
    if "--screenshot" in sys.argv:
        from dashboard_demo import take_picture
        take_picture(sys.argv[1:])
    else:
        main()
