"""What sinks of metrics have to do with a router besides decisions: how breakers and budgets stand, and an endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable

from router.core.measure import Measurement, breakers, budgets
from router.core.place import ModelState
from router.errors import ConfigError

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """Looks at a router; each call is quick, waits for nothing, and may come from any thread.

    Attributes:
        health: returns what `Router.health` does.
        budgets_left: returns what is left of each budget in US dollars, by its name and the value of its scope; nothing
            as long as the router has no budgets.
    """

    health: Callable[[], Mapping[str, ModelState]]
    budgets_left: Callable[[], Mapping[tuple[str, str], Decimal]] = dict

    def measured(self) -> Iterator[Measurement]:
        """Yields how breakers and budgets stand."""
        yield from breakers(self.health())
        yield from budgets(self.budgets_left())


@runtime_checkable
class StateSink(Protocol):
    """A sink that looks at the router whose decisions it takes."""

    def observe(self, states: States, /) -> None:
        """Takes what to look through, before the first decision."""
        ...


def show(states: States, sinks: Iterable[object], /) -> None:
    """Gives every sink that looks at the router what to look through."""
    for sink in sinks:
        if isinstance(sink, StateSink):
            sink.observe(states)


@runtime_checkable
class ServingSink(Protocol):
    """A sink that has something to serve over HTTP."""

    def app(self) -> AsgiApp:
        """Returns an ASGI application that serves it."""
        ...


def app_of(sinks: Iterable[object], /) -> AsgiApp:
    """Returns an ASGI application that serves what the first sink that has something has.

    Raises:
        ConfigError: none has.
    """
    for sink in sinks:
        if isinstance(sink, ServingSink):
            return sink.app()
    raise ConfigError('no sink counts for Prometheus: set [sinks.metrics] kind = "prometheus" in the configuration')
