"""What holds of every client, however and whatever it is asked, whoever its provider is."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, Final

from router.core.answer import Answer, Chunk
from router.testing.clients_bench import Asked, ClientBench, Rule, Session, Trial

__tracebackhide__ = True  # pytest shows the test's own line, and what it was told

_MANY: Final = 12
"""Calls that are under way at once."""


def answers_or_fails(bench: ClientBench, asked: Asked, /) -> None:
    """`send` returns an `Answer` or a `Failure`, and raises for no request."""
    trial = Trial(answers_or_fails, bench, asked, "asked")

    async def work() -> None:
        async with trial.session(bench.answers(stream=False)) as session:
            await trial.asked(session, asked, stream=False)

    trial.run(work)


def ends_streams_in_one_result(bench: ClientBench, asked: Asked, /) -> None:
    """`stream` yields chunks as they come, then exactly one `Answer` or `Failure`, and raises for no request."""
    trial = Trial(ends_streams_in_one_result, bench, asked, "asked")

    async def work() -> None:
        async with trial.session(bench.answers(stream=True)) as session:
            await trial.asked(session, asked, stream=True)

    trial.run(work)


def joins_its_chunks(bench: ClientBench, asked: Asked, /) -> None:
    """The `Answer` that ends a stream has all choices joined: its text is that of the chunks."""
    trial = Trial(joins_its_chunks, bench, asked, "asked")

    async def work() -> None:
        async with trial.session(bench.answers(stream=True)) as session:
            chunks, result = await trial.streamed(session, asked.request(stream=True))
            text = "".join(chunk.text for chunk in chunks)
            if isinstance(result, Answer) and result.text != text:
                raise trial.breach(f"the chunks have {len(text)} characters, the answer {len(result.text)}, or others")

    trial.run(work)


def leaves_requests_alone(bench: ClientBench, asked: Asked, /) -> None:
    """It changes nothing in a request: the next model is asked with the same one."""
    trial = Trial(leaves_requests_alone, bench, asked, "asked")

    async def work() -> None:
        for stream in (False, True):
            async with trial.session(bench.answers(stream=stream)) as session:
                request, equal = asked.request(stream=stream), asked.request(stream=stream)
                await (trial.streamed(session, request) if stream else trial.sent(session, request))
                if request != equal:
                    raise trial.breach(f"{'stream' if stream else 'send'}() changed the request")

    trial.run(work)


def closes_more_than_once(bench: ClientBench, asked: Asked, /) -> None:
    """It can be closed twice, also when it was never asked."""
    trial = Trial(closes_more_than_once, bench, asked, "asked")

    async def work() -> None:
        for used in (False, True):
            async with trial.session(bench.answers(stream=False), close=False) as session:
                if used:
                    await trial.asked(session, asked, stream=False)
                await trial.close(session.client)
                await trial.close(session.client, " the second time")

    trial.run(work)


def serves_many_at_once(bench: ClientBench, asked: Asked, /) -> None:
    """It is called concurrently: calls do not wait for each other, and each gets a result of its own."""
    trial = Trial(serves_many_at_once, bench, asked, "asked")

    async def one(session: Session, *, stream: bool) -> object:
        return type(await trial.asked(session, asked, stream=stream))

    async def work() -> None:
        for stream in (False, True):
            async with trial.session(bench.answers(stream=stream)) as session:
                alone = await one(session, stream=stream)
                together = await asyncio.gather(*(one(session, stream=stream) for _ in range(_MANY)))
                differ = sum(kind is not alone for kind in together)
                if differ:
                    raise trial.breach(f"of {_MANY} calls at once, {differ} came to something else than a call alone")

    trial.run(work)


def ends_streams_that_are_left(bench: ClientBench, asked: Asked, /) -> None:
    """Closing the generator of a stream early ends it, without an exception."""
    trial = Trial(ends_streams_that_are_left, bench, asked, "asked")

    async def leave(session: Session) -> None:
        async with aclosing(session.client.stream(session.call(asked.request(stream=True)))) as events:
            await anext(events, None)

    async def work() -> None:
        async with trial.session(bench.answers(stream=True)) as session:
            await trial.awaited("closing a stream after its first event", lambda: leave(session))

    trial.run(work)


def leaves_nothing_running(bench: ClientBench, asked: Asked, /) -> None:
    """When it is closed nothing of it goes on: no task, and no connection."""
    trial = Trial(leaves_nothing_running, bench, asked, "asked")

    async def work() -> None:
        for stream in (False, True):
            async with trial.session(bench.answers(stream=stream), close=False) as session:
                await trial.asked(session, asked, stream=stream)
                await trial.close(session.client)
                await asyncio.sleep(0)  # what was cancelled ends
                if session.left():
                    raise trial.breach(f"{len(session.left())} tasks run on after aclose()")
                host = session.host
                if host is not None and not await host.until(lambda h: not h.connections, within_s=bench.patience_s):
                    raise trial.breach(f"{host.connections} connections are open after aclose()")

    trial.run(work)


def reads_answers(bench: ClientBench, asked: Asked, /) -> None:
    """A proper answer of the provider is an `Answer`, whole and streamed; a stream shows it before it ends."""
    trial = Trial(reads_answers, bench, asked, "asked")

    async def work() -> None:
        for stream, response in ((False, bench.whole), (True, bench.streamed)):
            if response is None:
                continue
            async with trial.session(response) as session:
                chunks: Any = ()
                if stream:
                    chunks, result = await trial.streamed(session, asked.request(stream=True))
                else:
                    result = await trial.sent(session, asked.request(stream=False))
                name = "stream" if stream else "send"
                if not isinstance(result, Answer):
                    raise trial.breach(f"{name}() made a Failure of kind {result.kind!r} of a proper answer")
                if stream and result.text and not any(isinstance(chunk, Chunk) and chunk.text for chunk in chunks):
                    raise trial.breach("stream() showed no text before the answer")

    trial.run(work)


HOWEVER_IT_IS_CALLED: Final[tuple[Rule, ...]] = (
    closes_more_than_once,
    reads_answers,
    ends_streams_that_are_left,
    serves_many_at_once,
    leaves_nothing_running,
)
WHATEVER_IS_ASKED: Final[tuple[Rule, ...]] = (
    answers_or_fails,
    ends_streams_in_one_result,
    joins_its_chunks,
    leaves_requests_alone,
)
