"""Every element type with every operation: the right numbers, in place and out of place, the same bits on all peers."""

import pytest

from peers import together
from pccl import Attribute, DistributionHint, ReduceOp, ReduceOperandDescriptor

numpy = pytest.importorskip("numpy")

from values import DTYPES, NUMPY_DTYPES, carrier, inputs, reduced

# Prime, and more than the 32 KiB that may go through the master, also of the smallest type.
COUNT = 40_009


@pytest.mark.parametrize("op", list(ReduceOp))
@pytest.mark.parametrize("dtype", NUMPY_DTYPES)
def test_numpy(run, dtype, op):
    peers = run.join(0, 0)
    tensors = [inputs(dtype, rank, COUNT) for rank in range(2)]
    expected = reduced(op, tensors)

    def reduce(communicator, rank):
        send, recv, in_place = tensors[rank].copy(), numpy.zeros(COUNT, dtype), tensors[rank].copy()
        communicator.all_reduce(send, recv, op=op)
        communicator.all_reduce(in_place, in_place, op=op)
        return send, recv, in_place

    for rank, (send, recv, in_place) in enumerate(together(peers, reduce)):
        assert numpy.array_equal(send, tensors[rank])
        assert numpy.array_equal(recv, expected)
        assert numpy.array_equal(in_place, expected)


@pytest.mark.parametrize("op", list(ReduceOp))
@pytest.mark.parametrize("dtype", DTYPES)
def test_torch(run, dtype, op):
    torch = pytest.importorskip("torch")
    peers = run.join(0, 0)
    tensors = [inputs(dtype, rank, COUNT) for rank in range(2)]
    expected = reduced(op, tensors)

    def reduce(communicator, rank):
        tensor = torch.from_numpy(tensors[rank]).to(getattr(torch, dtype)).clone()
        recv, in_place = torch.zeros_like(tensor), tensor.clone()
        communicator.all_reduce(tensor, recv, op=op, tag=2**64 - 1)
        communicator.all_reduce(in_place, in_place, op=op, tag=1)
        return [t.to(getattr(torch, carrier(dtype))).numpy() for t in (tensor, recv, in_place)]

    for rank, (send, recv, in_place) in enumerate(together(peers, reduce)):
        assert numpy.array_equal(send, tensors[rank])
        assert numpy.array_equal(recv, expected)
        assert numpy.array_equal(in_place, expected)


@pytest.mark.parametrize("world", [2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 7, 100_000, 700_001])
def test_sizes_and_worlds(run, world, count):
    """From what the master reduces itself to several segments for each member of a ring."""
    peers = run.join(*[0] * world)
    tensors = [inputs("float32", rank, count) for rank in range(world)]

    def reduce(communicator, rank):
        info = communicator.all_reduce(tensors[rank], tensors[rank], op=ReduceOp.SUM)
        return info

    expected = reduced(ReduceOp.SUM, tensors)
    infos = together(peers, reduce)
    assert all(numpy.array_equal(tensor, expected) for tensor in tensors)
    assert [info.local_world_size for info in infos] == [world] * world
    if count == 0:
        assert all(info.tx_bytes == info.rx_bytes == 0 for info in infos)
    if count >= 100_000:  # (W-1)/W of the tensor, twice, give or take the rounding of the chunks
        share = 2 * (world - 1) / world * count * 4
        assert all(abs(info.tx_bytes - share) < 64 * world for info in infos)
        assert sum(info.tx_bytes for info in infos) == sum(info.rx_bytes for info in infos)


def test_payload_of_a_single_float_between_two(run):
    infos = together(
        run.join(0, 0), lambda c, _: c.all_reduce(a := numpy.ones(1, "float32"), a, op=ReduceOp.SUM)
    )
    assert [(info.tx_bytes, info.rx_bytes) for info in infos] == [(4, 4)] * 2


@pytest.mark.parametrize("world", [2, 3, 8])
def test_a_mean_of_floats_has_the_same_bits_everywhere(run, world):
    peers = run.join(*[0] * world)

    def reduce(communicator, rank):
        tensor = numpy.random.default_rng(rank).standard_normal(50_000).astype("float32")
        communicator.all_reduce(tensor, tensor, op=ReduceOp.AVG)
        return tensor

    results = together(peers, reduce)
    exact = sum(numpy.random.default_rng(rank).standard_normal(50_000).astype("float32").astype("float64")
                for rank in range(world)) / world  # fmt: skip
    assert numpy.abs(results[0] - exact).max() < 1e-6
    assert all(result.tobytes() == results[0].tobytes() for result in results)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "uint64"])
def test_integer_sums_wrap(run, dtype):
    peers = run.join(0, 0)
    extremes = numpy.iinfo(dtype)

    def reduce(communicator, rank):
        tensor = numpy.array([extremes.max, extremes.min], dtype)
        communicator.all_reduce(tensor, tensor, op=ReduceOp.SUM)
        return tensor.tolist()

    twice = numpy.array([extremes.max, extremes.min], dtype) * numpy.array(2, dtype)
    assert together(peers, reduce) == [twice.tolist()] * 2


def test_an_integer_mean_is_truncated_towards_zero(run):
    peers = run.join(0, 0)

    def reduce(communicator, rank):
        tensor = numpy.array([-3, 3, -1, 1] if rank else [0, 0, 0, 0], "int32")
        communicator.all_reduce(tensor, tensor, op=ReduceOp.AVG)
        return tensor.tolist()

    assert together(peers, reduce) == [[-1, 1, 0, 0]] * 2


@pytest.mark.parametrize("op", [ReduceOp.MAX, ReduceOp.MIN])
def test_nan_of_one_peer_is_nan_for_all(run, op):
    peers = run.join(0, 0)

    def reduce(communicator, rank):
        tensor = numpy.array([numpy.nan if rank else 1.0, 1.0])
        communicator.all_reduce(tensor, tensor, op=op)
        return numpy.isnan(tensor).tolist()

    assert together(peers, reduce) == [[True, False]] * 2


@pytest.mark.parametrize("hint", list(DistributionHint))
def test_hints_change_nothing(run, hint):
    peers = run.join(0, 0)

    def reduce(communicator, rank):
        tensor = inputs("int16", rank, 10)
        described = ReduceOperandDescriptor(DTYPES["int16"], hint)
        communicator.all_reduce(tensor, tensor, op=ReduceOp.SUM, operand_descriptor=described)
        return tensor.tolist()

    expected = reduced(ReduceOp.SUM, [inputs("int16", rank, 10) for rank in range(2)])
    assert together(peers, reduce) == [expected.tolist()] * 2


def test_a_tag_can_be_used_again_and_again(run):
    peers = run.join(0, 0, 0)

    def reduce(communicator, rank):
        tensor = numpy.full(3, rank + 1.0)
        for _ in range(50):
            communicator.all_reduce(tensor, tensor, op=ReduceOp.AVG, tag=5)
        assert communicator.get_attribute(Attribute.LOCAL_WORLD_SIZE) == 3
        return tensor.tolist()

    assert together(peers, reduce) == [[2.0] * 3] * 3
