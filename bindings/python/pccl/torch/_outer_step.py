"""The outer step of DiLoCo: SGD with momentum on the averaged pseudo-gradient, the same bits on every machine."""

from __future__ import annotations

import dataclasses
import math

import torch

from pccl._errors import require

_SLICE = 1 << 22  # elements: what is in between takes 16 MB in float32, however large the model


@dataclasses.dataclass(frozen=True)
class OuterStep:
    """Nesterov's momentum as in torch.optim.SGD: v = m v + g, then p -= lr (g + m v), or lr v without ``nesterov``.

    Source: Douillard et al., "DiLoCo: Distributed Low-Communication Training of Language Models", arXiv 2311.08105,
    algorithm 1, whose outer optimizer this is.
    """

    lr: float = 0.7
    momentum: float = 0.9
    nesterov: bool = True

    def __post_init__(self) -> None:
        for name in ("lr", "momentum"):
            value = getattr(self, name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            require(is_number and math.isfinite(value), f"outer_{name} is {value!r}")

    def apply(self, parameters: torch.Tensor, velocity: torch.Tensor, gradient: torch.Tensor) -> None:
        """Changes all three, which are flat; the gradient is scratch afterwards.

        Each line rounds each element once, so CPUs and GPUs agree on every bit. A fused multiply-add, which some have and
        others do not, would round differently. So no ``alpha`` and no addcmul_: CUDA's add computes self + alpha other
        in one rounding, which is exact for the 1 and -1 of add_ and sub_ here, and for no other number. And no division by
        a number: on CUDA that is a product with its reciprocal. (NaN is the exception: GPUs have one, CPUs keep which.)
        """
        for slices in zip(parameters.split(_SLICE), velocity.split(_SLICE), gradient.split(_SLICE)):
            self._apply(*slices)

    def _apply(self, parameters: torch.Tensor, velocity: torch.Tensor, gradient: torch.Tensor) -> None:
        velocity.mul_(self.momentum)
        velocity.add_(gradient)
        if self.nesterov:
            gradient.add_(velocity * self.momentum)
        else:
            gradient.copy_(velocity)
        gradient.mul_(self.lr)
        parameters.sub_(gradient)
