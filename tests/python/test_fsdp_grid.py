"""Contract 3.5: a grid of peers. peer_group is the local rank of FSDP; each column is a replica, each row reduces."""

import array
import threading

import pytest

from model import Model
from peers import PATIENCE, codes, outcomes, retried, together
from pccl import Attribute, ReduceOp

RANKS = 2  # per replica


def grid_is_complete(communicator) -> bool:
    return communicator.get_attribute(Attribute.GLOBAL_WORLD_SIZE) == RANKS * communicator.get_attribute(
        Attribute.LARGEST_PEER_GROUP_WORLD_SIZE
    )


def wait_for_a_complete_grid(communicator) -> None:
    while not grid_is_complete(communicator):
        if communicator.are_peers_pending():
            communicator.update_topology()


def join_grid(run, replicas: int) -> list:
    """All at once; each waits until its view of the grid is complete and as large as wanted."""
    peers = [run.newcomer(group) for _ in range(replicas) for group in range(RANKS)]

    def join(communicator, _):
        communicator.connect(n_attempts=1)
        while communicator.get_attribute(Attribute.GLOBAL_WORLD_SIZE) < RANKS * replicas:
            if communicator.are_peers_pending():
                communicator.update_topology()

    together(peers, join)
    return peers


def total(communicator, value: float) -> float:
    tensor = array.array("d", [value])
    retried(lambda: communicator.all_reduce(tensor, tensor, op=ReduceOp.SUM))
    return tensor[0]


def test_rows_reduce_among_themselves(run):
    peers = join_grid(run, replicas=3)
    assert all(grid_is_complete(peer.communicator) for peer in peers)
    assert [peer.attribute(Attribute.LOCAL_WORLD_SIZE) for peer in peers] == [3] * 6
    assert [peer.attribute(Attribute.NUM_DISTINCT_PEER_GROUPS) for peer in peers] == [2] * 6
    assert together(peers, lambda c, i: total(c, float(i))) == [0 + 2 + 4, 1 + 3 + 5] * 3


def test_rows_do_not_wait_for_each_other(run):
    peers = join_grid(run, replicas=2)
    assert together(peers[0::2], lambda c, i: total(c, 1.0)) == [2.0, 2.0]
    assert together(peers[0::2], lambda c, i: total(c, 1.0)) == [2.0, 2.0]  # the other row has reduced nothing
    assert together(peers[1::2], lambda c, i: total(c, 5.0)) == [10.0, 10.0]


def test_rows_have_states_of_their_own_under_the_same_names(run):
    peers = join_grid(run, replicas=3)
    models = [Model(float(i % RANKS)) for i in range(6)]
    infos = together(peers, lambda c, i: c.sync_shared_state(models[i].state))
    assert [model.weights[0] for model in models] == [0.0, 1.0] * 3
    assert {info.rx_bytes for info in infos} == {0}


def test_a_row_that_loses_a_peer_recovers_without_the_other(run):
    peers = join_grid(run, replicas=3)
    run.leave(peers.pop())  # of row 1
    row0, row1 = peers[0::2], peers[1::2]
    assert codes(row0, lambda c, i: c.all_reduce(b"abc", bytearray(3), op=ReduceOp.SUM)) == ["SUCCESS"] * 3
    assert together(row1, lambda c, i: total(c, 1.0)) == [2.0] * 2
    assert [peer.attribute(Attribute.LOCAL_WORLD_SIZE) for peer in peers] == [3, 2, 3, 2, 3]


def test_an_incomplete_replica_is_waited_for(run):
    """All ranks go on voting until the missing one is there."""
    peers = join_grid(run, replicas=2)
    run.leave(peers.pop())
    together(peers, lambda c, i: c.update_topology())
    assert not any(grid_is_complete(peer.communicator) for peer in peers)
    waiting = [peer.start(wait_for_a_complete_grid) for peer in peers]
    replacement = run.newcomer(1)
    replacement.call(lambda c: c.connect(n_attempts=1))
    for future in waiting:
        future.result(PATIENCE)
    assert together([*peers, replacement], lambda c, i: total(c, float(i))) == [0 + 2, 1 + 3] * 2


@pytest.mark.parametrize("replicas", [2, 4])
def test_training_while_a_whole_replica_joins(run, replicas):
    """Rows reduce and sync per group; membership is decided by the whole grid."""
    peers = join_grid(run, replicas)
    late = [run.newcomer(group) for group in range(RANKS)]
    started = threading.Barrier(len(peers) + len(late))
    models = [Model() for _ in peers] + [Model(99.0) for _ in late]

    def train(communicator, i):
        is_late, steps_together, iteration = i >= len(peers), 0, 0
        started.wait(PATIENCE)
        if is_late:
            communicator.connect(n_attempts=1)
        topology_updated = True
        while steps_together < 10:
            iteration += 1
            if not (is_late and iteration == 1) and communicator.are_peers_pending():
                communicator.update_topology()
                topology_updated = True
            if not grid_is_complete(communicator):
                continue
            if topology_updated:
                communicator.sync_shared_state(models[i].state)
                models[i].state.push_revision()
                topology_updated = False
            models[i].step(total(communicator, 1.0) / communicator.get_attribute(Attribute.LOCAL_WORLD_SIZE))
            steps_together += communicator.get_attribute(Attribute.LOCAL_WORLD_SIZE) == replicas + 1

    together([*peers, *late], train)
    assert len({tuple(model.weights) for model in models}) == 1
    assert models[0].steps >= 10
    assert not any(isinstance(o, Exception) for o in outcomes([*peers, *late], lambda c, i: c.update_topology()))
