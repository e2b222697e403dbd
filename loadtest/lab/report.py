"""Where the figures go: raw numbers, tables, plots."""
import datetime
import json
import pathlib
import subprocess

from lab import machine, plots, tables
from lab.measure import say
from lab.processes import ROOT
from lab.summary import Summary

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
README = ROOT / "loadtest" / "README.md"


def revision():
    done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"],
                          capture_output=True, text=True)
    return done.stdout.strip() or "an unknown revision"


def describe_run(options):
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"date": now.strftime("%Y-%m-%d"), "time": now.strftime("%H%M"), "revision": revision(),
            "quick": options.quick, "machine": machine.describe()}


def replace_tables(text):
    """Between the markers of loadtest/README.md."""
    readme = README.read_text()
    if BEGIN not in readme or END not in readme:
        raise RuntimeError(f"{README} has no markers")
    before, rest = readme.split(BEGIN, 1)
    README.write_text(before + BEGIN + "\n" + text + END + rest.split(END, 1)[1])


def shortened(value):
    """Floats to four digits behind the point; more is noise."""
    if isinstance(value, dict):
        return {key: shortened(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shortened(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value


def write_raw(run, path):
    """JSON with a row on each line."""
    lines = []
    for key, value in shortened(run).items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            rows = ",\n".join(json.dumps(one, separators=(",", ":")) for one in value)
            lines.append(f'"{key}":[\n{rows}]')
        else:
            lines.append(f'"{key}":{json.dumps(value, separators=(",", ":"))}')
    path.write_text("{" + ",\n".join(lines) + "}\n")


def write(run, options):
    folder = options.output or (ROOT / "loadtest" if options.whole else ROOT / "build" / "loadtest")
    folder = pathlib.Path(folder).resolve()
    summary = Summary(run["rows"])
    (folder / "results").mkdir(parents=True, exist_ok=True)
    raw = folder / "results" / f"{run['date']}{'' if options.whole else '-' + run['time']}.json"
    write_raw(run, raw)
    drawn = plots.draw(summary, run["purges"], folder / "plots")
    if not drawn:
        say("no plots: gnuplot is missing, or there is too little to draw")
    text = tables.whole(run, summary, drawn)
    if options.whole and not options.output:
        replace_tables(text)
    else:
        (folder / "report.md").write_text(text)
    print(text)
    say(f"raw numbers: {raw}")
