"""The bars of the project that a size and a world speak to."""

import typing

from comparison.rounds import paired_ratio
from comparison.sizes import KIB, MIB

LARGE = (16 * MIB, 64 * MIB, 256 * MIB)


class Mark(typing.NamedTuple):
    text: str
    ratio: float
    met: bool


def at_least(text, ratio, least):
    return Mark(f"{text} >= {least}", ratio, ratio >= least)


def at_most(text, ratio, most):
    return Mark(f"{text} <= {most}", ratio, ratio <= most)


def speed(ours, theirs):
    return paired_ratio(theirs.times_us, ours.times_us)


def marks(size, world, best):
    """`best`: {library: the series of its best variant}."""
    if "pccl" not in best:
        return
    yield from bandwidth(size, best)
    if world == 2:
        yield from beside_bare_loops(size, best)
        yield from shared_memory(size, best)
    yield from latency(size, world, best)
    yield from calls_at_once(size, best)
    yield from cpu_cost(size, best)


def gloos(best):
    return [best[name] for name in ("gloo", "torch-gloo") if name in best]


def bandwidth(size, best):
    others = gloos(best) + [best[name] for name in ("open-mpi",) if name in best]
    if size in (MIB, *LARGE) and others:
        ratio = min(speed(best["pccl"], other) for other in others)
        yield at_least("bandwidth / best of Open MPI and Gloo", ratio, 1.0 if size == MIB else 1.3)


def beside_bare_loops(size, best):
    for name in ("bare-ring", "ceiling"):
        if size in LARGE and name in best:
            yield at_least(f"bandwidth / {name}", speed(best["pccl"], best[name]), 0.85)


def shared_memory(size, best):
    if size not in LARGE or "pccl-shm" not in best:
        return
    yield at_least("bandwidth through shared memory / over TCP", speed(best["pccl-shm"], best["pccl"]), 2.0)
    if "open-mpi-shm" in best:
        ratio = speed(best["pccl-shm"], best["open-mpi-shm"])
        yield at_least("bandwidth through shared memory / Open MPI's", ratio, 1.0)


def latency(size, world, best):
    ours = best["pccl"].times_us
    if size <= 64 * KIB and gloos(best):
        yield at_most("latency / best Gloo", max(paired_ratio(ours, other.times_us) for other in gloos(best)), 1.0)
    if size <= KIB and world == 2 and "bare-star" in best:
        yield at_most("latency / bare star", paired_ratio(ours, best["bare-star"].times_us), 1.5)


def calls_at_once(size, best):
    if "pccl-8" not in best:
        return
    ratio = paired_ratio(best["pccl-8"].times_us, best["pccl"].times_us)
    if size == 4:
        yield Mark("time of 8 calls at once / of one < 2", ratio, ratio < 2)
    if size in (16 * MIB, 64 * MIB):
        yield at_most("time of 8 calls that share the bytes / of one", ratio, 1.0)


def cpu_cost(size, best):
    if size == 64 * MIB and gloos(best):
        ratio = min(paired_ratio(other.cpu_us, best["pccl"].cpu_us) for other in gloos(best))
        yield at_least("bytes per CPU second / Gloo's", ratio, 1.2)
