"""What cachegate is to reach: ratios of CPU per request within one run."""

# (what, scenario, contender, to whom, which figure, at most)
RATIOS = [
    ("Redis hit, 1 KB", "hit-1k", "redis", "nginx-lua", "gateway_us", 0.60),
    ("Redis hit, 10 KB", "hit-10k", "redis", "nginx-lua", "gateway_us", 0.70),
    ("Redis hit, 100 KB", "hit-100k", "redis", "nginx-lua", "gateway_us", 0.70),
    ("Redis hit, 1 KB, HTTP/2", "hit-1k-h2c", "redis", "nginx-lua", "gateway_us", 0.35),
    ("Redis hit, 1 KB, HTTP/2, TLS", "hit-1k-h2", "redis", "nginx-lua", "gateway_us", 0.35),
    ("Redis's own CPU at a hit", "hit-1k", "redis", "nginx-lua", "redis_us", 0.30),
    ("near hit, embedded store", "hit-1k", "embedded", "ceiling", "gateway_us", 1.50),
    ("near hit, embedded store", "hit-1k", "embedded", "varnish", "gateway_us", 1.00),
    ("miss", "miss", "redis", "nginx-lua", "gateway_us", 0.85),
    ("POST passed through", "post", "redis", "h2o-proxy", "gateway_us", 1.25),
]
SAME = 1.25  # "the same" cost of a purge: within what repeating one measurement gives


def verdict(ratio, least, limit):
    """By both the medians and the least values, or soft."""
    if ratio <= limit and least <= limit:
        return "reached"
    return "not reached" if ratio > limit and least > limit else "soft"


def ratio_goals(summary, label):
    found = []
    for what, scenario, kind, other, figure, limit in RATIOS:
        ratio = summary.ratio(scenario, f"{label}-{kind}", other, figure)
        if ratio is None:
            continue
        least = summary.least_ratio(scenario, f"{label}-{kind}", other, figure)
        figure_name = "Redis CPU" if figure == "redis_us" else "CPU"
        found.append({"what": what, "figure": f"{figure_name} to {other}", "limit": limit,
                      "ratio": ratio, "least": least, "verdict": verdict(ratio, least, limit)})
    return found


def purge_goals(rows, label):
    """The same with few and with many entries: latency, and the CPU of Redis."""
    found = []
    for kind in ("redis", "embedded"):
        by_size = {}
        for row in rows:
            if row["contender"] == f"{label}-{kind}" and "failed" not in row:
                by_size.setdefault(row["entries"], []).append(row)
        if len(by_size) < 2:
            continue
        few, many = min(by_size), max(by_size)
        for figure, name in (("later_p50_us", "time"), ("later_redis_us", "Redis CPU")):
            if kind == "embedded" and figure == "later_redis_us":
                continue
            values = [sorted(row[figure] for row in by_size[size]) for size in (few, many)]
            if values[0][0] <= 0:
                continue  # less than the kernel's clock of CPU time tells apart
            ratio, least = (values[1][len(values[1]) // 2] / values[0][len(values[0]) // 2],
                            values[1][0] / values[0][0])
            found.append({"what": f"purge, {kind}", "figure": f"{name}, {many} to {few} entries",
                          "limit": SAME, "ratio": ratio, "least": least,
                          "verdict": verdict(ratio, least, SAME)})
    return found


def all_goals(summary, purges, labels):
    return [goal for label in labels
            for goal in ratio_goals(summary, label) + purge_goals(purges, label)]
