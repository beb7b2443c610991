"""'host:port' of a master."""

import socket

import pytest

from peers import Run
from pccl import Communicator, MasterNode
from ports import free_port


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "localhost",
        "",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:+80",
        "127.0.0.1: 80",
        "127.0.0.1:0x50",
        "127.0.0.1:٨٠",
        "127.0.0.256:80",
        ":80",
        None,
        80,
    ],
)
@pytest.mark.parametrize("kind", [Communicator, MasterNode])
def test_refused(kind, address):
    with pytest.raises(AssertionError, match="address"):
        kind(address)


def reachable_peer(listen: str, connect: str) -> None:
    with Run(listen) as run:
        run.address = connect
        run.newcomer().call(lambda communicator: communicator.connect(n_attempts=1))


def test_by_name():
    try:
        socket.getaddrinfo("localhost", None, socket.AF_INET)
    except OSError:
        pytest.skip("localhost has no IPv4 address here")
    port = free_port()
    reachable_peer(f"localhost:{port}", f"localhost:{port}")


@pytest.mark.parametrize("host", ["[::1]", "::1"])
def test_ipv6(host):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    port = free_port()
    reachable_peer(f"{host}:{port}", f"{host}:{port}")


def test_lowest_and_highest_port_are_taken():
    Communicator("127.0.0.1:0")
    Communicator("127.0.0.1:65535")
