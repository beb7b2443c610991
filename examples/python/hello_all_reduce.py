#!/usr/bin/env python3
"""Three peers on this machine add up their numbers. Needs nothing but pccl.

    python examples/python/hello_all_reduce.py

With ``--join HOST:PORT`` it is one peer of a run, on as many machines as you like (start ``pccl-master`` on one).
"""

from __future__ import annotations

import argparse
import array
import os
import subprocess
import sys

import pccl

PEERS = 3


def peer(address: str, company: int) -> None:
    communicator = pccl.Communicator(address)
    communicator.connect()
    # Admit others until all are here. Who was just admitted skips this once, and is as far as the others.
    while communicator.get_attribute(pccl.Attribute.LOCAL_WORLD_SIZE) < company:
        communicator.update_topology()

    numbers = array.array("f", [os.getpid()] * 4)
    total = array.array("f", [0] * 4)
    info = communicator.all_reduce(numbers, total, op=pccl.ReduceOp.SUM)
    print(f"peer {os.getpid()}: the sum over {info.local_world_size} peers is {total[0]:.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--join", metavar="HOST:PORT", help="be one peer of the run there")
    parser.add_argument("--peers", type=int, default=PEERS, help="how many have to be there (default: %(default)s)")
    options = parser.parse_args()
    if options.join:
        return peer(options.join, options.peers)

    master = pccl.MasterNode("127.0.0.1:48148")
    master.run()
    others = [
        subprocess.Popen([sys.executable, __file__, "--join", "127.0.0.1:48148", "--peers", str(options.peers)])
        for _ in range(options.peers - 1)
    ]
    try:
        peer("127.0.0.1:48148", options.peers)
        for process in others:
            process.wait()
    finally:
        master.interrupt()  # else this process would go on as a master


if __name__ == "__main__":
    main()
