"""Small models, and what they are trained to do."""

from __future__ import annotations

import torch
from torch import nn

FEATURES = 8


def with_batch_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 1))


def without_buffers() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 16), nn.Tanh(), nn.Linear(16, 1))


def of_two_types() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 16).double(), Cast(torch.float32), nn.Linear(16, 1))


def bfloat16() -> nn.Module:
    return nn.Sequential(Cast(torch.bfloat16), without_buffers().bfloat16(), Cast(torch.float32))


def channels_last() -> nn.Module:
    model = nn.Sequential(nn.Unflatten(1, (2, 2, 2)), nn.Conv2d(2, 4, 2), nn.Flatten(), nn.Linear(4, 1))
    return model.to(memory_format=torch.channels_last)


def wide() -> nn.Module:
    """Large enough for quantization: small tensors travel as they are."""
    return nn.Sequential(nn.Linear(FEATURES, 2000), nn.Tanh(), nn.Linear(2000, 1))


class Cast(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(self.dtype)


def batch(generator: torch.Generator, size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(size, FEATURES, generator=generator)
    return x, x.sum(1, keepdim=True).sin()


def loss_of(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    first = next(model.parameters())
    inputs = x.to(first.dtype) if first.dtype == torch.float64 else x
    return (model(inputs) - y).pow(2).mean()
