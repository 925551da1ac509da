"""Tells Hypothesis how to draw lowfare's types, so that `st.from_type(Request)` gives requests that could be.

Hypothesis calls `register` whenever it is imported, by `lowfare_plugins.hypothesis`: so this module imports no more
than `router` itself does, and a strategy is made when its type is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from hypothesis import strategies as st

from router import (
    Answer,
    Candidate,
    Context,
    Failure,
    Features,
    Hints,
    Model,
    ModelStats,
    Policy,
    Price,
    Purse,
    Rates,
    Request,
    Slate,
    TokenCount,
    Usage,
)

_STRATEGIES: Final[dict[type, str]] = {
    Answer: "outcomes:answers",
    Candidate: "slates:candidates",
    Context: "slates:contexts",
    Failure: "outcomes:failures",
    Features: "slates:features",
    Hints: "requests:hints",
    Model: "models:models",
    ModelStats: "slates:stats",
    Policy: "policies:policies",
    Price: "models:prices",
    Purse: "slates:purses",
    Rates: "models:rates",
    Request: "requests:requests",
    Slate: "slates:slates",
    TokenCount: "slates:token_counts",
    Usage: "outcomes:usages",
}
"""By type, the module `router.testing.strategies_*` and the function in it."""


def register() -> None:
    """Registers a strategy for each of lowfare's types that has rules of its own."""
    for drawn, place in _STRATEGIES.items():
        st.register_type_strategy(drawn, _later(place))


def _later(place: str) -> Callable[[type], st.SearchStrategy[Any]]:
    module, _, name = place.partition(":")

    def made(_: type) -> st.SearchStrategy[Any]:
        strategy: st.SearchStrategy[Any] = getattr(import_module(f"router.testing.strategies_{module}"), name)()
        return strategy

    return made
