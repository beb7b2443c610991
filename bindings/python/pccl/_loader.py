"""Loads libpccl and the module that speaks to it."""

import pathlib

try:
    from pccl import _core as core
except ImportError as error:
    raise ImportError(
        f"pccl's native part does not load: {error}. It is made for one Python version and one kind of machine; "
        "install the package again with `pip install .` in the repository."
    ) from error


def library_path() -> pathlib.Path:
    """The libpccl that this package came with; from a build tree, where none lies beside, the package's folder."""
    folder = pathlib.Path(__file__).parent
    return next(iter(sorted(folder.glob("libpccl.*"))), folder)


def include_dir() -> pathlib.Path:
    """The folder with pccl.h, for C and C++ extensions; exists in an installed package."""
    return pathlib.Path(__file__).parent / "include"
