"""Rounds: scenario by scenario, the contenders in turns, what each process spent on each request."""
import sys
import time
import urllib.request

from lab import checks, generators, machine
from lab.contenders import Missing


def say(text):
    print(text, file=sys.stderr, flush=True)


class Shared:
    """What all contenders share: the upstream and one Redis. Becomes part of the lab."""

    def __init__(self, lab):
        lab.next_page = int(time.time()) * 1000
        lab.upstream_port, lab.redis_port = lab.port(), lab.port()
        lab.upstream = lab.start("upstream", lab.on_other_cpu(
            [str(lab.tools / "upstream"), str(lab.upstream_port)]), lab.upstream_port)
        lab.redis = lab.start("redis", lab.on_other_cpu(
            ["redis-server", "--port", str(lab.redis_port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no"]), lab.redis_port)
        self.lab = lab
        lab.upstream_count, lab.empty_redis = self.upstream_count, self.empty_redis

    def upstream_count(self):
        url = f"http://127.0.0.1:{self.lab.upstream_port}/count"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.read().split(b":")[1].split(b",")[0])

    def empty_redis(self):
        generators.run(self.lab, ["redis-cli", "-p", self.lab.redis_port, "flushall", "async"], 60)


def start_all(lab, contenders):
    """Starts and checks. Returns those that do the job, and [name, reason] of those left out."""
    good, left_out = [], []
    for contender in contenders:
        try:
            contender.start(lab, lab.upstream_port, lab.redis_port)
            checks.check(lab, contender)
            contender.process.look_at_tree()  # a master may accept before it has its worker
            good.append(contender)
        except (Missing, RuntimeError, checks.Wrong) as error:
            say(f"LEFT OUT {contender.name}: {error}")
            left_out.append([contender.name, str(error)])
            if getattr(contender, "process", lab.upstream) is not lab.upstream:
                lab.stop(contender.process)
    return good, left_out


def play_once(lab, scenario, contender, seconds):
    """One row: what the generator saw, and microseconds of CPU per request of everybody."""
    processes = {"gateway": contender.process, "upstream": lab.upstream}
    if contender.uses_redis:
        processes["redis"] = lab.redis
    count = lab.upstream_count()
    machine_before = machine.busy_seconds()
    before = {name: process.cpu() for name, process in processes.items()}
    row = scenario.play(lab, contender, seconds)
    spent = {name: process.cpu() - before[name] for name, process in processes.items()}
    row["others_busy"] = machine.others_busy(machine_before, sum(set(spent.values())))
    row["upstream_requests"] = lab.upstream_count() - count
    for name in ("gateway", "redis", "upstream"):
        row[f"{name}_us"] = spent.get(name, 0) / max(row["requests"], 1) * 1e6
    row["busy"] = spent["gateway"] / row["seconds"]
    row["rate"] = row["requests"] / row["seconds"]
    row["gateway_bytes"] = contender.process.resident()
    row["redis_bytes"] = lab.redis.resident()
    if spent["gateway"] <= 0:
        raise generators.Failed("its CPU time stood still: that cannot be")
    complaint = scenario.complaint(row)
    if row["refused"]:
        complaint = f"{row['refused']} of {row['requests']} requests failed"
    row["complaint"] = complaint
    return row


def measure(lab, scenario, contenders, rounds, seconds):
    """Rows of one scenario, each with its contender and round: A B C … A B C …"""
    rows = []
    taking_part = [one for one in contenders if scenario.concerns(one)]
    for contender in taking_part:
        try:
            scenario.prepare(lab, contender)
        except generators.Failed as error:
            say(f"{scenario.name}, {contender.name}: {error}")
    for number in range(min(rounds, scenario.rounds_max)):
        for contender in taking_part:
            try:
                row = play_once(lab, scenario, contender, seconds)
            except generators.Failed as error:
                say(f"{scenario.name}, {contender.name}: {error}")
                row = {"failed": str(error)}
            row.update(scenario=scenario.name, contender=contender.name, round=number)
            rows.append(row)
            if row.get("complaint"):
                say(f"{scenario.name}, {contender.name}: {row['complaint']}")
    scenario.after(lab)
    return rows
