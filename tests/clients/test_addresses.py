from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clients.addresses import NotPublic, is_public, public_resolver, why_not


@given(address=st.ip_addresses(v=4))
def test_an_address_in_a_coat_is_what_it_leads_to(address: ipaddress.IPv4Address) -> None:
    """Mapped, 6to4 and NAT64 addresses are as public as the IPv4 address inside; others that embed one never are."""
    number = int(address)
    inside = is_public(address)
    assert is_public(ipaddress.IPv6Address(0xFFFF << 32 | number)) is inside
    assert is_public(ipaddress.IPv6Address(0x2002 << 112 | number << 80)) is inside
    assert is_public(ipaddress.IPv6Address(0x64FF9B << 96 | number)) is inside
    assert not is_public(ipaddress.IPv6Address(number))
    assert not is_public(ipaddress.IPv6Address(0x20010000 << 96 | number))


@given(address=st.ip_addresses())
def test_what_is_not_global_is_not_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Nothing that the registries reserve counts as public."""
    if not address.is_global or address.is_multicast:
        assert not is_public(address) or address.version == 6
    assert (why_not(str(address)) is None) is is_public(address)


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "[2606:4700::1111]", "example.com", "a1", "x"]
)
def test_public_addresses_and_names_pass(host: str) -> None:
    """Names are checked when they are resolved."""
    assert why_not(host) is None


@pytest.mark.parametrize(
    "host",
    [
        "0",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0X7F000001",
        "017700000001",
        "127.0.0.1.",
        "fe80::1%eth0",
        "::",
        "1::2::3",
    ],
)
def test_other_spellings_do_not_pass(host: str) -> None:
    """What a system's resolver may read as an address must be written as one."""
    assert why_not(host) == "not a public address"


async def test_a_resolver_gives_public_addresses_only() -> None:
    """A name that leads inside leads nowhere, unless it is allowed."""
    strict, lenient = public_resolver(lambda _: False), public_resolver(lambda host: host == "localhost")
    with pytest.raises(NotPublic):
        await strict.resolve("localhost", 443)
    found: Any = await lenient.resolve("localhost", 443, socket.AF_INET)
    assert [one["host"] for one in found] == ["127.0.0.1"]
    await strict.close()
    await lenient.close()
