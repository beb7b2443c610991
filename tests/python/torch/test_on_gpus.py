"""Models on GPUs, as far as a machine without one can tell: where tensors are kept, in which stream what happens, and that
no step of the outer model has bits of a GPU's own. tests/python/cuda has the rest."""

from __future__ import annotations

import contextlib
import threading
import types

import numpy
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import pccl
import pccl.torch
from pccl._enums import ReduceOp
from pccl._errors import Result
from pccl.torch import _flat, _outer_step
from pccl.torch._flat import FlatTensors
from pccl.torch._outer_model import Change, OuterModel
from pccl.torch._outer_step import OuterStep
from pccl.torch._reduction import Averaging, InBackground
from pccl.torch._seat import Seat, Traffic
from pccl.torch._side_streams import SideStreams
from pccl.torch._staging import Staging


def on(device):
    class On(torch.Tensor):  # as far as PCCL looks
        device = property(lambda self: torch.device(device))

    return lambda *shape: torch.rand(*shape).as_subclass(On)


cuda0, cuda1, cpu, mps = on("cuda:0"), on("cuda:1"), torch.rand, on("mps")


@pytest.fixture(params=[True, False], ids=["cuda build", "cpu build"])
def support(request, monkeypatch):
    monkeypatch.setattr(_flat, "has_support", lambda: request.param)
    return request.param


# ---- where


@pytest.mark.parametrize(
    "makers, place",
    [([cpu], "cpu"), ([cuda0], "cuda:0"), ([cuda1, cuda1], "cuda:1"), ([cuda0, cuda1], None), ([cpu, cuda0], None), ([mps], None)],
)
def test_flat_tensors_are_on_the_gpu_that_all_are_on(support, monkeypatch, makers, place):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    named = [(str(i), make(3)) for i, make in enumerate(makers)]
    on_gpu = any(make in (cuda0, cuda1) for make in makers)
    if place is not None and (support or not on_gpu):
        assert _flat._where(named, on_host=False) == {"device": torch.device(place)}
    else:
        assert _flat._where(named, on_host=False) == {"pin_memory": on_gpu}
    assert _flat._where(named, on_host=True) == {"pin_memory": on_gpu}


def test_where_they_are_does_not_change_the_layout(monkeypatch):
    """A peer on a GPU and one on a CPU reduce the same."""
    monkeypatch.setattr(_flat, "has_support", lambda: False)
    named = [("a", torch.rand(3)), ("b", torch.rand(2, 2).double()), ("c", torch.rand(5).bfloat16())]
    elsewhere = [(name, tensor.as_subclass(type(cuda0(1)))) for name, tensor in named]
    ours, theirs = FlatTensors(named), FlatTensors(elsewhere)
    assert [(flat.dtype, flat.shape) for flat in ours.long] == [(flat.dtype, flat.shape) for flat in theirs.long]
    for name, view in ours.views.items():
        assert theirs.views[name].storage_offset() == view.storage_offset()


def test_amd_s_gpus_are_staged(monkeypatch):
    monkeypatch.setattr(_flat, "has_support", lambda: True)
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert not _flat.stays_in_place(cuda0(1))


def test_shared_tensors_go_as_they_are_where_the_library_takes_them(support):
    tensors = {"host": cpu(3), "gpu": cuda0(3), "other": mps(3)}
    staging = Staging(tensors.items(), copy_all=False)
    entries = dict(staging.entries)
    assert entries["host"].data_ptr() == tensors["host"].data_ptr()
    assert (entries["gpu"].data_ptr() == tensors["gpu"].data_ptr()) is support
    assert entries["other"].data_ptr() != tensors["other"].data_ptr()
    for entry in entries.values():
        entry.fill_(5)
    staging.put_back()
    assert all(tensor.tolist() == [5] * 3 for tensor in tensors.values())


@pytest.mark.parametrize("offload", [False, True])
def test_offload_reaches_all_that_is_kept(monkeypatch, offload):
    asked = []
    where = _flat._where
    monkeypatch.setattr(_flat, "_where", lambda like, on_host: asked.append(on_host) or where(like, on_host))
    outer = OuterModel(torch.nn.BatchNorm1d(3), OuterStep(), ahead=True, on_host=offload)
    outer.new_change()
    assert asked == [offload] * 7


# ---- bits


