"""The people's log: one readable line per decision."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from loguru import logger

from router.core.caching import Caching, Hit
from router.core.decision import Decision
from router.core.failure import Failure
from router.core.machine import Done, Exhausted, NeedCall, NeedLookup, Served, plan
from router.sinks.log import LogSink, line
from tests.core.builders import attempt, given, model


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Lists what loguru writes."""
    out: list[str] = []
    handler = logger.add(out.append, format="{level} {message} {extra[trace_id]}")
    yield out
    logger.remove(handler)


def answered(cost_usd: Decimal | None) -> Decision:
    """Returns the decision of a request that a model answered."""
    state = plan(given(model("small")))
    assert isinstance(state, NeedCall)
    end = state.next(attempt("small", cost_usd=cost_usd))
    assert isinstance(end, Done)
    return end.decision


def test_an_answer_is_a_line_at_info(lines: list[str]) -> None:
    """It says who answered, at what cost, and under which trace."""
    sink = LogSink()
    sink.emit(answered(Decimal("0.00012")))
    sink.close()
    assert lines[0].startswith("INFO small [small answer] $0.00012,")
    assert f"trace {'b' * 32}, span {'c' * 16}" in lines[0]
    assert lines[0].rstrip().endswith("b" * 32)


def test_an_unknown_cost_is_called_unknown(lines: list[str]) -> None:
    """A cost that nobody knows is not shown as nothing."""
    LogSink().emit(answered(None))
    assert "unknown cost" in lines[0]


def test_a_request_without_an_answer_is_a_warning(lines: list[str]) -> None:
    """Nothing sent, nobody adequate: the line says so."""
    end = plan(given())
    assert isinstance(end, Exhausted)
    LogSink().emit(end.decision)
    assert lines[0].startswith("WARNING no answer [nothing sent] $0,")


def looked(**fields: Any) -> Decision:
    """Returns the decision of a request for which the cache had something that counts."""
    state = plan(given(model("small"), caching=Caching(mode="use")))
    assert isinstance(state, NeedLookup)
    hit = {"kind": "memory", "model": "small", "model_id": "simulated/small", "trace_id": "d" * 32, "age_s": 61.6}
    end = state.next(Hit(**{**hit, **fields}), 0.5)
    assert isinstance(end, Served | Exhausted)
    return end.decision


@pytest.mark.parametrize(
    ("saved_usd", "told"),
    [(Decimal("0.00012"), "saved $0.00012"), (None, "saved unknown cost"), (Decimal(0), "saved $0")],
)
def test_an_answer_out_of_the_cache_says_so(saved_usd: Decimal | None, told: str) -> None:
    """Where it was, how old it is and what it saved stand in the place of attempts; it cost nothing."""
    assert line(looked(saved_usd=saved_usd)).startswith(f"small [cache memory, 62 s old, {told}] $0, 0.500 s,")


def test_a_refusal_out_of_the_cache_says_so() -> None:
    """A request that was invalid before is told as such."""
    decision = looked(failure=Failure(kind="invalid", message="secret"), kind="shared")
    assert line(decision).startswith("no answer [cache shared, 62 s old: invalid] $0,")
    assert "secret" not in line(decision)


def test_what_did_not_count_is_no_part_of_the_line() -> None:
    """A hit that was refused is like none."""
    state = plan(given(model("small"), caching=Caching(mode="only", max_age_s=1)))
    assert isinstance(state, NeedLookup)
    hit = Hit(kind="memory", model="small", model_id="simulated/small", trace_id="d" * 32, age_s=2)
    assert line(state.next(hit, 0.5).course.decision(0.5, "not_cached", "")).startswith("no answer [nothing sent] $0,")
