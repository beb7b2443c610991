"""Gradient averaging is training of one process on all peers' batches; newcomers come into it with everything."""

import copy
import signal

import bodies
import pytest
import tasks
import torch
from alone import average_gradients
from crew import Crew, begin, same, together, until
from torch import nn

O = torch.optim
OPTIMIZERS = [
    (O.SGD, {"lr": 0.05}),
    (O.SGD, {"lr": 0.05, "momentum": 0.9, "dampening": 0.5}),
    (O.Adam, {"lr": 1e-2, "amsgrad": True}),
    (O.AdamW, {"lr": 1e-2}),
    (O.RMSprop, {"lr": 1e-3, "momentum": 0.5, "centered": True}),
    (O.NAdam, {"lr": 1e-2}),  # has a number that begins at one
]
IDS = [f"{kind.__name__}{len(settings)}" for kind, settings in OPTIMIZERS]


class OneProcess:
    """The model of the first peer, trained on the batches of all."""

    def __init__(self, optimizer, settings, seeds):
        torch.manual_seed(seeds[0])
        self.model = tasks.without_buffers()
        self.optimizer = optimizer(self.model.parameters(), **settings)
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def steps(self, count, of):
        for _ in range(count):
            batches = [tasks.batch(generator) for generator in self.generators[:of]]
            x, y = (torch.cat(parts) for parts in zip(*batches))
            tasks.loss_of(self.model, x, y).backward()
            self.optimizer.step()
            self.optimizer.zero_grad()