class Operations(TorchDispatchMode):
    """What torch computes inside."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.made = []
        """Elements of new tensors."""

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        options = options or {}
        self.seen.append((function, arguments, options))
        result = function(*arguments, **options)
        if isinstance(result, torch.Tensor) and all(result is not argument for argument in arguments):
            self.made.append(result.numel())
        return result


# One rounding per element, to nearest even, on CPUs and in CUDA's kernels alike.
EXACT = {"mul", "mul_", "add", "add_", "sub", "sub_", "copy_", "div_", "_to_copy", "zero_", "detach", "clone", "lift_fresh", "split"}


def only_exact(operations: Operations) -> set[str]:
    names = set()
    for function, arguments, options in operations.seen:
        name = function.overloadpacket.__name__
        names.add(name)
        assert name in EXACT, f"{function} may round otherwise on a GPU"
        assert options.get("alpha", 1) == 1, f"{function} with alpha is fused on a GPU"
        if name.startswith("div"):
            assert isinstance(arguments[1], torch.Tensor) and arguments[1].ndim > 0, "becomes a product on a GPU"
    return names


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_outer_step_rounds_once_per_operation(monkeypatch, dtype, nesterov):
    """numpy's arithmetic, line by line, which fuses nothing either. Nothing else is as large as the model meanwhile."""
    monkeypatch.setattr(_outer_step, "_SLICE", 1000)
    torch.manual_seed(1)
    parameters, velocity, gradient = (torch.randn(10_001, dtype=dtype) for _ in range(3))
    p, v, g = (tensor.numpy().copy() for tensor in (parameters, velocity, gradient))
    lr, momentum = p.dtype.type(0.7), p.dtype.type(0.9)
    v = v * momentum
    v = v + g
    g = g + v * momentum if nesterov else v
    expected = p - g * lr
    with Operations() as operations:
        OuterStep(0.7, 0.9, nesterov).apply(parameters, velocity, gradient)
    assert {"mul_", "add_", "sub_"} <= only_exact(operations)
    assert max(operations.made, default=0) <= 1000
    assert parameters.numpy().tobytes() == expected.tobytes()
    assert velocity.numpy().tobytes() == v.tobytes()
    assert numpy.isfinite(expected).all()


def test_the_check_of_operations_sees_what_is_fused():
    tensor = torch.ones(3)
    for fused in (
        lambda: tensor.add_(tensor, alpha=0.5),
        lambda: tensor.addcmul_(tensor, tensor),
        lambda: tensor.div_(3.0),
        lambda: tensor.lerp_(tensor, 0.5),
    ):
        with Operations() as operations:
            fused()
        with pytest.raises(AssertionError):
            only_exact(operations)


class AloneSeat:
    """Of three peers, of whom two have something to say; the sums are there already."""

    def reduce_with_retry(self, values, op, tag, *how):
        assert op is ReduceOp.SUM
        values.fill_(3.0)
        return Traffic()

    def reduce(self, values, op, tag, *how):
        return Traffic()

    def peers_pending(self):
        return False


def change_of(*tensors):
    change = Change([(str(i), tensor) for i, tensor in enumerate(tensors)], [])
    change.parameters.copy_from((str(i), tensor) for i, tensor in enumerate(tensors))
    change.weight = 1.0
    return change


def test_a_weighted_average_divides_by_a_tensor():
    torch.manual_seed(2)
    values = torch.randn(999), torch.randn(999).double()
    change = change_of(*values)
    averaging = Averaging(AloneSeat(), change, None, False)
    flats = {flat.data_ptr() for flat in change.parameters.long}
    with Operations() as operations:
        averaging.of_those_with_weight(change)
    of_flats = Operations()
    of_flats.seen = [seen for seen in operations.seen if seen[1] and seen[1][0] is not None
                     and isinstance(seen[1][0], torch.Tensor) and seen[1][0].data_ptr() in flats]  # fmt: skip
    assert only_exact(of_flats) == {"div_"}
    for own, value in zip(change.parameters.long, values):
        assert torch.equal(own, value / torch.tensor([3.0], dtype=value.dtype))


def test_the_model_and_its_hash_do_not_depend_on_offload():
    def trained(offload):
        torch.manual_seed(3)
        model = torch.nn.Linear(4, 4)
        outer = OuterModel(model, OuterStep(), ahead=False, on_host=offload)
        with torch.no_grad():
            model.weight.mul_(1.5)
            change = outer.new_change()
            outer.measure(change)
            outer.apply(change)
        return outer.hash()

    assert trained(False) == trained(True)


