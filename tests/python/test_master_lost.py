"""Contract 3.8: calls wait for a master that is away, and fail with the codes of 1.4 only after PCCL_MASTER_TIMEOUT."""

import array

import pytest

from child import Child
from model import Model
from peers import Run, started_master, together
from pccl import Attribute, ReduceOp
from ports import free_address


def master_at(address: str, **environment: str) -> Child:
    child = Child("-m", "pccl.master", "--listen-address", address, **environment)
    child.expect("The master listens")
    return child


CODES = {
    "update_topology": {"UPDATE_TOPOLOGY_FAILED"},
    "are_peers_pending": {"INVALID_USAGE"},
    "optimize_topology": {"TOPOLOGY_OPTIMIZATION_FAILED"},
    "sync_shared_state": {"INVALID_USAGE"},
    "all_reduce": {"RANK_CONNECTION_LOST"},
    "all_reduce_async": {"RANK_CONNECTION_LOST"},
}


@pytest.mark.parametrize("call", CODES)
def test_a_master_that_stays_away(call, monkeypatch):
    """Two peers, one of which is only there; the master is killed."""
    monkeypatch.setenv("PCCL_PEER_TIMEOUT", "6")  # six heartbeats; with each the time is looked at
    address = free_address()
    with master_at(address) as master:
        with Run.at(address) as run:
            run.join(0)  # before the child: whoever comes second waits for an update of the first
            with Child.program("lost_master", address, PCCL_MASTER_TIMEOUT="0.2") as child:
                run.update_until(2)
                child.expect("joined")
                master.kill()
                child.tell(call)
                result, tensor = child.expect("result").split(maxsplit=1)
                assert result in CODES[call]
                assert tensor == "[1.0, 2.0]"
                child.tell("get_attribute")  # stale, and there
                assert child.expect("result").split()[0] == "SUCCESS"
                child.tell("all_reduce")  # a retry loop comes to an end
                assert child.expect("result").split()[0] == "INVALID_USAGE"
                assert "master" in child.expect("reason")


def test_nobody_there():
    with Child.program("lost_master", free_address()) as child:
        assert child.end() == 1
        assert "MASTER_CONNECTION_FAILED" in child.errors()


@pytest.mark.parametrize("grace", ["0", "1"])
def test_a_master_that_comes_back(grace):
    """The peers go on where they were: same ranks, same revision, ops that were in flight."""
    address = free_address()
    with Run.at(address) as run:
        with master_at(address) as master:
            run.join(0, 0, 0)
            models = [Model() for _ in range(3)]
            together(run.peers, lambda c, i: c.sync_shared_state(models[i].state))
            first = run.peers[0].start(lambda c: c.update_topology())
            master.kill()
        with master_at(address, PCCL_MASTER_GRACE=grace):
            together(run.peers[1:], lambda c, i: c.update_topology())
            first.result(60)

            def body(communicator, rank):
                models[rank].state.push_revision()
                communicator.sync_shared_state(models[rank].state)
                tensor = array.array("d", [rank])
                communicator.all_reduce(tensor, tensor, op=ReduceOp.SUM)
                return tensor[0], communicator.get_attribute(Attribute.GLOBAL_WORLD_SIZE)

            assert together(run.peers, body) == [(3.0, 3)] * 3


def test_peers_in_the_process_of_their_master_find_the_next_one():
    address = free_address()
    with Run(address) as run:
        run.join(0, 0)
        run.master.interrupt()
        run.master.await_termination()
        run.master = started_master(address)
        together(run.peers, lambda c, i: c.update_topology())
        run.join(0)
        assert {peer.attribute(Attribute.GLOBAL_WORLD_SIZE) for peer in run.peers} == {3}
