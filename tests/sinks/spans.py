"""Routers whose spans stay in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

from router import Router
from router.sinks.otel import OtelSink
from router.testing.scripted import ScriptedClient
from tests.cache.routers import Kept, routed


class Traced:
    """A router whose spans stay in memory, in a provider as an application might have set it.

    Args:
        client: who answers.
        sampler: of the provider.
        sink: options of the sink.
        **more: tables of the configuration.
    """

    def __init__(
        self,
        client: Any = None,
        *,
        sampler: Sampler | None = None,
        sink: dict[str, Any] | None = None,
        clock: Any = None,
        store: Any = None,
        **more: Any,
    ) -> None:
        self._exporter = InMemorySpanExporter()
        self.client = ScriptedClient() if client is None else client
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.kept = Kept()
        self.sink = OtelSink(provider=self.provider, **(sink or {}))
        self.router: Router = routed(self.client, self.kept, self.sink, clock=clock, store=store, **more)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """All spans that ended, in that order."""
        return self._exporter.get_finished_spans()

    def named(self, start: str) -> ReadableSpan:
        """Returns the only span whose name begins so."""
        (found,) = [span for span in self.spans if span.name.startswith(start)]
        return found


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Sets variables for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
