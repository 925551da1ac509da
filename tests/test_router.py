"""The router as a program uses it: real machine, real sinks; only client and clock are scripted."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from router import (
    Answer,
    BoundsExceeded,
    Call,
    Choice,
    Chunk,
    Client,
    ConfigError,
    Decision,
    Failure,
    NoCandidate,
    PolicyError,
    ProviderError,
    Reply,
    Request,
    RequestError,
    Router,
    RouterError,
    RouterWarning,
    Settings,
    Unobserved,
    check,
    replay,
)
from router.clients.shared import Clients
from router.core.answer import ChunkChoice, Message
from router.setup import setup_of
from router.testing.clock import VirtualClock
from router.testing.scripted import ScriptedClient, answer

TABLES: dict[str, Any] = {
    "models": {
        name: {
            "id": name,
            "client": "scripted",
            "base_url": "http://127.0.0.1:9/v1",
            "input_usd_per_mtok": price,
            "output_usd_per_mtok": price,
            "context_window_tokens": 10_000,
            "max_output_tokens": 1_000,
        }
        for name, price in {"small": "1", "medium": "2", "large": "3"}.items()
    },
    "policies": {"default": {"kind": "fallback", "models": ["small", "medium", "large"]}},
    "seed": "7",
}
DOWN = Failure(kind="server_error", message="boom", status=500)


class Kept:
    """A sink that keeps decisions in memory."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.closed = 0

    def emit(self, decision: Decision, /) -> None:
        self.decisions.append(decision)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def kept() -> Kept:
    """Where decisions go in these tests."""
    return Kept()


def settings(**more: Any) -> Settings:
    """Returns the settings of three models, `scripted` allowed as their client."""
    tables = {**TABLES, **more}
    tables["models"] = {
        name: {key: value for key, value in table.items() if key != "client"} | {"client": "simulated"}
        for name, table in tables["models"].items()
    }
    return Settings(**tables)


def routed(client: Client, *sinks: Any, **more: Any) -> Router:
    """Returns a router that asks this client."""
    return Router(settings(**more), clients={"simulated": client}, sinks=sinks, clock=VirtualClock())


async def whole(router: Router, *, streamed: bool, **request: Any) -> Reply:
    """Returns the reply, read as a stream or at once."""
    if not streamed:
        return await router.acomplete("hi", **request)
    stream = router.astream("hi", **request)
    async for _ in stream:
        pass
    return stream.reply


def chunk(text: str | None) -> Chunk:
    """Returns a piece of a stream."""
    return Chunk(choices=(ChunkChoice(delta=Message(content=text)),))


async def test_the_first_live_candidate_answers(kept: Kept) -> None:
    """One call, one decision, and the reply reads like OpenAI's."""
    client = ScriptedClient({"small": answer("hello")})
    reply = await routed(client, kept).acomplete("hi", max_tokens=10, tags={"team": "support"}, tenant="acme")
    assert client.asked == ["small"]
    assert reply.text == reply.choices[0].message.content == "hello"
    assert (reply.model, reply.finish_reason) == ("small", "stop")
    assert reply.cost_usd == Decimal("0.000015")
    assert reply.decision == kept.decisions[0]
    assert reply.trace_id == reply.decision.trace_id
    assert (reply.decision.tags, reply.decision.tenant) == ({"team": "support"}, "acme")
    dumped = reply.model_dump()
    assert dumped["choices"][0]["message"] == {"role": "assistant", "content": "hello"}
    assert dumped["usage"]["total_tokens"] == 15
    assert "hello" not in repr(reply)


@pytest.fixture
def small_key() -> Iterator[str]:
    """Names a variable of the environment that holds a key."""
    os.environ["SMALL_KEY"] = "sk-canary"
    yield "SMALL_KEY"
    del os.environ["SMALL_KEY"]


async def test_a_call_carries_trace_headers_timeouts_and_the_key(small_key: str) -> None:
    """Each attempt has its own span under the trace; the key comes from the environment and is in no repr."""
    client = ScriptedClient()
    models = {**TABLES["models"], "small": {**TABLES["models"]["small"], "key_env": small_key}}
    reply = await routed(client, models=models).acomplete("hi", trace_id="ab" * 16, deadline_s=9)
    call = client.calls[0]
    span_id = reply.decision.attempts[0].span_id
    assert call.headers == {
        "traceparent": f"00-{'ab' * 16}-{span_id}-01",
        "X-Trace-ID": "ab" * 16,
        "X-Span-ID": span_id,
    }
    assert call.timeouts.total_s == 9
    assert call.key == "sk-canary"
    assert "sk-canary" not in repr(call)
    client = ScriptedClient()
    await routed(client, trace={"headers": False}).acomplete("hi")
    assert client.calls[0].headers == {}


async def test_a_failed_attempt_is_followed_by_the_next_model(kept: Kept) -> None:
    """The answer is the second model's, and the first one's failure stands in the record, priced as waste."""
    client = ScriptedClient({"small": DOWN, "medium": answer("ok")})
    reply = await routed(client, kept, bounds={"waste_usd": "1"}).acomplete("hi", max_tokens=10)
    assert client.asked == ["small", "medium"]
    assert [a.outcome for a in reply.decision.attempts] == ["server_error", "answer"]
    assert reply.decision.waste_usd is not None
    assert reply.decision.waste_usd > 0
    assert reply.cost_usd == sum(a.cost_usd or 0 for a in reply.decision.attempts)


