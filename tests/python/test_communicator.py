"""A communicator's life: before, at and after connect."""

import logging

import pytest

from model import Model
from peers import Run, codes
from pccl import Attribute, Communicator, PCCLError, ReduceOp
from pccl._pccl import Result
from ports import free_address


CALLS = {
    "get_attribute": lambda c: c.get_attribute(Attribute.GLOBAL_WORLD_SIZE),
    "update_topology": lambda c: c.update_topology(),
    "are_peers_pending": lambda c: c.are_peers_pending(),
    "optimize_topology": lambda c: c.optimize_topology(),
    "sync_shared_state": lambda c: c.sync_shared_state(Model().state),
    "all_reduce": lambda c: c.all_reduce(bytearray(4), bytearray(4), op=ReduceOp.SUM),
    "all_reduce_async": lambda c: c.all_reduce_async(bytearray(4), bytearray(4), op=ReduceOp.SUM),
}


@pytest.mark.parametrize("call", CALLS)
def test_before_connect(call):
    with Communicator("127.0.0.1:1") as communicator:
        with pytest.raises(PCCLError, match="not connected") as caught:
            CALLS[call](communicator)
    assert caught.value.result is Result.INVALID_USAGE


@pytest.mark.parametrize("call", CALLS)
def test_after_close(run, call):
    [peer] = run.join(0)
    peer.communicator.close()
    with pytest.raises(PCCLError):
        CALLS[call](peer.communicator)


def test_close_before_connect_and_twice():
    communicator = Communicator("127.0.0.1:1", 3, 2)
    communicator.close()
    communicator.close()


def test_close_after_a_constructor_that_failed():
    with pytest.raises(AssertionError):
        Communicator("nowhere")  # its __del__ has nothing to close


def test_leaves_at_the_end_of_a_with_block(run):
    [stays] = run.join(0)
    with run.newcomer().communicator as communicator:
        admitted = run.peers[1].start(lambda c: c.connect(n_attempts=1))
        while stays.attribute(Attribute.GLOBAL_WORLD_SIZE) < 2:
            stays.call(lambda c: c.update_topology())
        admitted.result(60)
        assert communicator.get_attribute(Attribute.GLOBAL_WORLD_SIZE) == 2
    stays.call(lambda c: c.update_topology())
    assert stays.attribute(Attribute.GLOBAL_WORLD_SIZE) == 1


def test_alone(run):
    [peer] = run.join(0)
    assert [peer.attribute(a) for a in list(Attribute)[:4]] == [1, 1, 1, 1]
    peer.call(lambda c: c.update_topology())
    assert peer.call(lambda c: c.are_peers_pending()) is False
    assert codes([peer], lambda c, _: c.optimize_topology()) == ["INVALID_USAGE"]
    for reduce in (Communicator.all_reduce, Communicator.all_reduce_async):
        assert codes([peer], lambda c, _: reduce(c, b"abc", bytearray(3), op=ReduceOp.SUM)) == ["TOO_FEW_PEERS"]


def test_connect_twice(run):
    [peer] = run.join(0)
    with pytest.raises(Exception, match="already connected"):
        peer.call(lambda c: c.connect(n_attempts=1))
    peer.call(lambda c: c.update_topology())  # still in the run


def test_connect_without_a_master_fails_with_a_plain_exception_and_may_be_tried_again(caplog):
    address = free_address()
    communicator = Communicator(address)
    with caplog.at_level(logging.WARNING), pytest.raises(Exception) as caught:
        communicator.connect(n_attempts=1)
    assert not isinstance(caught.value, PCCLError)
    assert caught.value.__cause__.result is Result.MASTER_CONNECTION_FAILED
    assert "attempt 1 of 1" in caplog.text
    with Run(address):
        communicator.connect(n_attempts=1)
        assert communicator.get_attribute(Attribute.GLOBAL_WORLD_SIZE) == 1
        communicator.close()


def test_connect_tries_again(monkeypatch, caplog):
    from pccl import _communicator

    pauses = []
    monkeypatch.setattr(_communicator.time, "sleep", pauses.append)
    with caplog.at_level(logging.WARNING), pytest.raises(Exception, match="after 3 attempts"):
        Communicator(free_address()).connect(n_attempts=3)
    assert pauses == [1.0, 1.0]
    assert caplog.text.count("to connect failed") == 3


def test_peer_group_and_pool_size_by_keyword(run):
    with Communicator(run.address, peer_group=2**32 - 1, p2p_connection_pool_size=4) as communicator:
        communicator.connect()
        assert communicator.get_attribute(Attribute.LOCAL_WORLD_SIZE) == 1


def test_numbers_of_numpy_are_numbers(run):
    numpy = pytest.importorskip("numpy")
    with Communicator(run.address, peer_group=numpy.int64(1), p2p_connection_pool_size=numpy.uint8(2)) as communicator:
        communicator.connect()
        with pytest.raises(PCCLError, match="tag 11"):
            communicator.all_reduce(bytearray(3), bytearray(3), op=ReduceOp.SUM, tag=numpy.int32(11))


@pytest.mark.parametrize("group", [-1, 2**32, 1.0, "1", None])
def test_a_peer_group_that_is_none(group):
    with pytest.raises(ValueError, match="peer_group"):
        Communicator("127.0.0.1:1", peer_group=group)


def test_an_error_tells_the_reason_once(run):
    [peer] = run.join(0)
    with pytest.raises(PCCLError) as caught:
        peer.call(lambda c: c.all_reduce(bytearray(3), bytearray(3), op=ReduceOp.SUM, tag=11))
    assert str(caught.value).startswith("pcclAllReduce failed with error: TOO_FEW_PEERS: TOO_FEW_PEERS (tag 11: ")


@pytest.mark.parametrize("tag", [-1, 2**64])
def test_a_tag_out_of_range(run, tag):
    peers = run.join(0, 0)
    with pytest.raises(ValueError, match="tag"):
        peers[0].call(lambda c: c.all_reduce(bytearray(3), bytearray(3), op=ReduceOp.SUM, tag=tag))


@pytest.mark.parametrize("op", [0, "sum", None])
def test_an_operation_is_a_member_of_the_enum(run, op):
    peers = run.join(0, 0)
    with pytest.raises(TypeError, match="op"):
        peers[0].call(lambda c: c.all_reduce(bytearray(3), bytearray(3), op=op))
