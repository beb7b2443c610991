"""Contract 1.10: sync_shared_state among real peers."""

import array

import pytest

from model import Model
from peers import Run, codes, outcomes, started_master, together
from pccl import Attribute, PCCLError, ReduceOp, SharedStateSyncStrategy
from ports import free_address

POPULAR = SharedStateSyncStrategy.ENFORCE_POPULAR
RECEIVE, SEND = SharedStateSyncStrategy.RECEIVE_ONLY, SharedStateSyncStrategy.SEND_ONLY


def synced(run, models, strategies=None, names=codes):
    strategies = strategies or [POPULAR] * len(models)
    return names(run.peers, lambda c, i: c.sync_shared_state(models[i].state, strategies[i]))


@pytest.mark.parametrize("values, elected", [([1, 2, 2], 2), ([5, 5, 3], 5), ([1, 2, 1, 2, 2], 2)])
def test_the_most_popular_content_wins(run, values, elected):
    run.join(*[0] * len(values))
    models = [Model(value) for value in values]
    infos = synced(run, models, names=together)
    assert all(model.weights.tolist() == [elected] * 100 for model in models)
    assert [info.rx_bytes for info in infos] == [0 if value == elected else 800 for value in values]
    assert sum(info.tx_bytes for info in infos) == sum(info.rx_bytes for info in infos)


def test_a_tie_is_decided_alike(run):
    run.join(0, 0)
    models = [Model(1), Model(2)]
    assert synced(run, models) == ["SUCCESS"] * 2
    assert models[0].weights == models[1].weights


def test_alone(run):
    run.join(0)
    model = Model(3)
    [info] = synced(run, [model], names=together)
    assert (info.tx_bytes, info.rx_bytes) == (0, 0)
    assert model.weights[0] == 3


def test_alone_with_nothing_to_receive(run):
    [peer] = run.join(0)
    assert synced(run, [Model()], [RECEIVE]) == ["INVALID_USAGE"]
    with pytest.raises(PCCLError):
        peer.call(lambda c: c.update_topology())  # it was removed


# ---- revisions


def test_each_sync_has_the_next_revision(run):
    run.join(0, 0)
    models = [Model(), Model()]
    for revision in range(5):
        assert synced(run, models) == ["SUCCESS"] * 2
        assert [model.state.revision for model in models] == [revision] * 2
        for model in models:
            model.state.push_revision()


def test_the_first_revision_may_be_any(run):
    """A run that goes on from a checkpoint."""
    run.join(0, 0)
    models = [Model(), Model()]
    for revision in (41, 42):
        for model in models:
            model.state.revision = revision
        assert synced(run, models) == ["SUCCESS"] * 2


def test_an_outdated_peer_is_overwritten_even_by_a_minority(run):
    run.join(0, 0, 0)
    models = [Model(1), Model(1), Model(1)]
    assert synced(run, models) == ["SUCCESS"] * 3
    models[0].state.push_revision()
    models[0].step(-1)
    assert synced(run, models) == ["SUCCESS"] * 3
    assert [model.weights[0] for model in models] == [2, 2, 2]
    assert [model.state.revision for model in models] == [1, 1, 1]


def test_a_peer_ahead_of_its_time_is_removed(run):
    run.join(0, 0, 0)
    models = [Model(), Model(), Model()]
    assert synced(run, models) == ["SUCCESS"] * 3
    for model, pushes in zip(models, (1, 1, 2)):
        for _ in range(pushes):
            model.state.push_revision()
    assert synced(run, models) == ["SUCCESS", "SUCCESS", "INVALID_USAGE"]
    assert models[2].state.revision == 2  # untouched


def test_nobody_has_advanced(run):
    """Upstream wrecks the group; here the last sync is repeated."""
    run.join(0, 0)
    models = [Model(), Model()]
    assert synced(run, models) == synced(run, models) == ["SUCCESS"] * 2


# ---- strategies


