"""Which addresses may be connected to on somebody else's word: public ones, as seen by the very connection.

A URL in a prompt or in a configuration must not become a way into the network that the program runs in. An address that
stands in the URL is checked as it stands; a name is resolved once, and the connection goes to the addresses that were
checked, so that a name cannot change its mind in between.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver, ResolveResult

_NOT_PUBLIC: Final = "not a public address"

_UNICAST: Final = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is given out to be reached from anywhere (RFC 4291, 2.4; IANA's registry)."""

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")

_HOST_SERVICES: Final = frozenset({ipaddress.ip_address("168.63.129.16")})
"""Public by their numbers, but served by the machine's own host: Azure's. Those of others are link-local or private."""

_NUMERIC: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}\.?", re.IGNORECASE)
"""What the system's resolver reads as an IPv4 address, though it is not written as one: 127.1, 0x7f000001."""


class NotPublic(OSError):
    """A name that leads to no public address."""

    def __init__(self) -> None:
        super().__init__(None, _NOT_PUBLIC)


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Returns whether an address is one that anybody may be sent to."""
    if isinstance(address, ipaddress.IPv6Address):
        # An IPv4 address in an IPv6 coat leads to the IPv4 one.
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address not in _UNICAST or address.scope_id is not None:
            return False
    return address.is_global and not address.is_multicast and address not in _HOST_SERVICES


def why_not(host: str) -> str | None:
    """Returns why a URL's host must not be connected to; None for a public address, and for a name.

    Names are checked when they are resolved, which `public_resolver` does.
    """
    bare = host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return _NOT_PUBLIC if ":" in bare or _NUMERIC.fullmatch(bare) else None
    return None if is_public(address) else _NOT_PUBLIC


def public_resolver(allows: Callable[[str], bool]) -> AbstractResolver:
    """Returns a resolver for aiohttp that knows only public addresses; the connection then goes to just those.

    Args:
        allows: whether a name may lead anywhere.
    """
    from aiohttp.abc import AbstractResolver
    from aiohttp.resolver import ThreadedResolver

    class Public(AbstractResolver):
        def __init__(self) -> None:
            self._inner = ThreadedResolver()

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            found = await self._inner.resolve(host, port, family)
            kept = [r for r in found if allows(host) or is_public(ipaddress.ip_address(r["host"]))]
            if not kept:
                raise NotPublic
            return kept

        async def close(self) -> None:
            await self._inner.close()

    return Public()
