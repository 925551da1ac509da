"""The error that tells the caller of a request's end: its kind, its words, and all that it carries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from router.core.bounds import Bounds
from router.core.caching import Caching, Hit
from router.core.course import Given
from router.core.decision import Attempt
from router.core.ending import error_of
from router.core.failure import Failure
from router.core.machine import Exhausted, NeedCall, NeedLookup, plan
from router.errors import BoundsExceeded, NoCandidate, NotCached, ProviderError, RouterError
from tests.core.builders import IDS, attempt, given, model

TRACE = f"(trace {IDS.trace_id})"
USE = Caching(mode="use", invalid_ttl_s=9.0)
REFUSAL = Failure(kind="invalid", message="no such field", status=400, code="bad")
SAID = {"status": 503, "code": "busy", "error": "slow down", "retry_after_s": 70.0, "should_retry": True}


def ended(start: Given, *attempts: Attempt) -> Exhausted:
    """Returns the end of a request that made these attempts, each right after the one before."""
    state = plan(start)
    for made in attempts:
        assert isinstance(state, NeedCall), state
        state = state.next(made)  # type: ignore[assignment]  # the assertion above tells the states apart
    assert isinstance(state, Exhausted), state
    return state


def looked(hit: Hit | None = None, caching: Caching = USE, *, part: bool = False) -> Exhausted:
    """Returns the end of a request after its look into the cache, before any attempt."""
    state = plan(given(model("a"), caching=caching))
    assert isinstance(state, NeedLookup)
    end = state.part(0.5) if part else state.next(hit, 0.5)
    assert isinstance(end, Exhausted)
    return end


HIT = Hit(kind="memory", model="a", model_id="simulated/a", trace_id="e" * 32, age_s=5.0, failure=REFUSAL)
PARTED = looked(part=True)


@pytest.mark.parametrize(
    ("end", "kind", "says", "carries"),
    [
        (
            ended(given(model("a")), attempt("a", "refused", **SAID)),
            ProviderError,
            "a: refused 503: slow down; {why}",
            {"failure": Failure(kind="refused", message="slow down", status=503, code="busy", retry_after_s=70.0)},
        ),
        (
            ended(given(model("a")), attempt("a", "invalid")),
            ProviderError,
            "a: invalid: ; {why}",
            {"failure": Failure(kind="invalid", message="")},
        ),
        (
            ended(given(model("a")), attempt("a", "cancelled", error="x")),
            ProviderError,
            "a: cut: the caller gave up; {why}",
            {"failure": Failure(kind="cut", message="the caller gave up")},
        ),
        (
            ended(
                given(model("a"), model("b"), bounds=Bounds(attempts=2)),
                attempt("a", "server_error", error="one"),
                attempt("b", "server_error", error="two"),
            ),
            BoundsExceeded,
            "b: server_error: two; {why}",
            {"failure": Failure(kind="server_error", message="two"), "bound": "attempts"},
        ),
        (
            ended(given(model("a"), started_s=60.0)),
            BoundsExceeded,
            "{why}",
            {"failure": None, "bound": "deadline_s"},
        ),
        (ended(given()), NoCandidate, "{why}", {}),
        (looked(None, replace(USE, mode="only")), NotCached, "{why}", {}),
        (looked(HIT), ProviderError, "no such field; {why}", {"failure": REFUSAL}),
        (PARTED, ProviderError, "{why}", {"failure": Failure(kind="cut", message=PARTED.why)}),
    ],
)
def test_an_error_tells_the_end(end: Exhausted, kind: type[RouterError], says: str, carries: dict[str, Any]) -> None:
    """In the provider's words, then ours, then the trace; with the decision, and what else its kind has."""
    error = error_of(end)
    assert type(error) is kind
    assert str(error) == f"{says.format(why=end.why)} {TRACE}"
    assert error.decision == end.decision
    for name, value in carries.items():
        found = getattr(error, name)
        if isinstance(found, Failure) and found.kind == "refused":
            assert found.should_retry is True
            found = replace(found, should_retry=None)
        assert found == value


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ([attempt("a", "denied", error="no key")], "a: denied: no key; "),
        ([attempt("a", "denied", error="no key"), attempt("b", "cut", error="gone")], "b: cut: gone; "),
        ([attempt("a", "cut", error="gone", committed=True), attempt("b", "denied")], "a: cut: gone; "),
        ([attempt("a", "denied", error="no key"), attempt("b", "not_sent", held="x")], "a: denied: no key; "),
        (
            [attempt("a", "not_sent", held="x"), attempt("b", "not_sent", held="y", error="rests")],
            "b: not_sent: rests; ",
        ),
    ],
)
def test_of_several_attempts_one_is_told(made: list[Attempt], told: str) -> None:
    """The one that had begun to answer, else the last that was made, else the last that was held back."""
    state = plan(given(model("a"), model("b")))
    assert isinstance(state, NeedCall)
    assert str(error_of(state.abandon(2.0, *made))).startswith(told)
