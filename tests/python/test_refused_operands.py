"""What is refused before it reaches a peer, and with which words."""

import array
import ctypes

import pytest

from only_dlpack import OnlyDLPack, Versioned
from pccl import Communicator, DataType, ReduceOp, ReduceOperandDescriptor
from refusals import refuses


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
        "masked": (numpy.ma.masked_equal(numpy.zeros(4), 0), ok, "send is masked"),
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
        "sparse": (torch.eye(2).to_sparse(), ok, "send is torch.sparse_coo"),
        "sparse rows": (torch.eye(2).to_sparse_csr(), ok, "send is torch.sparse_csr"),
        "negated view": (torch._neg_view(torch.ones(4)), ok, "send is a negated view"),
        "meta device": (torch.zeros(4, device="meta"), ok, "send is on meta"),
        "cuda": (ok.as_subclass(OnDevice), ok, "send is on GPU 0, recv is in host memory"),
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


NUMPY_CASES = """read-only recv,read-only in place,strided send,strided recv,Fortran order,other sizes,other types,\
unknown type,other byte order,masked,scalar""".split(",")
TORCH_CASES = """strided send,transposed recv,sparse,sparse rows,negated view,meta device,cuda,DTensor,other sizes,other types,boolean,\
complex""".split(",")


@pytest.mark.parametrize("style", [ValueError, AssertionError])
@pytest.mark.parametrize("what", NUMPY_CASES)
def test_numpy_arrays_that_are_refused(what, style):
    refuses(*numpy_arrays(pytest.importorskip("numpy"))[what], style)


@pytest.mark.parametrize("style", [ValueError, AssertionError])
@pytest.mark.parametrize("what", TORCH_CASES)
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


def test_read_only_dlpack():
    numpy = pytest.importorskip("numpy", "2.1")
    ours, theirs = numpy.zeros(4), numpy.zeros(4)
    theirs.flags.writeable = False
    refuses(Versioned(ours), Versioned(theirs), "recv is read-only", ValueError)
    refuses(Versioned(theirs), Versioned(theirs), "recv is read-only", ValueError)
