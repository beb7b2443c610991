"""Ctrl-C in the middle: the others are not held up, and the peer may go on, as a newcomer."""

import pathlib
import signal
import subprocess
import sys

import bodies
import pccl
import pytest
from crew import PATIENCE, Failed, begin, same, together, until

BOTH = pytest.mark.parametrize("overlap", [False, True], ids=["waiting", "overlap"])


def expect_interrupt(peer):
    with pytest.raises(Failed) as failed:
        peer.result()
    assert failed.value.kind == "KeyboardInterrupt"


def test_in_a_call_that_blocks(crew, address):
    first, second = peers = crew.hire(2)
    begin(peers, bodies.join, address)
    second.call(bodies.interrupt_when_inside, "all_reduce")
    second.start(bodies.train_rounds)  # blocks: the first one does not train
    expect_interrupt(second)
    first.call(bodies.train_rounds, 2)
    assert first.call(bodies.world_size) == 1

    second.start(bodies.train_rounds)  # comes back as it goes on
    first.call(bodies.train_until_admission)
    second.result()
    same(peers)


# Between the calls: with the handler of Python, on the main thread.
@pytest.mark.parametrize("call", ["all_reduce", "are_peers_pending", "sync_shared_state"])
def test_between_two_calls(crew, address, call):
    first, second = peers = crew.hire(2)
    begin(peers, bodies.join, address, verify_every=1)
    second.call(bodies.ambush, call, 1, signal.SIGINT)
    second.start(bodies.train_rounds)
    until(second.is_done, lambda: first.call(bodies.train_rounds))
    expect_interrupt(second)
    first.call(bodies.train_rounds, 2)

    second.start(bodies.train_rounds)
    first.call(bodies.train_until_admission)
    second.result()
    same(peers)


def test_while_it_admits_another_one(crew, address):
    first, second, late = crew.hire(3)
    begin([first, second], bodies.join, address)
    second.call(bodies.ambush, "update_topology", 1, signal.SIGINT)
    second.start(bodies.train_rounds, 10**9)
    first.start(bodies.train_until_admission, 2)  # that of the late one, and that of the interrupted one
    late.start(bodies.join_and_train_until_admission, address, seed=2)
    expect_interrupt(second)
    second.start(bodies.train_rounds)
    for peer in (first, second, late):
        peer.result()
    same([first, second, late])


@BOTH
def test_while_it_joins(crew, address, overlap):
    first, second = crew.hire(2)
    begin([first], bodies.join, address, overlap=overlap)
    second.call(bodies.prepare, address)
    second.call(bodies.ambush, "sync_shared_state", 1, signal.SIGINT)
    second.start(bodies.join, address, overlap=overlap)
    until(second.is_done, lambda: first.call(bodies.train_rounds))
    expect_interrupt(second)
    first.call(bodies.train_rounds, 2)  # though the process of the other one lives, and holds its communicator

    second.start(bodies.join, address, seed=3, overlap=overlap)  # it may try again, with the same communicator
    first.call(bodies.train_until_world, 2)
    second.result()
    same([first, second])


def test_overlapping_while_it_waits_for_the_average(crew, address):
    first, second = peers = crew.hire(2)
    begin(peers, bodies.join, address, overlap=True)
    together(peers, bodies.train_rounds)
    second.call(bodies.interrupt_when_inside, "wait")
    second.start(bodies.train_rounds, 2)
    expect_interrupt(second)
    first.call(bodies.train_rounds, 3)
    assert first.call(bodies.world_size) == 1

    second.start(bodies.train_rounds)
    first.call(bodies.train_until_admission)
    second.result()
    same(peers)


def test_average_gradients(crew, address):
    first, second = peers = crew.hire(2)
    begin(peers, bodies.join_average, address)
    second.call(bodies.interrupt_when_inside, "all_reduce")
    second.start(bodies.take_steps)
    expect_interrupt(second)
    first.call(bodies.take_steps, 2)
    second.start(bodies.take_steps)
    first.call(bodies.step_until_admission)
    second.result()
    states = together(peers, bodies.everything)
    assert states[0] == states[1]


def test_an_optimizer_that_fails_in_its_step(crew, address):
    """The others have done that step; this peer takes it over when it goes on."""
    first, second = peers = crew.hire(2)
    begin(peers, bodies.join_average, address)
    together(peers, bodies.take_steps, 2)
    first.start(bodies.step_until_admission)
    second.call(bodies.fail_in_a_step)
    second.call(bodies.take_steps)
    first.result()
    states = together(peers, bodies.everything)
    assert states[0] == states[1]


@pytest.mark.parametrize("last", ["pass", "raise SystemExit(3)", "raise KeyboardInterrupt"])
def test_a_program_ends_with_an_average_in_flight(crew, address, last):
    """As a program does that trains for a while and does not call `finish`."""
    other = crew.hire(1)[0]
    other.call(bodies.hold_back_averages, address)
    other.start(bodies.join, address, min_peers=2, overlap=True)
    program = pathlib.Path(__file__).parent / "programs" / "ends_early.py"
    paths = [str(pathlib.Path(pccl.__file__).parent.parent), str(pathlib.Path(__file__).parent)]
    process = subprocess.Popen(
        [sys.executable, str(program), address, last],
        env={"PYTHONPATH": ":".join(paths), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
    )
    try:
        other.result()
        _, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == {"pass": 0, "raise SystemExit(3)": 3}.get(last, -signal.SIGINT), errors
    assert b"terminate" not in errors
