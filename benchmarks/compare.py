#!/usr/bin/env python3
"""All-reduce of several libraries beside each other: float32 sum over loopback, in one run.

    compare.py --bin BUILD/benchmarks [--world 2 4] [--sizes 4 1K 64K 1M 64M 256M] [--rounds 7]

The machine drifts, so the libraries take turns (A B C, B C A, ...) and every figure that compares two of
them is the median over rounds of their ratio within a round. All processes of all libraries live through the
run, asleep on a socket until it is their turn (common/conducted.hpp tells the protocol). Whatever is not
built or installed is left out with a line saying so.
"""

import argparse
import contextlib
import datetime
import importlib.util
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from common.members import Members  # noqa: E402

KIB, MIB = 1 << 10, 1 << 20


def pccl_with(shared_memory):
    def commands(binaries, world, _scratch):
        program = binaries / "all_reduce_perf"
        if not program.exists():
            return f"{program} is not built"
        setting = f"PCCL_SHM={shared_memory:d}"
        return [["env", setting, str(program), "--world", str(world), "--conducted", "CONTROL"]], world

    return commands


def open_mpi_over(transports):
    def commands(binaries, world, _scratch):
        program, mpirun = binaries / "mpi_all_reduce", shutil.which("mpirun")
        if not program.exists():
            return "mpi_all_reduce is not built (libopenmpi-dev)"
        if not mpirun:
            return "no mpirun (openmpi-bin)"
        options = f"--allow-run-as-root --oversubscribe --bind-to none --mca btl {transports} --mca pml ob1"
        options += " --mca btl_tcp_if_include lo --mca oob_tcp_if_include lo"
        return [[mpirun, "-np", str(world), *options.split(), str(program), "CONTROL"]], world

    return commands


def gloo(binaries, world, scratch):
    program = binaries / "gloo_all_reduce"
    if not program.exists():
        return "gloo_all_reduce is not built (libgloo-dev)"
    store = tempfile.mkdtemp(dir=scratch)
    ranks = range(world)
    return [[str(program), str(r), str(world), store, "CONTROL"] for r in ranks], world


def torch_gloo(_binaries, world, scratch):
    if importlib.util.find_spec("torch") is None:
        return "this Python has no torch"
    script, store = str(HERE / "gloo_all_reduce.py"), os.path.join(tempfile.mkdtemp(dir=scratch), "s")
    ranks = range(world)
    return [[sys.executable, script, str(r), str(world), store, "CONTROL"] for r in ranks], world


def bare_ring(binaries, world, _scratch):
    return [[str(binaries / "bare_ring"), str(world), "CONTROL"]], world


def bare_star(binaries, world, _scratch):
    return [[str(binaries / "bare_star"), str(world), "CONTROL"]], world + 1


LIBRARIES = {
    "pccl": pccl_with(shared_memory=False),
    "pccl-shm": pccl_with(shared_memory=True),
    "open-mpi": open_mpi_over("tcp,self"),
    "open-mpi-shm": open_mpi_over("vader,self"),
    "gloo": gloo,
    "torch-gloo": torch_gloo,
    "bare-ring": bare_ring,
    "bare-star": bare_star,
}
STAR_LIMIT = 64 * KIB  # beyond that the bare star says nothing of interest


