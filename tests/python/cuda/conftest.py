"""Tests that need a GPU, and a libpccl that is built for it: most have a peer on the GPU and one on the CPU, who have to get
the same bits. Skipped elsewhere, but where PCCL_REQUIRE_GPU is set; scripts/gpu_check.sh runs them."""

import os
import pathlib

import pytest

import pccl

HERE = pathlib.Path(__file__).parent


def _why_not() -> str:
    try:
        import torch
    except ImportError:
        return "no torch"
    if not torch.cuda.is_available():
        return "torch sees no GPU"
    return "" if pccl.cuda.is_available() else "this libpccl is built without CUDA"


def pytest_collection_modifyitems(items):
    if reason := _why_not():
        if os.environ.get("PCCL_REQUIRE_GPU"):
            raise pytest.UsageError(reason)
        for item in items:
            if HERE in item.path.parents:  # of all that are collected
                item.add_marker(pytest.mark.skip(reason=reason))
