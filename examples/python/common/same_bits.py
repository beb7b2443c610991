"""Whether all peers hold the same, by a look at everybody's hash."""

from __future__ import annotations

import array

import pccl

_TAG = 1_000_000


def same_everywhere(communicator: pccl.Communicator, hexadecimal: str) -> bool:
    """Collective: every peer of the group calls it. A peer that is alone agrees with itself."""
    number = int(hexadecimal[:14], 16)
    while True:
        lowest, highest = array.array("q", [number]), array.array("q", [number])
        try:
            communicator.all_reduce(lowest, lowest, op=pccl.ReduceOp.MIN, tag=_TAG)
            communicator.all_reduce(highest, highest, op=pccl.ReduceOp.MAX, tag=_TAG)
        except pccl.PCCLError as error:
            if error.result is pccl.Result.RANK_CONNECTION_LOST:
                continue  # again, among those who remain
            if error.result is not pccl.Result.TOO_FEW_PEERS:
                raise
        return lowest[0] == highest[0] == number
