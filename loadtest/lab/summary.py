"""Rows of rounds, put together: medians, least values, ratios within rounds."""
import collections
import statistics

SOFT = 0.10  # median and least of the rounds further apart than this: repeat it when it is quiet
BASES = ("nginx-lua", "ceiling")  # what ratios are to: the first of these that took part


def median(values):
    return statistics.median(values) if values else None


class Cell:
    """One contender in one scenario."""

    def __init__(self, rows):
        self.rows = rows
        self.gateway_us = median([row["gateway_us"] for row in rows])
        self.least_us = min(row["gateway_us"] for row in rows)
        self.soft = self.least_us < self.gateway_us * (1 - SOFT)
        for name in ("redis_us", "upstream_us", "rate", "busy", "p50_us", "p99_us", "p999_us",
                     "max_us", "upstream_requests", "seconds"):
            setattr(self, name, median([row[name] for row in rows]))
        self.gateway_bytes = max(row["gateway_bytes"] for row in rows)
        self.complaints = sorted({row["complaint"] for row in rows if row["complaint"]})


class Summary:
    """`cells[scenario][contender]`, in the order in which they were measured."""

    def __init__(self, rows):
        grouped = collections.OrderedDict()
        for row in rows:
            if "failed" not in row:
                grouped.setdefault(row["scenario"], collections.OrderedDict()).setdefault(
                    row["contender"], []).append(row)
        self.cells = {scenario: {contender: Cell(some) for contender, some in them.items()}
                      for scenario, them in grouped.items()}

    def cell(self, scenario, contender):
        return self.cells.get(scenario, {}).get(contender)

    def rates(self):
        return sorted((one for one in self.cells if one.startswith("rate-")),
                      key=lambda one: int(one[5:]))

    def contenders(self, scenarios):
        found = []
        for scenario in scenarios:
            found += [name for name in self.cells.get(scenario, {}) if name not in found]
        return found

    def uses_redis(self, contender):
        return any(them[contender].redis_us > 0 for them in self.cells.values() if contender in them)

    def base(self, scenario):
        return next((name for name in BASES if self.cell(scenario, name)), None)

    def ratio(self, scenario, contender, other, what="gateway_us"):
        """The median over the rounds of one round's ratio; None where one of them is missing."""
        one, two = self.cell(scenario, contender), self.cell(scenario, other)
        if not one or not two:
            return None
        theirs = {row["round"]: row[what] for row in two.rows}
        return median([row[what] / theirs[row["round"]] for row in one.rows
                       if theirs.get(row["round"])])

    def least_ratio(self, scenario, contender, other, what="gateway_us"):
        one, two = self.cell(scenario, contender), self.cell(scenario, other)
        if not one or not two:
            return None
        least = min(row[what] for row in two.rows)
        return min(row[what] for row in one.rows) / least if least else None
