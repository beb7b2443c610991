"""Replicas that are sharded with FSDP2 over two ranks each (gloo): rank by rank, the shards are trained together."""

import itertools

import bodies
import pytest
import tasks
import torch
from crew import Crew, Failed, together
from plain import plain_diloco

RANKS = 2
ROUNDS = 3
GRID = {"ranks_per_replica": RANKS, "model": tasks.without_buffers}
OUTER = {"lr": 0.7, "momentum": 0.9, "nesterov": True}


def make_replica(crew, meeting_point):
    """Its ranks know each other, and no others yet."""
    ranks = crew.hire(RANKS)
    for rank, peer in enumerate(ranks):
        peer.start(bodies.be_a_rank, crew.address, rank, RANKS, str(meeting_point))
    for peer in ranks:
        peer.result()
    return ranks


@pytest.fixture
def replica(crew, tmp_path):
    """Makes one."""
    numbers = itertools.count()
    return lambda: make_replica(crew, tmp_path / f"replica{next(numbers)}")


def join(ranks, address, body=bodies.join, **options):
    for peer in ranks:
        peer.start(body, address, **GRID, **options)


def begin_together(one, two, address):
    for seed, ranks in enumerate((one, two)):
        join(ranks, address, seed=seed, min_peers=2)
    results(one, two)


def results(*replicas):
    return [[peer.result() for peer in ranks] for ranks in replicas]


def same_shards(*replicas, body=bodies.shared):
    """Each rank of a replica holds what the same rank of the others holds."""
    for ranks in zip(*replicas):
        assert len(set(together(ranks, body))) == 1


@pytest.mark.parametrize("overlap", [False, True], ids=["waiting", "overlap"])
def test_two_replicas_begin_together(replica, address, overlap):
    one, two = replica(), replica()
    for seed, ranks in enumerate((one, two)):
        join(ranks, address, seed=seed, min_peers=2, overlap=overlap)
    assert results(one, two) == [[0, 0], [0, 0]]
    assert together([*one, *two], bodies.peer_group_sizes) == [(4, 2)] * 4
    together([*one, *two], bodies.train_rounds, ROUNDS)
    together([*one, *two], bodies.finish)
    same_shards(one, two)


def test_equals_the_plain_loop(replica, address):
    """Both ranks of a replica see the same data, so it is a worker like one of a single process."""
    one, two = replica(), replica()
    for seed, ranks in enumerate((one, two)):
        join(ranks, address, data_seed=seed, min_peers=2, inner=torch.optim.SGD, lr=0.05)
    results(one, two)
    together([*one, *two], bodies.train_rounds, ROUNDS)
    expected = plain_diloco([0, 1], [bodies.STEPS] * 2, torch.optim.SGD, OUTER, ROUNDS, lr=0.05)
    for parameters in together([*one, *two], bodies.full_parameters):
        for own, wanted in zip(parameters, expected):
            torch.testing.assert_close(own, wanted.detach(), rtol=2e-5, atol=2e-6)


def test_everybody_waits_until_a_newcomer_has_all_its_ranks(replica, address):
    one, two = replica(), replica()
    join(one, address)
    results(one)
    join(two[:1], address, seed=1)
    for peer in one:
        peer.start(bodies.train_until_admission)
    assert not one[0].is_done()  # cannot be, whenever one looks: the other rank has not come
    join(two[1:], address, seed=1)
    (first, second), joined = results(one, two)
    assert first == second == joined[0] == joined[1]
    assert together([*one, *two], bodies.peer_group_sizes) == [(4, 2)] * 4
    together([*one, *two], bodies.train_rounds, 2)
    same_shards(one, two)


