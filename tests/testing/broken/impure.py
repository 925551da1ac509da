"""Policies that look at more than their arguments, remember what they were asked, or change what they were given."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from router import Candidate, Context, ModelStats, Slate

_CALLS = 0
_CHANCE = random.Random(7)
_LATEST: dict[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsTheClock:
    """Avoids the dear models at night, by the clock of the machine in place of `context.now`."""

    kind: Literal["reads_the_clock"] = "reads_the_clock"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        if datetime.now(UTC).hour < 6:
            return slate.drop(lambda c: "is asleep" if c.expected_usd is None else None, by=self.kind)
        return slate


def reads_the_timer(slate: Slate, context: Context, /) -> Slate:
    """Stops sorting when that takes too long."""
    start = time.perf_counter()
    ranked = slate.rank(lambda c: c.name)
    return ranked if time.perf_counter() - start < 1 else slate


def reads_the_clock_in_rare_cases(slate: Slate, context: Context, /) -> Slate:
    """Looks at the clock for one tenant only, whom no test knows."""
    if context.tenant == "a tenant that nobody draws" and time.time() > 0:
        return Slate((), slate.dropped)
    return slate


def chooses_at_random(slate: Slate, context: Context, /) -> Slate:
    """Spreads the load by chance in place of `context.draw`."""
    return slate.rank(lambda c: random.random())


def chooses_by_its_own_chance(slate: Slate, context: Context, /) -> Slate:
    """Has a generator with a seed, whose state depends on how often it was asked."""
    return slate.rank(lambda c: _CHANCE.random())


def reads_the_environment(slate: Slate, context: Context, /) -> Slate:
    """Lets a variable switch models off."""
    off = os.environ.get("MODELS_OFF", "").split(",")
    return slate.drop(lambda c: "is switched off" if c.name in off else None, by="reads_the_environment")


def reads_a_file(slate: Slate, context: Context, /) -> Slate:
    """Lets a file switch models off."""
    off = Path("/etc/hostname")
    text = off.read_text() if off.exists() else ""
    return slate.drop(lambda c: "is switched off" if c.name == text else None, by="reads_a_file")


@dataclass(frozen=True, kw_only=True)
class TakesTurns:
    """Gives each model its turn, by an iterator of its own."""

    turns: Iterator[int] = field(default_factory=itertools.count)
    kind: Literal["takes_turns"] = "takes_turns"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        turn = next(self.turns) % max(1, len(slate.live))
        return Slate(slate.live[turn:] + slate.live[:turn], slate.dropped)


def counts_its_calls(slate: Slate, context: Context, /) -> Slate:
    """Sends every hundredth request elsewhere, by a counter of its module."""
    global _CALLS  # noqa: PLW0603 - the fault
    _CALLS += 1
    return Slate(tuple(reversed(slate.live)), slate.dropped) if _CALLS % 100 == 0 else slate


class AvoidsTheLast:
    """Does not ask the same model twice in a row."""

    def __init__(self) -> None:
        self.last: str | None = None

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        ranked = slate.rank(lambda c: c.name == self.last)
        if ranked.live:
            self.last = ranked.live[0].name
        return ranked


class GathersWhatItSees:
    """Keeps all names, for a report."""

    def __init__(self) -> None:
        self.seen: deque[str] = deque()

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        self.seen.extend(candidate.name for candidate in slate.live)
        return slate


def prefers_whom_it_met(slate: Slate, context: Context, /) -> Slate:
    """Stays with the model that it met first under a tenant, whatever was asked in between."""
    first = _LATEST.setdefault("last", slate.live[0].name if slate.live else "")
    _LATEST["last"] = slate.live[-1].name if slate.live else first
    return slate.rank(lambda c: c.name != first)


def ranks_by_identity(slate: Slate, context: Context, /) -> Slate:
    """Sorts by where the candidates lie in memory."""
    return Slate(tuple(sorted(slate.live, key=id)), slate.dropped)


def takes_the_first_tag(slate: Slate, context: Context, /) -> Slate:
    """Prefers the model that the first tag names, whichever tag that is."""
    first = next(iter(context.tags.values()), None)
    return slate.rank(lambda c: c.name != first)


def takes_the_first_statistics(slate: Slate, context: Context, /) -> Slate:
    """Prefers the model whose statistics happen to come first."""
    first = next(iter(context.stats), None)
    return slate.rank(lambda c: c.name != first)


def writes_a_tag(slate: Slate, context: Context, /) -> Slate:
    """Leaves a note for the next policy."""
    tags: Any = context.tags
    tags["seen"] = "yes"
    return slate


def forgets_statistics(slate: Slate, context: Context, /) -> Slate:
    """Takes out of the snapshot what it does not believe."""
    stats: dict[str, ModelStats] = context.stats  # type: ignore[assignment]  # the fault
    for name in [name for name, seen in stats.items() if seen.attempts == 0]:
        del stats[name]
    return slate


def corrects_a_price(slate: Slate, context: Context, /) -> Slate:
    """Sets the cost of what it takes to be free, for all who look later."""
    for candidate in slate.live:
        if candidate.expected_usd is None:
            candidate.__dict__["expected_usd"] = 0
    return slate


def sorts_in_place(slate: Slate, context: Context, /) -> Slate:
    """Orders the slate that it was given, by force."""

    def name(candidate: Candidate) -> str:
        return candidate.name

    object.__setattr__(slate, "live", tuple(sorted(slate.live, key=name, reverse=True)))
    return slate
