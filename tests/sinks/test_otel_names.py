"""Names and types of attributes, against the semantic conventions' own constants."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, get_args

import orjson
import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import (
    error_attributes,
    exception_attributes,
    http_attributes,
    server_attributes,
)

from router.config_otel import CostName as ConfiguredCostName
from router.core.answer import Usage
from router.core.budget import Account, Budget, Standing
from router.core.budgeting import Purse
from router.core.decision import Attempt, Ending, Outcome
from router.core.machine import Done, Exhausted, NeedCall, plan
from router.core.measure import CHAT, PROVIDER_NAMES, wire_name
from router.core.window import Window
from router.prices.providers import PROVIDERS as KNOWN_PROVIDERS
from router.sinks import otel_content, otel_names
from router.sinks.otel_names import (
    CostName,
    asked,
    attempt_attributes,
    attempt_error,
    request_attributes,
    request_error,
    sampling_params,
)
from tests.core.builders import attempt, features, given, model

STANDARD = {
    value
    for module in (gen_ai_attributes, error_attributes, exception_attributes, http_attributes, server_attributes)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
}
TYPES = {
    "gen_ai.operation.name": str,
    "gen_ai.provider.name": str,
    "gen_ai.request.model": str,
    "gen_ai.request.stream": bool,
    "gen_ai.request.max_tokens": int,
    "gen_ai.request.choice.count": int,
    "gen_ai.request.temperature": float,
    "gen_ai.request.top_p": float,
    "gen_ai.request.top_k": float,
    "gen_ai.request.frequency_penalty": float,
    "gen_ai.request.presence_penalty": float,
    "gen_ai.request.seed": int,
    "gen_ai.response.model": str,
    "gen_ai.response.id": str,
    "gen_ai.response.finish_reasons": list,
    "gen_ai.response.time_to_first_chunk": float,
    "gen_ai.usage.input_tokens": int,
    "gen_ai.usage.output_tokens": int,
    "gen_ai.usage.cache_read.input_tokens": int,
    "gen_ai.usage.cache_creation.input_tokens": int,
    "gen_ai.usage.reasoning.output_tokens": int,
    "server.address": str,
    "server.port": int,
    "http.response.status_code": int,
}
"""As the registry of the conventions has them; `top_k` is a double there."""

FULL = attempt(
    "a",
    model_id="openai/gpt-4.1",
    provider="openai",
    served="gpt-4.1-2025",
    response_id="chatcmpl-1",
    started_s=0.5,
    latency_s=1.5,
    first_token_s=0.25,
    status=200,
    retry_after_s=1.0,
    deployment="east",
    hedge=True,
    finish_reason="stop",
    usage=Usage(
        input_tokens=9,
        output_tokens=8,
        cached_input_tokens=3,
        cache_write_tokens=2,
        cache_write_1h_tokens=1,
        reasoning_tokens=5,
        billed_usd=Decimal("0.5"),
    ),
    cost_usd=Decimal("0.5"),
    worst_usd=Decimal(1),
)
SAMPLING = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed")
PARAMS: dict[str, Any] = dict.fromkeys(SAMPLING, 1)


def done(**made: Any) -> Any:
    """Returns the decision of a request that a model answered."""
    state = plan(given(model("a", id="openai/gpt-4.1", provider="openai"), **made))
    assert isinstance(state, NeedCall)
    end = state.next(FULL)
    assert isinstance(end, Done)
    return end.decision


def everything(**options: Any) -> dict[str, Any]:
    """Returns all attributes that the span of an attempt can have."""
    decision = done(features=features(900, output_tokens_most=70, choices=2, stream=True))
    hosts = {"openai": "api.openai.com"}
    return asked(FULL) | attempt_attributes(FULL, decision, hosts=hosts, **options) | sampling_params(PARAMS)


def test_names_are_those_of_the_conventions() -> None:
    """Whatever is not ours stands there, and has the type that it has there."""
    names = {name: value for name, value in everything().items() if not name.startswith("lowfare.")}
    assert names.keys() <= STANDARD
    assert names.keys() == TYPES.keys()
    assert {name: type(value) for name, value in names.items()} == TYPES
    ours = {otel_names.ERROR_TYPE, otel_names.EXCEPTION_TYPE, otel_names.EXCEPTION_MESSAGE}
    assert ours <= STANDARD
    assert gen_ai_attributes.GenAiOperationNameValues.CHAT.value == CHAT


def test_values_are_those_of_the_record() -> None:
    """Cached tokens are inside the input, and what was written counts for both of its times to live."""
    says = everything()
    assert (says["gen_ai.usage.input_tokens"], says["gen_ai.usage.cache_read.input_tokens"]) == (9, 3)
    assert says["gen_ai.usage.cache_creation.input_tokens"] == 3
    assert says["gen_ai.response.finish_reasons"] == ["stop"]
    assert says["gen_ai.response.id"] == "chatcmpl-1"
    assert (says["server.address"], says["server.port"]) == ("api.openai.com", 443)
    assert (says["gen_ai.request.model"], says["lowfare.model"]) == ("gpt-4.1", "a")
    assert (says["lowfare.hedge"], says["lowfare.deployment"], says["lowfare.retry_after_s"]) == (True, "east", 1.0)


def test_the_name_of_cache_writes_is_a_switch() -> None:
    """The conventions are split."""
    assert everything(cache_write_name="cache_write")["gen_ai.usage.cache_write.input_tokens"] == 3


def test_a_cost_that_the_provider_stated_is_called_so() -> None:
    """The open proposal asks where the figure comes from."""
    assert everything(cost_names=("genai",))["gen_ai.usage.cost.source"] == "provider"
    assert everything(cost_names=("genai",))["gen_ai.usage.cost.currency"] == "USD"
    assert orjson.loads(everything(cost_names=("langfuse",))["langfuse.observation.cost_details"]) == {"total": 0.5}
    assert set(get_args(CostName)) == set(get_args(ConfiguredCostName))


def test_what_is_unknown_is_left_out() -> None:
    """Never 0, never empty."""
    decision = done()
    bare = attempt("a", "server_error", cost_usd=None, billing="unknown")
    says = asked(bare) | attempt_attributes(bare, decision, hosts={}, cost_names=get_args(CostName))
    assert says.keys() == {
        "gen_ai.operation.name",
        "gen_ai.request.model",
        "gen_ai.request.stream",
        "lowfare.model",
        "lowfare.outcome",
        "lowfare.billing",
    }
    assert sampling_params({"temperature": "warm", "top_p": True, "seed": 2**70, "stop": ["x"]}) == {}


@pytest.mark.parametrize("provider", sorted(KNOWN_PROVIDERS))
def test_well_known_providers_have_their_well_known_names(provider: str) -> None:
    """Those that the conventions list under another name than litellm's are called by theirs."""
    called = asked(attempt("a", provider=provider))["gen_ai.provider.name"]
    listed = {member.value for member in gen_ai_attributes.GenAiProviderNameValues}
    squeezed = {name.replace("_", "").replace(".", ""): name for name in listed}
    assert squeezed.get(called.replace("_", "").replace(".", ""), called) == called
    if provider in PROVIDER_NAMES:
        assert called in listed


