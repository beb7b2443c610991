"""A master as a program: ``pccl-master`` or ``python -m pccl.master``."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import Optional

from pccl._master_node import MasterNode
from pccl._errors import PCCLError

DEFAULT_LISTEN_ADDRESS = "0.0.0.0:48148"


def main(arguments: Optional[list[str]] = None) -> int:
    """Runs a master until SIGINT or SIGTERM; gives the exit code."""
    parser = argparse.ArgumentParser(prog="pccl-master", description="Keeps the membership of a PCCL run.")
    parser.add_argument("--listen-address", default=DEFAULT_LISTEN_ADDRESS, metavar="HOST:PORT", help="default: %(default)s")
    options = parser.parse_args(arguments)
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
