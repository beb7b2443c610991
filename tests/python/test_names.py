"""Modules and names that programs import (contract, section 2)."""

import importlib
import inspect
import pathlib
import re

import pytest

import pccl

PUBLIC = [
    "cuda",
    "Communicator",
    "MasterNode",
    "ReduceOp",
    "Attribute",
    "SharedStateSyncStrategy",
    "DataType",
    "DistributionHint",
    "QuantizationAlgorithm",
    "ReduceOperandDescriptor",
    "QuantizationOptions",
    "ReduceDescriptor",
    "TensorInfo",
    "SharedState",
    "SharedStateSyncInfo",
    "ReduceInfo",
    "ReduceOpDescriptor",
    "AsyncReduceHandle",
    "PCCLError",
]


def test_all_is_that_of_the_original():
    assert sorted(pccl.__all__) == sorted(PUBLIC)


def test_import_star_gives_exactly_all():
    names = {}
    exec("from pccl import *", names)
    names.pop("__builtins__")
    assert sorted(names) == sorted(PUBLIC)


@pytest.mark.parametrize("name", ["Result", "DeviceType", "ModuleDummy"])
def test_reachable_but_not_in_all(name):
    assert hasattr(pccl, name)
    assert name not in pccl.__all__


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "cuda"] + ["Result", "DeviceType", "ModuleDummy"])
def test_the_private_module_has_the_same_object(name):
    assert getattr(importlib.import_module("pccl._pccl"), name) is getattr(pccl, name)


@pytest.mark.parametrize("name", ["cuda", "master", "_pccl", "_cuda", "_loader", "_cdecls", "_version"])
def test_modules_can_be_imported(name):
    assert importlib.import_module(f"pccl.{name}").__name__ == f"pccl.{name}"


def test_cuda_says_whether_this_build_has_it():
    from pccl import _cuda

    assert isinstance(pccl.cuda.is_available(), bool)
    assert pccl.cuda.is_cuda_available is pccl.cuda.is_available()
    assert _cuda.is_cuda_available is pccl.cuda.is_cuda_available


def test_cuda_as_a_module_is_the_same():
    import pccl.cuda

    assert pccl.cuda.is_available() is importlib.import_module("pccl._cuda").is_available()


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", pccl.__version__)
    assert importlib.import_module("pccl._version").__version__ == pccl.__version__


def test_the_master_program_is_callable_without_arguments():
    from pccl import master

    assert all(p.default is not inspect.Parameter.empty for p in inspect.signature(master.main).parameters.values())


def test_the_distribution_and_its_console_script():
    tomllib = pytest.importorskip("tomllib", reason="tomllib comes with Python 3.11")
    project_file = pathlib.Path(__file__).parents[2] / "pyproject.toml"
    if not project_file.exists():
        pytest.skip("not in a source tree: no pyproject.toml")
    project = tomllib.loads(project_file.read_text())["project"]
    assert project["name"] == "pypccl"
    assert project["scripts"]["pccl_master"] == "pccl.master:main"


def test_public_names_can_be_listed():
    assert set(PUBLIC) <= set(dir(pccl))
    assert {"Result", "DeviceType", "__version__"} <= set(dir(pccl))
