"""Tensors of a model, one after the other in a few long ones: one all-reduce of a long tensor fills the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch

from pccl._cuda import has_support
from pccl._errors import require

Named = Iterable[tuple[str, torch.Tensor]]


def local(tensor: torch.Tensor) -> torch.Tensor:
    """What of it lies on this rank: the shard of a DTensor, else all; complex numbers as pairs. Shares its memory."""
    shard = (tensor.to_local() if hasattr(tensor, "to_local") else tensor).detach()
    return torch.view_as_real(shard) if shard.is_complex() else shard


def persistent_buffers(model: torch.nn.Module) -> list[str]:
    """Names of the buffers that are state. The others (caches, masks) are each peer's own, and may grow."""
    caches = {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        for name in module._non_persistent_buffers_set
    }
    return [name for name, _ in model.named_buffers() if name not in caches]


def stays_in_place(tensor: torch.Tensor) -> bool:
    """Whether libpccl takes it where it is: in host memory, or on a GPU by a build with CUDA support."""
    return tensor.device.type == "cpu" or (
        tensor.device.type == "cuda" and has_support() and torch.version.hip is None
    )


class FlatTensors:
    """Copies of named tensors, in one long tensor per type: float64 of float64 and integers, else float32.

    On the GPU that all of them are on, if libpccl reduces there, else in host memory; laid out alike on all peers. The
    named ones are views: what is written to the long tensors is seen there.

    Args:
        on_host: in any case.
    """

    def __init__(self, like: Named, *, on_host: bool = False) -> None:
        like = list(like)
        where = _where(like, on_host)
        shapes = {name: (local(tensor).shape, _type_of_copy(local(tensor))) for name, tensor in like}
        self.long: list[torch.Tensor] = []
        self.views: dict[str, torch.Tensor] = {}
        for dtype in (torch.float32, torch.float64):
            of_type = {name: shape for name, (shape, wanted) in shapes.items() if wanted == dtype}
            if not of_type:
                continue
            flat = torch.zeros(sum(shape.numel() for shape in of_type.values()), dtype=dtype, **where)
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
            require(name in self.views, f"{name} was not there, or needed no gradient, in the beginning")
            view, source = self.views[name], local(tensor)
            require(source.shape == view.shape, f"{name} is {list(source.shape)} now, it was {list(view.shape)}")
            view.copy_(source)

    def copy_to(self, tensors: Named) -> None:
        for name, tensor in tensors:
            target = local(tensor)
            target.copy_(_as_taken_by(self.views[name], target))

    def difference(self, given: FlatTensors, tensors: Named) -> None:
        """``given``, which `copy_to` has written to the tensors, minus what they are now.

        Both as the tensors' type has them: rounding, which is the same on all peers, is no way that a model has gone.
        """
        self.copy_from(tensors)
        for name, tensor in tensors:
            before, now = _as_taken_by(given.views[name], tensor), self.views[name]
            same = before == now
            torch.sub(before, now, out=now)
            now.masked_fill_(same, 0)  # infinite values, as of masks, minus themselves

    def named(self, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
        for name, view in self.views.items():
            yield f"{prefix}/{name}", view


def _where(like: Named, on_host: bool) -> dict[str, Any]:
    """Options of torch.zeros."""
    locals_ = {own.device: own for own in (local(tensor) for _, tensor in like)}
    if len(locals_) == 1 and not on_host and all(map(stays_in_place, locals_.values())):
        return {"device": next(iter(locals_))}
    # Pinned, GPUs copy to it and from it at their full speed.
    return {"pin_memory": any(device.type == "cuda" for device in locals_) and torch.cuda.is_available()}


def _type_of_copy(tensor: torch.Tensor) -> torch.dtype:
    exact = tensor.dtype == torch.float64 or not tensor.is_floating_point()
    return torch.float64 if exact else torch.float32


def _as_taken_by(view: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """Rounded to what the tensor's type can hold. Complex ones have their real type's precision."""
    if tensor.is_complex():
        return view
    return view.to(tensor.dtype) if tensor.is_floating_point() else view.round()
