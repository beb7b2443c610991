"""A peer that cannot take part is told, and does not hold up the others: it has another model, or other settings from which
other calls would follow."""

import bodies
import pytest
import tasks
import torch
from crew import Failed, begin, together, until

DILOCO = [
    ({"model": tasks.of_two_types}, "other entries"),
    ({"overlap": True}, "overlap"),
    ({"quantization": "uint8"}, "quantization"),
    ({"verify_every": 3}, "verify_every"),
    ({"outer_lr": 0.5}, "lr=0.5"),
    ({"nesterov": False}, "nesterov=False"),
]
AVERAGE = [
    ({"model": tasks.with_batch_norm}, "other entries"),
    ({"optimizer": torch.optim.SGD}, "AverageGradients SGD"),
    ({"admit_every": 2}, "admit_every=2"),
    ({"verify_every": 3}, "verify_every=3"),
    ({"quantization": "int8"}, "quantization"),
]


def refused(crew, address, join, train, options, reason):
    first, second = peers = crew.hire(2)
    begin(peers, join, address)
    unlike = crew.hire(1)[0]
    unlike.start(join, address, seed=4, rejoin=False, **options)
    until(unlike.is_done, lambda: together(peers, train))
    with pytest.raises(Failed, match="RemovedFromRun.*" + reason):
        unlike.result()
    together(peers, train)  # though its process lives
    assert together(peers, bodies.world_size) == [2, 2]
    return peers


@pytest.mark.parametrize("options, reason", DILOCO, ids=[next(iter(options)) for options, _ in DILOCO])
def test_diloco(crew, address, options, reason):
    peers = refused(crew, address, bodies.join, bodies.train_rounds, options, reason)
    assert len(set(together(peers, bodies.shared))) == 1


@pytest.mark.parametrize("options, reason", AVERAGE, ids=[next(iter(options)) for options, _ in AVERAGE])
def test_average_gradients(crew, address, options, reason):
    peers = refused(crew, address, bodies.join_average, bodies.take_steps, options, reason)
    assert len(set(together(peers, bodies.everything))) == 1


def test_a_majority_of_newcomers_is_refused_as_well(crew, address):
    first, *unlike = crew.hire(3)
    begin([first], bodies.join, address)
    first.call(bodies.train_rounds, 12)
    for peer in unlike:
        peer.call(bodies.prepare, address, cohort=(5, 2))  # both at once
        peer.start(bodies.join, address, outer_lr=0.5, rejoin=False)
    until(lambda: all(peer.is_done() for peer in unlike), lambda: first.call(bodies.train_rounds))
    for peer in unlike:
        with pytest.raises(Failed, match="RemovedFromRun"):
            peer.result()
    first.call(bodies.train_rounds, 2)


def test_it_tries_more_than_once_by_itself(crew, address):
    """Since it may have been removed for being frozen; but not for ever."""
    first = crew.hire(1)[0]
    begin([first], bodies.join, address)
    unlike = crew.hire(1)[0]
    unlike.start(bodies.join, address, model=tasks.wide)
    until(unlike.is_done, lambda: first.call(bodies.train_rounds))
    with pytest.raises(Failed, match="other entries"):
        unlike.result()
