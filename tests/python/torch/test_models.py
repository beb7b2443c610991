"""Models of all kinds, in DiLoCo: alone, where the outer model has to be what plain arithmetic says."""

import bodies
import pytest
import tasks
import torch
from alone import diloco
from crew import begin, together
from torch import nn

# With these an outer step goes where the inner steps have gone.
FOLLOW = {"outer_lr": 1.0, "outer_momentum": 0.0, "nesterov": False}
both = pytest.mark.parametrize("overlap", [False, True], ids=["waiting", "overlap"])


def add(parameter, value):
    with torch.no_grad():
        parameter.add_(value)


@both
@pytest.mark.parametrize("model", [tasks.with_batch_norm, tasks.of_two_types, tasks.bfloat16], ids=lambda m: m.__name__)
def test_models_of_these_types_are_the_same_on_all(crew, address, model, overlap):
    peers = crew.hire(2)
    begin(peers, bodies.join, address, model=model, overlap=overlap)
    before = peers[0].call(bodies.shared)
    together(peers, bodies.train_rounds, 3)
    together(peers, bodies.finish)
    assert len(set(together(peers, bodies.shared))) == 1
    assert peers[0].call(bodies.shared)[1] != before[1]
    own, other = together(peers, bodies.parameters)
    assert all(torch.equal(a, b) and a.isfinite().all() for a, b in zip(own, other))


def test_buffers_are_averaged_over_the_peers(crew, address):
    peers = crew.hire(2)
    begin(peers, bodies.join, address, each=[{"sync_every": 2}, {"sync_every": 5}])
    own = [peer.call(bodies.buffers_after_steps, count) for peer, count in zip(peers, (1, 4))]
    for peer, count in zip(peers, (1, 1)):
        peer.start(bodies.train_rounds)
    for peer in peers:
        peer.result()
    means = [peer.call(bodies.buffers) for peer in peers]
    assert own[0]["1.running_mean"].ne(own[1]["1.running_mean"]).any()
    for name in means[0]:
        assert torch.equal(means[0][name], means[1][name])
    # Two steps of one and five of the other: 3.5, and to the even one.
    assert means[0]["1.num_batches_tracked"].item() == 4


@both
def test_infinite_values_of_a_mask_stay(crew, overlap):
    model = nn.Linear(2, 2)
    model.register_buffer("mask", torch.full((3, 3), float("-inf")).triu(1))
    expected = model.mask.clone()
    with diloco(crew, model, overlap=overlap) as run:
        for _ in range(3):
            add(model.weight, 0.1)
            run.step()
    assert torch.equal(model.mask, expected)


@both
def test_complex_numbers(crew, overlap):
    model = nn.Linear(2, 2)
    model.spin = nn.Parameter(torch.tensor([1 + 2j, 3 - 4j]))
    model.register_buffer("phases", torch.tensor([0.5 + 0.25j], dtype=torch.complex128))
    with diloco(crew, model, overlap=overlap, **FOLLOW) as run:
        for _ in range(3):
            add(model.spin, 1 - 1j)
            add(model.phases, 0.5j)
            run.step()
        run.finish()
    torch.testing.assert_close(model.spin.detach(), torch.tensor([4 - 1j, 6 - 7j]))
    torch.testing.assert_close(model.phases, torch.tensor([0.5 + 1.75j], dtype=torch.complex128))


def test_bool_and_small_integers(crew):
    model = nn.Linear(2, 2)
    model.register_buffer("seen", torch.tensor([True, False]))
    model.register_buffer("count", torch.tensor([7], dtype=torch.uint8))
    with diloco(crew, model) as run:
        model.seen[1] = True
        model.count += 3
        run.step()
    assert model.seen.tolist() == [True, True] and model.count.item() == 10


def test_caches_are_each_peers_own(crew):
    """Buffers that are not persistent may be missing in the beginning, and grow."""
    model = nn.Linear(2, 2)
    model.register_buffer("grows", torch.ones(2), persistent=False)
    model.register_buffer("late", None, persistent=False)
    with diloco(crew, model) as run:
        assert not any("grows" in name for name in run.state_dict()["tensors"])
        model.grows = torch.ones(5)
        model.late = torch.ones(1)
        run.step()
    assert torch.equal(model.grows, torch.ones(5))


