"""Tensors in GPU memory: what is read off them, and which stream an op follows. By stand-ins (fake_cuda); tests/python/cuda
has those with a GPU."""

import ctypes
import gc
import re
import weakref
from types import SimpleNamespace

import pytest

import pccl
from child import Child
from fake_cuda import CUDA_HOST, CUDA_MANAGED, CudaArray, DLPackArray, Spy, play_streams, torch_on
from many import sums_of
from pccl import Communicator, DeviceType, ReduceOp, ReduceOpDescriptor, SharedState, TensorInfo
from peers import together
from refusals import refuses

TYPES = {
    "|u1": ctypes.c_uint8,
    "|i1": ctypes.c_int8,
    "<u2": ctypes.c_uint16,
    "<i2": ctypes.c_int16,
    "<u4": ctypes.c_uint32,
    "<i4": ctypes.c_int32,
    "<u8": ctypes.c_uint64,
    "<i8": ctypes.c_int64,
    "<f4": ctypes.c_float,
    "<f8": ctypes.c_double,
}


def sums(run, make):
    """What two peers get, in place and out of place, of make(rank); and the streams that both have named."""

    def reduce(communicator, rank):
        spy = Spy(communicator)
        in_place, send, recv = make(rank), make(rank), make(0)
        communicator.all_reduce(in_place, in_place, op=ReduceOp.SUM)
        handle = communicator.all_reduce_async(send, recv, op=ReduceOp.SUM, tag=1)
        assert handle.wait()[0]
        assert [name for name, *_ in spy.calls if name != "await_reduce"] == [
            "set_stream", "all_reduce", "set_stream", "all_reduce_async"
        ]  # fmt: skip
        assert in_place.tolist() == recv.tolist()
        assert send.tolist() == make(rank).tolist()
        return recv.tolist(), spy.streams()

    one, two = together(run.join(0, 0), reduce)
    assert one == two
    return one


@pytest.mark.parametrize("typestr", TYPES)
def test_cuda_array_interface(run, typestr):
    values, _ = sums(run, lambda rank: CudaArray([1 + rank, 2], typestr, TYPES[typestr]))
    assert values == [3, 4]


def test_cuda_array_interface_of_float16(run):
    values, _ = sums(run, lambda rank: CudaArray([0x3C00, 0x4000 * rank], "<f2", ctypes.c_uint16))
    assert values == [0x4000, 0x4000]  # 1 + 1, and 0 + 2


@pytest.mark.parametrize("stream, named", [(None, 0), (1, 0), (2, 2), (0x7F00, 0x7F00)])
def test_the_stream_of_a_cuda_array(run, stream, named):
    _, streams = sums(run, lambda rank: CudaArray([1.0, 2.0], stream=stream))
    assert streams == [named] * 2


def test_version_2_knows_no_stream(run):
    _, streams = sums(run, lambda rank: CudaArray([1.0, 2.0], version=2, stream=9))
    assert streams == [0, 0]


@pytest.mark.parametrize(
    "shape, strides",
    [((2, 3), None), ((2, 3), (12, 4)), ((6, 1), (4, 999)), ((1, 6), (7, 4)), ((6,), (4,)), ((), None), ((0, 5), (1, 1))],
)
def test_shapes_of_cuda_arrays(run, shape, strides):
    def reduce(communicator, rank):
        array = CudaArray([1.0 + rank] * 6, shape=shape, strides=strides)
        communicator.all_reduce(array, array, op=ReduceOp.SUM)
        return array.tolist()

    count = {(): 1, (0, 5): 0}.get(shape, 6)
    for rank, values in enumerate(together(run.join(0, 0), reduce)):
        assert values == [3.0] * count + [1.0 + rank] * (6 - count)


def test_only_one_of_two_has_a_stream():
    communicator = Communicator("127.0.0.1:1")
    spy = Spy(communicator)
    with pytest.raises(pccl.PCCLError):  # not connected
        communicator.all_reduce(CudaArray([1.0]), CudaArray([1.0], stream=8), op=ReduceOp.SUM)
    assert spy.streams() == [8]


