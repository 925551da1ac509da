"""Keeps a process on this machine, by an audit hook: no code is patched, and no library can go around it.

    with loopback_only() as refused:
        ...
    assert not refused

A hook cannot be removed again: it is installed by the first block, and does nothing where none is open. It knows what
Python's own sockets do in this process; what a process started from here does, it does not see.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_LOCAL = frozenset({"", "localhost", "localhost.localdomain"})

_blocks: list[list[str]] = []
"""What each open block was refused, innermost last."""
_hooks: list[Any] = []
"""The hook, once it is installed."""


class NetworkRefused(OSError):
    """Something tried to reach another machine where only this one may be talked to."""


@contextmanager
def loopback_only() -> Iterator[list[str]]:
    """Refuses connections and look-ups of names that would leave this machine, in any thread.

    Yields the hosts that were refused, oldest first: code that swallows the refusal is told by them.
    """
    if not _hooks:
        _hooks.append(_audit)
        sys.addaudithook(_audit)
    refused: list[str] = []
    _blocks.append(refused)
    try:
        yield refused
    finally:
        # Not by value: another block may have been refused the same.
        del _blocks[next(at for at, block in enumerate(_blocks) if block is refused)]


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _blocks and (host := beyond(event, args)) is not None:
        _blocks[-1].append(host)
        raise NetworkRefused(f"refused to reach {host!r}: a test may talk to loopback only")


def beyond(event: str, args: tuple[Any, ...], /) -> str | None:
    """Returns the other machine that an audit event is about to reach or to ask for; None where it is about none.

    Raises:
        gaierror: a name is looked up that never exists.
    """
    match event:
        case "socket.connect" | "socket.sendto" | "socket.sendmsg":
            sock, address = args
            # Unix sockets are local, and `sendmsg` on a connected socket has no address.
            if sock.family in {socket.AF_INET, socket.AF_INET6} and address is not None:
                return _unless_local(str(address[0]))
        case "socket.getaddrinfo" | "socket.gethostbyname":
            host = args[0]
            if host is not None:
                return _unless_local(host.decode() if isinstance(host, bytes) else str(host), look_up=True)
        case _:
            pass
    return None


def _unless_local(host: str, *, look_up: bool = False) -> str | None:
    name = host.lower().rstrip(".")
    if name in _LOCAL or name == socket.gethostname().lower() or name.endswith(".localhost"):
        return None
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        if name.endswith(".invalid"):
            # RFC 6761, section 6.4: never exists. A test of failing look-ups uses it, and needs no resolver.
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
        return host
    # To look up a literal address asks nobody; to connect to one does.
    return None if look_up or address.is_loopback or address.is_unspecified else host
