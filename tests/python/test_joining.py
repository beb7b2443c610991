"""Contract 3.1 and 3.7: who joins, when; who leaves; and what the attributes say of it."""

import array

import pytest

from peers import Run, codes, outcomes, together
from pccl import Attribute, Communicator, PCCLError, ReduceOp


def attributes(peers) -> list[list[int]]:
    names = (
        Attribute.GLOBAL_WORLD_SIZE,
        Attribute.LOCAL_WORLD_SIZE,
        Attribute.NUM_DISTINCT_PEER_GROUPS,
        Attribute.LARGEST_PEER_GROUP_WORLD_SIZE,
    )
    return [[peer.attribute(name) for name in names] for peer in peers]


def world(communicator) -> int:
    return communicator.get_attribute(Attribute.GLOBAL_WORLD_SIZE)


def connect(communicator) -> None:
    communicator.connect(n_attempts=1)


def wait_for_a_newcomer(communicator) -> None:
    while not communicator.are_peers_pending():
        pass


def total(communicator, rank) -> float:
    tensor = array.array("d", [1])
    communicator.all_reduce(tensor, tensor, op=ReduceOp.SUM)
    return tensor[0]


def test_connect_returns_only_inside_an_update_of_the_others(run):
    [first] = run.join(0)
    newcomer = run.newcomer()
    connecting = newcomer.start(connect)
    first.call(wait_for_a_newcomer)
    assert not connecting.done()
    assert attributes([first]) == [[1, 1, 1, 1]]  # those who wait do not count
    first.call(lambda c: c.update_topology())
    connecting.result(60)
    assert attributes(run.peers) == [[2, 2, 1, 2]] * 2
    assert first.call(lambda c: c.get_attribute(Attribute.GLOBAL_WORLD_SIZE)) == 2


def test_a_newcomer_does_what_the_others_do_after_their_update(run):
    """It must not call update_topology in its first iteration: the others reduce next."""
    olds = list(run.join(0, 0))
    newcomer = run.newcomer()

    def iterate(communicator, is_new):
        if is_new:
            connect(communicator)
        else:
            wait_for_a_newcomer(communicator)
            communicator.update_topology()
        return total(communicator, 0)

    assert together(run.peers, lambda c, i: iterate(c, i == 2)) == [3.0] * 3
    assert world(newcomer.communicator) == world(olds[0].communicator) == 3


def test_reduces_go_on_among_the_accepted_while_somebody_waits(run):
    olds = list(run.join(0, 0))
    connecting = run.newcomer().start(connect)
    together(olds, lambda c, _: wait_for_a_newcomer(c))
    assert together(olds, total) == [2.0] * 2
    assert not connecting.done()
    together(olds, lambda c, _: c.update_topology())
    connecting.result(60)
    assert together(run.peers, total) == [3.0] * 3


def test_all_accepted_peers_of_all_groups_decide(run):
    peers = list(run.join(0, 1))
    connecting = run.newcomer().start(connect)
    first = peers[0].start(lambda c: c.are_peers_pending())
    assert peers[1].call(lambda c: c.are_peers_pending()) == first.result(60)
    together(peers, lambda c, _: wait_for_a_newcomer(c))
    updating = peers[0].start(lambda c: c.update_topology())
    assert not connecting.done() and not updating.done()  # the other group has not called
    peers[1].call(lambda c: c.update_topology())
    updating.result(60)
    connecting.result(60)
    assert attributes(run.peers) == [[3, 2, 2, 2], [3, 1, 2, 2], [3, 2, 2, 2]]


@pytest.mark.parametrize("groups", [(0,), (7, 7), (0, 1), (1, 2, 3), (0, 0, 1, 1, 1), (4, 4, 4, 4, 4, 4, 4, 2**32 - 1)])
def test_attributes_count_peers_and_groups(run, groups):
    peers = run.join(*groups)
    sizes = [groups.count(group) for group in groups]
    assert attributes(peers) == [[len(groups), size, len(set(groups)), max(sizes)] for size in sizes]


@pytest.mark.parametrize("attribute", ["GLOBAL_WORLD_SIZE", "LOCAL_WORLD_SIZE", "LARGEST_PEER_GROUP_WORLD_SIZE"])
def test_a_departure_alone_changes_no_attribute(run, attribute):
    stays, leaver = run.join(0, 0)
    run.leave(leaver)
    assert stays.attribute(Attribute[attribute]) == 2
    stays.call(lambda c: c.update_topology())
    assert stays.attribute(Attribute[attribute]) == 1


