"""What the loops say about themselves."""

import bodies
import tasks
import torch
from alone import average_gradients, diloco
from crew import begin, together
from torch import nn

ROUND = {"round", "world_size", "tx_bytes", "rx_bytes", "retries", "inner_s", "reduce_s", "sync_s", "replaced"}
STEP = {"step", "world_size", "tx_bytes", "rx_bytes", "retries", "reduce_s", "sync_s", "replaced"}


def test_a_round_s_report(crew):
    reports = []
    model = nn.Linear(2, 2)
    with diloco(crew, model, sync_every=3, on_round=reports.append) as run:
        assert [run.step(), run.step()] == [None, None]
        assert run.progress == 2 / 3
        returned = run.step()
        assert reports == [returned] and returned.round == run.round == 1 and returned.world_size == run.world_size == 1
        assert returned.inner_s > 0 and returned.tx_bytes == returned.retries == 0 and not returned.replaced
        assert run.end_round().round == 2  # before its steps are full
        assert [run.step(), run.step()] == [None, None]  # which are counted anew
        assert run.step().round == 3
        assert run.communicator.is_connected()


def test_metrics_are_numbers_with_names(crew):
    with diloco(crew, nn.Linear(2, 2)) as run:
        metrics = run.step().metrics()
    assert set(metrics) == {f"pccl/{name}" for name in ROUND}
    assert all(isinstance(value, (int, float)) for value in metrics.values())
    assert set(run._report.metrics(prefix="outer.")) == {f"outer.{name}" for name in ROUND}


def test_a_step_s_report(crew):
    reports = []
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with average_gradients(crew, model, optimizer, on_step=reports.append) as average:
        model(torch.ones(2)).sum().backward()
        optimizer.step()
    assert [report.step for report in reports] == [1] == [average.step]
    assert set(reports[0].metrics()) == {f"pccl/{name}" for name in STEP}


def test_bytes(crew, address):
    """Two peers send each other all they have."""
    size = 4 * sum(parameter.numel() for parameter in tasks.wide().parameters())
    peers = crew.hire(2)
    begin(peers, bodies.join, address, model=tasks.wide)
    before = together(peers, bodies.traffic)
    for reports in together(peers, bodies.train_rounds, 2):
        assert [(report.tx_bytes, report.rx_bytes) for report in reports] == [(size, size)] * 2
    after = together(peers, bodies.traffic)
    assert [(a[0] - b[0], a[1] - b[1]) for a, b in zip(after, before)] == [(2 * size, 2 * size)] * 2


def test_a_newcomer_s_state_is_counted(crew, address):
    peers = crew.hire(2)
    begin(peers, bodies.join, address, model=tasks.wide)
    giver, taker = together(peers, bodies.traffic)
    assert giver[0] == taker[1] > 0 and giver[1] == taker[0] == 0


def test_a_callback_that_raises_does_not_cost_the_seat(crew):
    def complain(_):
        raise RuntimeError("no disk")

    with diloco(crew, nn.Linear(2, 2)) as run:
        run.on_round = complain
        try:
            run.step()
        except RuntimeError as error:
            assert str(error) == "no disk"
        else:
            raise AssertionError("it was swallowed")
        run.on_round = None
        assert run.step().round == 2
        assert not run._report.replaced and run.communicator.is_connected()