FLOATS = [0.0] * 4
REFUSED = {
    "strided": ({"strides": (8,)}, "not C-contiguous"),
    "Fortran order": ({"shape": (2, 2), "strides": (4, 8)}, "not C-contiguous"),
    "masked": ({"mask": CudaArray(FLOATS)}, "is masked"),
    "version 1": ({"version": 1}, "version 1 of"),
    "version 4": ({"version": 4}, "version 4 of"),
    "other byte order": ({"typestr": ">f4"}, "type '>f4'"),
    "complex": ({"typestr": "<c8"}, "type '<c8'"),
    "boolean": ({"typestr": "|b1"}, r"type '\|b1'"),
    "a record": ({"typestr": "[('x', '<f4')]"}, "are not supported"),
    "no memory": ({"data": (0, False)}, "no memory of its own"),
    "no shape": ({"shape": None}, "has no shape"),
    "stream 0": ({"stream": 0}, "stream 0 is not allowed"),
    "another stream": ({"stream": -1}, "stream -1"),
}


@pytest.mark.parametrize("style", [ValueError, AssertionError])
@pytest.mark.parametrize("what", REFUSED)
def test_cuda_arrays_that_are_refused(what, style):
    changes, text = REFUSED[what]
    refuses(CudaArray(FLOATS, **changes), CudaArray(FLOATS), text, style)


def test_more_that_is_refused():
    read_only = CudaArray(FLOATS, data=(4096, True))
    refuses(CudaArray(FLOATS), read_only, "recv is read-only")
    refuses(CudaArray(FLOATS, stream=5), CudaArray(FLOATS, stream=6), "in two streams.*set_stream")
    refuses(CudaArray(FLOATS), bytearray(16), "not cuda array and buffer")
    refuses(CudaArray(FLOATS), DLPackArray(FLOATS), "not cuda array and dlpack")
    refuses(DLPackArray(FLOATS, gpu=0), DLPackArray(FLOATS, gpu=1), "send is on GPU 0, recv is on GPU 1")
    refuses(DLPackArray(FLOATS), DLPackArray(FLOATS, CUDA_HOST), "send is on GPU 0, recv is in host memory")
    refuses(DLPackArray(FLOATS, 10), DLPackArray(FLOATS), "send is on DLPack device 10")
    not_a_dictionary = CudaArray(FLOATS)
    not_a_dictionary.__cuda_array_interface__ = 5
    refuses(not_a_dictionary, CudaArray(FLOATS), "no dictionary", TypeError)


# ---- DLPack


@pytest.mark.parametrize("device", [2, CUDA_MANAGED])
def test_dlpack_waits_for_the_default_stream(run, device):
    made = []

    def make(rank):
        made.append(DLPackArray([1.0 + rank, 2.0], device))
        return made[-1]

    values, streams = sums(run, make)
    assert values == [3.0, 4.0]
    assert streams == [0, 0]  # which is DLPack's 1
    assert all({"stream": 1} in array.asked for array in made if array.asked)


def test_dlpack_that_names_no_device_is_asked_for_no_stream(run):
    """Its owner then has to take care of the default stream."""
    _, streams = sums(run, lambda rank: DLPackArray([1.0, 2.0], names_device=False))
    assert streams == [0, 0]


def test_dlpack_in_pinned_memory_is_the_host_s(run):
    def reduce(communicator, rank):
        spy = Spy(communicator)
        array = DLPackArray([1.0 + rank], CUDA_HOST)
        communicator.all_reduce(array, array, op=ReduceOp.SUM)
        return array.tolist(), spy.streams(), array.asked[-1]

    assert together(run.join(0, 0), reduce) == [([3.0], [], {})] * 2


# ---- a stream of one's own


class CudaStream:
    def __cuda_stream__(self):
        return 0, 900


class TorchStream:
    cuda_stream = 901


@pytest.mark.parametrize("stream, handle", [(0, 0), (1, 0), (2, 2), (899, 899), (CudaStream(), 900), (TorchStream(), 901)])
def test_set_stream(run, stream, handle):
    def reduce(communicator, rank):
        spy = Spy(communicator)
        communicator.set_stream(stream)
        array, exported = CudaArray([1.0 + rank], stream=7), DLPackArray([1.0 + rank])
        communicator.all_reduce(array, array, op=ReduceOp.SUM)
        communicator.all_reduce(exported, exported, op=ReduceOp.SUM)
        assert spy.streams() == [handle]
        assert exported.asked[-1] == {"stream": handle or 1}
        communicator.set_stream(None)
        communicator.all_reduce(array, array, op=ReduceOp.SUM)
        assert spy.streams() == [handle, 0, 7]
        return array.tolist() + exported.tolist()

    assert together(run.join(0, 0), reduce) == [[6.0, 3.0]] * 2


