"""What is not a stream of requests: the cost of one purge, and Redis by itself."""
import os
import time

from lab import generators
from lab.measure import say

LATER_PURGES = 200
AFTERMATH_S = 0.5
SETTLE_S = 60
USER = f"Authorization: Bearer {generators.TOKEN}1"


def is_stored(lab, contender, path):
    before = lab.upstream_count()
    generators.client(lab, contender.port, 1, path, field=USER)
    return lab.upstream_count() == before


def fill(lab, contender, session, entries):
    """`entries` pages of one session; returns the paths of the first and of the last."""
    path = f"/transactions?session_id={session}&size=200&page="
    generators.client(lab, contender.port, entries, path + "{n}", field=USER,
                      connections=generators.CONNECTIONS)
    ends = [path + "0", path + str(entries - 1)]
    deadline = time.monotonic() + SETTLE_S
    while not all(is_stored(lab, contender, one) for one in ends):
        if time.monotonic() > deadline:
            raise generators.Failed("what was filled in is not stored")
        time.sleep(0.1)
    time.sleep(AFTERMATH_S)
    return ends


def write(lab, contender, session, number=1):
    return generators.client(lab, contender.port, number, f"/sessions/{session}", field=USER,
                             method="PUT")


def cpu_over(processes, play):
    """CPU seconds of each process while playing and shortly after, less what idling costs."""
    start = time.monotonic()
    first = [process.cpu() for process in processes]
    time.sleep(AFTERMATH_S)
    idle = [(process.cpu() - cpu) / (time.monotonic() - start)
            for process, cpu in zip(processes, first)]
    start = time.monotonic()
    before = [process.cpu() for process in processes]
    result = play()
    time.sleep(AFTERMATH_S)
    took = time.monotonic() - start
    return result, [max(process.cpu() - cpu - rate * took, 0)
                    for process, cpu, rate in zip(processes, before, idle)]


def purge_once(lab, contender, entries):
    lab.next_page += 1
    session = lab.next_page
    ends = fill(lab, contender, session, entries)
    processes = [contender.process, lab.redis]
    first, first_cpu = cpu_over(processes, lambda: write(lab, contender, session))
    if any(is_stored(lab, contender, one) for one in ends):
        raise generators.Failed("the purge did not purge")
    later, later_cpu = cpu_over(processes, lambda: write(lab, contender, session, LATER_PURGES))
    return {"contender": contender.name, "entries": entries, "first_us": first["max_us"],
            "first_gateway_us": first_cpu[0] * 1e6, "first_redis_us": first_cpu[1] * 1e6,
            "later_p50_us": later["p50_us"], "later_p99_us": later["p99_us"],
            "later_gateway_us": later_cpu[0] * 1e6 / LATER_PURGES,
            "later_redis_us": later_cpu[1] * 1e6 / LATER_PURGES,
            "gateway_bytes": contender.process.resident(), "redis_bytes": lab.redis.resident()}


def purges(lab, contenders, sizes, rounds, rows):
    """Appends to `rows`. What is compared is measured side by side: few entries before and after many."""
    order = [*sorted(sizes), min(sizes)] if max(sizes) > 10_000 else sorted(sizes) * rounds
    for contender in contenders:
        if not contender.purges or contender.name.endswith(("-near", "-pushed")):
            continue
        for number, entries in enumerate(order):
            try:
                rows.append({**purge_once(lab, contender, entries), "round": number})
            except generators.Failed as error:
                say(f"purge of {entries}, {contender.name}: {error}")
                rows.append({"contender": contender.name, "entries": entries, "failed": str(error)})
            lab.empty_redis()


def redis_itself(lab, rounds):
    """redis-benchmark: what one Redis can answer at all."""
    rows = []
    jobs = [("GET", 1024, 1, 50_000), ("MGET", 1024, 16, 200_000), ("MGET", 10240, 16, 60_000),
            ("MGET", 102400, 16, 10_000)]
    for name in ("v1", "v2", "v3"):
        generators.run(lab, ["redis-cli", "-p", lab.redis_port, "set", name, "0123456789abcdef"], 9)
    for number in range(rounds):
        for command, size, pipeline, count in jobs:
            path = os.path.join(lab.folder, "value")
            with open(path, "w") as file:
                file.write("x" * size)
            generators.run(lab, ["sh", "-c", f"redis-cli -p {lab.redis_port} -x set e < {path}"], 9)
            keys = ["e"] if command == "GET" else ["e", "v1", "v2", "v3"]
            before, start = lab.redis.cpu(), time.monotonic()
            generators.run(lab, ["redis-benchmark", "-p", lab.redis_port, "-c", "50", "-P", pipeline,
                                 "-n", count, "-q", command, *keys], 120, on_gateway_cpu=True)
            took = time.monotonic() - start
            rows.append({"command": command, "size": size, "pipeline": pipeline, "round": number,
                         "rate": count / took, "redis_us": (lab.redis.cpu() - before) / count * 1e6})
    lab.empty_redis()
    return rows
