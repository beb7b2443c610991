"""Streams of CUDA: the work after which libpccl reads and writes a tensor in the memory of a GPU.

A stream is a number here, its ``cudaStream_t``. One op follows one stream.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable
from typing import Any, Optional

from pccl._errors import InvalidTypeError, require

DEFAULT = 0
# Its other name, in DLPack and in __cuda_array_interface__, where 0 says nothing. 2 is the thread's own default stream.
_LEGACY_DEFAULT = 1


def handle_of(stream: Any) -> int:
    """Of a number, a ``torch.cuda.Stream``, or an object with ``__cuda_stream__``.

    Raises:
        TypeError: none of these.
    """
    if hasattr(stream, "cuda_stream"):
        return stream.cuda_stream
    if hasattr(stream, "__cuda_stream__"):
        return stream.__cuda_stream__()[1]
    if not hasattr(stream, "__index__") or isinstance(stream, bool):
        raise InvalidTypeError(f"stream is a {type(stream).__name__}, not a cudaStream_t or a torch.cuda.Stream")
    handle = operator.index(stream)
    require(0 <= handle < 2**64, f"stream {handle} is not a cudaStream_t")
    return DEFAULT if handle == _LEGACY_DEFAULT else handle


def for_dlpack(stream: Optional[int]) -> int:
    """What ``__dlpack__(stream=...)`` is given, so that this stream waits for the tensor; None: the default one."""
    return stream or _LEGACY_DEFAULT


def current(tensor: Any) -> int:
    """torch's, on this thread, for the GPU of its tensor."""
    return sys.modules["torch"].cuda.current_stream(tensor.device).cuda_stream


def of_unknown() -> Optional[int]:
    """For a bare address: torch's current stream, if torch uses CUDA in this process."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return torch.cuda.current_stream().cuda_stream


def after_all(tensors: Iterable[Any]) -> Optional[int]:
    """One stream, after torch's work on all of these. ``None`` among them is a bare address; none at all: None.

    Where tensors are on several GPUs the others' work is waited for.
    """
    tensors = list(tensors)
    gpus = list({tensor.device: tensor for tensor in tensors if tensor is not None}.values())
    for tensor in gpus[1:]:
        sys.modules["torch"].cuda.current_stream(tensor.device).synchronize()
    if gpus:
        return current(gpus[0])
    return of_unknown() if tensors else None
