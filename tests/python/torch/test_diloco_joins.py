"""Peers of DiLoCo come at any time."""

import bodies
import pytest
from crew import begin, same, together

BOTH = pytest.mark.parametrize("overlap", [False, True], ids=["waiting", "overlap"])


@BOTH
def test_late_joiner_takes_over_the_state(crew, address, overlap):
    first, second, late = crew.hire(3)
    begin([first, second], bodies.join, address, overlap=overlap)
    together([first, second], bodies.train_rounds, 2)
    before = same([first, second])

    late.start(bodies.join, address, seed=7, overlap=overlap)
    together([first, second], bodies.train_until_world, 3)
    joined_in = late.result()
    after = same([first, second, late])
    assert joined_in == after[0]
    assert after[1] != before[1]

    together([first, second, late], bodies.train_rounds, 2)
    assert same([first, second, late])[0] == after[0] + 2


@BOTH
def test_several_join_at_once(crew, address, overlap):
    peers = crew.hire(4)
    begin(peers[:1], bodies.join, address, overlap=overlap)
    for i, peer in enumerate(peers[1:], 1):  # they may come in over several rounds
        peer.start(bodies.join_and_train_until_world, address, 4, seed=i, overlap=overlap)
    peers[0].start(bodies.train_until_world, 4)
    assert len({peer.result() for peer in peers}) == 1
    together(peers, bodies.finish)
    same(peers)


@BOTH
def test_the_first_round_waits_for_min_peers(crew, address, overlap):
    peers = crew.hire(3)
    for i, peer in enumerate(peers):
        peer.start(bodies.join, address, seed=i, min_peers=3, overlap=overlap)
    assert [peer.result() for peer in peers] == [0, 0, 0]
    same(peers)
    reports = together(peers, bodies.train_rounds)
    assert [report[0].world_size for report in reports] == [3, 3, 3]


def test_the_wish_of_the_first_peer_for_company_counts(crew, address):
    first, second = crew.hire(2)
    first.call(bodies.prepare, address, connect=True)
    first.start(bodies.join, address, min_peers=2)
    second.start(bodies.join, address, min_peers=5)  # it would wait for three more by itself
    assert [first.result(), second.result()] == [0, 0]


@BOTH
def test_eight_peers(crew, address, overlap):
    peers = crew.hire(8)
    begin(peers, bodies.join, address, overlap=overlap)
    together(peers, bodies.train_rounds, 2)
    together(peers, bodies.finish)
    same(peers)
