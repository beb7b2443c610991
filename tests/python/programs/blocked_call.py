"""A peer that makes one call that blocks, and says what becomes of it. No torch, no numpy.

    blocked_call.py ADDRESS CALL

Prints "joined" once it is in the run (CALL connect: before it), "blocked" when another thread has run Python code
while the call was blocking, then "returned VALUE"; or how its tensor looks after KeyboardInterrupt, which ends it.
"""

import array
import signal
import sys

from blocked import tell_when_blocked
from pccl import Attribute, Communicator, DataType, QuantizationAlgorithm, QuantizationOptions, ReduceDescriptor
from pccl import ReduceOp, ReduceOpDescriptor, ReduceOperandDescriptor, SharedState, TensorInfo
from pccl._pccl import DeviceType

INPUT = [1.0, 2.0, 3.0] * 20_000  # more than goes through the master
tensor = array.array("d", INPUT)
address = tensor.buffer_info()[0]


def state() -> SharedState:
    entry = TensorInfo(
        "tensor",
        address,
        numel=len(tensor),
        dtype=DataType.DOUBLE,
        device_type=DeviceType.CPU,
        allow_content_inequality=False,
    )
    return SharedState([entry])


def descriptor() -> ReduceOpDescriptor:
    plain = QuantizationOptions(DataType.UINT8, QuantizationAlgorithm.NONE)
    what = ReduceDescriptor(len(tensor), ReduceOp.SUM, 0, ReduceOperandDescriptor(DataType.DOUBLE), plain)
    return ReduceOpDescriptor(address, address, what)


CALLS = {
    "connect": lambda c: c.connect(n_attempts=1),
    "update_topology": lambda c: c.update_topology(),
    "are_peers_pending": lambda c: c.are_peers_pending(),
    "optimize_topology": lambda c: c.optimize_topology(),
    "sync_shared_state": lambda c: c.sync_shared_state(state()).rx_bytes,
    "all_reduce": lambda c: c.all_reduce(tensor, tensor, op=ReduceOp.SUM).local_world_size,
    "wait": lambda c: c.all_reduce_async(tensor, tensor, op=ReduceOp.SUM).wait()[:2],
    "all_reduce_multiple_with_retry": lambda c: c.all_reduce_multiple_with_retry([descriptor()]).local_world_size,
}


def main(run: str, call: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits "ignored"
    communicator = Communicator(run)
    if call != "connect":
        communicator.connect(n_attempts=1)
        print("joined", communicator.get_attribute(Attribute.GLOBAL_WORLD_SIZE))
    tell_when_blocked()
    try:
        print("returned", CALLS[call](communicator))
    except KeyboardInterrupt:
        print("tensor", "intact" if tensor.tolist() == INPUT else "changed")
        if call == "wait":
            tensor.append(0.0)  # BufferError if the op still held it
        raise
    sys.stdin.readline()  # stays in the run until told


main(*sys.argv[1:])
