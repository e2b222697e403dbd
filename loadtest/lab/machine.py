"""What a figure was measured on, and who else was busy there."""
import os
import pathlib
import re
import resource
import subprocess
import time

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
VERSIONS = {
    "nginx": (["nginx", "-v"], r"nginx/([\d.]+)"),
    "varnish": (["varnishd", "-V"], r"varnish-([\d.]+)"),
    "redis": (["redis-server", "--version"], r"v=([\d.]+)"),
    "wrk": (["wrk", "-v"], r"wrk debian/([\d.]+)|wrk ([\d.]+)"),
    "h2load": (["h2load", "--version"], r"nghttp2/([\d.]+)"),
    "openssl": (["openssl", "version"], r"OpenSSL ([\d.]+\w*)"),
    "gnuplot": (["gnuplot", "--version"], r"gnuplot ([\d.]+)"),
}
PACKAGES = ("libh2o-evloop0.13", "libnginx-mod-http-lua", "libnginx-mod-http-srcache-filter",
            "lua-nginx-redis")


def first_match(pattern, text):
    match = re.search(pattern, text, re.M)
    return next((group for group in match.groups() if group), None) if match else None


def words_of(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True,
                              env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
    except OSError:
        return ""
    return done.stdout + done.stderr


def versions():
    found = {name: first_match(pattern, words_of(command))
             for name, (command, pattern) in VERSIONS.items()}
    for package in PACKAGES:
        found[package] = words_of(["dpkg-query", "-W", "-f", "${Version}", package]).strip()
        if " " in found[package]:
            found[package] = None
    return {name: version for name, version in found.items() if version}


def describe():
    cpu = first_match(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text())
    system = first_match(r'^PRETTY_NAME="?(.*?)"?$', pathlib.Path("/etc/os-release").read_text())
    memory = int(first_match(r"^MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text()))
    return {"cpu": cpu or "unknown", "cores": os.cpu_count(), "memory_gb": round(memory / 1048576),
            "kernel": os.uname().release, "system": system,
            "virtual": "hypervisor" in pathlib.Path("/proc/cpuinfo").read_text(),
            "load_average": os.getloadavg()[0], "versions": versions()}


def busy_seconds():
    """(clock, CPU seconds of the whole machine with what its host took, of load generators)."""
    fields = [int(word) for word in
              pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _wait, irq, softirq, steal = fields
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (time.monotonic(), (user + nice + system + irq + softirq + steal) * TICK_S,
            children.ru_utime + children.ru_stime)


def others_busy(before, ours_s):
    """The part of the machine that programs which are not measured took since `before`."""
    now = busy_seconds()
    foreign_s = (now[1] - before[1]) - (now[2] - before[2]) - ours_s
    return max(foreign_s, 0) / ((now[0] - before[0]) * os.cpu_count())
