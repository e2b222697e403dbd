"""SVG by gnuplot: cost by contender, latency by rate of arrival, cost of a purge."""
import os
import shutil
import subprocess

# Okabe and Ito: told apart with every kind of colour vision.
BLUE, ORANGE, GREEN, RED, SKY, PINK, BLACK, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000", "#999999")
# In lines cachegate is drawn through, the others are dashed: colour, shape of points, dashes.
LINES = {"nginx-lua": (ORANGE, 9, 2), "nginx-proxy-cache": (RED, 11, 2), "varnish": (GREEN, 13, 2),
         "nginx-srcache": (PINK, 8, 2), "ceiling": (GREY, 6, 3), "redis": (BLUE, 7, 1),
         "near": (SKY, 5, 1), "pushed": (PINK, 15, 1), "embedded": (BLACK, 4, 1)}
PANELS = [("hit-1k", "1 KB hit, HTTP/1.1"), ("hit-100k", "100 KB hit, HTTP/1.1"),
          ("hit-1k-h2c", "1 KB hit, HTTP/2"), ("miss", "miss, 64 connections")]
OURS = ("redis", "near", "pushed", "embedded")
FORMATS = {"svg": "svg size {size} dynamic font 'DejaVu Sans,13' background '#ffffff'",
           "png": "pngcairo size {size} font 'DejaVu Sans,11' background '#ffffff'"}


def gnuplot(script):
    done = subprocess.run(["gnuplot"], input=script, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"gnuplot: {done.stderr[-500:]}")


def head(path, size):
    kind = FORMATS[path.rsplit(".", 1)[1]].format(size=size)
    return f"set terminal {kind}\nset output '{path}'\nset encoding utf8\n"


def line(name):
    """How a contender's line looks, in all plots."""
    colour, point, dashes = LINES.get(name) or LINES.get(name.rsplit("-", 1)[-1], (GREY, 1, 4))
    return f"linespoints lw 2 pt {point} ps 0.9 dt {dashes} lc rgb '{colour}'"


def data(name, lines):
    return f"${name} << END\n" + "".join(line + "\n" for line in lines) + "END\n"


def bars(index, title, cells, titled):
    """One panel: ours, the others' and Redis's part, and the sum as a number."""
    block = data(f"d{index}", [
        f'"{name}" {cell.gateway_us:.2f} {cell.redis_us:.2f} {int(name.rsplit("-", 1)[-1] in OURS)}'
        for name, cell in cells])
    top = max(cell.gateway_us + cell.redis_us for _, cell in cells) * 1.15
    columns = [("($4==1?$2/2:NaN):0:($2/2):(0.36)", BLUE, "cachegate"),
               ("($4==0?$2/2:NaN):0:($2/2):(0.36)", GREY, "what it is compared with"),
               ("($2+$3/2):0:($3/2):(0.36)", ORANGE, "Redis")]
    parts = [f"$d{index} using {words} with boxxyerror fc rgb '{colour}' "
             + (f"title '{name}'" if titled else "notitle") for words, colour, name in columns]
    parts.append(f"$d{index} using ($2+$3):0:(sprintf('%.1f',$2+$3)) with labels left "
                 "offset 0.4,0 notitle")
    parts.append(f"$d{index} using (0):0:ytic(1) with points ps 0 notitle")
    return block, (f"set title '{title}'\nset xrange [0:{top}]\n"
                   f"set yrange [-0.6:{len(cells) - 0.4}]\nplot {', '.join(parts)}\n")


