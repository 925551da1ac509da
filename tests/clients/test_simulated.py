from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clients.client import Call
from router.clients.simulated import OUTCOMES, SimulatedClient
from router.core.answer import Answer, Chunk
from router.core.catalog import Model, Timeouts
from router.core.failure import Failure
from router.core.parse import parse_request
from router.errors import ConfigError
from router.testing.clock import VirtualClock

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def call(
    prompt: Any = "hi",
    *,
    options: Any = None,
    timeouts: Any = None,
    limits: dict[str, int] | None = None,
    **params: Any,
) -> Call:
    """Returns a call of a simulated model with these options and limits."""
    model = Model(
        name="small",
        id="simulated/small",
        provider="simulated",
        client="simulated",
        options=options or {},
        context_window_tokens=(limits or {}).get("context_window_tokens"),
        max_output_tokens=(limits or {}).get("max_output_tokens"),
    )
    return Call(model=model, request=parse_request(prompt, **params), timeouts=timeouts or Timeouts())


async def answer(what: Call, client: SimulatedClient | None = None) -> Answer:
    """Returns the whole answer; anything else fails the test."""
    result = await (client or SimulatedClient()).send(what)
    assert isinstance(result, Answer)
    return result


async def streamed(what: Call, client: SimulatedClient | None = None) -> list[Chunk | Answer | Failure]:
    """Returns the events of a stream."""
    return [event async for event in (client or SimulatedClient()).stream(what)]


async def test_the_same_request_gets_the_same_answer() -> None:
    """Seed, model and content decide; another seed or another prompt gives another answer."""
    assert await answer(call()) == await answer(call())
    assert (await answer(call())).text != (await answer(call("bye"))).text
    assert (await answer(call())).text != (await answer(call(options={"seed": 1}))).text


async def test_an_answer_says_that_it_is_simulated_and_counts_its_tokens() -> None:
    """Usage is plausible: what the estimate says of prompt and answer."""
    found = await answer(call("word " * 100))
    assert "simulated" in found.text
    assert found.finish_reason == "stop"
    assert found.usage is not None
    assert 80 < found.usage.input_tokens < 200
    assert len(found.text) / 8 < found.usage.output_tokens < len(found.text) / 2


async def test_choices_output_limits_and_reasoning_are_kept() -> None:
    """`n` choices, no more tokens than allowed by request and model, reasoning where it is asked for."""
    assert [c.index for c in (await answer(call(n=3))).choices] == [0, 1, 2]
    for limited in (call(max_tokens=10), call(limits={"max_output_tokens": 10})):
        cut = await answer(limited)
        assert cut.finish_reason == "length"
        assert cut.usage is not None
        assert cut.usage.output_tokens <= 14
    thought = await answer(call(reasoning_effort="high"))
    assert thought.usage is not None
    assert 0 < thought.usage.reasoning_tokens < thought.usage.output_tokens


async def test_a_demanded_tool_is_called() -> None:
    """With `tool_choice` required or named, arguments satisfy the tool's parameters; otherwise it answers in words."""
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        found = await answer(call(tools=[WEATHER], tool_choice=choice))
        assert found.finish_reason == "tool_calls"
        assert found.choices[0].message.tool_calls is not None
        function = found.choices[0].message.tool_calls[0].function
        assert function.name == "weather"
        assert list(json.loads(function.arguments)) == ["city"]
    for choice in ("auto", "required", {"type": "function", "function": {"name": "nobody"}}):
        tools: dict[str, Any] = {} if choice == "required" else {"tools": [WEATHER]}
        assert (await answer(call(tool_choice=choice, **tools))).finish_reason == "stop"


async def test_json_is_answered_where_it_is_asked_for() -> None:
    """A schema is satisfied; without one any object does."""
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": WEATHER["function"]["parameters"]}}
    assert json.loads((await answer(call(response_format=schema))).text) == {"city": "simulated"}
    assert json.loads((await answer(call(response_format={"type": "json_object"}))).text)["simulated"] is True


async def test_options_say_text_and_length() -> None:
    """A fixed text, and a number of tokens, roughly."""
    assert (await answer(call(options={"text": "x"}))).text == "x"
    usage = (await answer(call(options={"output_tokens": 500}))).usage
    assert usage is not None
    assert 350 < usage.output_tokens < 650


async def test_a_script_decides_attempt_by_attempt() -> None:
    """Its last outcome is repeated; statuses and `sent` are those of the real failures."""
    client, scripted = SimulatedClient(), call(options={"script": ["not_sent", "server_error", "ok", "refused"]})
    results = [await client.send(scripted) for _ in range(5)]
    shown = [(r.kind, r.status, r.sent) if isinstance(r, Failure) else "ok" for r in results]
    refused = ("refused", 429, True)
    assert shown == [("not_sent", None, False), ("server_error", 500, True), "ok", refused, refused]


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
async def test_every_outcome_can_be_scripted(outcome: str) -> None:
    """Each gives an answer or a failure of its own class, streamed or not, and a stream ends in exactly one."""
    what = call(options={"script": [outcome]}, response_format={"type": "json_object"})
    events = await streamed(what)
    for result in (await SimulatedClient().send(what), events[-1]):
        match result:
            case Failure(kind=kind):
                assert kind == outcome
            case Answer(text=text, finish_reason=finish):
                assert (text == "") is (outcome in ("empty", "unusable"))
                assert (finish == "length") is (outcome == "length")
                assert text.endswith("}") is (outcome == "ok")
            case Chunk():
                pytest.fail("a stream ends in an answer or a failure")
    assert all(isinstance(event, Chunk) for event in events[:-1])
    assert len(events) > 1 or isinstance(events[0], Failure)


