"""A master as a program: ``pccl-master`` or ``python -m pccl.master``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import Optional

from pccl._master_node import MasterNode
from pccl._errors import PCCLError

DEFAULT_LISTEN_ADDRESS = "0.0.0.0:48148"
_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERR", "FATAL", "NONE")
_SWITCH = {"action": "store_const", "const": 1}
_SECONDS = {"type": float, "metavar": "SECONDS"}
# What docs/environment.md says of the variable, which libpccl reads when a master is made.
_SETTINGS = (
    ("--peer-timeout", "PCCL_PEER_TIMEOUT", "3", _SECONDS),
    ("--straggler-timeout", "PCCL_STRAGGLER_TIMEOUT", "0: never", _SECONDS),
    ("--remove-stragglers", "PCCL_REMOVE_STRAGGLERS", "not", _SWITCH),
    ("--accept-restored-state", "PCCL_ACCEPT_RESTORED_STATE", "not", _SWITCH),
    ("--state-file", "PCCL_STATE_FILE", "none", {"metavar": "FILE"}),
    ("--log-level", "PCCL_LOG_LEVEL", "ERR", {"choices": _LEVELS}),
)


def main(arguments: Optional[list[str]] = None) -> int:
    """Runs a master until SIGINT or SIGTERM; gives the exit code."""
    parser = argparse.ArgumentParser(prog="pccl-master", description="Keeps the membership of a PCCL run.")
    parser.add_argument("--listen-address", default=DEFAULT_LISTEN_ADDRESS, metavar="HOST:PORT", help="default: %(default)s")
    for flag, variable, otherwise, settings in _SETTINGS:
        parser.add_argument(flag, dest=variable, help=f"default: {variable}, else {otherwise}", **settings)
    options = parser.parse_args(arguments)
    for _, variable, *_ in _SETTINGS:
        if (value := getattr(options, variable)) is not None:
            os.environ[variable] = str(value)
    try:
        master = MasterNode(listen_address=options.listen_address)
        master.run()
    except (PCCLError, ValueError) as error:
        print(f"pccl-master: {error}", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: master.interrupt())
    print(f"The master listens on {options.listen_address}", flush=True)
    master.await_termination()
    print("The master has ended", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
