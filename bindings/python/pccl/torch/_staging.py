"""Tensors in the form in which libpccl shares them: contiguous, where it takes them, of a type that it knows."""

from __future__ import annotations

import torch

from pccl.torch._flat import Named, local, stays_in_place


class Staging:
    """Entries of a shared state: tensors as they are where that is possible, copies of the others.

    Args:
        copy_all: copies of all, so that a synchronization that breaks off leaves the tensors as they were.
    """

    def __init__(self, named: Named, *, copy_all: bool) -> None:
        self.entries: list[tuple[str, torch.Tensor]] = []
        self._copies: list[tuple[torch.Tensor, torch.Tensor]] = []
        for name, tensor in named:
            own = local(tensor)
            if own.dtype.itemsize == 1:
                own = own.view(torch.uint8)  # bool and eight-bit floats
            if copy_all or not stays_in_place(own) or not own.is_contiguous():
                device = own.device if stays_in_place(own) else "cpu"
                entry = own.to(device, copy=True, memory_format=torch.contiguous_format)
                self._copies.append((own, entry))
            else:
                entry = own
            self.entries.append((name, entry))

    def put_back(self) -> None:
        """Into the tensors, what the copies hold now."""
        for own, copy in self._copies:
            own.copy_(copy)
