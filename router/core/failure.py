"""What went wrong with one attempt, who pays for it, and what may follow.

`classify` reads an HTTP error, or an error inside an HTTP success, in four steps that each have a file: `failure_body`
reads the provider's words, `failure_words` masks secrets and echoes of the prompt in them, `failure_rules` names the
class, `waiting` reads how long the provider asks to wait. Failures without an HTTP answer (`not_sent`, `timed_out`,
`cut`) are the clients' to name: only they know how far the request got.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from router.core.failure_body import error_in, read_body
from router.core.failure_rule import Signs
from router.core.failure_rules import kind_of
from router.core.failure_words import plain, shown
from router.core.waiting import retry_after_s, should_retry

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["FOLLOW", "Billed", "Failure", "FailureClass", "Follow", "classify", "error_in"]

FailureClass = Literal[
    "not_sent",
    "refused",
    "out_of_quota",
    "too_long",
    "no_such_model",
    "unsupported",
    "invalid",
    "denied",
    "filtered",
    "server_error",
    "timed_out",
    "cut",
    "unusable",
]

Billed = Literal["no", "maybe", "worst", "reported"]
"""Who pays for a failed attempt: nobody; perhaps we; assume that we pay the most it can cost; what usage says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One attempt's failure.

    `message` is the provider's own words, shortened, with secrets masked; it never holds the prompt or the answer.
    """

    kind: FailureClass
    message: str
    status: int | None = None
    """HTTP status; 200 for errors inside a success; None where no answer came."""
    code: str | None = None
    """The provider's own error type or code."""
    retry_after_s: float | None = None
    """How long the provider asks to wait; None where it says nothing, or is not to be believed."""
    should_retry: bool | None = None
    """`x-should-retry`, where the provider sends it."""
    sent: bool = field(default=True)
    """False when no byte of the request reached the provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """What may follow a failure of one class.

    Attributes:
        same_model: the same model and key may be asked again, after a wait.
        other_model: another model may be asked.
        other_key: the same model may be asked with another key, at once.
        larger_window_only: another model may be asked only if its context window is larger.
        billed: who pays for the failed attempt.
    """

    same_model: bool
    other_model: bool
    other_key: bool
    larger_window_only: bool
    billed: Billed


def _follow(
    billed: Billed,
    *,
    same_model: bool = False,
    other_model: bool = True,
    other_key: bool = False,
    larger_window_only: bool = False,
) -> Follow:
    return Follow(
        same_model=same_model,
        other_model=other_model,
        other_key=other_key,
        larger_window_only=larger_window_only,
        billed=billed,
    )


LONGEST_CODE: Final = 80
"""Characters of `Failure.code`; xAI's codes are sentences."""

FOLLOW: Final[Mapping[FailureClass, Follow]] = MappingProxyType(
    {
        "not_sent": _follow("no", same_model=True, other_key=True),
        "refused": _follow("no", same_model=True, other_key=True),
        "out_of_quota": _follow("no", other_key=True),
        "too_long": _follow("no", larger_window_only=True),
        "no_such_model": _follow("no"),
        "unsupported": _follow("no"),
        "invalid": _follow("no", other_model=False),
        "denied": _follow("no", other_key=True),
        "filtered": _follow("maybe"),
        "server_error": _follow("worst", same_model=True, other_key=True),
        "timed_out": _follow("worst", same_model=True, other_key=True),
        "cut": _follow("worst", same_model=True, other_key=True),
        "unusable": _follow("reported"),
    }
)
"""DESIGN.md, "Failure classes", as a table: what is False here, no policy may allow."""


def classify(
    *,
    provider: str,
    status: int | None,
    headers: Mapping[str, str],
    body: bytes | str,
    now: datetime | None = None,
) -> Failure:
    """Returns what a provider's error means; never raises, whatever the bytes.

    Args:
        provider: the provider's name, as in a model's id ("openai", "anthropic", "gemini", ...).
        status: HTTP status; 200 for an error object or event inside a success; None where there is none.
        headers: response headers, names in any case.
        body: the response body, or the payload of the one event that holds the error.
        now: the time the answer came, to read waits given as dates; without it those are None.
    """
    said = read_body(body)
    effective = said.status if said.status is not None and (status is None or status < 400) else status
    words = plain(said.words)
    kind = kind_of(Signs(provider=provider.lower(), status=effective, codes=said.codes, words=words))
    believed = kind in ("refused", "out_of_quota")
    return Failure(
        kind=kind,
        message=shown(words) or f"HTTP {status} without a message",
        status=status,
        code=shown(plain(said.code))[:LONGEST_CODE] if said.code else None,
        retry_after_s=retry_after_s(headers, said.text, now) if believed else None,
        should_retry=should_retry(headers),
    )
