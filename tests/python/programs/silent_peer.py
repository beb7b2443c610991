"""A peer that joins and then takes part in what it is told, line by line, or in nothing.

    silent_peer.py ADDRESS

Prints "joined". On the line "reduce COUNT" it begins to reduce COUNT doubles and prints "reducing" before that.
"""

import array
import sys

from pccl import Communicator, ReduceOp

communicator = Communicator(sys.argv[1])
communicator.connect(n_attempts=1)
print("joined")
handles = []
for line in sys.stdin:
    _, count = line.split()
    tensor = array.array("d", [1.0]) * int(count)
    handles.append(communicator.all_reduce_async(tensor, tensor, op=ReduceOp.SUM))
    print("reducing")
