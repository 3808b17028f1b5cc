# SPDX-License-Identifier: Apache-2.0
"""Draws what data.py read, as SVG. On no background and in middle tones, so that it reads on white and on black; the same
file for the same results, byte for byte."""

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402  the backend comes first
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator  # noqa: E402

import data  # noqa: E402

INK = "#7b8490"  # 3.8:1 on white, 4.9:1 on GitHub's black
FAIRLEAD, VPP, KATRAN = "#1f9d8a", "#d08020", "#b0609c"
STEP_COLOURS = {
    "parse": "#4a86c5", "hash": "#7fb2dd", "service": "#8f7fc9", "connection": "#1f9d8a", "select": "#86c5a0",
    "encapsulate": "#d99a3c", "count": "#c9706a", "pipeline": "#98a1ac", "other": "#b9bfc7",
}
LEAST_SEEN = 0.5  # nanoseconds or instructions: below, a step is in its bar but not in the legend
WIDTH, HEIGHT = 8.2, 4.6  # inches, of 72 points

plt.rcParams.update({
    "svg.hashsalt": "fairlead", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 9.5, "text.color": INK,
    "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.linewidth": 0.8,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": INK, "grid.alpha": 0.2, "grid.linewidth": 0.8,
    "axes.axisbelow": True, "lines.linewidth": 1.8, "lines.markersize": 5, "lines.solid_capstyle": "round",
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
})


def save(figure, path):
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": "Fairlead, perf/plot"})
    plt.close(figure)


def write_head(figure, title, lines):
    """The title and small lines below it, from the top left corner. Returns what they leave of the height, as a share."""
    height = figure.get_figheight() * 72
    figure.text(0.018, 1 - 10 / height, title, size=13, weight="bold", va="top")
    for row, line in enumerate(lines):
        figure.text(0.018, 1 - (31 + 13.5 * row) / height, line, size=8.5, va="top")
    return 1 - (31 + 13.5 * len(lines) + 12) / height


def quantity(value):
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def settle_log_axis(axis, ticks, show=quantity):
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: show(value)))
    axis.set_minor_locator(NullLocator())


def label_ends(axes, labels, gap_points=12.5):
    """Names lines at their right ends: (x, y, text, colour, weight). Those that would overlap are moved apart."""
    axes.figure.canvas.draw()
    to_pixels, scale = axes.transData.transform, axes.figure.dpi / 72
    gap = gap_points * scale
    placed = []
    for x, y, text, colour, weight in sorted(labels, key=lambda label: label[1]):
        pixel_x, pixel_y = to_pixels((x, y))
        lines = text.count("\n") + 1
        bottom = pixel_y - lines * gap / 2
        if placed and bottom < placed[-1][1]:
            bottom = placed[-1][1]
        placed.append((pixel_x, bottom + lines * gap, bottom, text, colour, weight))
    for pixel_x, top, bottom, text, colour, weight in placed:
        x, y = axes.transAxes.inverted().transform((pixel_x + 8 * scale, (top + bottom) / 2))
        axes.text(x, y, text, transform=axes.transAxes, color=colour, weight=weight, va="center", ha="left", size=9, linespacing=1.25)


def conditions(chart, *names):
    """What a chart's runs had in common, in words."""
    words = {
        "services": lambda value: f"{value:,} services" if value != 1 else "1 service",
        "backends": lambda value: f"{value:,} backends",
        "forwarding": lambda value: f"{value.upper()}",
        "flows": lambda value: f"{value:,} flows",
        "size": lambda value: f"frames of {value} bytes",
        "new_flows_percent": lambda value: f"{value:g} % new flows",
        "updates_per_second": lambda value: f"{value:g} updates a second" if value else None,
        "workers": lambda value: "1 core" if value == 1 else f"{value} cores",
    }
    said = [words[name](chart.parameters[name]) for name in names if chart.parameters.get(name) is not None]
    return ", ".join(phrase for phrase in said if phrase)


def setting(chart):
    """Where and how it was measured."""
    rounds = f"{chart.seconds:g} s in {chart.rounds} rounds, medians" if chart.rounds and chart.seconds else None
    return "; ".join(phrase for phrase in (chart.machine, chart.parameters["build"], rounds) if phrase)