def test_a_model_is_called_as_its_provider_calls_it() -> None:
    """Only the prefix that names the provider is litellm's."""
    assert wire_name("openrouter/anthropic/claude", "openrouter") == "anthropic/claude"
    assert wire_name("meta/llama", "openai_compatible") == "meta/llama"
    assert wire_name("openai/", "openai") == "openai/"


def test_a_model_with_an_address_of_its_own_is_there() -> None:
    """A deployment's goes before its model's."""
    for url, server in (
        ("http://box:8080/v1", ("box", 8080)),
        ("http://box/v1", ("box", 80)),
        ("https://b", ("b", 443)),
    ):
        state = plan(given(model("a", base_url=url)))
        assert isinstance(state, NeedCall)
        end = state.next(FULL)
        assert isinstance(end, Done)
        says = attempt_attributes(FULL, end.decision, hosts={"openai": "api.openai.com"})
        assert (says["server.address"], says["server.port"]) == server


def test_a_model_that_was_no_candidate_is_where_its_provider_is() -> None:
    """Its address is not in the record."""
    elsewhere = replace(FULL, model="elsewhere")
    says = attempt_attributes(elsewhere, done(), hosts={"openai": "api.openai.com"})
    assert (says["server.address"], says["server.port"]) == ("api.openai.com", 443)
    assert "server.port" not in attempt_attributes(elsewhere, done(), hosts={})


@pytest.mark.parametrize("ending", get_args(Ending))
def test_every_ending_without_an_answer_is_an_error_of_the_tree(ending: Any) -> None:
    """Given up and planned are none, nor is usage from elsewhere."""
    import router

    end = plan(given())
    assert isinstance(end, Exhausted)
    found = request_error(Exhausted(course=end.course, now_s=1.0, ending=ending, why="why").decision)
    if ending in ("answer", "cancelled", "recorded", "planned"):
        assert found is None
    else:
        assert found is not None
        kind, event = found
        assert kind == ending
        assert issubclass(getattr(router, event["exception.type"].removeprefix("router.")), router.RouterError)
        assert event["exception.message"] == "why"


@pytest.mark.parametrize("outcome", sorted({*get_args(get_args(Outcome)[0]), *get_args(get_args(Outcome)[1])}))
def test_every_outcome_but_two_is_an_error(outcome: Any) -> None:
    """Its type is the class of the failure, or why the turn was held back; its message is the provider's."""
    found = attempt_error(attempt("a", outcome, error="words", code="c"))
    if outcome in ("answer", "cancelled"):
        assert found is None
    else:
        says = {"exception.type": "router.ProviderError", "exception.message": "words", "lowfare.code": "c"}
        assert found == (outcome, says)


