"""What is stored of a request for equal ones, and what it then is to them: every field."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from router.core.caching import Caching, Entry, Hit, hit_of
from router.core.decision import Attempt
from router.core.failure import Failure
from router.core.keeping import answer_kept, refusal_kept
from router.core.machine import Done, Exhausted, NeedCall, NeedLookup, plan
from router.core.request import Hints
from router.testing.scripted import answer
from tests.core.builders import IDS, attempt, given, model

TERMS = Caching(mode="use", ttl_s=7.0, invalid_ttl_s=3.0)
START = given(
    model("a", id="deepseek/a"),
    model("b"),
    caching=TERMS,
    policy_name="mine",
    hints=Hints(tags={"team": "x"}, tenant="acme"),
)
BAD = Failure(kind="invalid", message="bad", status=400, code="no_field")


def after(made: Attempt) -> Done | Exhausted:
    """Returns the end of a request that found nothing stored and made this attempt."""
    look = plan(START)
    assert isinstance(look, NeedLookup)
    call = look.next(None, 0.0)
    assert isinstance(call, NeedCall)
    end = call.next(made)
    assert isinstance(end, Done | Exhausted)
    return end


def entry(**fields: object) -> Entry:
    """Returns what a request that is paid for by `acme` leaves behind."""
    values: dict[str, object] = {
        "key": "k" * 64,
        "model": "a",
        "model_id": "deepseek/a",
        "cost_usd": Decimal("0.5"),
        "trace_id": IDS.trace_id,
        "span_id": "c" * 16,
        "tenant": "acme",
        "tags": {"team": "x"},
        "policy": "mine",
        "stored_s": 12.0,
    }
    return Entry(**values | fields)  # type: ignore[arg-type]  # fields come by name


def test_all_that_is_kept_of_an_answer() -> None:
    """Who paid, whose answer it is, since when and for how long; its headers are nobody else's."""
    end = after(attempt("a", cost_usd=Decimal("0.5")))
    assert isinstance(end, Done)
    kept = answer_kept(end, replace(answer("ok"), headers={"set-cookie": "x"}), 12.0)
    assert kept == entry(answer=answer("ok"), ttl_s=7.0)


@pytest.mark.parametrize(("error", "message"), [("bad", "bad"), (None, "")])
def test_all_that_is_kept_of_a_refusal(error: str | None, message: str) -> None:
    """The failure with its code and status, for the time that refusals have."""
    end = after(attempt("a", "invalid", error=error, status=400, code="no_field", cost_usd=Decimal("0.5")))
    assert isinstance(end, Exhausted)
    assert refusal_kept(end, 12.0) == entry(failure=replace(BAD, message=message), ttl_s=3.0)


@pytest.mark.parametrize(("now_s", "age_s"), [(12.0, 0.0), (11.0, 0.0), (13.23456, 1.235)])
def test_all_that_an_entry_is_to_a_request(now_s: float, age_s: float) -> None:
    """Its age to the millisecond, and what it had cost is what it saves."""
    stored = entry(answer=answer("ok"), ttl_s=7.0)
    expected = Hit(
        kind="shared",
        model="a",
        model_id="deepseek/a",
        trace_id=IDS.trace_id,
        span_id="c" * 16,
        age_s=age_s,
        saved_usd=Decimal("0.5"),
        usage=answer("ok").usage,
        unusable="why",
    )
    assert hit_of(stored, "shared", now_s, unusable="why") == expected
    refused = replace(stored, answer=None, failure=BAD)
    assert hit_of(refused, "shared", now_s) == replace(expected, usage=None, failure=BAD, unusable=None)
