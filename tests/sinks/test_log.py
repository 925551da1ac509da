"""The people's log: one readable line per decision."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from loguru import logger

from router.core.decision import Decision
from router.core.machine import Done, Exhausted, NeedCall, plan
from router.sinks.log import LogSink
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