def test_a_stream_outlives_renew():
    communicator = Communicator("127.0.0.1:1")
    communicator.set_stream(5)
    communicator.renew()
    spy = Spy(communicator)
    with pytest.raises(pccl.PCCLError):
        communicator.all_reduce(CudaArray(FLOATS, stream=7), CudaArray(FLOATS), op=ReduceOp.SUM)
    assert spy.streams() == []
    assert communicator._stream == 5


def test_a_stream_lives_as_long_as_it_is_used():
    """Also past a renew."""
    communicator, stream = Communicator("127.0.0.1:1"), CudaStream()
    alive = weakref.ref(stream)
    communicator.set_stream(stream)
    del stream
    communicator.renew()
    gc.collect()
    assert alive() is not None
    communicator.set_stream(None)
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("stream", ["default", 1.5, True, object()])
@pytest.mark.parametrize("style", [TypeError, AssertionError])
def test_what_is_no_stream(stream, style):
    with pytest.raises(style, match="not a cudaStream_t"):
        Communicator("127.0.0.1:1").set_stream(stream)


def test_set_stream_after_close():
    communicator = Communicator("127.0.0.1:1")
    communicator.close()
    with pytest.raises(pccl.PCCLError):
        communicator.set_stream(3)


def test_attach_local_without_nccl():
    """In a process of its own: here torch may have loaded NCCL, which would believe the address."""
    program = """
import pccl
communicator = pccl.Communicator("127.0.0.1:1")
communicator.attach_local(None)
try:
    communicator.attach_local(0x1234)
except pccl.PCCLError as error:
    print("refused:", communicator.has_local(), error)
"""
    with Child("-c", program) as child:
        assert re.match("False pcclCommAttachLocal .*(CUDA|NCCL)", child.expect("refused:"))


def test_what_is_no_local_communicator():
    with pytest.raises(ValueError, match="local"):
        Communicator("127.0.0.1:1").attach_local(-1)


class Attaching:
    """In place of the library's communicator: takes whatever is attached."""

    def __init__(self):
        self.attached = []

    def attach_local(self, local, stream):
        self.attached.append(local)
        return 0

    def destroy(self):
        pass


@pytest.mark.parametrize("leave", [Communicator.renew, Communicator.close])
def test_a_local_communicator_does_not_outlive(leave, monkeypatch):
    communicator = Communicator("127.0.0.1:1")
    communicator._native = first = Attaching()
    communicator.attach_local(0x1234)
    assert first.attached == [0x1234] and communicator.has_local()
    monkeypatch.setattr(pccl._loader.core, "Communicator", lambda *_: second)
    second = Attaching()
    leave(communicator)
    assert not communicator.has_local()
    assert second.attached == []


# ---- torch


@pytest.mark.parametrize("gpu, stream", [(0, 70), (1, 71)])
def test_torch_tensors_follow_torch_s_current_stream(run, monkeypatch, gpu, stream):
    torch = pytest.importorskip("torch")
    play_streams(monkeypatch)
    values, streams = sums(run, lambda rank: torch.tensor([1.0 + rank]).as_subclass(torch_on(gpu)))
    assert values == [3.0]
    assert streams == [stream] * 2


def test_host_tensors_name_no_stream(run):
    torch = pytest.importorskip("torch")

    def reduce(communicator, rank):
        spy = Spy(communicator)
        tensor = torch.ones(3)
        communicator.all_reduce(tensor, tensor, op=ReduceOp.SUM)
        communicator.sync_shared_state(SharedState([TensorInfo.from_torch(tensor, "x")]))
        return spy.streams()

    assert together(run.join(0, 0), reduce) == [[], []]


def test_many_with_retry(run, monkeypatch):
    """On two GPUs: the other one's work is waited for, since ops follow one stream."""
    torch = pytest.importorskip("torch")
    waited = play_streams(monkeypatch)

    def reduce(communicator, rank):
        spy = Spy(communicator)
        tensors = [torch.tensor([1.0 + rank] * 5).as_subclass(torch_on(gpu)) for gpu in (0, 0, 1)]
        communicator.all_reduce_multiple_with_retry(sums_of(tensors[:2]))
        assert (spy.streams(), waited) == ([70], [])
        communicator.all_reduce_multiple_with_retry(sums_of([torch.ones(2)]))
        assert spy.streams() == [70]
        return tensors[0].tolist()

    assert together(run.join(0, 0), reduce) == [[3.0] * 5] * 2

    def reduce_on_two(communicator, rank):
        tensors = [torch.ones(5).as_subclass(torch_on(gpu)) for gpu in (0, 0, 1)]
        communicator.all_reduce_multiple_with_retry(sums_of(tensors))
        return communicator._native.streams()[-1]

    assert together(run.peers, reduce_on_two) == [70] * 2
    assert waited == [71] * 2


