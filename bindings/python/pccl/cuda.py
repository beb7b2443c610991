"""`pccl.cuda` as a module, for `import pccl.cuda`."""

from pccl._cuda import is_available, is_cuda_available

__all__ = ["is_available", "is_cuda_available"]
