"""The state of any torch optimizer as tensors with names, so that it can be handed to another process."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Union

import torch

from pccl._errors import require

_State = dict[torch.Tensor, dict[str, Any]]


class NamedState:
    """What an optimizer keeps for named parameters, and the numbers among its options, which some count in.

    Before its first step an optimizer has no state, and only that step knows how it begins. Until then a stand-in of the
    same shape is shared, which becomes the state when it has taken over that of others.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, names: dict[torch.Tensor, str]) -> None:
        self._optimizer = optimizer
        self._names = names
        self._exists = torch.zeros((), dtype=torch.int64)
        self._stand_in: _State = {}
        # Plain numbers go through tensors of their own: (where they are, under which key, tensor).
        self._numbers: list[tuple[dict[str, Any], str, torch.Tensor]] = []

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        self._numbers = []
        state = {p: self._optimizer.state[p] for p in self._names if self._optimizer.state.get(p)}
        self._exists.fill_(bool(state))
        yield "optimizer/has_state", self._exists
        if not state:
            state = self._stand_in = self._stand_in or state_after_a_step(self._optimizer)
        for parameter, name in self._names.items():
            yield from self._entries(state.get(parameter, {}), name)
        for index, group in enumerate(self._optimizer.param_groups):
            options = {key: group[key] for key in self._optimizer.defaults if key in group}
            yield from self._entries(options, f"group {index}", group)

    def taken_over(self) -> None:
        """The tensors may have been overwritten."""
        for where, key, number in self._numbers:
            value = number.item()
            where[key] = int(value) if isinstance(where[key], int) and value.is_integer() else value
        if self._exists and self._stand_in:
            self._optimizer.state.update(self._stand_in)
        elif not self._exists:
            self._optimizer.state.clear()
        self._stand_in, self._numbers = {}, []

    def _entries(
        self, values: dict[str, Any], name: str, where: Union[dict[str, Any], None] = None
    ) -> Iterator[tuple[str, torch.Tensor]]:
        for key, value in sorted(values.items()):
            if isinstance(value, torch.Tensor):
                yield f"optimizer/{key}/{name}", value
            elif isinstance(value, (int, float)) and not isinstance(value, bool):
                number = torch.tensor(value, dtype=torch.float64)
                self._numbers.append((values if where is None else where, key, number))
                yield f"optimizer/{key}/{name}", number


def state_after_a_step(optimizer: torch.optim.Optimizer) -> _State:
    """Of the same names, shapes and types as the state of this optimizer will be, which is left as it is."""
    trial = copy.deepcopy(optimizer)
    ours = [p for group in optimizer.param_groups for p in group["params"]]
    theirs = [p for group in trial.param_groups for p in group["params"]]
    for parameter in theirs:
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    try:
        trial.step()
    except TypeError as error:
        require("closure" not in str(error), f"{type(optimizer).__name__} steps with a closure only: {error}")
        raise
    except RuntimeError as error:
        require("dense gradients" not in str(error), f"{type(optimizer).__name__} wants sparse gradients: {error}")
        raise
    return {own: trial.state[twin] for own, twin in zip(ours, theirs) if twin in trial.state}
