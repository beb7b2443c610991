"""Calls that block let other Python threads run, and give the right answer in the end."""

import array
import ast

import pytest

from child import Child
from model import entry
from peers import together
from pccl import ReduceOp, SharedState
from ports import free_port


INPUT = [1.0, 2.0, 3.0] * 20_000  # as the child's


def sync(communicator) -> None:
    communicator.sync_shared_state(SharedState([entry("tensor", array.array("d", INPUT))]))


def reduce(communicator) -> None:
    tensor = array.array("d", INPUT)
    communicator.all_reduce(tensor, tensor, op=ReduceOp.SUM)


# What the others do for the call to return, and what it returns.
PARTNERS = {
    "update_topology": (lambda c: c.update_topology(), None),
    "are_peers_pending": (lambda c: c.are_peers_pending(), False),
    "optimize_topology": (lambda c: c.optimize_topology(), None),
    "sync_shared_state": (sync, 0),
    "all_reduce": (reduce, 2),
    "wait": (reduce, (True, 0)),
    "all_reduce_multiple_with_retry": (reduce, 2),
}


@pytest.mark.parametrize("call", PARTNERS)
def test_another_thread_runs_meanwhile(run, call):
    [peer] = run.join(0)
    partner, value = PARTNERS[call]
    with Child.program("blocked_call", run.address, call) as child:
        run.update_until(2)
        child.expect("blocked")  # printed by another thread
        together([peer], lambda c, _: partner(c))
        assert ast.literal_eval(child.expect("returned")) == value
        child.tell("leave")
        assert child.end() == 0


def test_another_thread_runs_during_connect(run):
    run.join(0)
    with Child.program("blocked_call", run.address, "connect") as child:
        child.expect("blocked")
        run.update_until(2)
        child.expect("returned")
        child.tell("leave")
        assert child.end() == 0


def test_another_thread_runs_while_a_master_is_awaited():
    script = """
import threading, pccl
master = pccl.MasterNode("127.0.0.1:{}")
master.run()
def end():
    print("another thread")
    master.interrupt()
threading.Timer(0.1, end).start()
master.await_termination()
print("terminated")
"""
    with Child("-c", script.format(free_port())) as child:
        child.expect("another thread")
        child.expect("terminated")
        assert child.end() == 0
