"""PCCLError, and the two styles in which callers catch bad arguments."""

import pickle

import pytest

import pccl
from pccl import Communicator, PCCLError, SharedState
from pccl._pccl import InvalidTypeError, InvalidValueError, Result


def test_text_and_attributes():
    error = PCCLError(Result.TOO_FEW_PEERS, "pcclAllReduce")
    assert isinstance(error, Exception)
    assert error.result is Result.TOO_FEW_PEERS
    assert error.args[0] == "pcclAllReduce failed with error: TOO_FEW_PEERS"
    assert str(error) == "pcclAllReduce failed with error: TOO_FEW_PEERS: TOO_FEW_PEERS"


def test_a_reason_follows_the_text():
    error = PCCLError(Result.INVALID_USAGE, "pcclConnect", "already connected")
    assert str(error) == "pcclConnect failed with error: INVALID_USAGE: INVALID_USAGE (already connected)"
    assert error.reason == "already connected"


@pytest.mark.parametrize("result", [result for result in Result if result is not Result.SUCCESS])
def test_check_raises(result):
    with pytest.raises(PCCLError, match=f"pcclFunction failed with error: {result.name}") as caught:
        PCCLError.check(result.value, "pcclFunction")
    assert caught.value.result is result


def test_check_of_success():
    assert PCCLError.check(0, "pcclFunction") is None


def test_is_pickled_whole():
    error = pickle.loads(pickle.dumps(PCCLError(Result.INTERNAL_ERROR, "pcclConnect", "why")))
    assert (error.result, error.func_name, error.reason) == (Result.INTERNAL_ERROR, "pcclConnect", "why")


@pytest.mark.parametrize("kind, style", [(InvalidValueError, ValueError), (InvalidTypeError, TypeError)])
def test_bad_arguments_are_assertion_errors_too(kind, style):
    assert issubclass(kind, style) and issubclass(kind, AssertionError)


BAD_CALLS = {
    "address without a port": lambda: Communicator("127.0.0.1"),
    "address of a master without a port": lambda: pccl.MasterNode(listen_address="localhost"),
    "empty shared state": lambda: SharedState([]),
    "negative peer group": lambda: Communicator("127.0.0.1:1", -1),
    "peer group over 32 bits": lambda: Communicator("127.0.0.1:1", peer_group=2**32),
    "negative pool size": lambda: Communicator("127.0.0.1:1", p2p_connection_pool_size=-1),
    "no attempts": lambda: Communicator("127.0.0.1:1").connect(n_attempts=0),
}


@pytest.mark.parametrize("style", [AssertionError, ValueError])
@pytest.mark.parametrize("call", BAD_CALLS)
def test_bad_values_in_either_style(call, style):
    with pytest.raises(style):
        BAD_CALLS[call]()


@pytest.mark.parametrize("style", [AssertionError, TypeError, ValueError])
def test_a_bad_type_in_either_style(style):
    peer = Communicator("127.0.0.1:1")
    with pytest.raises(style, match="recv is a list"):
        peer.all_reduce([1.0], [2.0], op=pccl.ReduceOp.SUM)
