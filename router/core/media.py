"""Content parts that are no text: which capability each needs, and between which bounds its tokens are.

Sizes are those that providers state: a picture is at least one token and at most what the model with the finest
resolution makes of it; sound is charged by the second, so the length of its data bounds it by the lowest bit rate that
its format is used with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from router.core.request import TokenCount
from router.core.tokens import IMAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One part: the capability it needs, and its tokens."""

    need: str
    tokens: TokenCount


_LOW_DETAIL: Final = TokenCount(low=1, likely=85, high=IMAGE.high)
"""`detail: "low"` is 85 at OpenAI ("Images and vision"); others ignore it."""
_UNKNOWN: Final = TokenCount(low=1, likely=4_000, high=100_000)
"""Video, and files that stand elsewhere: about 6 minutes of video at Gemini, or 40 dense pages."""

_AUDIO_TOKENS_PER_S: Final = 32
"""Gemini ("Understand audio"); OpenAI has 10, Mistral 12.5."""
_LOSSLESS_BYTES_PER_S: Final = 8_000
"""Telephone quality, the least that WAV and PCM are used with."""
_LOSSY_BYTES_PER_S: Final = 1_000
"""8 kbit/s, the least that MP3, Opus, AAC are used with for speech."""
_LOSSLESS: Final = frozenset({"wav", "pcm16", "pcm", "flac", "aiff"})

_FILE_TOKENS_PER_BYTE_MOST: Final = 6
"""Text inside a PDF is deflated about 5 to 1, and pages are also read as pictures."""

_VISION: Final = frozenset({"image_url", "image", "input_image"})
_AUDIO: Final = frozenset({"input_audio", "audio", "audio_url"})
_VIDEO: Final = frozenset({"video_url", "video", "input_video"})
_FILE: Final = frozenset({"file", "document", "document_url", "input_file"})


def part_media(part: Mapping[str, Any]) -> Media | None:
    """Returns what a content part is if it is no text; None for text and for kinds that nobody knows."""
    kind = part.get("type")
    if kind in _VISION:
        image = part.get("image_url")
        low = isinstance(image, dict) and image.get("detail") == "low"
        return Media(need="vision", tokens=_LOW_DETAIL if low else IMAGE)
    if kind in _AUDIO:
        return Media(need="audio_input", tokens=_audio(part.get("input_audio")))
    if kind in _VIDEO:
        return Media(need="video_input", tokens=_UNKNOWN)
    if kind in _FILE:
        return Media(need="file_input", tokens=_file(part.get("file")))
    return None


def _audio(audio: Any) -> TokenCount:
    match audio:
        case {"data": str(data), "format": str(name)}:
            bytes_per_s = _LOSSLESS_BYTES_PER_S if name in _LOSSLESS else _LOSSY_BYTES_PER_S
        case str(data):
            bytes_per_s = _LOSSY_BYTES_PER_S
        case _:
            return _UNKNOWN
    if data.startswith("https://"):
        return _UNKNOWN
    high = 1 + _data_bytes(data) * _AUDIO_TOKENS_PER_S // bytes_per_s
    return TokenCount(low=1, likely=max(1, high // 8), high=high)


def _file(file: Any) -> TokenCount:
    match file:
        case {"file_data": str(data)} if not data.startswith("https://"):
            size = _data_bytes(data)
            return TokenCount(low=1, likely=1 + size // 20, high=1 + size * _FILE_TOKENS_PER_BYTE_MOST)
        case _:
            return _UNKNOWN


def _data_bytes(data: str) -> int:
    """Returns how many bytes base64 stands for, at most."""
    return len(data) * 3 // 4
