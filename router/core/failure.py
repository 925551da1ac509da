"""What went wrong with one attempt, who pays for it, and what may follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

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
