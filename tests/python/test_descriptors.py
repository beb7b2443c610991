"""Descriptors of all-reduces, and the C structs that they become (contract 1.3)."""

import ctypes

import pytest

from pccl import (
    DataType,
    DistributionHint,
    QuantizationAlgorithm,
    QuantizationOptions,
    ReduceDescriptor,
    ReduceOp,
    ReduceOpDescriptor,
    ReduceOperandDescriptor,
)

LAYOUTS = {
    "ReduceOperandDescriptor": (8, {"datatype": 0, "distribution_hint": 4}),
    "QuantizationOptions": (8, {"quantized_datatype": 0, "algorithm": 4}),
    "ReduceDescriptor": (40, {"count": 0, "op": 8, "tag": 16, "src_descriptor": 24, "quantization_options": 32}),
    "ReduceOpDescriptor": (56, {"sendbuf": 0, "recvbuf": 8, "descriptor": 16}),
}


def descriptor(**changes) -> ReduceDescriptor:
    fields = dict(
        count=7,
        op=ReduceOp.MAX,
        tag=2**64 - 1,
        operand_descriptor=ReduceOperandDescriptor(DataType.DOUBLE, DistributionHint.UNIFORM),
        quantization_options=QuantizationOptions(DataType.INT32, QuantizationAlgorithm.ZERO_POINT_SCALE),
    )
    return ReduceDescriptor(**{**fields, **changes})


C_STRUCTS = {
    "ReduceOperandDescriptor": lambda: descriptor().operand_descriptor.to_c(),
    "QuantizationOptions": lambda: descriptor().quantization_options.to_c(),
    "ReduceDescriptor": lambda: descriptor().to_c(),
    "ReduceOpDescriptor": lambda: ReduceOpDescriptor(16, 32, descriptor()).to_c(),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(name):
    struct = type(C_STRUCTS[name]())
    size, offsets = LAYOUTS[name]
    assert ctypes.sizeof(struct) == size
    assert {field: getattr(struct, field).offset for field, _ in struct._fields_} == offsets


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="the bytes below are those of a 64-bit machine")
def test_bytes_of_a_whole_descriptor():
    c = ReduceOpDescriptor(0x1111, 0x2222, descriptor()).to_c()
    expected = [(0x1111, 8), (0x2222, 8), (7, 8), (3, 4), (0, 4), (2**64 - 1, 8), (11, 4), (2, 4), (5, 4), (2, 4)]
    little_endian = b"".join(value.to_bytes(size, "little") for value, size in expected)
    assert bytes(c) == little_endian


def test_operand_descriptor():
    operand = ReduceOperandDescriptor(DataType.INT16)
    assert (operand.datatype, operand.distribution_hint) == (DataType.INT16, DistributionHint.NONE)
    hinted = ReduceOperandDescriptor(datatype=DataType.INT16, distribution_hint=DistributionHint.NORMAL)
    assert hinted.to_c().distribution_hint == 1


def test_quantization_options():
    default = QuantizationOptions()
    assert (default.quantized_datatype, default.algorithm) == (DataType.UINT8, QuantizationAlgorithm.MIN_MAX)
    positional = QuantizationOptions(DataType.INT8, QuantizationAlgorithm.ZERO_POINT_SCALE)
    assert (positional.to_c().quantized_datatype, positional.to_c().algorithm) == (1, 2)


def test_reduce_descriptor_positional_and_by_keyword():
    operand, quantization = ReduceOperandDescriptor(DataType.FLOAT), QuantizationOptions()
    positional = ReduceDescriptor(3, ReduceOp.AVG, 5, operand, quantization)
    keywords = ReduceDescriptor(
        count=3, op=ReduceOp.AVG, tag=5, operand_descriptor=operand, quantization_options=quantization
    )
    assert bytes(positional.to_c()) == bytes(keywords.to_c())
    assert (positional.count, positional.op, positional.tag) == (3, ReduceOp.AVG, 5)
    assert positional.operand_descriptor is operand and positional.quantization_options is quantization


