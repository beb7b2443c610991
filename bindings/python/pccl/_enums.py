"""The enums of the C interface; each member's value is the C value."""

from __future__ import annotations

import enum
import sys
from typing import Any, Optional

from pccl._errors import InvalidValueError


class ReduceOp(enum.Enum):
    """How elements are combined. AVG is the sum divided by the world size; integers truncate towards zero."""

    SUM = 0
    AVG = 1
    PROD = 2
    MAX = 3
    MIN = 4


class Attribute(enum.Enum):
    """Numbers about the run, see `Communicator.get_attribute`."""

    GLOBAL_WORLD_SIZE = 1
    """Accepted peers of all groups, this one included."""
    LOCAL_WORLD_SIZE = 2
    """Accepted peers of this peer's group."""
    NUM_DISTINCT_PEER_GROUPS = 3
    LARGEST_PEER_GROUP_WORLD_SIZE = 4
    STAR_BYTES = 5
    """Bytes of the largest all-reduce that goes through the master in one round trip."""
    PAIRWISE_BYTES = 6
    """Bytes of the largest all-reduce in which two members exchange all in one step."""


class SharedStateSyncStrategy(enum.Enum):
    """Who may change whose shared state. ENFORCE_POPULAR does not mix with the other two."""

    ENFORCE_POPULAR = 0
    RECEIVE_ONLY = 1
    SEND_ONLY = 2


class DistributionHint(enum.Enum):
    """Accepted for compatibility; has no effect."""

    NONE = 0
    NORMAL = 1
    UNIFORM = 2


class QuantizationAlgorithm(enum.Enum):
    """How elements travel as codes; pccl.h says which go with which types."""

    NONE = 0
    MIN_MAX = 1
    ZERO_POINT_SCALE = 2
    SCALE = 3
    """With the float codes FLOAT8_E4M3, FLOAT8_E5M2 and FLOAT4_E3M0."""


class DeviceType(enum.Enum):
    """Where a tensor's bytes are."""

    CPU = 0
    CUDA = 1

    @classmethod
    def from_torch_device_type(cls, device_type: str) -> Optional[DeviceType]:
        """The member for ``torch.device.type``; None for a device that PCCL does not know."""
        return {"cpu": cls.CPU, "cuda": cls.CUDA}.get(device_type)


class DataType(enum.Enum):
    """Types of elements, and codes that only quantization knows (UINT4 and later)."""

    UINT8 = 0
    INT8 = 1
    INT16 = 2
    UINT16 = 3
    UINT32 = 4
    INT32 = 5
    UINT64 = 6
    INT64 = 7
    FLOAT16 = 8
    BFLOAT16 = 9
    FLOAT = 10
    DOUBLE = 11
    UINT4 = 12
    UINT2 = 13
    FLOAT8_E4M3 = 14
    FLOAT8_E5M2 = 15
    FLOAT4_E3M0 = 12  # an alias: four bits, which SCALE reads as sign and exponent

    def to_torch_dtype(self) -> Any:
        """The ``torch.dtype``.

        Raises:
            ValueError: torch has no such type.
        """
        import torch

        return getattr(torch, _name_in(self, _TORCH_NAMES, "torch"))

    def to_numpy_dtype(self) -> Any:
        """The ``numpy.dtype``; BFLOAT16 needs the package ml_dtypes.

        Raises:
            ValueError: numpy has no such type.
        """
        import numpy

        name = _name_in(self, _NUMPY_NAMES, "numpy")
        if name == "bfloat16":
            try:
                import ml_dtypes
            except ImportError:
                raise InvalidValueError("numpy has no bfloat16; the package ml_dtypes adds it") from None
            return numpy.dtype(ml_dtypes.bfloat16)
        return numpy.dtype(name)

    @classmethod
    def from_torch_dtype(cls, dtype: Any) -> DataType:
        """Raises ValueError for a type that PCCL does not reduce."""
        found = _from_torch().get(dtype)
        if found is None:
            raise InvalidValueError(f"Unsupported dtype: {dtype}")
        return found

    @classmethod
    def from_numpy_dtype(cls, dtype: Any) -> DataType:
        """Of a ``numpy.dtype`` instance. Raises ValueError (an AssertionError, too) for a type that PCCL does not
        reduce, and for one in the other byte order."""
        found = _FROM_NUMPY.get(getattr(dtype, "name", None))
        if found is None or not getattr(dtype, "isnative", False):
            raise InvalidValueError(f"Unsupported dtype: {dtype}")
        return found


_TORCH_NAMES = {
    DataType.UINT8: "uint8",
    DataType.INT8: "int8",
    DataType.INT16: "int16",
    DataType.UINT16: "uint16",
    DataType.UINT32: "uint32",
    DataType.INT32: "int32",
    DataType.UINT64: "uint64",
    DataType.INT64: "int64",
    DataType.FLOAT16: "float16",
    DataType.BFLOAT16: "bfloat16",
    DataType.FLOAT: "float32",
    DataType.DOUBLE: "float64",
}
_NUMPY_NAMES = _TORCH_NAMES  # numpy's names of them are the same
_FROM_NUMPY = {name: member for member, name in _NUMPY_NAMES.items()}
_from_torch_cache: dict[Any, DataType] = {}


def _name_in(member: DataType, names: dict[DataType, str], library: str) -> str:
    if member not in names:
        raise InvalidValueError(f"{library} has no type for {member}, which only quantization knows")
    return names[member]


def _from_torch() -> dict[Any, DataType]:
    torch = sys.modules.get("torch")
    if not _from_torch_cache and torch is not None:
        # At once, for whoever asks from another thread meanwhile. Unsigned ones came with 2.3.
        _from_torch_cache.update({getattr(torch, name): m for m, name in _TORCH_NAMES.items() if hasattr(torch, name)})
    return _from_torch_cache
