"""Keeps a test process on this machine, by an audit hook: no code is patched, and no library can go around it.

A hook cannot be removed again, so the guard stays for the life of the process.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Any

refused: list[str] = []
"""What the running test was refused, oldest first; the fixture in `conftest.py` empties and reports it."""


class NetworkRefusedError(OSError):
    """A test tried to reach a machine other than its own."""


def install() -> None:
    """Refuses, from now on, connections and name look-ups that would leave this machine."""
    sys.addaudithook(_audit)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    match event:
        case "socket.connect" | "socket.sendto" | "socket.sendmsg":
            sock, address = args
            # Unix sockets are local, and `sendmsg` on a connected socket has no address.
            if sock.family in {socket.AF_INET, socket.AF_INET6} and address is not None:
                _refuse_unless_local(str(address[0]))
        case "socket.getaddrinfo" | "socket.gethostbyname":
            host = args[0]
            if host is not None:
                _refuse_unless_local(host.decode() if isinstance(host, bytes) else str(host), look_up=True)
        case _:
            pass


def _refuse_unless_local(host: str, *, look_up: bool = False) -> None:
    name = host.lower().rstrip(".")
    if name in {"", "localhost", "localhost.localdomain", socket.gethostname().lower()} or name.endswith(".localhost"):
        return
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        if name.endswith(".invalid"):
            # RFC 6761, section 6.4: never exists. A test of failing look-ups uses it, and needs no resolver.
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
    else:
        # To look up a literal address asks nobody; to connect to one does.
        if look_up or address.is_loopback or address.is_unspecified:
            return
    refused.append(host)
    message = f"refused to reach {host!r}: a test may talk to loopback only"
    raise NetworkRefusedError(message)
