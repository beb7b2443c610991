"""MasterNode: its life, several in turn, and its destructor that waits."""

import gc
import threading

import pytest

from child import Child
from peers import PATIENCE, Run, codes, started_master, together
from pccl import Attribute, Communicator, MasterNode, PCCLError
from pccl._pccl import Result
from ports import free_address


def test_nothing_happens_before_run():
    master = MasterNode(listen_address=free_address())
    for call in (master.interrupt, master.await_termination):
        with pytest.raises(PCCLError) as caught:
            call()
        assert caught.value.result is Result.INVALID_USAGE
    del master  # does not wait: nobody could interrupt it


def test_runs_once():
    address = free_address()
    master = started_master(address)
    with pytest.raises(PCCLError, match="pcclRunMaster failed with error: INVALID_USAGE"):
        master.run()
    master.interrupt()
    master.interrupt()
    master.await_termination()
    master.await_termination()
    with pytest.raises(PCCLError, match="INVALID_USAGE"):
        master.run()


def test_a_busy_port():
    address = free_address()
    with Run(address):
        second = MasterNode(address)
        with pytest.raises(PCCLError, match=address) as caught:
            second.run()
        assert caught.value.result is Result.INVALID_USAGE
        del second


def test_the_destructor_waits_until_somebody_interrupts():
    master = started_master(free_address())
    collected = threading.Event()

    def collect():
        master.__del__()
        collected.set()

    thread = threading.Thread(target=collect)
    thread.start()
    assert not collected.is_set()
    peer = Communicator(master._listen_address)
    peer.connect(n_attempts=1)  # it still serves
    peer.close()
    assert not collected.is_set()
    master.interrupt()
    assert collected.wait(PATIENCE)
    thread.join(PATIENCE)


def test_interrupting_it_lets_the_destructor_pass():
    for _ in range(3):
        master = started_master(free_address())
        master.interrupt()
        del master
        gc.collect()


def test_several_in_turn_on_one_port_each_with_a_communicator_still_open():
    """As unit tests of the original do: the last communicator lives on while the next master starts."""
    address = free_address()
    leftovers = []
    for _ in range(4):
        with Run(address) as run:
            old = leftovers.pop() if leftovers else None
            peer = run.newcomer()
            connecting = peer.start(lambda c: c.connect(n_attempts=1))
            if old is not None:
                old.close()  # it may have found the new master, and be waited for until it leaves
            connecting.result(PATIENCE)
            peer.call(lambda c: c.update_topology())
            assert peer.attribute(Attribute.GLOBAL_WORLD_SIZE) == 1
            leftovers.append(peer.communicator)
            run.peers.remove(peer)
    leftovers.pop().close()


def test_several_at_once():
    with Run() as first, Run() as second:
        together([*first.join(0, 0), *second.join(0)], lambda c, i: c.update_topology())
        assert [len(first.peers), len(second.peers)] == [2, 1]
        assert codes(second.peers, lambda c, i: c.optimize_topology()) == ["INVALID_USAGE"]


def test_its_end_lets_a_connecting_peer_go(monkeypatch):
    monkeypatch.setenv("PCCL_MASTER_TIMEOUT", "0.1")
    monkeypatch.setenv("PCCL_PEER_TIMEOUT", "3")
    address = free_address()
    with Run(address) as run:
        run.join(0)
        waiting = run.newcomer()
        connecting = waiting.start(lambda c: c.connect(n_attempts=1))
        run.peers[0].call(lambda c: [None for _ in iter(c.are_peers_pending, True)])
        run.master.interrupt()
        run.master.await_termination()
        with pytest.raises(Exception, match="MASTER_CONNECTION_FAILED"):
            connecting.result(PATIENCE)


def test_a_script_that_ends_is_a_master_that_stays():
    address = free_address()
    with Child.program("master_script", address, "exit") as child:
        child.expect("running")
        with Run.at(address) as run:
            run.join(0, 0)
        assert child.process.poll() is None
        child.process.terminate()
        assert child.end() != 0


def test_a_master_shared_by_an_object_cycle_ends_with_its_interrupt():
    class Owner:
        pass

    owner = Owner()
    owner.self, owner.master = owner, started_master(free_address())
    owner.master.interrupt()
    del owner
    gc.collect()