async def test_an_empty_answer_is_no_answer() -> None:
    """An answer with nothing in it is paid for and the next model is asked."""
    client = ScriptedClient({"small": answer("")})
    reply = await routed(client).acomplete("hi", max_tokens=10)
    assert reply.model == "medium"
    assert reply.decision.attempts[0].outcome == "unusable"


async def test_all_models_down_are_three_calls_and_no_last_sleep(kept: Kept) -> None:
    """Four failing models, attempts = 3: exactly three calls, no time slept, one decision, an error that carries it."""
    models = {**TABLES["models"], "huge": {**TABLES["models"]["large"], "id": "huge"}}
    policies = {"default": {"kind": "fallback", "models": ["small", "medium", "large", "huge"]}}
    client, clock = ScriptedClient(dict.fromkeys(models, DOWN)), VirtualClock()
    router = Router(
        settings(models=models, policies=policies), clients={"simulated": client}, sinks=[kept], clock=clock
    )
    started = clock.monotonic()
    with pytest.raises(BoundsExceeded) as caught:
        await router.acomplete("hi", max_tokens=10)
    assert client.asked == ["small", "medium", "large"]
    assert clock.monotonic() == started
    assert caught.value.bound == "attempts"
    assert caught.value.decision == kept.decisions[0]
    assert len(kept.decisions) == 1


async def test_a_lone_model_is_waited_for() -> None:
    """A refusal with a wait is waited out on the clock, and the same model is asked again."""
    refused = Failure(kind="refused", message="busy", status=429, retry_after_s=7)
    client, clock = ScriptedClient({"small": [refused, answer("at last")]}), VirtualClock()
    router = Router(
        settings(policies={"default": {"kind": "fallback", "models": ["small"]}}),
        clients={"simulated": client},
        sinks=(),
        clock=clock,
    )
    started = clock.monotonic()
    assert (await router.acomplete("hi")).text == "at last"
    assert clock.monotonic() - started == pytest.approx(7)


async def test_a_single_failed_attempt_raises_the_providers_own_error() -> None:
    """With one attempt allowed, its failure is what the caller gets."""
    client = ScriptedClient({"small": Failure(kind="denied", message="bad key", status=401)})
    with pytest.raises(ProviderError, match="small: denied 401: bad key") as caught:
        await routed(client).acomplete("hi", attempts=1)
    assert caught.value.failure.kind == "denied"


async def test_nobody_adequate(kept: Kept) -> None:
    """A prompt that fits no window is refused before anything is sent, each model with its reason."""
    client = ScriptedClient()
    with pytest.raises(NoCandidate, match="small: window of 10,000 tokens is too small"):
        await routed(client, kept).acomplete("word " * 20_000)
    assert client.calls == []
    assert len(kept.decisions) == 1


async def test_a_request_dearer_than_its_limit_is_refused() -> None:
    """`max_cost_usd` below the cheapest worst case sends nothing."""
    client = ScriptedClient()
    with pytest.raises(NoCandidate, match=r"the request allows \$0.000001"):
        await routed(client).acomplete("hi", max_cost_usd="0.000001")
    assert client.calls == []


async def test_a_request_may_name_its_model() -> None:
    """Then no policy is asked, unless the request names one too; what it cannot serve is still refused."""
    policies = {"default": {"kind": "fallback", "models": ["small"]}}
    client = ScriptedClient()
    router = routed(client, policies=policies)
    reply = await router.acomplete("hi", model="large")
    assert (reply.model, reply.decision.policy) == ("large", "none")
    assert [d.name for d in reply.decision.slate.dropped] == ["small", "medium"]
    with pytest.raises(NoCandidate):
        await router.acomplete("hi", model="large", policy="default")
    with pytest.raises(NoCandidate):
        await router.acomplete("word " * 20_000, model="large")
    assert client.asked == ["large"]


@pytest.mark.parametrize("hint", ["policy", "model", "baseline"])
async def test_an_unknown_name_in_a_hint_is_the_callers_error(hint: str) -> None:
    """It says what is not configured and what there is."""
    with pytest.raises(RequestError, match=r"'nope' is not configured; there are .*"):
        await routed(ScriptedClient()).acomplete("hi", **{hint: "nope"})


async def test_a_policy_that_breaks_leaves_a_record(kept: Kept) -> None:
    """What a policy raises becomes a PolicyError, with a decision that is logged."""

    class Broken:
        kind = "broken"

        def __call__(self, slate: Any, context: Any, /) -> Any:
            raise KeyError("oops")

    with pytest.raises(PolicyError, match="raised KeyError"):
        await routed(ScriptedClient(), kept, policies={"default": Broken()}).acomplete("hi")
    assert kept.decisions[0].ending == "policy_error"


async def test_a_stream_yields_chunks_and_ends_in_a_reply(kept: Kept) -> None:
    """Nothing is shown before the first text; the whole reply is there at the end."""
    events = [chunk(None), chunk("hel"), chunk("lo"), answer("hello")]
    stream = routed(ScriptedClient({"small": events}), kept).astream("hi")
    with pytest.raises(RouterError, match="has not ended"):
        _ = stream.reply
    assert "".join([piece.text async for piece in stream]) == "hello"
    assert stream.reply.text == "hello"
    assert kept.decisions[0].attempts[0].first_token_s is not None


