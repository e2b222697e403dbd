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


def new_run(options, labels):
    """What is known before anything was measured; the rest is filled in."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"date": now.strftime("%Y-%m-%d"), "time": now.strftime("%H%M"), "revision": revision(),
            "quick": options.quick, "machine": machine.describe(), "labels": labels,
            "options": {name: getattr(options, name) for name in ("rounds", "seconds", "entries")},
            "left_out": [], "rows": [], "redis": [], "purges": []}


def merged(run, options):
    """With --into: the earlier run with what was repeated in place of what it had."""
    if not options.into:
        return run
    earlier = json.loads(options.into.read_text())
    kept = [row for row in earlier["rows"] if row["scenario"] not in options.only]
    again = {row["contender"] for row in run["purges"]}
    purges = [row for row in earlier["purges"] if row["contender"] not in again] + run["purges"]
    return {**earlier, "rows": kept + run["rows"], "redis": run["redis"] or earlier["redis"],
            "purges": purges,
            "repeated": sorted({*earlier.get("repeated", []), *options.only})}


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


def places(run, options):
    """Where the results go, and the file for the raw numbers."""
    if options.into:
        return options.into.resolve().parent.parent, options.into
    folder = options.output or (ROOT / "loadtest" if options.whole else ROOT / "build" / "loadtest")
    name = run["date"] if options.whole else f"{run['date']}-{run['time']}"
    return pathlib.Path(folder).resolve(), pathlib.Path(folder) / "results" / f"{name}.json"


def write(run, options):
    folder, raw = places(run, options)
    summary = Summary(run["rows"])
    raw.parent.mkdir(parents=True, exist_ok=True)
    write_raw(run, raw)
    drawn = plots.draw(summary, run["purges"], folder / "plots")
    if not drawn:
        say("no plots: gnuplot is missing, or there is too little to draw")
    text = tables.whole(run, summary, drawn)
    if folder == README.parent:
        replace_tables(text)
    else:
        (folder / "report.md").write_text(text)
    print(text)
    say(f"raw numbers: {raw}")
