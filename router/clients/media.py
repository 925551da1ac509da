"""Inlines images and files that a request names by URL, for providers that take only bytes.

The URL comes from whoever wrote the prompt, so it may point anywhere: only http and https, only public addresses (as
resolved for the very connection that is used, so a name cannot change its mind in between), every redirect checked
again, sizes, number and time bounded, no cookies, no proxy, no credentials.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from router.clients.addresses import public_resolver, why_not
from router.core.catalog import Timeouts
from router.core.failure import Failure

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

MOST: Final = 20
"""URLs of one request that are fetched; claude.ai takes as many images in one turn."""
LARGEST_BYTES: Final = 20 * 2**20
"""Of one file. Gemini takes 20 MB a request inline, Anthropic 5 MB an image and 32 MB a request."""
_REDIRECTS: Final = 3
_PIECE: Final = 2**16

_MAGIC: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
)


class Refused(Exception):
    """A URL that will not be fetched, or that gave nothing usable; the message names the host, not the whole URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A URL that a content part names, and under which field: "image_url", "file_id", "file_data" or "source"."""

    url: str
    field: str


Wanted = Callable[[Remote], bool]
"""Tells which URLs a provider does not fetch itself."""


def urls(messages: Sequence[Mapping[str, Any]], wanted: Wanted) -> tuple[str, ...]:
    """Returns the http(s) URLs of images and files in messages that are wanted, each once, in order."""
    found = (_remote(part) for message in messages for part in _parts(message))
    return tuple(dict.fromkeys(remote.url for remote in found if remote is not None and wanted(remote)))


async def inlined(
    messages: Sequence[Mapping[str, Any]],
    *,
    wanted: Wanted,
    timeouts: Timeouts,
    allow_private: bool = False,
) -> tuple[Mapping[str, Any], ...] | Failure:
    """Returns messages with the wanted URLs replaced by `data:` URLs of what they held.

    Args:
        messages: in OpenAI's form; not changed.
        wanted: which URLs the provider does not fetch itself.
        timeouts: of the attempt; all fetches together may take no longer than its first token or its whole.
        allow_private: also fetch from loopback, private and link-local addresses.

    Returns:
        The messages; or an `unsupported` failure, as a model that fetches URLs itself may still serve the request.
    """
    needed = urls(messages, wanted)
    if not needed:
        return tuple(messages)
    if len(needed) > MOST:
        return _failure(f"{len(needed)} URLs to fetch, at most {MOST} are")
    limits = [s for s in (timeouts.total_s, timeouts.first_token_s) if s is not None]
    try:
        async with asyncio.timeout(min(limits, default=None)):
            held = await _fetch_all(needed, connect_s=timeouts.connect_s, allow_private=allow_private)
    except Refused as refused:
        return _failure(str(refused))
    except TimeoutError:
        return Failure(kind="timed_out", message="fetching images took longer than the attempt may", sent=False)
    return tuple(_with(message, held) for message in messages)


async def _fetch_all(needed: Sequence[str], *, connect_s: float, allow_private: bool) -> dict[str, str]:
    import aiohttp

    # No environment: a proxy would connect to addresses that we have not checked.
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=public_resolver(lambda _: allow_private), limit=MOST),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=connect_s),
        headers={"User-Agent": "lowfare"},
    ) as session:
        tasks = [asyncio.ensure_future(_fetch(session, url, allow_private=allow_private)) for url in needed]
        try:
            found = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return dict(zip(needed, found, strict=True))


async def _fetch(session: aiohttp.ClientSession, url: str, *, allow_private: bool) -> str:
    """Returns what a URL holds, as a `data:` URL; raises `Refused`."""
    import aiohttp
    from yarl import URL

    target = URL(url)
    try:
        for _ in range(_REDIRECTS + 1):
            _check(target, allow_private=allow_private)
            async with session.get(target, allow_redirects=False) as response:
                if response.status in (301, 302, 303, 307, 308) and "location" in response.headers:
                    target = target.join(URL(response.headers["location"]))
                    continue
                if response.status != 200:
                    raise Refused(f"{target.host} answered {response.status}")
                return _data_url(response.content_type, await _read(response), target)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # The text may quote the URL, which may hold a signature; the kind and the host are enough.
        raise Refused(f"no image from {target.host}: {type(error).__name__}") from error
    raise Refused(f"{target.host} redirects more than {_REDIRECTS} times")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_chunked(_PIECE):
        body += piece
        if len(body) > LARGEST_BYTES:
            raise Refused(f"{response.url.host} holds more than {LARGEST_BYTES} bytes")
    return bytes(body)


def _data_url(content_type: str, body: bytes, target: URL) -> str:
    kind = next((kind for magic, kind in _MAGIC if body.startswith(magic)), None)
    if kind is None:
        kind = "image/webp" if body[:4] == b"RIFF" and body[8:12] == b"WEBP" else content_type
    # Text, HTML above all, is a page about an image or an error; it must not reach a model as one.
    if not kind.startswith(("image/", "audio/", "video/")) and kind != "application/pdf":
        raise Refused(f"{target.host} holds {kind}, neither an image nor a document")
    return f"data:{kind};base64,{base64.b64encode(body).decode()}"


def _check(target: URL, *, allow_private: bool) -> None:
    """Raises for a URL that must not be fetched; names are checked when they are resolved."""
    if target.scheme not in ("http", "https") or not target.host:
        raise Refused(f"{target.scheme or 'a relative'} URL: only http and https are fetched")
    fault = None if allow_private else why_not(target.host)
    if fault is not None:
        raise Refused(f"{target.host} is {fault}")


def _parts(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yields the content parts of a message, and the images that an assistant's message carries beside them."""
    for key in ("content", "images"):
        value = message.get(key)
        if isinstance(value, list | tuple):
            yield from (part for part in value if isinstance(part, Mapping))


