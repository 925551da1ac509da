from __future__ import annotations

import socket

import pytest

from tests import network_guard
from tests.network_guard import NetworkRefusedError


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_a_connection_to_another_machine_is_refused(host: str) -> None:
    """A test that connects beyond loopback gets an error at once, and the guard remembers it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock, pytest.raises(NetworkRefusedError, match="loopback only"):
        sock.connect((host, 9))
    assert network_guard.refused == [host]
    network_guard.refused.clear()


def test_a_look_up_of_another_machine_is_refused() -> None:
    """A name that is not this machine's is not even asked for."""
    with pytest.raises(NetworkRefusedError, match=r"api\.example\.com"):
        socket.getaddrinfo("api.example.com", 443)
    assert network_guard.refused == ["api.example.com"]
    network_guard.refused.clear()


def test_loopback_is_allowed() -> None:
    """Servers that a test starts on this machine can be reached, by address and by name."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, port)).close()
    assert network_guard.refused == []


def test_an_invalid_name_fails_as_a_look_up_fails() -> None:
    """A name under .invalid fails like any unknown name, without a resolver and without blame."""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nowhere.invalid", 443)
    assert network_guard.refused == []
