"""The end of training, where the overlapping loop has an average under way."""

import bodies
import pytest
import torch
from alone import diloco
from crew import Crew, begin, together
from torch import nn


def test_takes_the_last_outer_step_once(crew):
    model = nn.Linear(2, 2)
    begun = model.weight.detach().clone()
    with diloco(crew, model, overlap=True, outer_lr=1.0, outer_momentum=0.0, nesterov=False) as run:
        with torch.no_grad():
            model.weight.add_(1.0)
        run.step()
        outer = run.state_dict()["tensors"]["parameter/weight"]
        assert torch.equal(outer, begun)  # the first round's is in flight
        assert run.finish() is None
        assert run.round == 1
        for _ in range(2):
            torch.testing.assert_close(run.state_dict()["tensors"]["parameter/weight"], begun + 1)
            torch.testing.assert_close(model.weight.detach(), begun + 1)
            run.finish()  # nothing is in flight any more
        assert run.round == 1


def test_without_overlap_there_is_nothing_to_finish(crew):
    with diloco(crew, nn.Linear(2, 2)) as run:
        run.step()
        before = run.parameter_hash()
        run.finish()
        assert (run.round, run.parameter_hash()) == (1, before)


def test_an_average_of_nobody_moves_nothing(crew):
    """Not even by the outer momentum: all who had something to say are gone."""
    model = nn.Linear(2, 2)
    with diloco(crew, model, overlap=True) as run:
        for _ in range(3):
            with torch.no_grad():
                model.weight.add_(1.0)
            run.step()
        run.communicator.renew()  # comes back as a newcomer, who gives nothing to its first average
        run.step()
        before = run.parameter_hash()
        run.step()
        assert run.parameter_hash() == before
        run.step()
        assert run.parameter_hash() != before


@pytest.mark.parametrize("overlap", [False, True], ids=["waiting", "overlap"])
def test_training_may_go_on_and_newcomers_come(crew, address, overlap):
    first, second, late = crew.hire(3)
    begin([first, second], bodies.join, address, overlap=overlap)
    together([first, second], bodies.train_rounds, 2)
    together([first, second], bodies.finish)
    late.start(bodies.join, address, seed=2, overlap=overlap)
    together([first, second], bodies.train_until_admission)
    late.result()
    together([first, second, late], bodies.train_rounds, 2)
    together([first, second, late], bodies.finish)
    assert len(set(together([first, second, late], bodies.shared))) == 1


def test_a_newcomer_does_not_dilute_the_average_under_way(crew, address):
    """It has trained nothing: the outer step is that of the first peer alone, bit by bit."""
    first, late = crew.hire(2)
    begin([first], bodies.join, address, overlap=True)
    late.start(bodies.join, address, seed=2, overlap=True)
    joined_at = first.call(bodies.train_until_admission)
    late.result()
    together([first, late], bodies.train_rounds)

    with Crew() as elsewhere:
        alone = elsewhere.hire(1)[0]
        begin([alone], bodies.join, elsewhere.address, overlap=True)
        alone.call(bodies.train_rounds, joined_at + 1)
        assert alone.call(bodies.shared) == first.call(bodies.shared) == late.call(bodies.shared)
