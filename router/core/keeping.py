"""What of a request that has ended is stored for equal ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from router.core.answer import Answer
from router.core.caching import Entry
from router.core.course import Given
from router.core.failure import Failure
from router.core.machine import Done, Exhausted


def answer_kept(end: Done, answer: Answer, now_s: float, /) -> Entry:
    """Returns the answer as others may get it, without its headers: they tell of the one exchange that brought it.

    Args:
        end: of the request that paid.
        answer: what it got.
        now_s: the time, in Unix seconds.
    """
    given, answered = end.course.given, end.answered
    return _entry(
        given,
        answer=replace(answer, headers={}),
        model=answered.model,
        model_id=given.catalog[answered.model].id,
        cost_usd=answered.cost_usd,
        stored_s=now_s,
        ttl_s=given.caching.ttl_s,
    )


def refusal_kept(end: Exhausted, now_s: float, /) -> Entry | None:
    """Returns the failure of a request that was `invalid`, where its terms say to remember those; else None.

    One that came in the midst of a stream tells nothing of the request: a part of an answer had come before.
    """
    given, attempts = end.course.given, end.course.attempts
    ttl_s = given.caching.invalid_ttl_s
    last = attempts[-1] if attempts else None
    if not ttl_s or not given.caching.stores or last is None or last.outcome != "invalid" or end.ending != "final":
        return None
    failure = Failure(kind="invalid", message=last.error or "", status=last.status, code=last.code)
    return _entry(
        given,
        failure=failure,
        model=last.model,
        model_id=given.catalog[last.model].id,
        cost_usd=last.cost_usd,
        stored_s=now_s,
        ttl_s=ttl_s,
    )


def _entry(given: Given, **what: Any) -> Entry:
    return Entry(
        key=given.key,
        trace_id=given.ids.trace_id,
        span_id=given.ids.span_id,
        tenant=given.hints.tenant,
        tags=given.hints.tags,
        policy=given.policy_name,
        **what,
    )
