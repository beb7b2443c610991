"""What may be reduced: tensors of any shape, objects with DLPack or the buffer protocol."""

import array
import ctypes
import struct

import pytest

from only_dlpack import OnlyDLPack, Versioned
from peers import together
from pccl import ReduceOp


def sums_to(run, make, expected) -> None:
    """Two peers sum what make(rank) gives in place, and out of place into make(0)."""

    def reduce(communicator, rank):
        in_place, send, recv = make(rank), make(rank), make(0)
        communicator.all_reduce(in_place, in_place, op=ReduceOp.SUM)
        communicator.all_reduce(send, recv, op=ReduceOp.SUM)
        return in_place, send, recv

    def values(tensor):
        tensor = getattr(tensor, "tensor", tensor)
        if isinstance(tensor, memoryview) and tensor.ndim == 1:  # its tolist() does not know float16
            return list(struct.unpack(f"{len(tensor)}{tensor.format}", tensor))
        return tensor.tolist() if hasattr(tensor, "tolist") else list(tensor)

    for rank, (in_place, send, recv) in enumerate(together(run.join(0, 0), reduce)):
        assert values(in_place) == values(recv) == expected
        assert values(send) == values(make(rank))


@pytest.mark.parametrize("code", "bBhHiIlLqQfd")
def test_arrays_of_the_standard_library(run, code):
    sums_to(run, lambda rank: array.array(code, [1 + rank, 2, 3]), [3, 4, 6])


def test_bytearrays(run):
    sums_to(run, lambda rank: bytearray([1 + rank, 255]), [3, 254])


@pytest.mark.parametrize("code", "bBhHiIlLqQnNfd")
def test_memoryviews(run, code):
    sums_to(run, lambda rank: memoryview(bytearray(struct.pack(f"2{code}", 1 + rank, 2))).cast(code), [3, 4])


def test_memoryviews_of_float16(run):
    numpy = pytest.importorskip("numpy")  # memoryview itself cannot cast to 'e' before Python 3.12
    sums_to(run, lambda rank: memoryview(numpy.array([1 + rank, 2], "float16")), [3, 4])


def test_memoryviews_of_two_dimensions(run):
    sums_to(
        run,
        lambda rank: memoryview(bytearray([rank, 1, 2, 3, 4, 5])).cast("B", shape=[2, 3]),
        [[1, 2, 4], [6, 8, 10]],
    )


@pytest.mark.parametrize("kind", [ctypes.c_float, ctypes.c_double, ctypes.c_int32, ctypes.c_uint64])
def test_ctypes_arrays(run, kind):
    sums_to(run, lambda rank: (kind * 2)(1 + rank, 2), [3, 4])


def test_read_only_sources(run):
    def reduce(communicator, rank):
        recv = bytearray(3)
        communicator.all_reduce(bytes([1, 2, rank]), recv, op=ReduceOp.SUM)
        return list(recv)

    assert together(run.join(0, 0), reduce) == [[2, 4, 1]] * 2


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]
)
def test_dlpack(run, dtype):
    torch = pytest.importorskip("torch")
    sums_to(run, lambda rank: OnlyDLPack(torch.tensor([1 + rank, 2], dtype=getattr(torch, dtype))), [3, 4])


def test_dlpack_with_an_offset(run):
    torch = pytest.importorskip("torch")
    sums_to(run, lambda rank: OnlyDLPack(torch.tensor([9, 9, 1 + rank, 2])[2:]), [3, 4])


def test_dlpack_of_an_empty_tensor(run):
    torch = pytest.importorskip("torch")
    sums_to(run, lambda rank: OnlyDLPack(torch.zeros(0, 5)), [])


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,), (2, 3, 4), (1, 1, 5)])
def test_shapes(run, library, shape):
    module = pytest.importorskip(library)
    sums_to(run, lambda rank: module.full(shape, 1.0 + rank), module.full(shape, 3.0).tolist())


def test_send_and_recv_may_have_different_shapes(run):
    numpy = pytest.importorskip("numpy")

    def reduce(communicator, rank):
        recv = numpy.zeros((3, 2))
        communicator.all_reduce(numpy.arange(6.0), recv, op=ReduceOp.MAX)
        return recv.tolist()

    assert together(run.join(0, 0), reduce) == [[[0, 1], [2, 3], [4, 5]]] * 2


def test_dlpack_of_version_1(run):
    numpy = pytest.importorskip("numpy", "2.1")
    sums_to(run, lambda rank: Versioned(numpy.array([1.0 + rank, 2.0])), [3.0, 4.0])


def test_parameters_and_gradients(run):
    torch = pytest.importorskip("torch")

    def reduce(communicator, rank):
        weight = torch.nn.Parameter(torch.ones(3))
        (weight * (rank + 1.0)).sum().backward()
        communicator.all_reduce(weight.grad, weight.grad, op=ReduceOp.SUM)
        communicator.all_reduce(weight, weight, op=ReduceOp.SUM, tag=1)
        return weight.grad.tolist() + weight.tolist()

    assert together(run.join(0, 0), reduce) == [[3.0] * 3 + [2.0] * 3] * 2
