"""Decisions for tests of what takes them: made by the machine that makes those of production, from a few words."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, assert_never

from router.core.answer import Answer, Usage
from router.core.bounds import Bounds
from router.core.caching import Caching, Hit
from router.core.catalog import Model, Price, Rates, Tier
from router.core.course import Given
from router.core.decision import Decision, Ids, Outcome
from router.core.failure import Failure
from router.core.features import features_of
from router.core.machine import Done, Exhausted, NeedCall, NeedLookup, NeedReserve, NeedSleep, Served, State, plan
from router.core.policy import Context
from router.core.request import Hints, Request
from router.core.settle import Seen, settle
from router.core.slate import Slate
from router.logged import Logged
from router.testing.scripted import answer

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_TOOK_S: Final = 0.5
"""How long each attempt takes."""


def decision_of(
    *,
    outcomes: Sequence[Outcome] = ("answer",),
    tags: Mapping[str, str] | None = None,
    tenant: str | None = None,
    prompt: str | None = None,
    says: str = "ok",
    priced: bool = True,
    cached: bool = False,
    trace_id: str | None = None,
) -> Decision:
    """Returns the decision of a request to two models, `m1` and `m2`.

    Example:
        >>> decision_of(outcomes=["server_error", "answer"]).model
        'm2'
        >>> decision_of(outcomes=[]).ending
        'no_candidate'

    Args:
        outcomes: what its attempts come to, in order; the last is repeated. None at all leaves nobody to ask.
        tags: of the request.
        tenant: whose request it is.
        prompt: what is asked, and logged together with the answer; None logs neither.
        says: what the model answers, and what the provider says of a failure.
        priced: whether the prices of the models are known.
        cached: whether the cache has the answer.
        trace_id: 32 hex digits; None draws new ones.
    """
    request = Request(
        messages=({"role": "user", "content": prompt or "hi"},), hints=Hints(tags=tags or {}, tenant=tenant)
    )
    end, result = _end(request, tuple(outcomes), says, _given(request, outcomes, priced, cached, trace_id))
    decision = end.decision
    return decision if prompt is None else replace(decision, content=Logged()(request, result))


def _given(request: Request, outcomes: Sequence[Outcome], priced: bool, cached: bool, trace_id: str | None) -> Given:  # noqa: FBT001 - each stands under its own name in the only call
    names = ("m1", "m2") if outcomes else ()
    return Given(
        ids=Ids(
            request_id=secrets.token_hex(16), trace_id=trace_id or secrets.token_hex(16), span_id=secrets.token_hex(8)
        ),
        key=secrets.token_hex(32),
        features=features_of(request),
        hints=request.hints,
        catalog={name: _model(name, priced=priced) for name in names},
        policy_name="default",
        policy=_as_they_are,
        bounds=Bounds(attempts=10, deadline_s=600.0),
        now=_START,
        draw=0.5,
        expected_output_tokens=100,
        unpriced=not priced,
        caching=Caching(mode="use") if cached else Caching(),
    )


def _model(name: str, *, priced: bool) -> Model:
    rates = Rates(input=Decimal(1), output=Decimal(4))
    return Model(
        name=name,
        id=f"simulated/{name}",
        provider="simulated",
        client="simulated",
        price=Price(tiers=(Tier(rates=rates),)) if priced else None,
        context_window_tokens=100_000,
        max_output_tokens=1_000,
    )


def _as_they_are(slate: Slate, _: Context, /) -> Slate:
    return slate


def _end(
    request: Request, outcomes: tuple[Outcome, ...], says: str, given: Given
) -> tuple[Done | Served | Exhausted, Answer | None]:
    """Returns how the request ends, and with which answer."""
    said = answer(says)
    state: State = plan(given)
    now_s, made = 0.0, 0
    while True:
        match state:
            case NeedLookup():
                state = state.next(_hit(given), now_s)
            case NeedCall():
                outcome = outcomes[min(made, len(outcomes) - 1)]
                seen = Seen(started_s=now_s, ended_s=now_s + _TOOK_S, key_env="MADE_UP_KEY")
                now_s, made = seen.ended_s, made + 1
                attempt = settle(state, request, _result(outcome, said), seen)
                state = state.next(attempt)
            case NeedReserve():
                state = state.granted(now_s)
            case NeedSleep():
                now_s += state.seconds
                state = state.next(now_s)
            case Exhausted():
                return state, None
            case Done() | Served():
                return state, said
            case _:
                assert_never(state)


def _hit(given: Given) -> Hit:
    return Hit(
        kind="shared",
        model="m1",
        model_id=given.catalog["m1"].id,
        trace_id="f" * 32,
        age_s=60.0,
        saved_usd=Decimal("0.001"),
        usage=Usage(input_tokens=10, output_tokens=5),
    )


def _result(outcome: Outcome, said: Answer) -> Answer | Failure | None:
    match outcome:
        case "answer":
            return said
        case "cancelled":
            return None
        case kind:
            return Failure(kind=kind, message=said.text, sent=kind != "not_sent")
