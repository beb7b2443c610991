"""python -m pccl.master."""

import signal
import socket

import pytest

from child import Child
from peers import Run, together
from ports import free_address, free_port


def start(address: str) -> Child:
    return Child("-m", "pccl.master", "--listen-address", address)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_cleanly_on_a_signal(number):
    address = free_address()
    with start(address) as child:
        assert child.expect("The master listens on") == address
        child.process.send_signal(number)
        child.expect("The master has ended")
        assert child.end() == 0
        assert child.errors() == ""


def test_serves_a_run():
    address = free_address()
    with start(address) as child, Run.at(address) as run:
        child.expect("The master listens")
        together(run.join(0, 0, 1), lambda c, i: c.update_topology())


def test_option_with_an_equals_sign():
    address = free_address()
    with Child("-m", "pccl.master", f"--listen-address={address}") as child:
        assert child.expect("The master listens on") == address


def test_the_default_address():
    with Child("-m", "pccl.master", "--help") as child:
        child.expect("usage:")
        assert child.end() == 0
    from pccl import master

    assert master.DEFAULT_LISTEN_ADDRESS == "0.0.0.0:48148"


def test_a_busy_port():
    with socket.socket() as busy:
        port = free_port()
        busy.bind(("127.0.0.1", port))
        busy.listen()
        with start(f"127.0.0.1:{port}") as child:
            assert child.end() == 1
            assert f"cannot listen on 127.0.0.1:{port}" in child.errors()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:x", "no.such.host.invalid:1"])
def test_an_address_of_no_use(address):
    with start(address) as child:
        assert child.end() == 1
        assert address in child.errors() and "Traceback" not in child.errors()


def test_options_win_over_the_environment():
    with Child(
        "-m", "pccl.master", "--listen-address", free_address(), "--log-level", "INFO", PCCL_LOG_LEVEL="NONE"
    ) as child:
        child.expect("The master listens")
        child.process.terminate()
        assert child.end() == 0
        assert "INFO: the master listens" in child.errors()


@pytest.mark.parametrize("option", [["--peer-timeout", "soon"], ["--log-level", "LOUD"], ["--state-file"]])
def test_an_option_of_no_use(option):
    with Child("-m", "pccl.master", *option) as child:
        assert child.end() == 2


def test_an_unknown_option():
    with Child("-m", "pccl.master", "--listen", "a", "b") as child:
        assert child.end() == 2


def test_main_as_a_function_is_what_the_console_script_calls():
    script = "import sys; from pccl.master import main; sys.argv[1:] = ['--listen-address', {!r}]; sys.exit(main())"
    address = free_address()
    with Child("-c", script.format(address)) as child:
        child.expect("The master listens")
        child.process.terminate()
        assert child.end() == 0


def test_the_same_port_again_at_once():
    """While connections of the former run linger in TIME_WAIT."""
    address = free_address()
    for _ in range(3):
        with start(address) as child, Run.at(address) as run:
            child.expect("The master listens")
            run.join(0, 0)
            child.process.terminate()
            assert child.end() == 0
