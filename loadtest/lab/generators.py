"""The load: wrk for closed loops over HTTP/1.1, h2load for HTTP/2, servers/client.c for the rest.

Each returns a dict: requests, seconds, refused, p50_us, p90_us, p99_us, p999_us, max_us.
"""
import json
import os
import re
import subprocess
import time

from lab.processes import ROOT

USERS = 500
CONNECTIONS = 64
H2_CONNECTIONS, H2_STREAMS = 8, 8
TOKEN = "0b9f27c6e1d84a53bc70"  # and a number; requests.lua says the same


class Failed(Exception):
    """A run of a load generator that says nothing about its server."""


def run(lab, command, seconds, on_gateway_cpu=False):
    pin = lab.on_gateway_cpu if on_gateway_cpu else lab.on_other_cpu
    try:
        done = subprocess.run(pin([str(word) for word in command]), text=True,
                              capture_output=True, timeout=seconds + 60, cwd=lab.folder)
    except subprocess.TimeoutExpired:
        raise Failed(f"{command[0]} did not end") from None
    if done.returncode != 0:
        raise Failed(f"{os.path.basename(str(command[0]))}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def wrk(lab, url, kind, size, seconds, connections=CONNECTIONS):
    """`first` makes every run's pages new ones."""
    first = lab.next_page
    lab.next_page += 100_000_000
    out = run(lab, ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s",
                    ROOT / "loadtest" / "requests.lua", url, "--", kind, size, first], seconds)
    return json.loads(out.strip().rsplit("\n", 1)[1])


def percentile(ordered, part):
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)]


def h2load_words(lab, url):
    """One user with many sessions: h2load's fields are the same in every request."""
    urls = os.path.join(lab.folder, "urls")
    with open(urls, "w") as file:
        file.writelines(f"{url}&session_id={session}\n" for session in range(USERS))
    return ["h2load", "-t1", "-i", urls, "-H", f"authorization: Bearer {TOKEN}7"]


def h2load_once(lab, url):
    """Every session twice, with a moment between for what is stored behind the client's back."""
    for _ in range(2):
        run(lab, [*h2load_words(lab, url), "-c1", "-m8", f"-n{USERS}"], 60)
        time.sleep(0.05)


def h2load(lab, url, seconds):
    log = os.path.join(lab.memory_folder, "h2load.log")
    if os.path.exists(log):
        os.unlink(log)
    out = run(lab, [*h2load_words(lab, url), f"-c{H2_CONNECTIONS}", f"-m{H2_STREAMS}",
                    f"-D{seconds}", f"--log-file={log}"], seconds)
    errored = re.search(r"(\d+) errored", out)
    good = re.search(r"status codes: (\d+) 2xx", out)
    with open(log) as file:
        took = sorted(int(line.rsplit("\t", 1)[1]) for line in file)
    if not took:
        raise Failed("h2load: no answers")
    return {"requests": len(took), "seconds": float(seconds),
            "refused": max(len(took) - int(good.group(1)), 0) + int(errored.group(1)),
            "p50_us": percentile(took, 0.5), "p90_us": percentile(took, 0.9),
            "p99_us": percentile(took, 0.99), "p999_us": percentile(took, 0.999),
            "max_us": took[-1]}


def client(lab, port, number, path, field=f"Authorization: Bearer {TOKEN}{{n}}", **options):
    """servers/client.c; options are its flags."""
    words = [lab.tools / "client", "--port", port, "--number", number, "--path", path, "--field",
             field]
    for name, value in options.items():
        words += [f"--{name}", value]
    rate = float(options.get("rate", 0))
    return json.loads(run(lab, words, number / rate if rate else 600))
