"""What may be reduced: tensors of any shape, DLPack, the buffer protocol; and what is refused, with which words."""

import array
import ctypes

import pytest

from peers import together
from pccl import Communicator, DataType, ReduceOp, ReduceOperandDescriptor


class OnlyDLPack:
    """A tensor of a library that PCCL does not know."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __dlpack__(self, stream=None):
        return self.tensor.__dlpack__()

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()


def sums_to(run, make, expected) -> None:
    """Two peers sum what make(rank) gives in place, and out of place into make(0)."""

    def reduce(communicator, rank):
        in_place, send, recv = make(rank), make(rank), make(0)
        communicator.all_reduce(in_place, in_place, op=ReduceOp.SUM)
        communicator.all_reduce(send, recv, op=ReduceOp.SUM)
        return in_place, send, recv

    def values(tensor):
        tensor = getattr(tensor, "tensor", tensor)
        return tensor.tolist() if hasattr(tensor, "tolist") else list(tensor)

    for rank, (in_place, send, recv) in enumerate(together(run.join(0, 0), reduce)):
        assert values(in_place) == values(recv) == expected
        assert values(send) == values(make(rank))


@pytest.mark.parametrize("code", "bBhHiIlLqQfd")
def test_arrays_of_the_standard_library(run, code):
    sums_to(run, lambda rank: array.array(code, [1 + rank, 2, 3]), [3, 4, 6])


def test_bytearrays(run):
    sums_to(run, lambda rank: bytearray([1 + rank, 255]), [3, 254])


@pytest.mark.parametrize("code", "bBhHiIqQefd@=")
def test_memoryviews(run, code):
    format = {"@": "@i", "=": "l"}.get(code, code)
    sums_to(run, lambda rank: memoryview(bytearray(struct_bytes(format, rank))).cast(format), [3, 4])


def struct_bytes(format: str, rank: int) -> bytes:
    import struct

    return struct.pack(f"2{format}" if format[0] != "@" else "@2i", 1 + rank, 2)


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


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"])
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
    sums_to(run, lambda rank: module.ones(shape) * (1 + rank), (module.ones(shape) * 3).tolist())


def test_send_and_recv_may_have_different_shapes(run):
    numpy = pytest.importorskip("numpy")

    def reduce(communicator, rank):
        recv = numpy.zeros((3, 2))
        communicator.all_reduce(numpy.arange(6.0), recv, op=ReduceOp.MAX)
        return recv.tolist()

    assert together(run.join(0, 0), reduce) == [[[0, 1], [2, 3], [4, 5]]] * 2


def test_parameters_and_gradients(run):
    torch = pytest.importorskip("torch")

    def reduce(communicator, rank):
        weight = torch.nn.Parameter(torch.ones(3))
        (weight * (rank + 1.0)).sum().backward()
        communicator.all_reduce(weight.grad, weight.grad, op=ReduceOp.SUM)
        communicator.all_reduce(weight, weight, op=ReduceOp.SUM, tag=1)
        return weight.grad.tolist() + weight.tolist()

    assert together(run.join(0, 0), reduce) == [[3.0] * 3 + [2.0] * 3] * 2


# ---- what is refused, alone and at once


def numpy_arrays(numpy):
    read_only = numpy.zeros(4)
    read_only.flags.writeable = False
    ok = numpy.zeros(4)
    return {
        "read-only recv": (ok, read_only, "recv is read-only"),
        "read-only in place": (read_only, read_only, "recv is read-only"),
        "strided send": (numpy.zeros(8)[::2], ok, "send is not C-contiguous"),
        "strided recv": (ok, numpy.zeros(8)[::2], "recv is not C-contiguous"),
        "Fortran order": (numpy.zeros((2, 2), order="F"), ok, "send is not C-contiguous"),
        "other sizes": (ok, numpy.zeros(5), "send has 4 elements, recv has 5"),
        "other types": (ok, numpy.zeros(4, "float32"), "send has elements of DOUBLE, recv of FLOAT"),
        "unknown type": (numpy.zeros(4, bool), numpy.zeros(4, bool), "Unsupported dtype: bool"),
        "other byte order": (numpy.zeros(4, ">f8"), numpy.zeros(4, ">f8"), "Unsupported dtype: >f8"),
        "scalar": (numpy.float64(1), numpy.float64(1), "recv is read-only"),
    }


def torch_tensors(torch):
    ok = torch.zeros(4)

    class DTensor(torch.Tensor):  # a real one needs a process group
        pass

    class OnDevice(torch.Tensor):  # as far as PCCL looks
        device = property(lambda self: torch.device("cuda:0"))

    return {
        "strided send": (torch.zeros(8)[::2], ok, "send is not contiguous"),
        "transposed recv": (ok, torch.zeros(2, 3).t(), "recv is not contiguous"),
        "sparse": (torch.eye(2).to_sparse(), ok, "send is not contiguous"),
        "meta device": (torch.zeros(4, device="meta"), ok, "send is on meta"),
        "cuda": (ok.as_subclass(OnDevice), ok, "send is on a device"),
        "DTensor": (ok.as_subclass(DTensor), ok, "send is a DTensor"),
        "other sizes": (ok, torch.zeros(3), "send has 4 elements, recv has 3"),
        "other types": (ok, ok.double(), "send has elements of FLOAT, recv of DOUBLE"),
        "boolean": (ok.bool(), ok.bool(), "Unsupported dtype: torch.bool"),
        "complex": (ok.cfloat(), ok.cfloat(), "Unsupported dtype: torch.complex64"),
    }


def buffers():
    ok = bytearray(4)
    return {
        "read-only recv": (ok, b"abcd", "recv is read-only"),
        "strided": (memoryview(bytearray(8))[::2], ok, "send is not C-contiguous"),
        "other sizes": (ok, bytearray(3), "send has 4 elements, recv has 3"),
        "other types": (ok, array.array("b", [0] * 4), "send has elements of UINT8, recv of INT8"),
        "characters": (memoryview(ok).cast("c"), ok, "format 'c' are not supported"),
        "booleans": (memoryview(ok).cast("?"), ok, r"format '\?' are not supported"),
        "other byte order": ((ctypes.c_int32.__ctype_be__ * 2)(), ok, "format '>.' are not supported"),
    }


def refuses(send, recv, text, style):
    communicator = Communicator("127.0.0.1:1")
    for call in (communicator.all_reduce, communicator.all_reduce_async):
        with pytest.raises(style, match=text):
            call(send, recv, op=ReduceOp.SUM)


@pytest.mark.parametrize("style", [ValueError, AssertionError])
@pytest.mark.parametrize("what", numpy_arrays(pytest.importorskip("numpy")))
def test_numpy_arrays_that_are_refused(what, style):
    refuses(*numpy_arrays(pytest.importorskip("numpy"))[what], style)


TORCH_CASES = "strided send,transposed recv,sparse,meta device,cuda,DTensor,other sizes,other types,boolean,complex"


@pytest.mark.parametrize("style", [ValueError, AssertionError])
@pytest.mark.parametrize("what", TORCH_CASES.split(","))
def test_torch_tensors_that_are_refused(what, style):
    refuses(*torch_tensors(pytest.importorskip("torch"))[what], style)


@pytest.mark.parametrize("style", [ValueError, AssertionError])
@pytest.mark.parametrize("what", buffers())
def test_buffers_that_are_refused(what, style):
    refuses(*buffers()[what], style)


@pytest.mark.parametrize("value", [None, [1.0, 2.0], 3.0, "text"])
@pytest.mark.parametrize("style", [TypeError, AssertionError])
def test_what_is_no_tensor(value, style):
    refuses(value, bytearray(4), "send is a .*; PCCL takes", style)
    refuses(bytearray(4), value, "recv is a .*; PCCL takes", style)


def test_mixed_kinds():
    numpy, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    kinds = {
        "numpy": numpy.zeros(2, "float32"),
        "torch": torch.zeros(2),
        "buffer": array.array("f", [0, 0]),
        "dlpack": OnlyDLPack(torch.zeros(2)),
    }
    for send in kinds:
        for recv in kinds:
            if send != recv:
                refuses(kinds[send], kinds[recv], f"both be numpy arrays, not {send} and {recv}", ValueError)


def test_a_strided_dlpack_tensor():
    torch = pytest.importorskip("torch")
    refuses(OnlyDLPack(torch.zeros(8)[::2]), OnlyDLPack(torch.zeros(4)), "send is not contiguous", ValueError)


def test_a_dlpack_type_that_is_not_reduced():
    torch = pytest.importorskip("torch")
    refuses(OnlyDLPack(torch.zeros(2).cfloat()), OnlyDLPack(torch.zeros(2)), r"\(5, 64 bits\)", ValueError)


def test_an_operand_descriptor_of_another_type():
    communicator = Communicator("127.0.0.1:1")
    described = ReduceOperandDescriptor(DataType.INT8)
    with pytest.raises(AssertionError, match="elements of UINT8, the descriptor says INT8"):
        communicator.all_reduce(bytearray(2), bytearray(2), op=ReduceOp.SUM, operand_descriptor=described)
