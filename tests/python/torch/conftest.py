"""The environment of masters and peers, and a crew."""

import os

# Read when a master is made: without it each master waits a second before it admits its first peer.
os.environ["PCCL_MASTER_GRACE"] = "0"
# A busy machine must cost nobody its place. Peers that die are noticed at once all the same.
os.environ.setdefault("PCCL_PEER_TIMEOUT", "30")
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch

from crew import Crew

torch.set_num_threads(1)


@pytest.fixture
def crew():
    with Crew() as started:
        yield started


@pytest.fixture
def address(crew):
    return crew.address
