from __future__ import annotations

from enum import Enum
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.semconv._incubating.attributes import error_attributes, gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

from router.core import instruments as i
from router.core.measure import BREAKER_VALUES, CHAT, PROVIDER_NAMES

CREATED = {
    i.DURATION: gen_ai_metrics.create_gen_ai_client_operation_duration,
    i.TOKEN_USAGE: gen_ai_metrics.create_gen_ai_client_token_usage,
    i.FIRST_CHUNK: gen_ai_metrics.create_gen_ai_client_operation_time_to_first_chunk,
}


@pytest.mark.parametrize("instrument", CREATED, ids=lambda instrument: instrument.name)
def test_the_standard_metrics_are_those_of_the_conventions(instrument: i.Instrument) -> None:
    """Name, type, unit and description equal what OpenTelemetry's own package makes."""
    made: Any = CREATED[instrument](MeterProvider().get_meter("test"))
    assert (instrument.name, instrument.unit, instrument.description) == (
        made.name,
        made.unit,
        made.description if made.description.endswith(".") else f"{made.description}.",
    )
    assert type(made).__name__.lower().endswith(instrument.kind)


def test_all_of_the_conventions_names_are_ours_or_standard() -> None:
    """Each attribute is one that the conventions know, or of our own namespace; no other metric claims theirs."""
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    known.add(error_attributes.ERROR_TYPE)
    every = (*i.COUNTED, *i.STANDING)
    assert {i.DURATION, i.TOKEN_USAGE, i.FIRST_CHUNK} == {m for m in every if not m.name.startswith("lowfare.")}
    for instrument in every:
        for attribute in instrument.attributes:
            assert attribute in known or attribute.startswith("lowfare.")
    assert len({m.name for m in every}) == len(every)


def test_the_buckets_are_those_of_the_conventions() -> None:
    """0.01 s doubled thirteen times, and powers of four tokens: the conventions' text, in no package."""
    seconds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
    tokens = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864]
    assert list(i.DURATION.buckets) == list(i.FIRST_CHUNK.buckets) == seconds
    assert list(i.TOKEN_USAGE.buckets) == tokens


def test_the_values_are_those_of_the_conventions() -> None:
    """Operation, token types and the names of providers that have one there."""
    assert gen_ai_attributes.GenAiOperationNameValues.CHAT.value == CHAT
    assert {"input", "output"} == values(gen_ai_attributes.GenAiTokenTypeValues)
    providers = values(gen_ai_attributes.GenAiProviderNameValues)
    assert set(PROVIDER_NAMES.values()) <= providers
    # What the conventions name is either what we call it, or in the table.
    same = {"openai", "anthropic", "cohere", "perplexity", "deepseek", "groq"}
    assert providers - set(PROVIDER_NAMES.values()) - same <= {"gcp.gen_ai"}


def test_breakers_have_a_value_each() -> None:
    """The description names every state with its value."""
    for state, value in BREAKER_VALUES.items():
        assert f"{value} {state.replace('_', ' ')}" in i.BREAKER_STATE.description


def values(kind: type[Enum]) -> set[str]:
    """Returns the values of an enumeration of the conventions."""
    return {member.value for member in kind}
