"""torch.distributed's Gloo backend as a conducted member (common/conducted.hpp).

    gloo_all_reduce.py RANK WORLD STORE_FILE @CONTROL

torch offers one algorithm for all_reduce and reduces in place.
"""

import os
import socket
import sys
import time

os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.distributed as dist


class FloatSum:
    def __init__(self, rank, world):
        self.rank, self.world = rank, world
        self.buffer = torch.empty(0)

    def prepare(self, count):
        if self.buffer.numel() < count:
            self.buffer = torch.empty(count)
        self.tensor = self.buffer[:count]

    def refill(self):
        torch.remainder(torch.arange(self.tensor.numel(), dtype=torch.int32), 61, out=self.tensor)
        self.tensor += self.rank + 1

    def call(self):
        dist.all_reduce(self.tensor)

    def count_wrong(self):
        expected = torch.arange(self.tensor.numel(), dtype=torch.int32).remainder_(61).float()
        expected.mul_(self.world).add_(self.world * (self.world + 1) // 2)
        return int((expected != self.tensor).sum())


def carry_out(order, workload):
    """Wrong elements, microseconds of CPU time beside the calls, and the times of the calls."""
    size, warmup, iterations, _in_place, check = map(int, order[1:6])
    aside = -time.thread_time_ns()
    workload.prepare(size // 4)
    workload.refill()
    aside += time.thread_time_ns()
    for _ in range(warmup):
        workload.call()
    times = []
    for _ in range(iterations):
        start = time.perf_counter_ns()
        workload.call()
        times.append((time.perf_counter_ns() - start) / 1e3)
    if not check:
        return 0, aside / 1e3, times
    aside -= time.thread_time_ns()
    workload.refill()
    aside += time.thread_time_ns()
    workload.call()
    aside -= time.thread_time_ns()
    wrong = workload.count_wrong()
    aside += time.thread_time_ns()
    return wrong, aside / 1e3, times


def main():
    rank, world, store, control = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    workload = FloatSum(rank, world)
    with socket.socket(socket.AF_UNIX) as conductor:
        conductor.connect(control.replace("@", "\0", 1))
        conductor.sendall(f"hello {rank} {world} allreduce\n".encode())
        for line in conductor.makefile("r"):
            wrong, aside, times = carry_out(line.split(), workload)
            shown = " ".join(f"{t:.3f}" for t in times) if rank == 0 else ""
            conductor.sendall(f"done {wrong} {aside:.3f} {shown}\n".encode())
    os._exit(0)  # leaving the group in step with the others is of no interest


main()
