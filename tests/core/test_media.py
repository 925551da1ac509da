"""Content parts that are no text: what each needs, and between which bounds its tokens are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.media import Media, part_media
from router.core.request import TokenCount
from router.core.tokens import IMAGE

UNKNOWN = TokenCount(low=1, likely=4_000, high=100_000)
LINK = "https://example.com/x"


def counted(low: int, likely: int, high: int) -> TokenCount:
    """Returns a count between these bounds."""
    return TokenCount(low=low, likely=likely, high=high)


@pytest.mark.parametrize("kind", ["image_url", "image", "input_image"])
@pytest.mark.parametrize(
    ("image", "tokens"),
    [
        ({"url": LINK}, IMAGE),
        ({"url": LINK, "detail": "high"}, IMAGE),
        ({"url": LINK, "detail": "low"}, counted(1, 85, IMAGE.high)),
        (LINK, IMAGE),
        (None, IMAGE),
    ],
)
def test_a_picture_of_low_detail_is_likely_small(kind: str, image: Any, tokens: TokenCount) -> None:
    """But only OpenAI heeds it, so its upper bound is any picture's."""
    assert part_media({"type": kind, "image_url": image}) == Media(need="vision", tokens=tokens)


@pytest.mark.parametrize("kind", ["input_audio", "audio", "audio_url"])
@pytest.mark.parametrize(
    ("audio", "tokens"),
    [
        *(({"data": "A" * 32_000, "format": name}, counted(1, 12, 97)) for name in ("wav", "pcm16", "pcm")),
        *(({"data": "A" * 32_000, "format": name}, counted(1, 12, 97)) for name in ("flac", "aiff")),
        ({"data": "A" * 32_000, "format": "mp3"}, counted(1, 96, 769)),
        ({"data": "AAAA", "format": "mp3"}, counted(1, 1, 1)),
        ("A" * 32_000, counted(1, 96, 769)),
        ({"data": LINK, "format": "wav"}, UNKNOWN),
        (LINK, UNKNOWN),
        ({"data": "AAAA"}, UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_sound_is_bounded_by_the_lowest_bit_rate_of_its_format(kind: str, audio: Any, tokens: TokenCount) -> None:
    """24,000 bytes are 3 seconds of a telephone and 24 of the worst MP3, at 32 tokens each."""
    assert part_media({"type": kind, "input_audio": audio}) == Media(need="audio_input", tokens=tokens)


@pytest.mark.parametrize("kind", ["file", "document", "document_url", "input_file"])
@pytest.mark.parametrize(
    ("file", "tokens"),
    [
        ({"file_data": "A" * 4_020}, counted(1, 151, 18_091)),
        ({"file_data": ""}, counted(1, 1, 1)),
        ({"file_data": LINK}, UNKNOWN),
        ({"file_id": "x"}, UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_a_file_is_bounded_by_its_bytes(kind: str, file: Any, tokens: TokenCount) -> None:
    """3,015 bytes: at most 6 tokens each, most likely one for every 20; elsewhere it is of unknown length."""
    assert part_media({"type": kind, "file": file}) == Media(need="file_input", tokens=tokens)


@pytest.mark.parametrize("kind", ["video_url", "video", "input_video"])
def test_a_video_is_of_unknown_length(kind: str) -> None:
    """Whatever it holds."""
    assert part_media({"type": kind, kind: {"url": LINK}}) == Media(need="video_input", tokens=UNKNOWN)


@given(st.sampled_from(["text", "refusal", "tool_use", None, "IMAGE"]))
def test_what_nobody_knows_is_no_media(kind: str | None) -> None:
    """Text, and kinds that are to come."""
    assert part_media({"type": kind, "image_url": {"detail": "low"}}) is None
    assert part_media({}) is None