def test_op_descriptor_holds_addresses():
    what = descriptor()
    op = ReduceOpDescriptor(sendbuf_ptr=16, recvbuf_ptr=32, reduce_descriptor=what)
    assert (op.sendbuf_ptr, op.recvbuf_ptr, op.reduce_descriptor) == (16, 32, what)


def test_to_c_inpl_fills_a_struct_that_is_there():
    op = ReduceOpDescriptor(16, 32, descriptor())
    array = (type(op.to_c()) * 2)()
    op.to_c_inpl(array[1])
    assert bytes(array[0]) == bytes(56)
    assert bytes(array[1]) == bytes(op.to_c())


def test_from_numpy():
    numpy = pytest.importorskip("numpy")
    send, recv = numpy.zeros(7), numpy.zeros(7)
    op = ReduceOpDescriptor.from_numpy(send=send, recv=recv, reduce_descriptor=descriptor())
    assert (op.sendbuf_ptr, op.recvbuf_ptr) == (send.ctypes.data, recv.ctypes.data)


def test_from_torch():
    torch = pytest.importorskip("torch")
    send, recv = torch.zeros(7, dtype=torch.float64), torch.zeros(7, dtype=torch.float64)
    op = ReduceOpDescriptor.from_torch(send=send, recv=recv, reduce_descriptor=descriptor())
    assert (op.sendbuf_ptr, op.recvbuf_ptr) == (send.data_ptr(), recv.data_ptr())


BAD_ARRAYS = {
    "not an array": (lambda numpy: [0.0] * 7, "numpy arrays"),
    "too small": (lambda numpy: numpy.zeros(6), "6 elements"),
    "another type": (lambda numpy: numpy.zeros(7, dtype="float32"), "FLOAT"),
    "not contiguous": (lambda numpy: numpy.zeros(14)[::2], "contiguous"),
}


@pytest.mark.parametrize("role", ["send", "recv"])
@pytest.mark.parametrize("what", BAD_ARRAYS)
@pytest.mark.parametrize("style", [ValueError, AssertionError])
def test_from_numpy_refuses(what, role, style):
    numpy = pytest.importorskip("numpy")
    make, text = BAD_ARRAYS[what]
    arrays = {"send": numpy.zeros(7), "recv": numpy.zeros(7), role: make(numpy)}
    with pytest.raises(style, match=text):
        ReduceOpDescriptor.from_numpy(**arrays, reduce_descriptor=descriptor())


def test_from_numpy_refuses_a_read_only_target():
    numpy = pytest.importorskip("numpy")
    constant = numpy.zeros(7)
    constant.flags.writeable = False
    with pytest.raises(ValueError, match="recv is read-only"):
        ReduceOpDescriptor.from_numpy(numpy.zeros(7), constant, descriptor())
    ReduceOpDescriptor.from_numpy(constant, numpy.zeros(7), descriptor())  # reading is fine


def test_from_torch_refuses_numpy_and_the_other_way_round():
    numpy, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    with pytest.raises(ValueError, match="torch tensors"):
        ReduceOpDescriptor.from_torch(numpy.zeros(7), numpy.zeros(7), descriptor())
    tensor = torch.zeros(7, dtype=torch.float64)
    with pytest.raises(ValueError, match="numpy arrays"):
        ReduceOpDescriptor.from_numpy(tensor, tensor, descriptor())


def test_from_torch_refuses_tensors_in_two_places():
    torch = pytest.importorskip("torch")

    class OnDevice(torch.Tensor):  # as far as descriptors look
        device = property(lambda self: torch.device("cuda:1"))

    tensor = torch.zeros(7, dtype=torch.float64)
    with pytest.raises(ValueError, match="send is on GPU 1, recv is in host memory"):
        ReduceOpDescriptor.from_torch(tensor.as_subclass(OnDevice), tensor, descriptor())
    assert ReduceOpDescriptor.from_torch(*[tensor.as_subclass(OnDevice)] * 2, descriptor()).sendbuf_ptr == tensor.data_ptr()
