"""`pccl.cuda` as a module, for `import pccl.cuda`."""

from typing import Any

from pccl import _cuda
from pccl._cuda import is_available as is_available


def __getattr__(name: str) -> Any:  # of `is_cuda_available`, which is looked up when it is asked for
    return getattr(_cuda, name)