async def test_stream_may_be_said_twice_but_not_against_itself() -> None:
    """Code written for OpenAI's client passes `stream=True`; where it contradicts the method, it is refused."""
    router = routed(ScriptedClient())
    assert [piece.text async for piece in router.astream("hi", stream=True)] == ["ok"]
    with pytest.raises(RequestError, match="stream"):
        await router.acomplete("hi", stream=True)


async def test_a_stream_falls_back_before_its_first_token() -> None:
    """A stream that breaks before it showed anything is replaced by another model's."""
    client = ScriptedClient({"small": [chunk(None), Failure(kind="cut", message="gone")], "medium": answer("whole")})
    stream = routed(client, bounds={"waste_usd": "1"}).astream("hi", max_tokens=10)
    assert "".join([piece.text async for piece in stream]) == "whole"
    assert stream.reply.model == "medium"


async def test_a_stream_never_falls_back_after_its_first_token(kept: Kept) -> None:
    """Once text has reached the caller, a break is an error, with what was streamed priced as an estimate."""
    client = ScriptedClient({"small": [chunk("half"), Failure(kind="cut", message="gone")]})
    stream = routed(client, kept).astream("hi", max_tokens=10)
    assert (await anext(stream)).text == "half"
    with pytest.raises(ProviderError, match="after a part of its answer had reached the caller"):
        await anext(stream)
    assert client.asked == ["small"]
    attempt = kept.decisions[0].attempts[0]
    assert (attempt.billing, attempt.committed) == ("estimated", True)


async def test_a_stream_without_text_still_shows_what_it_had() -> None:
    """Chunks that show nothing are handed over when the answer is accepted all the same."""
    whole = Answer(choices=(answer("x").choices[0],))
    stream = routed(ScriptedClient({"small": [chunk(None), whole]})).astream("hi")
    assert [piece.text async for piece in stream] == [""]
    assert stream.reply.text == "x"


async def test_a_dropped_stream_is_closed_priced_and_logged(kept: Kept) -> None:
    """Leaving early closes the provider's stream and leaves one decision with an estimate."""
    client = ScriptedClient({"small": [chunk("one "), chunk("two"), answer("one two")]})
    async with routed(client, kept).astream("hi", max_tokens=10) as stream:
        async for _ in stream:
            break
    assert client.streams_closed_early == 1
    decision = kept.decisions[0]
    assert decision.ending == "cancelled"
    assert decision.attempts[0].billing == "estimated"
    assert decision.waste_usd == 0


class Hanging:
    """A client that never answers."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.left = False

    async def send(self, call: Call, /) -> Answer | Failure:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left = True
        raise AssertionError("an event that is never set was set")

    async def stream(self, call: Call, /) -> AsyncGenerator[Chunk | Answer | Failure]:
        yield await self.send(call)

    async def aclose(self) -> None:
        """Has nothing to close."""


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_cancelled_call_is_stopped_priced_and_logged(kept: Kept, streamed: bool) -> None:
    """Cancelling the task ends the attempt and leaves one decision with its worst case."""
    client = Hanging()
    router = routed(client, kept)
    task = asyncio.create_task(whole(router, streamed=streamed, max_tokens=10))
    await client.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.left
    assert [d.ending for d in kept.decisions] == ["cancelled"]
    assert kept.decisions[0].cost_usd == kept.decisions[0].attempts[0].worst_usd


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_ignores_its_timeout_is_ended(kept: Kept, streamed: bool) -> None:
    """A client that is still at work after its time-out is cancelled; the attempt counts as timed out."""
    with pytest.raises(ProviderError) as caught:
        await whole(routed(Hanging(), kept), streamed=streamed, deadline_s=0.01, attempts=1)
    assert caught.value.failure.kind == "timed_out"


class Buggy(Hanging):
    """A client that raises what no client should."""

    async def send(self, call: Call, /) -> Answer | Failure:
        if call.model.name == "small":
            raise ZeroDivisionError
        return answer("ok")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_bug_in_one_client_costs_no_answer(streamed: bool) -> None:
    """A client that raises is warned about, and the next model is asked."""
    router = routed(Buggy(), bounds={"waste_usd": "1"})
    with pytest.warns(RouterWarning, match="raised ZeroDivisionError"):
        reply = await whole(router, streamed=streamed, max_tokens=10)
    assert reply.model == "medium"


class Waits(VirtualClock):
    """A clock whose sleep never ends."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = asyncio.Event()

    async def sleep(self, seconds: float, /) -> None:
        self.asleep.set()
        await asyncio.Event().wait()


async def test_a_caller_may_give_up_while_the_router_waits(kept: Kept) -> None:
    """Cancelled between two attempts: one decision, which says so."""
    refused = Failure(kind="refused", message="busy", retry_after_s=7)
    clock = Waits()
    router = Router(
        settings(policies={"default": {"kind": "fallback", "models": ["small"]}}),
        clients={"simulated": ScriptedClient({"small": refused})},
        sinks=[kept],
        clock=clock,
    )
    task = asyncio.create_task(router.acomplete("hi"))
    await clock.asleep.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [d.ending for d in kept.decisions] == ["cancelled"]