def cpu(summary, path):
    """Bars: CPU per request of gateway and Redis, the cheapest on top."""
    panels = [(one, title) for one, title in PANELS if one in summary.cells]
    if not panels:
        return False
    rows, columns = (len(panels) + 1) // 2, min(len(panels), 2)
    blocks = drawn = ""
    for index, (scenario, title) in enumerate(panels):
        cells = sorted(((name, cell) for name, cell in summary.cells[scenario].items()
                        if name != "direct"), key=lambda one: -one[1].gateway_us - one[1].redis_us)
        block, panel = bars(index, title, cells, index == 0)
        blocks, drawn = blocks + block, drawn + panel
    height = 350 * rows + 60
    gnuplot(head(path, f"{560 * columns},{height}") + blocks
            + f"set multiplot layout {rows},{columns} margins 0.16,0.98,{68 / height},{1 - 85 / height} "
            f"spacing 0.19,{125 / height}\nset style fill solid border -1\nset border 1\n"
            "set tics nomirror out\nset ytics scale 0\nset grid xtics lc rgb '#dddddd'\n"
            "set xlabel 'CPU, µs per request (less is better)'\n"
            "set key at screen 0.5,0.97 center vertical maxrows 1\n" + drawn + "unset multiplot\n")
    return True


def latency(summary, path):
    """Lines: p50 and p99 over the rate of arrival. A line ends where it does not keep up."""
    present = summary.rates()
    contenders = summary.contenders(present)
    if len(present) < 2:
        return False
    blocks, rates = "", [int(one[5:]) for one in present]
    for index, contender in enumerate(contenders):
        lines = []
        for scenario in present:
            cell = summary.cell(scenario, contender)
            if cell and not any("keep up" in words for words in cell.complaints):
                lines.append(f"{scenario[5:]} {cell.p50_us / 1000} {cell.p99_us / 1000}")
        blocks += data(f"d{index}", lines or ["1 NaN NaN"])
    drawn = ""
    for column, title in ((2, "p50: half of the requests are faster"),
                          (3, "p99: 99 of 100 requests are faster")):
        curves = ", ".join(f"$d{index} using 1:{column} with {line(name)} "
                           + (f"title '{name}'" if column == 2 else "notitle")
                           for index, name in enumerate(contenders))
        drawn += f"set title '{title}'\nset ylabel 'latency, ms'\nplot {curves}\n"
    gnuplot(head(path, "1120,520") + blocks
            + "set multiplot layout 1,2 margins 0.09,0.97,0.13,0.76 spacing 0.1\nset logscale xy\n"
            "set xlabel 'arrivals per second (1 KB hits, open loop)'\n"
            "set grid lc rgb '#dddddd'\nset tics nomirror out\nset border 3\n"
            "set key at screen 0.5,0.98 center top vertical maxrows 3\n"
            f"set xrange [{min(rates) * 0.85}:{max(rates) * 1.15}]\n"
            f"set xtics ({', '.join(str(rate) for rate in rates)})\n" + drawn + "unset multiplot\n")
    return True


def purge(rows, path):
    """Lines: how long the write that forgets N entries takes."""
    rows = [row for row in rows if "failed" not in row]
    sizes = sorted({row["entries"] for row in rows})
    if len(sizes) < 2:
        return False
    blocks, curves = "", []
    for index, name in enumerate(sorted({row["contender"] for row in rows})):
        by_size = {}
        for row in rows:
            if row["contender"] == name:
                by_size.setdefault(row["entries"], []).append(row["first_us"] / 1000)
        blocks += data(f"d{index}", [f"{size} {sorted(values)[len(values) // 2]}"
                                     for size, values in sorted(by_size.items())])
        curves.append(f"$d{index} using 1:2 with {line(name)} title '{name}'")
    gnuplot(head(path, "720,420") + blocks + "set logscale xy\nset format x '10^{%L}'\n"
            f"set xrange [{sizes[0] * 0.7}:{sizes[-1] * 1.4}]\n"
            "set xlabel 'stored answers that one write makes wrong'\n"
            "set ylabel 'time of that write, ms'\nset grid lc rgb '#dddddd'\nset tics nomirror out\n"
            "set border 3\nset key top left Left reverse\nplot " + ", ".join(curves) + "\n")
    return True


def draw(summary, purges, folder, kind="svg"):
    """Returns the names of the files that were drawn."""
    if shutil.which("gnuplot") is None:
        return []
    os.makedirs(folder, exist_ok=True)
    jobs = [("cpu", lambda path: cpu(summary, path)), ("latency", lambda path: latency(summary, path)),
            ("purge", lambda path: purge(purges, path))]
    return [f"{name}.{kind}" for name, job in jobs if job(os.path.join(folder, f"{name}.{kind}"))]
