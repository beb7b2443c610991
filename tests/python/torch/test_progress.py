"""The bar for a long sync: on a terminal, with tqdm, and only while something is fetched."""

import sys
import threading
import types

import pytest

pytest.importorskip("torch")

from pccl.torch import _progress  # noqa: E402


class Fetching:
    """A communicator that has some progress to tell; `looked` is set once all of it has been told."""

    def __init__(self, *progress):
        self._left = list(progress)
        self.looked = threading.Event()

    def sync_progress(self):
        if not self._left:
            self.looked.set()
            return 0, 0
        return self._left.pop(0)


class Bar:
    made = []

    def __init__(self, total, **_):
        self.total, self.n, self.closed = total, 0, False
        Bar.made.append(self)

    def update(self, more):
        self.n += more

    def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    Bar.made = []
    monkeypatch.setattr(_progress, "_LOOK_EVERY_S", 0.001)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=Bar))


def test_a_bar_follows_what_is_fetched():
    communicator = Fetching((0, 0), (0, 100), (30, 100), (90, 120))
    with _progress.shown(communicator):
        assert communicator.looked.wait(30)
    [bar] = Bar.made
    assert (bar.n, bar.total, bar.closed) == (90, 120, True)


def test_nothing_is_shown_while_nothing_is_fetched():
    communicator = Fetching((0, 0))
    with _progress.shown(communicator):
        assert communicator.looked.wait(30)
    assert Bar.made == []


def test_the_bar_ends_when_the_sync_fails():
    communicator = Fetching((1, 2))
    with pytest.raises(RuntimeError), _progress.shown(communicator):
        assert communicator.looked.wait(30)
        raise RuntimeError
    assert Bar.made[0].closed


@pytest.mark.parametrize("missing", ["terminal", "tqdm"])
def test_without_a_terminal_or_tqdm_nobody_looks(missing, monkeypatch):
    if missing == "terminal":
        monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    else:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    communicator = Fetching()
    with _progress.shown(communicator):
        assert not any(thread.name == "pccl-progress" for thread in threading.enumerate())
    assert not communicator.looked.is_set()
