"""Where the bytes of a tensor are: torch tensors, numpy arrays, and whatever speaks DLPack or the buffer protocol."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from pccl import _loader
from pccl._enums import DataType, DeviceType
from pccl._errors import InvalidTypeError, InvalidValueError, require

# Codes of DLPack: (kind, bits) of an element.
_FROM_DLPACK = {
    (0, 8): DataType.INT8,
    (0, 16): DataType.INT16,
    (0, 32): DataType.INT32,
    (0, 64): DataType.INT64,
    (1, 8): DataType.UINT8,
    (1, 16): DataType.UINT16,
    (1, 32): DataType.UINT32,
    (1, 64): DataType.UINT64,
    (2, 16): DataType.FLOAT16,
    (2, 32): DataType.FLOAT,
    (2, 64): DataType.DOUBLE,
    (4, 16): DataType.BFLOAT16,
}
_DLPACK_CPU = 1

# Formats of the buffer protocol, by kind and size: 'l' has four bytes on some systems and eight on others.
_SIGNED, _UNSIGNED, _FLOATS = "bhilqn", "BHILQN", "efd"
_SIGNED_BY_SIZE = {1: DataType.INT8, 2: DataType.INT16, 4: DataType.INT32, 8: DataType.INT64}
_UNSIGNED_BY_SIZE = {1: DataType.UINT8, 2: DataType.UINT16, 4: DataType.UINT32, 8: DataType.UINT64}
_FLOAT_BY_SIZE = {2: DataType.FLOAT16, 4: DataType.FLOAT, 8: DataType.DOUBLE}


class Operand(NamedTuple):
    """A tensor as libpccl sees it: ``count`` elements at ``address``, in C order."""

    address: int
    count: int
    dtype: DataType
    device: DeviceType
    kind: str  # what it is, for errors: "torch", "numpy", "dlpack" or "buffer"
    owner: Any  # keeps the bytes alive


def is_torch(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_numpy(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def operand_of(value: Any, what: str, *, writable: bool = False) -> Operand:
    """``what`` names the argument in errors.

    Raises:
        ValueError: not contiguous, sparse, masked, read-only though it is to be written, or of a type that PCCL does not reduce.
        TypeError: no tensor at all.
    """
    if is_torch(value):
        return _of_torch(value, what)
    if is_numpy(value):
        return _of_numpy(value, what, writable)
    if hasattr(value, "__dlpack__"):
        return _of_dlpack(value, what, writable)
    return _of_buffer(value, what, writable)


def _of_torch(tensor: Any, what: str) -> Operand:
    device = DeviceType.from_torch_device_type(tensor.device.type)
    if device is None:
        raise InvalidValueError(f"{what} is on {tensor.device}; PCCL takes tensors in host memory")
    if type(tensor).__name__ == "DTensor":
        raise InvalidValueError(f"{what} is a DTensor; pass its local shard, {what}.to_local()")
    require(str(tensor.layout) == "torch.strided", f"{what} is {tensor.layout}; pass {what}.to_dense()")
    require(not tensor.is_neg(), f"{what} is a negated view; pass {what}.resolve_neg()")
    if not tensor.is_contiguous():
        raise InvalidValueError(f"{what} is not contiguous; pass {what}.contiguous()")
    dtype, address = DataType.from_torch_dtype(tensor.dtype), tensor.data_ptr()
    require(address != 0 or tensor.numel() == 0, f"{what}, a {type(tensor).__name__}, has no memory of its own")
    return Operand(address, tensor.numel(), dtype, device, "torch", tensor)


def _of_numpy(array: Any, what: str, writable: bool) -> Operand:
    require(type(array).__name__ != "MaskedArray", f"{what} is masked; pass {what}.data or {what}.filled(...)")
    require(array.flags.c_contiguous, f"{what} is not C-contiguous; pass numpy.ascontiguousarray({what})")
    require(array.flags.writeable or not writable, f"{what} is read-only")
    dtype = DataType.from_numpy_dtype(array.dtype)
    return Operand(array.ctypes.data, array.size, dtype, DeviceType.CPU, "numpy", array)


def _of_dlpack(value: Any, what: str, writable: bool) -> Operand:
    try:
        capsule = value.__dlpack__(max_version=(1, 0))  # which says whether it is read-only
    except TypeError:
        capsule = value.__dlpack__()
    address, count, code, bits, device, in_c_order, read_only = _loader.core.describe_dlpack(capsule)
    require(not (writable and read_only), f"{what} is read-only")
    require(device == _DLPACK_CPU, f"{what} is on DLPack device {device}; PCCL takes tensors in host memory")
    require(in_c_order, f"{what} is not contiguous")
    dtype = _FROM_DLPACK.get((code, bits))
    if dtype is None:
        raise InvalidValueError(f"{what}: elements of DLPack type ({code}, {bits} bits) are not supported")
    return Operand(address, count, dtype, DeviceType.CPU, "dlpack", (value, capsule))


def _of_buffer(value: Any, what: str, writable: bool) -> Operand:
    try:
        view = memoryview(value)
    except TypeError:
        raise InvalidTypeError(
            f"{what} is a {type(value).__name__}; PCCL takes torch tensors, numpy arrays and objects with DLPack or "
            "the buffer protocol"
        ) from None
    require(view.c_contiguous, f"{what} is not C-contiguous")
    require(not (writable and view.readonly), f"{what} is read-only")
    # ctypes arrays name their byte order, which is that of this machine unless asked otherwise.
    code = view.format.lstrip("@=" + ("<" if sys.byteorder == "little" else ">!"))
    kinds = {**dict.fromkeys(_SIGNED, _SIGNED_BY_SIZE), **dict.fromkeys(_UNSIGNED, _UNSIGNED_BY_SIZE)}
    kinds.update(dict.fromkeys(_FLOATS, _FLOAT_BY_SIZE))
    dtype = kinds.get(code, {}).get(view.itemsize)
    if dtype is None:
        raise InvalidValueError(f"{what}: elements of format '{view.format}' are not supported")
    count = view.nbytes // view.itemsize
    address = _loader.core.buffer_address(view) if count else 0
    return Operand(address, count, dtype, DeviceType.CPU, "buffer", view)
