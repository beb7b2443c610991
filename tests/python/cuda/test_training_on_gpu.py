"""pccl.torch with one peer on a GPU and one on the CPU: both end with the same state, bit by bit."""

import pytest

import pccl
from peers import Run, together

torch = pytest.importorskip("torch")

import pccl.torch
from pccl.torch._flat import FlatTensors

ROUNDS = 4


def model_on(place, seed):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(8, 600), torch.nn.BatchNorm1d(600), torch.nn.Tanh(), torch.nn.Linear(600, 1)
    ).to(place)


def step(model, optimizer, random, place):
    x = torch.randn(16, 8, generator=random)
    loss = (model(x.to(place)) - x.sum(1, keepdim=True).sin().to(place)).pow(2).mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def in_company(run, body):
    """The first peer is let in at once; the others while it begins."""
    run.newcomer()
    run.newcomer()
    run.peers[0].call(lambda communicator: communicator.connect())
    return together(run.peers, body)


OPTIONS = {
    "waiting": {},
    "quantized": {"quantization": "uint8", "error_feedback": True},
    "overlap": {"overlap": True, "quantization": "uint8"},
    "float codes": {"overlap": True, "quantization": "float8_e4m3"},
    "offload": {"offload": True, "overlap": True},
}


@pytest.mark.parametrize("places", [("cuda", "cpu"), ("cpu", "cuda"), ("cuda", "cuda")], ids="-".join)
@pytest.mark.parametrize("what", OPTIONS)
def test_diloco(run, what, places):
    def train(communicator, rank):
        place = places[rank]
        # Not on the default stream: threads have streams of their own, and what runs beside them has another one.
        with torch.cuda.stream(torch.cuda.Stream()):
            model, random = model_on(place, rank), torch.Generator().manual_seed(rank)
            inner = torch.optim.AdamW(model.parameters(), lr=1e-2)
            diloco = pccl.torch.DiLoCo(
                model, inner, communicator, sync_every=3, min_peers=2, outer_momentum=0.6, verify_every=1, **OPTIONS[what]
            )
            on_gpu = place == "cuda" and what != "offload"
            assert all(flat.is_cuda == on_gpu for flat in diloco._outer.parameters.long)
            reports = []
            while diloco.round < ROUNDS:
                step(model, inner, random, place)
                if (report := diloco.step()) is not None:
                    reports.append(report)
            diloco.finish()
            assert all(tensor.device.type == "cpu" for tensor in diloco.state_dict()["tensors"].values())
            state = b"".join(t.numpy().tobytes() for t in diloco.state_dict()["tensors"].values())
            parameters = b"".join(p.detach().cpu().numpy().tobytes() for p in model.parameters())
            # verify_every: arithmetic that differed would have been overwritten.
            return diloco.parameter_hash(), state, parameters, [report.replaced for report in reports]

    one, two = in_company(run, train)
    assert one == two
    assert not any(one[-1])


def test_a_newcomer_on_a_gpu_takes_over_a_cpu_s_state(run):
    def join(communicator, place, seed, min_peers):
        model = model_on(place, seed)
        return pccl.torch.DiLoCo(
            model, torch.optim.SGD(model.parameters(), lr=0.1), communicator, sync_every=1, min_peers=min_peers
        )

    def first(communicator):
        diloco = join(communicator, "cpu", 0, 1)
        while diloco.world_size < 2:
            diloco.step()
        return diloco.parameter_hash()

    def second(communicator):
        return join(communicator, "cuda", 1, 1).parameter_hash()

    one, two = run.newcomer(), run.newcomer()
    one.call(lambda communicator: communicator.connect())
    futures = [one.start(first), two.start(second)]
    hashes = [future.result(60) for future in futures]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("what", [{}, {"quantization": "uint8"}], ids=["exact", "quantized"])
def test_average_gradients(run, what):
    """Both on the GPU: an optimizer's arithmetic is not the same there and on a CPU."""

    def train(communicator, rank):
        model, random = model_on("cuda", rank), torch.Generator().manual_seed(rank)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        average = pccl.torch.AverageGradients(model, optimizer, communicator, min_peers=2, **what)
        assert all(flat.is_cuda for flat in average._gradients.long)
        while average.step < 6:
            step(model, optimizer, random, "cuda")
        return b"".join(t.detach().cpu().numpy().tobytes() for t in model.state_dict().values())

    one, two = in_company(run, train)
    assert one == two


def test_a_model_on_a_gpu_and_the_host_is_staged(run):
    """In pinned memory, by which peers of one device each need not care."""

    def train(communicator, rank):
        model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 1))
        torch.manual_seed(0)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter)
        model[0].to("cuda" if rank == 0 else "cpu")
        diloco = pccl.torch.DiLoCo(
            model, torch.optim.SGD(model.parameters(), lr=0.1), communicator, sync_every=1, min_peers=2
        )
        if rank == 0:
            assert [(flat.device.type, flat.is_pinned()) for flat in diloco._outer.parameters.long] == [("cpu", True)]
        for _ in range(3):
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.mul_(0.5 + rank)
            diloco.step()
        return diloco.parameter_hash()

    one, two = in_company(run, train)
    assert one == two


def test_flat_tensors_by_the_gpu_s_arithmetic():
    """The outer step and the division of a weighted average, with numbers of all sizes."""
    from pccl.torch._outer_step import OuterStep

    torch.manual_seed(0)
    exponents = torch.randint(-140, 100, (1_000_003,))
    mantissas = [torch.randn(1_000_003) for _ in range(3)]
    results = []
    for place in ("cpu", "cuda"):
        p, v, g = (torch.ldexp(m, exponents).to(place) for m in mantissas)
        flat = FlatTensors([("x", p)])
        flat.copy_from([("x", p)])
        OuterStep(0.7, 0.9).apply(flat.long[0], v, g)
        average = flat.long[0].clone().div_(torch.tensor([3.0]).to(flat.long[0]))
        results.append([t.cpu().view(torch.int32) for t in (flat.long[0], v, g, average)])
    for on_cpu, on_gpu in zip(*results):
        assert torch.equal(on_cpu, on_gpu)


def test_runs_leave_nothing_behind():
    """Streams and memory of a communicator that is gone: others go on."""
    for _ in range(3):
        with Run() as run:
            run.join(0, 0)
            sums = together(
                run.peers, lambda c, r: c.all_reduce(t := torch.ones(9, device="cuda"), t, op=pccl.ReduceOp.SUM)
            )
            assert [info.local_world_size for info in sums] == [2, 2]
