"""What makes a policy a pure function: the same slate and context give the same slate, whatever came before."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date
from decimal import Decimal
from types import FunctionType
from typing import Any, Final, TypeVar

from router import Candidate, Context, Dropped, Features, Policy, Slate, statics
from router.testing.invariants_always import everyone
from router.testing.invariants_guard import reads_during, reads_in_code
from router.testing.invariants_shown import Counterexample, called, difference, outcome_of
from router.testing.strategies_vocabulary import functions_of

K = TypeVar("K")
V = TypeVar("V")

_REPEATS: Final = 4
"""Of one call: what remembers every third one, or draws one of two models, shows sooner or later over all examples."""
_COUNTED: Final = (int, float, str, Decimal, date, type(None))
_GATHERED: Final = (list, deque, Counter, bytearray)
"""What is filled call by call. A plain dict or set may be a memory of results, which changes none of them."""


def leaves_its_input_alone(policy: Policy, slate: Slate, context: Context) -> None:
    """Nothing that a policy was given is changed: the next policy, and the record, read it too."""
    given = copied(slate, context)  # so that the message shows what was given, not what became of it
    before = dict(_contents(given))
    called(policy, *given)
    # What was there before is held by the copies still, so no `id` was given away anew.
    for key, (thing, held) in dict(_contents(given)).items():
        if key not in before or before[key][1] != held:
            says = f"it changed a {type(thing).__name__} that it was given"
            raise Counterexample("leaves_its_input_alone", says, policy, slate, context)
    for candidate in everyone(given[0]):
        fresh = dataclasses.replace(candidate)
        for cost in ("expected_usd", "worst_usd"):
            if getattr(candidate, cost) != getattr(fresh, cost):
                says = f"it changed {cost} of {candidate.name!r}"
                raise Counterexample("leaves_its_input_alone", says, policy, slate, context)


def reads_nothing_else(policy: Policy, slate: Slate, context: Context) -> None:
    """A policy looks at its arguments alone: no clock, no chance, no environment, no file. Else nothing replays."""
    called(policy, slate, context)
    if (read := reads_during(policy, slate, context)) is not None:
        raise Counterexample("reads_nothing_else", f"it reads {read}", policy, slate, context)
    if (read := reads_in_code(policy)) is not None:
        raise Counterexample("reads_nothing_else", f"its code may read {read}", policy, slate, context)


def keeps_no_state(policy: Policy, slate: Slate, context: Context) -> None:
    """What a policy was asked before does not matter: requests come in any order, and in several processes."""
    first = outcome_of(called(policy, slate, context))
    before = dict(_memory(policy))
    called(policy, slate, context)
    for where, value in _memory(policy):
        if where not in before or before[where] != value:
            says = f"a call changed {where[-2]}.{where[-1]}: {before.get(where, 'nothing'):.100}, then {value:.100}"
            raise Counterexample("keeps_no_state", says, policy, slate, context)
    for other in _others(slate, context):
        called(policy, *other)
        again = outcome_of(called(policy, slate, context))
        if again != first:
            says = f"after a call with another slate it answered differently: {difference(first, again)}"
            raise Counterexample("keeps_no_state", says, policy, slate, context)


def is_deterministic(policy: Policy, slate: Slate, context: Context) -> None:
    """The same input gives the same output: also as a copy, and with its mappings in another order."""
    first = outcome_of(called(policy, slate, context))
    for _ in range(_REPEATS):
        again = outcome_of(called(policy, slate, context))
        if again != first:
            says = f"the same call gave two answers: {difference(first, again)}"
            raise Counterexample("is_deterministic", says, policy, slate, context)
    copies = []  # all are kept, so that each has its own place in memory
    for backwards in (True, False, True):
        copies.append(copied(slate, context, backwards=backwards))
        again = outcome_of(called(policy, *copies[-1]))
        if again != first:
            says = (
                f"a copy of the input, its mappings in another order, gave another answer: {difference(first, again)}"
            )
            raise Counterexample("is_deterministic", says, policy, slate, context)


def copied(slate: Slate, context: Context, /, *, backwards: bool = False) -> tuple[Slate, Context]:
    """Returns equal values that share no candidate, model or mapping with those given.

    Args:
        slate: of the copy.
        context: of the copy.
        backwards: whether the candidates are made in reverse, so that their places in memory are in another order; and
            whether mappings are in another order.
    """
    of = _features(context.features, backwards=backwards)
    everybody = [*slate.live, *(fallen.candidate for fallen in slate.dropped)]
    made: dict[int, Candidate] = {}
    for candidate in reversed(everybody) if backwards else everybody:
        made[id(candidate)] = _candidate(candidate, of if candidate.features is context.features else None)
    dropped = tuple(Dropped(made[id(f.candidate)], f.by, f.reason) for f in slate.dropped)
    again = dataclasses.replace(
        context,
        features=of,
        tags=_turned(context.tags, backwards=backwards),
        stats=_turned(context.stats, backwards=backwards),
    )
    return Slate(tuple(made[id(candidate)] for candidate in slate.live), dropped), again


def _candidate(candidate: Candidate, of: Features | None) -> Candidate:
    model = candidate.model
    again = dataclasses.replace(model, headers=dict(model.headers), options=dict(model.options))
    return dataclasses.replace(candidate, model=again, features=of or _features(candidate.features))


def _features(of: Features, *, backwards: bool = False) -> Features:
    return dataclasses.replace(of, exact_tokens=_turned(of.exact_tokens, backwards=backwards))


def _turned(mapping: Mapping[K, V], *, backwards: bool) -> dict[K, V]:
    return dict(reversed(list(mapping.items()))) if backwards else dict(mapping)


def _others(slate: Slate, context: Context) -> Iterator[tuple[Slate, Context]]:
    """Yields what else may have been asked before: other slates of the same candidates, and other requests."""
    yield Slate(tuple(reversed(slate.live)), slate.dropped), context
    yield Slate(slate.live[:1], slate.dropped), context
    yield Slate(slate.live[1:], slate.dropped), dataclasses.replace(context, draw=(context.draw + 0.5) % 1.0)
    yield Slate((), slate.dropped), dataclasses.replace(context, tags={}, tenant=None, stats={}, budgets=())


def _memory(policy: Policy) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yields the places in which a policy could remember something, with what stands there now."""
    for path, part in statics.parts(policy):
        for owner, variables in _variables(part):
            for name, value in variables.items():
                if type(value) in _COUNTED or type(value) in _GATHERED or type(value).__module__ == "itertools":
                    yield (*path, owner, name), repr(value)


