"""What an attempt is taken to have been, and by which rule it is priced."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from router.core.answer import Answer, Choice, Function, Message, ToolCall, Usage
from router.core.catalog import Model
from router.core.decision import Attempt
from router.core.failure import FOLLOW, Failure, FailureClass
from router.core.machine import NeedCall, plan
from router.core.request import Request
from router.core.settle import Checks, Seen, settle
from router.core.tokens import estimate_tokens
from router.core.turn import Hedge
from router.core.usable import NamedCheck
from tests.core.builders import given, model

REQUEST = Request(messages=({"role": "user", "content": "hi"},))
SEEN = Seen(started_s=1.0, ended_s=2.5)
USAGE = Usage(input_tokens=1_000, output_tokens=100)
CLASSES: tuple[FailureClass, ...] = get_args(FailureClass)


def call(candidate: Model | None = None) -> NeedCall:
    """Returns the call of the only candidate."""
    state = plan(given(candidate or model(), unpriced=True))
    assert isinstance(state, NeedCall)
    return state


def answer(text: str | None = "hello", usage: Usage | None = USAGE, finish_reason: str = "stop") -> Answer:
    """Returns an answer of one choice."""
    choice = Choice(message=Message(content=text), finish_reason=finish_reason)
    return Answer(choices=(choice,), usage=usage, id="chatcmpl-7", model="small-2026")


def test_an_answer_costs_its_reported_usage() -> None:
    """Usage times price, billed, with what the provider says of itself."""
    attempt = settle(call(), REQUEST, answer(), SEEN)
    assert attempt.outcome == "answer"
    assert attempt.cost_usd == Decimal("0.0014")
    assert attempt.billing == "billed"
    assert attempt.waste_usd == 0
    assert (attempt.served, attempt.status, attempt.finish_reason) == ("small-2026", 200, "stop")
    assert (attempt.started_s, attempt.latency_s) == (1.0, 1.5)


def test_what_the_provider_says_it_billed_comes_first() -> None:
    """A cost in the answer beats our own arithmetic, also for a model without a price."""
    usage = Usage(input_tokens=1_000, output_tokens=100, billed_usd=Decimal("0.5"))
    for candidate in (model(), model(price=None)):
        attempt = settle(call(candidate), REQUEST, answer(usage=usage), SEEN)
        assert (attempt.cost_usd, attempt.billing) == (Decimal("0.5"), "billed")


def test_an_unpriced_answer_is_unknown_and_never_zero() -> None:
    """Without a price the cost is None."""
    attempt = settle(call(model(price=None)), REQUEST, answer(), SEEN)
    assert (attempt.cost_usd, attempt.billing) == (None, "unknown")


def test_an_answer_without_usage_is_estimated_from_its_text() -> None:
    """Text, reasoning and tool calls are counted when the provider counts nothing."""
    calls = (ToolCall(id="1", function=Function(name="look", arguments='{"at": "the sea"}')),)
    message = Message(content="word " * 100, reasoning_content="thought " * 50, tool_calls=calls)
    bare = Answer(choices=(Choice(message=message, finish_reason="stop"),))
    attempt = settle(call(), REQUEST, bare, SEEN)
    assert attempt.billing == "estimated"
    assert attempt.usage is None
    alone = settle(call(), REQUEST, answer("word " * 100, usage=None), SEEN)
    assert attempt.cost_usd is not None
    assert alone.cost_usd is not None
    assert attempt.cost_usd > alone.cost_usd > 0


def test_an_unusable_answer_is_paid_and_wasted() -> None:
    """An empty answer costs what it reports and counts as waste."""
    attempt = settle(call(), REQUEST, answer(""), SEEN)
    assert attempt.outcome == "unusable"
    assert attempt.cost_usd == attempt.waste_usd == Decimal("0.0014")
    assert attempt.usage == USAGE


@pytest.mark.parametrize("kind", CLASSES)
def test_who_pays_for_a_failure(kind: FailureClass) -> None:
    """Free where nothing is billed, the input where it was read, else the worst that it could be; never unstated."""
    attempt = settle(call(), REQUEST, Failure(kind=kind, message="words", status=500), SEEN)
    assert attempt.outcome == kind
    assert attempt.price_rule
    match FOLLOW[kind].billed:
        case "no":
            assert (attempt.cost_usd, attempt.billing) == (Decimal(0), "billed")
        case "maybe":
            assert attempt.cost_usd is not None
            assert 0 < attempt.cost_usd < Decimal("0.001")
            assert attempt.billing == "estimated"
        case _:
            assert attempt.cost_usd == attempt.worst_usd == attempt.waste_usd
            assert attempt.billing == "estimated"


def test_what_was_never_sent_is_free_whatever_its_class() -> None:
    """A failure before the first byte left costs nothing."""
    attempt = settle(call(), REQUEST, Failure(kind="timed_out", message="no connection", sent=False), SEEN)
    assert (attempt.cost_usd, attempt.billing) == (Decimal(0), "billed")


@over(text=st.text(min_size=1, max_size=400))
def test_a_broken_stream_is_priced_as_far_as_it_went(text: str) -> None:
    """Input in full and the streamed text; never above the attempt's worst case while that text is within it."""
    seen = Seen(started_s=0, ended_s=1, first_token_s=0.5, streamed=text, committed=True)
    attempt = settle(call(), REQUEST, Failure(kind="cut", message="gone"), seen)
    assert attempt.billing == "estimated"
    assert attempt.cost_usd is not None
    assert attempt.worst_usd is not None
    assert 0 < attempt.cost_usd <= attempt.worst_usd
    assert "streamed" in attempt.price_rule
    assert attempt.committed


