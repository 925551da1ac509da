"""Flights: who leads, what those who follow get, and that nobody waits for ever or leaves anything behind."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cache.flights import Flight, Flights
from router.core.answer import Chunk, ChunkChoice, Message
from router.core.caching import Entry
from router.testing.scripted import answer

KEY = "k" * 64
LONG_S = 3600.0
MANY = 1_000

SOURCE = ("small", "simulated/small")


def chunk(text: str) -> Chunk:
    """Returns a piece of an answer."""
    return Chunk(choices=(ChunkChoice(delta=Message(content=text)),))


def entry(text: str = "done") -> Entry:
    """Returns what a flight lands with."""
    return Entry(
        key=KEY,
        model="small",
        model_id="simulated/small",
        answer=answer(text),
        trace_id="b" * 32,
        tags={},
        policy="default",
        stored_s=0.0,
        ttl_s=60.0,
    )


async def followed(flight: Flight, *, timeout_s: float = LONG_S, turns: int = 0) -> list[str]:
    """Returns the texts of all pieces of a flight; takes so many turns of the loop over each."""
    texts = []
    async with aclosing(flight.follow(timeout_s=timeout_s)) as chunks:
        async for piece in chunks:
            texts.append(piece.text)
            await rest(turns)
    return texts


async def rest(turns: int) -> None:
    """Lets other tasks run for so many turns of the loop."""
    for _ in range(turns):
        await asyncio.sleep(0)


def waiting(flight: Flight) -> int:
    """Returns how many are on the flight's lists."""
    return len(flight._for_more) + len(flight._for_end)  # noqa: SLF001 - a waiter left behind shows nowhere else


def test_one_leads_and_the_others_follow() -> None:
    """The first who boards leads; another key is another flight; one that has ended is boarded no more."""
    flights = Flights()
    flight, leads = flights.board(KEY)
    assert (leads, flight.key, flight.ended, flight.entry) == (True, KEY, False, None)
    assert flights.board(KEY) == (flight, False)
    other, leads = flights.board("x")
    assert leads
    assert other is not flight
    assert len(flights) == 2
    done = entry()
    flight.land(done)
    assert (flight.ended, flight.entry, len(flights)) == (True, done, 1)
    again, leads = flights.board(KEY)
    assert leads
    assert again is not flight