def test_requests_that_several_models_failed_end_at_a_bound() -> None:
    """As the error that their caller gets."""
    state = plan(given(model("a"), model("b")))
    assert isinstance(state, NeedCall)
    for made, raised in ((1, "ProviderError"), (2, "BoundsExceeded")):
        attempts: list[Attempt] = [attempt("a", "server_error")] * made
        end = Exhausted(course=state.course.after(*attempts), now_s=1.0, ending="bounds", why="why")
        kind, event = request_error(end.decision) or ("", {})
        assert (kind, event["exception.type"]) == ("server_error", f"router.{raised}")


def test_a_request_that_found_the_money_gone_is_over_its_budget() -> None:
    """Also where turns came before, which found none either."""
    state = plan(given(model("a")))
    assert isinstance(state, NeedCall)
    turn = attempt("a", "refused", held="budget_spent", error="budget daily: $0 left")
    end = Exhausted(course=state.course.after(turn), now_s=1.0, ending="budget", why="why")
    kind, event = request_error(end.decision) or ("", {})
    assert (kind, event["exception.type"]) == ("budget", "router.BudgetExceeded")


def test_a_request_says_how_its_tightest_budget_stood() -> None:
    """That with the least left of those that hold something back; one that only alerts where there is no other."""
    alert = purse("noted", 10, on_exceed="alert")
    found = {
        name: request_attributes(replace(done(), budgets=purses, budget_policy=policy))
        for name, purses, policy in (
            ("none", (), None),
            ("alert", (alert,), None),
            ("tight", (alert, purse("wide", 2_500_000_000), purse("tight", 1_500_000_000, value="acme")), "frugal"),
        )
    }
    assert {name: {k: v for k, v in says.items() if ".budget" in k} for name, says in found.items()} == {
        "none": {},
        "alert": {
            "lowfare.budget.name": "noted",
            "lowfare.budget.left_usd": 1e-8,
            "lowfare.budget.limit_usd": 1e-8,
        },
        "tight": {
            "lowfare.budget.policy": "frugal",
            "lowfare.budget.name": "tight",
            "lowfare.budget.scope": "acme",
            "lowfare.budget.left_usd": 1.5,
            "lowfare.budget.limit_usd": 1.5,
        },
    }


def purse(name: str, limit_nano: int, *, value: str = "", **options: Any) -> Purse:
    """Returns an unspent budget of a request."""
    budget = Budget(name=name, limit_nano=limit_nano, window=Window(period="total"), **options)
    return Purse(budget=budget, account=Account(budget=name, value=value), standing=Standing(limit_nano=limit_nano))


def test_a_request_says_what_was_dropped_and_why() -> None:
    """By name, reason and who dropped it."""
    end = plan(given(model("a", context_window_tokens=10), features=features(900)))
    assert isinstance(end, Exhausted)
    says = request_attributes(end.decision)
    (dropped,) = says["lowfare.dropped"]
    assert dropped.startswith("a: ")
    assert dropped.endswith("(request)")
    assert "lowfare.expected_usd" not in says


def test_content_has_the_names_of_the_conventions() -> None:
    """Messages in parts, as the conventions' schema has them."""
    call = {"id": "1", "function": {"name": "f", "arguments": "{}"}}
    content = {
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {}}, "x"]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [call],
            },
            {"role": "tool", "tool_call_id": "1", "content": "done"},
            "odd",
        ],
        "params": {"tools": [{"type": "function", "function": {"name": "f"}}]},
        "answer": [{"role": "assistant", "content": "yes", "reasoning_content": "hm"}],
    }
    says = otel_content.content_attributes(content, "stop")
    assert says.keys() <= STANDARD
    assert orjson.loads(says["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "be brief"}]},
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "hi"},
                {"type": "image_url", "image_url": {}},
                {"type": "text", "content": "x"},
            ],
        },
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "f", "arguments": "{}"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "done"}]},
        {"role": "user", "parts": [{"type": "text", "content": "odd"}]},
    ]
    assert orjson.loads(says["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "yes"}],
            "finish_reason": "stop",
        }
    ]
    assert orjson.loads(says["gen_ai.tool.definitions"])[0]["function"] == {"name": "f"}
    silent = otel_content.content_attributes({"messages": [], "params": {}, "answer": None}, None)
    assert silent == {"gen_ai.input.messages": "[]"}


def test_the_switch_of_content_knows_its_values() -> None:
    """Off by default; a value that nobody knows is refused rather than taken for one of them."""
    switch = otel_content.SWITCH
    assert otel_content.capture_of({}) == otel_content.capture_of({switch: "false"}) == "NO_CONTENT"
    assert otel_content.capture_of({switch: "span_and_event"}) == "SPAN_AND_EVENT"
    assert otel_content.capture_of({switch: "true"}) == "SPAN_ONLY"
    with pytest.raises(ValueError, match="allowed: NO_CONTENT, SPAN_ONLY"):
        otel_content.capture_of({switch: "yes"})
