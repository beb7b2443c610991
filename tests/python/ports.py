"""Ports for masters."""

import random
import socket

# Below the range from which Linux takes ports of outgoing connections (32768 to 60999): nobody's connection can sit
# on the port of a master that is about to start, or to start again.
_LOWEST, _HIGHEST = 20000, 32000


def free_port() -> int:
    for _ in range(100):
        port = random.SystemRandom().randrange(_LOWEST, _HIGHEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port found")


def free_address() -> str:
    return f"127.0.0.1:{free_port()}"