def test_a_child_starts_with_none() -> None:
    """After a fork the child leads where its parent does, and does not disturb it."""
    flights = Flights()
    mine, _ = flights.board(KEY)
    child = os.fork()
    if child == 0:
        empty = len(flights) == 0
        _, leads = flights.board(KEY)
        os._exit(0 if empty and leads else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert flights.board(KEY) == (mine, False)


@pytest.mark.parametrize("first", ["land", "crash"])
@pytest.mark.parametrize("second", ["land", "crash"])
async def test_a_flight_ends_once(first: str, second: str) -> None:
    """What ended it first holds; later ends and pieces change nothing, not even for a new flight of the key."""
    flights = Flights()
    flight, _ = flights.board(KEY)
    flight.show(chunk("a"), SOURCE)
    landed = entry("first")
    for end, result in ((first, landed), (second, entry("second"))):
        if end == "land":
            flight.land(result)
        else:
            flight.crash()
        new, _ = flights.board(KEY)
    flight.show(chunk("b"), SOURCE)
    assert flight.entry is (landed if first == "land" else None)
    assert await flight.wait(timeout_s=LONG_S) is flight.entry
    assert await followed(flight) == ["a"]
    assert flights.board(KEY) == (new, False)


async def test_a_follower_gets_what_came_and_then_the_rest() -> None:
    """Whenever it boards, it gets every piece once and in order, and what the flight landed with."""
    flights = Flights()
    flight, _ = flights.board(KEY)
    followers = []
    for number in range(5):
        followers.append(asyncio.create_task(followed(flights.board(KEY)[0])))
        await rest(number)
        flight.show(chunk(str(number)), SOURCE)
    await rest(2)
    assert flight.followers == 5
    flight.land(entry())
    assert await asyncio.gather(*followers) == [["0", "1", "2", "3", "4"]] * 5
    assert (flight.followers, waiting(flight)) == (0, 0)
    assert await followed(flight) == ["0", "1", "2", "3", "4"]


async def test_of_those_whose_leader_crashed_one_leads() -> None:
    """They see what had come until then, and board again; exactly one of them leads the next flight."""
    flights = Flights()
    flight, _ = flights.board(KEY)

    async def again() -> tuple[list[str], bool]:
        return await followed(flight), flights.board(KEY)[1]

    tasks = [asyncio.create_task(again()) for _ in range(10)]
    flight.show(chunk("half"), SOURCE)
    await rest(3)
    flight.crash()
    seen = await asyncio.gather(*tasks)
    assert [texts for texts, _ in seen] == [["half"]] * 10
    assert sum(leads for _, leads in seen) == 1


async def test_who_wants_the_end_alone_sleeps_through_the_pieces() -> None:
    """Pieces do not wake it; the end does."""
    flight, _ = Flights().board(KEY)
    task = asyncio.create_task(flight.wait(timeout_s=LONG_S))
    await rest(1)
    before = list(flight._for_end)  # noqa: SLF001 - that nobody was woken shows nowhere else
    for _ in range(10):
        flight.show(chunk("a"), SOURCE)
        await rest(1)
    assert list(flight._for_end) == before  # noqa: SLF001 - as above
    done = entry()
    flight.land(done)
    assert await task is done


async def test_a_flight_that_is_too_long_is_left() -> None:
    """A follower's own time counts, whatever came until then; the flight goes on without it."""
    flight, _ = Flights().board(KEY)
    flight.show(chunk("a"), SOURCE)
    async with aclosing(flight.follow(timeout_s=0.01)) as chunks:
        assert (await anext(chunks)).text == "a"
        with pytest.raises(TimeoutError, match=r"^an equal request that is under way did not end within 0\.0 s$"):
            await anext(chunks)
    with pytest.raises(TimeoutError):
        await flight.wait(timeout_s=0.01)
    with pytest.raises(TimeoutError):
        await flight.wait(timeout_s=-1.0)
    assert (flight.followers, waiting(flight), flight.ended) == (0, 0, False)


async def test_time_runs_while_a_follower_dawdles() -> None:
    """One who reads slowly what has come is told only when there is no more of it."""
    flight, _ = Flights().board(KEY)
    flight.show(chunk("a"), SOURCE)
    flight.show(chunk("b"), SOURCE)
    async with aclosing(flight.follow(timeout_s=0.001)) as chunks:
        assert (await anext(chunks)).text == "a"
        await asyncio.sleep(0.02)
        assert (await anext(chunks)).text == "b"
        with pytest.raises(TimeoutError):
            await anext(chunks)


async def test_time_runs_while_pieces_come() -> None:
    """Pieces that come so fast that the loop gets no turn do not keep a follower past its time."""
    flight, _ = Flights().board(KEY)
    flight.show(chunk("a"), SOURCE)
    async with aclosing(flight.follow(timeout_s=0.0)) as chunks:
        assert (await anext(chunks)).text == "a"
        flight.show(chunk("b"), SOURCE)
        with pytest.raises(TimeoutError):
            await anext(chunks)


async def test_an_end_counts_although_the_time_is_up() -> None:
    """Where both come together, the follower takes the result."""
    flight, _ = Flights().board(KEY)
    flight.show(chunk("a"), SOURCE)
    done = entry()
    task = asyncio.create_task(flight.wait(timeout_s=0.01))
    stream = asyncio.create_task(followed(flight, timeout_s=0.01))
    await rest(2)
    threading.Event().wait(0.05)  # the loop gets no turn, so that nobody learns that the time is up
    flight.show(chunk("b"), SOURCE)
    flight.land(done)
    assert await task is done
    assert await stream == ["a", "b"]
    assert await flight.wait(timeout_s=-1.0) is done
    assert await followed(flight, timeout_s=-1.0) == ["a", "b"]


@pytest.mark.parametrize("streamed", [True, False])
async def test_who_is_cancelled_leaves_nothing_behind(streamed: bool) -> None:
    """One follower of two gives up: it is on no list any more, and the other one notices nothing."""
    flight, _ = Flights().board(KEY)
    gone: asyncio.Task[object] = asyncio.create_task(followed(flight) if streamed else flight.wait(timeout_s=LONG_S))
    stays = asyncio.create_task(followed(flight))
    await rest(2)
    assert (flight.followers, waiting(flight)) == (2, 2)
    gone.cancel()
    flight.show(chunk("a"), SOURCE)  # it may be woken and cancelled at once
    with pytest.raises(asyncio.CancelledError):
        await gone
    await rest(2)
    assert (flight.followers, waiting(flight)) == (1, 1)
    flight.land(entry())
    assert await stays == ["a"]


async def test_who_leaves_between_two_pieces_leaves_nothing_behind() -> None:
    """A stream that is closed early, and one that nobody read at all, are not counted."""
    flight, _ = Flights().board(KEY)
    flight.show(chunk("a"), SOURCE)
    unread = flight.follow(timeout_s=LONG_S)
    async with aclosing(flight.follow(timeout_s=LONG_S)) as chunks:
        await anext(chunks)
        assert flight.followers == 1
    assert (flight.followers, waiting(flight)) == (0, 0)
    await unread.aclose()


async def test_a_slow_follower_holds_up_nobody() -> None:
    """The leader shows everything without a single turn of the loop; whoever reads slowly gets it all the same."""
    flight, _ = Flights().board(KEY)
    slow = asyncio.create_task(followed(flight, turns=5))
    quick = asyncio.create_task(followed(flight))
    await rest(2)
    texts = [str(number) for number in range(50)]
    for text in texts:
        flight.show(chunk(text), SOURCE)
    flight.land(entry())
    assert await quick == texts
    assert not slow.done()
    assert await slow == texts


def test_a_closed_loop_is_passed_over() -> None:
    """Who waits on a loop that was closed under it does not keep the leader from waking the others."""
    flight, _ = Flights().board(KEY)
    closed = asyncio.new_event_loop()

    gone = flight.wait(timeout_s=LONG_S)

    async def begin() -> None:
        gone.send(None)

    closed.run_until_complete(begin())
    closed.close()
    assert (flight.followers, waiting(flight)) == (1, 1)
    done = entry()
    with ThreadPoolExecutor(1) as alive:
        task = alive.submit(asyncio.run, flight.wait(timeout_s=LONG_S))
        while flight.followers < 2:
            threading.Event().wait(0.001)
        flight.land(done)
        assert task.result() is done
    gone.close()
    assert (flight.followers, waiting(flight)) == (0, 0)


class Interrupted(asyncio.SelectorEventLoop):
    """A loop on which something happens at the moment at which somebody gets ready to wait."""

    happens: Callable[[], None] | None = None

    def create_future(self) -> asyncio.Future[Any]:
        happens, self.happens = self.happens, None
        if happens is not None:
            happens()
        return super().create_future()


@pytest.mark.parametrize("streamed", [True, False])
def test_what_comes_as_one_lies_down_wakes_it(streamed: bool) -> None:
    """News from another thread between the look whether there is any and the wait for some is not slept through."""
    flight, _ = Flights().board(KEY)
    with asyncio.Runner(loop_factory=Interrupted) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Interrupted)

        async def follow() -> list[str]:
            loop.happens = lambda: flight.show(chunk("a"), SOURCE)
            async with aclosing(flight.follow(timeout_s=LONG_S)) as chunks:
                seen = [(await anext(chunks)).text]
                loop.happens = lambda: flight.land(entry())
                return seen + [piece.text async for piece in chunks]

        async def wait() -> Entry | None:
            loop.happens = lambda: flight.land(entry())
            return await flight.wait(timeout_s=LONG_S)

        if streamed:
            assert runner.run(follow()) == ["a"]
        else:
            assert runner.run(wait()) == entry()
    assert waiting(flight) == 0


