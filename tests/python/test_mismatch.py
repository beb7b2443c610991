"""Peers whose calls do not fit together get an error that says so, all of them, and go on."""

import pytest

from model import Model
from peers import codes, outcomes, together
from pccl import QuantizationOptions, ReduceOp

numpy = pytest.importorskip("numpy")


def all_reduce(communicator, count=4000, dtype="float32", op=ReduceOp.SUM, options=None):
    tensor = numpy.ones(count, dtype)
    return communicator.all_reduce(tensor, tensor, op=op, quantization_options=options)


DIFFERENT = {
    "count": dict(count=4001),
    "type": dict(dtype="int32"),
    "operation": dict(op=ReduceOp.MAX),
    "quantization": dict(options=QuantizationOptions()),
}


@pytest.mark.parametrize("what", DIFFERENT)
@pytest.mark.parametrize("world", [2, 3])
def test_reduces_that_differ(run, what, world):
    peers = run.join(*[0] * world)
    errors = outcomes(peers, lambda c, rank: all_reduce(c, **(DIFFERENT[what] if rank == 1 else {})))
    assert [error.result.name for error in errors] == ["INVALID_ARGUMENT"] * world
    assert all("tag 0" in str(error) for error in errors)
    infos = together(peers, lambda c, _: all_reduce(c))
    assert [info.local_world_size for info in infos] == [world] * world


def test_the_error_shows_both_counts(run):
    errors = outcomes(run.join(0, 0), lambda c, rank: all_reduce(c, count=4000 + rank))
    assert all("4000" in str(error) and "4001" in str(error) for error in errors)


def test_an_input_in_place_survives_a_mismatch(run):
    tensors = [numpy.arange(5000.0) + rank for rank in range(2)]

    def reduce(communicator, rank):
        communicator.all_reduce(tensors[rank], tensors[rank], op=[ReduceOp.SUM, ReduceOp.MIN][rank])

    assert codes(run.join(0, 0), reduce) == ["INVALID_ARGUMENT"] * 2
    assert all(numpy.array_equal(tensor, numpy.arange(5000.0) + rank) for rank, tensor in enumerate(tensors))


PHASES = {
    "update_topology": lambda c: c.update_topology(),
    "are_peers_pending": lambda c: c.are_peers_pending(),
    "optimize_topology": lambda c: c.optimize_topology(),
    "sync_shared_state": lambda c: c.sync_shared_state(Model().state),
}


@pytest.mark.parametrize(
    "first, second", [(a, b) for i, a in enumerate(PHASES) for b in list(PHASES)[i + 1 :]]
)
def test_phases_that_never_match(run, first, second):
    """Contract 3.6: it fails once all accepted peers wait in calls that can never match, and says who waits in what."""
    peers = run.join(0, 0)
    errors = outcomes(peers, lambda c, rank: PHASES[[first, second][rank]](c))
    assert [error.result.name for error in errors] == ["INVALID_USAGE"] * 2
    assert codes(peers, lambda c, _: c.update_topology()) == ["SUCCESS"] * 2
    assert codes(peers, lambda c, _: all_reduce(c)) == ["SUCCESS"] * 2


def test_a_third_peer_decides_nothing_until_it_calls(run):
    peers = run.join(0, 0, 0)
    waiting = [peers[0].start(PHASES["update_topology"]), peers[1].start(PHASES["are_peers_pending"])]
    assert codes(peers[2:], lambda c, _: c.update_topology()) == ["INVALID_USAGE"]
    for future in waiting:
        with pytest.raises(Exception, match="INVALID_USAGE"):
            future.result(60)
    together(peers, lambda c, _: c.update_topology())
