"""What peers do in the tests: the functions that a `crew.Peer` is given."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any, Optional

import torch
from torch import nn

import pccl
import pccl.torch
from pccl.torch import RoundReport, StepReport

STEPS = 3  # of a round


def a_model() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 1))


def loss_of(me: SimpleNamespace) -> torch.Tensor:
    x = torch.randn(16, 8, generator=me.generator)
    return (me.model(x) - x.sum(1, keepdim=True).sin()).pow(2).mean()


def join_diloco(me: SimpleNamespace, address: str, seed: int = 0, **options: Any) -> int:
    """Gives the round that it is in now. ``seed`` of the initial model and of the data."""
    torch.manual_seed(seed)
    me.generator = torch.Generator().manual_seed(seed)
    me.model = options.pop("model", a_model)()
    me.inner = torch.optim.AdamW(me.model.parameters(), lr=1e-2)
    me.reports = []
    options = {"sync_every": STEPS, **options}
    me.communicator = options.pop("communicator", None) or pccl.Communicator(address)
    me.diloco = pccl.torch.DiLoCo(me.model, me.inner, me.communicator, on_round=me.reports.append, **options)
    return me.diloco.round


def inner_step(me: SimpleNamespace) -> Optional[RoundReport]:
    loss_of(me).backward()
    me.inner.step()
    me.inner.zero_grad()
    return me.diloco.step()


def train_rounds(me: SimpleNamespace, count: int = 1) -> list[RoundReport]:
    reports = []
    while len(reports) < count:
        if (report := inner_step(me)) is not None:
            reports.append(report)
    return reports


def train_until(me: SimpleNamespace, last: int) -> None:
    while me.diloco.round < last:
        inner_step(me)


def finish(me: SimpleNamespace) -> None:
    me.diloco.finish()


def outer_hash(me: SimpleNamespace) -> tuple[int, str, str]:
    """Round, hash of the outer parameters, hash of all shared state."""
    state = me.diloco.state_dict()
    tensors = b"".join(tensor.numpy().tobytes() for _, tensor in sorted(state["tensors"].items()))
    return me.diloco.round, me.diloco.parameter_hash(), hashlib.sha256(tensors).hexdigest()


def model_hash(me: SimpleNamespace) -> str:
    return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in me.model.parameters())).hexdigest()


def join_and_train(me: SimpleNamespace, address: str, last: int, pace: float = 0, **options: Any) -> tuple:
    import time
    join_diloco(me, address, **options)
    while me.diloco.round < last:
        time.sleep(pace)
        inner_step(me)
    me.diloco.finish()
    return outer_hash(me)


def join_average(me: SimpleNamespace, address: str, seed: int = 0, optimizer=torch.optim.AdamW, **options: Any) -> int:
    torch.manual_seed(seed)
    me.generator = torch.Generator().manual_seed(seed)
    me.model = options.pop("model", a_model)()
    me.optimizer = optimizer(me.model.parameters(), **options.pop("optimizer_options", {"lr": 1e-2}))
    me.reports = []
    me.communicator = pccl.Communicator(address)
    me.average = pccl.torch.AverageGradients(me.model, me.optimizer, me.communicator, on_step=me.reports.append, **options)
    return me.average.step


def take_steps(me: SimpleNamespace, count: int = 1) -> list[StepReport]:
    for _ in range(count):
        loss_of(me).backward()
        me.optimizer.step()
        me.optimizer.zero_grad()
    return me.reports[-count:]


def average_until(me: SimpleNamespace, address: str, last: int, pace: float = 0, **options: Any) -> tuple:
    import time
    options.pop("overlap", None)
    join_average(me, address, **options)
    while me.average.step < last:
        time.sleep(pace)
        take_steps(me)
    return model_hash(me)
