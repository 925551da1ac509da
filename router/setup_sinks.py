"""Settings -> sinks: found by entry point, each made with the options of its table.

`[log] path` and `[log] lines` are the short form of the kinds "jsonl" and "log", and `[otel]` of the kinds "otel" and
"otel_metrics".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from router.config import Settings
from router.config_errors import Fault, config_error, key_path
from router.config_sources import Origin, Path
from router.errors import ConfigError
from router.registry import Registry, installed
from router.setup_metrics import otel_metrics
from router.setup_options import wrong_options
from router.setup_traces import otel_traces
from router.sinks.sink import Sink

GROUP: Final = "lowfare.sinks"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSink:
    """A sink that the configuration asks for, checked and not yet made.

    Attributes:
        place: of its table in the configuration.
        make: its class.
        options: what its class is called with, by keyword.
        origin: where the configuration came from.
    """

    place: Path
    origin: Origin
    make: Callable[..., Sink]
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)


def planned_sinks(
    settings: Settings, *, registry: Registry | None = None
) -> tuple[tuple[PlannedSink, ...], list[Fault]]:
    """Returns the sinks that the settings ask for, in their order, and what is wrong with their tables.

    Args:
        settings: as `router.config` made them.
        registry: the kinds there are; None takes what is installed.
    """
    kinds = installed(GROUP) if registry is None else registry
    planned: list[PlannedSink] = []
    faults: list[Fault] = []
    for place, kind, options in _asked_for(settings):
        try:
            make = kinds.load(kind)
        except ConfigError as error:
            faults.append(Fault((*place, "kind"), str(error)))
            continue
        wrong = list(_wrong(make, kind, options))
        faults += [Fault((*place, *path), message) for path, message in wrong]
        if not wrong:
            planned.append(PlannedSink(place=place, origin=settings.origin, make=make, options=options))
    return tuple(planned), faults + list(_served_twice(planned))


def made_sinks(planned: Iterable[PlannedSink]) -> tuple[Sink, ...]:
    """Returns new sinks.

    Raises:
        ConfigError: one refuses its options, or cannot be made; those made before it are closed.
    """
    made: list[Sink] = []
    for plan in planned:
        try:
            made.append(plan.make(**plan.options))
        except Exception as error:
            for sink in made:
                sink.close()
            raise config_error([_fault(plan, error)], plan.origin) from error
    return tuple(made)


def _served_twice(planned: Iterable[PlannedSink]) -> Iterator[Fault]:
    """Yields what is wrong where several sinks have something to serve: `Router.metrics_app` serves one."""
    serving = [plan for plan in planned if callable(getattr(plan.make, "app", None))]
    for plan in serving[1:]:
        yield Fault(plan.place, f"serves metrics, as [{key_path(serving[0].place)}] does already; keep one of them")


def _fault(plan: PlannedSink, error: Exception) -> Fault:
    """Returns what a class says of its options: at the key that its message begins with, where it does."""
    option, _, message = str(error).partition(": ")
    if isinstance(error, ConfigError) and option in plan.options:
        return Fault((*plan.place, option), message)
    return Fault(plan.place, f"cannot be made: {error}")


def _asked_for(settings: Settings) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Yields place, kind and options of each sink."""
    if settings.log.path is not None:
        yield ("log", "path"), "jsonl", {"path": settings.log.path}
    if settings.log.lines:
        yield ("log", "lines"), "log", {}
    traces = otel_traces(settings.otel, os.environ)
    if traces is not None:
        yield ("otel",), "otel", traces
    metrics = otel_metrics(settings.otel, os.environ)
    if metrics is not None:
        yield ("otel",), "otel_metrics", metrics
    for name, table in settings.sinks.items():
        yield ("sinks", name), table.kind, table.options


def _wrong(make: Any, kind: str, options: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yields what is wrong with options, by the parameters of the sink's class."""
    if not (
        isinstance(make, type) and callable(getattr(make, "emit", None)) and callable(getattr(make, "close", None))
    ):
        yield (
            ("kind",),
            f"the kind {kind!r} of {GROUP} leads to {make!r}, which is no sink: a class with emit and close",
        )
        return
    yield from wrong_options(make, f"kind {kind!r}", options)