async def test_shares_of_failures_are_kept() -> None:
    """About the share asked for, drawn by the seed, the same in every run."""
    shared = call(options={"failure_shares": {"server_error": 0.3, "refused": 0.2}})
    runs = []
    for _ in range(2):
        client = SimulatedClient()
        results = [await client.send(shared) for _ in range(200)]
        runs.append([r.kind if isinstance(r, Failure) else "ok" for r in results])
    assert runs[0] == runs[1]
    assert 40 < runs[0].count("server_error") < 80
    assert 20 < runs[0].count("refused") < 60


async def test_a_stream_adds_up_to_the_answer() -> None:
    """Chunk by chunk, tool calls included; the last chunk says why it ended."""
    *chunks, whole = await streamed(call())
    assert isinstance(whole, Answer)
    assert len(chunks) > 3
    assert "".join(c.text for c in chunks if isinstance(c, Chunk)) == whole.text
    assert whole == await answer(call())
    *chunks, whole = await streamed(call(tools=[WEATHER], tool_choice="required"))
    assert isinstance(chunks[-1], Chunk)
    assert isinstance(whole, Answer)
    delta = chunks[-1].choices[0]
    assert delta.finish_reason == "tool_calls"
    assert delta.delta.tool_calls is not None
    assert whole.choices[0].message.tool_calls is not None
    assert delta.delta.tool_calls[0].function == whole.choices[0].message.tool_calls[0].function


async def test_a_cut_stream_breaks_in_the_middle() -> None:
    """Some of the text has arrived by then."""
    events = await streamed(call(options={"script": ["cut"]}))
    assert isinstance(events[-1], Failure)
    assert len(events) > 1


async def test_latency_passes_on_the_clock_that_is_given() -> None:
    """First token after `latency_s`, then `tokens_per_s`; no real time passes."""
    clock = VirtualClock()
    client, slow = SimulatedClient(sleep=clock.sleep), call(options={"latency_s": 3, "tokens_per_s": 10})
    whole = await answer(slow, client)
    assert whole.usage is not None
    assert clock.monotonic() == pytest.approx(3 + whole.usage.output_tokens / 10)
    before = clock.monotonic()
    await streamed(slow, client)
    assert clock.monotonic() - before > 3


@pytest.mark.parametrize("timeouts", [Timeouts(total_s=1.0), Timeouts(first_token_s=1.0, total_s=5.0)])
async def test_what_takes_too_long_times_out(timeouts: Timeouts) -> None:
    """After the time allowed, not after the latency."""
    clock = VirtualClock()
    client = SimulatedClient(sleep=clock.sleep)
    slow = call(options={"latency_s": 30}, timeouts=timeouts)
    (event,) = await streamed(slow, client)
    assert isinstance(event, Failure)
    assert event.kind == "timed_out"
    assert clock.monotonic() == 1.0
    sent = await client.send(slow)
    assert isinstance(sent, Failure)
    assert sent.kind == "timed_out"
    await client.aclose()


async def test_what_exceeds_the_window_is_too_long() -> None:
    """As a provider would say."""
    result = await SimulatedClient().send(call("word " * 500, limits={"context_window_tokens": 100}))
    assert isinstance(result, Failure)
    assert result.kind == "too_long"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sed": 1}, "option 'sed': unknown; failure_shares, latency_s"),
        ({"script": []}, "option 'script'"),
        ({"script": "ok"}, "option 'script'"),
        ({"script": ["well"]}, "option 'outcome': 'well'"),
        ({"failure_shares": ["ok"]}, "option 'failure_shares'"),
        ({"failure_shares": {"refused": "half"}}, "option 'failure_shares'"),
        ({"latency_s": -1}, "option 'latency_s': -1"),
        ({"latency_s": True}, "option 'latency_s': True"),
        ({"tokens_per_s": "fast"}, "option 'tokens_per_s': 'fast'"),
    ],
)
async def test_a_wrong_option_is_a_configuration_error(options: dict[str, Any], said: str) -> None:
    """It says which, and what is allowed."""
    with pytest.raises(ConfigError, match=said):
        await SimulatedClient().send(call(options=options))


@given(st.text(min_size=1))
async def test_no_prompt_stands_in_an_answer(prompt: str) -> None:
    """What is made up is made of our own words."""
    request = call(prompt + "SECRET")
    assert "SECRET" not in (await answer(request)).text
