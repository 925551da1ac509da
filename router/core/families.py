"""Families of models that tokenize alike, and what their templates and hosts add to a request.

Hosts add text that the caller never sees: a system prompt of their own (xAI, Xiaomi, gpt-oss), the instructions for
tool use (Anthropic, "Pricing of tool use"; Llama 4), a date (Llama 3). The figures are those of recorded answers:
reported input tokens less the request's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """Tokens added to every request: usually (one fewer, where a template is shorter than most), and at most."""

    likely: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Models that count tokens alike.

    Attributes:
        tokenizer: tiktoken's name; None where it is not public.
        plain: what is added to a request without tools.
        tooled: what is added to one with tools, besides their definitions.
        image_most: the most tokens of one image.
    """

    name: str
    tokenizer: str | None = None
    plain: Extra
    tooled: Extra
    image_most: int = 5_000
    """Anthropic: 4,784 at its high resolution; Gemini 3: 2,240; others seen: 2,336 ("Vision", Claude docs)."""


_O200K: Final = "o200k_base"
_OPENAI: Final = Extra(likely=0, most=8)
_OPENAI_TOOLS: Final = Extra(likely=30, most=192)

_FAMILIES: Final[tuple[tuple[re.Pattern[str], Family], ...]] = tuple(
    (re.compile(pattern), family)
    for pattern, family in (
        (
            r"gpt-oss",
            Family(
                name="gpt-oss",
                tokenizer=_O200K,  # o200k_harmony: the same, with more special tokens
                plain=Extra(likely=67, most=96),
                tooled=Extra(likely=72, most=160),
            ),
        ),
        (
            r"gpt-4o-mini",
            Family(
                name="gpt-4o-mini",
                tokenizer=_O200K,
                plain=_OPENAI,
                tooled=_OPENAI_TOOLS,
                image_most=48_169,  # 2,833 + 8 tiles of 5,667 ("Images and vision", OpenAI docs)
            ),
        ),
        (
            r"(^|/)(gpt-[5-9]|o[1-9])(\b|$)",
            Family(
                name="openai-reasoning",
                tokenizer=_O200K,
                plain=Extra(likely=-1, most=8),
                tooled=_OPENAI_TOOLS,
            ),
        ),
        (
            r"(^|/)(chatgpt-4o|gpt-4o|gpt-4\.[15])(\b|$)",
            Family(name="openai", tokenizer=_O200K, plain=_OPENAI, tooled=_OPENAI_TOOLS),
        ),
        (
            r"gpt-4|gpt-3\.5",
            Family(name="openai-cl100k", tokenizer="cl100k_base", plain=_OPENAI, tooled=_OPENAI_TOOLS),
        ),
        (r"claude", Family(name="claude", plain=Extra(likely=12, most=64), tooled=Extra(likely=500, most=860))),
        (r"gemini", Family(name="gemini", plain=Extra(likely=0, most=32), tooled=Extra(likely=15, most=480))),
        (r"llama", Family(name="llama", plain=Extra(likely=30, most=64), tooled=Extra(likely=250, most=800))),
        (r"grok", Family(name="grok", plain=Extra(likely=160, most=256), tooled=Extra(likely=310, most=700))),
        (r"mimo", Family(name="mimo", plain=Extra(likely=250, most=320), tooled=Extra(likely=450, most=600))),
        (r"deepseek", Family(name="deepseek", plain=Extra(likely=5, most=110), tooled=Extra(likely=240, most=480))),
        (r"qwen", Family(name="qwen", plain=Extra(likely=12, most=96), tooled=Extra(likely=200, most=400))),
    )
)
_OTHER: Final = Family(name="other", plain=Extra(likely=5, most=64), tooled=Extra(likely=60, most=480))

IMAGE_MOST: Final = max(family.image_most for family in (_OTHER, *(family for _, family in _FAMILIES)))
"""The most tokens of one image in any family."""


@lru_cache(maxsize=4096)
def family_of(model_id: str) -> Family:
    """Returns the family of a model, by what stands in its id; one for all unknown models.

    Kept for each id, because it is asked several times for every model of every request.
    """
    return next((family for pattern, family in _FAMILIES if pattern.search(model_id.lower())), _OTHER)
