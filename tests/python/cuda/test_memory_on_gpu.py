"""Memory of a GPU that torch's caching allocator keeps though nobody uses it."""

import contextlib

import pytest

import pccl
from peers import together

torch = pytest.importorskip("torch")

from pccl.torch._seat import Seat

ELEMENTS = 64 << 20
BYTES = 4 * ELEMENTS


def let_torch_keep_all() -> None:
    kept = []
    with contextlib.suppress(torch.OutOfMemoryError):
        while True:
            kept.append(torch.empty(BYTES, dtype=torch.uint8, device="cuda"))


def test_training_gets_what_torch_keeps(run):
    """The op in place takes as much again as its tensor."""

    def reduce(communicator, rank):
        tensor = torch.full((ELEMENTS,), 1.0 + rank, device=("cuda", "cpu")[rank])
        if rank == 0:
            let_torch_keep_all()
            assert torch.cuda.mem_get_info()[0] < BYTES
        traffic = Seat(communicator).reduce(tensor, pccl.ReduceOp.SUM, 1)
        assert traffic is not None and traffic.tx_bytes > 0
        return tensor.min().item(), tensor.max().item()

    assert together(run.join(0, 0), reduce) == [(3.0, 3.0)] * 2