@contextlib.contextmanager
def started(names, binaries, world):
    libraries = {}
    with tempfile.TemporaryDirectory(prefix="pccl-compare-") as scratch:
        try:
            for name in names:
                start = LIBRARIES[name](binaries, world, scratch)
                if isinstance(start, str):
                    print(f"{name} is left out: {start}", flush=True)
                    continue
                control = f"@pccl-compare-{os.getpid()}-{name}-{world}"
                libraries[name] = Members(name, control, *start,
                                          {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"})
            yield libraries
        finally:
            for library in libraries.values():
                library.close()


def iterations_for(size):
    """Calls per turn, and turns at most: about a tenth of a second a turn, fewer turns when calls are long."""
    if size <= 64 * KIB:
        return 100, 15
    if size <= 4 * MIB:
        return 12, 9
    return (3, 7) if size <= 64 * MIB else (2, 5)


def rotated(items, by):
    return items[by % len(items) :] + items[: by % len(items)]


def measure_size(libraries, size, options):
    """Per (library, variant): the median time of each round; and the wrong elements."""
    iterations, rounds = iterations_for(size)
    rounds = min(rounds, options.rounds)
    contestants = [
        (library, variant)
        for library in libraries.values()
        if library.name != "bare-star" or size <= STAR_LIMIT
        for variant in library.variants
    ]
    times, wrong = {}, 0
    for library, variant in contestants:  # warm up, check, and find variants that are out of the race
        turn = library.measure(size, 2, iterations, variant, options.in_place, True)
        times[library.name, variant] = [statistics.median(turn.times_us)]
        wrong += turn.wrong
        if turn.wrong:
            print(f"{library.name} {variant}: {turn.wrong} wrong elements of {size} bytes")
    fastest = {
        name: min(t[0] for (n, _), t in times.items() if n == name) for name in libraries
        if any(n == name for n, _ in times)
    }
    margin = 2.0 if size <= 4 * MIB else 1.3
    contestants = [
        c for c in contestants if times[c[0].name, c[1]][0] <= margin * fastest[c[0].name]
    ]
    times, all_samples = {(c[0].name, c[1]): [] for c in contestants}, {}
    for round_number in range(rounds):
        for library, variant in rotated(contestants, round_number):
            samples = library.measure(size, 1, iterations, variant, options.in_place).times_us
            times[library.name, variant].append(statistics.median(samples))
            all_samples.setdefault((library.name, variant), []).extend(samples)
    return times, all_samples, wrong


def best_variants(times):
    """Per library the variant with the smallest median, and its times per round."""
    best = {}
    for (name, variant), rounds in times.items():
        if name not in best or statistics.median(rounds) < statistics.median(best[name][1]):
            best[name] = (variant, rounds)
    return best


def paired_ratio(numerator, denominator):
    return statistics.median(a / b for a, b in zip(numerator, denominator))


def p95(samples):
    return sorted(samples)[int(0.95 * (len(samples) - 1) + 0.5)]


def verdicts(size, world, best):
    """The bars of the project's issue that this size and world speak to: (text, ratio, met)."""
    if "pccl" not in best:
        return
    ours = best["pccl"][1]
    gloos = [n for n in ("gloo", "torch-gloo") if n in best]
    others = [n for n in ("open-mpi", *gloos) if n in best]
    if size in (MIB, 16 * MIB, 64 * MIB, 256 * MIB) and others:
        least = 1.0 if size == MIB else 1.3
        speed = min(paired_ratio(best[n][1], ours) for n in others)
        yield f"bandwidth / best of Open MPI and Gloo >= {least}", speed, speed >= least
    if size in (16 * MIB, 64 * MIB, 256 * MIB) and world == 2 and "bare-ring" in best:
        speed = paired_ratio(best["bare-ring"][1], ours)
        yield "bandwidth / bare ring >= 0.85", speed, speed >= 0.85
    if size in (16 * MIB, 64 * MIB, 256 * MIB) and world == 2 and "pccl-shm" in best:
        speed = paired_ratio(ours, best["pccl-shm"][1])
        yield "bandwidth through shared memory / over TCP >= 2.0", speed, speed >= 2.0
        if "open-mpi-shm" in best:
            speed = paired_ratio(best["open-mpi-shm"][1], best["pccl-shm"][1])
            yield "bandwidth through shared memory / Open MPI's >= 1.0", speed, speed >= 1.0
    if size <= 64 * KIB and gloos:
        latency = max(paired_ratio(ours, best[n][1]) for n in gloos)
        yield "latency / best Gloo <= 1.0", latency, latency <= 1.0
    if size <= KIB and world == 2 and "bare-star" in best:
        latency = paired_ratio(ours, best["bare-star"][1])
        yield "latency / bare star <= 1.5", latency, latency <= 1.5


def shown_size(size):
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size} B"


def show_header(libraries):
    print(f"{'size':>9}", *(f"{name:>27}" for name in libraries), sep="  ")
    print(f"{'':>9}", *(f"{'us   busbw':>18}{'variant':>9}" for _ in libraries), sep="  ", flush=True)


SHORT = {"halving-doubling": "halv-dbl", "ring-chunked": "chunked", "allreduce": "default"}


def show_row(size, world, libraries, best):
    cells = [f"{shown_size(size):>9}"]
    for name in libraries:
        if name not in best:
            cells.append(f"{'':>27}")
            continue
        variant, rounds = best[name]
        time = statistics.median(rounds)
        busbw = size / time / 1e3 * 2 * (world - 1) / world
        cells.append(f"{time:>11.1f} {busbw:>6.3f}{SHORT.get(variant, variant):>9}")
    print("  ".join(cells), flush=True)


def run_fields():
    commit = subprocess.run(
        ["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True
    ).stdout.strip()
    models = [
        line.split(":", 1)[1].strip()
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "commit": commit,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": f"{(models or ['unknown CPU'])[0]}, {os.cpu_count()} cores, "
        f"Linux {os.uname().release}",
    }


def result_line(size, world, options, best, samples, marks):
    libraries = {
        name: {
            "variant": variant,
            "median_us": round(statistics.median(rounds), 2),
            "p95_us": round(p95(samples[name, variant]), 2),
            "busbw": round(
                size / statistics.median(rounds) / 1e3 * 2 * (world - 1) / world, 4
            ),
        }
        for name, (variant, rounds) in best.items()
    }
    return {
        "benchmark": "compare",
        "world": world,
        "bytes": size,
        "in_place": options.in_place,
        "libraries": libraries,
        "ratios": {text: round(ratio, 3) for text, ratio, _ in marks},
    }


def compare(world, options):
    print(f"\nworld {world}, float32 sum, {'in place' if options.in_place else 'out of place'} "
          "(Gloo: always in place); busbw in GB/s", flush=True)
    all_marks, wrong = [], 0
    with started(options.libraries, options.bin, world) as libraries:
        show_header(libraries)
        for size in options.sizes:
            times, samples, mistakes = measure_size(libraries, size, options)
            wrong += mistakes
            best = best_variants(times)
            show_row(size, world, libraries, best)
            marks = list(verdicts(size, world, best))
            all_marks += [(size, *mark) for mark in marks]
            if options.json != "-":
                with open(options.json, "a") as out:
                    line = run_fields() | result_line(size, world, options, best, samples, marks)
                    print(json.dumps(line), file=out)
    for size, text, ratio, met in all_marks:
        print(f"  {'met   ' if met else 'MISSED'}  {shown_size(size):>9}  {ratio:6.2f}   {text}")
    return wrong == 0 and all(met for *_, met in all_marks)


def bytes_of(text):
    units = {"K": KIB, "M": MIB, "G": 1 << 30}
    return int(text[:-1]) * units[text[-1].upper()] if text[-1].upper() in units else int(text)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--bin", type=pathlib.Path, required=True, help="folder of the built benchmarks")
    add("--world", type=int, nargs="+", default=[2, 4])
    add("--sizes", type=bytes_of, nargs="+",
        default=[4, KIB, 64 * KIB, MIB, 16 * MIB, 64 * MIB, 256 * MIB])
    add("--rounds", type=int, default=15, help="turns per library and size, at most")
    add("--libraries", nargs="+", choices=LIBRARIES, default=list(LIBRARIES))
    add("--in-place", action="store_true")
    add("--json", default="-", help="file to append one line per size to; '-': none")
    options = parser.parse_args()
    options.bin = options.bin.resolve()
    good = all([compare(world, options) for world in options.world])
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