def expect_parameters(peers, model):
    for parameters in together(peers, bodies.parameters):
        for own, expected in zip(parameters, model.parameters()):
            torch.testing.assert_close(own, expected.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("optimizer, settings", OPTIMIZERS, ids=IDS)
def test_equals_one_process_and_a_newcomer_goes_on_with_the_optimizer_s_state(crew, address, optimizer, settings):
    peers = crew.hire(3)
    whole = OneProcess(optimizer, settings, seeds=range(3))
    options = {"optimizer": optimizer, "settings": settings}
    begin(peers[:2], bodies.join_average, address, **options)
    together(peers[:2], bodies.take_steps, 4)
    whole.steps(4, of=2)
    expect_parameters(peers[:2], whole.model)

    peers[2].start(bodies.join_average, address, seed=2, **options)
    steps = together(peers[:2], bodies.step_until_admission)[0] - 4
    whole.steps(steps, of=2)
    assert peers[2].result() == 4 + steps
    same(peers, bodies.everything)
    together(peers, bodies.take_steps, 4)
    whole.steps(4, of=3)
    expect_parameters(peers, whole.model)
    same(peers, bodies.everything)


def test_eight_peers(crew, address):
    peers = crew.hire(8)
    begin(peers, bodies.join_average, address)
    together(peers, bodies.take_steps, 2)
    same(peers, bodies.everything)


def test_quantized_gradients_give_the_same_bits(crew, address):
    peers = crew.hire(3)
    begin(peers, bodies.join_average, address, model=tasks.wide, quantization="uint8", error_feedback=True)
    together(peers, bodies.take_steps, 3)
    same(peers, bodies.everything)


@pytest.mark.parametrize(
    "prepare",
    [lambda m: m.to(memory_format=torch.channels_last), lambda m: m.bfloat16(), lambda m: m.double()],
    ids=["channels_last", "bfloat16", "float64"],
)
def test_models_of_these_forms(crew, prepare):
    model = prepare(nn.Conv2d(3, 4, 3))
    model.register_buffer("seen", torch.tensor([True]))
    model.register_buffer("phase", torch.tensor([1j]))
    plain = copy.deepcopy(model)
    optimizers = [O.AdamW(m.parameters(), lr=1e-2) for m in (model, plain)]
    x = torch.ones(1, 3, 5, 5, dtype=model.weight.dtype)
    with average_gradients(crew, model, optimizers[0]) as average:
        for _ in range(3):
            for m, optimizer in zip((model, plain), optimizers):
                m(x).sum().backward()
                optimizer.step()
                optimizer.zero_grad()
        assert average.step == 3
    assert torch.equal(model.weight, plain.weight) and model.weight.stride() == plain.weight.stride()


@pytest.mark.parametrize("model", [tasks.channels_last, tasks.with_batch_norm], ids=lambda model: model.__name__)
def test_a_newcomer_gets_parameters_that_are_not_contiguous_and_buffers(crew, address, model):
    peers = crew.hire(2)
    options = {"model": model}
    begin(peers[:1], bodies.join_average, address, **options)
    peers[0].call(bodies.take_steps, 2)
    peers[1].start(bodies.join_average, address, seed=5, **options)
    peers[0].call(bodies.step_until_admission)
    peers[1].result()
    same(peers, bodies.everything)


def test_an_optimizer_with_a_state_brings_it_along(crew, address):
    """The first peer was trained before; the second one comes before any step of this run."""
    first, second = peers = crew.hire(2)
    first.call(bodies.prepare, address, connect=True)
    first.start(bodies.join_average, address, trained_before=3, min_peers=2)
    second.start(bodies.join_average, address, seed=1, min_peers=2)
    for peer in peers:
        peer.result()
    together(peers, bodies.take_steps)
    assert first.call(bodies.optimizer_steps) == second.call(bodies.optimizer_steps) == {4.0}
    same(peers, bodies.everything)


def test_numbers_among_the_options_are_handed_over(crew, address):
    """A learning rate that has changed since the beginning, say."""
    first, second = peers = crew.hire(2)
    begin([first], bodies.join_average, address)
    first.call(bodies.set_lr, 0.125)
    second.start(bodies.join_average, address, seed=1)
    first.call(bodies.step_until_admission)
    second.result()
    assert second.call(bodies.lr) == 0.125
    together(peers, bodies.take_steps, 2)
    same(peers, bodies.everything)


# The calls of a step, and of joining.
POINTS = [
    ("connect", 1),
    ("sync_shared_state", 1),
    ("all_reduce", 1),
    ("all_reduce", 3),
    ("are_peers_pending", 1),
    ("are_peers_pending", 3),
]


@pytest.mark.parametrize("call, nth", POINTS, ids=[f"{call}-{nth}" for call, nth in POINTS])
def test_a_peer_dies_at_this_point(crew, address, call, nth):
    *survivors, victim = crew.hire(3)
    begin(survivors, bodies.join_average, address)
    victim.call(bodies.prepare, address)
    victim.call(bodies.ambush, call, nth, signal.SIGKILL)
    victim.start(bodies.join_and_step, address, last=10**9, seed=2)
    until(victim.has_ended, lambda: together(survivors, bodies.take_steps))
    together(survivors, bodies.take_steps, 2)
    same(survivors, bodies.everything)


@pytest.mark.parametrize("call, nth", [("sync_shared_state", 1), ("all_reduce", 3), ("are_peers_pending", 2)])
def test_a_frozen_peer_comes_back(call, nth):
    with Crew(PCCL_PEER_TIMEOUT="2") as crew:
        first, victim = crew.hire(2)
        begin([first], bodies.join_average, crew.address)
        victim.call(bodies.prepare, crew.address)
        victim.call(bodies.ambush, call, nth, signal.SIGSTOP)
        victim.start(bodies.join_average_and_come_back, crew.address, 2, seed=2)
        until(victim.is_frozen, lambda: first.call(bodies.take_steps))
        first.call(bodies.take_steps, 3)
        victim.thaw()
        assert first.call(bodies.step_until_admission) == victim.result()
        same([first, victim], bodies.everything)
        together([first, victim], bodies.take_steps, 2)
        same([first, victim], bodies.everything)


def test_a_peer_that_comes_back_takes_over_a_step_and_does_none(crew, address):
    """Its gradients were of other parameters. They are there again afterwards, for whoever looks at them."""
    first, second = peers = crew.hire(2)
    begin(peers, bodies.join_average, address)
    together(peers, bodies.take_steps, 2)
    second.call(bodies.leave)
    second.start(bodies.gradients_around_a_step)
    first.call(bodies.step_until_admission)
    before, after = second.result()
    assert all(torch.equal(a, b) for a, b in zip(before, after))
    same(peers, bodies.everything)


def test_verifying_finds_a_peer_that_differs(crew, address):
    peers = crew.hire(3)
    begin(peers, bodies.join_average, address, verify_every=4)
    together(peers, bodies.take_steps, 2)
    peers[1].call(bodies.disturb)
    reports = together(peers, bodies.take_steps, 2)
    assert [report[-1].replaced for report in reports] == [False, True, False]
    same(peers, bodies.everything)


def test_looks_for_newcomers_only_now_and_then(crew, address):
    first, late = crew.hire(2)
    begin([first], bodies.join_average, address, admit_every=3)
    late.start(bodies.join_average, address, admit_every=3)
    admitted_at = first.call(bodies.step_until_admission)
    assert admitted_at % 3 == 0 and late.result() == admitted_at


def test_whoever_takes_its_hooks_off_leaves(crew, address):
    first, second = peers = crew.hire(2)
    begin(peers, bodies.join_average, address)
    together(peers, bodies.take_steps, 2)
    second.call(bodies.remove)
    first.call(bodies.take_steps, 2)
    assert first.call(bodies.world_size) == 1
    second.call(bodies.take_steps_of_its_own, 2)
    assert second.call(bodies.steps_done) == 2


def test_a_parameter_without_gradient_is_an_error(crew):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    optimizer = O.SGD(model.parameters(), lr=0.1)
    with average_gradients(crew, model, optimizer):
        model[0](torch.ones(2)).sum().backward()
        with pytest.raises(ValueError, match="no gradient of 1.weight, 1.bias"):
            optimizer.step()
        model(torch.ones(2)).sum().backward()  # and no more than that
        optimizer.step()


def test_a_parameter_of_later_is_an_error(crew):
    model = nn.Linear(2, 2)
    optimizer = O.SGD(model.parameters(), lr=0.1)
    with average_gradients(crew, model, optimizer):
        stranger = nn.Parameter(torch.ones(2))
        optimizer.add_param_group({"params": [stranger]})
        (model(torch.ones(2)) * stranger).sum().backward()
        with pytest.raises(ValueError, match="1 parameters of the optimizer, which came later"):
            optimizer.step()


def test_sparse_gradients_are_an_error(crew):
    model = nn.Embedding(4, 2, sparse=True)
    optimizer = O.SGD(model.parameters(), lr=0.1)
    with average_gradients(crew, model, optimizer):
        model(torch.tensor([1])).sum().backward()
        with pytest.raises(ValueError, match="gradients of weight are sparse"):
            optimizer.step()


def test_an_optimizer_of_sparse_gradients_is_an_error(crew):
    model = nn.Embedding(4, 2, sparse=True)
    with pytest.raises(ValueError, match="SparseAdam wants sparse gradients"):
        with average_gradients(crew, model, O.SparseAdam(model.parameters())):
            pass


def test_a_fused_optimizer_under_a_grad_scaler_is_an_error(crew):
    """It would unscale each peer's share of the average by that peer's factor."""
    model = nn.Linear(2, 2)
    optimizer = O.SGD(model.parameters(), lr=0.1, fused=True)
    scaler = torch.amp.GradScaler("cpu")
    with average_gradients(crew, model, optimizer):
        scaler.scale(model(torch.ones(2)).sum()).backward()
        with pytest.raises(ValueError, match="fused=False"):
            scaler.step(optimizer)


def test_a_frozen_parameter_rests_and_newcomers_come_all_the_same(crew, address):
    first, late = crew.hire(2)
    begin([first], bodies.join_average, address)
    first.call(bodies.take_steps, 2)
    first.call(bodies.freeze_first)
    resting = first.call(bodies.first_parameter)
    first.call(bodies.take_steps, 2)
    late.start(bodies.join_average, address, seed=2)
    first.call(bodies.step_until_admission)
    late.result()
    late.call(bodies.freeze_first)
    together([first, late], bodies.take_steps, 3)
    same([first, late], bodies.everything)
    assert torch.equal(late.call(bodies.first_parameter), resting)


def test_buffers_are_averaged(crew, address):
    peers = crew.hire(2)
    begin(peers, bodies.join_average, address, model=tasks.with_batch_norm)
    together(peers, bodies.take_steps, 2)
    one, other = together(peers, bodies.buffers)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert one["1.num_batches_tracked"] == 2


def test_steps_of_a_checkpoint_count(crew, address):
    first, late = crew.hire(2)
    first.start(bodies.join_average, address, steps_done=7)
    assert first.result() == 7
    first.call(bodies.take_steps, 2)
    late.start(bodies.join_average, address, seed=2, steps_done=70)
    first.call(bodies.step_until_admission)
    assert late.result() == first.call(bodies.steps_done)


def test_a_closure_is_an_error(crew):
    model = nn.Linear(2, 2)
    optimizer = O.SGD(model.parameters(), lr=0.1)

    def closure():
        loss = model(torch.ones(2)).sum()
        loss.backward()
        return loss

    with average_gradients(crew, model, optimizer) as average:
        for step in (lambda: optimizer.step(closure), lambda: optimizer.step(closure=closure)):
            with pytest.raises(ValueError, match="closure"):
                step()
        assert average.step == 0


def test_an_optimizer_that_needs_a_closure_is_an_error(crew):
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="LBFGS steps with a closure"), average_gradients(
        crew, model, O.LBFGS(model.parameters())
    ):
        pass


@pytest.mark.parametrize("which", ["fewer", "others"])
def test_the_optimizer_has_to_have_the_model_s_parameters(crew, which):
    model = nn.Linear(2, 2)
    parameters = [model.weight] if which == "fewer" else [*model.parameters(), nn.Parameter(torch.ones(1))]
    with pytest.raises(ValueError, match="optimizer's parameters"), average_gradients(
        crew, model, O.SGD(parameters, lr=0.1)
    ):
        pass
