"""Peers of DiLoCo die at any point (SIGKILL), and the others go on."""

import signal

import bodies
import pytest
from crew import begin, same, together, until

BOTH = pytest.mark.parametrize("overlap", [False, True], ids=["waiting", "overlap"])


@BOTH
def test_a_peer_dies_while_the_others_wait_for_it_in_the_all_reduce(crew, address, overlap):
    *survivors, victim = peers = crew.hire(3)
    begin(peers, bodies.join, address, overlap=overlap)
    together(peers, bodies.train_rounds, 2)
    for peer in survivors:
        peer.start(bodies.train_rounds, 3)
    victim.kill()
    for peer in survivors:
        reports = peer.result()
        assert [report.round for report in reports] == [3, 4, 5]
        assert reports[-1].world_size == 2
    assert same(survivors)[0] == 5


def test_the_round_of_a_loss_says_so(crew, address):
    *survivors, victim = peers = crew.hire(3)
    begin(peers, bodies.join, address)
    for peer in survivors:
        peer.start(bodies.train_rounds)
    victim.kill()
    assert [peer.result()[0].retries > 0 for peer in survivors] == [True, True]
    assert [reports[0].retries for reports in together(survivors, bodies.train_rounds)] == [0, 0]


@BOTH
def test_the_last_peer_goes_on_alone(crew, address, overlap):
    survivor, victim = peers = crew.hire(2)
    begin(peers, bodies.join, address, overlap=overlap)
    together(peers, bodies.train_rounds, 1)
    before = same(peers)
    victim.kill()
    reports = survivor.call(bodies.train_rounds, 3)
    assert reports[-1].world_size == 1
    assert survivor.call(bodies.shared)[1] != before[1]

    late = crew.hire(1)[0]  # and is not alone for ever
    late.start(bodies.join, address, seed=5, overlap=overlap)
    survivor.call(bodies.train_until_world, 2)
    late.result()
    same([survivor, late])


# Calls of the communicator that a round makes, and how often the victim has made them when it dies: in the constructor,
# while it joins, in a later round.
POINTS = [
    ("connect", 1),
    ("sync_shared_state", 1),
    ("sync_shared_state", 2),
    ("all_reduce", 1),
    ("all_reduce", 2),  # the parameters are averaged, the buffers are not
    ("all_reduce", 5),
    ("are_peers_pending", 1),
    ("are_peers_pending", 3),
]


@BOTH
@pytest.mark.parametrize("call, nth", POINTS, ids=[f"{call}-{nth}" for call, nth in POINTS])
def test_a_peer_dies_at_this_point(crew, address, call, nth, overlap):
    *survivors, victim = crew.hire(3)
    options = {"overlap": overlap, "verify_every": 2}
    begin(survivors, bodies.join, address, **options)
    victim.call(bodies.prepare, address)
    victim.call(bodies.ambush, call, nth, signal.SIGKILL)
    victim.start(bodies.join_and_train, address, last=10**9, seed=2, **options)
    until(victim.has_ended, lambda: together(survivors, bodies.train_rounds))
    together(survivors, bodies.train_rounds, 3)
    together(survivors, bodies.finish)
    same(survivors)
