"""Training PyTorch models across the internet, with peers that come and go.

`DiLoCo` for many local steps between two exchanges, `AverageGradients` for one exchange per step, and helpers for
FSDP2. Each takes a connected or unconnected `pccl.Communicator` and does what membership asks for: it admits
newcomers, hands them the state, and goes on among those who remain when a peer is lost.
"""

from pccl.torch._average_gradients import AverageGradients, StepReport
from pccl.torch._diloco import DiLoCo, RoundReport
from pccl.torch._fsdp import attach_local, shard_communicator, wait_for_complete_grid
from pccl.torch._quantization import quantization_options
from pccl.torch._seat import RemovedFromRun

__all__ = [
    "AverageGradients",
    "DiLoCo",
    "RemovedFromRun",
    "RoundReport",
    "StepReport",
    "attach_local",
    "quantization_options",
    "shard_communicator",
    "wait_for_complete_grid",
]
