"""Ports for masters."""

import fcntl
import itertools
import pathlib
import random
import socket
import tempfile

# Below the range from which Linux takes ports of outgoing connections (32768 to 60999): nobody's connection can sit
# on the port of a master that is about to start, or to start again.
_LOWEST, _BLOCKS, _BLOCK_PORTS = 20000, 12, 1000


def _own_block() -> range:
    """Ports that no other test process on this machine takes, for as long as this one lives."""
    global _lock
    for block in random.SystemRandom().sample(range(_BLOCKS), _BLOCKS):
        try:
            _lock = open(pathlib.Path(tempfile.gettempdir()) / f"pccl-test-ports-{block}", "w")
            fcntl.flock(_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            continue  # somebody else's; the last one is shared, if need be
    first = _LOWEST + block * _BLOCK_PORTS
    return range(first, first + _BLOCK_PORTS)


# Each port once before any comes again: what is left of a test finds nobody at its address.
_ports = itertools.cycle(_own_block())


def free_port() -> int:
    for _ in range(_BLOCK_PORTS):
        port = next(_ports)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as masters do
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port found")


def free_address() -> str:
    return f"127.0.0.1:{free_port()}"