async def test_a_sink_that_fails_costs_no_answer(kept: Kept) -> None:
    """The caller is warned and gets the answer; the other sinks get the decision."""

    class Full(Kept):
        def emit(self, decision: Decision, /) -> None:
            raise OSError("disk full")

    with pytest.warns(RouterWarning, match="disk full"):
        reply = await routed(ScriptedClient(), Full(), kept).acomplete("hi")
    assert reply.text == "ok"
    assert len(kept.decisions) == 1


async def test_every_decision_of_a_router_replays(kept: Kept) -> None:
    """What the router logged is decided again by the core alone, to the same record."""
    client = ScriptedClient({"small": [DOWN, answer(""), answer("yes")], "medium": [DOWN, answer("ok")]})
    configured = settings(bounds={"waste_usd": "1"})
    router = Router(configured, clients={"simulated": client}, sinks=[kept], clock=VirtualClock())
    for _ in range(3):
        await router.acomplete("hi", max_tokens=10)
    await router.acomplete("hi", model="large")
    for decision in kept.decisions:
        record = json.loads(json.dumps(decision.to_dict()))
        again = router.replay(record)
        assert not isinstance(again, Unobserved)
        assert again.to_dict() == decision.to_dict()
    with pytest.raises(RequestError, match="policy 'gone' is not configured"):
        router.replay(kept.decisions[0].to_dict() | {"policy": "gone"})


async def test_content_is_logged_only_when_asked_for_and_redacted(kept: Kept) -> None:
    """`log.content = "full"` puts prompts and answers into the record, after the redaction hooks."""
    await routed(ScriptedClient(), kept).acomplete("my card is 4242")
    log: Mapping[str, Any] = {"content": "full", "redact": [{"pattern": r"\d{4}", "replace": "####"}]}
    await routed(ScriptedClient({"small": answer("card 4242?")}), kept, log=log).acomplete("my card is 4242")
    assert kept.decisions[0].content is None
    content = kept.decisions[1].content
    assert content is not None
    assert content["messages"][0]["content"] == "my card is ####"
    assert content["answer"][0]["content"] == "card ####?"


def test_the_preview_calls_nobody() -> None:
    """`plan` returns slate and worst case without a call or a record."""
    client = ScriptedClient()
    router = routed(client)
    planned = router.plan("hi", max_tokens=10)
    assert planned.ending == "planned"
    assert [c.name for c in planned.slate.live] == ["small", "medium", "large"]
    assert router.plan("word " * 20_000).ending == "no_candidate"
    assert client.calls == []


