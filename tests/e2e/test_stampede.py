"""No stampedes: many clients that want the same cost one fetch, through one gateway and through several
on one Redis; nobody gets what is not theirs; a fetch that fails or dies is taken over by exactly one.

Clients are a thousand sockets in one asyncio loop. Upstream answers wait at gates, never for a time.
"""

import asyncio
import itertools
import resource
import time

from harness import App, Journey, Reply, main, sanitizer, wait_until
from prometheus import page_of
from redis_servers import SECRET, Redis
from test_redis import wait_connected

CLIENTS = 200 if sanitizer() else 1000
RULES = """
defaults: { ttl: 10m, scope: shared }
routes:
  - match: GET /items/{id}
  - match: GET /origin/{id}
    ttl: origin
  - match: GET /mine/{id}
    scope: user
  - match: GET /soft/{id}
    ttl: 10s
    stale_while_revalidate: 10m
"""


class Told:
    """One answer, and when its last byte came."""

    def __init__(self, status, head, body, at_s):
        self.status = status
        self.head = head
        self.body = body
        self.at_s = at_s


async def ask(address, target, fields=()):
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port), limit=1 << 20)
    lines = ["GET %s HTTP/1.1" % target, "Host: api.test", "Connection: close"]
    lines += ["%s: %s" % field for field in fields]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    await writer.drain()
    answer = await reader.read()
    while part := await reader.read():
        answer += part
    at_s = time.monotonic()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1]) if head else 0
    if b"transfer-encoding: chunked" in head.lower():
        body = unchunk(body)
    return Told(status, head.decode("latin-1").lower(), body, at_s)


def unchunk(body):
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole += body[:int(size, 16)]
        body = body[int(size, 16) + 2:]
    return whole


def all_ask(questions, when_asked):
    """Every (address, target, fields) at once; `when_asked` runs on a thread beside them."""
    async def run():
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
        tasks = [asyncio.ensure_future(ask(*question)) for question in questions]
        await asyncio.get_running_loop().run_in_executor(None, when_asked)
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 120)
    return asyncio.run(run())


class StampedeJourney(Journey):
    clients = CLIENTS
    ask_all = staticmethod(all_ask)  # test_stampede_h2.py has another

    def gateways(self, origin, count, rules=RULES, threads=1 if sanitizer() else 2, **environment):
        """One on its own memory, or several on one Redis."""
        if count == 1:
            return [self.gateway(origin, rules, threads=4, environment=environment)]
        redis = Redis()
        self.addCleanup(redis.close)
        fleet = [self.gateway(origin, rules, threads=threads, environment=dict({
            "CACHEGATE_STORE_REDIS": redis.url, "CACHEGATE_SECRET": SECRET,
            "CACHEGATE_STORE_TIMEOUT": "10s", "CACHEGATE_LIMITS_FLIGHT_CLAIM": "10s"}, **environment)) for _ in range(count)]
        for number, front in enumerate(fleet):
            wait_connected(front, threads + 1)
            wait_until(lambda: front.get("/items/warm%d" % number).cache.hit, "it uses its Redis")
        return fleet

    def wait_asked(self, fleet, before, count):
        wait_until(lambda: sum(front.stats()["requests"] for front in fleet) >= before + count,
                   "all requests have arrived")

    def misses(self, fleet):
        return sum(front.stats()["misses"] for front in fleet)

    def wait_looked(self, fleet, before, count, keys=1):
        """Who has looked, found nothing, and waits: on each gateway, for what one of them fetches. Who has only
        looked may claim much later, when the fetch that it could have shared is forgotten."""
        misses, waits = before
        wait_until(lambda: self.misses(fleet) >= misses + count, "all requests have looked")
        wait_until(lambda: self.waits(fleet) >= waits + keys * (len(fleet) - 1), "all others wait for the leader")

    def before(self, fleet):
        return self.misses(fleet), self.waits(fleet)

    def waits(self, fleet):
        return sum(page_of(front).value("cachegate_claims_held_total") for front in fleet)


