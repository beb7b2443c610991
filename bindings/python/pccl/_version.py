"""The version of the package, which is that of libpccl."""

from pccl import _loader

__version__: str = _loader.core.version()