def test_synchronous_calls_run_on_a_private_loop(kept: Kept) -> None:
    """`complete` and `stream` work from plain code and from several threads at once."""
    client = ScriptedClient({"small": [answer("a")]})
    with routed(client, kept) as router:
        assert router.complete("hi").text == "a"
        threads = [threading.Thread(target=router.complete, args=("hi",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert "".join(piece.text for piece in router.stream("hi")) == "a"
        with router.stream("hi") as stream:
            with pytest.raises(RouterError, match="has not ended"):
                _ = stream.reply
            assert [piece.text for piece in stream] == ["a"]
            assert stream.reply.text == "a"
    assert len(kept.decisions) == 11
    assert client.closed
    assert kept.closed == 1


async def test_synchronous_calls_work_inside_a_running_loop() -> None:
    """Code that is called from a coroutine may still use `complete`."""
    with routed(ScriptedClient()) as router:
        assert router.complete("hi").text == "ok"


def test_a_router_works_after_a_fork() -> None:
    """Neither loop thread nor connections survive a fork; the child makes its own."""
    router = routed(ScriptedClient())
    router.complete("hi")

    def ask(results: Any) -> None:
        results.put(router.complete("hi").text)

    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=ask, args=(results,))
    child.start()
    assert results.get() == "ok"
    child.join()
    assert router.complete("hi").text == "ok"
    router.close()


async def test_an_async_router_closes_its_connections() -> None:
    """`async with` closes the clients of the running loop."""
    client = ScriptedClient()
    async with routed(client) as router:
        await router.acomplete("hi")
    assert client.closed


def test_a_pydantic_model_is_asked_for_and_parsed() -> None:
    """`response_format=SomeModel` sends its schema, and `parsed` is an instance of it."""
    from pydantic import BaseModel

    class City(BaseModel):
        name: str

    client = ScriptedClient({"small": answer('{"name": "Oslo"}')})
    models = {name: {**table, "capabilities": ["json_schema"]} for name, table in TABLES["models"].items()}
    with routed(client, models=models) as router:
        reply = router.complete("Where?", response_format=City)
    assert reply.parsed == City(name="Oslo")
    assert client.calls[0].request.params["response_format"]["type"] == "json_schema"
    refused = Answer(choices=(Choice(message=Message(refusal="I cannot"), finish_reason="stop"),))
    with routed(ScriptedClient({"small": refused}), models=models) as router:
        assert router.complete("Where?", response_format=City).parsed is None
    with routed(ScriptedClient()) as router:
        assert router.complete("hi").parsed is None


def test_a_toml_file_makes_a_router(tmp_path: Path) -> None:
    """From a file to a logged decision, through the simulated provider."""
    config = tmp_path / "config.toml"
    config.write_text(
        f"""
[models.small]
id = "deepseek/deepseek-v3.2"
client = "simulated"

[log]
path = "{tmp_path / "log.jsonl"}"
"""
    )
    with Router.from_toml(config) as router:
        reply = router.complete("hi")
    record = json.loads((tmp_path / "log.jsonl").read_text())
    assert record["trace_id"] == reply.trace_id
    assert record["cost_usd"] is not None


class Slow(Hanging):
    """A client whose model "small" takes its time, and whose others answer at once."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def send(self, call: Call, /) -> Answer | Failure:
        self.asked.append(call.model.name)
        return await super().send(call) if call.model.name == "small" else answer("quick")

    async def stream(self, call: Call, /) -> AsyncGenerator[Chunk | Answer | Failure]:
        result = await self.send(call)
        yield chunk("quick")
        yield result


HEDGE = {"enabled": True, "after_s": 0.01}


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_slow_model_is_hedged(kept: Kept, streamed: bool) -> None:
    """When the first takes too long a second is asked; the loser is stopped, priced and logged as waste."""
    client = Slow()
    reply = await whole(routed(client, kept, hedge=HEDGE), streamed=streamed, max_tokens=10)
    assert (reply.text, reply.model) == ("quick", "medium")
    assert client.left
    loser, winner = reply.decision.attempts
    assert (loser.model, loser.outcome, loser.hedge) == ("small", "cancelled", False)
    assert (winner.model, winner.outcome, winner.hedge) == ("medium", "answer", True)
    assert reply.decision.waste_usd == loser.cost_usd == loser.worst_usd
    assert reply.cost_usd is not None
    assert reply.decision.worst_case_usd is not None
    assert reply.cost_usd <= reply.decision.worst_case_usd
    setup = setup_of(settings(hedge=HEDGE))
    again = replay(reply.decision.to_dict(), catalog=setup.catalog, policy=setup.policies["default"])
    assert not isinstance(again, Unobserved)
    assert again.to_dict() == reply.decision.to_dict()


async def test_a_quick_model_is_not_hedged() -> None:
    """A first that answers in time is the only one asked."""
    client = ScriptedClient()
    await routed(client, hedge=HEDGE).acomplete("hi", max_tokens=10)
    assert client.asked == ["small"]


async def test_hedges_need_room_for_two() -> None:
    """Where attempts, waste or cost do not allow for both, nobody is asked beside the first."""
    first, second = [c.worst_usd or Decimal(0) for c in routed(Slow()).plan("hi", max_tokens=10).slate.live[:2]]
    both = first + second
    for hint in ({"attempts": 1}, {"waste_usd": both / 2}, {"max_cost_usd": second}):
        client = Slow()
        router = Router(settings(hedge=HEDGE), clients={"simulated": client}, sinks=())
        with pytest.raises(RouterError):
            await router.acomplete("hi", max_tokens=10, deadline_s=0.05, **hint)
        assert client.asked == ["small"]


async def test_with_all_breakers_open_the_last_in_line_is_asked(kept: Kept) -> None:
    """Breakers never leave a request with nobody: when all others are held back, the last one is let through."""
    client = ScriptedClient(dict.fromkeys(TABLES["models"], DOWN))
    router = routed(client, kept, breaker={"consecutive_failures": 1})
    for _ in range(2):
        with pytest.raises(RouterError):
            await router.acomplete("hi", max_tokens=10, deadline_s=5)
    assert client.asked[:3] == ["small", "medium", "large"]
    assert set(client.asked[3:]) == {"large"}
    assert [a.held for a in kept.decisions[1].attempts[:3]] == ["breaker_open", "breaker_open", None]


async def test_a_hedge_that_fails_leaves_the_first(kept: Kept) -> None:
    """When the second fails first, the first is waited for; when both fail, the next is asked."""

    class Late(Hanging):
        async def send(self, call: Call, /) -> Answer | Failure:
            if call.model.name == "small":
                await asyncio.sleep(0.05)
                return answer("late") if call.request.params["max_tokens"] == 10 else DOWN
            return DOWN if call.model.name == "medium" else answer("third")

    router = routed(Late(), kept, hedge=HEDGE)
    assert (await router.acomplete("hi", max_tokens=10)).text == "late"
    assert (await router.acomplete("hi", max_tokens=11)).text == "third"
    assert [a.outcome for a in kept.decisions[1].attempts] == ["server_error", "server_error", "answer"]


async def test_both_attempts_of_a_hedge_end_with_their_caller(kept: Kept) -> None:
    """Cancelled while two are under way: both are priced, in one decision."""

    class Stuck(Hanging):
        def __init__(self) -> None:
            super().__init__()
            self.under_way = 0
            self.both = asyncio.Event()

        async def send(self, call: Call, /) -> Answer | Failure:
            self.under_way += 1
            if self.under_way == 2:
                self.both.set()
            try:
                return await super().send(call)
            finally:
                self.under_way -= 1

    client = Stuck()
    task = asyncio.create_task(routed(client, kept, hedge=HEDGE).acomplete("hi", max_tokens=10))
    await client.both.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.under_way == 0
    assert [a.outcome for a in kept.decisions[0].attempts] == ["cancelled", "cancelled"]


async def test_a_caller_may_give_up_while_it_is_decided(kept: Kept) -> None:
    """Cancelled before the first attempt waits for anything: one decision all the same, and it replays."""

    class GivesUp:
        kind = "gives_up"

        def __call__(self, slate: Any, context: Any, /) -> Any:
            task = asyncio.current_task()
            if task is not None:
                task.cancel()
            return slate

    client, policies = Hanging(), {"default": GivesUp()}
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(routed(client, kept, policies=policies, hedge=HEDGE).acomplete("hi", max_tokens=10))
    decision = kept.decisions[0]
    assert (len(kept.decisions), decision.ending) == (1, "cancelled")
    setup = setup_of(settings(policies=policies, hedge=HEDGE))
    again = replay(decision.to_dict(), catalog=setup.catalog, policy=lambda slate, _: slate)
    assert not isinstance(again, Unobserved)
    assert again.to_dict() == decision.to_dict()


async def test_an_open_breaker_passes_the_turn_on_for_free(kept: Kept) -> None:
    """A model that failed often is held back: the next one is asked, and the hold is no attempt."""
    client = ScriptedClient({"small": DOWN})
    router = routed(client, kept, breaker={"consecutive_failures": 2})
    for _ in range(4):
        assert (await router.acomplete("hi", max_tokens=10)).model == "medium"
    assert client.asked.count("small") == 2
    held = kept.decisions[-1].attempts[0]
    assert (held.model, held.outcome, held.held) == ("small", "not_sent", "breaker_open")
    assert held.cost_usd == 0
    assert router.health()["small"].deployments["small"].breaker == "open"


async def test_the_last_adequate_model_is_asked_in_spite_of_its_breaker() -> None:
    """With nobody else to ask, an open breaker does not turn a request away, unless it is told to."""
    policies = {"default": {"kind": "fallback", "models": ["small"]}}
    for keep_last, calls in ((True, 4), (False, 1)):
        client = ScriptedClient({"small": DOWN})
        router = routed(client, policies=policies, breaker={"consecutive_failures": 1, "keep_last": keep_last})
        for _ in range(4):
            with pytest.raises(ProviderError):
                await router.acomplete("hi", max_tokens=10, attempts=1, deadline_s=1)
        assert client.asked.count("small") == calls


async def test_a_denied_key_is_followed_by_another_deployment() -> None:
    """The same model behind another key is asked before another model; the denied key is not asked again."""
    pool = [{"name": "one", "key_env": "KEY_ONE"}, {"name": "two", "key_env": "KEY_TWO"}]
    models = {**TABLES["models"], "small": {**TABLES["models"]["small"], "deployments": pool}}
    denied = Failure(kind="denied", message="bad key", status=401)
    client = ScriptedClient({"small": [denied, answer("ok")]})
    reply = await routed(client, models=models).acomplete("hi", max_tokens=10)
    assert [a.model for a in reply.decision.attempts] == ["small", "small"]
    first, second = reply.decision.attempts
    assert {first.deployment, second.deployment} == {"one", "two"}
    assert {first.key_env, second.key_env} == {"KEY_ONE", "KEY_TWO"}


async def test_a_full_queue_is_passed_over_at_once() -> None:
    """With one place and no queue, a second request goes to the next model instead of piling up."""
    models = {**TABLES["models"], "small": {**TABLES["models"]["small"], "concurrency": 1, "queue": 0}}
    client = Slow()
    router = routed(client, models=models)
    first = asyncio.create_task(router.acomplete("hi", max_tokens=10))
    await client.entered.wait()
    reply = await router.acomplete("hi", max_tokens=10)
    assert (reply.model, reply.decision.attempts[0].held) == ("medium", "queue_full")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert router.health()["small"].in_flight == 0


async def test_a_full_queue_with_nobody_else_is_an_error_at_once() -> None:
    """With no other model, a full queue is told once, and not asked again until the deadline."""
    models = {"small": {**TABLES["models"]["small"], "concurrency": 1, "queue": 0}}
    policies = {"default": {"kind": "fallback", "models": ["small"]}}
    client = Slow()
    router = routed(client, models=models, policies=policies)
    first = asyncio.create_task(router.acomplete("hi", max_tokens=10))
    await client.entered.wait()
    with pytest.raises(ProviderError, match="queue_full") as caught:
        await router.acomplete("hi", max_tokens=10)
    assert caught.value.decision is not None
    assert len(caught.value.decision.attempts) == 1
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_who_gives_up_in_the_queue_pays_nothing(kept: Kept) -> None:
    """A place that never came free was never used: the cancelled attempt costs nothing, and the queue is empty."""
    models = {"small": {**TABLES["models"]["small"], "concurrency": 1}}
    policies = {"default": {"kind": "fallback", "models": ["small"]}}
    client = Slow()
    router = routed(client, kept, models=models, policies=policies)
    tasks = [asyncio.create_task(router.acomplete("hi", max_tokens=10)) for _ in range(2)]
    await client.entered.wait()
    while router.health()["small"].queued == 0:
        await asyncio.sleep(0)
    for task in reversed(tasks):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [d.cost_usd for d in kept.decisions] == [Decimal(0), kept.decisions[1].attempts[0].worst_usd]
    assert (router.health()["small"].queued, router.health()["small"].in_flight) == (0, 0)


async def test_a_spent_retry_quota_ends_retries() -> None:
    """With no retries left, a lone model's request fails at once and says so."""
    refused = Failure(kind="refused", message="busy", status=429, retry_after_s=1)
    router = routed(
        ScriptedClient({"small": refused}),
        policies={"default": {"kind": "fallback", "models": ["small"]}},
        retry_quota={"share": 0, "least_per_s": 0},
    )
    with pytest.raises(RouterError, match="quota_spent") as caught:
        await router.acomplete("hi", max_tokens=10)
    assert caught.value.decision is not None
    assert sum(a.held is None for a in caught.value.decision.attempts) == 1


async def test_a_patient_policy_waits_for_its_model() -> None:
    """`prefer_wait_s` makes a short wait come before another model."""
    refused = Failure(kind="refused", message="busy", status=429, retry_after_s=2)
    for prefer_wait_s, model in ((0, "medium"), (5, "small")):
        client = ScriptedClient({"small": [refused, answer("ok")]})
        terms = {"default": {"prefer_wait_s": prefer_wait_s}}
        assert (await routed(client, per_policy=terms).acomplete("hi", max_tokens=10)).model == model


async def test_a_check_of_the_program_turns_answers_away() -> None:
    """An answer that it finds fault with is paid for, and the next model is asked."""

    @check("no_apology")
    def no_apology(answer: Answer, _request: Request) -> str | None:
        return "the model apologised" if answer.text.startswith("Sorry") else None

    client = ScriptedClient({"small": answer("Sorry, no."), "medium": answer("Here it is.")})
    router = Router(settings(), clients={"simulated": client}, sinks=(), checks=[no_apology], clock=VirtualClock())
    reply = await router.acomplete("hi", max_tokens=10)
    assert reply.model == "medium"
    first = reply.decision.attempts[0]
    assert (first.outcome, first.code, first.error) == ("unusable", "no_apology", "the model apologised")


async def test_a_check_that_raises_costs_no_answer() -> None:
    """It is warned about, the answer counts all the same, and the model's place is free again."""

    @check("broken")
    def broken(answer: Answer, _request: Request) -> str | None:
        raise ZeroDivisionError

    router = Router(settings(), clients={"simulated": ScriptedClient()}, sinks=(), checks=[broken])
    with pytest.warns(RouterWarning, match="a check raised ZeroDivisionError"):
        assert (await router.acomplete("hi", max_tokens=10)).model == "small"
    assert router.health()["small"].in_flight == 0


async def test_a_model_whose_deployments_are_all_held_back_is_passed_over(kept: Kept) -> None:
    """One hold for all of them, then the next model."""
    pool = [{"name": "one"}, {"name": "two"}]
    models = {**TABLES["models"], "small": {**TABLES["models"]["small"], "deployments": pool}}
    client = ScriptedClient({"small": DOWN})
    router = routed(client, kept, models=models, breaker={"consecutive_failures": 1})
    for _ in range(3):
        assert (await router.acomplete("hi", max_tokens=10)).model == "medium"
    assert [(a.model, a.held) for a in kept.decisions[-1].attempts] == [("small", "breaker_open"), ("medium", None)]


POOL = [{"name": "one", "key_env": "KEY_ONE"}, {"name": "two", "key_env": "KEY_TWO"}]


async def test_a_denied_key_is_never_tried_again(kept: Kept) -> None:
    """With both keys of a model denied each is asked once, and then the next model."""
    models = {**TABLES["models"], "small": {**TABLES["models"]["small"], "deployments": POOL}}
    client = ScriptedClient({"small": Failure(kind="denied", message="bad key", status=401)})
    reply = await routed(client, kept, models=models).acomplete("hi", max_tokens=10)
    assert reply.model == "medium"
    asked = [a.key_env for a in reply.decision.attempts if a.model == "small"]
    assert sorted(filter(None, asked)) == ["KEY_ONE", "KEY_TWO"]


async def test_a_failed_deployment_is_not_asked_again_for_want_of_another() -> None:
    """When the other deployment cannot be asked now, the next model is, and not the failed one once more."""
    pool = [POOL[0], {**POOL[1], "tokens_per_minute": 1}]
    models = {**TABLES["models"], "small": {**TABLES["models"]["small"], "deployments": pool}}
    client = ScriptedClient({"small": DOWN})
    reply = await routed(client, models=models).acomplete("hi " * 50, max_tokens=10)
    assert reply.model == "medium"
    assert client.asked.count("small") <= 2


async def test_callers_in_a_hurry_do_not_shut_out_a_model() -> None:
    """Time-outs of requests with a tiny deadline leave the breaker closed."""
    router = Router(settings(breaker={"consecutive_failures": 1}), clients={"simulated": Hanging()}, sinks=())
    for _ in range(2):
        with pytest.raises(RouterError):
            await router.acomplete("hi", max_tokens=10, deadline_s=0.01, attempts=1)
    assert router.health()["small"].deployments["small"].breaker == "closed"


async def test_a_hedged_call_that_is_cancelled_twice_is_priced(kept: Kept) -> None:
    """However often its task is cancelled while the two attempts end, both stand in the one decision."""

    class Reluctant(Hanging):
        def __init__(self) -> None:
            super().__init__()
            self.under_way = 0
            self.leaving = asyncio.Event()

        async def send(self, call: Call, /) -> Answer | Failure:
            self.under_way += 1
            if self.under_way == 2:
                self.entered.set()
            try:
                return await asyncio.Event().wait()  # type: ignore[return-value]  # never comes
            finally:
                self.leaving.set()
                await asyncio.sleep(0.02)

    client = Reluctant()
    task = asyncio.create_task(routed(client, kept, hedge=HEDGE).acomplete("hi", max_tokens=10))
    await client.entered.wait()
    task.cancel()
    await client.leaving.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [a.outcome for a in kept.decisions[0].attempts] == ["cancelled", "cancelled"]
    assert kept.decisions[0].cost_usd is not None
    assert kept.decisions[0].cost_usd > 0


async def test_of_two_answers_one_is_waste(kept: Kept) -> None:
    """When both of a race answer at once, the first is kept and the other one is paid for nothing."""

    class Together(Hanging):
        def __init__(self) -> None:
            super().__init__()
            self.both = asyncio.Event()

        async def send(self, call: Call, /) -> Answer | Failure:
            if call.model.name == "medium":
                self.both.set()
            await self.both.wait()
            return answer(call.model.name)

    decision = (await routed(Together(), kept, hedge=HEDGE).acomplete("hi", max_tokens=10)).decision
    assert [a.outcome for a in decision.attempts] in (["answer", "answer"], ["cancelled", "answer"])
    loser = next(a for a in decision.attempts if a.model != decision.model)
    assert decision.waste_usd == loser.cost_usd


async def test_the_error_names_the_attempt_that_failed_and_not_a_hold() -> None:
    """After one real attempt, a turn that was held back is not what the caller is told."""
    router = routed(
        ScriptedClient({"small": DOWN}),
        policies={"default": {"kind": "fallback", "models": ["small"]}},
        retry_quota={"share": 0, "least_per_s": 0},
    )
    with pytest.raises(ProviderError, match="server_error 500: boom") as caught:
        await router.acomplete("hi", max_tokens=10)
    assert caught.value.failure.kind == "server_error"


async def test_a_json_schema_is_compiled_once() -> None:
    """Answers are held against the schema that was asked for, whoever gives them."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    asked = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    models = {name: {**table, "capabilities": ["json_schema"]} for name, table in TABLES["models"].items()}
    client = ScriptedClient({"small": answer('{"n": "one"}'), "medium": answer('{"n": 1}')})
    router = routed(client, models=models)
    for _ in range(2):
        assert (await router.acomplete("hi", max_tokens=10, response_format=asked)).model == "medium"


async def test_a_client_that_cannot_work_costs_nothing() -> None:
    """A configuration fault of a client is told in its own words, is not billed, and the next model is asked."""

    class Unready(Hanging):
        async def send(self, call: Call, /) -> Answer | Failure:
            if call.model.name == "small":
                raise ConfigError("pip install something")
            return answer("ok")

    reply = await routed(Unready()).acomplete("hi", max_tokens=10)
    assert reply.model == "medium"
    first = reply.decision.attempts[0]
    assert (first.outcome, first.error) == ("not_sent", "pip install something")
    assert first.cost_usd == 0


def test_each_loop_has_its_clients_and_takes_them_along() -> None:
    """Clients of loops that are closed are let go when another loop comes."""
    made: list[Hanging] = []

    class Counted(Buggy):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    clients = Clients({"counted": Counted}, {})

    async def ask() -> None:
        assert clients.of("counted") is clients.of("counted")

    for _ in range(3):
        asyncio.run(ask())
    assert len(made) == 3
    assert len(clients._made) == 1  # noqa: SLF001 - that nothing is kept shows nowhere else


def test_closing_a_router_ends_what_is_under_way(kept: Kept) -> None:
    """A thread that waits in `complete` is let go, its call priced and logged; a stream says that it was closed."""
    client = Hanging()
    router = routed(client, kept)
    ended: list[BaseException] = []

    def ask() -> None:
        try:
            router.complete("hi", max_tokens=10)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is what the test is about
            ended.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while not client.entered.is_set():
        pass
    router.close()
    thread.join()
    assert [type(error).__name__ for error in ended] == ["CancelledError"]
    assert [d.ending for d in kept.decisions] == ["cancelled"]


def test_a_stream_of_a_closed_router_is_not_taken_for_whole(kept: Kept) -> None:
    """Reading on after `close` raises instead of ending as if the answer were complete."""
    router = routed(ScriptedClient({"small": [chunk("half"), chunk("rest"), answer("half rest")]}), kept)
    stream = router.stream("hi", max_tokens=10)
    assert next(stream).text == "half"
    router.close()
    with pytest.raises(RouterError, match="closed before its end"):
        next(stream)
    router.close()


async def test_an_async_stream_that_was_closed_is_not_taken_for_whole() -> None:
    """The same for code in an event loop."""
    client = ScriptedClient({"small": [chunk("half"), chunk("rest"), answer("half rest")]})
    stream = routed(client).astream("hi", max_tokens=10)
    assert (await anext(stream)).text == "half"
    await stream.aclose()
    with pytest.raises(RouterError, match="closed before its end"):
        await anext(stream)


async def test_what_does_not_close_does_not_keep_others_open(kept: Kept) -> None:
    """A sink and a client that fail to close are warned about; the rest closes."""

    class Stubborn(Kept):
        def close(self) -> None:
            raise OSError("stuck")

    class Unwilling(Buggy):
        async def aclose(self) -> None:
            raise OSError("stuck")

    router = Router(settings(), clients={"simulated": Unwilling()}, sinks=[Stubborn(), kept], clock=VirtualClock())
    with pytest.warns(RouterWarning, match="did not close: stuck"):
        await router.aclose()
    assert kept.closed == 1
