#!/usr/bin/env python3
"""How long after the first the last of a thousand clients of one cold key has its answer.

    CACHEGATE=build/release/cachegate HERD_CLIENT=build/release/tests/herd_client \
        tests/e2e/measure_herd.py [ROUNDS]

Through one gateway (1 and 4 threads, embedded store) and through three on one Redis. The second
number is what a thousand plain hits over the same connections take: what is above it is the price
of waiting. Numbers depend on the machine; what must hold on any is in tests/machine/test_herd.c.
"""

import json
import os
import statistics
import subprocess
import sys

from harness import TREE, Gateway, Upstream, wait_until
from redis_servers import SECRET, Redis

CLIENTS = 1000
RULES = """
defaults: { ttl: 10m, scope: shared }
routes:
  - match: GET /items/{id}
"""


def herd_client():
    return os.environ.get("HERD_CLIENT") or str(TREE / "build" / "dev" / "tests" / "herd_client")


def measure(fleet, origin, path):
    """(first to last of the cold key, all of the stored one) in milliseconds."""
    before = sum(front.stats()["misses"] for front in fleet)
    gate = origin.hold(path)
    client = subprocess.Popen([herd_client(), str(CLIENTS), path, *(front.address for front in fleet)],
                              stdout=subprocess.PIPE, text=True)
    assert client.stdout.readline() == "asked\n"
    wait_until(lambda: sum(front.stats()["misses"] for front in fleet) >= before + CLIENTS, "all wait")
    gate.wait_arrived()
    gate.release()
    cold, stored = [json.loads(client.stdout.readline()) for _ in range(2)]
    assert client.wait(60) == 0
    for one in (cold, stored):
        assert one["good"] == CLIENTS and one["bodies"] == 1, one
    assert origin.count(path) == 1, "%d fetches" % origin.count(path)
    return cold["last_us"] / 1000, stored["last_us"] / 1000


def report(name, fleet, origin, rounds):
    first = origin.count()
    numbers = [measure(fleet, origin, "/items/%d" % (first + i)) for i in range(rounds)]
    for what, values in (("cold key, first to last answer", [one for one, _ in numbers]),
                         ("stored, first request to last answer", [other for _, other in numbers])):
        print("%-34s %-38s median %6.1f ms, least %6.1f ms, most %6.1f ms"
              % (name, what, statistics.median(values), min(values), max(values)), flush=True)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    origin = Upstream()
    redis = Redis()
    running = []

    def start(**arguments):
        running.append(Gateway(origin, RULES, **arguments))
        return running[-1]

    try:
        for threads in (1, 4):
            report("one gateway, threads: %d" % threads, [start(threads=threads)], origin, rounds)
        report("three gateways on one Redis", [start(threads=1, environment={
            "CACHEGATE_STORE_REDIS": redis.url, "CACHEGATE_SECRET": SECRET}) for _ in range(3)],
            origin, rounds)
    finally:
        for front in running:
            front.stop()
        redis.close()
        origin.stop()


if __name__ == "__main__":
    main()
