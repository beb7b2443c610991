"""A master inside this process."""

from __future__ import annotations

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
        """Blocks until it has been interrupted. Ctrl-C raises KeyboardInterrupt and leaves the master running.

        Raises:
            PCCLError: INVALID_USAGE: it has never run.
        """
        PCCLError.check(self._native.await_termination(), "pcclMasterAwaitTermination", "it has never run")
        self._running = False

    def __del__(self) -> None:
        if getattr(self, "_running", False):
            try:
                self.await_termination()
            except BaseException:  # Ctrl-C, or a handler of another signal: the end is wanted
                self.interrupt()
                self._native.await_termination()
