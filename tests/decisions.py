"""Decisions of every kind, for tests of what measures them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, get_args

from hypothesis import strategies as st

from router.core.answer import Usage
from router.core.caching import Hit, Lookup
from router.core.decision import Attempt, Billing, Decision, Ending
from router.core.failure import FailureClass
from router.testing.records import decision_of
from tests.core.builders import attempt

OUTCOMES = ("answer", "cancelled", *get_args(FailureClass))
money = st.decimals(0, 10, places=9)
seconds = st.floats(0, 1_000)


def usages() -> st.SearchStrategy[Usage]:
    """Returns usages of some tokens."""
    return st.builds(Usage, input_tokens=st.integers(0, 10**7), output_tokens=st.integers(0, 10**5))


def attempts() -> st.SearchStrategy[Attempt]:
    """Returns attempts, calls and turns that were held back."""
    fields: dict[str, st.SearchStrategy[Any]] = {
        "model_name": st.sampled_from(["m1", "m2"]),
        "outcome": st.sampled_from(OUTCOMES),
        "model_id": st.sampled_from([None, "openai/gpt-9", "bare"]),
        "provider": st.sampled_from([None, "openai", "gemini", "mine"]),
        "served": st.sampled_from([None, "gpt-9-2026-01-01"]),
        "response_id": st.sampled_from([None, "chatcmpl-1"]),
        "latency_s": seconds,
        "first_token_s": st.none() | seconds,
        "usage": st.none() | usages(),
        "cost_usd": st.none() | money,
        "billing": st.sampled_from(get_args(Billing)),
        "committed": st.booleans(),
    }
    calls = st.builds(attempt, **fields)
    held = st.builds(
        attempt,
        outcome=st.just("not_sent"),
        held=st.sampled_from(["breaker_open", "queue_full"]),
        cost_usd=st.just(Decimal(0)),
    )
    return calls | held


def lookups() -> st.SearchStrategy[Lookup | None]:
    """Returns looks into the cache, or none."""
    hits = st.builds(
        Hit,
        kind=st.sampled_from(["memory", "shared", "flight"]),
        model=st.just("m1"),
        model_id=st.just("simulated/m1"),
        trace_id=st.just("5" * 32),
        age_s=seconds,
        saved_usd=st.none() | money,
        usage=st.none() | usages(),
    )
    refused = st.none() | st.just("too old")
    looks = st.builds(Lookup, ended_s=seconds, hit=hits, refused=refused)
    return st.none() | st.builds(Lookup, ended_s=seconds) | looks


def decisions(tags: st.SearchStrategy[dict[str, str]] | None = None) -> st.SearchStrategy[Decision]:
    """Returns decisions, also of kinds that no request can come to."""
    plain = decision_of()
    names = st.sampled_from(["a", "b", "c", "é"])

    def made(tags: dict[str, str], tenant: str | None, **fields: Any) -> Decision:
        return replace(plain, hints=replace(plain.hints, tags=tags, tenant=tenant), **fields)

    return st.builds(
        made,
        tags=st.dictionaries(st.sampled_from(["team", "user"]), names) if tags is None else tags,
        tenant=st.none() | names,
        policy=st.sampled_from(["default", "mine"]),
        model=st.sampled_from([None, "m1", "m2"]),
        ending=st.sampled_from(get_args(Ending)),
        attempts=st.lists(attempts(), max_size=4).map(tuple),
        lookup=lookups(),
    )