async def test_a_thousand_tasks_share_one_call() -> None:
    """Each gets everything, in order, and the call was one."""
    flights = Flights()
    calls = 0
    texts = [str(number) for number in range(30)]

    async def ask() -> list[str]:
        nonlocal calls
        flight, leads = flights.board(KEY)
        if not leads:
            return await followed(flight)
        calls += 1
        await rest(3)
        for text in texts:
            flight.show(chunk(text), SOURCE)
            await rest(1)
        flight.land(entry())
        return texts

    assert await asyncio.gather(*(ask() for _ in range(MANY))) == [texts] * MANY
    assert (calls, len(flights)) == (1, 0)


def test_eight_threads_share_one_call() -> None:
    """Followers on eight loops of eight threads get everything in order from a leader that has no loop at all."""
    flight, _ = Flights().board(KEY)
    texts = [str(number) for number in range(200)]

    async def many(number: int) -> list[list[str]]:
        return await asyncio.gather(*(followed(flight, turns=n % 3) for n in range(number)))

    with ThreadPoolExecutor(8) as threads:
        tasks = [threads.submit(asyncio.run, many(MANY // 8)) for _ in range(8)]
        for number, text in enumerate(texts):
            while number == 100 and flight.followers < MANY:
                threading.Event().wait(0.001)
            flight.show(chunk(text), SOURCE)
        flight.land(entry())
        for task in tasks:
            assert task.result() == [texts] * (MANY // 8)
    assert (flight.followers, waiting(flight)) == (0, 0)


def test_threads_that_crash_and_board_again() -> None:
    """Leaders on eight loops fail over and over: no crashed flight is boarded again, and all others have an answer."""
    flights, crashes, failed = Flights(), 40, threading.Semaphore(40)
    led: list[bool] = []

    async def ask() -> bool:
        """Returns whether it got the answer; False where it led and failed."""
        last = None
        while True:
            flight, leads = flights.board(KEY)
            assert flight is not last
            last = flight
            if not leads:
                await followed(flight)
                if flight.entry is not None:
                    return True
                continue
            fails = failed.acquire(blocking=False)
            led.append(fails)
            await rest(5)
            if fails:
                flight.crash()
                return False
            flight.land(entry())
            return True

    async def many() -> list[bool]:
        return await asyncio.gather(*(ask() for _ in range(20)))

    with ThreadPoolExecutor(8) as threads:
        tasks = [threads.submit(asyncio.run, many()) for _ in range(8)]
        answered = [got for task in tasks for got in task.result()]
    assert answered.count(False) == led.count(True) == crashes
    assert len(flights) == 0


@dataclass(frozen=True, kw_only=True)
class Lead:
    """How a leader fares: after each of its pieces it takes so many turns; what comes in the end."""

    turns: tuple[int, ...]
    end: Literal["land", "crash", "cancel"]


@dataclass(frozen=True, kw_only=True)
class Caller:
    """When it comes, how slowly it reads, whether it reads pieces, and when it gives up, in turns of the loop."""

    at: int
    pace: int
    streamed: bool
    gives_up_at: int | None


@dataclass(kw_only=True)
class World:
    """Callers of one key; leaders fare as planned, and those beyond the plan land at once."""

    plan: list[Lead]
    flights: Flights = field(default_factory=Flights)
    flown: list[Flight] = field(default_factory=list)

    async def ask(self, caller: Caller) -> None:
        """Leads or follows until it has the answer, and checks what it got."""
        await rest(caller.at)
        while True:
            flight, leads = self.flights.board(KEY)
            if leads:
                return await self.lead(flight)
            texts = await followed(flight, turns=caller.pace) if caller.streamed else None
            landed = await flight.wait(timeout_s=LONG_S)
            whole = self.texts(flight)
            assert flight.ended
            assert texts in (None, whole)
            if landed is not None:
                assert landed is flight.entry
                assert landed.answer is not None
                assert landed.answer.text == "".join(whole)
                return None

    async def lead(self, flight: Flight) -> None:
        """Shows pieces and ends as planned."""
        number = len(self.flown)
        self.flown.append(flight)
        planned = self.plan[number] if number < len(self.plan) else Lead(turns=(), end="land")
        try:
            for piece, turns in enumerate(planned.turns):
                flight.show(chunk(f"{number}.{piece} "), SOURCE)
                await rest(turns)
            if planned.end == "land":
                flight.land(entry("".join(self.texts(flight))))
            elif planned.end == "cancel":
                raise asyncio.CancelledError
        finally:
            flight.crash()

    @staticmethod
    def texts(flight: Flight) -> list[str]:
        """Returns the texts of all pieces shown."""
        return [piece.text for piece in flight._chunks]  # noqa: SLF001 - what a follower got is compared with this


LEADS = st.builds(
    Lead,
    turns=st.lists(st.integers(0, 3), max_size=5).map(tuple),
    end=st.sampled_from(["land", "crash", "cancel"]),
)
CALLERS = st.builds(
    Caller,
    at=st.integers(0, 12),
    pace=st.integers(0, 3),
    streamed=st.booleans(),
    gives_up_at=st.none() | st.integers(0, 15),
)
ROUNDS = 2_000  # twelve callers that lead one after the other, each with all its turns, need some 500


@given(plan=st.lists(LEADS, max_size=8), callers=st.lists(CALLERS, min_size=1, max_size=12))
def test_whatever_happens_nobody_waits_for_ever(plan: list[Lead], callers: list[Caller]) -> None:
    """Leaders fail, callers come, dawdle and give up in any order: who stays gets a whole answer; nothing is left."""

    async def play() -> None:
        world = World(plan=plan)
        tasks = [asyncio.create_task(world.ask(caller)) for caller in callers]
        for turn in range(ROUNDS):
            for caller, task in zip(callers, tasks, strict=True):
                if caller.gives_up_at == turn:
                    task.cancel()
            if all(task.done() for task in tasks):
                break
            await asyncio.sleep(0)
        assert all(task.done() for task in tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()
        assert len(world.flights) == 0
        assert all(flight.ended and not flight.followers and not waiting(flight) for flight in world.flown)

    asyncio.run(play())


def test_a_loop_that_was_closed_under_a_leader_holds_up_nobody() -> None:
    """Nobody will end its flight, so whoever comes next finds it crashed, and leads."""
    flights = Flights()

    async def board() -> tuple[Flight, bool]:
        return flights.board(KEY)

    stranded, leads = asyncio.run(board())
    assert leads
    mine, leads = asyncio.run(board())
    assert leads
    assert mine is not stranded
    assert stranded.ended
