#!/usr/bin/env python3
"""DiLoCo: peers train a small GPT over bytes, and exchange only how far they have come every 50 steps, as 8-bit codes.

    python examples/python/diloco_gpt.py                        # a whole run here: 3 peers, one killed, one late
    python examples/python/diloco_gpt.py --join HOST:48148    # one peer; start pccl-master on HOST
"""

from __future__ import annotations

import argparse

import torch

import pccl
import pccl.torch
from common.history import History
from common.options import Task, parser_of, quantization_of, run_here, set_lr
from common.same_bits import same_everywhere


def train(options: argparse.Namespace) -> None:
    """One peer, from joining to the last round."""
    task = Task(options)
    inner = torch.optim.AdamW(task.model.parameters(), lr=options.lr)
    diloco = pccl.torch.DiLoCo(
        task.model,
        inner,
        pccl.Communicator(options.join),
        sync_every=options.inner_steps,
        outer_lr=options.outer_lr,
        outer_momentum=options.outer_momentum,
        quantization=quantization_of(options),
        overlap=options.overlap,
        min_peers=options.peers,
    )
    history = History(options.name, "round", options.end)
    history.report(diloco.round, task.held_out_loss(), diloco.world_size, diloco.traffic.tx_bytes, "joined")
    while diloco.round < options.end:
        set_lr(inner, options.lr, diloco.progress / options.end)
        history.count_tokens(task.backward())
        inner.step()
        inner.zero_grad()
        report = diloco.step()
        if report is not None and (report.round % options.report_every == 0 or report.round == options.end):
            note = "a peer was lost" if report.retries else ""
            history.report(report.round, task.held_out_loss(), report.world_size, diloco.traffic.tx_bytes, note)
    diloco.finish()
    weights = diloco.parameter_hash()
    history.result(hash=weights, same_bits=same_everywhere(diloco.communicator, weights))


def train_alone(options: argparse.Namespace) -> None:
    """What DiLoCo is measured by: one process with the samples of all peers in each step."""
    options.batch *= options.peers
    task = Task(options)
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=options.lr)
    history = History(options.name, "round", options.end)
    history.report(0, task.held_out_loss(), 1, 0)
    for step in range(options.end * options.inner_steps):
        set_lr(optimizer, options.lr, step / (options.end * options.inner_steps))
        history.count_tokens(task.backward())
        optimizer.step()
        optimizer.zero_grad()
        done = step + 1
        if done % (options.inner_steps * options.report_every) == 0 or done == options.end * options.inner_steps:
            history.report(done // options.inner_steps, task.held_out_loss(), 1, 0)
    history.result(parameters=sum(p.numel() for p in task.model.parameters()))


def main(script: str = __file__, **defaults: object) -> None:
    parser = parser_of(__doc__.splitlines()[0], "round", end=40, kill_at=10, join_at=15)
    diloco = parser.add_argument_group("DiLoCo")
    diloco.add_argument("--inner-steps", type=int, default=50, help="steps between two exchanges")
    diloco.add_argument("--outer-lr", type=float, default=0.7)
    diloco.add_argument("--outer-momentum", type=float, default=0.6)
    diloco.add_argument("--overlap", action="store_true", help="exchange beside the next round's steps")
    diloco.add_argument("--alone", action="store_true", help="one process with the samples of --peers, without PCCL")
    parser.set_defaults(**defaults)
    options = parser.parse_args()
    if options.alone:
        train_alone(options)
    elif options.join:
        train(options)
    else:
        run_here(options, script, "round")


if __name__ == "__main__":
    main()
