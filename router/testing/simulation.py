"""Runs a scenario: the production router in a world where only clients and clocks are scripted."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, Protocol

from router.clock import Clock
from router.config import Settings
from router.core.decision import Decision
from router.core.place import ModelState
from router.errors import RouterError, RouterWarning
from router.registry import installed
from router.router import Router
from router.sinks.sink import Sink
from router.testing.providers import ScriptedProvider
from router.testing.report import Outcome, Recorded, Report, report_of
from router.testing.scenario import Scenario
from router.testing.traffic import Arrival
from router.testing.world import World

_WORD: Final = "word "
_WORDS: Final = _WORD * 4096
_PREFIX_TOKENS: Final = 12
"""What the chat template and the first words of a prompt take of its tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a contender plays on."""

    scenario: Scenario
    seed: int
    clock: Clock
    settings: Settings
    provider: ScriptedProvider


class Contender(Protocol):
    """Whatever answers requests with the help of providers: the router, or what it is compared with."""

    async def ask(self, arrival: Arrival, /) -> str:
        """Returns "answer", "empty", or what went wrong; may be cancelled."""
        ...

    async def aclose(self) -> None:
        """Lets go of everything."""
        ...

    @property
    def records(self) -> list[Recorded] | None:
        """The records it kept; None where it keeps none."""
        ...

    @property
    def held(self) -> tuple[str, ...]:
        """What it holds though nobody asks any more, in words; nothing in one that is sound."""
        ...


def prompt_of(arrival: Arrival, /) -> str:
    """Returns a prompt of about so many tokens as the arrival says; each is different."""
    words = max(1, arrival.input_tokens - _PREFIX_TOKENS)
    text = _WORDS[: len(_WORD) * words] if words <= len(_WORDS) // len(_WORD) else _WORD * words
    return f"Request {arrival.index}: {text}"


@dataclass(slots=True)
class _Kept:
    """A sink in memory."""

    records: list[Recorded] = field(default_factory=list)

    def emit(self, decision: Decision, /) -> None:
        self.records.append(Recorded.of(decision))

    def close(self) -> None:
        """Has nothing to let go of."""


class Routed:
    """lowfare as a contender.

    Args:
        stage: what it plays on.
        sinks: where its decisions go besides the report.
    """

    def __init__(self, stage: Stage, *, sinks: Iterable[Sink] = ()) -> None:
        self._kept = _Kept()
        self._options = stage.scenario.traffic.options
        self._router = Router(
            stage.settings,
            clients=dict.fromkeys(installed("lowfare.clients").kinds, stage.provider),
            sinks=[self._kept, *sinks],
            clock=stage.clock,
        )

    @property
    def records(self) -> list[Recorded] | None:
        """What the router recorded."""
        return self._kept.records

    @property
    def held(self) -> tuple[str, ...]:
        """Places, turns in a queue and probes that nobody gave back."""
        return tuple(chain.from_iterable(_held(name, state) for name, state in self._router.health().items()))

    async def ask(self, arrival: Arrival, /) -> str:
        """Returns what the caller got."""
        # Every draw of a router follows from its seed and the request's id, and this one from the simulation's seed.
        options = {**self._options, "trace_id": arrival.trace_id, "request_id": arrival.trace_id}
        try:
            if arrival.stream:
                return await self._stream(arrival, options)
            reply = await self._router.acomplete(prompt_of(arrival), **options)
        except RouterError as error:
            return type(error).__name__
        return "answer" if reply.text else "empty"

    async def _stream(self, arrival: Arrival, options: dict[str, Any]) -> str:
        pieces = 0
        text = False
        async with self._router.astream(prompt_of(arrival), **options) as stream:
            async for chunk in stream:
                pieces += 1
                text = text or bool(chunk.text)
                if pieces == arrival.pieces:
                    return "gave_up"
        return "answer" if text else "empty"

    async def aclose(self) -> None:
        """Closes the router."""
        await self._router.aclose()


def _held(name: str, state: ModelState) -> Iterator[str]:
    if state.in_flight:
        yield f"{state.in_flight} places at {name}"
    if state.queued:
        yield f"{state.queued} turns in the queue of {name}"
    for deployment, own in state.deployments.items():
        if own.in_flight:
            yield f"{own.in_flight} attempts at {name}/{deployment}"
        if own.shut_s is None:
            yield f"the probe of {name}/{deployment}"


def simulate(scenario: Scenario, seed: int = 0, *, contender: Callable[[Stage], Contender] = Routed) -> Report:
    """Returns what came of a scenario; the same scenario and seed give the same report.

    Args:
        scenario: what happens.
        seed: of every draw.
        contender: who answers; the router where nothing else is said.

    Raises:
        ConfigError: the scenario is wrong.
        DeadlockError: requests wait for what never comes.
    """
    arrivals = scenario.traffic.arrivals(seed)
    settings = scenario.settings()
    with World() as world:
        provider = ScriptedProvider(
            world.clock, {a.trace_id: a for a in arrivals}, scenario.providers, scenario.troubles, seed
        )
        stage = Stage(scenario=scenario, seed=seed, clock=world.clock, settings=settings, provider=provider)
        player = contender(stage)
        with _warned() as warned:
            outcomes, leaked = world.run(_play(player, arrivals, scenario, world))
        # Before the world ends, which would close what was left open.
        return report_of(scenario, seed, outcomes, provider.entries, player.records, leaked, warned)


@contextmanager
def _warned() -> Iterator[list[str]]:
    """Collects what the router warned of: what costs nobody an answer, in a world where nothing may go wrong."""
    told: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RouterWarning)
        yield told
    for warning in caught:
        if issubclass(warning.category, RouterWarning):
            told.append(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


async def _play(
    player: Contender, arrivals: list[Arrival], scenario: Scenario, world: World
) -> tuple[list[Outcome], tuple[str, ...]]:
    """Lets every request arrive at its time; returns what became of them, and what was left over."""
    loop = asyncio.get_running_loop()
    for trouble in scenario.troubles:
        if trouble.kind == "clock_jump":
            loop.call_at(trouble.start_s, world.clock.jump, trouble.jump_s)
    outcomes: list[Outcome] = []
    done = loop.create_future()
    waiting = iter(arrivals)

    running = len(arrivals)

    def ended(_: asyncio.Task[None]) -> None:
        nonlocal running
        running -= 1
        if not running:
            done.set_result(None)

    def arrive(arrival: Arrival) -> None:
        """Starts one request, and sees to the next; a timer for each is quicker than a task that sleeps."""
        loop.create_task(_ask(player, arrival, outcomes), name="request").add_done_callback(ended)
        if (following := next(waiting, None)) is not None:
            loop.call_at(following.at_s, arrive, following)

    if (first := next(waiting, None)) is not None:
        loop.call_at(first.at_s, arrive, first)
        await done
    await player.aclose()
    tasks = sorted(task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()})
    return outcomes, (*(f"the task {name!r}" for name in tasks), *player.held)


async def _ask(player: Contender, arrival: Arrival, outcomes: list[Outcome]) -> None:
    loop = asyncio.get_running_loop()
    arrived = loop.time()
    try:
        if arrival.patience_s is None:
            what = await player.ask(arrival)
        else:
            async with asyncio.timeout(arrival.patience_s):
                what = await player.ask(arrival)
    except TimeoutError:
        what = "gave_up"
    except Exception as error:  # noqa: BLE001 - a bug in a contender is a finding of the report, not the end of it
        what = f"crash {type(error).__name__}: {error}"
    outcomes.append(Outcome(arrival=arrival, what=what, took_s=loop.time() - arrived))
