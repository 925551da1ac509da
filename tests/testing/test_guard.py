"""The guard that keeps a process on its machine."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from router.testing import NetworkRefused, loopback_only
from router.testing.guard import beyond


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_a_connection_to_another_machine_is_refused(host: str) -> None:
    """Whoever connects beyond loopback gets an error at once, and the guard remembers it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        loopback_only() as refused,
        socket.socket(family) as sock,
        pytest.raises(NetworkRefused, match="loopback only"),
    ):
        sock.connect((host, 9))
    assert refused == [host]


def test_a_datagram_to_another_machine_is_refused() -> None:
    """Nor does anything leave without a connection; what is connected already goes nowhere else."""
    with loopback_only() as refused, socket.socket(type=socket.SOCK_DGRAM) as sock:
        with pytest.raises(NetworkRefused):
            sock.sendto(b"hi", ("192.0.2.1", 9))
        sock.connect(("127.0.0.1", 9))
        sock.sendmsg([b"hi"])
    assert refused == ["192.0.2.1"]


@pytest.mark.parametrize("name", ["api.example.com", b"api.example.com"])
def test_a_look_up_of_another_machine_is_refused(name: str | bytes) -> None:
    """A name that is not this machine's is not even asked for."""
    with loopback_only() as refused:
        with pytest.raises(NetworkRefused, match=r"api\.example\.com"):
            socket.getaddrinfo(name, 443)
        with pytest.raises(NetworkRefused):
            socket.gethostbyname("api.example.com")
    assert refused == ["api.example.com", "api.example.com"]


def test_other_threads_are_watched_too() -> None:
    """The guard is the process's, not the thread's."""

    def look_up() -> None:
        with pytest.raises(NetworkRefused):
            socket.getaddrinfo("api.example.com", 443)

    with loopback_only() as refused:
        thread = threading.Thread(target=look_up)
        thread.start()
        thread.join()
    assert refused == ["api.example.com"]


def test_loopback_is_allowed() -> None:
    """Servers on this machine can be reached, by address and by name; a literal address may be looked up."""
    with loopback_only() as refused, socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, port)).close()
        socket.getaddrinfo("192.0.2.1", 443)
        socket.getaddrinfo(None, port)
    assert refused == []


def test_an_invalid_name_fails_as_a_look_up_fails() -> None:
    """A name under .invalid fails like any unknown name, without a resolver and without blame."""
    with loopback_only() as refused, pytest.raises(socket.gaierror):
        socket.getaddrinfo("nowhere.invalid", 443)
    assert refused == []


def test_blocks_may_overlap() -> None:
    """The innermost is told; one that ended is told no more, also where another was told the same."""
    with loopback_only() as outer:
        with loopback_only() as inner, pytest.raises(NetworkRefused):
            socket.getaddrinfo("a.example.com", 443)
        with pytest.raises(NetworkRefused):
            socket.getaddrinfo("b.example.com", 443)
    assert (inner, outer) == (["a.example.com"], ["b.example.com"])


@pytest.mark.parametrize(
    ("event", "family", "address", "host"),
    [
        ("socket.connect", socket.AF_INET, ("192.0.2.1", 9), "192.0.2.1"),
        ("socket.sendto", socket.AF_INET6, ("2001:db8::1", 9), "2001:db8::1"),
        ("socket.connect", socket.AF_INET, ("example.com.", 9), "example.com."),
        ("socket.connect", socket.AF_INET, ("127.0.0.1", 9), None),
        ("socket.connect", socket.AF_INET6, ("::1%lo", 9), None),
        ("socket.connect", socket.AF_INET, ("0.0.0.0", 9), None),  # noqa: S104 - nobody listens there
        ("socket.connect", socket.AF_INET, ("app.localhost", 9), None),
        ("socket.sendmsg", socket.AF_INET, None, None),
        ("socket.connect", socket.AF_UNIX, "/tmp/socket", None),  # noqa: S108 - a name, and no file
        ("socket.bind", socket.AF_INET, ("192.0.2.1", 9), None),
    ],
)
def test_where_a_socket_goes(event: str, family: socket.AddressFamily, address: Any, host: str | None) -> None:
    """What leads to another machine is told from what stays here."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        assert beyond(event, (sock, address)) == host


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("api.example.com", "api.example.com"),
        (b"api.example.com", "api.example.com"),
        ("192.0.2.1", None),
        ("localhost", None),
        (socket.gethostname(), None),
        (None, None),
    ],
)
def test_which_names_are_asked_for(name: str | bytes | None, host: str | None) -> None:
    """Literal addresses and this machine's names ask nobody; one that never exists fails as it would."""
    assert beyond("socket.getaddrinfo", (name, 443)) == host
    with pytest.raises(socket.gaierror):
        beyond("socket.gethostbyname", ("nowhere.invalid",))
