"""A peer of DiLoCo is frozen (SIGSTOP), removed, and comes back as a newcomer when it wakes up (SIGCONT)."""

import signal

import bodies
import pytest
from crew import Crew, Failed, begin, together, until

@pytest.fixture
def crew():
    with Crew(PCCL_PEER_TIMEOUT="2") as started:
        yield started


# Where the victim is when it is frozen: before which of its calls. The first ones are those of its constructor.
@pytest.mark.parametrize(
    "call, nth, overlap",
    [
        ("sync_shared_state", 1, False),
        ("sync_shared_state", 2, False),
        ("all_reduce", 4, False),
        ("are_peers_pending", 3, False),
        ("sync_shared_state", 1, True),
        ("all_reduce", 4, True),
    ],
)
def test_comes_back(crew, address, call, nth, overlap):
    first, victim = crew.hire(2)
    options = {"overlap": overlap, "verify_every": 2}
    begin([first], bodies.join, address, **options)
    victim.call(bodies.prepare, address)
    victim.call(bodies.ambush, call, nth, signal.SIGSTOP)
    victim.start(bodies.join_and_come_back, address, 2, seed=2, **options)
    until(victim.is_frozen, lambda: first.call(bodies.train_rounds))
    first.call(bodies.train_rounds, 3)
    assert first.call(bodies.world_size) == 1  # it goes on alone

    victim.thaw()
    assert first.call(bodies.train_until_world, 2) == victim.result()
    together([first, victim], bodies.train_rounds, 2)
    together([first, victim], bodies.finish)
    states = together([first, victim], bodies.shared)
    assert states[0] == states[1]


def test_without_rejoin_it_is_told(crew, address):
    first, victim = crew.hire(2)
    begin([first, victim], bodies.join, address, rejoin=False)
    victim.call(bodies.ambush, "all_reduce", 1, signal.SIGSTOP)
    victim.start(bodies.train_rounds)
    until(victim.is_frozen, lambda: None)
    first.call(bodies.train_rounds, 2)
    victim.thaw()
    with pytest.raises(Failed) as removed:
        victim.result()
    assert removed.value.kind == "RemovedFromRun"