def test_bare_addresses_follow_torch_where_it_uses_cuda(run, monkeypatch):
    torch = pytest.importorskip("torch")
    play_streams(monkeypatch)
    run.join(0, 0)

    def reduce(communicator, rank):
        spy = Spy(communicator)
        tensor = torch.ones(5)
        made = sums_of([tensor])[0]
        bare = ReduceOpDescriptor(made.sendbuf_ptr, made.recvbuf_ptr, made.reduce_descriptor)
        communicator.all_reduce_multiple_with_retry([bare])
        communicator._native = spy._native
        return spy.streams()

    for is_initialized, streams in ((False, []), (True, [70])):
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: is_initialized)
        assert together(run.peers, reduce) == [streams] * 2


def test_shared_state_follows_torch_s_stream_of_the_moment(monkeypatch):
    torch = pytest.importorskip("torch")
    handles = {0: 70}
    play_streams(monkeypatch, handles)
    info = TensorInfo.from_torch(torch.ones(3).as_subclass(torch_on(0)), "x")
    assert info.device_type is DeviceType.CUDA
    communicator = Communicator("127.0.0.1:1")
    spy = Spy(communicator)
    for handle in (70, 80):
        handles[0] = handle
        with pytest.raises(pccl.PCCLError):  # not connected
            communicator.sync_shared_state(SharedState([info]))
    assert [name for name, *_ in spy.calls[:2]] == ["set_stream", "synchronize"]
    assert spy.streams() == [70, 80]
    communicator.set_stream(90)
    with pytest.raises(pccl.PCCLError):
        communicator.sync_shared_state(SharedState([info]))
    assert spy.streams() == [70, 80, 90]


def test_torch_for_amd_is_refused(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.version, "hip", "6.4")
    tensor = torch.zeros(3).as_subclass(torch_on(0))
    refuses(tensor, tensor, "recv is on a GPU of AMD's")


# ---- pccl.cuda


def test_is_available_never_raises(monkeypatch):
    from pccl import _cuda

    monkeypatch.setattr(_cuda, "has_support", lambda: True)
    assert pccl.cuda.is_available() in (False, True)  # whatever is here
    monkeypatch.delitem(_cuda.sys.modules, "torch", raising=False)
    monkeypatch.setattr(_cuda.ctypes, "CDLL", lambda name: 1 / 0)
    assert pccl.cuda.is_available() is False
    monkeypatch.setitem(_cuda.sys.modules, "torch", SimpleNamespace())  # that is being imported
    assert pccl.cuda.is_available() is False


@pytest.mark.parametrize("has_cuda, gpus, expected", [(True, 2, True), (True, 0, False), (False, 2, False)])
def test_is_available_asks_torch_where_it_is_imported(monkeypatch, has_cuda, gpus, expected):
    torch = pytest.importorskip("torch")
    from pccl import _cuda

    monkeypatch.setattr(_cuda, "has_support", lambda: has_cuda)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    assert pccl.cuda.is_available() is expected


@pytest.mark.parametrize("error, count, expected", [(0, 1, True), (0, 0, False), (100, 1, False)])
def test_is_available_asks_the_driver_otherwise(monkeypatch, error, count, expected):
    from pccl import _cuda

    class Driver:
        def __init__(self, name):
            assert name == "libcuda.so.1"

        def cuInit(self, flags):
            return error

        def cuDeviceGetCount(self, out):
            out._obj.value = count
            return 0

    monkeypatch.setattr(_cuda, "has_support", lambda: True)
    monkeypatch.delitem(_cuda.sys.modules, "torch", raising=False)
    monkeypatch.setattr(_cuda.ctypes, "CDLL", Driver)
    assert pccl.cuda.is_available() is expected


# ---- error feedback


def test_residuals_are_brought_back_from_the_gpu_before_they_are_shown():
    from pccl import _loader

    brought = []

    class Native(_loader.core.ErrorFeedback):
        def bring_back(self):
            brought.append(self)
            super().bring_back()

    feedback = pccl.ErrorFeedback(4)
    feedback._native = Native(4)
    assert feedback.residual.tolist() == [0.0] * 4
    assert brought == [feedback._native]
