"""A peer in the test's own process, for what does not take two."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pccl
import pccl.torch
import torch


@contextlib.contextmanager
def diloco(crew: Any, model: torch.nn.Module, **options: Any) -> Iterator[pccl.torch.DiLoCo]:
    with pccl.Communicator(crew.address) as communicator:
        inner = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
        yield pccl.torch.DiLoCo(model, inner, communicator, **{"sync_every": 1, **options})


@contextlib.contextmanager
def average_gradients(
    crew: Any, model: torch.nn.Module, optimizer: torch.optim.Optimizer, **options: Any
) -> Iterator[pccl.torch.AverageGradients]:
    with pccl.Communicator(crew.address) as communicator:
        yield pccl.torch.AverageGradients(model, optimizer, communicator, **options)
