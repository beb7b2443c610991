"""FSDP2, and NCCL, beside PCCL: a replica is the ranks of one torch.distributed job, and the ranks that hold the same
shard in different replicas are one peer group."""

from __future__ import annotations

import secrets
from typing import Any

from pccl._communicator import Communicator
from pccl.torch._seat import complete_grid

# float32 per rank. torch makes its communicators when they are used, and NCCL the connections of a collective when an algorithm
# for messages of a size is: by then, since PCCL could not give up a wait for them. The second one is 64 MiB.
_WARM_UP_COUNTS = (1, 1 << 24)


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


def attach_local(communicator: Communicator, group: Any = None) -> None:
    """All-reduces of CUDA tensors over all GPUs of all hosts: NCCL inside this host, PCCL between the hosts, each rank of
    the host with its shard of the tensor (docs/nccl.md). For a communicator of `shard_communicator` over the same group,
    and again after its `renew`; not for `DiLoCo` and `AverageGradients`, whose ranks reduce a shard of their own each.
    Collective over the group; so is from now on every all-reduce of the communicator, and torch uses the group for nothing
    else while one is inside.

    Args:
        group: a torch.distributed process group of this host with the backend nccl, one GPU a rank; default: all ranks.

    Raises:
        RuntimeError: the group has no NCCL communicator on the current GPU.
        PCCLError: as pcclCommAttachLocal.
    """
    import torch
    from torch import distributed

    device = torch.device("cuda", torch.cuda.current_device())
    for count in _WARM_UP_COUNTS:
        one = torch.zeros(count, device=device)
        of_each = torch.zeros(count * distributed.get_world_size(group), device=device)
        distributed.all_reduce(one, group=group)
        distributed.reduce_scatter_tensor(one, of_each, group=group)
        distributed.all_gather_into_tensor(of_each, one, group=group)
    torch.cuda.synchronize(device)  # connected, not only asked for
    backend = (distributed.group.WORLD if group is None else group)._get_backend(device)
    pointer = getattr(backend, "_comm_ptr", None)
    if pointer is None:
        raise RuntimeError(f"a {type(backend).__name__} of torch {torch.__version__} does not tell its NCCL communicator")
    communicator.attach_local(pointer())


def wait_for_complete_grid(communicator: Communicator, ranks_per_replica: int) -> None:
    """Blocks until every replica has all its ranks, admitting those that come. Collective over all peers of all groups;
    a newcomer calls it right after `connect`, as the others do after `update_topology`.

    Raises:
        PCCLError: as `Communicator.update_topology`.
    """
    complete_grid(communicator, ranks_per_replica)