def draw_flows(chart, path):
    figure, axes = plt.subplots(figsize=(WIDTH, HEIGHT))
    top = write_head(figure, "Nanoseconds a packet, by open flows", [
        conditions(chart, "workers", "size", "forwarding", "services", "backends", "new_flows_percent", "updates_per_second"),
        setting(chart),
        "VPP, Katran: not of this run nor machine, but of a Zen 4 virtual machine (2.6 GHz), net: the making of the packets taken off.",
        "Fairlead, net: less io, the same packets sent on as they came."])
    figure.subplots_adjust(left=0.095, right=0.765, top=top, bottom=0.115)
    axes.set_xscale("log")
    axes.set_yscale("log")
    labels, heights, widths = [], [], []

    def draw(points, text, colour, weight="normal", **style):
        xs, ys = zip(*points)
        axes.plot(xs, ys, color=colour, **style)
        labels.append((xs[-1], ys[-1], text, colour, weight))
        heights.extend(ys)
        widths.extend(xs)

    for name, colour in (("Katran (XDP, IPIP)", KATRAN), ("VPP lb plugin (GRE)", VPP)):
        draw(list(zip(data.REFERENCE_FLOWS, data.REFERENCES[name])), name, colour, marker="o", linewidth=1.5, markersize=3.8)
    many = sum(line.name in ("warm", "cold") for line in chart.series) > 1
    for line in chart.series:
        if line.name == "macswap":
            draw(line.points, "macswap, gross", INK, linewidth=1.1, linestyle=(0, (1, 2)))
        elif line.name == "gross":
            draw(line.points, f"Fairlead, {'warm, ' if many else ''}gross", FAIRLEAD, linewidth=1.1, linestyle=(0, (1, 2)))
        else:
            draw(line.points, f"Fairlead{', headers ' + line.name if many else ', net'}", FAIRLEAD, "bold", marker="o", linewidth=2.4,
                 linestyle="-" if line.name == "warm" else (0, (5, 2)))
    axes.set_ylim(min(heights) / 1.35, max(heights) * 1.25)
    axes.set_xlim(min(widths) / 1.6, max(widths) * 1.15)
    settle_log_axis(axes.xaxis, [10**power for power in range(0, 9)])
    settle_log_axis(axes.yaxis, [mantissa * 10**power for power in range(0, 5) for mantissa in (1, 2, 5)], lambda value: f"{value:,g}")
    axes.set_xlabel("flows")
    axes.set_ylabel("ns a packet")
    axes.grid(axis="x", visible=False)
    axes.tick_params(length=3)
    label_ends(axes, labels)
    save(figure, path)


def draw_sizes(chart, path):
    figure, axes = plt.subplots(figsize=(WIDTH, HEIGHT))
    top = write_head(figure, "Millions of packets a second, by frame size", [
        conditions(chart, "workers", "flows", "forwarding", "services", "backends", "new_flows_percent", "updates_per_second"),
        setting(chart),
        "Grey: what a link carries. Fairlead, gross: with writing the packets, in memory, without a NIC. IMIX: 64, 594, 1,518 bytes, 7:4:1."])
    figure.subplots_adjust(left=0.095, right=0.785, top=top, bottom=0.125)
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes = sorted({x for line in chart.series if not line.name.startswith("imix") for x, _ in line.points} | {64, 1518})
    labels, heights = [], []
    dense = [sizes[0] * (sizes[-1] / sizes[0]) ** (step / 100) for step in range(101)]
    for gbit in data.LINK_RATES_GBIT:
        rates = [data.line_rate_mpps(gbit, size) for size in dense]
        axes.plot(dense, rates, color=INK, linewidth=1.2, alpha=0.75)
        labels.append((dense[-1], rates[-1], f"{gbit} GbE", INK, "normal"))
        heights += [rates[0], rates[-1]]
    many = len({line.name for line in chart.series if not line.name.startswith("imix")}) > 1
    for line in chart.series:
        xs, ys = zip(*line.points)
        heights += ys
        if line.name.startswith("imix"):
            axes.plot(xs, ys, linestyle="none", marker="D", markersize=6, color=FAIRLEAD)
            axes.annotate("IMIX", (xs[0], ys[0]), xytext=(0, -9), textcoords="offset points", color=FAIRLEAD, size=8.5, ha="center", va="top")
            continue
        axes.plot(xs, ys, color=FAIRLEAD, marker="o", linewidth=2.4, linestyle="-" if line.name == "warm" else (0, (5, 2)))
        labels.append((xs[-1], ys[-1], f"Fairlead{', headers ' + line.name if many else ''}", FAIRLEAD, "bold"))
    axes.set_ylim(min(heights) / 1.3, max(heights) * 1.25)
    axes.set_xlim(sizes[0] / 1.06, sizes[-1] * 1.04)
    settle_log_axis(axes.xaxis, sizes, lambda value: f"{value:g}")
    settle_log_axis(axes.yaxis, [mantissa * 10**power for power in range(-1, 4) for mantissa in (1, 2, 5)])
    axes.set_xlabel("bytes of a frame, with its CRC")
    axes.set_ylabel("Mpps")
    axes.grid(axis="x", visible=False)
    axes.tick_params(length=3)
    label_ends(axes, labels)
    save(figure, path)


