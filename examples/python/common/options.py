"""Flags that the training examples share."""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import sys
from typing import Any, Optional

import torch

from common.gpt import GPT, Shape, loss_of
from common.history import plot
from common.local_run import Event, LocalRun, print_table
from common.text_data import TextData

EVALUATION_WINDOWS = 128


def _device(name: str) -> str:
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(str(error).partition("\n")[0]) from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise argparse.ArgumentTypeError("torch sees no GPU here")
    return name


def parser_of(description: str, unit: str, end: int, kill_at: int, join_at: int) -> argparse.ArgumentParser:
    """``unit`` is what training is counted in: rounds or steps."""
    parser = argparse.ArgumentParser(description=description)
    run = parser.add_argument_group("the run")
    run.add_argument("--join", metavar="HOST:PORT", help="be one peer of the run there, else run a whole one here")
    run.add_argument("--name", default="peer", help="how this peer signs its lines")
    run.add_argument("--peers", type=int, default=3, help="of a run here; training begins when so many are there")
    run.add_argument(f"--{unit}s", dest="end", type=int, default=end, help=f"the {unit} at which everybody stops")
    run.add_argument("--kill-at", type=int, default=kill_at, help=f"the {unit} at which a run here loses a peer; -1: none")
    run.add_argument("--newcomer-at", type=int, default=join_at, help=f"the {unit} at which it gets another; -1: none")
    run.add_argument("--churn", type=int, default=0, metavar="N", help="instead, N times a peer is killed and another one started")
    run.add_argument("--cpu-peers", type=int, default=0, metavar="N", help="the first N of a run here train on the CPU anyway")
    run.add_argument("--limit", type=float, default=600, metavar="S", help="seconds until a run here is given up")
    run.add_argument("--plot", type=pathlib.Path, metavar="FILE.png", help="where to draw the loss")
    run.add_argument("--results", type=pathlib.Path, metavar="FILE.json", help="where a run here writes what its peers say")
    run.add_argument("--report-every", type=int, default=1, metavar="N", help=f"{unit}s between two lines of a peer")
    training = parser.add_argument_group("training")
    training.add_argument("--data", type=pathlib.Path, nargs="*", default=[], help="text files; default: Python's library")
    training.add_argument("--batch", type=int, default=8, help="windows of text per step")
    training.add_argument("--lr", type=float, default=6e-3, help="of AdamW, after warming up and before it falls")
    training.add_argument("--quantization", default="uint8", help="of what is exchanged; none: float32")
    training.add_argument("--seed", type=int, help="of the text that this peer sees; default: by its name")
    training.add_argument("--device", default="cpu", type=_device, help="cpu or cuda; peers of both kinds train together")
    training.add_argument("--threads", type=int, default=1, help="of torch")
    model = parser.add_argument_group("model")
    for name, value in vars(Shape()).items():
        model.add_argument(f"--{name}", type=int, default=value, help="default: %(default)s")
    return parser


def quantization_of(options: argparse.Namespace) -> Optional[str]:
    return None if options.quantization == "none" else options.quantization


def set_lr(optimizer: torch.optim.Optimizer, peak: float, done: float) -> None:
    """``done``: the part of all steps, 0 to 1. Rises for a twentieth of them, then falls as a cosine to a tenth."""
    warm = min(1.0, 20 * done + 0.02)
    fallen = 0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, done)))
    for group in optimizer.param_groups:
        group["lr"] = peak * warm * fallen


class Task:
    """The model and the text of one peer."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.set_num_threads(options.threads)
        seed = options.seed if options.seed is not None else int.from_bytes(options.name.encode()[-6:], "little")
        self.data = TextData(options.data, options.context, seed)
        self._batch = options.batch
        torch.manual_seed(0)  # all begin alike, so there is nothing to hand over in the beginning
        self._device = torch.device(options.device)
        self.model = GPT(Shape(options.context, options.layers, options.heads, options.width)).to(self._device)

    def backward(self) -> int:
        """Gradients of a new batch; gives its tokens."""
        inputs, targets = (tensor.to(self._device) for tensor in self.data.batch(self._batch))
        loss_of(self.model, inputs, targets).backward()
        return inputs.numel()

    @torch.no_grad()
    def held_out_loss(self) -> float:
        inputs, targets = (tensor.to(self._device) for tensor in self.data.held_out(EVALUATION_WINDOWS))
        return loss_of(self.model, inputs, targets).item()


def run_here(options: argparse.Namespace, script: str, unit: str, command: Optional[list[str]] = None) -> None:
    """A master and all peers on this machine; ends with a table, and with exit code 1 unless all have learned the same."""
    events = [Event(at, what) for at, what in ((options.kill_at, "kill"), (options.newcomer_at, "start")) if at >= 0]
    if options.churn > 0:
        events = []
    results: list[dict[str, Any]] = LocalRun(
        [*(command or [sys.executable]), script, *sys.argv[1:]],
        options.peers,
        events,
        options.churn,
        options.limit,
        [["--device", "cpu"]] * options.cpu_peers,
    ).run()
    if options.results is not None:
        options.results.write_text(json.dumps(results))
    plot(results, unit, options.plot)
    if not print_table(results):
        raise SystemExit(1)
    untrained = max(result["first_loss"] for result in results)  # a newcomer begins with what the others have learned
    if any(result["last_loss"] >= untrained for result in results):
        raise SystemExit("FAILED: the loss did not fall")
