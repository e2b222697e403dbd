"""Judges a history of reads and writes. Pure: no I/O, no clock; moments are numbers of one clock.

The promise: a read that starts after a write was answered never sees the state before it. Writes of
one item are numbered by the upstream in the order in which it committed them, so "older" is a smaller
number. A write *binds* from the moment when its client had its whole answer: each read that starts
later must show its number or a greater one.

A write whose client got no answer, because its gateway died, has an unknown outcome and binds nobody
by itself, with one exception: where the write was *protected* (all that it touches was marked before
it was forwarded, and the store kept the marks), whoever reads after the commit must see it, for the
marks keep older answers out until the versions change. A write that was never committed binds nobody.
"""

import bisect
import collections
from dataclasses import dataclass, field


@dataclass
class Write:
    item: int
    started: float
    ended: float
    answered: bool  # the client had an answer, or was told by a cut that there will be none
    protected: bool = False
    number: int | None = None  # None: never committed
    committed: float | None = None

    def binds(self):
        """The moment from which it binds; None for never."""
        if self.number is None:
            return None
        if self.answered:
            return max(self.ended, self.committed)
        return max(self.ended, self.committed) if self.protected else None


@dataclass
class Read:
    started: float
    ended: float
    seen: dict  # item → number
    about: str = ""
    asked_by: str | None = None  # None: an answer for everybody
    shown_to: str | None = None  # whom the upstream made it for


@dataclass
class Stale:
    read: Read
    item: int
    seen: int
    expected: int
    age_s: float  # since the first write that the read should have seen

    def __str__(self):
        return "%s showed item %d at %d, known was %d for %.1f ms (started %.6f)" % (
            self.read.about, self.item, self.seen, self.expected, 1000 * self.age_s, self.read.started)


@dataclass
class Judgement:
    stale: list = field(default_factory=list)
    leaks: list = field(default_factory=list)  # reads that showed another user's answer
    invented: list = field(default_factory=list)  # reads that showed what was never committed

    def sound(self):
        return not (self.stale or self.leaks or self.invented)

    def longest_s(self):
        return max((stale.age_s for stale in self.stale), default=0.0)


class _Floors:
    """Of one item: which number a read that starts at a moment must show at least."""

    def __init__(self, bindings):
        self.moments, self.numbers = [], []
        for moment, number in sorted(bindings):
            if not self.numbers or number > self.numbers[-1]:
                self.moments.append(moment)
                self.numbers.append(number)

    def at(self, moment):
        place = bisect.bisect_left(self.moments, moment)
        return self.numbers[place - 1] if place else 0

    def first_above(self, number):
        return self.moments[bisect.bisect_right(self.numbers, number)]


def judge(writes, reads):
    bindings = collections.defaultdict(list)
    newest = collections.defaultdict(int)
    for write in writes:
        if write.number is not None:
            newest[write.item] = max(newest[write.item], write.number)
        if write.binds() is not None:
            bindings[write.item].append((write.binds(), write.number))
    floors = {item: _Floors(list_) for item, list_ in bindings.items()}
    result = Judgement()
    for read in reads:
        if read.asked_by is not None and read.shown_to != read.asked_by:
            result.leaks.append(read)
        for item, seen in read.seen.items():
            if seen > newest[item]:
                result.invented.append(read)
            expected = floors[item].at(read.started) if item in floors else 0
            if seen < expected:
                age_s = read.started - floors[item].first_above(seen)
                result.stale.append(Stale(read, item, seen, expected, age_s))
    return result
