"""FSDP2 beside PCCL: a replica is sharded over the ranks of one torch.distributed job; ranks that hold the same shard in
different replicas are one peer group."""

from __future__ import annotations

import secrets
from typing import Any

from pccl._communicator import Communicator
from pccl.torch._seat import complete_grid


def shard_communicator(address: str, replica: Any = None) -> Communicator:
    """A communicator for this rank's shard: its peer group is the rank within the replica, and the ranks of the replica
    come into the run together (`Communicator.set_cohort`). Collective over the replica.

    Args:
        address: of the master.
        replica: the torch.distributed process group over which the model is sharded; default: all ranks.
    """
    from torch import distributed

    cohort = [secrets.randbits(62) + 1]
    first = 0 if replica is None else distributed.get_global_rank(replica, 0)
    distributed.broadcast_object_list(cohort, src=first, group=replica)
    communicator = Communicator(address, peer_group=distributed.get_rank(replica))
    communicator.set_cohort(cohort[0], distributed.get_world_size(replica))
    return communicator


def wait_for_complete_grid(communicator: Communicator, ranks_per_replica: int) -> None:
    """Blocks until every replica has all its ranks, admitting those that come. Collective over all peers of all groups;
    a newcomer calls it right after `connect`, as the others do after `update_topology`.

    Raises:
        PCCLError: as `Communicator.update_topology`.
    """
    complete_grid(communicator, ranks_per_replica)