def test_a_buffer_that_grows_is_named(crew):
    model = nn.Linear(2, 2)
    model.register_buffer("grows", torch.ones(1))
    with diloco(crew, model) as run:
        model.grows = torch.ones(5)
        with pytest.raises(ValueError, match=r"grows is \[5\] now, it was \[1\]"):
            run.step()


def test_tied_parameters_are_one(crew):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    before = model[0].weight.detach().clone()
    with diloco(crew, model, **FOLLOW) as run:
        add(model[0].weight, 1.0)
        run.step()
        assert sum("weight" in name for name in run.state_dict()["tensors"]) == 2  # parameter and velocity
    assert model[1].weight is model[0].weight
    torch.testing.assert_close(model[0].weight.detach(), before + 1)


def test_frozen_parameters_are_left_alone(crew):
    model = nn.Sequential(nn.Linear(3, 3).requires_grad_(False), nn.Linear(3, 3))
    before = model[0].weight.clone()
    with diloco(crew, model) as run:
        run.step()
        assert not any("0.weight" in name for name in run.state_dict()["tensors"])
    assert torch.equal(model[0].weight, before)


def test_a_parameter_that_is_frozen_later_stays(crew):
    model = nn.Linear(3, 3)
    with diloco(crew, model, **FOLLOW) as run:
        for _ in range(2):
            add(model.bias, 1.0)
            run.step()
        model.bias.requires_grad_(False)
        frozen = model.bias.detach().clone()
        for _ in range(3):
            add(model.weight, 1.0)
            run.step()
    torch.testing.assert_close(model.bias.detach(), frozen)


def test_a_parameter_without_gradient_stays(crew):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    before = model[1].weight.detach().clone()
    with diloco(crew, model) as run:
        model[0](torch.ones(3)).sum().backward()
        run.inner_optimizer.step()
        run.step()
    assert torch.equal(model[1].weight.detach(), before)


@both
def test_parameters_that_are_not_contiguous(crew, overlap):
    model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    assert not model.weight.is_contiguous()
    before = model.weight.detach().clone()
    step = torch.arange(4.0).view(4, 1, 1, 1) * torch.arange(3.0).view(1, 3, 1, 1)
    with diloco(crew, model, overlap=overlap, **FOLLOW) as run:
        add(model.weight, step)
        run.step()
        run.finish()
    torch.testing.assert_close(model.weight.detach(), before + step)


@both
def test_rounding_to_bfloat16_moves_nothing(crew, overlap):
    """The model's parameters are the outer ones rounded. That difference is not taken for training."""
    torch.manual_seed(0)
    model = nn.Linear(32, 32).bfloat16()
    with diloco(crew, model, overlap=overlap, outer_lr=0.3, outer_momentum=0.0, nesterov=False) as run:
        add(model.weight, 0.011)
        for _ in range(3):
            run.step()
        settled = run.parameter_hash()
        assert not torch.equal(
            run.state_dict()["tensors"]["parameter/weight"], model.weight.detach().float()
        )  # else there would be nothing to lose
        for _ in range(5):
            run.step()
        assert run.parameter_hash() == settled


def test_small_steps_of_a_bfloat16_model_add_up(crew):
    """Less than the model's type can tell apart, again and again."""
    model = nn.Linear(1, 1, bias=False).bfloat16()
    nn.init.ones_(model.weight)
    with diloco(crew, model, outer_lr=0.1, outer_momentum=0.0, nesterov=False) as run:
        for _ in range(10):
            add(model.weight, 2**-7)  # one unit, a tenth of which counts
            run.step()
        outer = run.state_dict()["tensors"]["parameter/weight"].item()
    assert outer == pytest.approx(1 + 2**-7, rel=1e-5)
    assert model.weight.item() == 1 + 2**-7
