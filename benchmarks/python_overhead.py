#!/usr/bin/env python3
"""What an all-reduce costs more in Python than in C: all_reduce_perf and the same calls through `pccl`, in turns.

    python_overhead.py --build build/release

Two peers on this machine, float32 sum, in place; the time is the median over one peer's calls.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from common import results  # noqa: E402

SIZES = {4: 4000, 64 << 20: 30}  # bytes: timed calls
IN_PLACE_TIME = 10  # column of all_reduce_perf, microseconds


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="where everything was built")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", default="-", help="append a line to this file")
    parser.add_argument("--peer", metavar="ADDRESS", help=argparse.SUPPRESS)
    parser.add_argument("--bytes", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def peer(address, size):
    """Prints its median in microseconds."""
    import pccl

    values = _tensor(size)
    communicator = pccl.Communicator(address)
    communicator.connect()
    while communicator.get_attribute(pccl.Attribute.LOCAL_WORLD_SIZE) < 2:
        communicator.update_topology()
    times = []
    for call in range(SIZES[size] + SIZES[size] // 10):
        begin = time.perf_counter()
        communicator.all_reduce(values, values, op=pccl.ReduceOp.SUM)
        if call >= SIZES[size] // 10:
            times.append(time.perf_counter() - begin)
    print(statistics.median(times) * 1e6, flush=True)


def _tensor(size):
    import torch

    return torch.zeros(size // 4)  # whose sums stay what they are


def through_python(build, size):
    import pccl  # noqa: F401  (fails early where it is not built)

    master, address = _master()
    command = [sys.executable, __file__, "--build", str(build), "--peer", address, "--bytes", str(size)]
    peers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in peers]
    master.interrupt()
    return float(outputs[0])


def _master():
    import socket

    import pccl

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    master = pccl.MasterNode(address)
    master.run()
    return master, address


def through_c(build, size):
    command = [str(build / "benchmarks" / "all_reduce_perf"), "-n", "2", "-b", str(size), "-e", str(size)]
    command += ["--iters", str(SIZES[size]), "--no-check", "--in-place", "--json", "-"]
    for line in subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.splitlines():
        fields = line.split()
        if fields and fields[0] == str(size):
            return float(fields[IN_PLACE_TIME])
    sys.exit("all_reduce_perf has printed no row")


def main():
    arguments = options()
    build = arguments.build.resolve()
    sys.path.insert(0, str(build / "bindings" / "python"))
    os.environ["PYTHONPATH"] = str(build / "bindings" / "python")
    os.environ.setdefault("PCCL_MASTER_GRACE", "0")
    if arguments.peer:
        return peer(arguments.peer, arguments.bytes)
    for size in SIZES:
        c, python = [], []
        for turn in range(arguments.rounds):
            for side in ((c, through_c), (python, through_python))[:: 1 if turn % 2 else -1]:
                side[0].append(side[1](build, size))
        more = statistics.median(p - q for p, q in zip(python, c))
        ratio = statistics.median(p / q for p, q in zip(python, c))
        print(f"{size:>10} B: C {statistics.median(c):.1f} us, Python {statistics.median(python):.1f} us: {more:+.1f} us, x {ratio:.3f}")
        results.record(
            arguments.json,
            {"benchmark": "python_overhead", "bytes": size, "c_us": c, "python_us": python, "more_us": more, "ratio": ratio},
        )


if __name__ == "__main__":
    main()
