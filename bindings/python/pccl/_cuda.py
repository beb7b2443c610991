"""Whether this build of libpccl takes tensors in device memory."""

from pccl import _loader

is_cuda_available: bool = _loader.core.has_cuda_support()


def is_available() -> bool:
    """True for a build with CUDA support."""
    return is_cuda_available
