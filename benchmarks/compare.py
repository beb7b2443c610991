#!/usr/bin/env python3
"""All-reduce of several libraries beside each other: float32 sum over loopback, in one run.

    compare.py --bin BUILD/benchmarks [--world 2 4] [--sizes 4 1K 64M] [--rounds 7]

The machine drifts, so the libraries take turns (A B C, B C A, ...) and every figure that compares two of
them is the median over rounds of their ratio within a round. All processes of all libraries live through the
run, asleep on a socket until it is their turn (common/conducted.hpp tells the protocol). Whatever is not
built or installed is left out with a line saying so.
"""

import argparse
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from common import members, results  # noqa: E402
from comparison import bars, table  # noqa: E402
from comparison.libraries import LIBRARIES, started  # noqa: E402
from comparison.rounds import measure_size  # noqa: E402
from comparison.sizes import MIB, bytes_of  # noqa: E402

SIZES = "4 64 1K 4K 16K 64K 256K 1M 16M 64M 256M"
LARGEST_OF_MANY = 1 * MIB  # by itself in worlds larger than four: every library keeps its buffers
CEILING = HERE.parents[1] / "shared" / "ceiling" / "tcp_all_reduce_ceiling.cpp"


def sizes_for(world, options):
    if options.sizes:
        return options.sizes
    return [size for size in map(bytes_of, SIZES.split()) if world <= 4 or size <= LARGEST_OF_MANY]


def compare(world, options):
    """Whether all bars are met and nothing is wrong."""
    marks, wrong = [], 0
    with started(options.libraries, options.bin, options.ceiling, world) as taking_part:
        if not taking_part:
            sys.exit("nothing to measure")
        table.show_header(world, options.in_place)
        for size in sizes_for(world, options):
            best, mistakes = measure_size(taking_part, size, options.rounds, options.in_place)
            wrong += mistakes
            table.show_size(size, world, best)
            of_size = list(bars.marks(size, world, best))
            marks += [(size, mark) for mark in of_size]
            results.record(options.json, table.result_line(size, world, options.in_place, best, of_size))
    table.show_marks(marks)
    return wrong == 0 and all(mark.met for _, mark in marks)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--bin", type=pathlib.Path, required=True, help="folder of the built benchmarks")
    add("--world", type=int, nargs="+", default=[2, 4, 8])
    add("--sizes", type=bytes_of, nargs="+", help=f"default: {SIZES}; worlds beyond 4: up to 1M")
    add("--rounds", type=int, default=15, help="turns per library and size, at most")
    add("--libraries", nargs="+", choices=LIBRARIES, default=list(LIBRARIES), metavar="NAME",
        help="some of: " + " ".join(LIBRARIES))
    add("--ceiling", type=pathlib.Path, default=CEILING, help="source or binary; default: %(default)s")
    add("--in-place", action="store_true")
    add("--json", default="-", help="file to append one line per size to; '-': none")
    options = parser.parse_args()
    options.bin = options.bin.resolve()
    members.leave_scopes_when_terminated()
    good = all([compare(world, options) for world in options.world])
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
