from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from router.clients import media
from router.core.catalog import Timeouts
from router.core.failure import Failure
from tests.replay.server import Recording, ReplayServer

PNG = b"\x89PNG\r\n\x1a\nrest"
DATA_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def everything(_: media.Remote) -> bool:
    """Wants every URL."""
    return True


async def inlined(
    *parts: Mapping[str, Any], allow_private: bool = True, timeouts: Timeouts | None = None
) -> list[Any] | Failure:
    """Returns the parts of one message, inlined."""
    messages = await media.inlined(
        [{"role": "user", "content": list(parts)}],
        wanted=everything,
        timeouts=timeouts or Timeouts(),
        allow_private=allow_private,
    )
    return messages if isinstance(messages, Failure) else list(messages[0]["content"])


def image(url: str) -> dict[str, Any]:
    """Returns OpenAI's image part."""
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


async def test_every_form_of_a_url_is_filled() -> None:
    """Images as object and text, files by id and data, Anthropic's sources: each gets the bytes in its own form."""
    async with ReplayServer({"a": Recording(headers={"content-type": "application/octet-stream"}, body=PNG)}) as server:
        url = f"{server.url}/a"
        parts = await inlined(
            {"type": "text", "text": "look"},
            image(url),
            {"type": "image_url", "image_url": url},
            {"type": "file", "file": {"file_id": url, "format": "image/png"}},
            {"type": "file", "file": {"file_data": url}},
            {"type": "input_file", "file_data": url},
            {"type": "image", "source": {"type": "url", "url": url}},
        )
        assert server.count == 1
    assert parts == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}},
        {"type": "image_url", "image_url": DATA_URL},
        {"type": "file", "file": {"format": "image/png", "file_data": DATA_URL}},
        {"type": "file", "file": {"file_data": DATA_URL}},
        {"type": "input_file", "file_data": DATA_URL},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": DATA_URL.partition(",")[2]},
        },
    ]


async def test_what_is_not_wanted_stays() -> None:
    """Text messages, `data:` URLs and URLs that the provider fetches itself are left as they are."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
    messages += [{"role": "user", "content": [image("https://h/x"), image(DATA_URL)]}]
    same = await media.inlined(messages, wanted=lambda _: False, timeouts=Timeouts())
    assert same == tuple(messages)
    assert await inlined(image(DATA_URL)) == [image(DATA_URL)]


async def test_some_are_wanted() -> None:
    """A URL that is wanted is filled, another beside it is not."""
    async with ReplayServer({"a": Recording(body=PNG)}) as server:
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": ["odd", image(f"{server.url}/a"), image("https://h/b")]}
        ]
        got = await media.inlined(
            messages, wanted=lambda remote: remote.url.endswith("/a"), timeouts=Timeouts(), allow_private=True
        )
    assert isinstance(got, tuple)
    assert got[0]["content"] == ["odd", {**image(DATA_URL)}, image("https://h/b")]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "0.0.0.1", "100.64.0.1", "224.0.0.1", "[::1]",
        "[fe80::1]", "[fd00::1]", "[::ffff:127.0.0.1]", "[2002:7f00:1::]", "[64:ff9b::a00:1]", "localhost",
    ],
)  # fmt: skip
async def test_only_public_addresses(host: str) -> None:
    """Loopback, private, link-local and shared addresses are refused in whatever form they are written."""
    failure = await inlined(image(f"http://{host}:9/secret?token=abc"), allow_private=False)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.sent) == ("unsupported", False)
    assert "token" not in failure.message


async def test_a_private_host_may_be_allowed_by_its_name() -> None:
    """Who allows private addresses may use their names, too: a file server inside the company has one."""
    async with ReplayServer({"a": Recording(body=PNG)}) as server:
        parts = await inlined(image(server.url.replace("127.0.0.1", "localhost") + "/a"))
    assert parts == [image(DATA_URL)]


async def test_redirects_are_checked_again() -> None:
    """A redirect is followed where it may lead, refused to another scheme, and not for ever."""
    async with ReplayServer({"a": Recording(body=PNG)}) as server:
        for name, target in (("near", "/a"), ("scheme", "file:///etc/passwd"), ("loop", "/loop")):
            server.recordings[name] = Recording(status=302, headers={"location": target})
        assert await inlined(image(f"{server.url}/near")) == [image(DATA_URL)]
        for name in ("scheme", "loop"):
            assert isinstance(await inlined(image(f"{server.url}/{name}")), Failure)


@pytest.mark.parametrize(
    "recording",
    [
        Recording(status=404, body=b"no"),
        Recording(headers={"content-type": "text/html"}, body=b"<p>not an image</p>"),
        Recording(headers={"content-type": "image/png"}, body=b"\0" * (media.LARGEST_BYTES + 1)),
        Recording(headers={"content-type": "image/png"}, body=PNG, pieces=2, cut_after=3),
    ],
    ids=["missing", "page", "too large", "cut"],
)
async def test_what_is_no_image(recording: Recording) -> None:
    """Errors, pages, files that are too large and broken connections are failures before anything is sent."""
    async with ReplayServer({"a": recording}) as server:
        failure = await inlined(image(f"{server.url}/a"))
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.sent) == ("unsupported", False)


async def test_kinds_are_told_by_their_first_bytes() -> None:
    """WebP and PDF are known by their bytes, other media by what the server says."""
    for body, said, kind in (
        (b"RIFF0000WEBPx", "text/plain", "image/webp"),
        (b"%PDF-1.7", "text/plain", "application/pdf"),
        (b"whatever", "audio/mpeg", "audio/mpeg"),
    ):
        async with ReplayServer({"a": Recording(headers={"content-type": said}, body=body)}) as server:
            parts = await inlined(image(f"{server.url}/a"))
        assert isinstance(parts, list)
        assert parts[0]["image_url"]["url"].startswith(f"data:{kind};base64,")


async def test_too_many_and_too_slow() -> None:
    """The number of URLs is bounded, and all fetches together by the attempt's time."""
    many = await inlined(*(image(f"http://h/{n}") for n in range(media.MOST + 1)))
    assert isinstance(many, Failure)
    assert many.kind == "unsupported"
    async with ReplayServer({"a": Recording(body=PNG, delay_s=30)}) as server:
        slow = await inlined(image(f"{server.url}/a"), timeouts=Timeouts(total_s=0.2))
    assert isinstance(slow, Failure)
    assert (slow.kind, slow.sent) == ("timed_out", False)


def test_the_time_spent_is_taken_off() -> None:
    """Fetching counts against the attempt's time-outs, which never fall below zero."""
    spent = media.less(Timeouts(first_token_s=2.0, total_s=10.0), 3.0)
    assert (spent.first_token_s, spent.total_s) == (0.0, 7.0)
    assert media.less(Timeouts(), 3.0) == Timeouts()
