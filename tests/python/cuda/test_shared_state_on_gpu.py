"""The shared state of a peer on a GPU and one on the CPU."""

import pytest

from peers import together
from pccl import SharedState, SharedStateSyncStrategy, TensorInfo

torch = pytest.importorskip("torch")

from on_gpu import busy, octets

SIZES = {"one": 1, "odd": 1009, "long": 700_001, "empty": 0}
DTYPES = {"one": torch.float32, "odd": torch.bfloat16, "long": torch.float32, "empty": torch.float64}


def tensors(seed, place):
    random = torch.Generator().manual_seed(seed)
    return {name: torch.randn(size, generator=random).to(DTYPES[name]).to(place) for name, size in SIZES.items()}


def octets_of_all(held):
    return {name: octets(tensor) for name, tensor in held.items()}


@pytest.mark.parametrize("giver, taker", [("cuda", "cpu"), ("cpu", "cuda"), ("cuda", "cuda")])
def test_one_gives_and_one_takes(run, giver, taker):
    def synchronize(communicator, rank):
        held = tensors(rank, (giver, taker)[rank])
        state = SharedState([TensorInfo.from_torch(tensor, name) for name, tensor in held.items()])
        strategy = SharedStateSyncStrategy.SEND_ONLY if rank == 0 else SharedStateSyncStrategy.RECEIVE_ONLY
        info = communicator.sync_shared_state(state, strategy)
        return octets_of_all(held), info.rx_bytes > 0

    (gave, _), (took, received) = together(run.join(0, 0), synchronize)
    assert received
    assert gave == took == octets_of_all(tensors(0, "cpu"))


def test_equal_states_move_nothing(run):
    """Hashed on the GPU and on the CPU alike."""

    def synchronize(communicator, rank):
        held = tensors(5, ("cuda", "cpu")[rank])
        state = SharedState([TensorInfo.from_torch(tensor, name) for name, tensor in held.items()])
        info = communicator.sync_shared_state(state)
        return info.tx_bytes, info.rx_bytes

    assert together(run.join(0, 0), synchronize) == [(0, 0)] * 2


def test_after_work_in_a_side_stream(run):
    def synchronize(communicator, rank):
        tensor = torch.zeros(500_003, device="cuda" if rank == 0 else "cpu")
        state = SharedState([TensorInfo.from_torch(tensor, "x")])
        if rank == 1:
            communicator.sync_shared_state(state, SharedStateSyncStrategy.RECEIVE_ONLY)
            return tensor.unique().tolist()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        busy(side)
        with torch.cuda.stream(side):
            tensor.fill_(4.0)
            communicator.sync_shared_state(state, SharedStateSyncStrategy.SEND_ONLY)
        return tensor.unique().tolist()

    assert together(run.join(0, 0), synchronize) == [[4.0]] * 2
