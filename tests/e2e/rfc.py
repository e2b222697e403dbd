"""What the journeys through the clauses of HTTP caching share: a scripted upstream, and words."""

import email.utils
import time

from harness import App, Journey, Reply

RULES = """
defaults: { scope: shared, ttl: origin }
routes:
  - match: GET /origin/**
  - match: GET /guess/**
    heuristic: 1d
  - match: GET /rule/**
    ttl: 1000s
  - match: GET /mine/**
    scope: user
  - match: GET /obeys/**
    client: all
  - match: GET /stale/**
    stale_while_revalidate: 1000s
    stale_if_error: 10000s
  - match: GET /windows/**
  - match: GET /tagged/**
    groups: keep
  - match: GET /hidden/**
    groups: remove
"""

LIFE_S = 1000
ALPHABET = b"abcdefghijklmnopqrstuvwxyz"
AGE = ("Cache-Control", "max-age=1000")
TAG = ("ETag", '"1"')
USER = {"Authorization": "Bearer a"}


class At:
    """A date so many seconds from now, by the gateway's clock."""

    def __init__(self, seconds):
        self.seconds = seconds


class Script(App):
    """Answers each path with what was told last; counts in Upstream."""

    def __init__(self):
        super().__init__()
        self.told = {}

    def answer(self, request):
        with self.lock:
            replies = self.told[request.path]
            return replies.pop(0) if len(replies) > 1 else replies[0]


class Rfc(Journey):
    def setUp(self):
        self.script = Script()
        self.origin = self.upstream(self.script)
        self.front = self.gateway(self.origin, RULES)
        self.number = 0

    def now(self):
        return time.time() + self.front.offset_ms / 1000

    def fields(self, fields):
        return [(name, email.utils.formatdate(self.now() + value.seconds, usegmt=True)
                 if isinstance(value, At) else value) for name, value in fields]

    def path(self, prefix):
        self.number += 1
        return "/%s/%d" % (prefix, self.number)

    def tell(self, path, *replies):
        with self.script.lock:
            self.script.told[path.partition("?")[0]] = list(replies)

    def reply(self, fields=(), body=b"body", status=200):
        return Reply(status, body, self.fields(fields))

    def asks(self, path, headers=None, method="GET", body=None):
        """The answer, and whether the upstream was asked for it."""
        before = self.origin.count(path)
        answer = self.front.request(method, path, headers=headers, body=body)
        return answer, self.origin.count(path) > before

    def stored(self, prefix, fields, headers=None, **about):
        path = self.path(prefix)
        self.tell(path, self.reply(fields, **about))
        answer, _ = self.asks(path, headers)
        self.assertTrue(answer.cache.stored, repr(answer))
        return path
