"""Which values stand in the labels of metrics: few enough that nobody's memory grows with them.

A system of metrics keeps a series for each combination of label values, so a tag with a value of its own for each
request would fill it. Only listed tags become labels, and each label takes so many values, first come, first served;
all later ones are counted together as "other".
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from router.core.instruments import TAG, TENANT
from router.core.measure import Measurable, Measurement, measurements
from router.errors import ConfigError

OTHER: Final = "other"
VALUES_MOST: Final = 100
"""Values that one label takes."""
COMBINATIONS_MOST: Final = 1_000
"""Combinations of tenant and tags: two labels of a hundred values could make ten thousand, times each metric's own."""
_LONGEST: Final = 200
"""Characters of a value; longer ones are no label's."""


def checked_labels(tags: Sequence[str], /) -> Sequence[str]:
    """Returns the names of tags that are to be labels.

    Raises:
        ValueError: two of them are one label, to OpenTelemetry or to Prometheus: a query must hold whichever way a
            metric came.
    """
    known: dict[str, str] = {}
    for name in tags:
        label = prometheus_label(TAG + name)
        first = known.setdefault(label, name)
        if first != name:
            raise ValueError(f"{first!r} and {name!r} are one label for Prometheus, {label}; allowed: one of them")
    twice = next((name for name in known.values() if tags.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} stands there twice; allowed: once")
    return tags


def prometheus_label(attribute: str, /) -> str:
    """Returns what an attribute is called in Prometheus, by OpenTelemetry's rules."""
    return re.sub(r"[^a-zA-Z0-9]+", "_", attribute)


class MetricLabels:
    """Turns decisions into measurements whose labels take a bounded number of values; safe in several threads.

    Args:
        tags: names of the tags that become labels.
        tenant: whether the tenant becomes one.
        values_most: values that each label takes.

    Raises:
        ConfigError: an argument is not allowed.
    """

    def __init__(self, tags: Iterable[str] = (), *, tenant: bool = False, values_most: int = VALUES_MOST) -> None:
        listed: list[Any] = [tags] if isinstance(tags, str) else list(tags)  # a table may hold anything
        if isinstance(tags, str) or not all(isinstance(name, str) and name for name in listed):
            raise ConfigError(f"labels: found {tags!r:.80}; allowed: a list of names of tags")
        try:
            checked_labels(listed)
        except ValueError as error:
            raise ConfigError(f"labels: {error}") from None
        if values_most < 1:
            raise ConfigError(f"label_values_most: found {values_most!r}; allowed: 1 or more")
        self._tags: dict[str, str] = {name: TAG + name for name in listed}
        self._tenant = tenant
        self._most = values_most
        self._known: dict[str, set[str]] = {}
        self._combined: set[tuple[str, ...]] = set()
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes that measurements may have besides those of their instrument."""
        return (*((TENANT,) if self._tenant else ()), *self._tags.values())

    def measured(self, decision: Measurable, /) -> Iterator[Measurement]:
        """Yields what a decision adds to the metrics."""
        own = self._own(decision.tenant, decision.tags) if self._tenant or self._tags else None
        for measured in measurements(decision):
            attributes = self._bounded(measured.attributes)
            if own:
                yield Measurement(measured.instrument, measured.value, {**attributes, **own})
            elif attributes is measured.attributes:
                yield measured
            else:
                yield Measurement(measured.instrument, measured.value, attributes)

    def _bounded(self, attributes: dict[str, str]) -> dict[str, str]:
        """Returns attributes with values that their labels take; the same ones where they are known already."""
        known = self._known
        for name, value in attributes.items():
            values = known.get(name)
            if values is None or value not in values:
                return {name: self._kept(name, value) for name, value in attributes.items()}
        return attributes

    def _own(self, tenant: str | None, tags: Mapping[str, str]) -> dict[str, str]:
        """Returns the labels that the application listed."""
        own = {}
        if self._tenant and tenant is not None:
            own[TENANT] = self._kept(TENANT, tenant)
        for name, label in self._tags.items():
            if name in tags:
                own[label] = self._kept(label, tags[name])
        combined = tuple(own.get(name, "") for name in self.names)
        if combined not in self._combined:
            with self._lock:
                if len(self._combined) >= COMBINATIONS_MOST:
                    return dict.fromkeys(own, OTHER)
                self._combined.add(combined)
        return own

    def _kept(self, name: str, value: str) -> str:
        known = self._known.get(name)
        if known is not None and value in known:
            return value
        with self._lock:
            known = self._known.setdefault(name, set())
            if len(value) > _LONGEST or (len(known) >= self._most and value not in known):
                return OTHER
            known.add(value)
        return value
