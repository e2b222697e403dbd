"""Whether a contender does the job at all: before anything is measured, by asking it."""
import itertools
import json
import subprocess
import time

from lab import generators

FLAGS = {"h1": ["--http1.1"], "tls": ["--http1.1", "-k"], "h2c": ["--http2-prior-knowledge"],
         "h2": ["--http2", "-k"]}
SETTLE_S = 5.0  # how long an answer may take to be stored behind the client's back
numbers = itertools.count(900_000)


class Wrong(Exception):
    """A contender that does another job than the others; it is left out."""


def curl(contender, protocol, path, user="a", method="GET", body=None):
    command = ["curl", "-sS", "--max-time", "10", *FLAGS[protocol], "-X", method, "-w",
               "\n%{http_code} %{http_version}", contender.url(protocol, path)]
    if user is not None:
        command += ["-H", f"Authorization: Bearer {generators.TOKEN}{user}"]
    if body is not None:
        command += ["-d", body]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Wrong(f"{method} {path} over {protocol}: {done.stderr.strip()}")
    text, status = done.stdout.rsplit("\n", 1)
    code, version = status.split()
    if code != "200":
        raise Wrong(f"{method} {path} over {protocol}: status {code}")
    if version != ("2" if protocol in ("h2", "h2c") else "1.1"):
        raise Wrong(f"{protocol} is HTTP/{version}")
    try:
        return json.loads(text)
    except ValueError:
        raise Wrong(f"{method} {path} over {protocol}: the answer is not the upstream's") from None


def becomes_a_hit(lab, contender, protocol, path, user="a"):
    """Asked again, it is not asked for again; a store from a timer gets a moment."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        before = lab.upstream_count()
        answer = curl(contender, protocol, path, user)
        if lab.upstream_count() == before:
            return answer
        if time.monotonic() > deadline:
            raise Wrong(f"{path} over {protocol} is never stored")
        time.sleep(0.02)


def check_protocol(lab, contender, protocol):
    page, other = next(numbers), next(numbers)
    path = f"/transactions?session_id=7&page={page}&size=1024"
    first = curl(contender, protocol, path)
    again = becomes_a_hit(lab, contender, protocol, path)
    if first != again:
        raise Wrong(f"{path} over {protocol}: the stored answer is not the one that was given")
    for user in ("b", None):
        before = lab.upstream_count()
        answer = curl(contender, protocol, path, user)
        if answer["user"] == first["user"] or lab.upstream_count() == before:
            raise Wrong(f"over {protocol} user {user} was given what belongs to user a")
    if curl(contender, protocol, path.replace(str(page), str(other)))["for"] == first["for"]:
        raise Wrong(f"over {protocol} two pages are one")
    before = lab.upstream_count()
    curl(contender, protocol, f"/transactions?size=1024&page={page}&session_id=7")
    if (lab.upstream_count() == before) != contender.sorts:
        raise Wrong("it does not sort the query" if contender.sorts else
                    "it sorts the query, against what is said of it")


def check_purge(lab, contender):
    page = next(numbers)
    path = f"/transactions?session_id=8&page={page}&size=1024"
    curl(contender, "h1", path)
    before = becomes_a_hit(lab, contender, "h1", path)
    written = curl(contender, "h1", "/sessions/8", method="PUT", body="{}")
    after = curl(contender, "h1", path)
    if after["writes"] < written["writes"] or after["writes"] == before["writes"]:
        raise Wrong("a write does not make it forget")


def check(lab, contender):
    """Raises Wrong. Every protocol that is measured is checked."""
    if not contender.caches:
        for protocol in contender.protocols:
            if contender.name != "ceiling":
                curl(contender, protocol, "/transactions?size=1024&session_id=1")
        return
    for protocol in contender.protocols:
        check_protocol(lab, contender, protocol)
    before = lab.upstream_count()
    for _ in range(2):
        curl(contender, "h1", "/pass", method="POST", body="{}")
    if lab.upstream_count() != before + 2:
        raise Wrong("a POST is not passed on every time")
    if contender.purges:
        check_purge(lab, contender)
