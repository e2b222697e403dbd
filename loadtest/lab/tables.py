"""The Markdown of a run."""
from lab import goals

HITS = ("hit-1k", "hit-10k", "hit-100k", "hit-1k-tls", "hit-1k-h2c", "hit-1k-h2")
HIT_NAMES = {"hit-1k": "1 KB h1", "hit-10k": "10 KB h1", "hit-100k": "100 KB h1",
             "hit-1k-tls": "1 KB h1 TLS", "hit-1k-h2c": "1 KB h2c", "hit-1k-h2": "1 KB h2 TLS"}
STREAMS = ("post", "write", "miss")
STREAM_NAMES = {"post": "POST 1 KB", "write": "1 write in 10", "miss": "miss, 64 connections"}


def table(head, lines, left=1):
    """Markdown; the first `left` columns are text. Nothing when there are no lines."""
    if not lines:
        return ""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join("| " + " | ".join(str(word) for word in row) + " |"
                     for row in [head, rule, *lines]) + "\n"


def small(number):
    return f"{number:.1f}" if number < 100 else f"{number:.0f}"


def milliseconds(us):
    return f"{us / 1000:.2f}" if us < 10_000 else f"{us / 1000:.0f}"


def thousands(rate):
    return f"{rate / 1000:.1f}"


def cost(summary, scenario, contender):
    """`10.3 (9.9) 0.45 ~`: median, least, ratio to the base, and whether it is soft."""
    cell = summary.cell(scenario, contender)
    if cell is None or contender == "direct":
        return "-"
    base = summary.base(scenario)
    ratio = summary.ratio(scenario, contender, base) if base else None
    text = f"{small(cell.gateway_us)} ({small(cell.least_us)})"
    return text + (f" {ratio:.2f}" if ratio else "") + (" ~" if cell.soft else "")


def matrix(summary, scenarios, names, write):
    """Contenders down, scenarios across; `write(cell)` fills it."""
    present = [one for one in scenarios if one in summary.cells]
    lines = []
    for contender in summary.contenders(present):
        lines.append([contender] + [write(one, contender) if summary.cell(one, contender) else "-"
                                    for one in present])
    return table(["contender"] + [names[one] for one in present], lines)


def ratio_words(summary, scenarios):
    bases = {summary.base(one) for one in scenarios if one in summary.cells}
    return f" and ratio to {bases.pop()}" if len(bases) == 1 and bases != {None} else ""


def hits(summary):
    def redis(one, contender):
        return small(summary.cell(one, contender).redis_us) if summary.uses_redis(contender) else "-"

    def speed(one, contender):
        cell = summary.cell(one, contender)
        return (f"{thousands(cell.rate)}; {milliseconds(cell.p50_us)} / {milliseconds(cell.p99_us)} / "
                f"{milliseconds(cell.p999_us)}{'' if cell.busy >= 0.9 else ' *'}")

    text = (f"Gateway CPU, µs per request: median (least){ratio_words(summary, HITS)}. `~`: soft.\n\n"
            + matrix(summary, HITS, HIT_NAMES, lambda one, who: cost(summary, one, who)))
    if any(summary.uses_redis(name) for name in summary.contenders(HITS)):
        text += "\nRedis CPU, µs per request:\n\n" + matrix(summary, HITS, HIT_NAMES, redis)
    return text + ("\nThousands of requests per second; p50 / p99 / p99.9 in ms, with 64 in flight. "
                   "`*`: the gateway was less than 90 % busy, the load generator or Redis was the "
                   "limit.\n\n" + matrix(summary, HITS, HIT_NAMES, speed))


def streams(summary):
    def write(one, contender):
        cell = summary.cell(one, contender)
        return (f"{thousands(cell.rate)}; {cost(summary, one, contender)}; "
                f"{small(cell.redis_us) if cell.redis_us else '-'}; {milliseconds(cell.p99_us)}")

    return (f"Thousands of requests per second; gateway CPU µs per request (least)"
            f"{ratio_words(summary, STREAMS)}; Redis CPU µs; p99 ms.\n\n" + matrix(summary, STREAMS, STREAM_NAMES, write))