@pytest.mark.parametrize("seen", [SEEN, Seen(started_s=0, ended_s=1, streamed="so far", first_token_s=0.1)])
def test_an_unpriced_failure_that_may_be_billed_is_unknown(seen: Seen) -> None:
    """Without a price a time-out's cost is None, streamed or not."""
    attempt = settle(call(model(price=None)), REQUEST, Failure(kind="timed_out", message=""), seen)
    assert (attempt.cost_usd, attempt.billing) == (None, "unknown")
    blocked = settle(call(model(price=None)), REQUEST, Failure(kind="filtered", message=""), seen)
    assert (blocked.cost_usd, blocked.billing) == (None, "unknown")


def test_a_call_that_its_caller_gave_up_is_priced() -> None:
    """Cancelled before anything was streamed: the worst case, wasted. Dropped after: what was streamed, not wasted."""
    attempt = settle(call(), REQUEST, None, SEEN)
    assert attempt.outcome == "cancelled"
    assert attempt.cost_usd == attempt.waste_usd == attempt.worst_usd
    seen = Seen(started_s=0, ended_s=1, first_token_s=0.5, streamed="half an answ", committed=True)
    dropped = settle(call(), REQUEST, None, seen)
    assert dropped.cost_usd is not None
    assert dropped.cost_usd > 0
    assert dropped.waste_usd == 0


def test_what_was_streamed_before_a_refusal_is_paid() -> None:
    """A refusal in mid-stream costs the input and what was streamed; one without a token costs nothing."""
    failure = Failure(kind="refused", message="overloaded", status=200)
    seen = Seen(started_s=0, ended_s=1, first_token_s=0.5, streamed="half an answ", committed=True)
    attempt = settle(call(), REQUEST, failure, seen)
    assert attempt.billing == "estimated"
    assert attempt.cost_usd is not None
    assert attempt.cost_usd > 0
    assert settle(call(), REQUEST, failure, SEEN).cost_usd == 0


def test_an_estimate_is_never_above_the_worst_case() -> None:
    """Text that nobody counted costs at most what was stated before the call."""
    seen = Seen(started_s=0, ended_s=1, first_token_s=0.5, streamed="Z9" * 50_000, committed=True)
    for result in (Failure(kind="cut", message=""), answer("Z9" * 50_000, usage=None)):
        attempt = settle(call(), REQUEST, result, seen)
        assert attempt.cost_usd == attempt.worst_usd


def test_all_that_is_noted_of_an_answer() -> None:
    """What the provider says of it, what the shell saw, and what it cost."""
    state = call(model("small"))
    seen = replace(SEEN, first_token_s=0.25, streamed="hel", committed=True, deployment="east", key_env="KEY")
    assert settle(state, REQUEST, answer(), seen) == Attempt(
        model="small",
        model_id="simulated/small",
        provider="simulated",
        window_tokens=100_000,
        served="small-2026",
        response_id="chatcmpl-7",
        span_id=state.span_id,
        started_s=1.0,
        latency_s=1.5,
        first_token_s=0.25,
        outcome="answer",
        status=200,
        committed=True,
        deployment="east",
        key_env="KEY",
        finish_reason="stop",
        usage=USAGE,
        cost_usd=Decimal("0.0014"),
        billing="billed",
        price_rule="reported usage times price",
        worst_usd=state.candidate.worst_usd,
    )


