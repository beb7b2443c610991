"""Collective communication among peers that may join, leave and die at any moment.

A run has one `MasterNode` (or the program ``pccl-master``) and any number of `Communicator` peers, which reduce
tensors together and hold a shared state that is the same bit by bit on all of them. `pccl.torch` has training loops
on top: DiLoCo, and gradient averaging.
"""

from pccl import _cuda as cuda
from pccl._pccl import *  # noqa: F403
from pccl._pccl import __all__ as _public
from pccl._version import __version__ as __version__

# What `import *` gives: the names of PCCL 1.0, and nothing that could hide one of the importer's own.
__all__ = [
    "cuda",
    "Communicator",
    "MasterNode",
    "ReduceOp",
    "Attribute",
    "SharedStateSyncStrategy",
    "DataType",
    "DistributionHint",
    "QuantizationAlgorithm",
    "ReduceOperandDescriptor",
    "QuantizationOptions",
    "ReduceDescriptor",
    "TensorInfo",
    "SharedState",
    "SharedStateSyncInfo",
    "ReduceInfo",
    "ReduceOpDescriptor",
    "AsyncReduceHandle",
    "PCCLError",
]


def __dir__() -> list[str]:
    return sorted({*__all__, *_public, "__version__"})
