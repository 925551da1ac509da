"""One POST to an address that a configuration names: no redirect, no private address, no cookie, no proxy.

https only. A host that `allow_hosts` lists may also be spoken to without TLS, on any port and in the own network: it is
meant for receivers inside a company, and for tests.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.alerts.sink import Arrived, Failed, Gone, Outcome
from router.clients.addresses import NotPublic, public_resolver, why_not
from router.core.waiting import retry_after_s
from router.errors import ConfigError

if TYPE_CHECKING:
    import ssl

    from yarl import URL

TIMEOUT_S: Final = 20.0
"""Standard Webhooks 1.0.0 recommends 15 to 30 s."""
_TIMEOUT_MOST_S: Final = 30.0
_HTTPS_PORT: Final = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to post to, checked.

    Attributes:
        url: the address; not shown, as a secret may be part of it.
        allowed: whether the host may be spoken to without TLS, on any port and in the own network.
        timeout_s: how long one attempt may take.
        tls: whom to trust; None takes what the system trusts.
    """

    url: URL = field(repr=False)
    allowed: bool
    timeout_s: float
    tls: ssl.SSLContext | None = field(default=None, repr=False)


def checked_address(
    url: str, *, allow_hosts: Collection[str] = (), timeout_s: float = TIMEOUT_S, ca_file: str | None = None
) -> Address:
    """Returns the address to post to.

    Args:
        url: of https.
        allow_hosts: names or addresses of hosts, each alone or with a port, that may be anything.
        timeout_s: how long one attempt may take, up to 30 s.
        ca_file: certificates of authorities to trust instead of the system's, as PEM.

    Raises:
        ConfigError: it is not allowed; says why, and shows no more of the address than its host.
    """
    from yarl import URL

    if isinstance(allow_hosts, str) or not all(isinstance(host, str) for host in allow_hosts):
        raise ConfigError('allow_hosts is not a list of hosts; write it as ["hooks.internal", "10.0.0.5:8443"]')
    if not 0 < timeout_s <= _TIMEOUT_MOST_S:
        raise ConfigError(f"timeout_s is {timeout_s!r}; allowed: more than 0, up to {_TIMEOUT_MOST_S:g}")
    try:
        target = URL(url)
        host, port = (target.host or "").removesuffix(".").lower(), target.port
    except ValueError:
        raise ConfigError("the url cannot be read (not shown, as it may be secret)") from None
    allowed = bool({host, f"{host}:{port}"} & {entry.removesuffix(".").lower() for entry in allow_hosts})
    fault = _fault(target, host, allowed=allowed)
    if fault is not None:
        raise ConfigError(f"the url{f' (of {host})' if host else ''} {fault}")
    return Address(url=target.with_fragment(None), allowed=allowed, timeout_s=float(timeout_s), tls=_tls(ca_file))


async def post(address: Address, body: bytes, headers: Mapping[str, str], /, *, time: datetime) -> Outcome:
    """Sends a body once; returns what came of it. Only an answer of 2xx says that it has arrived.

    Args:
        address: where to.
        body: JSON.
        headers: besides those of every request.
        time: of this attempt, for a `retry-after` that names a moment.
    """
    import aiohttp

    connector = aiohttp.TCPConnector(
        resolver=public_resolver(lambda _: address.allowed), limit=1, ssl=True if address.tls is None else address.tls
    )
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=address.timeout_s),
                headers={"User-Agent": "lowfare", "Content-Type": "application/json", **headers},
                auto_decompress=False,
                trust_env=False,
            ) as session,
            session.post(address.url, data=body, allow_redirects=False) as response,
        ):
            return _outcome(response.status, response.headers, time)
    except TimeoutError:
        return Failed(note=f"no answer within {address.timeout_s:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # The text may quote the address, of which a secret may be part; the kind is enough.
        if isinstance(getattr(error, "os_error", None), NotPublic):
            return Failed(note="its name leads to no public address, and allow_hosts does not list it")
        return Failed(note=f"no answer: {type(error).__name__}")


def _outcome(status: int, headers: Mapping[str, str], time: datetime) -> Outcome:
    if 200 <= status < 300:
        return Arrived(note=str(status))
    if status == 410:
        return Gone(note="410, gone")
    if 300 <= status < 400:
        return Failed(note=f"{status}, a redirect, which is not followed")
    asked = {name: value for name, value in headers.items() if name.lower() in ("retry-after", "date")}
    return Failed(note=str(status), retry_after_s=retry_after_s(asked, "", time))


def _fault(target: URL, host: str, *, allowed: bool) -> str | None:
    if not host:
        return "names no host; write it as https://HOST/PATH"
    if target.raw_user is not None or target.raw_password is not None:
        return "holds a user or a password; a signature says who sends, so leave them out"
    if target.scheme not in ("https", "http"):
        return f"has the scheme {target.scheme!r}; allowed: https"
    if allowed:
        return None
    advice = f'; allow_hosts = ["{host}"] allows it'
    if target.scheme == "http":
        return f"is of http, which anybody on the way can read; allowed: https{advice}"
    if target.port != _HTTPS_PORT:
        return f"has the port {target.port}; allowed: {_HTTPS_PORT}{advice}"
    fault = why_not(host)
    return f"is {fault}{advice}" if fault is not None else None


def _tls(ca_file: str | None) -> ssl.SSLContext | None:
    if ca_file is None:
        return None
    import ssl

    try:
        return ssl.create_default_context(cafile=str(Path(ca_file).expanduser()))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file {ca_file!r} cannot be read as certificates: {type(error).__name__}") from None
