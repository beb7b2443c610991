"""What an all-reduce does, in the words of the C interface."""

from __future__ import annotations

import dataclasses
from typing import Any

from pccl import _cdecls, _loader
from pccl._enums import DataType, DeviceType, DistributionHint, QuantizationAlgorithm, ReduceOp
from pccl._errors import require
from pccl._operand import is_numpy, is_torch, operand_of, require_same_place


@dataclasses.dataclass
class ReduceOperandDescriptor:
    """Type of the elements that are reduced."""

    datatype: DataType
    distribution_hint: DistributionHint = DistributionHint.NONE

    def to_c(self) -> _cdecls.ReduceOperandDescriptor:
        return _cdecls.ReduceOperandDescriptor(self.datatype.value, self.distribution_hint.value)


@dataclasses.dataclass
class QuantizationOptions:
    """How elements travel: as codes of ``quantized_datatype``, or with ``QuantizationAlgorithm.NONE`` as they are.

    Fewer bytes on the wire for a bounded error; the result has the same bits on all peers all the same.
    """

    quantized_datatype: DataType = DataType.UINT8
    algorithm: QuantizationAlgorithm = QuantizationAlgorithm.MIN_MAX

    def to_c(self) -> _cdecls.QuantizationOptions:
        return _cdecls.QuantizationOptions(self.quantized_datatype.value, self.algorithm.value)


NO_QUANTIZATION = QuantizationOptions(DataType.UINT8, QuantizationAlgorithm.NONE)


@dataclasses.dataclass
class ReduceDescriptor:
    """One all-reduce of ``count`` elements. ``tag`` names it among those in flight, the same on every peer."""

    count: int
    op: ReduceOp
    tag: int
    operand_descriptor: ReduceOperandDescriptor
    quantization_options: QuantizationOptions

    def to_c(self) -> _cdecls.ReduceDescriptor:
        return _cdecls.ReduceDescriptor(
            self.count, self.op.value, self.tag, self.operand_descriptor.to_c(), self.quantization_options.to_c()
        )


class ReduceOpDescriptor:
    """An all-reduce and its buffers, for `Communicator.all_reduce_multiple_with_retry`.

    Holds addresses. Made by `from_torch` or `from_numpy` it keeps the tensors alive, too; made from bare addresses
    it leaves that to the caller.
    """

    def __init__(self, sendbuf_ptr: int, recvbuf_ptr: int, reduce_descriptor: ReduceDescriptor) -> None:
        self.sendbuf_ptr = sendbuf_ptr
        self.recvbuf_ptr = recvbuf_ptr
        self.reduce_descriptor = reduce_descriptor
        self._owners: tuple[Any, ...] = ()
        # Whose stream an op with it follows: torch tensors on a GPU; None stands for a bare address.
        self._on_gpu: tuple[Any, ...] = (None,)

    @staticmethod
    def from_torch(send: Any, recv: Any, reduce_descriptor: ReduceDescriptor) -> ReduceOpDescriptor:
        """Of two contiguous torch tensors, in host memory or on one GPU; the same one twice: in place."""
        require(is_torch(send) and is_torch(recv), "from_torch takes torch tensors")
        return ReduceOpDescriptor._of(send, recv, reduce_descriptor)

    @staticmethod
    def from_numpy(send: Any, recv: Any, reduce_descriptor: ReduceDescriptor) -> ReduceOpDescriptor:
        """Of two C-contiguous numpy arrays; the same one twice: in place."""
        require(is_numpy(send) and is_numpy(recv), "from_numpy takes numpy arrays")
        return ReduceOpDescriptor._of(send, recv, reduce_descriptor)

    @staticmethod
    def _of(send: Any, recv: Any, reduce_descriptor: ReduceDescriptor) -> ReduceOpDescriptor:
        source, target = operand_of(send, "send"), operand_of(recv, "recv", writable=True)
        require_same_place(source, target)
        for operand, what in ((source, "send"), (target, "recv")):
            require(
                operand.count >= reduce_descriptor.count,
                f"{what} has {operand.count} elements, the descriptor asks for {reduce_descriptor.count}",
            )
            require(
                operand.dtype is reduce_descriptor.operand_descriptor.datatype,
                f"{what} has elements of {operand.dtype.name}, the descriptor says "
                f"{reduce_descriptor.operand_descriptor.datatype.name}",
            )
        descriptor = ReduceOpDescriptor(source.address, target.address, reduce_descriptor)
        descriptor._owners = (source.owner, target.owner)
        descriptor._on_gpu = (source.owner,) if source.device is DeviceType.CUDA else ()
        return descriptor

    def to_c(self) -> _cdecls.ReduceOpDescriptor:
        return _cdecls.ReduceOpDescriptor(self.sendbuf_ptr, self.recvbuf_ptr, self.reduce_descriptor.to_c())

    def to_c_inpl(self, c_desc: _cdecls.ReduceOpDescriptor) -> None:
        """Writes it into a struct that exists already."""
        c_desc.sendbuf = self.sendbuf_ptr
        c_desc.recvbuf = self.recvbuf_ptr
        c_desc.descriptor = self.reduce_descriptor.to_c()

    def _operation(self) -> Any:
        what = self.reduce_descriptor
        return _loader.core.Operation(
            self.sendbuf_ptr,
            self.recvbuf_ptr,
            what.count,
            what.operand_descriptor.datatype.value,
            what.op.value,
            what.tag,
            what.operand_descriptor.distribution_hint.value,
            what.quantization_options.quantized_datatype.value,
            what.quantization_options.algorithm.value,
        )