def alone(summary):
    """One request at a time: what is added to the upstream's own time."""
    names = {"hit-1k-one": "hit, 1 KB: p50 / p99 µs", "miss-one": "miss: p50 (added) µs",
             "miss-20ms": "miss, upstream takes 20 ms: p50 (added) ms"}

    def write(one, contender):
        cell, direct = summary.cell(one, contender), summary.cell(one, "direct")
        added = cell.p50_us - direct.p50_us if direct else None
        if one == "hit-1k-one":
            return f"{cell.p50_us:.0f} / {cell.p99_us:.0f}"
        if one == "miss-one":
            return f"{cell.p50_us:.0f}" + (f" (+{added:.0f})" if added is not None else "")
        return f"{cell.p50_us / 1000:.2f}" + (f" (+{added / 1000:.2f})" if added is not None else "")

    return matrix(summary, names, names, write)


def stampede(summary):
    lines = [[name, f"{cell.upstream_requests:.0f}", milliseconds(cell.p50_us),
              milliseconds(cell.max_us), f"{small(cell.gateway_us)} ({small(cell.least_us)})"]
             for name, cell in summary.cells.get("stampede", {}).items()]
    return table(["contender", "requests at the upstream", "p50 ms", "slowest ms",
                  "gateway CPU µs per client"], lines)


def rates(summary):
    present = summary.rates()

    def write(one, contender):
        cell = summary.cell(one, contender)
        late = " !" if any("keep up" in words for words in cell.complaints) else ""
        return (f"{milliseconds(cell.p50_us)} / {milliseconds(cell.p99_us)} / "
                f"{milliseconds(cell.p999_us)}{late}")

    return ("p50 / p99 / p99.9 in ms, from the moment at which a request was due. `!`: it does not "
            "keep up.\n\n" + matrix(summary, present, {one: one[5:] + "/s" for one in present}, write))


