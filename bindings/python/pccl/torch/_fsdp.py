"""FSDP2 beside PCCL: a replica is sharded over the ranks of one torch.distributed job; ranks that hold the same shard in
different replicas are one peer group."""

from __future__ import annotations

from typing import Optional

from pccl._communicator import Communicator
from pccl.torch._seat import complete_grid


def shard_communicator(address: str, shard_rank: Optional[int] = None) -> Communicator:
    """A communicator for this rank's shard: its peer group is the rank within the replica.

    Args:
        address: of the master.
        shard_rank: default: the rank in torch.distributed's default group, which then is the replica.
    """
    if shard_rank is None:
        import torch.distributed

        shard_rank = torch.distributed.get_rank()
    return Communicator(address, peer_group=shard_rank)


def wait_for_complete_grid(communicator: Communicator, ranks_per_replica: int) -> None:
    """Blocks until every replica has all its ranks, admitting those that come. Collective over all peers of all groups;
    a newcomer calls it right after `connect`, as the others do after `update_topology`.

    Raises:
        PCCLError: as `Communicator.update_topology`.
    """
    complete_grid(communicator, ranks_per_replica)
