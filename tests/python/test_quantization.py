"""Quantized all-reduces: bounded errors, fewer bytes, the same bits on all peers; and pairs that do not go together."""

import pytest

from peers import codes, together
from pccl import DataType, QuantizationAlgorithm, QuantizationOptions, ReduceDescriptor, ReduceOp, ReduceOpDescriptor
from pccl import ReduceOperandDescriptor

numpy = pytest.importorskip("numpy")

MIN_MAX, SCALE = QuantizationAlgorithm.MIN_MAX, QuantizationAlgorithm.SCALE
ZERO_POINT_SCALE = QuantizationAlgorithm.ZERO_POINT_SCALE
COUNT = 20_000  # tensors of up to 32 KiB may travel exactly

# Codes, and how far apart their levels are on a range of 2 (float codes: by their fraction).
GOOD = [
    (MIN_MAX, "UINT8", 2 / 255),
    (MIN_MAX, "UINT16", 2 / 65535),
    (MIN_MAX, "UINT32", 1e-6),
    (MIN_MAX, "UINT64", 1e-6),
    (MIN_MAX, "UINT4", 2 / 15),
    (MIN_MAX, "UINT2", 2 / 3),
    (ZERO_POINT_SCALE, "UINT8", 2 / 255),
    (ZERO_POINT_SCALE, "INT8", 2 / 255),
    (ZERO_POINT_SCALE, "INT16", 2 / 65535),
    (ZERO_POINT_SCALE, "UINT16", 2 / 65535),
    (ZERO_POINT_SCALE, "INT32", 1e-6),
    (ZERO_POINT_SCALE, "UINT32", 1e-6),
    (ZERO_POINT_SCALE, "INT64", 1e-6),
    (ZERO_POINT_SCALE, "UINT64", 1e-6),
    (ZERO_POINT_SCALE, "UINT4", 2 / 15),
    (SCALE, "FLOAT8_E4M3", 1 / 8),
    (SCALE, "FLOAT8_E5M2", 1 / 4),
    (SCALE, "FLOAT4_E3M0", 1),
]


def tensor(rank: int, dtype: str = "float32") -> numpy.ndarray:
    return numpy.random.default_rng(rank).uniform(-1, 1, COUNT).astype(dtype)


def reduced(run, world: int, options: QuantizationOptions, dtype: str = "float32", op=ReduceOp.AVG):
    def reduce(communicator, rank):
        in_place = tensor(rank, dtype)
        info = communicator.all_reduce(in_place, in_place, op=op, quantization_options=options)
        return in_place, info

    results = together(run.join(*[0] * world), reduce)
    assert all(result.tobytes() == results[0][0].tobytes() for result, _ in results)
    return results[0]


@pytest.mark.parametrize("algorithm, code, level", GOOD)
def test_the_error_is_bounded_by_the_levels(run, algorithm, code, level):
    result, _ = reduced(run, 2, QuantizationOptions(DataType[code], algorithm))
    exact = (tensor(0) + tensor(1)) / 2
    # At most one level at each of two hops: half of one, and the sum's range is twice an input's.
    assert numpy.abs(result - exact).max() <= 2 * level + 1e-6
    if level > 1e-4:  # coarse codes do lose something, or nothing was quantized
        assert numpy.abs(result - exact).max() > 0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("world", [2, 3, 8])
def test_types_and_worlds(run, dtype, world):
    result, _ = reduced(run, world, QuantizationOptions(), dtype)
    exact = sum(tensor(rank).astype("float64") for rank in range(world)) / world
    assert result.dtype == dtype
    assert numpy.abs(result - exact).max() <= 2 / 255 * world


@pytest.mark.parametrize("code, bits", [("UINT2", 2), ("UINT4", 4), ("UINT8", 8), ("UINT16", 16)])
def test_fewer_bytes_travel(run, code, bits):
    _, info = reduced(run, 2, QuantizationOptions(DataType[code]))
    assert info.tx_bytes <= COUNT * bits / 8 + (COUNT / 1024 + 2) * 8 + 64