def middle(rows, figure):
    values = sorted(row[figure] for row in rows)
    return values[len(values) // 2]


def purge(rows):
    groups = {}
    for row in rows:
        if "failed" not in row:
            groups.setdefault((row["contender"], row["entries"]), []).append(row)
    lines = [[name, entries, milliseconds(middle(some, "first_us")),
              milliseconds(middle(some, "first_gateway_us")),
              milliseconds(middle(some, "first_redis_us")), f"{middle(some, 'later_p50_us'):.0f}",
              small(middle(some, "later_gateway_us")), small(middle(some, "later_redis_us"))]
             for (name, entries), some in sorted(groups.items(), key=lambda one: one[0])]
    return table(["contender", "entries", "first: ms", "gateway CPU ms", "Redis CPU ms",
                  "later: p50 µs", "gateway CPU µs", "Redis CPU µs"], lines)


def redis_itself(rows):
    groups = {}
    for row in rows:
        groups.setdefault((row["command"], row["size"], row["pipeline"]), []).append(row)
    lines = [[f"{command} {size} bytes" + (" and 3 versions" if command == "MGET" else ""), pipeline,
              thousands(middle(some, "rate")), small(middle(some, "redis_us"))]
             for (command, size, pipeline), some in groups.items()]
    return table(["redis-benchmark, 50 connections", "pipelined", "thousands per second",
                  "Redis CPU µs"], lines)


def memory(summary):
    present = [one for one in ("hit-1k", "hit-100k", "stampede") if one in summary.cells]
    names = {"hit-1k": "after hit-1k", "hit-100k": "after hit-100k", "stampede": "after all others"}
    return matrix(summary, present, names,
                  lambda one, who: f"{summary.cell(one, who).gateway_bytes / 1048576:.0f}")


def binaries(summary, labels):
    """Several cachegates: each store's ratio to the first binary's, over all streams of requests."""
    lines = []
    for scenario in summary.cells:
        for kind in ("redis", "near", "pushed", "embedded"):
            first = f"{labels[0]}-{kind}"
            words = []
            for label in labels[1:]:
                ratio = summary.ratio(scenario, f"{label}-{kind}", first)
                least = summary.least_ratio(scenario, f"{label}-{kind}", first)
                words.append("-" if ratio is None else f"{ratio:.3f} ({least:.3f})")
            if any(word != "-" for word in words):
                lines.append([scenario, kind, *words])
    return table(["scenario", "store", *labels[1:]], lines, left=2)


def goal_table(summary, purges, labels):
    lines = [[goal["what"], goal["figure"], f"≤ {goal['limit']:.2f}", f"{goal['ratio']:.2f}",
              f"{goal['least']:.2f}", goal["verdict"]]
             for goal in goals.all_goals(summary, purges, labels)]
    return table(["goal", "ratio of", "wanted", "median", "of the least", ""], lines, left=2)


def heading(run):
    machine, options = run["machine"], run["options"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    others = sorted(row["others_busy"] for row in run["rows"] if "others_busy" in row)
    noise = f"{others[len(others) // 2] * 100:.0f} %" if others else "an unknown part"
    text = (f"Measured {run['date']} at {run['revision']}: {machine['cpu']}, {machine['cores']} cores"
            f"{', a virtual machine' if machine['virtual'] else ''}, {machine['memory_gb']} GB, "
            f"{machine['system']}, Linux {machine['kernel']}. {versions}. "
            f"Rounds: {options['rounds']} of {options['seconds']} s. Other programs (with the host's "
            f"share) took {noise} of the machine (median over all rows); load average at the start "
            f"{machine['load_average']:.1f}.\n")
    if run.get("repeated"):
        text += f"\nRepeated afterwards, in the same way: {', '.join(run['repeated'])}.\n"
    if run.get("interrupted"):
        text += "\nInterrupted: not everything was measured.\n"
    for name, reason in run["left_out"]:
        text += f"\nLeft out: {name} ({reason.strip().splitlines()[0]})\n"
    for row in run["purges"]:
        if "failed" in row:
            text += f"\nFailed: a purge of {row['entries']}, {row['contender']}: {row['failed']}\n"
    complaints = sorted({(row["scenario"], row["contender"], row.get("complaint") or row["failed"])
                         for row in run["rows"] if row.get("complaint") or "failed" in row})
    for scenario, contender, words in complaints:
        if not scenario.startswith("rate-"):
            text += f"\nTake with care: {scenario}, {contender}: {words}\n"
    return text


PLOTS = {"Hits": ("cpu.svg", "CPU per request of each contender, with Redis's part"),
         "Fixed rates of arrival (1 KB hits)":
             ("latency.svg", "latency over the rate of arrival; a line ends where it does not keep up"),
         "One purge": ("purge.svg", "time of one write over the number of answers it makes wrong")}


def whole(run, summary, drawn):
    """Everything, by headings; sections without rows are left out."""
    sections = [
        ("Against the goals", goal_table(summary, run["purges"], run["labels"])),
        (f"Binaries: CPU per request as a ratio to {run['labels'][0]}, median (of the least)",
         binaries(summary, run["labels"]) if len(run["labels"]) > 1 else ""),
        ("Hits", hits(summary) if any(one in summary.cells for one in HITS) else ""),
        ("Misses, writes, passing through", streams(summary)),
        ("One at a time", alone(summary)),
        ("Fixed rates of arrival (1 KB hits)", rates(summary)),
        ("A thousand clients, one cold answer", stampede(summary)),
        ("One purge", purge(run["purges"])),
        ("Redis itself", redis_itself(run["redis"])),
        ("Memory of the gateway, MB", memory(summary)),
    ]
    text = heading(run)
    for title, words in sections:
        if "| ---" in words:
            text += f"\n### {title}\n\n"
            plot, what = PLOTS.get(title, ("", ""))
            text += (f"![{what}](plots/{plot})\n\n" if plot in drawn else "") + words
    return text
