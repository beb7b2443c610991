"""Whether tensors in the memory of GPUs can be reduced and shared here."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from pccl import _loader


def has_support() -> bool:
    """Whether this build of libpccl takes memory of GPUs. Asks no driver."""
    return _loader.core.has_cuda_support()


def is_available() -> bool:
    """True for a build with CUDA support on a machine with a GPU that this process may use. Never raises.

    Asks torch where that has been imported, else CUDA's driver. As with ``torch.cuda.is_available``, processes that are
    forked afterwards cannot use CUDA; those that are spawned can.
    """
    return has_support() and _some_gpu()


def _some_gpu() -> bool:
    torch = sys.modules.get("torch")
    try:
        if torch is not None and torch.version.cuda is not None:
            return bool(torch.cuda.is_available())
        driver = ctypes.CDLL("libcuda.so.1")
        count = ctypes.c_int(0)
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except Exception:  # no driver, half a driver, a torch that is being imported
        return False


def __getattr__(name: str) -> Any:
    # No constant: whoever imports pccl and forks then must find CUDA as it was.
    if name == "is_cuda_available":
        return is_available()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