def test_a_late_joiner_receives_what_the_others_send(run):
    run.join(0, 0, 0)
    models = [Model(1), Model(1), Model(9)]
    infos = synced(run, models, [SEND, SEND, RECEIVE], together)
    assert [model.weights[0] for model in models] == [1, 1, 1]
    assert [info.rx_bytes for info in infos] == [0, 0, 800]
    assert sum(info.tx_bytes for info in infos[:2]) == 800


def test_one_sender_wins_over_many_receivers(run):
    run.join(0, 0, 0, 0)
    models = [Model(value) for value in (7, 1, 1, 1)]
    assert synced(run, models, [SEND, RECEIVE, RECEIVE, RECEIVE]) == ["SUCCESS"] * 4
    assert [model.weights[0] for model in models] == [7] * 4


def test_a_sender_who_loses_is_removed(run):
    run.join(0, 0, 0)
    models = [Model(1), Model(1), Model(2)]
    assert synced(run, models, [SEND, SEND, SEND]) == ["SUCCESS", "SUCCESS", "INVALID_USAGE"]
    assert models[2].weights[0] == 2


def test_everybody_wants_to_receive(run):
    run.join(0, 0)
    assert synced(run, [Model(), Model()], [RECEIVE, RECEIVE]) == ["INVALID_USAGE"] * 2


@pytest.mark.parametrize("other", [SEND, RECEIVE])
def test_popular_does_not_mix(run, other):
    run.join(0, 0, 0)
    results = synced(run, [Model(), Model(), Model()], [POPULAR, POPULAR, other])
    assert results == ["SUCCESS", "SUCCESS", "INVALID_USAGE"]


# ---- groups, and who may call


def test_groups_have_their_own_states(run):
    run.join(0, 0, 1, 1)
    models = [Model(value) for value in (1, 1, 2, 2)]
    for model in models[2:]:
        model.state.revision = 100
    assert synced(run, models) == ["SUCCESS"] * 4
    assert [model.weights[0] for model in models] == [1, 1, 2, 2]


def test_one_group_syncs_without_the_other(run):
    run.join(0, 0, 1)
    models = [Model(1), Model(1)]
    assert codes(run.peers[:2], lambda c, i: c.sync_shared_state(models[i].state)) == ["SUCCESS"] * 2


def test_not_with_ops_in_flight(run):
    [peer, _] = run.join(0, 0)
    tensor = array.array("d", [1])

    def sync(communicator, _):
        communicator.all_reduce_async(tensor, tensor, op=ReduceOp.SUM)
        communicator.sync_shared_state(Model().state)

    assert codes([peer], sync) == ["PENDING_ASYNC_OPS"]


def test_who_was_removed_may_come_back_as_a_newcomer(run):
    run.join(0, 0, 0)
    models = [Model(), Model(), Model()]
    models[2].state.tensor_infos[0].name = "another"
    assert synced(run, models)[2] == "INVALID_USAGE"
    removed = run.peers[2]
    assert removed.attribute(Attribute.GLOBAL_WORLD_SIZE) == 3  # stale, but there
    assert codes([removed], lambda c, _: c.update_topology()) == ["UPDATE_TOPOLOGY_FAILED"]
    [error] = outcomes([removed], lambda c, _: c.are_peers_pending())
    assert error.result.name == "INVALID_USAGE" and error.reason
    with pytest.raises(Exception, match="INVALID_USAGE"):
        removed.call(lambda c: c.connect(n_attempts=1))
    run.leave(removed)
    run.update_until(2)
    run.join(0)
    for model in models[:2]:
        model.state.push_revision()
    models[2] = Model(5)
    assert synced(run, models) == ["SUCCESS"] * 3
    assert models[2].weights[0] == 0


def test_a_master_in_between_does_not_lose_the_revision():
    """A run on a master that is started again at its address goes on with the due revision."""
    address = free_address()
    with Run(address) as run:
        run.join(0, 0)
        models = [Model(), Model()]
        for _ in range(3):
            assert synced(run, models) == ["SUCCESS"] * 2
            for model in models:
                model.state.push_revision()
        run.master.interrupt()
        run.master.await_termination()
        run.master = started_master(address)
        assert synced(run, models) == ["SUCCESS"] * 2
        assert models[0].state.revision == 3
