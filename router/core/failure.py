"""What went wrong with one attempt, who pays for it, and what may follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

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