# ---- streams


class Stream:
    """Of torch.cuda; notes who waits for whom, in which thread."""

    log: list[tuple] = []

    def __init__(self, device=None, name=None):
        self.device = torch.device(device)
        self.name = name or f"side of {self.device}"

    def wait_stream(self, other):
        self.log.append(("wait", self.name, other.name, threading.current_thread().name))


@pytest.fixture
def streams(monkeypatch):
    """The log; a thread's own stream is called as the thread."""
    log = Stream.log = []
    inside = threading.local()

    def current_stream(device):
        return getattr(inside, "stream", {}).get(device) or Stream(device, f"{threading.current_thread().name} of {device}")

    @contextlib.contextmanager
    def stream(entered):
        assert log[-1][:2] == ("device", str(entered.device)), "makes a context on GPU 0"
        before = getattr(inside, "stream", {})
        inside.stream = {**before, entered.device: entered}
        yield
        inside.stream = before

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", current_stream)
    @contextlib.contextmanager
    def device(entered):
        log.append(("device", str(entered), None, threading.current_thread().name))
        yield

    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "device", device)
    return log


def test_tensors_in_host_memory_have_no_side_streams(streams):
    side = SideStreams([cpu(2), cpu(3)])
    side.follow()
    with side.entered():
        pass
    side.lead()
    assert streams == []


def test_one_side_stream_per_gpu(streams):
    side = SideStreams([cuda1(2), cuda0(1), cuda1(3), cpu(1)])
    side.follow()
    with side.entered():
        current = [torch.cuda.current_stream(torch.device(gpu)).name for gpu in ("cuda:0", "cuda:1")]
    assert current == ["side of cuda:0", "side of cuda:1"]
    assert [(who, whom) for what, who, whom, _ in streams if what == "wait"] == [
        ("side of cuda:0", "MainThread of cuda:0"),
        ("side of cuda:1", "MainThread of cuda:1"),
    ]


class NotedAveraging:
    def __init__(self, log, fails=False):
        self._log, self._fails = log, fails

    def of_those_with_weight(self, change):
        name = torch.cuda.current_stream(torch.device("cuda:0")).name
        self._log.append(("average", name, None, threading.current_thread().name))
        if self._fails:
            raise KeyError("of the other thread")
        return Traffic()


class ClosedSeat(AloneSeat):
    class communicator:
        close = staticmethod(lambda: None)


STORY = [
    ("wait", "side of cuda:0", "MainThread of cuda:0", "MainThread"),
    ("device", "cuda:0", None, "pccl-averaging"),
    ("average", "side of cuda:0", None, "pccl-averaging"),
    ("wait", "MainThread of cuda:0", "side of cuda:0", "MainThread"),
]


@pytest.mark.parametrize("how", ["waited for", "abandoned", "failed"])
def test_an_averaging_in_the_background_has_a_stream_of_its_own(streams, how):
    averaging = InBackground(ClosedSeat(), NotedAveraging(streams, how == "failed"), None, SideStreams([cuda0(2)]))
    averaging.start()
    if how == "abandoned":
        averaging.abandon()
    elif how == "failed":
        with pytest.raises(KeyError):
            averaging.wait()
    else:
        averaging.wait()
    assert streams == STORY


def test_training_loops_use_torch_s_streams():
    """Whatever the application has set before."""
    communicator = pccl.Communicator("127.0.0.1:1")
    communicator.set_stream(5)
    Seat(communicator)
    assert communicator._stream is None


# ---- memory that torch's caching allocator keeps


class Launching(pccl.Communicator):
    """On a GPU each launch takes memory: these are refused, with these results, until one is left out (None)."""

    def __init__(self, *refusals, awaited=0):
        super().__init__("127.0.0.1:1")
        self.refusals, self.awaited, self.launched = list(refusals), awaited, []

    def all_reduce_async(self, send, recv, **how):
        self.launched.append((send, recv, how))
        if self.refusals and (result := self.refusals.pop(0)):
            raise pccl.PCCLError(result, "pcclAllReduceAsync")
        outcome = self.awaited == 0, self.awaited, pccl.ReduceInfo(2, 5, 6)
        return types.SimpleNamespace(wait=lambda: outcome)


