"""What all tests of the Python package share: the environment of masters and peers, a run, and a last bound."""

import faulthandler
import os

# Read when a master is created: without it each master waits a second before it admits its first peer.
os.environ["PCCL_MASTER_GRACE"] = "0"
# A busy machine must cost nobody its place. Peers that die are noticed at once all the same.
os.environ.setdefault("PCCL_PEER_TIMEOUT", "30")

import pytest

from peers import Run

# Every wait in the tests has a bound of its own (peers.PATIENCE). What lasts longer than this hangs inside the library
# or the interpreter; the stacks of all threads then say where.
_LAST_BOUND_SECONDS = int(os.environ.get("PCCL_TEST_LAST_BOUND", 300))
_stderr = None


def pytest_configure(config):
    global _stderr
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        _stderr = os.fdopen(os.dup(2), "w")


@pytest.fixture(autouse=True)
def last_bound():
    faulthandler.dump_traceback_later(_LAST_BOUND_SECONDS, exit=True, file=_stderr)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def run():
    with Run() as started:
        yield started
