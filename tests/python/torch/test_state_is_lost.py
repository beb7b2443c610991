"""The only peer that holds the run's state dies before it could hand it over: whoever comes goes on with its own."""

import signal

import bodies
import pytest
from crew import begin, same, together, until

BOTH = pytest.mark.parametrize("overlap", [False, True], ids=["waiting", "overlap"])


@BOTH
def test_while_newcomers_wait(crew, address, overlap):
    only, *late = crew.hire(3)
    options = {"overlap": overlap, "verify_every": 1}
    begin([only], bodies.join, address, **options)
    only.call(bodies.train_rounds, 3)
    only.call(bodies.finish)  # nothing under way asks the same question
    for i, peer in enumerate(late):
        peer.start(bodies.join_and_train_until_world, address, 2, seed=5 + i, min_peers=2, **options)
    until(lambda: only.call(bodies.peers_pending), lambda: None)
    only.kill()
    assert [peer.result() for peer in late] == [0, 0]
    together(late, bodies.train_rounds, 2)
    same(late)


@BOTH
def test_while_it_hands_it_over(crew, address, overlap):
    only, late = crew.hire(2)
    options = {"overlap": overlap, "verify_every": 0}
    begin([only], bodies.join, address, **options)
    only.call(bodies.train_rounds, 3)
    only.call(bodies.ambush, "sync_shared_state", 1, signal.SIGKILL)
    late.call(bodies.prepare, address)
    late.start(bodies.join, address, seed=5, **options)
    only.start(bodies.train_until, 10**9)
    only.wait_for_end()
    assert late.result() == 0
    expected = bodies.fresh_parameters(5)
    assert all((a == b).all() for a, b in zip(late.call(bodies.parameters), expected))
    late.call(bodies.train_rounds, 2)


def test_while_one_comes_back(crew, address):
    """It has an older state, which is better than none."""
    only, back = peers = crew.hire(2)
    begin(peers, bodies.join, address, verify_every=1)
    together(peers, bodies.train_rounds, 3)
    back.call(bodies.leave)
    only.call(bodies.train_rounds, 2)
    back.start(bodies.train_rounds)
    until(lambda: only.call(bodies.peers_pending), lambda: None)
    only.kill()
    back.result()
    assert back.call(bodies.shared)[0] == 3
    assert back.call(bodies.train_rounds)[0].round == 4


@BOTH
def test_who_has_trained_goes_before_who_waits_for_company(crew, address, overlap):
    """Though it comes second, from a run that is over."""
    trained, fresh = crew.hire(2)
    options = {"overlap": overlap, "verify_every": 1}
    begin([trained], bodies.join, address, **options)
    trained.call(bodies.train_rounds, 3)
    trained.call(bodies.leave)
    fresh.call(bodies.prepare, address, connect=True)
    fresh.start(bodies.join, address, seed=5, min_peers=2, **options)
    trained.start(bodies.train_rounds)
    assert fresh.result() == 3
    trained.result()
    together([trained, fresh], bodies.train_rounds, 2)
    same([trained, fresh])


def test_of_the_gradients_run(crew, address):
    only, late = crew.hire(2)
    begin([only], bodies.join_average, address)
    only.call(bodies.take_steps, 3)
    only.call(bodies.ambush, "sync_shared_state", 1, signal.SIGKILL)
    late.call(bodies.prepare, address)
    late.start(bodies.join_average, address, seed=5)
    only.start(bodies.step_until, 10**9)
    only.wait_for_end()
    assert late.result() == 0
    late.call(bodies.take_steps, 2)
    assert late.call(bodies.optimizer_steps) == {2.0}