def draw_bars(axes, bars, unit, order, digits):
    """Stacked, the first on top; each part wide enough has its number in it, each bar its sum behind it."""
    longest = max(sum(value for _, value in bar.parts) for bar in bars)
    for row, bar in enumerate(bars):
        left = 0
        for name in order:
            value = sum(value for step, value in bar.parts if data.family(step) == name)
            axes.barh(row, value, left=left, height=0.62, color=STEP_COLOURS[name], edgecolor="none", linewidth=0)
            if value > longest * 0.04:
                axes.text(left + value / 2, row, f"{value:,.{digits}f}", ha="center", va="center", size=8, color="white")
            left += value
        axes.text(left + longest * 0.012, row, f"{left:,.{digits}f}", ha="left", va="center", size=9, weight="bold")
    axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
    axes.set_ylim(len(bars) - 0.45, -0.55)
    axes.set_xlim(0, longest * 1.08)
    axes.set_xlabel(unit)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)


def draw_steps(bars, context, instructions, path):
    """Time by step, and below it instructions by step if they were counted."""
    panels = [(bars, "ns a packet, each step by itself", 1)]
    if instructions:
        panels.append((instructions, "instructions a packet, in the whole path", 0))
    rows = sum(len(some) for some, _, _ in panels)
    bar_height, panel_room, head = 0.36, 0.62, 1.2
    height = head + rows * bar_height + len(panels) * panel_room
    figure, all_axes = plt.subplots(len(panels), 1, figsize=(WIDTH, height), squeeze=False)
    write_head(figure, "What a packet costs, step by step", [step_conditions(context),
               "A step alone keeps what the steps before and after it would push out or overlap: the sum is no packet's time."])
    largest = {name: max(sum(value for step, value in bar.parts if data.family(step) == name) for some, _, _ in panels for bar in some)
               for name in STEP_COLOURS}
    order = [name for name in STEP_COLOURS if largest[name] > 0]
    top = head
    for (some, unit, digits), (axes,) in zip(panels, all_axes):
        room = len(some) * bar_height
        axes.set_position([0.225, 1 - (top + room) / height, 0.755, room / height])
        draw_bars(axes, some, unit, order, digits)
        top += room + panel_room
    names = {"service": "service lookup", "connection": "connection table", "select": "row", "pipeline": "between the steps"}
    seen = [name for name in order if largest[name] >= LEAST_SEEN]
    handles = [plt.Rectangle((0, 0), 1, 1, color=STEP_COLOURS[name]) for name in seen]
    figure.legend(handles, [names.get(name, name) for name in seen], loc="upper left", bbox_to_anchor=(0.012, 1 - 0.83 / height),
                  ncol=len(seen), frameon=False, handlelength=0.9, handleheight=0.9, columnspacing=1.1, handletextpad=0.45, fontsize=8.5,
                  borderaxespad=0, borderpad=0.3)
    save(figure, path)


def step_conditions(context):
    """Of Google Benchmark's context; `cpu` is there if --benchmark_context=cpu=NAME said it."""
    words = [context["cpu"]] if context.get("cpu") else []
    if context.get("num_cpus"):
        words.append(f"{context['num_cpus']} cores" + (f" at {context['mhz_per_cpu'] / 1000:.1f} GHz" if context.get("mhz_per_cpu") else ""))
    for cache in context.get("caches", []):
        if cache.get("level", 0) >= 2 and cache.get("size"):
            size = cache["size"] / 1024
            words.append(f"L{cache['level']} {size / 1024:g} MiB" if size >= 1024 else f"L{cache['level']} {size:g} KiB")
    return "IPv4 TCP to GUE, in bursts of 32" + ("; " + ", ".join(words) if words else "")
