"""The state of any torch optimizer as tensors with names, so that it can be handed to another process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from pccl.torch._flat import local


def create_state(optimizer: torch.optim.Optimizer) -> None:
    """Makes the state that the first step would make, with zeros in it; the parameters stay as they are. Nothing for an
    optimizer that has its state already."""
    if optimizer.state:
        return
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    gradients = [p.grad for p in parameters]
    rates = [group["lr"] for group in optimizer.param_groups]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    for group in optimizer.param_groups:
        group["lr"] = torch.zeros_like(group["lr"]) if isinstance(group["lr"], torch.Tensor) else 0.0
    try:
        optimizer.step()
    finally:
        for group, rate in zip(optimizer.param_groups, rates):
            group["lr"] = rate
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient
    for parameter in parameters:
        for key, value in optimizer.state[parameter].items():
            if isinstance(value, torch.Tensor):
                local(value).zero_()
            elif _is_number(value):
                optimizer.state[parameter][key] = type(value)(0)


class NamedState:
    """What an optimizer keeps for named parameters. Plain numbers go through tensors of their own."""

    def __init__(self, optimizer: torch.optim.Optimizer, names: dict[torch.Tensor, str]) -> None:
        self._optimizer = optimizer
        self._names = names
        self._numbers: dict[tuple[torch.Tensor, str], torch.Tensor] = {}

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        self._numbers = {}
        for parameter, name in self._names.items():
            for key, value in sorted(self._optimizer.state.get(parameter, {}).items()):
                if isinstance(value, torch.Tensor):
                    yield f"optimizer/{key}/{name}", local(value)
                elif _is_number(value):
                    number = torch.tensor(value, dtype=torch.float64)
                    self._numbers[parameter, key] = number
                    yield f"optimizer/{key}/{name}", number

    def take_numbers(self) -> None:
        """After the tensors have been overwritten."""
        for (parameter, key), number in self._numbers.items():
            state = self._optimizer.state[parameter]
            state[key] = type(state[key])(number.item())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
