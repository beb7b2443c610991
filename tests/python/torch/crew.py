"""Peers in processes of their own, which a test can kill, freeze and interrupt, and functions to run in them.

A peer is forked from a server that has imported torch already, so it is there in some milliseconds. The test hands it
functions of modules in this folder; they get a namespace of that peer, where it keeps its model and the like.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
import types
from multiprocessing.connection import Connection, wait
from typing import Any, Callable

# Seconds for what takes milliseconds on an idle machine.
PATIENCE = 60

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["torch", "pccl.torch", "bodies"])


class Failed(Exception):
    """What a peer's function has raised; the text ends with its traceback."""

    def __init__(self, kind: str, trace: str) -> None:
        super().__init__(trace)
        self.kind = kind
        """The exception's class name."""


class Peer:
    """A process that runs one function after the other."""

    def __init__(self, **environment: str) -> None:
        self._link, theirs = _context.Pipe()
        self._process = _context.Process(target=_serve, args=(theirs, environment))
        self._process.start()
        theirs.close()

    def start(self, body: Callable, *arguments: Any, **options: Any) -> None:
        """body(namespace, *arguments, **options) over there; `result` waits for it."""
        self._link.send((body, arguments, options))

    def result(self) -> Any:
        if not self._link.poll(PATIENCE):
            raise TimeoutError(f"process {self._process.pid} still works on it after {PATIENCE} s")
        kind, value = self._link.recv()
        if kind is None:
            return value
        raise Failed(kind, value)

    def call(self, body: Callable, *arguments: Any, **options: Any) -> Any:
        self.start(body, *arguments, **options)
        return self.result()

    def kill(self) -> None:
        """SIGKILL, and gone when this returns."""
        self._process.kill()
        self._process.join(PATIENCE)

    def freeze(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def interrupt(self) -> None:
        """Ctrl-C."""
        os.kill(self._process.pid, signal.SIGINT)

    def end(self) -> int:
        """Lets the process end as a script does: its exit code, or minus the signal that ended it."""
        self._link.send(None)
        self._process.join(PATIENCE)
        if self._process.exitcode is None:
            raise TimeoutError(f"process {self._process.pid} does not end")
        return self._process.exitcode

    def close(self) -> None:
        self.kill()
        self._link.close()


class Crew:
    """The peers of a test. Leaves no process behind."""

    def __init__(self) -> None:
        self._peers: list[Peer] = []

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for peer in self._peers:
            peer.close()

    def hire(self, count: int = 1, **environment: str) -> list[Peer]:
        hired = [Peer(**environment) for _ in range(count)]
        self._peers += hired
        return hired


def together(peers: list[Peer], body: Callable, *arguments: Any, **options: Any) -> list:
    """The results of body at all of them at once."""
    for peer in peers:
        peer.start(body, *arguments, **options)
    return [peer.result() for peer in peers]


def _serve(link: Connection, environment: dict[str, str]) -> None:
    import torch

    os.environ.update(environment)
    torch.set_num_threads(1)
    test = multiprocessing.parent_process().sentinel
    threading.Thread(target=lambda: (wait([test]), os._exit(1)), daemon=True).start()
    namespace = types.SimpleNamespace()
    while (task := link.recv()) is not None:
        body, arguments, options = task
        try:
            outcome = None, body(namespace, *arguments, **options)
        except BaseException as error:  # KeyboardInterrupt, too
            outcome = type(error).__name__, traceback.format_exc()
        link.send(outcome)
