"""Contract 3.4 with workers that join, stay, and die in the middle."""

import ast
import threading

import pytest

from child import Child
from diloco import Worker, train
from peers import PATIENCE


class Training:
    """Two workers that train on until they are stopped."""

    def __init__(self, run) -> None:
        self.workers = [Worker(own) for own in (1.0, 1.0)]
        self.workers[1].own = 2.0  # other data, the same initial state
        self._steps = [0, 0]
        self._progress = threading.Condition()
        self._stop = False
        peers = [run.newcomer() for _ in self.workers]
        self._futures = [peer.start(self._train, rank) for rank, peer in enumerate(peers)]

    def _train(self, communicator, rank: int) -> None:
        def report(step: int) -> None:
            with self._progress:
                self._steps[rank] = step
                self._progress.notify_all()

        try:
            train(communicator, self.workers[rank], lambda: self._stop, report)
        finally:
            report(10**9)

    def go_on_for(self, steps: int) -> None:
        with self._progress:
            goals = [step + steps for step in self._steps]
            enough = lambda: all(step >= goal for step, goal in zip(self._steps, goals))
            assert self._progress.wait_for(enough, PATIENCE)

    def finish(self) -> str:
        """The state, which both agree on."""
        self._stop = True
        for future in self._futures:
            future.result(PATIENCE)
        first, second = self.workers
        assert first.digest() == second.digest()
        assert first.state.revision == second.state.revision
        assert set(first.received) == set(second.received) == {0}
        return first.digest()


def test_two_from_beginning_to_end(run):
    training = Training(run)
    training.go_on_for(10)
    training.finish()
    assert training.workers[0].steps[0] >= 10


def test_a_newcomer_has_the_state_after_the_second_sync_and_keeps_it(run):
    training = Training(run)
    training.go_on_for(3)
    with Child.program("diloco_peer", run.address) as child:
        first_step = int(child.expect("step"))
        assert first_step >= 3  # it was told the steps of the others
        child.expect("step")
        child.expect("step")
        digest = training.finish()
        first, second, *later = ast.literal_eval(child.expect("received"))
        assert first > 0 and second > 0 and set(later) <= {0}
        assert child.expect("state") == digest
        assert child.end() == 0


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_worker_is_killed_in_the_middle(run, steps):
    training = Training(run)
    training.go_on_for(2)
    with Child.program("diloco_peer", run.address) as child:
        for _ in range(steps):
            child.expect("step")
        child.kill()
    training.go_on_for(3)
    training.finish()


def test_workers_come_and_die_again_and_again(run):
    training = Training(run)
    for _ in range(3):
        with Child.program("diloco_peer", run.address) as first, Child.program("diloco_peer", run.address) as second:
            first.expect("step")
            second.expect("step")
            first.kill()
            training.go_on_for(1)
    training.go_on_for(2)
    training.finish()