def test_all_that_is_noted_of_a_failure() -> None:
    """The provider's words and wishes, and by which rule nothing is billed."""
    state = call(model("small"))
    hedge = Hedge(candidate=state.candidate, after_s=1.0, span_id="f" * 16)
    failure = Failure(
        kind="refused", message="slow down", status=429, code="busy", retry_after_s=7.0, should_retry=False
    )
    seen = Seen(started_s=0.1, ended_s=0.3, held="queue_full", sent=False)
    assert settle(hedge, REQUEST, failure, seen) == Attempt(
        model="small",
        model_id="simulated/small",
        provider="simulated",
        window_tokens=100_000,
        span_id="f" * 16,
        started_s=0.1,
        latency_s=0.2,
        outcome="refused",
        status=429,
        code="busy",
        error="slow down",
        retry_after_s=7.0,
        should_retry=False,
        held="queue_full",
        hedge=True,
        cost_usd=Decimal(0),
        billing="billed",
        price_rule="nothing is billed for this",
        worst_usd=state.candidate.worst_usd,
    )


TEXT = "word " * 100
WRITTEN = estimate_tokens(TEXT).likely
INPUT = Decimal("0.000105")
"""What the 100 tokens of the prompt cost, and 5 of an unknown host's, at a dollar for a million."""
OUTPUT = WRITTEN * Decimal("0.000004")
STREAMED = f"input in full, output as far as it was streamed ({WRITTEN} tokens)"


@pytest.mark.parametrize(
    ("result", "streamed", "sent", "cost_usd", "rule"),
    [
        (answer(TEXT, usage=None), "", True, INPUT + OUTPUT, "no usage was reported: tokens estimated from the text"),
        (None, "", True, "worst", "worst case: input in full, output the most it could be"),
        (None, "", False, Decimal(0), "nothing is billed for this"),
        (None, TEXT, True, INPUT + OUTPUT, STREAMED),
        (Failure(kind="cut", message=""), TEXT, True, INPUT + OUTPUT, STREAMED),
        (Failure(kind="cut", message=""), "", True, "worst", "worst case: input in full, output the most it could be"),
        (Failure(kind="refused", message=""), "", True, Decimal(0), "nothing is billed for this"),
        (Failure(kind="refused", message=""), TEXT, True, INPUT + OUTPUT, STREAMED),
        (Failure(kind="filtered", message=""), "", True, INPUT, "input in full: the provider read it"),
        (Failure(kind="filtered", message=""), TEXT, True, INPUT + OUTPUT, STREAMED),
    ],
)
def test_each_rule_has_its_price(
    result: Answer | Failure | None, streamed: str, sent: bool, cost_usd: Decimal | str, rule: str
) -> None:
    """To the last digit, and named in the record."""
    state = call()
    made = settle(state, REQUEST, result, replace(SEEN, streamed=streamed, sent=sent))
    assert made.cost_usd == (state.candidate.worst_usd if cost_usd == "worst" else cost_usd)
    assert made.price_rule == rule
    assert made.billing == ("billed" if cost_usd == 0 else "estimated")


@pytest.mark.parametrize("streamed", ["", TEXT])
@pytest.mark.parametrize("kind", ["cut", "filtered"])
def test_without_a_price_what_a_failure_cost_is_unknown(kind: FailureClass, streamed: str) -> None:
    """By whichever rule."""
    made = settle(call(model(price=None)), REQUEST, Failure(kind=kind, message=""), replace(SEEN, streamed=streamed))
    assert (made.cost_usd, made.billing) == (None, "unknown")


def test_no_estimate_is_above_the_worst_case() -> None:
    """More text than the model could have written costs what it could have written."""
    state = call(model(max_output_tokens=10))
    assert settle(state, REQUEST, answer(TEXT * 100, usage=None), SEEN).cost_usd == state.candidate.worst_usd


def test_an_answer_is_held_to_the_checks_that_are_on() -> None:
    """Those of the caller, by their names; with a schema that the caller keeps, to that."""
    never = NamedCheck(name="never", check=lambda _answer, _request: "never of use")
    for checks, outcome in (
        (Checks(), "unusable"),
        (Checks(on=frozenset()), "answer"),
        (Checks(on=frozenset({"empty"})), "unusable"),
        (Checks(on=frozenset({"empty"}), named=(never,)), "answer"),
        (Checks(on=frozenset({"never"}), named=(never,)), "unusable"),
    ):
        assert settle(call(), REQUEST, answer(""), SEEN, checks=checks).outcome == outcome
    asked = Request(messages=REQUEST.messages, params={"response_format": {"type": "json_schema"}})
    made = settle(call(), asked, answer("{}"), SEEN, schema=lambda value: f"{value} is not what was asked for")
    assert (made.outcome, made.error) == ("unusable", "{} is not what was asked for")