class ColdKey(StampedeJourney):
    def assertOneFetch(self, count):
        origin = self.upstream()
        fleet = self.gateways(origin, count)
        gate = origin.hold("/items/cold")
        before = self.before(fleet)
        released_at = []

        def when_asked():
            self.wait_looked(fleet, before, self.clients)
            gate.wait_arrived()
            released_at.append(time.monotonic())
            gate.release()

        fronts = itertools.cycle(fleet)
        answers = self.ask_all([(next(fronts).address, "/items/cold") for _ in range(self.clients)], when_asked)
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertEqual(len({answer.body for answer in answers}), 1)
        self.assertEqual(origin.count("/items/cold"), 1)
        took = sorted(answer.at_s - released_at[0] for answer in answers)
        print("%d gateways: first %.1f ms, median %.1f ms, last %.1f ms behind the release"
              % (count, took[0] * 1000, took[self.clients // 2] * 1000, took[-1] * 1000), flush=True)

    def test_a_thousand_clients_of_one_gateway_cost_one_fetch(self):
        self.assertOneFetch(1)

    def test_a_thousand_clients_of_three_gateways_cost_one_fetch(self):
        self.assertOneFetch(3)


class Leaders(StampedeJourney):
    def test_one_takes_over_when_the_leader_is_killed(self):
        origin = self.upstream()
        # Under a sanitizer a claim could end before its thread comes to renew it.
        fleet = self.gateways(origin, 3, threads=1, CACHEGATE_LIMITS_FLIGHT_CLAIM="5s" if sanitizer() else "500ms")
        first, second = origin.hold("/items/cold"), origin.hold("/items/cold")

        def when_asked():
            first.wait_arrived()
            questions = self.before(fleet[1:])

            def kill():
                self.wait_looked(fleet[1:], questions, 300)
                wait_until(lambda: self.waits(fleet[1:]) >= 2, "both wait for the leader")
                waits = self.waits(fleet[1:])
                fleet[0].kill()
                second.wait_arrived()
                # Who has looked again, and asks to fetch only when all is over, may.
                wait_until(lambda: self.waits(fleet[1:]) > waits, "one waits for the other")
                second.release()
            answers = self.ask_all([(fleet[1 + i % 2].address, "/items/cold") for i in range(300)], kill)
            self.assertEqual({answer.status for answer in answers}, {200})
            self.assertEqual(len({answer.body for answer in answers}), 1)

        self.ask_all([(fleet[0].address, "/items/cold")], when_asked)
        self.assertEqual(origin.count("/items/cold"), 2)

    def test_one_tries_again_when_the_fetch_fails(self):
        origin = self.upstream()
        front, = self.gateways(origin, 1)
        gate = origin.hold("/items/cold")
        origin.drop("/items/cold")

        def when_asked():
            self.wait_looked([front], (0, 0), 200)
            gate.wait_arrived()
            gate.release()

        answers = self.ask_all([(front.address, "/items/cold")] * 200, when_asked)
        statuses = [answer.status for answer in answers]
        self.assertEqual(len(set(answer.body for answer in answers if answer.status == 200)), 1)
        self.assertEqual(statuses.count(502), 1, "only whose fetch it was is told")
        self.assertEqual(statuses.count(200), 199)
        self.assertEqual(origin.count("/items/cold"), 2)

    def test_one_refresh_over_all_gateways(self):
        origin = self.upstream()
        fleet = self.gateways(origin, 3)
        old = fleet[0].get("/soft/1").json()["number"]
        self.assertHit(fleet[0].get("/soft/1"))  # nobody waits for a fill
        for front in fleet:
            front.advance(60)
        gate = origin.hold("/soft/1")
        for front in fleet * 5:
            answer = front.get("/soft/1")
            self.assertHit(answer)
            self.assertEqual(answer.json()["number"], old)
        # Redis's clock was not moved: for a moment it takes what is stored for new.
        wait_until(lambda: self.assertHit(fleet[1].get("/soft/1")) or gate.arrived.is_set(), "a refresh begins")
        for front in fleet * 5:
            self.assertHit(front.get("/soft/1"))
        gate.release()
        wait_until(lambda: fleet[2].get("/soft/1").json()["number"] != old, "it was refreshed")
        self.assertEqual(origin.count("/soft/1"), 2)


class Bound(StampedeJourney):
    def test_an_upstream_with_a_bound_is_asked_for_one_after_the_other(self):
        origin = self.upstream()
        front = self.gateway(None, RULES, threads=1, config={
            "upstreams": {"default": {"url": origin.url, "concurrency": 1}}})
        gates = [origin.hold("/items/%d" % i) for i in range(5)]

        def when_asked():
            self.wait_asked([front], 0, 5)
            waiting = list(enumerate(gates))
            while waiting:
                arrived = []
                wait_until(lambda: arrived.extend(
                    pair for pair in waiting if pair[1].arrived.is_set()) or arrived, "one is asked for")
                self.assertEqual(len(arrived), 1, "one at a time")
                waiting.remove(arrived[0])
                arrived[0][1].release()

        answers = all_ask([(front.address, "/items/%d" % i) for i in range(5)], when_asked)
        self.assertEqual([answer.status for answer in answers], [200] * 5)


class Warm(StampedeJourney):
    RULES = """
defaults: { ttl: 10m }
routes:
  - match: GET /items/{id}
    scope: shared
  - match: GET /mine
"""

    def start(self, origin, **config):
        return self.gateway(origin, self.RULES, environment={"WARM_TOKEN": "of-ann"}, config={"warm": dict({
            "requests": ["/items/1", "http://api.test/items/2",
                         {"url": "/mine", "headers": {"Authorization": "${WARM_TOKEN}"}}]}, **config)})

    def is_ready(self, front):
        return front.admin("GET", "/readyz").status == 200

    def test_what_is_listed_is_asked_for_at_the_start_and_after_a_flush(self):
        origin = self.upstream()
        front = self.start(origin, ready=True)
        wait_until(lambda: self.is_ready(front), "it is warm")
        wait_until(lambda: front.stats()["sets"] >= 3, "all is stored")
        self.assertEqual(origin.last("/mine").field("authorization"), "of-ann")
        headers = {"Host": "localhost"}
        self.assertHit(front.get("/items/1", headers=headers))
        self.assertHit(front.get("/items/2", headers={"Host": "api.test"}))
        self.assertHit(front.get("/mine", headers=dict(headers, Authorization="of-ann")))
        self.assertFalse(front.get("/mine", headers=dict(headers, Authorization="of-bob")).cache.hit)
        before = origin.count()
        self.assertEqual(front.admin("DELETE", "/cache/flush").status, 200)
        wait_until(lambda: origin.count() >= before + 3, "it is asked for again")

    def test_readiness_waits_only_if_asked(self):
        for ready in (True, False):
            origin = self.upstream()
            gate = origin.hold("/items/1")
            front = self.start(origin, ready=ready)
            gate.wait_arrived()
            self.assertEqual(self.is_ready(front), not ready)
            gate.release()
            wait_until(lambda: self.is_ready(front), "it is ready in the end")

    def test_a_failure_is_logged_and_holds_nothing_up(self):
        origin = self.upstream()
        origin.fail("/items/1", times=1)
        front = self.start(origin, ready=True)
        wait_until(lambda: self.is_ready(front), "it is ready")
        front.wait_line(r"3 targets, 1 of them failed")


class Mixed(App):
    """Of four kinds by turns, each naming who asked. Only one of them is everybody's."""

    KINDS = (("private", "max-age=60, private"), ("no-store", "no-store"), ("cookie", "max-age=60"),
             ("shared", "max-age=60"))

    def __init__(self):
        super().__init__()
        self.turn = 0

    def answer(self, request):
        if request.path.startswith("/mine"):
            return Reply(200, ("mine|%s|" % request.field("authorization")) * 200)
        if not request.path.startswith("/origin"):
            return Reply.json({})
        with self.lock:
            kind, control = self.KINDS[self.turn % 4]
            self.turn += 1
            number = self.turn
        who = request.field("x-client", "")
        body = ("%s|%s|%d|" % (kind, who, number)) * 200
        fields = [("Cache-Control", control)]
        if kind in ("private", "cookie"):
            fields.append(("Set-Cookie", "session=of-%s" % who))
        return Reply(200, body, fields)


class Identity(StampedeJourney):
    ROUNDS = 4

    def questions(self, fleet, path):
        fronts = itertools.cycle(fleet)
        return [(next(fronts).address, path, (("X-Client", "c%dx" % i),)) for i in range(300)]

    def judge(self, answers):
        """Everybody has a whole answer that is his, or everybody's. How many have another's."""
        borrowed = 0
        for i, answer in enumerate(answers):
            self.assertEqual(answer.status, 200)
            me = "c%dx" % i
            kind, who, number, _ = answer.body.decode().split("|", 3)
            self.assertEqual(answer.body.decode(), ("%s|%s|%s|" % (kind, who, number)) * 200,
                             "one answer is of one piece")
            if kind != "shared":
                self.assertEqual(who, me, "%s of %s reached %s" % (kind, who, me))
            if "set-cookie" in answer.head:
                self.assertIn("session=of-%s\r\n" % me, answer.head + "\r\n")
                self.assertEqual(who, me)
            borrowed += who != me
        return borrowed

    def assertNothingCrosses(self, count):
        app = Mixed()
        origin = self.upstream(app)
        fleet = self.gateways(origin, count, RULES)
        borrowed = []
        for turn in range(self.ROUNDS):  # what the first is told decides for all who wait
            path = "/origin/%d" % turn
            app.turn = turn
            gate = origin.hold(path)
            before = self.before(fleet)

            def when_asked():
                self.wait_looked(fleet, before, 300)
                gate.wait_arrived()
                gate.release()

            borrowed.append(self.judge(self.ask_all(self.questions(fleet, path), when_asked)))
        reasons = [front.stats()["reasons"] for front in fleet]
        self.assertEqual(borrowed[3], 299, "the fourth is everybody's: %s" % reasons)

        def flush():
            for _ in range(5):
                self.assertEqual(fleet[0].admin("DELETE", "/cache/flush").status, 200)
        for _ in range(self.ROUNDS):  # markers, entries and fetches of all kinds at the same time
            self.judge(self.ask_all(self.questions(fleet, "/origin/open"), flush))

    def test_in_one_gateway(self):
        self.assertNothingCrosses(1)

    def test_over_three_gateways(self):
        self.assertNothingCrosses(3)

    def assertUsersApart(self, count):
        origin = self.upstream(Mixed())
        fleet = self.gateways(origin, count, RULES)
        gates = [origin.hold("/mine/1") for _ in range(50)]
        before = self.before(fleet)
        fronts = itertools.cycle(fleet)
        questions = [(next(fronts).address, "/mine/1", (("Authorization", "u%dx" % (i % 50)),)) for i in range(300)]

        def when_asked():
            self.wait_looked(fleet, before, 300, keys=50)
            for gate in gates:
                gate.wait_arrived()  # all at the same time, or never
            self.assertEqual(origin.count("/mine/1"), 50, "one for each user")
            for gate in gates:
                gate.release()

        for i, answer in enumerate(self.ask_all(questions, when_asked)):
            self.assertEqual(answer.body.decode(), "mine|u%dx|" % (i % 50) * 200)
        self.assertEqual(origin.count("/mine/1"), 50)

    def test_users_of_one_gateway_share_with_themselves_alone(self):
        self.assertUsersApart(1)

    def test_users_of_three_gateways_share_with_themselves_alone(self):
        self.assertUsersApart(3)

    def test_uncacheable_answers_do_not_queue(self):
        class Apart(App):
            def answer(self, request):
                return Reply(200, request.field("x-client", ""), [("Cache-Control", "private")])
        origin = self.upstream(Apart())
        front, = self.gateways(origin, 1)
        self.assertEqual(front.get("/origin/1").status, 200)  # it is remembered from here on
        gates = [origin.hold("/origin/1") for _ in range(20)]

        def when_asked():
            for gate in gates:
                gate.wait_arrived()  # all at the same time, or never
            for gate in gates:
                gate.release()

        answers = self.ask_all([(front.address, "/origin/1", (("X-Client", "c%d" % i),)) for i in range(20)],
                          when_asked)
        self.assertEqual([answer.body.decode() for answer in answers], ["c%d" % i for i in range(20)])


if __name__ == "__main__":
    main()
