"""Entries of the shared state, and its revision."""

import pytest

import pccl
from pccl import DataType, SharedState, TensorInfo
from pccl._pccl import DeviceType


def info(**changes) -> TensorInfo:
    fields = dict(
        name="x", data_ptr=64, numel=3, dtype=DataType.INT16, device_type=DeviceType.CPU, allow_content_inequality=True
    )
    fields.update(changes)
    return TensorInfo(fields.pop("name"), fields.pop("data_ptr"), **fields)


def test_attributes():
    entry = info()
    assert (entry.name, entry.data_ptr, entry.numel, entry.dtype) == ("x", 64, 3, DataType.INT16)
    assert (entry.device_type, entry.allow_content_inequality) == (DeviceType.CPU, True)


@pytest.mark.parametrize("style", [ValueError, AssertionError])
def test_no_address(style):
    with pytest.raises(style, match="data_ptr of 'x' is 0"):
        info(data_ptr=0)


@pytest.mark.parametrize("style", [TypeError, AssertionError])
def test_a_name_is_a_string(style):
    with pytest.raises(style, match="name is a int"):
        info(name=5)


def test_from_numpy():
    numpy = pytest.importorskip("numpy")
    array = numpy.zeros((2, 3), dtype="int32")
    entry = TensorInfo.from_numpy(tensor=array, name="weights")
    assert (entry.name, entry.data_ptr, entry.numel) == ("weights", array.ctypes.data, 6)
    assert (entry.dtype, entry.device_type, entry.allow_content_inequality) == (DataType.INT32, DeviceType.CPU, False)


def test_from_torch():
    torch = pytest.importorskip("torch")
    tensor = torch.zeros(2, 3, dtype=torch.bfloat16)
    entry = TensorInfo.from_torch(tensor=tensor, name="weights", allow_content_inequality=True)
    assert (entry.name, entry.data_ptr, entry.numel) == ("weights", tensor.data_ptr(), 6)
    assert (entry.dtype, entry.device_type, entry.allow_content_inequality) == (
        DataType.BFLOAT16,
        DeviceType.CPU,
        True,
    )


def test_from_torch_takes_parameters_and_scalars():
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.zeros(4))
    assert TensorInfo.from_torch(parameter, "p").numel == 4
    assert TensorInfo.from_torch(torch.tensor(7, dtype=torch.int64), "step").numel == 1


def test_from_torch_of_a_cuda_tensor_says_so():
    torch = pytest.importorskip("torch")

    class OnDevice(torch.Tensor):  # as far as TensorInfo looks
        device = property(lambda self: torch.device("cuda:0"))

    assert TensorInfo.from_torch(torch.zeros(3).as_subclass(OnDevice), "x").device_type is DeviceType.CUDA


def test_from_torch_refuses_a_dtensor():
    torch = pytest.importorskip("torch")

    class DTensor(torch.Tensor):  # a real one needs a process group
        pass

    with pytest.raises(AssertionError, match="to_local"):
        TensorInfo.from_torch(torch.zeros(3).as_subclass(DTensor), "x")


BAD_TORCH = {
    "not contiguous": (lambda torch: torch.zeros(3, 4).t(), "contiguous"),
    "expanded": (lambda torch: torch.zeros(1).expand(4), "contiguous"),
    "sparse": (lambda torch: torch.eye(3).to_sparse(), "sparse_coo"),
    "meta device": (lambda torch: torch.empty(3, device="meta"), "meta"),
    "boolean": (lambda torch: torch.zeros(3, dtype=torch.bool), "torch.bool"),
    "no tensor": (lambda torch: [1.0], "not a torch tensor"),
}


@pytest.mark.parametrize("style", [ValueError, AssertionError])
@pytest.mark.parametrize("what", BAD_TORCH)
def test_from_torch_refuses(what, style):
    make, text = BAD_TORCH[what]
    with pytest.raises(style, match=text):
        TensorInfo.from_torch(make(pytest.importorskip("torch")), "x")


def read_only(numpy):
    array = numpy.zeros(3)
    array.flags.writeable = False
    return array


BAD_NUMPY = {
    "not contiguous": (lambda numpy: numpy.zeros((3, 4)).T, "contiguous"),
    "strided": (lambda numpy: numpy.zeros(8)[::2], "contiguous"),
    "read-only": (read_only, "read-only"),
    "byte-swapped": (lambda numpy: numpy.zeros(3, dtype=">f4"), ">f4"),
    "boolean": (lambda numpy: numpy.zeros(3, dtype=bool), "bool"),
    "no array": (lambda numpy: [1.0], "not a numpy array"),
}


@pytest.mark.parametrize("style", [ValueError, AssertionError])
@pytest.mark.parametrize("what", BAD_NUMPY)
def test_from_numpy_refuses(what, style):
    make, text = BAD_NUMPY[what]
    with pytest.raises(style, match=text):
        TensorInfo.from_numpy(make(pytest.importorskip("numpy")), "x")


def test_empty_tensors_are_entries():
    torch, numpy = pytest.importorskip("torch"), pytest.importorskip("numpy")
    assert TensorInfo.from_torch(torch.zeros(0, 3), "x").numel == 0
    assert TensorInfo.from_numpy(numpy.zeros((0, 3)), "x").numel == 0


def test_revision():
    state = SharedState([info()])
    assert state.revision == 0
    state.push_revision()
    assert state.revision == 1
    state.revision = 41
    state.push_revision()
    assert state.revision == 42


@pytest.mark.parametrize("revision", [-1, 2**62, 2**64])
def test_revisions_out_of_range(revision):
    state = SharedState(tensor_infos=[info()])
    with pytest.raises(ValueError, match="revision"):
        state.revision = revision
    assert state.revision == 0


def test_sync_info_has_both_directions():
    both = pccl.SharedStateSyncInfo(tx_bytes=3, rx_bytes=4)
    assert (both.tx_bytes, both.rx_bytes) == (3, 4)
    assert pccl.SharedStateSyncInfo(5, 6).rx_bytes == 6


def test_reduce_info_has_an_alias_for_the_world_size():
    reduced = pccl.ReduceInfo(local_world_size=2, tx_bytes=3, rx_bytes=4)
    assert (reduced.local_world_size, reduced.tx_bytes, reduced.rx_bytes) == (2, 3, 4)
    assert reduced.world_size == 2
