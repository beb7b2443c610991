"""Tensors that say they are in the memory of a GPU, and lie in the host's: without a driver the library asks nobody, and
reduces them there. So all of Python's side runs on any machine."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pccl

CUDA, CUDA_HOST, CUDA_MANAGED = 2, 3, 13  # devices of DLPack


class CudaArray:
    """With ``__cuda_array_interface__``. ``changes``: other entries; None takes one away."""

    def __init__(self, values, typestr="<f4", element=ctypes.c_float, **changes):
        self.memory = (element * len(values))(*values)
        address = ctypes.addressof(self.memory)
        entries = {"shape": (len(values),), "typestr": typestr, "data": (address, False), "version": 3, **changes}
        self.__cuda_array_interface__ = {key: value for key, value in entries.items() if value is not None}

    def tolist(self):
        return list(self.memory)


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("dimensions", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
        ("context", ctypes.c_void_p),  # of the managed tensor
        ("deleter", ctypes.c_void_p),
    ]


_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


class DLPackArray:
    """float32, with DLPack on this device. ``asked``: the options of each call of ``__dlpack__``."""

    def __init__(self, values, device=CUDA, gpu=0, names_device=True):
        self.memory = (ctypes.c_float * len(values))(*values)
        self._shape = (ctypes.c_int64 * 1)(len(values))
        self._managed = _Tensor(
            ctypes.addressof(self.memory), device, gpu, 1, 2, 32, 1, ctypes.cast(self._shape, ctypes.POINTER(ctypes.c_int64))
        )
        self.asked = []
        if names_device:
            self.__dlpack_device__ = lambda: (device, gpu)

    def __dlpack__(self, **options):
        self.asked.append(options)
        if "max_version" in options:  # this one knows version 0 only
            raise TypeError("unexpected keyword argument 'max_version'")
        return _new_capsule(ctypes.addressof(self._managed), b"dltensor", None)

    def tolist(self):
        return list(self.memory)


class Spy:
    """What a communicator calls of the native part, as (name, first argument); the calls go through."""

    def __init__(self, communicator: pccl.Communicator) -> None:
        self._native = communicator._native
        self.calls: list[tuple] = []
        communicator._native = self

    def __getattr__(self, name):
        function = getattr(self._native, name)

        def noted(*arguments):
            self.calls.append((name, *(a for a in arguments[:1] if isinstance(a, int))))
            return function(*arguments)

        return noted

    def streams(self) -> list[int]:
        return [argument for name, *arguments in self.calls for argument in arguments if name == "set_stream"]


def torch_on(gpu):
    """A subclass of torch.Tensor on this GPU, as far as PCCL looks."""
    import torch

    class OnGpu(torch.Tensor):
        device = property(lambda self: torch.device("cuda", gpu))

    return OnGpu


def play_streams(monkeypatch, handles=None):
    """torch's current stream of GPU i is handles[i]. Gives the list of those that were synchronized."""
    import torch

    waited = []
    handles = handles or {0: 70, 1: 71}

    def current_stream(device=None):
        handle = handles[0 if device is None else torch.device(device).index]
        return SimpleNamespace(cuda_stream=handle, synchronize=lambda: waited.append(handle))

    monkeypatch.setattr(torch.cuda, "current_stream", current_stream)
    return waited
