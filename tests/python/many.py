"""Many all-reduces in one call."""

from pccl import (
    DataType,
    QuantizationAlgorithm,
    QuantizationOptions,
    ReduceDescriptor,
    ReduceOp,
    ReduceOpDescriptor,
    ReduceOperandDescriptor,
)

PLAIN = QuantizationOptions(DataType.UINT8, QuantizationAlgorithm.NONE)


def sums_of(tensors) -> list[ReduceOpDescriptor]:
    """Of torch's float32 tensors, in place, each tagged by its place in the list."""
    floats = ReduceOperandDescriptor(DataType.FLOAT)
    return [
        ReduceOpDescriptor.from_torch(t, t, ReduceDescriptor(t.numel(), ReduceOp.SUM, tag, floats, PLAIN))
        for tag, t in enumerate(tensors)
    ]
