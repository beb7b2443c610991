"""A small GPT over bytes."""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

BYTES = 256


@dataclasses.dataclass
class Shape:
    context: int = 64
    layers: int = 2
    heads: int = 4
    width: int = 64


def rotated(x: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding (Su et al., arXiv 2104.09864) of [batch, heads, length, width per head]."""
    length, half = x.shape[-2], x.shape[-1] // 2
    place, pair = torch.arange(length, device=x.device), torch.arange(half, device=x.device)
    angle = place[:, None] * 1000.0 ** (-pair / half)
    cosine, sine = angle.cos(), angle.sin()
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=-1)


class Block(nn.Module):
    """Causal self-attention, then two linear layers, each on top of what comes in."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.before_attention = nn.LayerNorm(shape.width)
        self.query_key_value = nn.Linear(shape.width, 3 * shape.width)
        self.attention_out = nn.Linear(shape.width, shape.width)
        self.before_linear = nn.LayerNorm(shape.width)
        self.widen = nn.Linear(shape.width, 4 * shape.width)
        self.narrow = nn.Linear(4 * shape.width, shape.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        split = self.query_key_value(self.before_attention(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        query, key = rotated(query), rotated(key)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attention_out(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.narrow(F.gelu(self.widen(self.before_linear(x))))


class GPT(nn.Module):
    """Logits [batch, length, 256] of the next byte after each of [batch, length] bytes."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.byte = nn.Embedding(BYTES, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.before_logits = nn.LayerNorm(shape.width)
        self.logits = nn.Linear(shape.width, BYTES)
        self.apply(_initialize)

    def forward(self, bytes_seen: torch.Tensor) -> torch.Tensor:
        x = self.byte(bytes_seen)
        for block in self.blocks:
            x = block(x)
        return self.logits(self.before_logits(x))


def loss_of(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Nats per byte: ln 256 = 5.55 knows nothing."""
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def _initialize(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
