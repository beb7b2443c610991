"""What is compared, and how its processes are started."""

import contextlib
import dataclasses
import importlib.util
import os
import pathlib
import shutil
import sys
import tempfile
import typing

from comparison.ceiling import Ceiling
from comparison.place import LeftOut, Place
from comparison.sizes import KIB, MIB

HERE = pathlib.Path(__file__).resolve().parents[1]


def pccl_with(shared_memory):
    def start(name, place):
        command = ["env", f"PCCL_SHM={shared_memory:d}", place.program("all_reduce_perf")]
        return place.members(name, [[*command, "--world", str(place.world), "--conducted", "CONTROL"]])

    return start


def open_mpi_over(transports):
    def start(name, place):
        program, mpirun = place.program("mpi_all_reduce", "libopenmpi-dev"), shutil.which("mpirun")
        if not mpirun:
            raise LeftOut("no mpirun (openmpi-bin)")
        options = f"--allow-run-as-root --oversubscribe --bind-to none --mca btl {transports} --mca pml ob1"
        options += " --mca btl_tcp_if_include lo --mca oob_tcp_if_include lo"
        return place.members(name, [[mpirun, "-np", str(place.world), *options.split(), program, "CONTROL"]])

    return start


def gloo(name, place):
    program, store = place.program("gloo_all_reduce", "libgloo-dev"), tempfile.mkdtemp(dir=place.scratch)
    ranks = range(place.world)
    return place.members(name, [[program, str(r), str(place.world), store, "CONTROL"] for r in ranks])


def torch_gloo(name, place):
    if importlib.util.find_spec("torch") is None:
        raise LeftOut("this Python has no torch")
    script, store = str(HERE / "gloo_all_reduce.py"), os.path.join(tempfile.mkdtemp(dir=place.scratch), "s")
    ranks = range(place.world)
    return place.members(name, [[sys.executable, script, str(r), str(place.world), store, "CONTROL"] for r in ranks])


def bare_ring(name, place):
    return place.members(name, [[place.program("bare_ring"), str(place.world), "CONTROL"]])


def bare_star(name, place):
    return place.members(name, [[place.program("bare_star"), str(place.world), "CONTROL"]], place.world + 1)


def ceiling(name, place):
    if place.world != 2:
        raise LeftOut("it has two ranks")
    return Ceiling(name, place.ceiling, place.scratch)


@dataclasses.dataclass(frozen=True)
class Library:
    start: typing.Callable  # (name, place) to Members, or what does as they do; raises LeftOut
    smallest: int = 0  # sizes beyond these say nothing of interest
    largest: float = float("inf")
    calls_at_once: int = 1

    def variants(self, members):
        return members.variants if self.calls_at_once == 1 else [str(self.calls_at_once)]

    def bytes_of(self, size):
        """Calls at once share a large tensor; of small ones each has its own."""
        return size if size > 64 * KIB else size * self.calls_at_once


pccl_over_tcp = pccl_with(shared_memory=False)
LIBRARIES = {
    "pccl": Library(pccl_over_tcp),
    "pccl-8": Library(pccl_over_tcp, calls_at_once=8),
    "pccl-shm": Library(pccl_with(shared_memory=True)),
    "open-mpi": Library(open_mpi_over("tcp,self")),
    "open-mpi-shm": Library(open_mpi_over("vader,self")),
    "gloo": Library(gloo),
    "torch-gloo": Library(torch_gloo),
    "bare-ring": Library(bare_ring),
    "bare-star": Library(bare_star, largest=64 * KIB),
    "ceiling": Library(ceiling, smallest=MIB),
}


@contextlib.contextmanager
def started(names, binaries, ceiling_program, world):
    """{name: members} of those that can be started; a line for each of the others."""
    running, taking_part = {}, {}
    with tempfile.TemporaryDirectory(prefix="pccl-compare-") as scratch:
        place = Place(binaries, scratch, ceiling_program, world)
        try:
            for name in names:
                start = LIBRARIES[name].start
                try:
                    if start not in running:
                        running[start] = start(name, place)
                    taking_part[name] = running[start]
                except LeftOut as why:
                    print(f"{name} is left out: {why}", flush=True)
            yield taking_part
        finally:
            for members in running.values():
                members.close()
