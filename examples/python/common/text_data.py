"""Bytes of text to learn from: Python's own standard library, or any files."""

from __future__ import annotations

import pathlib
import sysconfig

import torch

HELD_OUT_PART = 10  # the last tenth of each file


class TextData:
    """Windows of text, drawn at random; a byte is a token.

    Args:
        files: what to read; none: the modules of the standard library, some MB that are on every machine with Python.
        seed: of the windows that `batch` draws.
    """

    def __init__(self, files: list[pathlib.Path], context: int, seed: int) -> None:
        paths = files or sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py"))
        contents = [path.read_bytes() for path in paths]
        self._context = context
        self._train = _tensor(b"".join(c[: len(c) - len(c) // HELD_OUT_PART] for c in contents))
        self._held_out = _tensor(b"".join(c[len(c) - len(c) // HELD_OUT_PART :] for c in contents))
        if min(self._train.numel(), self._held_out.numel()) <= context:
            raise SystemExit(f"the text is too short for windows of {context} bytes")
        self._random = torch.Generator().manual_seed(seed)

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets, [size, context] each."""
        return self._windows(self._train, size, self._random)

    def held_out(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Of text that nobody trains on; always the same windows."""
        return self._windows(self._held_out, size, torch.Generator().manual_seed(0))

    def _windows(self, text: torch.Tensor, size: int, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        starts = torch.randint(text.numel() - self._context, (size, 1), generator=random)
        windows = text[starts + torch.arange(self._context + 1)].long()
        return windows[:, :-1], windows[:, 1:]


def _tensor(text: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)