def test_halves_of_two_replicas_are_no_whole(replica, address):
    """As many peers in each group, and yet the others train on without them."""
    one, two, three = replica(), replica(), replica()
    join(one, address)
    results(one)
    join(two[:1], address, seed=1)
    join(three[1:], address, seed=2)
    together(one, bodies.train_rounds, 3)
    assert together(one, bodies.peer_group_sizes) == [(2, 1)] * 2
    join(two[1:], address, seed=1)
    for peer in one:
        peer.start(bodies.train_until_admission)
    results(one, two)
    join(three[:1], address, seed=2)
    for peer in [*one, *two]:
        peer.start(bodies.train_until_admission)
    results(one, two, three)
    together([*one, *two, *three], bodies.train_rounds, 2)
    same_shards(one, two, three)


def test_two_replicas_begin_with_the_model_of_one(replica, address):
    """All their shards are different: nobody has a majority."""
    one, two = replica(), replica()
    for peer in two[:1] + one + two[1:]:
        seed = 1 if peer in one else 2
        peer.start(bodies.join, address, seed=seed, min_peers=2, **GRID)
    results(one, two)
    begun = [[t.clone() for t in parameters] for parameters in together([one[0], one[1]], bodies.full_parameters)]
    wanted = [bodies.fresh_parameters(seed, tasks.without_buffers) for seed in (1, 2)]
    assert any(all(torch.equal(a, b) for a, b in zip(begun[0], model)) for model in wanted)


def test_a_whole_replica_is_lost_and_another_one_comes(replica, address):
    one, two = replica(), replica()
    begin_together(one, two, address)
    together([*one, *two], bodies.train_rounds)
    for peer in [*one, *two]:
        peer.start(bodies.train_rounds, 3)
    for peer in two:
        peer.kill()
    results(one)
    together(one, bodies.train_rounds, 2)
    assert together(one, bodies.world_size) == [1, 1]

    three = replica()
    join(three, address, seed=3)
    for peer in one:
        peer.start(bodies.train_until_admission)
    (first, second), joined = results(one, three)
    assert first == second == joined[0] == joined[1]
    together([*one, *three], bodies.train_rounds, 2)
    same_shards(one, three)


def test_one_rank_dies_and_its_replica_with_it(replica, address):
    one, two = replica(), replica()
    begin_together(one, two, address)
    together([*one, *two], bodies.train_rounds)
    two[0].kill()
    for peer in [*one, two[1]]:
        peer.start(bodies.train_rounds, 2)
    with pytest.raises(Failed):  # gloo tells the other rank
        two[1].result()
    two[1].kill()
    results(one)
    assert together(one, bodies.world_size) == [1, 1]


def test_a_frozen_rank_holds_up_no_other_replica(tmp_path):
    """Its sister waits for it in a collective of gloo, with a seat in the run, and knows of nothing."""
    with Crew(PCCL_PEER_TIMEOUT="2") as crew:
        one, two = make_replica(crew, tmp_path / "one"), make_replica(crew, tmp_path / "two")
        begin_together(one, two, crew.address)
        two[1].freeze()
        for peer in [*one, two[0]]:
            peer.start(bodies.train_rounds, 2)
        results(one)
        assert together(one, bodies.world_size) == [1, 1]
        assert not two[0].is_done()  # in gloo


def test_a_rank_does_not_come_back_alone(replica, address):
    """The others of its replica work in step with it, and would wait for each other."""
    ranks = replica()
    join(ranks, address)
    results(ranks)
    together(ranks, bodies.train_rounds)
    ranks[0].call(bodies.leave)
    for peer in ranks:
        peer.start(bodies.train_rounds)
    with pytest.raises(Failed) as failed:
        ranks[0].result()
    assert failed.value.kind == "RemovedFromRun"
    ranks[1].result()


def test_average_gradients_of_shards(replica, address):
    one, two = replica(), replica()
    join(one, address, body=bodies.join_average)
    results(one)
    together(one, bodies.take_steps, 3)
    join(two, address, body=bodies.join_average, seed=1)
    for peer in one:
        peer.start(bodies.step_until_admission)
    results(one, two)
    same_shards(one, two, body=bodies.everything)
    together([*one, *two], bodies.take_steps, 3)
    same_shards(one, two, body=bodies.everything)
