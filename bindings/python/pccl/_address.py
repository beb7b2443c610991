"""'host:port' as people write it."""

from __future__ import annotations

import ipaddress
import socket

from pccl._errors import InvalidValueError, require


def split_address(address: str) -> tuple[str, int]:
    """'10.0.0.1:48148', '[::1]:48148' or 'master.example.org:48148': the IP address, looked up for a name, and the port.

    Raises:
        ValueError: no port, or none between 0 and 65535; a name that nobody knows.
    """
    require(isinstance(address, str) and ":" in address, f"address '{address}' is not of the form host:port")
    host, _, port = address.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidValueError(f"address '{address}': '{port}' is not a port")
    host = host.removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(host)), int(port)
    except ValueError:
        return _look_up(host, address), int(port)


def _look_up(host: str, address: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InvalidValueError(f"address '{address}': {error}") from None
    # IPv4 first: a master listens there unless told otherwise.
    return str(min(found, key=lambda entry: entry[0] != socket.AF_INET)[4][0])
