"""All-reduces with one peer on a GPU and one on the CPU: the same bits on both, and as between two CPUs; streams."""

import pytest

from many import sums_of
from only_dlpack import OnlyDLPack, Versioned
from pccl import Attribute, DataType, ErrorFeedback, PCCLError, QuantizationAlgorithm, QuantizationOptions, ReduceOp
from peers import Run, codes, together

torch = pytest.importorskip("torch")

from on_gpu import busy, octets

PLACES = ("cpu", "cuda")
FLOATS = ("float16", "bfloat16", "float32", "float64")
INTEGERS = ("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
COUNTS = (1, 1009, 40_009, 400_003)  # through the master, pairwise, and in segments of a ring
QUANTIZED = [
    (DataType.UINT8, QuantizationAlgorithm.MIN_MAX),
    (DataType.UINT4, QuantizationAlgorithm.MIN_MAX),
    (DataType.UINT2, QuantizationAlgorithm.MIN_MAX),
    (DataType.UINT16, QuantizationAlgorithm.MIN_MAX),
    (DataType.INT8, QuantizationAlgorithm.ZERO_POINT_SCALE),
    (DataType.UINT8, QuantizationAlgorithm.ZERO_POINT_SCALE),
    (DataType.FLOAT8_E4M3, QuantizationAlgorithm.SCALE),
    (DataType.FLOAT8_E5M2, QuantizationAlgorithm.SCALE),
    (DataType.FLOAT4_E3M0, QuantizationAlgorithm.SCALE),
]


def values(dtype: str, seed: int, count: int):
    """Of the whole range of integers; floats of many sizes."""
    random = torch.Generator().manual_seed(seed)
    if dtype in INTEGERS:
        width = torch.tensor([], dtype=getattr(torch, dtype)).element_size()
        octets = torch.randint(0, 256, (count * width,), generator=random, dtype=torch.uint8)
        return octets.view(getattr(torch, dtype)).clone()
    exponents = torch.randint(-6, 6, (count,), generator=random)
    return torch.ldexp(torch.randn(count, generator=random, dtype=torch.float64), exponents).to(getattr(torch, dtype))


@pytest.fixture(scope="module")
def runs():
    started = []
    yield started
    for run in started:
        run.__exit__()


@pytest.fixture
def pair(runs):
    """Two peers of one run for all tests that leave it as it was; of another one after a test that has not."""
    if not runs or not all(peer.communicator.is_connected() for peer in runs[-1].peers):
        runs.append(Run())
        runs[-1].join(0, 0)
    return runs[-1].peers


def same_bits_as_on_cpus(pair, dtype, op, count, quantization=None):
    def reduce(places):
        def body(communicator, rank):
            send = values(dtype, rank, count).to(places[rank])
            recv, in_place = torch.zeros_like(send), send.clone()
            options = {"op": op, "quantization_options": quantization}
            communicator.all_reduce(send, recv, **options)
            communicator.all_reduce(in_place, in_place, **options)
            assert octets(send) == octets(values(dtype, rank, count))
            return octets(recv), octets(in_place)

        return together(pair, body)

    mixed, on_cpus = reduce(PLACES), reduce(("cpu", "cpu"))
    assert mixed[0] == mixed[1], f"the GPU and the CPU differ: {count} of {dtype}"
    assert mixed == on_cpus, f"not as between CPUs: {count} of {dtype}"


@pytest.mark.parametrize("op", list(ReduceOp), ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_same_bits(pair, dtype, op):
    for count in COUNTS:
        same_bits_as_on_cpus(pair, dtype, op, count)


@pytest.mark.parametrize("quantized, algorithm", QUANTIZED, ids=lambda value: getattr(value, "name", None))
@pytest.mark.parametrize("dtype", FLOATS)
def test_same_bits_quantized(pair, dtype, quantized, algorithm):
    options = QuantizationOptions(quantized, algorithm)
    for op in (ReduceOp.SUM, ReduceOp.AVG):
        same_bits_as_on_cpus(pair, dtype, op, COUNTS[-1], options)


def test_two_on_one_gpu(pair):
    def reduce(communicator, rank):
        tensor = values("float32", rank, 100_003).cuda()
        communicator.all_reduce(tensor, tensor, op=ReduceOp.AVG)
        return octets(tensor)

    one, two = together(pair, reduce)
    expected = (values("float32", 0, 100_003) + values("float32", 1, 100_003)) / 2
    assert one == two == octets(expected)


def test_error_feedback(pair):
    count, coarse = 50_000, QuantizationOptions(DataType.UINT4)

    def reduce(places):
        def body(communicator, rank):
            feedback = ErrorFeedback(count)
            for turn in range(3):
                tensor = values("float32", rank + 10 * turn, count).to(places[rank])
                communicator.all_reduce(
                    tensor, tensor, op=ReduceOp.AVG, quantization_options=coarse, error_feedback=feedback
                )
            return octets(tensor), bytes(feedback.residual)

        return together(pair, body)

    mixed, on_cpus = reduce(PLACES), reduce(("cpu", "cpu"))
    assert mixed == on_cpus
    assert any(mixed[0][1])  # there is something left


def in_flight(communicator, rank, name_it):
    """Writes a tensor in a side stream that is busy, and reduces it without waiting. The result is read in another one."""
    where = PLACES[rank]
    if where == "cpu":
        tensor = torch.full((1_000_003,), 2.0)
        handle = communicator.all_reduce_async(tensor, tensor, op=ReduceOp.SUM)
        assert handle.wait()[0]
        return tensor.unique().tolist()
    side, other = torch.cuda.Stream(), torch.cuda.Stream()
    tensor = torch.zeros(1_000_003, device="cuda")
    side.wait_stream(torch.cuda.current_stream())
    busy(side)
    with torch.cuda.stream(side):
        tensor.fill_(1.0)
        if not name_it:
            handle = communicator.all_reduce_async(tensor, tensor, op=ReduceOp.SUM)
    if name_it:
        communicator.set_stream(side)
        handle = communicator.all_reduce_async(tensor, tensor, op=ReduceOp.SUM)
        communicator.set_stream(None)
    assert handle.wait()[0]
    with torch.cuda.stream(other):
        return tensor.unique().tolist()


@pytest.mark.parametrize("name_it", [False, True], ids=["current stream", "set_stream"])
def test_async_after_work_in_a_side_stream(pair, name_it):
    for _ in range(3):
        assert together(pair, lambda communicator, rank: in_flight(communicator, rank, name_it)) == [[3.0]] * 2


def test_many_in_flight(pair):
    def reduce(communicator, rank):
        tensors = [torch.full((30_001,), float(rank + i), device=PLACES[rank]) for i in range(8)]
        handles = [communicator.all_reduce_async(t, t, op=ReduceOp.SUM, tag=i) for i, t in enumerate(tensors)]
        assert all(handle.wait()[0] for handle in handles)
        return [tensor.unique().tolist() for tensor in tensors]

    assert together(pair, reduce) == [[[2.0 * i + 1] for i in range(8)]] * 2


def test_memory_is_not_reused_while_it_is_reduced(pair):
    """The op keeps the only reference to its tensors until it is awaited; torch may not hand out their memory meanwhile."""

    def reduce(communicator, rank):
        send = torch.full((2_000_003,), 1.0, device=PLACES[rank])
        recv = torch.zeros_like(send)
        handle = communicator.all_reduce_async(send, recv, op=ReduceOp.SUM)
        del send
        for _ in range(8):
            torch.full((2_000_003,), 9.0, device=PLACES[rank])
        assert handle.wait()[0]
        return recv.unique().tolist()

    assert together(pair, reduce) == [[2.0]] * 2


def test_many_with_retry(pair):
    def reduce(communicator, rank):
        tensors = [torch.full((5000 + i,), float(rank + i), device=PLACES[rank]) for i in range(6)]
        communicator.all_reduce_multiple_with_retry(sums_of(tensors))
        return [tensor.unique().tolist() for tensor in tensors]

    assert together(pair, reduce) == [[[2.0 * i + 1] for i in range(6)]] * 2


class OnlyCudaArrayInterface:
    def __init__(self, tensor):
        self.tensor = tensor

    @property
    def __cuda_array_interface__(self):
        stream = torch.cuda.current_stream().cuda_stream
        return {**self.tensor.__cuda_array_interface__, "version": 3, "stream": stream or 1}


class Exported(OnlyDLPack):
    def __dlpack__(self, stream=None):
        return self.tensor.__dlpack__(stream=stream)


@pytest.mark.parametrize("wrap", [OnlyCudaArrayInterface, Exported, Versioned])
def test_tensors_of_other_libraries(pair, wrap):
    def reduce(communicator, rank):
        if PLACES[rank] == "cpu":
            tensor = torch.full((100_003,), 2.0)
            communicator.all_reduce(tensor, tensor, op=ReduceOp.SUM)
            return tensor.unique().tolist()
        side = torch.cuda.Stream()
        tensor = torch.zeros(100_003, device="cuda")
        side.wait_stream(torch.cuda.current_stream())
        busy(side)
        with torch.cuda.stream(side):
            tensor.fill_(1.0)
            wrapped = wrap(tensor)
            communicator.all_reduce(wrapped, wrapped, op=ReduceOp.SUM)
        return tensor.unique().tolist()

    assert together(pair, reduce) == [[3.0]] * 2


def test_pinned_memory_is_the_host_s(pair):
    def reduce(communicator, rank):
        tensor = torch.full((100_003,), 1.0 + rank).pin_memory()
        communicator.all_reduce(tensor, tensor, op=ReduceOp.SUM)
        return tensor.unique().tolist()

    assert together(pair, reduce) == [[3.0]] * 2


def test_two_places_are_refused(pair):
    def reduce(communicator, rank):
        with pytest.raises(ValueError, match="send is on GPU 0, recv is in host memory"):
            communicator.all_reduce(torch.ones(3, device="cuda"), torch.ones(3), op=ReduceOp.SUM)

    together(pair, reduce)


def test_a_lost_peer_leaves_the_input(run):
    run.join(0, 0)

    def first(communicator, rank):
        if rank == 1:
            communicator.close()
            return None
        tensor = torch.full((3_000_003,), 7.0, device="cuda")
        with pytest.raises(PCCLError):
            communicator.all_reduce(tensor, tensor, op=ReduceOp.SUM)
        return tensor.unique().tolist()

    assert together(run.peers, first)[0] == [7.0]
    run.leave(run.peers[1])
    run.join(0)
    assert run.peers[0].attribute(Attribute.LOCAL_WORLD_SIZE) == 2
    assert codes(run.peers, lambda c, r: c.all_reduce(t := torch.ones(9, device=PLACES[r]), t, op=ReduceOp.SUM)) == ["SUCCESS"] * 2
