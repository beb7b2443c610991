"""SIGKILL of a peer: the op fails on all others alike, in place the input is back, and the next try succeeds."""

import array

import pytest

from child import Child
from model import Model
from peers import PATIENCE, codes, retried, together
from pccl import Attribute, PCCLError, ReduceInfo, ReduceOp

LARGE = 1_000_000  # doubles


@pytest.mark.parametrize("world", [3, 8])
@pytest.mark.parametrize("count", [1, LARGE])
def test_the_survivors_have_their_input_back_and_go_on(run, world, count):
    survivors = world - 1
    run.join(*[0] * survivors)
    tensors = [array.array("d", [rank + 1.0]) * count for rank in range(survivors)]
    with Child.program("silent_peer", run.address) as child:
        run.update_until(world)
        child.expect("joined")
        reduce = lambda c, rank: c.all_reduce(tensors[rank], tensors[rank], op=ReduceOp.SUM)
        begun = [peer.start(reduce, rank) for rank, peer in enumerate(run.peers)]
        child.kill()
        errors = [future.exception(PATIENCE) for future in begun]
    assert [error.result.name for error in errors] == ["RANK_CONNECTION_LOST"] * survivors
    assert all("lost" in error.reason for error in errors)
    assert all(tensor[0] == tensor[-1] == rank + 1 for rank, tensor in enumerate(tensors))
    assert {peer.attribute(Attribute.LOCAL_WORLD_SIZE) for peer in run.peers} == {survivors}
    infos = together(run.peers, lambda c, rank: retried(lambda: reduce(c, rank)))
    assert {info.local_world_size for info in infos} == {survivors}
    assert {tensor[0] for tensor in tensors} == {tensor[-1] for tensor in tensors} == {sum(range(1, world))}


def test_killed_while_its_data_moves(run):
    """It reduces with one of the two others, the third has not begun."""
    first, second = run.join(0, 0)
    tensors = [array.array("d", [rank + 1.0]) * LARGE for rank in range(2)]
    with Child.program("silent_peer", run.address) as child:
        run.update_until(3)
        child.expect("joined")
        reduce = lambda c, rank: c.all_reduce(tensors[rank], tensors[rank], op=ReduceOp.SUM)
        begun = first.start(reduce, 0)
        child.tell(f"reduce {LARGE}")
        child.expect("reducing")
        child.kill()
        with pytest.raises(PCCLError, match="RANK_CONNECTION_LOST"):
            begun.result(PATIENCE)
    assert set(tensors[0]) == {1.0}
    together([first, second], lambda c, rank: retried(lambda: reduce(c, rank)))
    assert set(tensors[0]) == set(tensors[1]) == {3.0}


def test_the_survivor_of_two_is_alone(run):
    [survivor] = run.join(0)
    tensor = array.array("d", [1.0]) * LARGE
    with Child.program("silent_peer", run.address) as child:
        run.update_until(2)
        child.expect("joined")
        reduce = lambda c, _=0: c.all_reduce(tensor, tensor, op=ReduceOp.SUM)
        begun = survivor.start(reduce)
        child.kill()
        with pytest.raises(PCCLError, match="RANK_CONNECTION_LOST"):
            begun.result(PATIENCE)
    assert survivor.attribute(Attribute.LOCAL_WORLD_SIZE) == 1
    assert codes([survivor], reduce) == ["TOO_FEW_PEERS"]
    assert set(tensor) == {1.0}
    run.join(0)
    other = array.array("d", [1.0]) * LARGE
    tensors = [tensor, other]
    together(run.peers, lambda c, rank: c.all_reduce(tensors[rank], tensors[rank], op=ReduceOp.SUM))
    assert set(tensor) == {2.0}


def test_out_of_place_the_source_is_untouched(run):
    run.join(0, 0)
    sources = [array.array("d", [rank + 1.0]) * LARGE for rank in range(2)]
    target = array.array("d", [0.0]) * LARGE
    with Child.program("silent_peer", run.address) as child:
        run.update_until(3)
        child.expect("joined")
        reduce = lambda c, rank: c.all_reduce(sources[rank], target[:], op=ReduceOp.SUM)
        begun = [peer.start(reduce, rank) for rank, peer in enumerate(run.peers)]
        child.kill()
        for future in begun:
            with pytest.raises(PCCLError, match="RANK_CONNECTION_LOST"):
                future.result(PATIENCE)
    assert [set(source) for source in sources] == [{1.0}, {2.0}]


