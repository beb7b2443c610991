"""Ctrl-C in every call that blocks: KeyboardInterrupt, the process ends, the other peers go on."""

import array
import os
import pathlib
import signal
import socket

import pytest

from child import PROGRAMS, Child
from peers import PATIENCE, retried, together
from pccl import PCCLError, ReduceOp
from ports import free_address

CALLS = [
    "update_topology",
    "are_peers_pending",
    "optimize_topology",
    "sync_shared_state",
    "all_reduce",
    "wait",
    "all_reduce_multiple_with_retry",
]
ENDED_BY_SIGINT = -signal.SIGINT


def go_on(run) -> None:
    """What the others do next: see who is left, reduce."""
    world = len(run.peers)
    together(run.peers, lambda communicator, _: communicator.update_topology())
    run.update_until(world)

    def reduce(communicator, rank):
        tensor = array.array("d", [rank])
        retried(lambda: communicator.all_reduce(tensor, tensor, op=ReduceOp.SUM, tag=1))
        return tensor[0]

    assert together(run.peers, reduce) == [sum(range(world))] * world


@pytest.mark.parametrize("call", CALLS)
def test_of_one_peer_of_three(run, call):
    run.join(0, 0)
    with Child.program("blocked_call", run.address, call) as child:
        run.update_until(3)
        child.expect("blocked")
        child.interrupt()
        assert child.expect("tensor") == "intact"
        assert child.end() == ENDED_BY_SIGINT
        assert "KeyboardInterrupt" in child.errors()
    go_on(run)


def test_in_connect(run):
    run.join(0, 0)
    with Child.program("blocked_call", run.address, "connect") as child:
        child.expect("blocked")
        child.interrupt()
        child.expect("tensor")
        assert child.end() == ENDED_BY_SIGINT
    go_on(run)


@pytest.mark.parametrize("call", ["all_reduce", "wait", "all_reduce_multiple_with_retry"])
def test_an_op_that_the_others_have_begun_fails_for_all_and_is_done_without_the_one_who_left(run, call):
    others = run.join(0, 0)
    tensors = [array.array("d", [rank, 2, 3] * 20_000) for rank in range(2)]  # as large as the child's

    def reduce(communicator, rank):
        """As training programs do."""
        lost = 0
        while True:
            try:
                communicator.all_reduce(tensors[rank], tensors[rank], op=ReduceOp.SUM)
                return lost
            except PCCLError as error:
                assert error.result.name == "RANK_CONNECTION_LOST"
                lost += 1

    with Child.program("blocked_call", run.address, call) as child:
        run.update_until(3)
        begun = others[0].start(reduce, 0)  # the other one does not: the op cannot end
        child.expect("blocked")
        child.interrupt()
        assert child.expect("tensor") == "intact"
        assert child.end() == ENDED_BY_SIGINT
        assert others[1].call(reduce, 1) + begun.result(60) >= 1
    assert [tensor.tolist() for tensor in tensors] == [[1, 4, 6] * 20_000] * 2


def test_in_optimize_topology_while_all_are_in_it(run):
    run.join(0, 0)
    with Child.program("blocked_call", run.address, "optimize_topology") as child:
        run.update_until(3)
        child.expect("blocked")
        measuring = [peer.start(lambda c: c.optimize_topology()) for peer in run.peers]
        child.interrupt()
        child.expect("tensor")
        assert child.end() == ENDED_BY_SIGINT
        for future in measuring:
            future.result(PATIENCE)
    go_on(run)


