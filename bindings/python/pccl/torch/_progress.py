"""A progress bar for a sync that takes long, where somebody can see it."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

from pccl._communicator import Communicator

_LOOK_EVERY_S = 0.2


@contextlib.contextmanager
def shown(communicator: Communicator) -> Iterator[None]:
    """Shows what a sync inside the block fetches, from a fifth of a second on: with tqdm, on a terminal; else nothing."""
    bar = _bar_class() if sys.stderr.isatty() else None
    if bar is None:
        yield
        return
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(communicator, bar, ended), name="pccl-progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _bar_class():
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm


def _watch(communicator: Communicator, bar_class, ended: threading.Event) -> None:
    bar = None
    while not ended.wait(_LOOK_EVERY_S):
        here, wanted = communicator.sync_progress()
        if wanted > 0:
            if bar is None:
                bar = bar_class(total=wanted, unit="B", unit_scale=True, desc="pccl: fetching the state", leave=False)
            bar.total = wanted
            bar.update(here - bar.n)
    if bar is not None:
        bar.close()
