"""A run of DiLoCo goes on from a checkpoint."""

import io

import bodies
import pytest
import tasks
import torch
from crew import Failed, begin, same, together


def saved_and_loaded(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def a_checkpoint(crew, rounds, **options):
    peer = crew.hire(1)[0]
    begin([peer], bodies.join, crew.address, **options)
    peer.call(bodies.train_rounds, rounds)
    state = peer.call(bodies.checkpoint)
    peer.kill()
    return saved_and_loaded(state)


def test_goes_on_as_if_nothing_had_been(crew, address):
    """Without a state of the inner optimizer, so that it need not be saved."""
    options = {"model": tasks.without_buffers, "inner": torch.optim.SGD, "lr": 0.05}
    whole = crew.hire(1)[0]
    begin([whole], bodies.join, address, **options)
    whole.call(bodies.train_rounds, 3)
    checkpoint = saved_and_loaded(whole.call(bodies.checkpoint))
    data = whole.call(bodies.data)
    whole.call(bodies.train_rounds, 2)
    expected = whole.call(bodies.shared)
    whole.kill()

    resumed = crew.hire(1)[0]
    assert resumed.call(bodies.join, address, seed=8, checkpoint=checkpoint, **options) == 3
    resumed.call(bodies.set_data, data)
    resumed.call(bodies.train_rounds, 2)
    assert resumed.call(bodies.shared) == expected


@pytest.mark.parametrize("overlap", [False, True], ids=["waiting", "overlap"])
def test_the_first_round_after_it_waits_for_company(crew, address, overlap):
    checkpoint = a_checkpoint(crew, 3)
    peers = crew.hire(3)
    for i, peer in enumerate(peers):
        peer.start(bodies.join, address, seed=i, min_peers=3, checkpoint=checkpoint, overlap=overlap)
    assert [peer.result() for peer in peers] == [3, 3, 3]
    reports = together(peers, bodies.train_rounds)
    assert [report[0].world_size for report in reports] == [3, 3, 3]
    together(peers, bodies.finish)
    same(peers)


def test_who_comes_late_takes_over_the_run_in_spite_of_its_checkpoint(crew, address):
    """Its own may be of a later round than the run is in."""
    ahead = a_checkpoint(crew, 9)
    first, *late = crew.hire(3)
    first.call(bodies.join, address)
    first.call(bodies.train_rounds, 2)
    for peer in late:
        peer.start(bodies.join_and_train_until_world, address, 3, seed=3, checkpoint=ahead)
    first.start(bodies.train_until_world, 3)
    for peer in [first, *late]:
        peer.result()
    same([first, *late])


@pytest.mark.parametrize("min_peers", [1, 5])
def test_a_majority_of_newcomers_does_not_take_the_run_back(crew, address, min_peers):
    """In the first rounds, and whatever company they would like to begin in."""
    checkpoint = a_checkpoint(crew, 3)
    first, *late = crew.hire(3)
    begin([first], bodies.join, address)
    assert first.call(bodies.train_rounds, 2)[-1].round == 2
    options = {"seed": 3, "checkpoint": checkpoint, "min_peers": min_peers}
    for peer in late:
        peer.call(bodies.prepare, address, cohort=(5, 2))  # both at once
        peer.start(bodies.join, address, **options)
    rounds = first.call(bodies.train_until_admission)
    assert [peer.result() for peer in late] == [rounds, rounds]
    assert not first.call(bodies.was_replaced)
    together([first, *late], bodies.train_rounds, 2)
    same([first, *late])


def test_goes_before_a_peer_without_one(crew, address):
    """Who began from nothing, and waits for company, has nothing to lose."""
    checkpoint = a_checkpoint(crew, 4)
    fresh, holder = peers = crew.hire(2)
    fresh.call(bodies.prepare, address, connect=True)
    fresh.start(bodies.join, address, min_peers=2)
    holder.start(bodies.join, address, min_peers=2, checkpoint=checkpoint)
    assert [peer.result() for peer in peers] == [4, 4]
    assert same(peers)[1] == bodies.hash_of([flat for flat in flattened(checkpoint)])


def flattened(checkpoint):
    parameters = [t.flatten() for name, t in checkpoint["tensors"].items() if name.startswith("parameter/")]
    return [torch.cat(parameters)]


@pytest.mark.parametrize("wrong", ["missing", "shape"])
def test_of_another_model(crew, address, wrong):
    checkpoint = a_checkpoint(crew, 1)
    name = next(iter(checkpoint["tensors"]))
    if wrong == "missing":
        del checkpoint["tensors"][name]
    else:
        checkpoint["tensors"][name] = torch.zeros(1)  # would be broadcast
    with pytest.raises(Failed, match=name) as failed:
        crew.hire(1)[0].call(bodies.join, address, checkpoint=checkpoint)
    assert failed.value.kind == "InvalidValueError"
