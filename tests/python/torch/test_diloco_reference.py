"""DiLoCo does what its paper says: beside a plain loop over all workers in one process."""

import bodies
import pytest
import tasks
import torch
from crew import begin, together
from plain import plain_diloco, plain_overlapping_diloco

ROUNDS = 4
OUTER = {"lr": 0.7, "momentum": 0.9, "nesterov": True}


@pytest.mark.parametrize("overlap", [False, True], ids=["waiting", "overlap"])
@pytest.mark.parametrize(
    "steps, inner, outer",
    [
        ([4], torch.optim.AdamW, OUTER),
        ([4, 4], torch.optim.SGD, {**OUTER, "nesterov": False}),
        ([4, 4, 4], torch.optim.AdamW, OUTER),
        ([2, 5, 3], torch.optim.AdamW, {"lr": 1.0, "momentum": 0.0, "nesterov": False}),  # each at its own pace
    ],
    ids=["alone", "plain-momentum", "three", "paces"],
)
def test_equals_the_plain_loop(crew, address, steps, inner, outer, overlap):
    seeds = range(len(steps))
    peers = crew.hire(len(steps))
    begin(
        peers,
        bodies.join,
        address,
        each=[{"sync_every": count} for count in steps],
        model=tasks.without_buffers,
        inner=inner,
        overlap=overlap,
        outer_lr=outer["lr"],
        outer_momentum=outer["momentum"],
        nesterov=outer["nesterov"],
    )
    together(peers, bodies.train_rounds, ROUNDS)
    together(peers, bodies.finish)
    got = together(peers, bodies.parameters)

    expected = (plain_overlapping_diloco if overlap else plain_diloco)(seeds, steps, inner, outer, ROUNDS)
    for parameters in got:
        for own, wanted in zip(parameters, expected):
            torch.testing.assert_close(own, wanted.detach(), rtol=2e-5, atol=2e-6)
