"""Token counts: what a text is likely to be, between bounds that hold.

A token is at least one byte of UTF-8 in every tokenizer in use (byte-level BPE and SentencePiece with byte fallback),
so bytes bound tokens from above. What lies between is estimated from the mix of byte classes, at the speed of
`bytes.translate`, and counted with o200k_base where that matters. `docs/decisions/003-token-bounds.md` has how the
figures were measured and how far off they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from router.core.catalog import Model
from router.core.families import IMAGE_MOST, Family, family_of
from router.core.request import Features, TokenCount

_BYTES_PER_TOKEN_MOST: Final = 128
"""The longest token of o200k_base, and of the larger vocabularies since: a run of blanks."""
_FOREIGN_MOST: Final = 1.75
"""The most tokens of any tokenizer for one of o200k_base, in ASCII text. 1.42 was the most seen (Claude Opus 4.8)."""
_FOREIGN_LEAST: Final = 0.5
"""The least; 0.86 was the least seen of cl100k_base, 0.93 of Gemini."""

# Tokens of o200k_base per byte of each class: least squares over relative errors, half of a corpus of prompts, code,
# markup, JSON, numbers, random data and prose in 90 languages; the other half checked it (mean error 11 %).
_LOWER: Final = 0.206
_UPPER: Final = 0.201
_DIGIT: Final = 0.602
_BLANK: Final = 0.163
_BREAK: Final = 0.893
_PUNCTUATION: Final = 0.381
_LONG_WORD: Final = 0.4
"""For each letter beyond seven to a separator: identifiers, hex, base64."""
_RANDOM: Final = 1.083
"""For each capital that a digit can be paired with: base64, ids."""
_LEADING: Final = (
    (bytes(range(0xC2, 0xCB)), 1.30),  # Latin with accents
    (bytes(range(0xCB, 0xD0)), 0.42),  # Greek
    (b"\xd0\xd1", 0.32),  # Cyrillic
    (b"\xd2\xd3", 1.42),  # Cyrillic letters of Asian languages
    (bytes(range(0xD4, 0xE0)), 0.36),  # Armenian, Hebrew, Arabic
    (b"\xe0", 0.40),  # scripts of India, Thai
    (b"\xe1", 0.42),  # Georgian, Khmer, Burmese
    (b"\xe2", 3.24),  # dashes, quotes, arrows
    (b"\xe3", 0.63),  # kana
    (bytes(range(0xE4, 0xEA)), 0.91),  # Chinese characters
    (bytes(range(0xEA, 0xF0)), 0.75),  # Hangul
    (bytes(range(0xF0, 0xF5)), 5.8),  # emoji
)
"""By the first byte of a character of several."""

_LOWERS: Final = bytes(range(ord("a"), ord("z") + 1))
_UPPERS: Final = bytes(range(ord("A"), ord("Z") + 1))
_DIGITS: Final = b"0123456789"
_BREAKS: Final = b"\n\r\t"
_ASCII: Final = bytes(range(128))

_SAMPLE_ABOVE: Final = 65_536
_SLICES: Final = 16
_SLICE_BYTES: Final = 4096

Count = Callable[[str], int | None]
"""Counts a text exactly in o200k_base; None where it cannot."""

_COUNTED_MOST: Final = 8_000_000
"""Bytes above which nothing is counted: it would take half a second, and no window that large exists."""
_EDGES_BELOW: Final = 4096
_ERROR_LEAST: Final = 0.6
_ERROR_MOST: Final = 1.6
"""How far the truth may be from the estimate, as its multiple: 98 % of the checked texts are between."""
_EXTRA_MOST: Final = 1024
"""More than any family adds to a request."""
_INSTRUCTED: Final = frozenset({"tools", "json_schema"})
"""Needs for which hosts add instructions."""
_DEFINITIONS: Final = 0.8
"""Of the tokens of tool definitions as JSON, how many a template makes of them; 0.4 to 1.3 were seen."""

_PER_MESSAGE: Final = TokenCount(low=0, likely=4, high=12)
"""What a chat template wraps a message into; 4 at OpenAI, one of them the role (OpenAI Cookbook, "How to count tokens
with tiktoken")."""
_PER_REQUEST: Final = TokenCount(low=0, likely=3, high=8)
_PER_TOOL_CALL: Final = TokenCount(low=0, likely=8, high=48)
NO_TOKENS: Final = TokenCount(low=0, likely=0, high=0)
IMAGE: Final = TokenCount(low=1, likely=800, high=5_000)
"""One image of unknown size; gpt-4o-mini alone takes more, see `families`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What of a request becomes input tokens.

    Attributes:
        texts: every text of the messages.
        definitions: tools and response schema as JSON; empty where there are none.
        media: images, audio, video and files.
        messages: how many there are.
        tool_calls: how many the messages hold.
    """

    texts: tuple[str, ...]
    definitions: str = ""
    media: TokenCount = NO_TOKENS
    messages: int = 1
    tool_calls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """The input of a request in tokens: `bounds` in any tokenizer, `exact` by tokenizer where that was counted."""

    bounds: TokenCount
    exact: dict[str, int]


def estimate_tokens(text: str) -> TokenCount:
    """Returns how many tokens a text is, in any tokenizer; `likely` is for o200k_base."""
    data = text.encode(errors="replace")
    size = len(data)
    low = -(-size // _BYTES_PER_TOKEN_MOST)
    return TokenCount(low=low, likely=min(size, max(low, round(_likely(data)))), high=size)


def tokens_at(features: Features, model: Model) -> TokenCount:
    """Returns the input's tokens as this model counts them, with what its host adds to every request.

    Exact where the model's tokenizer is known and the request was counted with it.
    """
    family = family_of(model.id)
    known = features.memo.get(family.name)
    if known is None:
        known = features.memo[family.name] = _at(features, family)
    return known


def tokens_most(features: Features) -> int:
    """Returns a number of input tokens that `tokens_at` exceeds at no model.

    What fits with so many fits without a closer look, and most requests are far smaller than most windows.
    """
    counted = max(features.exact_tokens.values(), default=0)
    images = features.images * max(0, IMAGE_MOST - IMAGE.high)
    return max(features.input_tokens.high, counted) + _EXTRA_MOST + images


def measure(content: Content, *, limits: Iterable[int], output_tokens: int, count: Count | None) -> Measure:
    """Returns the input's token count, counted exactly only if the bounds leave open on which side of a limit it is.

    Args:
        content: of the request.
        limits: token counts at which something changes: edges of tiers, context windows.
        output_tokens: what must fit into a window beside the input.
        count: exact count in o200k_base; None where the tokenizer cannot be had, or it cannot count this text.
    """
    text = estimate_tokens("\n".join(content.texts))
    definitions = estimate_tokens(content.definitions) if content.definitions else NO_TOKENS
    bounds = _sum(content, text, definitions)
    if count is None or bounds.high > _COUNTED_MOST or not any(_open(bounds, i, output_tokens) for i in limits):
        return Measure(bounds=bounds, exact={})
    counts = [*map(count, content.texts), count(content.definitions) if content.definitions else 0]
    if None in counts:
        return Measure(bounds=bounds, exact={})
    *parts, counted_definitions = [n for n in counts if n is not None]
    counted = sum(parts)
    beyond_ascii = sum(len(t.encode()) - len(t.encode("ascii", "ignore")) for t in content.texts if not t.isascii())
    bounds = _sum(
        content,
        _in_any_tokenizer(counted, text, beyond_ascii),
        _in_any_tokenizer(
            counted_definitions, definitions, definitions.high if not content.definitions.isascii() else 0
        ),
    )
    known = not content.definitions and not content.media.high and not content.tool_calls
    return Measure(bounds=bounds, exact={"o200k_base": bounds.likely} if known else {})


def _open(bounds: TokenCount, limit: int, output_tokens: int) -> bool:
    """Returns whether it is open on which side of a limit the input is.

    No context window is as small as `_EDGES_BELOW`, so a limit below is an edge between tiers: there it is enough that
    the estimate, with the error it may have, does not reach it.
    """
    if limit < _EDGES_BELOW:
        return bounds.likely * _ERROR_LEAST <= limit < bounds.likely * _ERROR_MOST
    return bounds.likely * _ERROR_LEAST <= limit < bounds.high + output_tokens + _EXTRA_MOST


def uncertain(tokens: TokenCount, limit: int, /) -> bool:
    """Returns whether an estimate, with the error it may have, leaves open on which side of a tier's limit it is."""
    low, high = max(tokens.low, tokens.likely * _ERROR_LEAST), min(tokens.high, tokens.likely * _ERROR_MOST)
    return low <= limit < high


def _in_any_tokenizer(counted: int, bytewise: TokenCount, beyond_ascii: int) -> TokenCount:
    """Returns the bounds of a text, counted in o200k_base, in any tokenizer.

    Beyond ASCII, where vocabularies differ by several times, only the bytes bound it.
    """
    high = min(bytewise.high, math.ceil(counted * _FOREIGN_MOST) + beyond_ascii)
    low = max(bytewise.low, math.floor(counted * _FOREIGN_LEAST))
    return TokenCount(low=min(low, counted), likely=counted, high=max(high, counted))


def _sum(content: Content, text: TokenCount, definitions: TokenCount) -> TokenCount:
    n, calls, media = content.messages, content.tool_calls, content.media
    return TokenCount(
        low=text.low + media.low,
        likely=text.likely
        + round(definitions.likely * _DEFINITIONS)
        + media.likely
        + n * _PER_MESSAGE.likely
        + calls * _PER_TOOL_CALL.likely
        + _PER_REQUEST.likely,
        high=text.high
        + definitions.high
        + media.high
        + n * _PER_MESSAGE.high
        + calls * _PER_TOOL_CALL.high
        + _PER_REQUEST.high,
    )


def _at(features: Features, family: Family) -> TokenCount:
    generic = features.input_tokens
    extra = family.plain if features.needs.isdisjoint(_INSTRUCTED) else family.tooled
    exact = features.exact_tokens.get(family.tokenizer) if family.tokenizer is not None else None
    if exact is not None:
        likely = exact + extra.likely
        return TokenCount(
            low=min(exact, likely), likely=likely, high=exact + extra.most if extra.likely > 0 else likely
        )
    images = features.images * max(0, family.image_most - IMAGE.high)
    return TokenCount(low=generic.low, likely=generic.likely + extra.likely, high=generic.high + extra.most + images)


def _likely(data: bytes) -> float:
    """Returns the estimate for a text; of one that is large, from slices spread over it."""
    size = len(data)
    if size > _SAMPLE_ABOVE:
        step = size // _SLICES
        data = b"".join([data[i * step : i * step + _SLICE_BYTES] for i in range(_SLICES)])
    return _weigh(data) * (size / len(data)) if data else 0.0


def _weigh(data: bytes) -> float:
    size = len(data)
    rest = data.translate(None, _LOWERS)  # a fifth of most texts: quick to go through for all other classes
    lower, upper = size - len(rest), len(rest) - len(rest.translate(None, _UPPERS))
    digits, breaks = len(rest) - len(rest.translate(None, _DIGITS)), len(rest) - len(rest.translate(None, _BREAKS))
    blanks = rest.count(b" ")
    beyond = b"" if rest.isascii() else rest.translate(None, _ASCII)
    punctuation = size - len(beyond) - lower - upper - digits - breaks - blanks
    letters, separators = lower + upper, blanks + breaks + punctuation + 1
    tokens = (
        lower * _LOWER
        + upper * _UPPER
        + digits * _DIGIT
        + blanks * _BLANK
        + breaks * _BREAK
        + punctuation * _PUNCTUATION
        + max(0, letters - 7 * separators) * _LONG_WORD
        + min(upper, digits) * _RANDOM
    )
    for leading, weight in _LEADING if beyond else ():
        tokens += (len(beyond) - len(beyond.translate(None, leading))) * weight
    return tokens
