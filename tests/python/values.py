"""Element types, inputs that all of them hold exactly, and what their reductions are."""

from __future__ import annotations

import numpy

from pccl import DataType, ReduceOp

# Names in numpy and torch.
DTYPES = {
    "uint8": DataType.UINT8,
    "int8": DataType.INT8,
    "int16": DataType.INT16,
    "uint16": DataType.UINT16,
    "uint32": DataType.UINT32,
    "int32": DataType.INT32,
    "uint64": DataType.UINT64,
    "int64": DataType.INT64,
    "float16": DataType.FLOAT16,
    "bfloat16": DataType.BFLOAT16,
    "float32": DataType.FLOAT,
    "float64": DataType.DOUBLE,
}
NUMPY_DTYPES = [name for name in DTYPES if name != "bfloat16"]  # numpy itself has no bfloat16


def carrier(dtype: str) -> str:
    """The numpy type that holds all values of `dtype`."""
    return "float32" if dtype == "bfloat16" else dtype


def inputs(dtype: str, rank: int, count: int) -> numpy.ndarray:
    """Small whole numbers, negative ones too where the type has them: sums, products and means of a few are exact even
    in bfloat16, and differ from rank to rank."""
    lowest = 0 if dtype.startswith("uint") else -3
    return ((numpy.arange(count) * (rank + 1)) % 7 + lowest).astype(carrier(dtype))


def reduced(op: ReduceOp, tensors: list[numpy.ndarray]) -> numpy.ndarray:
    """By the words of the contract: integers wrap, and their mean is truncated towards zero."""
    stack, dtype = numpy.stack(tensors), tensors[0].dtype
    if op is ReduceOp.SUM:
        return stack.sum(axis=0, dtype=dtype)
    if op is ReduceOp.PROD:
        return stack.prod(axis=0, dtype=dtype)
    if op is ReduceOp.MAX:
        return stack.max(axis=0)
    if op is ReduceOp.MIN:
        return stack.min(axis=0)
    total = stack.sum(axis=0, dtype=dtype)
    if dtype.kind == "f":
        return (total / len(tensors)).astype(dtype)
    return numpy.trunc(total / len(tensors)).astype(dtype)
