"""Tensors of a model, one after the other in a few long ones: one all-reduce of a long tensor fills the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

Named = Iterable[tuple[str, torch.Tensor]]


def local(tensor: torch.Tensor) -> torch.Tensor:
    """What of it lies on this rank: the shard of a DTensor, else all; shares its memory."""
    shard = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return shard.detach()


class FlatTensors:
    """Copies in host memory of named tensors, in one long tensor per type: float64 of float64 and integers, else float32.

    The named ones are views: what is written to the long tensors is seen there.
    """

    def __init__(self, like: Named) -> None:
        shapes = {name: (local(tensor).shape, _type_of_copy(tensor)) for name, tensor in like}
        self.long: list[torch.Tensor] = []
        self.views: dict[str, torch.Tensor] = {}
        for dtype in (torch.float32, torch.float64):
            of_type = {name: shape for name, (shape, wanted) in shapes.items() if wanted == dtype}
            if not of_type:
                continue
            flat = torch.zeros(sum(shape.numel() for shape in of_type.values()), dtype=dtype)
            self.long.append(flat)
            begin = 0
            for name, shape in of_type.items():
                self.views[name] = flat[begin : begin + shape.numel()].view(shape)
                begin += shape.numel()

    def numel(self) -> int:
        return sum(flat.numel() for flat in self.long)

    def zero_(self) -> None:
        for flat in self.long:
            flat.zero_()

    def copy_from(self, tensors: Named) -> None:
        for name, tensor in tensors:
            self.views[name].copy_(local(tensor))

    def copy_to(self, tensors: Named) -> None:
        for name, tensor in tensors:
            view, target = self.views[name], local(tensor)
            target.copy_(view if target.is_floating_point() else view.round())

    def named(self, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
        for name, view in self.views.items():
            yield f"{prefix}/{name}", view


def _type_of_copy(tensor: torch.Tensor) -> torch.dtype:
    exact = tensor.dtype == torch.float64 or not tensor.is_floating_point()
    return torch.float64 if exact else torch.float32
