"""Takes out of a provider's words whatever of the request they repeat, quoted or not.

The words are short and the request may be long, so pieces of the words are looked up in the request. Both are compared
by their letters and digits alone, in lower case: providers break lines, escape and re-quote what they repeat.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from router.core.headers import is_credential
from router.core.request import Request

SHORTEST_ECHO: Final = 12
"""Letters and digits, in bytes of UTF-8, from which a run that the request has too counts as its echo: about three
words. Shorter runs are shared by chance."""
SEARCHED_MOST: Final = 2_000_000
"""Characters of a request that are searched, in about a tenth of a second. Words about a longer one are withheld."""
WITHHELD: Final = "the provider's words are not shown, as the request is too long to tell what of it they repeat"

_WORDS_MOST: Final = 400
_WINDOW: Final = 8
_STRIDE: Final = SHORTEST_ECHO - _WINDOW + 1
"""Any run of `SHORTEST_ECHO` bytes has a whole window in it, so every fifth place is enough to find one."""
_SHORTEST_WHOLE: Final = 4
"""Characters of a prompt that counts as repeated where all of it stands in the words, as words of their own."""

_GAP: Final = "\N{HORIZONTAL ELLIPSIS}"
_BREAK: Final = b"\0"
_SIGNS: Final = bytes(code for code in range(1, 128) if not chr(code).isalnum())
_LOWER: Final = bytes(range(256)).lower()
_ESCAPE: Final = re.compile(r"\\+(?:((?:u[0-9a-fA-F]{4}\\*)+)|[nrtbf]|[\"'/])")
_ENCODED_FROM: Final = 2_000
_ENCODED_KEPT: Final = 200
_NAMING: Final = frozenset({"type", "role", "required"})
"""Fields whose values are words of the protocol, or names of other fields."""
_NAME: Final = re.compile(r"[\w.-]{1,64}")
"""What OpenAI allows as the name of a tool or a schema: an error that hides it would not help to mend it."""


def texts_of(request: Request, *, key: str | None = None) -> Iterator[str]:
    """Yields the request's own texts, prompts first, and its secrets; not the names of its fields.

    Args:
        request: as the caller made it.
        key: what it was sent with.
    """
    yield from _strings(request.messages)
    # A short value of a parameter or a header ("high") is rather a word of the protocol than the caller's.
    yield from (text for text in _strings(_unnamed(request.params)) if len(text) >= SHORTEST_ECHO)
    yield from (t for name, t in request.headers.items() if len(t) >= SHORTEST_ECHO or is_credential(name))
    if key is not None:
        yield key


def _unnamed(value: Any) -> Any:
    """Returns parameters without the names of tools and schemas."""
    match value:
        case Mapping():
            return {
                name: _unnamed(item)
                for name, item in value.items()
                if not (name == "name" and isinstance(item, str) and _NAME.fullmatch(item))
            }
        case list() | tuple():
            return [_unnamed(item) for item in value]
        case _:
            return value


def unechoed(words: str, texts: Iterable[str]) -> str:
    """Returns the start of a provider's words with `…` in place of each run that stands in one of the texts.

    Args:
        words: on one line.
        texts: of the request, looked at only as far as `SEARCHED_MOST`.
    """
    held: list[str] = []
    size = 0
    for text in texts:
        kept = _ENCODED_KEPT if _is_encoded(text) else len(text)
        size += kept
        if size > SEARCHED_MOST:
            return WITHHELD if words else words
        held.append(text[:kept])
    shown = _ESCAPE.sub(_unescaped, words[: 2 * _WORDS_MOST])[:_WORDS_MOST]
    hidden = _repeated(shown, _BREAK.join(_plain(text) for text in held))
    for text in held:
        if _SHORTEST_WHOLE <= len(text) <= _WORDS_MOST:
            hidden += [found.span() for found in re.finditer(rf"(?<!\w){re.escape(text)}(?!\w)", shown)]
    return _without(shown, hidden) if hidden else words[:_WORDS_MOST]


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for name, item in value.items():
                if name not in _NAMING:
                    yield from _strings(item)
        case list() | tuple():
            for item in value:
                yield from _strings(item)
        case _:
            pass


def _is_encoded(text: str) -> bool:
    """Returns whether a text is an image or a file as base64: of that a start is enough, and it is long."""
    return len(text) > _ENCODED_FROM and not re.search(r"\s", text[:_ENCODED_FROM]) and text[:64].isascii()


def _plain(text: str) -> bytes:
    return text.encode("utf-8", "replace").translate(_LOWER, _SIGNS)


def _unescaped(match: re.Match[str]) -> str:
    """Returns the characters that JSON escapes stand for, halves of an emoji joined."""
    if match[1] is None:
        return " "
    units = bytes.fromhex("".join(re.findall("[0-9a-fA-F]{4}", match[1].replace("u", " "))))
    return units.decode("utf-16-be", "replace")


def _repeated(words: str, text: bytes) -> list[tuple[int, int]]:
    """Returns from where to where the words repeat the text, in characters."""
    places: list[int] = []
    pieces: list[bytes] = []
    for place, character in enumerate(words):
        piece = _plain(character)
        pieces.append(piece)
        places += [place] * len(piece)
    plain = b"".join(pieces)
    found: list[tuple[int, int]] = []
    start, at = 0, 0
    while at + _WINDOW <= len(plain):
        if plain[at : at + _WINDOW] not in text:
            at += _STRIDE
            continue
        begin, end = _widened(plain, at, text, least=start)
        if end - begin >= SHORTEST_ECHO:
            found.append((places[begin], places[end - 1] + 1))
            start = at = end
        else:
            at += _STRIDE
    return found


def _widened(plain: bytes, at: int, text: bytes, *, least: int) -> tuple[int, int]:
    """Returns the longest run around a window that the text has, to the right first."""
    # What has a run has every part of it, so the ends can be bisected.
    right = bisect_left(range(at + _WINDOW + 1, len(plain) + 1), x=True, key=lambda end: plain[at:end] not in text)
    end = at + _WINDOW + right
    left = bisect_left(range(at - least), x=True, key=lambda more: plain[at - more - 1 : end] not in text)
    return at - left, end


def _without(words: str, hidden: list[tuple[int, int]]) -> str:
    out: list[str] = []
    at = 0
    for begin, end in sorted(hidden):
        if end <= at:
            continue
        out.append(words[at:begin])
        out.append(_GAP)
        at = end
    out.append(words[at:])
    return "".join(out)