def test_a_reduce_after_a_departure_fails_once_and_refreshes(run):
    *stay, leaver = run.join(0, 0, 0)
    run.leave(leaver)
    assert codes(stay, total) == ["RANK_CONNECTION_LOST"] * 2
    assert attributes(stay) == [[2, 2, 1, 2]] * 2
    assert together(stay, total) == [2.0] * 2


PHASES = {
    "update_topology": lambda c: c.update_topology(),
    "are_peers_pending": lambda c: c.are_peers_pending(),
    "all_reduce": lambda c: total(c, 0),
    "nothing": lambda c: None,
}


@pytest.mark.parametrize("phase", PHASES)
def test_leaving_while_the_others_wait(run, phase):
    """Votes are looked at again without the one who left."""
    *stay, leaver = run.join(0, 0, 0)
    waiting = [peer.start(PHASES[phase]) for peer in stay]
    run.leave(leaver)
    for future in waiting:
        try:
            future.result(60)
        except PCCLError as error:
            assert phase == "all_reduce" and error.result.name == "RANK_CONNECTION_LOST"
    run.update_until(2)
    assert together(stay, total) == [2.0] * 2


@pytest.mark.parametrize("phase", PHASES)
def test_closing_from_another_thread_ends_a_call_that_blocks(run, phase):
    stays, leaver = run.join(0, 0)
    blocked = leaver.start(PHASES[phase])
    run.leave(leaver)
    if phase != "nothing":
        with pytest.raises(PCCLError):
            blocked.result(60)
    stays.call(lambda c: c.update_topology())
    assert attributes([stays]) == [[1, 1, 1, 1]]


def test_a_cohort_comes_in_when_it_is_whole(run):
    [stays] = run.join(0)
    first, second = run.newcomer(0), run.newcomer(1)
    for peer in (first, second):
        peer.communicator.set_cohort(77, 2)
    connecting = first.start(connect)
    for _ in range(20):  # however often
        stays.call(lambda c: c.update_topology())
        assert not stays.call(lambda c: c.are_peers_pending())
    joining = second.start(connect)
    run.peers.remove(first), run.peers.remove(second)
    run.update_until(3)
    connecting.result(60), joining.result(60)
    run.peers += [first, second]
    with pytest.raises(PCCLError, match="before it connects"):
        first.communicator.set_cohort(77, 2)
    first.communicator.renew()  # and names it again
    second.leave()


@pytest.mark.parametrize("cohort, size", [(-1, 2), (2**64, 2), (1, -1), (1, 2**32), (1.0, 2)])
def test_a_cohort_out_of_range(cohort, size):
    with pytest.raises(ValueError):
        Communicator("127.0.0.1:1").set_cohort(cohort, size)


@pytest.mark.parametrize("size", [0, 4097])
def test_a_cohort_of_no_size(size):
    with pytest.raises(PCCLError, match="a cohort of"):
        Communicator("127.0.0.1:1").set_cohort(1, size)


def test_closing_from_another_thread_ends_connect(run):
    run.join(0)
    newcomer = run.newcomer()
    connecting = newcomer.start(connect)
    run.peers[0].call(wait_for_a_newcomer)
    run.leave(newcomer)
    with pytest.raises(Exception, match="connect"):
        connecting.result(60)


def test_a_newcomer_stays_pending_when_a_member_leaves(run):
    stays, leaver = run.join(0, 0)
    connecting = run.newcomer().start(connect)
    together([stays, leaver], lambda c, _: wait_for_a_newcomer(c))
    run.leave(leaver)
    stays.call(lambda c: c.update_topology())
    connecting.result(60)
    assert attributes(run.peers) == [[2, 2, 1, 2]] * 2


def test_all_leave_and_another_generation_comes(run):
    for generation in range(3):
        peers = run.join(0, 0)
        assert together(peers, total) == [2.0] * 2
        for peer in list(peers):
            run.leave(peer)


def test_optimizing_does_not_admit(run):
    peers = list(run.join(0, 0))
    connecting = run.newcomer().start(connect)
    together(peers, lambda c, _: wait_for_a_newcomer(c))
    together(peers, lambda c, _: c.optimize_topology())
    assert not connecting.done()
    assert attributes(peers) == [[2, 2, 1, 2]] * 2
    together(peers, lambda c, _: c.update_topology())
    connecting.result(60)


def test_one_process_may_hold_peers_of_several_runs(run):
    with Run() as another:
        ours, theirs = run.join(0, 0), another.join(0, 0, 0)
        together([*ours, *theirs], lambda c, i: total(c, i))
        assert attributes(ours) == [[2, 2, 1, 2]] * 2
        assert attributes(theirs) == [[3, 3, 1, 3]] * 3
        assert outcomes([*ours, *theirs], total) == [2.0] * 2 + [3.0] * 3