def test_bfloat16(run):
    torch = pytest.importorskip("torch")

    def reduce(communicator, rank):
        in_place = torch.from_numpy(tensor(rank)).bfloat16()
        communicator.all_reduce(in_place, in_place, op=ReduceOp.AVG, quantization_options=QuantizationOptions())
        return in_place.float().numpy()

    results = together(run.join(0, 0), reduce)
    assert results[0].tobytes() == results[1].tobytes()
    assert numpy.abs(results[0] - (tensor(0) + tensor(1)) / 2).max() <= 4 / 255


@pytest.mark.parametrize("op", list(ReduceOp))
def test_min_max_does_all_operations(run, op):
    result, _ = reduced(run, 2, QuantizationOptions(DataType.UINT16, MIN_MAX), op=op)
    combine = {
        ReduceOp.SUM: numpy.add,
        ReduceOp.AVG: lambda a, b: (a + b) / 2,
        ReduceOp.PROD: numpy.multiply,
        ReduceOp.MAX: numpy.maximum,
        ReduceOp.MIN: numpy.minimum,
    }
    assert numpy.abs(result - combine[op](tensor(0), tensor(1))).max() < 1e-3


def test_no_quantization_is_exact(run):
    result, _ = reduced(run, 2, QuantizationOptions(DataType.INT8, QuantizationAlgorithm.NONE))
    assert numpy.array_equal(result, (tensor(0) + tensor(1)) / 2)


def test_positional_and_keyword_options_in_a_batch(run):
    def reduce(communicator, rank):
        tensors = [tensor(rank), tensor(rank)]
        options = [QuantizationOptions(), QuantizationOptions(DataType.UINT8, QuantizationAlgorithm.NONE)]
        descriptors = [
            ReduceOpDescriptor.from_numpy(
                t, t, ReduceDescriptor(COUNT, ReduceOp.AVG, tag, ReduceOperandDescriptor(DataType.FLOAT), option)
            )
            for tag, (t, option) in enumerate(zip(tensors, options))
        ]
        communicator.all_reduce_multiple_with_retry(descriptors)
        return tensors

    for quantized, plain in together(run.join(0, 0), reduce):
        exact = (tensor(0) + tensor(1)) / 2
        assert numpy.array_equal(plain, exact)
        assert 0 < numpy.abs(quantized - exact).max() <= 4 / 255


BAD = [
    ("float32", MIN_MAX, "INT8", ReduceOp.SUM),
    ("float32", MIN_MAX, "INT64", ReduceOp.SUM),
    ("float32", MIN_MAX, "FLOAT", ReduceOp.SUM),
    ("float32", MIN_MAX, "FLOAT8_E4M3", ReduceOp.SUM),
    ("float32", ZERO_POINT_SCALE, "BFLOAT16", ReduceOp.SUM),
    ("float32", ZERO_POINT_SCALE, "INT8", ReduceOp.MAX),
    ("float32", ZERO_POINT_SCALE, "INT8", ReduceOp.MIN),
    ("float32", ZERO_POINT_SCALE, "INT8", ReduceOp.PROD),
    ("float32", SCALE, "UINT8", ReduceOp.SUM),
    ("int32", MIN_MAX, "UINT8", ReduceOp.SUM),
    ("uint8", ZERO_POINT_SCALE, "INT8", ReduceOp.AVG),
]


@pytest.mark.parametrize("dtype, algorithm, code, op", BAD)
def test_pairs_that_do_not_go_together(run, dtype, algorithm, code, op):
    def reduce(communicator, _):
        in_place = numpy.ones(COUNT, dtype)
        options = QuantizationOptions(DataType[code], algorithm)
        communicator.all_reduce(in_place, in_place, op=op, quantization_options=options)

    assert codes(run.join(0, 0), reduce) == ["INVALID_ARGUMENT"] * 2
