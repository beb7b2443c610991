#!/usr/bin/env python3
"""Draws what compare.py has measured, a PNG per world: busbw over size, and time over size for the small ones.

    plot.py                       # the newest commit's lines of each world, to docs/images
    plot.py --commit 091664a
"""

import argparse
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from comparison.sizes import KIB, shown  # noqa: E402

try:
    import matplotlib
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
    from PIL import Image
except ImportError as missing:
    sys.exit(f"plot.py needs matplotlib ({missing}): pip install matplotlib")

BLUE, SKY, VERMILION, GREEN, PURPLE, GREY, BLACK = (
    "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#888888", "#222222")
# Colour: whose it is. Dashes: through shared memory. Dots: no library.
STYLES = {
    "pccl": (BLUE, "-"),
    "pccl-8": (SKY, "-"),
    "pccl-shm": (BLUE, "--"),
    "open-mpi": (VERMILION, "-"),
    "open-mpi-shm": (VERMILION, "--"),
    "gloo": (GREEN, "-"),
    "torch-gloo": (PURPLE, "-"),
    "bare-ring": (GREY, ":"),
    "bare-star": (GREY, "-."),
    "ceiling": (BLACK, ":"),
}
BETWEEN_SMALL_AND_LARGE = 256 * KIB
COLOURS_OF_FILE = 48


def commit_of(line):
    return line["commit"].removesuffix("-dirty")


def read(file, commit, in_place):
    """{world: {bytes: the last line}}, of one commit each."""
    lines = [json.loads(text) for text in file.read_text().splitlines() if text]
    lines = [line for line in lines if line["in_place"] == in_place and commit_of(line).startswith(commit or "")]
    worlds = {}
    for world in sorted({line["world"] for line in lines}):
        of_world = sorted((line for line in lines if line["world"] == world), key=lambda line: line["date"])
        newest = commit_of(of_world[-1])
        worlds[world] = {line["bytes"]: line for line in of_world if commit_of(line) == newest}
    return worlds


def draw(lines, value, name, file):
    """`value` of each library over the size; the legend in the order of the lines' right ends."""
    sizes = sorted(lines)
    figure, axes = plt.subplots(figsize=(7.2, 3.8), dpi=110, layout="constrained")
    ends = {}
    for library, (colour, dashes) in STYLES.items():
        points = [(size, lines[size]["libraries"][library][value]) for size in sizes
                  if library in lines[size]["libraries"]]
        if len(points) >= min(2, len(sizes)):
            own = library.startswith("pccl")
            curve, = axes.plot(*zip(*points), dashes, color=colour, marker="o", markersize=3.5,
                               linewidth=2.2 if own else 1.4, zorder=3 if own else 2)
            ends[library] = (*points[-1], curve)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [shown(size) for size in sizes])
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 1.5, 2, 3, 5, 7) if high < 30 * low else (1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    order = sorted(ends, key=lambda library: ends[library][:2], reverse=True)
    axes.legend([ends[library][2] for library in order], order, loc="center left", bbox_to_anchor=(1, 0.5),
                frameon=False, handlelength=3)
    newest = max(lines.values(), key=lambda line: line["date"])
    axes.set_title(f"{name}, world {newest['world']}, float32 sum", loc="left", fontsize=11)
    figure.supxlabel(f"{commit_of(newest)}, {newest['date'][:10]}, {newest['machine']}", fontsize=7, color=GREY)
    figure.savefig(file)
    plt.close(figure)
    with Image.open(file) as image:
        small = image.convert("RGB").quantize(COLOURS_OF_FILE)
    small.save(file, optimize=True)
    print(f"{file}: {commit_of(newest)}, {len(sizes)} sizes, {file.stat().st_size / KIB:.0f} KiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=pathlib.Path, default=HERE / "results" / "compare.jsonl")
    parser.add_argument("--out", type=pathlib.Path, default=HERE.parent / "docs" / "images", help="folder")
    parser.add_argument("--commit", help="the lines of this one; default: the newest of each world")
    parser.add_argument("--in-place", action="store_true", help="the lines of calls in place")
    options = parser.parse_args()
    matplotlib.use("Agg")
    worlds = read(options.results, options.commit, options.in_place)
    if not worlds:
        sys.exit(f"nothing to draw in {options.results}")
    options.out.mkdir(parents=True, exist_ok=True)
    for world, lines in worlds.items():
        for value, name, label, chosen in (
            ("busbw", "busbw", "busbw in GB/s", lambda size: size >= BETWEEN_SMALL_AND_LARGE),
            ("median_us", "time", "Time of a call in µs", lambda size: size <= BETWEEN_SMALL_AND_LARGE),
        ):
            of_value = {size: line for size, line in lines.items() if chosen(size)}
            if of_value:
                draw(of_value, value, label, options.out / f"{name}-world-{world}.png")


if __name__ == "__main__":
    main()
