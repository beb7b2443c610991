"""Contract 3.2 and 3.3: the loops that training programs are made of, with peers that come and go."""

import array
import threading
from typing import Callable

import pytest

from model import Model
from peers import PATIENCE, retried, together
from pccl import Attribute, PCCLError, ReduceOp


def world_size(communicator) -> int:
    return communicator.get_attribute(Attribute.GLOBAL_WORLD_SIZE)


def train(communicator, model: Model, is_enough: Callable, company: int = 2, optimizes=False, leaves_at=None) -> list:
    """The loop of contract 3.2 until one peer says that it is enough: the rx_bytes of all syncs."""
    communicator.connect(n_attempts=1)
    received, iteration = [], 0
    while True:
        iteration += 1
        if iteration > 1 or world_size(communicator) == 1:
            communicator.update_topology()
        if optimizes and world_size(communicator) > 1:
            communicator.optimize_topology()
        if world_size(communicator) < company:
            continue
        received.append(communicator.sync_shared_state(model.state).rx_bytes)
        gradient = array.array("d", [1.0, is_enough()])
        while world_size(communicator) > 1:
            try:
                communicator.all_reduce(gradient, gradient, op=ReduceOp.MAX)
                break
            except PCCLError as error:
                assert error.result.name in ("RANK_CONNECTION_LOST", "TOO_FEW_PEERS")
        if world_size(communicator) == 1:
            continue  # alone: the step is dropped, the revision stays
        model.step(gradient[0])
        model.state.push_revision()
        if gradient[1] or model.steps == leaves_at:
            return received


@pytest.mark.parametrize("world", [2, 3, 8])
def test_the_loop(run, world):
    models = [Model() for _ in range(world)]
    peers = [run.newcomer() for _ in range(world)]
    received = together(peers, lambda c, i: train(c, models[i], lambda: models[i].steps == 9, company=world))
    assert all(model.weights.tolist() == [-10.0] * 100 for model in models)
    assert received == [[0] * 10] * world


def test_the_loop_with_optimizing(run):
    models = [Model() for _ in range(3)]
    peers = [run.newcomer() for _ in range(3)]
    together(peers, lambda c, i: train(c, models[i], lambda: models[i].steps == 2, company=3, optimizes=True))
    assert all(model.weights.tolist() == [-3.0] * 100 for model in models)


def test_a_late_joiner_gets_the_state_once_and_never_again(run):
    """It comes with other weights and revision 0."""
    models = [Model(), Model(), Model(777.0)]
    peers = [run.newcomer() for _ in range(3)]
    fifth = threading.Event()

    def body(communicator, rank):
        if rank == 2:
            assert fifth.wait(PATIENCE)
            steps = iter(range(20))
            return train(communicator, models[2], lambda: next(steps) == 19)

        def is_enough():
            if models[rank].steps == 5:
                fifth.set()

        return train(communicator, models[rank], lambda: bool(is_enough()))

    received = together(peers, body)
    assert received[2] == [800] + [0] * 19
    assert set(received[0]) == set(received[1]) == {0}
    assert models[0].weights == models[1].weights == models[2].weights
    assert len({model.state.revision for model in models}) == 1
    assert models[0].state.revision == models[0].steps >= 25


def test_a_peer_that_is_left_alone_drops_its_step_and_waits_for_company(run):
    models = [Model(), Model(), Model(777.0)]
    peers = [run.newcomer() for _ in range(2)]
    training = peers[0].start(train, models[0], lambda: models[0].steps == 29)
    peers[1].call(lambda c: train(c, models[1], lambda: False, leaves_at=10))
    run.leave(peers[1])
    run.newcomer().call(lambda c: train(c, models[2], lambda: False))
    training.result(PATIENCE)
    assert models[0].weights.tolist() == models[2].weights.tolist() == [-30.0] * 100
    assert models[0].state.revision == models[2].state.revision == 30


def pump(communicator, model: Model, company: int) -> list[int]:
    """Contract 3.3: the cheap accept pump. Syncs only after the membership has changed."""
    communicator.connect(n_attempts=1)
    received, topology_updated, iteration = [], True, 0
    while model.steps < 20 or world_size(communicator) < company:
        iteration += 1
        if iteration > 1 or world_size(communicator) == 1:
            if communicator.are_peers_pending():
                communicator.update_topology()
                topology_updated = True
        if world_size(communicator) < 2:
            continue
        if topology_updated:
            received.append(communicator.sync_shared_state(model.state).rx_bytes)
            model.state.push_revision()
            topology_updated = False
        gradient = array.array("d", [1.0])
        retried(lambda: communicator.all_reduce(gradient, gradient, op=ReduceOp.AVG))
        model.step(gradient[0])
    return received


def test_the_cheap_accept_pump(run):
    models = [Model() for _ in range(4)]
    peers = [run.newcomer() for _ in range(4)]
    received = together(peers, lambda c, i: pump(c, models[i], company=4))
    assert len({tuple(model.weights) for model in models}) == 1
    assert models[0].steps >= 20
    assert len({model.state.revision for model in models}) == 1
    assert all(set(syncs[1:]) <= {0} for syncs in received)
