"""Lifetimes around all_reduce_async: tensors, handles and communicators that the program lets go of too early."""

import array
import gc
import weakref

import pytest

from only_dlpack import OnlyDLPack
from peers import codes, outcomes, together
from pccl import AsyncReduceHandle, Attribute, Communicator, PCCLError, ReduceInfo, ReduceOp

COUNT = 50_000


def values(kind: str, rank: int):
    numpy = pytest.importorskip("numpy")
    tensor = numpy.full(COUNT, rank + 1.0, "float32")
    if kind == "numpy":
        return tensor
    if kind == "buffer":
        return array.array("f", tensor)
    torch = pytest.importorskip("torch")
    return OnlyDLPack(torch.from_numpy(tensor)) if kind == "dlpack" else torch.from_numpy(tensor)


@pytest.mark.parametrize("kind", ["numpy", "torch", "dlpack", "buffer"])
def test_tensors_live_until_the_op_is_awaited(run, kind):
    peers = run.join(0, 0)

    def launch(communicator):
        send, recv = values(kind, 0), values(kind, 5)
        watched = [weakref.ref(send), weakref.ref(recv)]
        return communicator.all_reduce_async(send, recv, op=ReduceOp.SUM), watched

    handle, watched = peers[0].call(launch)
    gc.collect()
    assert all(tensor() is not None for tensor in watched)
    recv = watched[1]()
    other = values(kind, 1)
    peers[1].call(lambda c: c.all_reduce(other, other, op=ReduceOp.SUM))
    assert peers[0].call(lambda _: handle.wait())[0]
    assert getattr(recv, "tensor", recv).tolist() == [3.0] * COUNT
    del recv
    gc.collect()
    assert all(tensor() is None for tensor in watched)


def test_the_outcome_is_a_triple_that_can_be_asked_for_again(run):
    def reduce(communicator, rank):
        tensor = array.array("d", [rank, 1])
        handle = communicator.all_reduce_async(tensor, tensor, op=ReduceOp.SUM, tag=7)
        assert isinstance(handle, AsyncReduceHandle)
        first = handle.wait()
        assert tensor.tolist() == [1, 2]
        return first, handle.wait()

    for first, again in together(run.join(0, 0), reduce):
        assert again == first
        success, status, info = first
        assert (success, status, info.local_world_size) == (True, 0, 2)
        assert isinstance(info, ReduceInfo) and info.tx_bytes == info.rx_bytes == 16


def test_launch_order_may_differ(run):
    def reduce(communicator, rank):
        tensors = {tag: array.array("q", [tag, rank]) for tag in range(20)}
        order = sorted(tensors, reverse=bool(rank))
        handles = {tag: communicator.all_reduce_async(tensors[tag], tensors[tag], op=ReduceOp.SUM, tag=tag)
                   for tag in order}  # fmt: skip
        assert all(handle.wait()[0] for handle in handles.values())
        return {tag: tensor.tolist() for tag, tensor in tensors.items()}

    assert together(run.join(0, 0), reduce) == [{tag: [2 * tag, 1] for tag in range(20)}] * 2


def test_a_failed_op_is_an_outcome_not_an_exception(run):
    leaver, stays = run.join(0, 0)
    tensor = array.array("d", [1, 2])
    handle = stays.call(lambda c: c.all_reduce_async(tensor, tensor, op=ReduceOp.SUM))
    run.leave(leaver)
    nothing = (False, 8, ReduceInfo(0, 0, 0))
    assert stays.call(lambda _: handle.wait()) == nothing
    assert stays.call(lambda _: handle.wait()) == nothing
    assert tensor.tolist() == [1, 2]
    assert stays.attribute(Attribute.LOCAL_WORLD_SIZE) == 1


PHASES = {
    "update_topology": lambda c: c.update_topology(),
    "optimize_topology": lambda c: c.optimize_topology(),
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_handle_that_was_dropped_is_still_pending(run, phase):
    peers = run.join(0, 0)
    tensor = array.array("d", [1, 2])
    peers[0].call(lambda c: c.all_reduce_async(tensor, tensor, op=ReduceOp.SUM) and None)
    gc.collect()
    assert codes(peers[:1], lambda c, _: PHASES[phase](c)) == ["PENDING_ASYNC_OPS"]


def test_a_tag_of_an_op_in_flight_is_taken(run):
    peers = run.join(0, 0)

    def launch(communicator, tag):
        tensor = array.array("d", [1, 2])
        return communicator.all_reduce_async(tensor, tensor, op=ReduceOp.SUM, tag=tag)

    handle = peers[0].call(launch, 3)
    with pytest.raises(PCCLError, match="INVALID_ARGUMENT"):
        peers[0].call(launch, 3)
    other = peers[1].call(launch, 3)
    assert peers[0].call(lambda _: handle.wait())[0] and peers[1].call(lambda _: other.wait())[0]


def test_closing_with_ops_in_flight(run):
    leaver, stays = run.join(0, 0)
    tensors = [array.array("d", [rank, 2]) for rank in range(2)]
    handle = leaver.call(lambda c: c.all_reduce_async(tensors[0], tensors[0], op=ReduceOp.SUM))
    leaver.communicator.close()
    success, status, info = handle.wait()
    assert not success and status != 0 and info == ReduceInfo(0, 0, 0)
    assert tensors[0].tolist() == [0, 2]
    [error] = outcomes([stays], lambda c, _: c.all_reduce(tensors[1], tensors[1], op=ReduceOp.SUM))
    assert error.result.name in ("RANK_CONNECTION_LOST", "TOO_FEW_PEERS")
    assert tensors[1].tolist() == [1, 2]


def test_closing_releases_the_tensors(run):
    peers = run.join(0, 0)
    tensor = array.array("d", [1, 2])
    watched = weakref.ref(tensor)
    handle = peers[0].call(lambda c: c.all_reduce_async(tensor, tensor, op=ReduceOp.SUM))
    peers[0].communicator.close()
    del tensor
    gc.collect()
    assert watched() is None
    assert not handle.wait()[0]


def test_a_deleted_communicator_leaves_even_with_ops_in_flight(run):
    [stays] = run.join(0)

    def admit(communicator):
        while communicator.get_attribute(Attribute.GLOBAL_WORLD_SIZE) < 2:
            communicator.update_topology()

    def come_and_go(_):
        communicator = Communicator(run.address)
        communicator.connect(n_attempts=1)
        tensor = array.array("d", [1, 2])
        communicator.all_reduce_async(tensor, tensor, op=ReduceOp.SUM)

    admitted = stays.start(admit)
    run.newcomer().call(come_and_go)  # that peer's own communicator stays unconnected
    admitted.result(60)
    gc.collect()
    stays.call(lambda c: c.update_topology())
    assert stays.attribute(Attribute.GLOBAL_WORLD_SIZE) == 1


def test_a_handle_keeps_its_communicator(run):
    peers = run.join(0, 0)
    tensor, other = array.array("d", [1, 2]), array.array("d", [1, 2])
    handle = peers[0].call(lambda c: c.all_reduce_async(tensor, tensor, op=ReduceOp.SUM))
    watched = weakref.ref(peers[0].communicator)
    peers[0].communicator = None
    gc.collect()
    assert watched() is not None
    peers[1].call(lambda c: c.all_reduce(other, other, op=ReduceOp.SUM))
    assert handle.wait()[0]
    assert tensor.tolist() == other.tolist() == [2, 4]
    peers[0].communicator = watched()
