"""The model that all peers share, and how far one peer has gone from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Optional

import torch

from pccl._errors import require
from pccl.torch._flat import FlatTensors, Named, persistent_buffers
from pccl.torch._outer_step import OuterStep


class Change:
    """Outer model minus a peer's: the pseudo-gradient of the parameters, and the same of the buffers.

    ``weight`` is 0 of a peer that has done no steps, else 1.
    """

    def __init__(self, parameters: Named, buffers: Named, *, on_host: bool = False) -> None:
        self.parameters = FlatTensors(parameters, on_host=on_host)
        self.buffers = FlatTensors(buffers, on_host=on_host)
        self.weight = 0.0

    def forget(self) -> None:
        self.weight = 0.0
        self.parameters.zero_()
        self.buffers.zero_()


class OuterModel:
    """Outer parameters and their velocity, and the buffers (running means and the like), which are merely averaged.

    Where `FlatTensors` are; the model itself is the peer's own between two rounds.

    Args:
        ahead: whether `hand_out` may give the model more than the outer one; takes memory for where it began.
        on_host: as of `FlatTensors`.
    """

    def __init__(self, model: torch.nn.Module, step: OuterStep, *, ahead: bool, on_host: bool = False) -> None:
        self._model = model
        self._step = step
        # Those of now: later ones are the peer's own, and one that is frozen later only has no change any more.
        self._parameter_names = [name for name, p in model.named_parameters() if p.requires_grad]
        self._buffer_names = persistent_buffers(model)
        self._on_host = on_host
        self.parameters = FlatTensors(self._own_parameters(), on_host=on_host)
        self.velocity = FlatTensors(self._own_parameters(), on_host=on_host)
        self.buffers = FlatTensors(self._own_buffers(), on_host=on_host)
        self.parameters.copy_from(self._own_parameters())
        self.buffers.copy_from(self._own_buffers())
        # Where the model began after the last hand_out.
        self._start_parameters, self._start_buffers = self.parameters, self.buffers
        if ahead:
            self._start_parameters = FlatTensors(self._own_parameters(), on_host=on_host)
            self._start_buffers = FlatTensors(self._own_buffers(), on_host=on_host)

    def new_change(self) -> Change:
        return Change(self._own_parameters(), self._own_buffers(), on_host=self._on_host)

    def measure(self, change: Change) -> None:
        """How far the model has gone since `hand_out`."""
        change.weight = 1.0
        change.parameters.difference(self._start_parameters, self._own_parameters())
        change.buffers.difference(self._start_buffers, self._own_buffers())

    def apply(self, change: Change) -> None:
        """Takes the outer step with the average of all peers' changes, which is scratch afterwards."""
        for outer, velocity, gradient in zip(self.parameters.long, self.velocity.long, change.parameters.long):
            self._step.apply(outer, velocity, gradient)
        for outer, average in zip(self.buffers.long, change.buffers.long):
            outer.sub_(average)

    def hand_out(self, ahead_by: Optional[Change] = None) -> None:
        """Sets the model to the outer one, or to where that would be after ``ahead_by``."""
        if ahead_by is not None:
            for start, outer, change in (
                (self._start_parameters, self.parameters, ahead_by.parameters),
                (self._start_buffers, self.buffers, ahead_by.buffers),
            ):
                for sum_, begun, gone in zip(start.long, outer.long, change.long):
                    torch.sub(begun, gone, out=sum_)
        self._start_parameters.copy_to(self._own_parameters())
        self._start_buffers.copy_to(self._own_buffers())

    def shared_tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """What all peers hold bit by bit the same after a round."""
        yield from self.parameters.named("parameter")
        yield from self.velocity.named("velocity")
        yield from self.buffers.named("buffer")

    def hash(self) -> str:
        """SHA-256 of the outer parameters' bits."""
        digest = hashlib.sha256()
        for flat in self.parameters.long:
            digest.update(flat.cpu().view(torch.uint8).numpy())
        return digest.hexdigest()

    def state_dict(self) -> dict[str, Any]:
        return {name: tensor.to("cpu", copy=True) for name, tensor in self.shared_tensors()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, tensor in self.shared_tensors():
            require(name in state, f"the checkpoint has no {name}")
            require(state[name].shape == tensor.shape, f"{name} is {list(state[name].shape)} in the checkpoint")
            tensor.copy_(state[name])

    def _own_parameters(self) -> list[tuple[str, torch.Tensor]]:
        named = dict(self._model.named_parameters())
        return [(name, named[name]) for name in self._parameter_names]

    def _own_buffers(self) -> list[tuple[str, torch.Tensor]]:
        named = dict(self._model.named_buffers())
        return [(name, named[name]) for name in self._buffer_names]
