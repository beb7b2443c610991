#!/usr/bin/env python3
"""DiLoCo over sharded replicas: FSDP2 and gloo or NCCL inside a replica, PCCL between the replicas, shard by shard.

    python examples/python/fsdp_diloco_gpt.py                   # 2 replicas of 2 ranks each on this machine
    python examples/python/fsdp_diloco_gpt.py --device cuda --cpu-peers 1               # one of them on GPUs, or on one
    torchrun --nproc-per-node 2 examples/python/fsdp_diloco_gpt.py --join HOST:48148    # one replica
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import pccl
import pccl.torch
from common.history import History
from common.options import Task, parser_of, quantization_of, run_here, set_lr
from common.same_bits import same_everywhere


def take_device(kind: str) -> str:
    """Of this rank. Ranks may share a GPU, which NCCL does not allow: gloo then takes its tensors through the host."""
    if kind == "cpu":
        dist.init_process_group("gloo")
        return kind
    rank, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    torch.cuda.set_device(rank % gpus)
    has_one_each = int(os.environ["LOCAL_WORLD_SIZE"]) <= gpus
    dist.init_process_group("cpu:gloo,cuda:nccl" if has_one_each else "gloo")
    return f"{kind}:{rank % gpus}"


def shard(model: torch.nn.Module, kind: str) -> None:
    mesh = init_device_mesh(kind, (dist.get_world_size(),))
    for module in (*model.blocks, model):
        fully_shard(module, mesh=mesh)
        module.set_force_sum_reduction_for_comms(True)  # and a division: gloo need not know averages


def train(options: argparse.Namespace) -> None:
    """One rank of one replica. Ranks of a replica see different text, as in any FSDP job."""
    warnings.filterwarnings("ignore", message=".*returned a view tensor")  # nothing here writes to the logits
    kind = torch.device(options.device).type  # each rank has a GPU by its number
    options.device = take_device(kind)
    rank = dist.get_rank()
    options.name = f"{options.name}.{rank}"
    task = Task(options)
    shard(task.model, kind)
    inner = torch.optim.AdamW(task.model.parameters(), lr=options.lr)
    diloco = pccl.torch.DiLoCo(
        task.model,
        inner,
        pccl.torch.shard_communicator(options.join),
        sync_every=options.inner_steps,
        quantization=quantization_of(options),
        min_peers=options.peers,
        ranks_per_replica=dist.get_world_size(),
    )
    history = History(options.name, "round", options.end) if rank == 0 else None

    def report(note: str = "") -> None:
        loss = task.held_out_loss()  # all ranks of the replica take part
        if history is not None:
            history.report(diloco.round, loss, diloco.world_size, diloco.traffic.tx_bytes, note)

    report("joined")
    while diloco.round < options.end:
        set_lr(inner, options.lr, diloco.progress / options.end)
        tokens = task.backward()
        if history is not None:
            history.count_tokens(tokens)
        inner.step()
        inner.zero_grad()
        if diloco.step() is not None:
            report()
    weights = diloco.parameter_hash()
    same = torch.tensor([same_everywhere(diloco.communicator, weights)])
    dist.all_reduce(same, op=dist.ReduceOp.MIN)  # every shard of the replica
    if history is not None:
        history.result(hash=weights, same_bits=bool(same.item()))
    dist.destroy_process_group()


def main() -> None:
    parser = parser_of(__doc__.splitlines()[0], "round", end=20, kill_at=-1, join_at=-1)
    parser.add_argument("--inner-steps", type=int, default=25, help="steps between two exchanges")
    parser.add_argument("--ranks", type=int, default=2, help="per replica, of a run here")
    parser.set_defaults(peers=2)
    options = parser.parse_args()
    if options.join:
        train(options)
    else:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(options.ranks)]
        # Not by this machine's name, which need not resolve.
        run_here(options, __file__, "round", [*torchrun, "--local-addr", "127.0.0.1"])


if __name__ == "__main__":
    main()