def _remote(part: Mapping[str, Any]) -> Remote | None:
    """Returns the http(s) URL that a part names, in any of the forms that OpenAI, litellm and Anthropic have for it."""
    image, file, source = part.get("image_url"), part.get("file"), part.get("source")
    candidates = [
        ("image_url", image.get("url") if isinstance(image, Mapping) else image),
        ("file_data", part.get("file_data")),
        ("source", source.get("url") if isinstance(source, Mapping) else None),
    ]
    if isinstance(file, Mapping):
        candidates += [("file_data", file.get("file_data")), ("file_id", file.get("file_id"))]
    for name, url in candidates:
        if isinstance(url, str) and url[:8].lower().startswith(("http://", "https://")):
            return Remote(url=url, field=name)
    return None


def _with(message: Mapping[str, Any], held: Mapping[str, str]) -> Mapping[str, Any]:
    new = dict(message)
    for key in ("content", "images"):
        value = message.get(key)
        if isinstance(value, list | tuple):
            new[key] = [_filled(part, held) if isinstance(part, Mapping) else part for part in value]
    return new


def _filled(part: Mapping[str, Any], held: Mapping[str, str]) -> Mapping[str, Any]:
    remote = _remote(part)
    data_url = held.get(remote.url) if remote is not None else None
    if remote is None or data_url is None:
        return part
    match remote.field:
        case "image_url":
            image = part["image_url"]
            return {**part, "image_url": {**image, "url": data_url} if isinstance(image, Mapping) else data_url}
        case "source":
            kind, _, data = data_url.removeprefix("data:").partition(";base64,")
            return {**part, "source": {"type": "base64", "media_type": kind, "data": data}}
        case _ if isinstance(part.get("file"), Mapping):
            kept = {k: v for k, v in part["file"].items() if k != "file_id"}
            return {**part, "file": {**kept, "file_data": data_url}}
        case _:
            return {**part, "file_data": data_url}


def less(timeouts: Timeouts, spent_s: float) -> Timeouts:
    """Returns time-outs from which the time spent on fetching is taken off."""
    return dataclasses.replace(
        timeouts,
        first_token_s=None if timeouts.first_token_s is None else max(0.0, timeouts.first_token_s - spent_s),
        total_s=None if timeouts.total_s is None else max(0.0, timeouts.total_s - spent_s),
    )


def _failure(reason: str) -> Failure:
    return Failure(kind="unsupported", message=f"an image or file cannot be sent along: {reason}", sent=False)
