"""What is measured. A scenario has a name, says whom it concerns, warms him up and plays once."""
import time

from lab import generators

SIZES = {"1k": 1024, "10k": 10240, "100k": 102400}
RATES = (1000, 4000, 8000, 16000, 32000)
QUICK_RATES = (4000, 16000)
STAMPEDE_CLIENTS = 1000


class Scenario:
    name = title = ""
    rounds_max = 100
    ratios = True  # to the first of nginx-lua and the others, in the tables

    def concerns(self, contender):
        return contender.caches

    def prepare(self, lab, contender):
        """Whatever must be so before the first round."""

    def after(self, lab):
        """Whatever must be undone after the last one."""


class Hit(Scenario):
    """Everything asked for is stored. At most one request in a hundred may reach the upstream."""

    def __init__(self, size_name, protocol="h1", connections=generators.CONNECTIONS):
        self.size, self.protocol, self.connections = SIZES[size_name], protocol, connections
        self.name = f"hit-{size_name}" + ("" if protocol == "h1" else f"-{protocol}")
        how = {"h1": "HTTP/1.1", "tls": "HTTP/1.1, TLS", "h2c": "HTTP/2", "h2": "HTTP/2, TLS"}
        self.title = f"{size_name.upper()}B, {how[protocol]}"
        if connections == 1:
            self.name += "-one"
            self.title += ", one at a time"

    def concerns(self, contender):
        return self.protocol in contender.protocols and contender.name not in ("direct", "h2o-proxy")

    def url(self, contender):
        return contender.url(self.protocol, f"/transactions?size={self.size}")

    def prepare(self, lab, contender):
        if self.protocol == "h1":
            warm(lab, contender, self.size)
        elif self.protocol == "tls":
            self.play(lab, contender, 1)
        else:
            generators.h2load_once(lab, self.url(contender))

    def play(self, lab, contender, seconds):
        if self.protocol in ("h2", "h2c"):
            return generators.h2load(lab, self.url(contender), seconds)
        return generators.wrk(lab, self.url(contender), "hit", self.size, seconds, self.connections)

    def complaint(self, row):
        if row["upstream_requests"] > row["requests"] / 100:
            return f"the upstream was asked {row['upstream_requests']} times"
        return None


def warm(lab, contender, size):
    """What requests.lua asks for, until it is stored."""
    for _ in range(2):
        generators.client(lab, contender.port, generators.USERS,
                          f"/transactions?session_id={{n}}&size={size}&page=1")
        time.sleep(0.05)


class Miss(Scenario):
    """Every request is for another page."""

    def __init__(self, name, title, kind, connections):
        self.name, self.title, self.kind, self.connections = name, title, kind, connections
        self.ratios = connections > 1

    def concerns(self, contender):
        if contender.name.endswith(("-near", "-pushed")) and self.connections == 1:
            return False
        return contender.caches or contender.name in ("h2o-proxy", "direct")

    def play(self, lab, contender, seconds):
        return generators.wrk(lab, contender.url("h1", "/"), self.kind, 1024, seconds,
                              self.connections)

    def after(self, lab):
        lab.empty_redis()

    def complaint(self, row):
        if row["upstream_requests"] < row["requests"] * 0.99:
            return f"the upstream was asked {row['upstream_requests']} times only"
        return None


class Post(Scenario):
    name, title = "post", "POST of 1 KB, passed through"

    def concerns(self, contender):
        return (contender.caches and not contender.name.endswith(("-near", "-pushed"))
                or contender.name in ("h2o-proxy", "direct"))

    def play(self, lab, contender, seconds):
        return generators.wrk(lab, contender.url("h1", "/"), "post", 1024, seconds)

    def complaint(self, row):
        if row["upstream_requests"] < row["requests"]:
            return f"the upstream was asked {row['upstream_requests']} times only"
        return None


class Write(Scenario):
    name, title = "write", "one write in ten requests, which forgets its session; else reads, 1KB"

    def concerns(self, contender):
        return contender.purges

    def prepare(self, lab, contender):
        warm(lab, contender, 1024)

    def play(self, lab, contender, seconds):
        return generators.wrk(lab, contender.url("h1", "/"), "write", 1024, seconds)

    def complaint(self, row):
        if row["upstream_requests"] < row["requests"] * 0.1:
            return f"the upstream was asked {row['upstream_requests']} times only"
        return None


class Stampede(Scenario):
    name = "stampede"
    title = f"{STAMPEDE_CLIENTS} clients ask for one cold answer that takes the upstream 200 ms"
    ratios = False

    def play(self, lab, contender, seconds):
        lab.next_page += 1
        return generators.client(
            lab, contender.port, STAMPEDE_CLIENTS,
            f"/transactions?session_id=3&size=1024&delay=200&page={lab.next_page}", modulo=1,
            connections=STAMPEDE_CLIENTS)

    def complaint(self, row):
        return None


class Rate(Scenario):
    """Hits of 1 KB at a fixed rate of arrival; latency from the moment a request was due."""

    ratios = False
    rounds_max = 3

    def __init__(self, rate):
        self.rate, self.name = rate, f"rate-{rate}"
        self.title = f"hits of 1KB, {rate} arrivals per second"

    def concerns(self, contender):
        return (contender.caches or contender.name == "ceiling") and contender.name != "nginx-srcache"

    def prepare(self, lab, contender):
        warm(lab, contender, 1024)

    def play(self, lab, contender, seconds):
        return generators.client(lab, contender.port, self.rate * seconds,
                                 "/transactions?session_id={n}&size=1024&page=1",
                                 modulo=generators.USERS, rate=self.rate,
                                 connections=generators.CONNECTIONS)

    def complaint(self, row):
        if row["requests"] / row["seconds"] < self.rate * 0.95:
            return "it does not keep up"
        return None


def everything(quick):
    hits = [Hit("1k"), Hit("100k"), Hit("1k", "h2c")]
    if not quick:
        hits = [Hit("1k"), Hit("10k"), Hit("100k"), Hit("1k", "tls"), Hit("1k", "h2c"),
                Hit("1k", "h2"), Hit("1k", connections=1)]
    one = [] if quick else [Miss("miss-one", "misses, one at a time", "miss", 1)]
    return [*hits, Post(), Write(), Miss("miss", "misses, 64 connections", "miss", 64), *one,
            Miss("miss-20ms", "misses, one at a time, the upstream takes 20 ms", "slow", 1),
            Stampede(), *[Rate(rate) for rate in (QUICK_RATES if quick else RATES)]]