@pytest.fixture
def emptied(monkeypatch):
    times = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: times.append(1))
    return times


def reduced_by(communicator):
    tensor = cuda0(3)
    traffic = Seat(communicator).reduce(tensor, ReduceOp.AVG, 7)
    assert all(send is tensor and recv is tensor and how["tag"] == 7 for send, recv, how in communicator.launched)
    return traffic


def test_an_all_reduce_on_a_gpu_gets_what_torch_keeps(emptied):
    assert reduced_by(Launching()) == Traffic(5, 6)
    assert emptied == []
    assert reduced_by(Launching(Result.INTERNAL_ERROR)) == Traffic(5, 6)
    assert emptied == [1]
    assert reduced_by(Launching(Result.INTERNAL_ERROR, Result.TOO_FEW_PEERS)) == Traffic()


@pytest.mark.parametrize("then", [Result.INTERNAL_ERROR, Result.INVALID_USAGE])
def test_a_gpu_that_goes_on_to_refuse_is_an_error(emptied, then):
    """And no peer that has been removed, which would come back with the same GPU."""
    communicator = Launching(Result.INTERNAL_ERROR, then)
    with pytest.raises(pccl.PCCLError, match="INTERNAL_ERROR"):
        reduced_by(communicator)
    assert len(communicator.launched) == 2


def test_an_all_reduce_that_has_begun_is_not_launched_again(emptied):
    """What its tensor holds after an error of the GPU is nothing that others want."""
    communicator = Launching(awaited=Result.INTERNAL_ERROR.value)
    with pytest.raises(pccl.PCCLError, match="INTERNAL_ERROR"):
        reduced_by(communicator)
    assert (len(communicator.launched), emptied) == (1, [])
    assert reduced_by(Launching(awaited=Result.RANK_CONNECTION_LOST.value)) is None


# ---- NCCL inside a host


def test_ranks_with_a_shard_of_their_own_have_no_local_communicator():
    communicator = pccl.Communicator("127.0.0.1:1")
    seat = Seat(communicator)
    communicator._local = 0x1234
    with pytest.raises(ValueError, match="attach_local.*a shard of its own"):
        Seat(communicator)
    with pytest.raises(ValueError, match="attach_local"):
        seat.reduce(torch.zeros(1), ReduceOp.SUM, 0)


class NcclBackend:
    def _comm_ptr(self):
        return 0x1234


class OlderBackend:
    pass


@pytest.fixture
def nccl_group(monkeypatch):
    """A process group whose collectives are noted, on a machine without a GPU, and what is synchronized."""

    class Group:
        backend = NcclBackend()
        asked = []

        def _get_backend(self, device):
            self.asked.append(device)
            return self.backend

    group = Group()
    reduced = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch, "zeros", lambda count, device: (count, device))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: reduced.append(("synchronize", device)))
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda group: 4)
    for collective in ("all_reduce", "reduce_scatter_tensor", "all_gather_into_tensor"):
        monkeypatch.setattr(
            torch.distributed,
            collective,
            lambda *tensors, group, name=collective: reduced.append((name, *tensors, group)),
        )
    group.reduced = reduced
    return group


def test_attach_local_gives_the_communicator_of_the_group(nccl_group):
    attached = []

    class Communicator:
        attach_local = staticmethod(attached.append)

    pccl.torch.attach_local(Communicator(), nccl_group)
    assert attached == [0x1234]
    assert nccl_group.asked == [torch.device("cuda", 3)]
    gpu = torch.device("cuda", 3)
    expected = []  # which makes it, and its connections
    for count in (1, 64 << 18):  # a number, 64 MiB
        one, four = (count, gpu), (4 * count, gpu)
        expected.append(("all_reduce", one, nccl_group))
        expected.append(("reduce_scatter_tensor", one, four, nccl_group))
        expected.append(("all_gather_into_tensor", four, one, nccl_group))
    assert nccl_group.reduced == [*expected, ("synchronize", gpu)]


def test_attach_local_needs_a_backend_that_tells(nccl_group):
    nccl_group.backend = OlderBackend()
    with pytest.raises(RuntimeError, match="OlderBackend of torch .* does not tell its NCCL communicator"):
        pccl.torch.attach_local(None, nccl_group)
