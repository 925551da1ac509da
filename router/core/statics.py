"""What can be said of a policy before any request: its limits, its patterns, the models it may leave.

Each function asks the policy's method of the same name where it has one, and otherwise gives the answer that promises
nothing. What is wanted counted, matched or kept is asked of the policies inside a policy too; what comes of several
together only the policy that holds them can say.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from router.core.catalog import Model
from router.core.naming import allowed
from router.core.patterns import ADVICE, runaway
from router.core.policy import Policy


def parts(
    value: Any, /, *, path: tuple[str | int, ...] = (), elsewhere: frozenset[int] = frozenset()
) -> Iterator[tuple[tuple[str | int, ...], Policy]]:
    """Yields the policies in a policy's fields at any depth, itself first, each with its path.

    Args:
        value: the policy; or a list, a mapping or a dataclass with policies in it.
        path: what all paths begin with.
        elsewhere: `id` of those to leave out, with what is in them.
    """
    if id(value) in elsewhere or isinstance(value, str):
        return
    if callable(value):
        yield path, cast("Policy", value)
    if isinstance(value, Mapping):
        below: Iterable[tuple[str | int, Any]] = value.items()
    elif isinstance(value, tuple | list):
        below = enumerate(value)
    elif dataclasses.is_dataclass(value):
        below = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
    else:
        return
    for key, inner in below:
        yield from parts(inner, path=(*path, key), elsewhere=elsewhere)


def problems(policy: Policy, catalog: Mapping[str, Model], /) -> tuple[str, ...]:
    """Returns what is wrong with the policy's own options, one sentence each, which starts with the option."""
    return tuple(_ask(policy, "problems", (), catalog))


def token_limits(policy: Policy, /) -> frozenset[int]:
    """Returns the input-token counts at which its choice, or that of a policy inside it, changes."""
    return frozenset(asked for _, part in parts(policy) for asked in _ask(part, "token_limits", ()))


def total_token_limits(policy: Policy, /) -> frozenset[int]:
    """Returns the counts of input and largest output together at which its choice, or one inside it, changes."""
    return frozenset(asked for _, part in parts(policy) for asked in _ask(part, "total_token_limits", ()))


def patterns(policy: Policy, /) -> frozenset[str]:
    """Returns the regular expressions that it, or a policy inside it, wants matched against the last user message."""
    return frozenset(asked for _, part in parts(policy) for asked in _ask(part, "patterns", ()))


def pattern_fault(pattern: str, /) -> str | None:
    """Returns why a regular expression must not be matched against what users write; None where it may."""
    try:
        re.compile(pattern)
    except re.error as error:
        return f"{pattern!r} is not a regular expression: {error}"
    if (part := runaway(pattern)) is not None:
        return f"{part!r} repeats what can match in several ways, which can take hours on a line of text; {ADVICE}"
    return None


def may_leave(policy: Policy, catalog: Mapping[str, Model], /) -> dict[str, Model]:
    """Returns those models of the catalog that can be live after it, for some request; all where it does not say."""
    names = frozenset(_ask(policy, "may_leave", catalog, catalog))
    return {name: model for name, model in catalog.items() if name in names}


def never_empties(policy: Policy, /) -> bool:
    """Returns whether it is sure to leave a live candidate of a slate that has one; False where it does not say."""
    return bool(_ask(policy, "never_empties", otherwise=False))


def reads_stats(policy: Policy, /) -> bool:
    """Returns whether it, or a policy inside it, reads `context.stats`; True where one of them does not say."""
    return any(_ask(part, "reads_stats", otherwise=True) for _, part in parts(policy))


def reads_budgets(policy: Policy, /) -> frozenset[str]:
    """Returns names of the budgets that it itself says it looks at; those inside it say so themselves."""
    return frozenset(_ask(policy, "reads_budgets", ()))


def misnamed(named: Iterable[tuple[str, str]], catalog: Mapping[str, Model], /) -> Iterator[str]:
    """Yields a problem for each name that no model of the catalog has, and for each that stands there twice.

    Args:
        named: pairs of option and name: ("models[0]", "small").
        catalog: the models there are.
    """
    seen: dict[str, str] = {}
    for option, name in named:
        if name not in catalog:
            yield f"{option}: no model is named {name!r}; {allowed(name, catalog)}"
        elif name in seen:
            yield f"{option}: {name!r} stands in {seen[name]} already; name it once"
        seen.setdefault(name, option)


def _ask(policy: Policy, method: str, /, otherwise: Any, *arguments: Any) -> Any:
    answer = getattr(policy, method, None)
    return otherwise if answer is None else answer(*arguments)
