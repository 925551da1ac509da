"""What can be said of a policy before any request: its limits, its patterns, the models it may leave.

Each function asks the policy's method of the same name where it has one, and otherwise gives the answer that promises
nothing. Policies that hold other policies pass questions on with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from router.core.catalog import Model
from router.core.naming import allowed
from router.core.policy import Policy


def problems(policy: Policy, catalog: Mapping[str, Model], /) -> tuple[str, ...]:
    """Returns what is wrong with the policy's own options, one sentence each, which starts with the option."""
    return tuple(_ask(policy, "problems", (), catalog))


def token_limits(policy: Policy, /) -> frozenset[int]:
    """Returns the input-token counts at which its choice changes."""
    return frozenset(_ask(policy, "token_limits", ()))


def total_token_limits(policy: Policy, /) -> frozenset[int]:
    """Returns the counts of input and largest output together at which its choice changes."""
    return frozenset(_ask(policy, "total_token_limits", ()))


def patterns(policy: Policy, /) -> frozenset[str]:
    """Returns the regular expressions that it wants matched against the last user message."""
    return frozenset(_ask(policy, "patterns", ()))


def may_leave(policy: Policy, catalog: Mapping[str, Model], /) -> dict[str, Model]:
    """Returns those models of the catalog that can be live after it, for some request; all where it does not say."""
    names = frozenset(_ask(policy, "may_leave", catalog, catalog))
    return {name: model for name, model in catalog.items() if name in names}


def never_empties(policy: Policy, /) -> bool:
    """Returns whether it is sure to leave a live candidate of a slate that has one; False where it does not say."""
    return bool(_ask(policy, "never_empties", otherwise=False))


def reads_stats(policy: Policy, /) -> bool:
    """Returns whether it reads `context.stats`; True where it does not say."""
    return bool(_ask(policy, "reads_stats", otherwise=True))


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
