"""all_reduce_multiple_with_retry: many tensors at once, done again among those who remain."""

import array
import gc

import pytest

from many import PLAIN
from pccl import DataType, ReduceDescriptor, ReduceOp, ReduceOpDescriptor, ReduceOperandDescriptor
from peers import codes, together


def descriptor(tensor: array.array, tag: int, op: ReduceOp = ReduceOp.AVG) -> ReduceOpDescriptor:
    address, count = tensor.buffer_info()
    return ReduceOpDescriptor(
        address, address, ReduceDescriptor(count, op, tag, ReduceOperandDescriptor(DataType.DOUBLE), PLAIN)
    )


@pytest.mark.parametrize("world", [2, 3, 8])
@pytest.mark.parametrize("max_in_flight", [1, 4, 100])
def test_many_tensors(run, world, max_in_flight):
    def reduce(communicator, rank):
        tensors = [array.array("d", [rank + tag] * 10) for tag in range(20)]
        descriptors = [descriptor(tensor, tag) for tag, tensor in enumerate(tensors)]
        info = communicator.all_reduce_multiple_with_retry(descriptors, max_in_flight=max_in_flight)
        return [tensor[-1] for tensor in tensors], info

    for results, info in together(run.join(*[0] * world), reduce):
        assert results == [tag + (world - 1) / 2 for tag in range(20)]
        assert info.local_world_size == world
        assert info.tx_bytes > 0 and info.rx_bytes > 0


def test_bytes_are_summed_over_all_ops(run):
    def reduce(communicator, rank):
        tensors = [array.array("d", [1]) for _ in range(5)]
        return communicator.all_reduce_multiple_with_retry([descriptor(t, i) for i, t in enumerate(tensors)])

    assert [(i.tx_bytes, i.rx_bytes) for i in together(run.join(0, 0), reduce)] == [(5 * 8, 5 * 8)] * 2


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_descriptors_of_tensors_keep_them_alive(run, library):
    module = pytest.importorskip(library)

    def reduce(communicator, rank):
        what = ReduceDescriptor(1000, ReduceOp.SUM, 0, ReduceOperandDescriptor(DataType.FLOAT), PLAIN)
        make = getattr(ReduceOpDescriptor, f"from_{library}")
        result = module.zeros(1000, dtype=module.float32)
        descriptors = [make(module.full((1000,), rank + 1.0, dtype=module.float32), result, what)]
        gc.collect()
        communicator.all_reduce_multiple_with_retry(descriptors)
        return result.tolist()

    assert together(run.join(0, 0), reduce) == [[3.0] * 1000] * 2


def test_part_of_a_tensor(run):
    def reduce(communicator, rank):
        tensor = array.array("d", [1, 2, 3])
        part = ReduceDescriptor(2, ReduceOp.SUM, 0, ReduceOperandDescriptor(DataType.DOUBLE), PLAIN)
        address = tensor.buffer_info()[0]
        communicator.all_reduce_multiple_with_retry([ReduceOpDescriptor(address, address, part)])
        return tensor.tolist()

    assert together(run.join(0, 0), reduce) == [[2, 4, 3]] * 2


KEPT = array.array("d", [0] * 4)
BAD = {
    "nothing to do": ([], 4),
    "none in flight": ([descriptor(KEPT, 0)], 0),
    "fewer than none in flight": ([descriptor(KEPT, 0)], -1),
    "a tag twice": ([descriptor(KEPT, 1), descriptor(KEPT, 1)], 4),
    "no buffer": ([ReduceOpDescriptor(0, 0, descriptor(KEPT, 0).reduce_descriptor)], 4),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_arguments(run, what):
    descriptors, max_in_flight = BAD[what]

    def reduce(communicator, _):
        communicator.all_reduce_multiple_with_retry(descriptors, max_in_flight=max_in_flight)

    assert codes(run.join(0, 0), reduce) == ["INVALID_ARGUMENT"] * 2


def test_alone(run):
    assert codes(run.join(0), lambda c, _: c.all_reduce_multiple_with_retry([descriptor(KEPT, 0)])) == ["TOO_FEW_PEERS"]


def test_not_connected(run):
    run.newcomer()
    expected = ["INVALID_USAGE"]
    assert codes(run.peers, lambda c, _: c.all_reduce_multiple_with_retry([descriptor(KEPT, 0)])) == expected


@pytest.mark.parametrize("world", [3, 8])
def test_done_again_among_those_who_remain(run, world):
    """One peer leaves before it has launched anything: what the others have in flight fails, and is done without it."""
    *stay, leaver = run.join(*[0] * world)
    tensors = [[array.array("d", [rank, tag]) for tag in range(6)] for rank in range(world - 1)]

    def reduce(communicator, rank):
        if rank == 0:
            run.leave(leaver)
        descriptors = [descriptor(tensor, tag) for tag, tensor in enumerate(tensors[rank])]
        return communicator.all_reduce_multiple_with_retry(descriptors)

    infos = together(stay, reduce)
    assert [info.local_world_size for info in infos] == [world - 1] * (world - 1)
    mean = sum(range(world - 1)) / (world - 1)
    assert all(tensor.tolist() == [mean, tag] for mine in tensors for tag, tensor in enumerate(mine))


def test_left_alone_meanwhile(run):
    stays, leaver = run.join(0, 0)
    tensor = array.array("d", [1, 2])
    waiting = stays.start(lambda c: c.all_reduce_multiple_with_retry([descriptor(tensor, 0)]))
    run.leave(leaver)
    with pytest.raises(Exception, match="TOO_FEW_PEERS"):
        waiting.result(60)
    assert tensor.tolist() == [1, 2]
