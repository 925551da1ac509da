"""What lowfare asks of aiohttp, in one place.

Importing this module imports aiohttp, so only `Http` does, on first use.
"""

from __future__ import annotations

import ipaddress
import urllib.request
from collections.abc import Mapping
from typing import cast

import aiohttp
import aiohttp.abc
import aiohttp.payload
from aiohttp.http_writer import StreamWriter
from yarl import URL

from router.core.catalog import Timeouts
from router.core.failure import Failure

KEEP_ALIVE_S = 15.0
"""How long an idle connection stays pooled: below the 60 s and more of the usual load balancers (AWS ALB, nginx), so
that we close first and rarely write into a connection the other side has just given up."""


class Body(aiohttp.payload.Payload):
    """A request body that knows whether any of it went out.

    That knowledge separates "not sent, free, try the next" from "maybe billed". Unlike aiohttp's own payload of bytes
    it does not warn above 1 MB: the body is in memory already, as bytes.
    """

    _autoclose = True

    def __init__(self, body: bytes) -> None:
        super().__init__(body, content_type="application/json")
        self._size = len(body)
        self.sent = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Returns the body as text."""
        return cast("bytes", self._value).decode(encoding, errors)

    async def write(self, writer: aiohttp.abc.AbstractStreamWriter) -> None:
        """Writes the body; called once the connection stands, just before the headers leave the buffer."""
        transport = cast("StreamWriter", writer).transport
        # A pooled connection that was closed since it was picked refuses the write: nothing leaves this machine.
        self.sent = transport is not None and not transport.is_closing()
        await writer.write(self._value)


class Connector(aiohttp.TCPConnector):
    """A pool that says nothing when it is thrown away open.

    The program of somebody who calls `asyncio.run(router.acomplete(...))` ends without a chance to close the pool; that
    is no mistake worth a warning on their terminal. Its sockets close as they are collected.
    """

    def __del__(self, *_: object) -> None:
        """Leaves out the warning of the base class."""


def session() -> aiohttp.ClientSession:
    """Returns a new session of the running loop, with as many connections as there are concurrent calls.

    No cookies: they would tie one tenant's requests to another's. The environment is not trusted wholesale
    (`trust_env`), because that also reads `~/.netrc` and would put its password on requests that carry no
    `Authorization` of their own; proxies are looked up by `proxy_of`.
    """
    return aiohttp.ClientSession(
        connector=Connector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "lowfare"},
        auto_decompress=True,
    )


def proxy_of(url: URL) -> URL | None:
    """Returns the proxy that `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name; never one for loopback."""
    host = url.host or ""
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    return URL(proxy if "://" in proxy else f"http://{proxy}")


def is_loopback(host: str) -> bool:
    """Tells whether a host name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def limits(timeouts: Timeouts) -> aiohttp.ClientTimeout:
    """Returns the limits that aiohttp itself keeps: connecting (DNS, TCP, TLS together) and the whole.

    aiohttp rounds limits above five seconds up to whole ones unless told otherwise; a deadline is a deadline.
    """
    return aiohttp.ClientTimeout(total=timeouts.total_s, connect=timeouts.connect_s, ceil_threshold=float("inf"))


FAULTS = (aiohttp.ClientError, OSError, TimeoutError)
"""Whatever the network, the far end or a time-out can do to a request; nothing else is caught."""


def fault(error: Exception, *, sent: bool, host: str, status: int | None = None) -> Failure:
    """Returns the failure that a transport fault is.

    The message names the fault's kind and the host; the exception's own text is left out, as it may quote the URL.

    Args:
        error: one of `FAULTS`.
        sent: whether any byte of the body was written to a live connection.
        host: host and port of the request.
        status: of the answer, where its head had arrived.
    """
    what = f"{type(error).__name__} at {host}"
    if not sent:
        return Failure(kind="not_sent", message=f"no connection: {what}", status=status, sent=False)
    match error:
        case TimeoutError():
            return Failure(kind="timed_out", message=f"no answer in time: {what}", status=status)
        case aiohttp.ClientResponseError():
            return Failure(kind="server_error", message=f"not an HTTP answer: {what}", status=status)
        case _:
            return Failure(kind="cut", message=f"connection lost: {what}", status=status)


def head(headers: Mapping[str, str]) -> dict[str, str]:
    """Returns headers with names in lower case; of one that repeats, the last."""
    return {name.lower(): value for name, value in headers.items()}
