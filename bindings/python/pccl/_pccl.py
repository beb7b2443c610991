"""Every public name, as programs for PCCL 1.0 import them."""

from pccl._communicator import AsyncReduceHandle, Communicator, ErrorFeedback, ReduceInfo
from pccl._descriptors import QuantizationOptions, ReduceDescriptor, ReduceOpDescriptor, ReduceOperandDescriptor
from pccl._enums import (
    Attribute,
    DataType,
    DeviceType,
    DistributionHint,
    QuantizationAlgorithm,
    ReduceOp,
    SharedStateSyncStrategy,
)
from pccl._errors import InvalidTypeError, InvalidValueError, PCCLError, Result
from pccl._master_node import MasterNode
from pccl._shared_state import SharedState, SharedStateSyncInfo, TensorInfo


class ModuleDummy:
    """Stood for a missing torch or numpy in PCCL 1.0; nothing uses it any more."""


__all__ = [
    "AsyncReduceHandle",
    "Attribute",
    "Communicator",
    "DataType",
    "DeviceType",
    "DistributionHint",
    "ErrorFeedback",
    "InvalidTypeError",
    "InvalidValueError",
    "MasterNode",
    "ModuleDummy",
    "PCCLError",
    "QuantizationAlgorithm",
    "QuantizationOptions",
    "ReduceDescriptor",
    "ReduceInfo",
    "ReduceOp",
    "ReduceOpDescriptor",
    "ReduceOperandDescriptor",
    "Result",
    "SharedState",
    "SharedStateSyncInfo",
    "SharedStateSyncStrategy",
    "TensorInfo",
]
