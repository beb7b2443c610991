"""Where the bytes of a tensor are: torch tensors, numpy arrays, and whatever speaks DLPack, ``__cuda_array_interface__``
or the buffer protocol."""

from __future__ import annotations

import math
import re
import sys
from typing import Any, NamedTuple, Optional

from pccl import _loader, _streams
from pccl._enums import DataType, DeviceType
from pccl._errors import InvalidTypeError, InvalidValueError, require, require_type

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
# Devices of DLPack. Pinned memory is the host's; managed memory is whose work is about to write it.
_DLPACK_ON_HOST = (1, 3)
_DLPACK_ON_GPU = (2, 13)

# Formats of the buffer protocol, by kind and size: 'l' has four bytes on some systems and eight on others.
_SIGNED, _UNSIGNED, _FLOATS = "bhilqn", "BHILQN", "efd"
_SIGNED_BY_SIZE = {1: DataType.INT8, 2: DataType.INT16, 4: DataType.INT32, 8: DataType.INT64}
_UNSIGNED_BY_SIZE = {1: DataType.UINT8, 2: DataType.UINT16, 4: DataType.UINT32, 8: DataType.UINT64}
_FLOAT_BY_SIZE = {2: DataType.FLOAT16, 4: DataType.FLOAT, 8: DataType.DOUBLE}
_BY_NUMPY_KIND = {"i": _SIGNED_BY_SIZE, "u": _UNSIGNED_BY_SIZE, "f": _FLOAT_BY_SIZE}


class Operand(NamedTuple):
    """A tensor as libpccl sees it: ``count`` elements at ``address``, in C order."""

    address: int
    count: int
    dtype: DataType
    device: DeviceType
    kind: str  # what it is, for errors: "torch", "numpy", "dlpack", "cuda array" or "buffer"
    owner: Any  # keeps the bytes alive
    gpu: Optional[int] = None  # which, where that is known
    stream: Optional[int] = None  # after whose work it may be used, where its owner has said so

    def current_stream(self) -> Optional[int]:
        """After whose work it may be used now: torch's of this thread, or what the owner has said."""
        return _streams.current(self.owner) if self.kind == "torch" else self.stream

    def place(self) -> str:
        if self.device is DeviceType.CPU:
            return "in host memory"
        return "on a GPU" if self.gpu is None else f"on GPU {self.gpu}"


