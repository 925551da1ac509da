"""What a scripted provider shows to a client, and what stands in its books."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from decimal import Decimal
from typing import Any, Self

import pytest

from router import Answer, Call, Chunk, Failure, Model, Request, Timeouts
from router.testing.providers import TRACE_HEADER, Entry, ScriptedProvider
from router.testing.traffic import Arrival
from router.testing.troubles import Behaviour, Spread, Trouble
from router.testing.world import World
from tests.core.builders import model

TRACE = "ab" * 16
ARRIVAL = Arrival(index=0, trace_id=TRACE, at_s=0.0, input_tokens=1000, output_tokens=100)
STEADY = Behaviour(latency_s=Spread(median=1.0), tokens_per_s=Spread(median=50.0))
WHOLE = Decimal("0.0014")
"""1,000 tokens in at $1 and 100 out at $4 per million."""


class Stand:
    """A world with one provider."""

    def __init__(self, *troubles: Trouble, **behaviour: Any) -> None:
        self.world = World()
        steady = STEADY.model_copy(update=behaviour)
        self.provider = ScriptedProvider(self.world.clock, {TRACE: ARRIVAL}, {"small": steady}, troubles)

    def call(self, *, params: dict[str, Any] | None = None, served: Model | None = None, **timeouts: Any) -> Call:
        request = Request(messages=({"role": "user", "content": "hi"},), params=params or {})
        return Call(
            model=served or model(),
            request=request,
            timeouts=Timeouts(**{"total_s": 60.0, **timeouts}),
            headers={TRACE_HEADER: TRACE},
        )

    def send(self, **options: Any) -> Answer | Failure:
        return self.world.run(self.provider.send(self.call(**options)))

    def stream(self, *, leave_after: int | None = None, **options: Any) -> list[Chunk | Answer | Failure]:
        async def read() -> list[Chunk | Answer | Failure]:
            events: list[Chunk | Answer | Failure] = []
            call = self.call(**options)
            call = Call(
                model=call.model,
                request=Request(messages=call.request.messages, stream=True),
                timeouts=call.timeouts,
                headers=call.headers,
            )
            async with aclosing(self.provider.stream(call)) as stream:
                async for event in stream:
                    events.append(event)
                    if len(events) == leave_after:
                        break
            return events

        return self.world.run(read())

    @property
    def entry(self) -> Entry:
        return self.provider.entries[-1]

    @property
    def now_s(self) -> float:
        return self.world.clock.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.world.close()


def chunks(events: Iterable[Chunk | Answer | Failure]) -> list[Chunk]:
    """Returns the pieces among the events."""
    return [event for event in events if isinstance(event, Chunk)]


def test_a_good_day() -> None:
    """The answer comes after latency and writing, and is billed as reported."""
    with Stand() as stand:
        answer = stand.send()
        assert isinstance(answer, Answer)
        assert answer.usage is not None
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (1000, 100)
        assert answer.text
        assert stand.now_s == pytest.approx(3.0)
        assert (stand.entry.billed_usd, stand.entry.useful, stand.entry.state) == (WHOLE, True, "done")
        stand.world.run(stand.provider.aclose())


@pytest.mark.parametrize("params", [{"max_tokens": 7}, {"max_completion_tokens": 7}])
def test_an_answer_is_no_longer_than_asked(params: dict[str, Any]) -> None:
    """Nor longer than the model can write."""
    with Stand() as stand:
        stand.send(params=params)
        assert stand.entry.output_tokens == 7
        stand.send(served=model(max_output_tokens=5))
        assert stand.entry.output_tokens == 5


@pytest.mark.parametrize(
    ("trouble", "kind", "status", "billed"),
    [
        ({"kind": "error"}, "server_error", 500, Decimal(0)),
        ({"kind": "error", "status": 502, "billed": True}, "server_error", 502, WHOLE),
        ({"kind": "unreachable"}, "not_sent", None, Decimal(0)),
        ({"kind": "hang"}, "timed_out", None, WHOLE),
        ({"kind": "refuse"}, "refused", 429, Decimal(0)),
        ({"kind": "error_in_answer"}, "server_error", 200, Decimal("0.001")),
        ({"kind": "cut"}, "cut", 200, WHOLE),
        ({"kind": "slow", "factor": 100}, "timed_out", None, WHOLE),
    ],
)
def test_each_trouble_shows_and_bills(trouble: dict[str, Any], kind: str, status: int | None, billed: Decimal) -> None:
    """What the client is told, and what the books say of it; nothing of it was of use."""
    with Stand(Trouble(**trouble)) as stand:
        failure = stand.send()
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.status) == (kind, status)
        assert failure.sent is (kind != "not_sent")
        assert (stand.entry.billed_usd, stand.entry.useful, stand.entry.fate) == (billed, False, trouble["kind"])
        assert stand.now_s <= 60


def test_an_empty_answer_is_billed_and_of_no_use() -> None:
    """200, no text, and tokens that nobody sees."""
    with Stand(Trouble(kind="empty")) as stand:
        answer = stand.send()
        assert isinstance(answer, Answer)
        assert answer.text == ""
        assert stand.entry.billed_usd == Decimal("0.001032")
        assert not stand.entry.useful
        stand.send(params={"max_tokens": 1})
        assert stand.entry.output_tokens == 1


def test_a_slow_day_takes_its_factor() -> None:
    """Latency and writing alike; what comes in the end is an answer."""
    with Stand(Trouble(kind="slow", factor=10)) as stand:
        assert isinstance(stand.send(), Answer)
        assert stand.now_s == pytest.approx(30)


@pytest.mark.parametrize(
    ("style", "low_s", "high_s"), [("honest", 7, 7), ("too_short", 0.6, 0.8), ("too_long", 150, 200)]
)
def test_a_refusal_says_how_long(style: Any, low_s: float, high_s: float) -> None:
    """The honest one names the end of the trouble, the others are off by far."""
    with Stand(Trouble(kind="refuse", retry_after=style, duration_s=7)) as stand:
        failure = stand.send()
        assert isinstance(failure, Failure)
        assert failure.retry_after_s is not None
        assert low_s <= failure.retry_after_s <= high_s


@pytest.mark.parametrize("style", ["none", "garbage"])
def test_a_refusal_may_say_nothing_of_use(style: Any) -> None:
    """No header, or one that no parser can make much of."""
    with Stand(Trouble(kind="refuse", retry_after=style, duration_s=7)) as stand:
        for _ in range(20):
            failure = stand.send()
            if isinstance(failure, Failure):
                assert not failure.retry_after_s


def test_shares_add_up() -> None:
    """Of troubles at the same time each gets its share of the calls, the rest are answered."""
    with Stand(Trouble(kind="error", share=0.3), Trouble(kind="empty", share=0.2)) as stand:
        for _ in range(2000):
            stand.send()
        fates = [entry.fate for entry in stand.provider.entries]
        assert fates.count("error") / 2000 == pytest.approx(0.3, abs=0.04)
        assert fates.count("empty") / 2000 == pytest.approx(0.2, abs=0.04)


def test_troubles_of_others_and_of_other_times_do_not_count() -> None:
    """A model that no trouble names answers, as it does before and after."""
    with Stand(Trouble(kind="error", model="large"), Trouble(kind="error", start_s=10, duration_s=5)) as stand:
        assert isinstance(stand.send(), Answer)
        stand.world.run(asyncio.sleep(8))
        assert isinstance(stand.send(), Failure)
        stand.world.run(asyncio.sleep(8))
        assert isinstance(stand.send(), Answer)


def test_request_limits_are_true() -> None:
    """A bucket of ten lets ten through, refuses the eleventh, and keeps its word on when to come back."""
    with Stand(
        requests_per_minute=60.0, burst_s=10.0, latency_s=Spread(median=0), tokens_per_s=Spread(median=1e9)
    ) as s:
        assert all(isinstance(s.send(), Answer) for _ in range(10))
        refused = s.send()
        assert isinstance(refused, Failure)
        assert refused.kind == "refused"
        assert refused.retry_after_s == 1
        s.world.run(asyncio.sleep(refused.retry_after_s))
        assert isinstance(s.send(), Answer)
        assert s.provider.entries[10].fate == "limit"


def test_token_limits_are_true() -> None:
    """Input tokens are counted; a request larger than the bucket takes all of it instead of never passing."""
    quick = {"latency_s": Spread(median=0), "tokens_per_s": Spread(median=1e9)}
    with Stand(tokens_per_minute=12_000.0, burst_s=10.0, retry_after="none", **quick) as stand:
        assert isinstance(stand.send(), Answer)
        assert isinstance(stand.send(), Answer)
        refused = stand.send()
        assert isinstance(refused, Failure)
        assert refused.retry_after_s is None
    with Stand(tokens_per_minute=600.0, burst_s=1.0, **quick) as stand:
        assert isinstance(stand.send(), Answer)
        assert isinstance(stand.send(), Failure)
        stand.world.run(asyncio.sleep(1))
        assert isinstance(stand.send(), Answer)


def test_a_stream_comes_in_pieces() -> None:
    """The pieces make up the answer, and take the time of the whole."""
    with Stand() as stand:
        *pieces, answer = stand.stream()
        assert isinstance(answer, Answer)
        assert len(pieces) > 1
        assert "".join(piece.text for piece in chunks(pieces)) == answer.text
        assert stand.now_s == pytest.approx(3.0)
        assert (stand.entry.billed_usd, stand.entry.useful) == (WHOLE, True)


def test_a_cut_stream_is_billed_as_far_as_it_came() -> None:
    """It breaks somewhere, and what nobody will see is not billed."""
    with Stand(Trouble(kind="cut")) as stand:
        for _ in range(20):
            *pieces, failure = stand.stream()
            assert isinstance(failure, Failure)
            assert failure.kind == "cut"
            tokens = sum(len(piece.text.split()) for piece in chunks(pieces))
            assert stand.entry.output_tokens == tokens < 100
            assert stand.entry.billed_usd == Decimal("0.001") + tokens * Decimal("0.000004")
            assert not stand.entry.useful


@pytest.mark.parametrize("timeouts", [{"first_token_s": 1.1}, {"between_tokens_s": 0.1}, {"total_s": 2.0}])
def test_a_stream_keeps_every_timeout(timeouts: dict[str, Any]) -> None:
    """Of the first piece, between two, and of the whole."""
    with Stand() as stand:
        *_, failure = stand.stream(**timeouts)
        assert isinstance(failure, Failure)
        assert failure.kind == "timed_out"
        assert stand.now_s <= 2.0 + 1e-6


@pytest.mark.parametrize("kind", ["error", "empty", "hang"])
def test_troubles_without_pieces_end_a_stream_at_once(kind: Any) -> None:
    """One event, the result."""
    with Stand(Trouble(kind=kind)) as stand:
        assert len(stand.stream()) == 1


def test_a_stream_that_is_left_is_billed_as_far_as_it_came() -> None:
    """Its caller had some use of it."""
    with Stand() as stand:
        stand.stream(leave_after=2)
        assert stand.entry.state == "gone"
        assert stand.entry.useful
        assert Decimal("0.001") < stand.entry.billed_usd < WHOLE


@pytest.mark.parametrize(("trouble", "billed"), [((), WHOLE), ((Trouble(kind="error"),), Decimal(0))])
def test_a_call_that_is_cancelled_is_billed_in_full(trouble: tuple[Trouble, ...], billed: Decimal) -> None:
    """The model does not notice that nobody listens; what would have failed unbilled stays so."""

    async def cancelled(stand: Stand) -> None:
        task = asyncio.create_task(stand.provider.send(stand.call()))
        await asyncio.sleep(0.01)
        assert stand.entry.state == "open"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Stand(*trouble) as stand:
        stand.world.run(cancelled(stand))
        assert (stand.entry.state, stand.entry.useful, stand.entry.billed_usd) == ("gone", False, billed)


def test_a_model_without_a_price_bills_nothing() -> None:
    """There is nothing to reckon with."""
    with Stand() as stand:
        stand.send(served=model(price=None))
        assert stand.entry.billed_usd == 0


def test_a_client_without_a_timeout_is_answered() -> None:
    """However long that takes."""
    with Stand() as stand:
        assert isinstance(stand.send(total_s=None), Answer)
        assert isinstance(stand.stream(total_s=None, between_tokens_s=None)[-1], Answer)


def test_long_answers_have_all_their_words() -> None:
    """Also beyond the text that is kept ready."""
    with Stand() as stand:
        stand.provider.arrivals = {TRACE: Arrival(index=0, trace_id=TRACE, at_s=0, input_tokens=9, output_tokens=5000)}
        answer = stand.send(served=model(max_output_tokens=9000), total_s=1000.0)
        assert isinstance(answer, Answer)
        assert len(answer.text.split()) == 5000
