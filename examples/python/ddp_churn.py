#!/usr/bin/env python3
"""Gradients averaged at each step, as DistributedDataParallel does, while one peer is killed and another joins.

    python examples/python/ddp_churn.py                         # a whole run here
    python examples/python/ddp_churn.py --join HOST:48148     # one peer; start pccl-master on HOST
"""

from __future__ import annotations

import argparse
import hashlib

import torch

import pccl
import pccl.torch
from common.history import History
from common.options import Task, parser_of, quantization_of, run_here, set_lr
from common.same_bits import same_everywhere


def hash_of(model: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(parameter.detach().cpu().numpy())
    return digest.hexdigest()


def train(options: argparse.Namespace) -> None:
    """One peer, from joining to the last step."""
    task = Task(options)
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=options.lr)
    average = pccl.torch.AverageGradients(
        task.model,
        optimizer,
        pccl.Communicator(options.join),
        quantization=quantization_of(options),
        min_peers=options.peers,
    )
    history = History(options.name, "step", options.end)
    history.report(average.step, task.held_out_loss(), average.world_size, average.traffic.tx_bytes, "joined")
    retries = 0
    while average.step < options.end:
        set_lr(optimizer, options.lr, average.step / options.end)
        history.count_tokens(task.backward())
        optimizer.step()
        optimizer.zero_grad()
        if average.step % options.report_every == 0 or average.step == options.end:
            note = "a peer was lost" if average.traffic.retries > retries else ""
            retries = average.traffic.retries
            history.report(average.step, task.held_out_loss(), average.world_size, average.traffic.tx_bytes, note)
    weights = hash_of(task.model)
    history.result(hash=weights, same_bits=same_everywhere(average.communicator, weights))


def main() -> None:
    parser = parser_of(__doc__.splitlines()[0], "step", end=600, kill_at=150, join_at=250)
    parser.set_defaults(report_every=25, quantization="none")
    options = parser.parse_args()
    if options.join:
        train(options)
    else:
        run_here(options, __file__, "step")


if __name__ == "__main__":
    main()