def test_async_ops_fail_without_an_exception(run):
    run.join(0, 0)
    tensors = [[array.array("d", [rank + tag]) for tag in range(5)] for rank in range(2)]
    with Child.program("silent_peer", run.address) as child:
        run.update_until(3)
        child.expect("joined")

        def launch(communicator, rank):
            return [
                communicator.all_reduce_async(tensor, tensor, op=ReduceOp.SUM, tag=tag)
                for tag, tensor in enumerate(tensors[rank])
            ]

        handles = together(run.peers, launch)
        child.kill()
        outcomes = together(run.peers, lambda c, rank: [handle.wait() for handle in handles[rank]])
    assert outcomes == [[(False, 8, ReduceInfo(0, 0, 0))] * 5] * 2
    kept = [[tensor[0] for tensor in mine] for mine in tensors]
    assert kept == [[rank + tag for tag in range(5)] for rank in range(2)]
    together(run.peers, lambda c, rank: c.update_topology())
    assert {peer.attribute(Attribute.GLOBAL_WORLD_SIZE) for peer in run.peers} == {2}


@pytest.mark.parametrize("phase", ["update_topology", "are_peers_pending", "sync_shared_state", "optimize_topology"])
def test_the_others_are_waiting_for_it(run, phase):
    run.join(0, 0)
    models = [Model(), Model()]
    with Child.program("silent_peer", run.address) as child:
        run.update_until(3)
        child.expect("joined")

        def call(communicator, rank):
            arguments = [models[rank].state] if phase == "sync_shared_state" else []
            return getattr(communicator, phase)(*arguments)

        waiting = [peer.start(call, rank) for rank, peer in enumerate(run.peers)]
        child.kill()
        for future in waiting:
            future.result(PATIENCE)
    run.update_until(2)


def test_a_newcomer_is_killed_while_it_waits(run):
    run.join(0, 0)
    with Child.program("silent_peer", run.address) as child:
        together(run.peers, lambda c, _: [None for _ in iter(c.are_peers_pending, True)])
        child.kill()
    together(run.peers, lambda c, _: c.update_topology())
    assert {peer.attribute(Attribute.GLOBAL_WORLD_SIZE) for peer in run.peers} == {2}
    assert together(run.peers, lambda c, _: c.are_peers_pending()) == [False, False]


def test_quantized_with_error_feedback(run):
    numpy = pytest.importorskip("numpy")
    from pccl import QuantizationOptions
    from pccl._pccl import ErrorFeedback

    run.join(0, 0)
    tensors = [numpy.random.default_rng(rank).random(100_000) for rank in range(2)]
    before = [tensor.copy() for tensor in tensors]
    feedbacks = [ErrorFeedback(100_000) for _ in range(2)]
    with Child.program("silent_peer", run.address) as child:
        run.update_until(3)
        child.expect("joined")

        def reduce(communicator, rank):
            communicator.all_reduce(
                tensors[rank],
                tensors[rank],
                op=ReduceOp.AVG,
                quantization_options=QuantizationOptions(),
                error_feedback=feedbacks[rank],
            )

        begun = [peer.start(reduce, rank) for rank, peer in enumerate(run.peers)]
        child.kill()
        for future in begun:
            assert future.exception(PATIENCE).result.name == "RANK_CONNECTION_LOST"
    assert all(numpy.array_equal(tensor, old) for tensor, old in zip(tensors, before))
    assert not any(numpy.asarray(feedback.residual).any() for feedback in feedbacks)
    together(run.peers, lambda c, rank: retried(lambda: reduce(c, rank)))
    assert tensors[0].tobytes() == tensors[1].tobytes()
    assert all(numpy.asarray(feedback.residual).any() for feedback in feedbacks)