def is_torch(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_numpy(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def operand_of(value: Any, what: str, *, writable: bool = False, stream: Optional[int] = None) -> Operand:
    """``what`` names the argument in errors. ``stream``: that of the application, where it has named one.

    Raises:
        ValueError: not contiguous, sparse, masked, read-only though it is to be written, or of a type that PCCL does not reduce.
        TypeError: no tensor at all.
    """
    if is_torch(value):
        return _of_torch(value, what)
    if is_numpy(value):
        return _of_numpy(value, what, writable)
    if hasattr(value, "__dlpack__"):
        return _of_dlpack(value, what, writable, stream)
    if hasattr(value, "__cuda_array_interface__"):
        return _of_cuda_array(value.__cuda_array_interface__, value, what, writable)
    return _of_buffer(value, what, writable)


def require_same_place(send: Operand, recv: Operand) -> None:
    known = send.gpu is not None and recv.gpu is not None
    same = send.device is recv.device and (not known or send.gpu == recv.gpu)
    require(same, f"send is {send.place()}, recv is {recv.place()}; both have to be in one place")


def _of_torch(tensor: Any, what: str) -> Operand:
    device = DeviceType.from_torch_device_type(tensor.device.type)
    if device is None:
        raise InvalidValueError(f"{what} is on {tensor.device}; PCCL takes tensors in host memory or on CUDA GPUs")
    if type(tensor).__name__ == "DTensor":
        raise InvalidValueError(f"{what} is a DTensor; pass its local shard, {what}.to_local()")
    require(str(tensor.layout) == "torch.strided", f"{what} is {tensor.layout}; pass {what}.to_dense()")
    require(not tensor.is_neg(), f"{what} is a negated view; pass {what}.resolve_neg()")
    if not tensor.is_contiguous():
        raise InvalidValueError(f"{what} is not contiguous; pass {what}.contiguous()")
    dtype, address = DataType.from_torch_dtype(tensor.dtype), tensor.data_ptr()
    require(address != 0 or tensor.numel() == 0, f"{what}, a {type(tensor).__name__}, has no memory of its own")
    on_amd = device is DeviceType.CUDA and sys.modules["torch"].version.hip is not None
    require(not on_amd, f"{what} is on a GPU of AMD's; PCCL takes tensors in host memory or on CUDA GPUs")
    return Operand(address, tensor.numel(), dtype, device, "torch", tensor, tensor.device.index)


def _of_numpy(array: Any, what: str, writable: bool) -> Operand:
    require(type(array).__name__ != "MaskedArray", f"{what} is masked; pass {what}.data or {what}.filled(...)")
    require(array.flags.c_contiguous, f"{what} is not C-contiguous; pass numpy.ascontiguousarray({what})")
    require(array.flags.writeable or not writable, f"{what} is read-only")
    dtype = DataType.from_numpy_dtype(array.dtype)
    return Operand(array.ctypes.data, array.size, dtype, DeviceType.CPU, "numpy", array)


def _of_dlpack(value: Any, what: str, writable: bool, stream: Optional[int]) -> Operand:
    asked = getattr(value, "__dlpack_device__", None)
    # The stream is for GPUs only: from now on it waits for what the tensor's owner has under way.
    options = {"stream": _streams.for_dlpack(stream)} if asked is not None and asked()[0] in _DLPACK_ON_GPU else {}
    try:
        capsule = value.__dlpack__(max_version=(1, 0), **options)  # which says whether it is read-only
    except TypeError:
        capsule = value.__dlpack__(**options)
    address, count, code, bits, device, gpu, in_c_order, read_only = _loader.core.describe_dlpack(capsule)
    require(not (writable and read_only), f"{what} is read-only")
    known = device in _DLPACK_ON_HOST or device in _DLPACK_ON_GPU
    require(known, f"{what} is on DLPack device {device}; PCCL takes tensors in host memory or on CUDA GPUs")
    require(in_c_order, f"{what} is not contiguous")
    dtype = _FROM_DLPACK.get((code, bits))
    if dtype is None:
        raise InvalidValueError(f"{what}: elements of DLPack type ({code}, {bits} bits) are not supported")
    if device in _DLPACK_ON_HOST:
        return Operand(address, count, dtype, DeviceType.CPU, "dlpack", (value, capsule))
    return Operand(
        address, count, dtype, DeviceType.CUDA, "dlpack", (value, capsule), gpu, stream or _streams.DEFAULT
    )


def _of_cuda_array(interface: Any, value: Any, what: str, writable: bool) -> Operand:
    """https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html, versions 2 and 3."""
    require_type(isinstance(interface, dict), f"{what}.__cuda_array_interface__ is no dictionary")
    missing = {"shape", "typestr", "data", "version"} - interface.keys()
    require(not missing, f"{what}.__cuda_array_interface__ has no {' and no '.join(sorted(missing))}")
    version = interface["version"]
    require(version in (2, 3), f"{what}: version {version} of __cuda_array_interface__; PCCL knows 2 and 3")
    require(interface.get("mask") is None, f"{what} is masked")
    shape, strides, (address, read_only) = tuple(interface["shape"]), interface.get("strides"), interface["data"]
    require(not (writable and read_only), f"{what} is read-only")

    dtype, element_bytes = _of_typestr(interface["typestr"])
    if dtype is None:
        raise InvalidValueError(f"{what}: elements of type '{interface['typestr']}' are not supported")
    count = int(math.prod(shape))
    require(count == 0 or _in_c_order(shape, strides, element_bytes), f"{what} is not C-contiguous")
    require(count == 0 or address != 0, f"{what} has no memory of its own")

    stream = interface.get("stream") if version == 3 else None
    require(stream != 0, f"{what}: stream 0 is not allowed in __cuda_array_interface__: 1 or 2, which default stream?")
    stream = None if stream is None else _streams.handle_of(stream)
    return Operand(address or 0, count, dtype, DeviceType.CUDA, "cuda array", value, stream=stream)


def _of_typestr(typestr: str) -> tuple[Optional[DataType], int]:
    """Of "<f4" and the like: the type, None if it is not reduced, and the bytes of an element."""
    parts = re.fullmatch(r"([<>|=]?)([a-zA-Z])(\d+)", typestr)
    if parts is None:
        return None, 0
    order, kind, element_bytes = parts[1], parts[2], int(parts[3])
    other_order = order == (">" if sys.byteorder == "little" else "<") and element_bytes > 1
    return None if other_order else _BY_NUMPY_KIND.get(kind, {}).get(element_bytes), element_bytes


def _in_c_order(shape: tuple[int, ...], strides: Optional[tuple[int, ...]], element_bytes: int) -> bool:
    expected = element_bytes
    for length, stride in reversed(list(zip(shape, strides or ()))):
        if length != 1 and stride != expected:
            return False
        expected *= length
    return True


def _of_buffer(value: Any, what: str, writable: bool) -> Operand:
    try:
        view = memoryview(value)
    except TypeError:
        raise InvalidTypeError(
            f"{what} is a {type(value).__name__}; PCCL takes torch tensors, numpy arrays and objects with DLPack, "
            "__cuda_array_interface__ or the buffer protocol"
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
