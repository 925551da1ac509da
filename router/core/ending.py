"""From the end of a request to what its caller gets: the error that tells it."""

from __future__ import annotations

from router.core.decision import Attempt
from router.core.failure import Failure
from router.core.machine import Exhausted
from router.errors import (
    BoundsExceeded,
    BudgetExceeded,
    NoCandidate,
    NotCached,
    PolicyError,
    ProviderError,
    RouterError,
)


def error_of(end: Exhausted, /) -> RouterError:
    """Returns the error to raise, its decision attached.

    A request that made one attempt gets that provider's own error; one that a bound stopped after several gets
    `BoundsExceeded`.
    """
    decision = end.decision
    attempts = decision.attempts
    message = f"{end.why} (trace {decision.trace_id})"
    if end.ending == "budget":
        return BudgetExceeded(message, budget=end.budget, decision=decision)
    if end.ending == "policy_error":
        return PolicyError(message, decision=decision)
    if not attempts:
        hit = decision.lookup.hit if decision.lookup is not None else None
        if hit is not None and hit.failure is not None and end.ending == "final":
            return ProviderError(f"{hit.failure.message}; {message}", failure=hit.failure, decision=decision)
        if end.ending == "not_cached":
            return NotCached(message, decision=decision)
        if end.ending == "committed":
            return ProviderError(message, failure=Failure(kind="cut", message=end.why), decision=decision)
        if end.bound is not None:
            return BoundsExceeded(message, bound=end.bound, decision=decision)
        return NoCandidate(message, decision=decision)
    made = [a for a in attempts if a.held is None]
    told = next((a for a in made if a.committed), made[-1] if made else attempts[-1])
    failure = _failure(told)
    message = f"{_words(failure, told)}; {message}"
    if end.bound is not None and len(made) > 1:
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
