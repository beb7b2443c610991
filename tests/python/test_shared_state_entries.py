"""Entries of the shared state: which are compared and sent, what fits together, tensors of all kinds."""

import array
import gc
import weakref

import pytest

from model import entry
from peers import codes, together
from pccl import SharedState, TensorInfo



def test_an_exempt_entry_is_neither_compared_nor_sent(run):
    run.join(0, 0, 0)
    own = [array.array("q", [rank] * 3) for rank in range(3)]
    common = [array.array("d", [rank == 2]) for rank in range(3)]
    states = [
        SharedState([entry("own", own[i], allow_content_inequality=True), entry("common", common[i])])
        for i in range(3)
    ]
    infos = together(run.peers, lambda c, i: c.sync_shared_state(states[i]))
    assert [info.rx_bytes for info in infos] == [0, 0, 8]
    assert [tensor[0] for tensor in own] == [0, 1, 2]
    assert [tensor[0] for tensor in common] == [0, 0, 0]


TENSOR = array.array("d", [0.0] * 4)
OTHER = array.array("q", [0] * 4)
FEWER = array.array("d", [0.0] * 3)
DEVIATING = {
    "name": lambda: [entry("b", TENSOR)],
    "type": lambda: [entry("a", OTHER)],
    "size": lambda: [entry("a", FEWER)],
    "exemption": lambda: [entry("a", TENSOR, allow_content_inequality=True)],
    "number of entries": lambda: [entry("a", TENSOR), entry("b", OTHER)],
}


@pytest.mark.parametrize("what", DEVIATING)
def test_a_peer_with_other_entries_is_removed(run, what):
    run.join(0, 0, 0)

    def sync(communicator, rank):
        entries = [entry("a", array.array("d", [0.0] * 4))] if rank < 2 else DEVIATING[what]()
        communicator.sync_shared_state(SharedState(entries))

    assert codes(run.peers, sync) == ["SUCCESS", "SUCCESS", "INVALID_USAGE"]


def test_the_order_of_entries_matters(run):
    run.join(0, 0, 0)

    def sync(communicator, rank):
        entries = [entry("a", array.array("d", [0])), entry("b", array.array("d", [0]))]
        communicator.sync_shared_state(SharedState(entries if rank < 2 else entries[::-1]))

    assert codes(run.peers, sync) == ["SUCCESS", "SUCCESS", "INVALID_USAGE"]


def test_entries_may_change_if_all_change_together(run):
    run.join(0, 0)

    def sync(communicator, rank):
        first = SharedState([entry("a", array.array("d", [0]))])
        communicator.sync_shared_state(first)
        second = SharedState([entry("b", TENSOR), entry("c", OTHER)])
        second.revision = 1
        communicator.sync_shared_state(second)

    assert codes(run.peers, sync) == ["SUCCESS"] * 2


@pytest.mark.parametrize("dtype", ["int8", "int16", "int64", "float16", "bfloat16", "float32"])
def test_torch_tensors_of_any_type_and_shape(run, dtype):
    torch = pytest.importorskip("torch")
    run.join(0, 0, 0)

    def sync(communicator, rank):
        late = rank == 2
        tensors = {
            "weight": torch.nn.Parameter(torch.full((3, 5), late, dtype=getattr(torch, dtype)), requires_grad=False),
            "step": torch.tensor(7 * late, dtype=torch.int64),
            "empty": torch.zeros(0),
        }
        infos = [TensorInfo.from_torch(tensor, name) for name, tensor in tensors.items()]
        communicator.sync_shared_state(SharedState(infos))
        return tensors["weight"].float().sum().item(), tensors["step"].item()

    assert together(run.peers, sync) == [(0, 0)] * 3


def test_numpy_arrays_with_an_odd_alignment(run):
    numpy = pytest.importorskip("numpy")
    run.join(0, 0, 0)

    def sync(communicator, rank):
        memory = numpy.full(100_001, rank == 2, "uint8")
        communicator.sync_shared_state(SharedState([TensorInfo.from_numpy(memory[1:], "x")]))
        return memory.tolist()

    first, _, last = together(run.peers, sync)
    assert not any(first) and last[0] == 1 and not any(last[1:])


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_state_made_of_tensors_keeps_them_alive(library):
    module = pytest.importorskip(library)
    tensor = module.zeros(1000)
    watched = weakref.ref(tensor)
    state = SharedState([getattr(TensorInfo, f"from_{library}")(tensor, "x")])
    del tensor
    gc.collect()
    assert watched() is not None
    del state
    gc.collect()
    assert watched() is None
