"""A master inside this process."""

from __future__ import annotations

import os

from pccl import _loader
from pccl._address import split_address
from pccl._errors import PCCLError


class MasterNode:
    """Keeps the membership of a run. Any process may hold it, a peer's too; `pccl-master` is one by itself.

    When it is collected, at the end of a script for instance, it waits until somebody has interrupted it, so that a
    script of a few lines is a master that stays. Ctrl-C ends it.

    Args:
        listen_address: "ip:port", "[ipv6]:port" or "name:port".
    """

    def __init__(self, listen_address: str) -> None:
        self._native = _loader.core.Master(*split_address(listen_address))
        self._listen_address = listen_address
        self._running = False
        self._end_is_wanted = False
        self._process = os.getpid()

    def run(self) -> None:
        """Starts it, once, on a thread of its own, and returns.

        Raises:
            PCCLError: INVALID_USAGE: the port is in use, or it has run before.
        """
        PCCLError.check(self._native.run(), "pcclRunMaster", f"cannot listen on {self._listen_address}, or has run before")
        self._running = True

    def interrupt(self) -> None:
        """Asks it to end, and returns; may be repeated.

        Raises:
            PCCLError: INVALID_USAGE: it has never run.
        """
        PCCLError.check(self._native.interrupt(), "pcclInterruptMaster", "it has never run")

    def await_termination(self) -> None:
        """Blocks until it has been interrupted. Ctrl-C raises KeyboardInterrupt and leaves the master running, but only
        until it is collected.

        Raises:
            PCCLError: INVALID_USAGE: it has never run.
        """
        try:
            status = self._native.await_termination()
        except BaseException:
            self._end_is_wanted = True
            raise
        PCCLError.check(status, "pcclMasterAwaitTermination", "it has never run")
        self._running = False

    def __del__(self) -> None:
        if not getattr(self, "_running", False) or self._process != os.getpid():  # a fork does not wait for its parent
            return
        try:
            if not self._end_is_wanted:
                self.await_termination()
        except BaseException:  # Ctrl-C, or a handler of another signal: the end is wanted
            pass
        if self._running:
            self.interrupt()
            self._native.await_termination()