@pytest.mark.parametrize(
    "main_thread", ["tell_when_blocked(); communicator.are_peers_pending()", "thread.join()"], ids=["pending", "join"]
)
def test_while_another_thread_reduces(run, main_thread):
    """As in DiLoCo: both threads come out, and the process ends. (Python 3.11 takes a thread for ended once the join of
    it was interrupted, and may stop it in the middle of its last line.)"""
    script = f"""
import array, signal, sys, threading
sys.path.insert(0, {str(PROGRAMS)!r})
from blocked import tell_when_blocked
from pccl import Communicator, PCCLError, ReduceOp
signal.signal(signal.SIGINT, signal.default_int_handler)
tensor = array.array("d", [1.0]) * 60_000
def reduce():
    tell_when_blocked(threading.current_thread())
    try:
        communicator.all_reduce(tensor, tensor, op=ReduceOp.SUM)
    except PCCLError as error:
        print("reduce", error.result.name, set(tensor))
with Communicator("{run.address}") as communicator:
    communicator.connect(n_attempts=1)
    thread = threading.Thread(target=reduce)
    thread.start()
    {main_thread}
"""
    run.join(0, 0)
    with Child("-c", script) as child:
        run.update_until(3)
        for _ in range(1 + main_thread.count("tell_when_blocked")):
            child.expect("blocked")
        child.interrupt()
        if "join" not in main_thread:
            child.expect("reduce RANK_CONNECTION_LOST {1.0}")
        assert child.end() == ENDED_BY_SIGINT
    go_on(run)


def test_between_attempts_to_connect():
    with Child.program("blocked_call", free_address(), "connect") as child:  # nobody there: CALL tries once
        assert child.end() == 1
    script = """
import logging, signal, pccl
signal.signal(signal.SIGINT, signal.default_int_handler)
logging.basicConfig(format="%(message)s", stream=__import__("sys").stdout)
pccl.Communicator("{}").connect(n_attempts=1_000_000)
"""
    with Child("-c", script.format(free_address())) as child:
        child.expect("attempt 2 of")
        child.interrupt()
        assert child.end() == ENDED_BY_SIGINT


def test_another_handler_that_raises_ends_a_call_too(run):
    script = f"""
import os, signal, threading, pccl
class Alarm(Exception): pass
def ring(*_): raise Alarm()
signal.signal(signal.SIGUSR1, ring)
communicator = pccl.Communicator("{run.address}")
try:
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    communicator.connect(n_attempts=1)
except Alarm:
    print("rang")
"""
    run.join(0)
    with Child("-c", script) as child:
        child.expect("rang")
        assert child.end() == 0


def test_a_handler_that_does_not_raise_runs_and_the_call_goes_on(run):
    script = f"""
import signal, pccl
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
communicator = pccl.Communicator("{run.address}")
print("connecting")
communicator.connect(n_attempts=1)
print("connected")
"""
    run.join(0)
    with Child("-c", script) as child:
        child.expect("connecting")
        child.process.send_signal(signal.SIGUSR1)
        child.expect("handled")
        run.update_until(2)
        child.expect("connected")
        assert child.end() == 0


# ---- masters


def is_served(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=30).close()
        return True
    except ConnectionRefusedError:
        return False


def test_in_await_termination():
    address = free_address()
    with Child.program("master_script", address, "await") as child:
        child.expect("blocked")
        assert is_served(address)
        child.interrupt()
        child.expect("interrupted")
        assert child.end() == ENDED_BY_SIGINT
        assert "KeyboardInterrupt" in child.errors()
    assert not is_served(address)


@pytest.mark.skipif(not pathlib.Path("/proc/self/stat").exists(), reason="needs /proc to see that the script waits")
@pytest.mark.parametrize("mode", ["exit", "raise"])
def test_in_the_destructor_of_a_master_at_the_end_of_a_script(mode):
    address = free_address()
    with Child.program("master_script", address, mode) as child:
        child.expect("running")
        child.wait_until_asleep()
        assert child.process.poll() is None and is_served(address)
        child.interrupt()
        child.end()
    assert not is_served(address)


def test_a_run_survives_the_ctrl_c_of_its_master_script(run):
    """The peers of a master that was interrupted find the next one at its address."""
    address = free_address()
    run.address = address
    with Child.program("master_script", address, "await") as child:
        child.expect("blocked")
        run.join(0, 0)
        child.interrupt()
        child.end()
    with Child.program("master_script", address, "await", PCCL_MASTER_GRACE="1") as child:
        child.expect("running")
        go_on(run)
        os.kill(child.process.pid, signal.SIGTERM)
        child.expect("terminated")
        assert child.end() == 0
