"""From the end of a request to what its caller gets: the error that tells it."""

from __future__ import annotations

from router.core.decision import Attempt
from router.core.failure import Failure
from router.core.machine import Exhausted
from router.errors import BoundsExceeded, NoCandidate, ProviderError, RouterError


def error_of(end: Exhausted, /) -> RouterError:
    """Returns the error to raise, its decision attached.

    A request that made one attempt gets that provider's own error; one that a bound stopped after several gets
    `BoundsExceeded`.
    """
    decision = end.decision
    attempts = decision.attempts
    message = f"{end.why} (trace {decision.trace_id})"
    if not attempts:
        if end.bound is not None:
            return BoundsExceeded(message, bound=end.bound, decision=decision)
        return NoCandidate(message, decision=decision)
    failure = _failure(attempts[-1])
    message = f"{_words(failure, attempts[-1])}; {message}"
    if end.bound is not None and len(attempts) > 1:
        return BoundsExceeded(message, bound=end.bound, failure=failure, decision=decision)
    return ProviderError(message, failure=failure, decision=decision)


def _failure(attempt: Attempt) -> Failure:
    match attempt.outcome:
        case "answer" | "cancelled":
            return Failure(kind="cut", message="the caller gave up")
        case kind:
            return Failure(
                kind=kind,
                message=attempt.error or "",
                status=attempt.status,
                code=attempt.code,
                retry_after_s=attempt.retry_after_s,
                should_retry=attempt.should_retry,
            )


def _words(failure: Failure, attempt: Attempt) -> str:
    status = f" {failure.status}" if failure.status is not None else ""
    return f"{attempt.model}: {failure.kind}{status}: {failure.message}"
