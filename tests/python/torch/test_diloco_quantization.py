"""Pseudo-gradients as codes."""

import bodies
import pytest
import tasks
import torch
from crew import begin, together
from pccl import DataType, QuantizationAlgorithm, QuantizationOptions

# How many bytes an element takes, and how far the outer parameters may be from those of a run without.
KINDS = [
    ("uint8", 1, 1e-2),
    ("uint4", 1 / 2, 0.1),
    ("int8", 1, 1e-2),
    ("float8_e4m3", 1, 0.1),
    (QuantizationOptions(DataType.UINT16, QuantizationAlgorithm.MIN_MAX), 2, 1e-4),
]
SIZE = sum(parameter.numel() for parameter in tasks.wide().parameters())


def a_run(crew, rounds, **options):
    peers = crew.hire(2)
    begin(peers, bodies.join, crew.address, model=tasks.wide, **options)
    reports = together(peers, bodies.train_rounds, rounds)[0]
    together(peers, bodies.finish)
    assert len(set(together(peers, bodies.shared))) == 1
    tensors = peers[0].call(bodies.checkpoint)["tensors"]
    for peer in peers:
        peer.kill()
    return torch.cat([t.flatten() for name, t in tensors.items() if name.startswith("parameter")]), reports


@pytest.mark.parametrize("quantization, size, tolerance", KINDS, ids=["uint8", "uint4", "int8", "float8", "uint16"])
def test_is_smaller_and_close(crew, quantization, size, tolerance):
    exact, _ = a_run(crew, 1)
    got, reports = a_run(crew, 1, quantization=quantization)
    moved = (exact - a_run(crew, 0)[0]).abs().max()
    assert 0 < (got - exact).abs().max() < tolerance * moved
    assert reports[0].tx_bytes < 1.2 * size * SIZE


@pytest.mark.parametrize("overlap", [False, True], ids=["waiting", "overlap"])
def test_error_feedback_keeps_what_is_lost(crew, overlap):
    """Over rounds in which nothing is trained but a small constant way, which two-bit codes alone lose each time."""
    options = {"quantization": "uint2", "overlap": overlap, "outer_lr": 1.0, "outer_momentum": 0.0, "nesterov": False}
    off = []
    for feedback in (False, True):
        peers = crew.hire(2)
        begin(peers, bodies.join, crew.address, model=tasks.wide, sync_every=1, error_feedback=feedback, **options)
        off.append(together(peers, bodies.go_a_constant_way, 30)[0])
        assert len(set(together(peers, bodies.shared))) == 1
        for peer in peers:
            peer.kill()
    assert off[1] < off[0] / 4