def _variables(part: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the variables of an instance, of its classes, and of its functions and the modules they stand in."""
    kind = type(part).__name__
    yield kind, getattr(part, "__dict__", {})
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        yield kind, {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
    for cls in type(part).__mro__[:-1]:
        yield cls.__name__, vars(cls)
    for function in functions_of(part):
        used = {name: function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__}
        yield function.__module__, used
        yield function.__qualname__, vars(function)
        yield function.__qualname__, _enclosed(function)
        defaults = function.__defaults__ or ()
        yield function.__qualname__, {f"default {place}": value for place, value in enumerate(defaults)}


def _enclosed(function: FunctionType) -> dict[str, Any]:
    """Returns the variables that a function has from the one around it."""
    found: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # of a name that was not assigned yet
            found[name] = cell.cell_contents
    return found


def _contents(value: Any) -> Iterator[tuple[int, tuple[Any, tuple[Any, ...]]]]:
    """Yields for each value inside, by `id`, the value and what it holds, as `id`s: two walks tell what was changed."""
    held: tuple[Any, ...]
    if isinstance(value, Mapping):
        held = tuple(value.items())
        yield id(value), (value, tuple((key, id(item)) for key, item in held))
        inner = [item for _, item in held]
    elif isinstance(value, tuple | list | set):
        inner = list(value)
        yield id(value), (value, tuple(map(id, inner)))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = [getattr(value, field.name) for field in dataclasses.fields(value) if field.init]
        yield id(value), (value, tuple(map(id, inner)))
    else:
        return
    for item in inner:
        yield from _contents(item)
