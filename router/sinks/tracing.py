"""Ids of requests, and whose span a request is below.

Every router has something that names its requests: a sink that makes spans where there is one, else `Ambient`. Neither
imports OpenTelemetry before somebody else has, or the configuration asks for it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol, runtime_checkable

from router.core.decision import Decision, Ids
from router.core.request import Request
from router.sinks.sink import Sink

Signal = Literal["TRACES", "METRICS"]
"""As in the names of the standard variables."""

API: Final = "opentelemetry.trace"
"""The module that knows the current span; as long as nobody has imported it there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceStats:
    """What became of the spans that this process exported itself, the application's own provider aside.

    Attributes:
        exported: taken by the collector.
        dropped: lost since the queue was full.
        failed: lost since the collector did not take them.
        waiting: not on their way yet.
    """

    exported: int = 0
    dropped: int = 0
    failed: int = 0
    waiting: int = 0

    @property
    def lost(self) -> int:
        """Dropped and failed."""
        return self.dropped + self.failed


@runtime_checkable
class Tracing(Sink, Protocol):
    """A sink that names requests when they begin.

    Attributes:
        captures: whether prompts and answers are wanted with the decision, redacted.
    """

    captures: bool

    def begin(self, request: Request, policy: str, now: datetime, drawn: Ids, /) -> Ids:
        """Returns the ids of a request that begins now, in the caller's context.

        Args:
            request: as the caller made it.
            policy: name of the policy that will decide.
            now: when it arrived, in UTC.
            drawn: the ids it has where nobody else has given it others.
        """
        ...

    def carried(self, ids: Ids, /) -> Mapping[str, str]:
        """Returns the headers in which the caller's own `tracestate` and `baggage` go on to a provider."""
        ...

    def stats(self) -> TraceStats:
        """Returns what became of the spans."""
        ...


class Ambient:
    """Puts requests below the caller's span, if there is one; makes no spans until the application wants some.

    Args:
        make: makes the sink of spans once the application has set a tracer provider, if it can; None never does.
    """

    captures = False

    def __init__(self, make: Callable[[], Tracing | None] | None = None) -> None:
        self._make = make
        self._spans: Tracing | None = None
        self._lock = threading.Lock()

    def begin(self, request: Request, policy: str, now: datetime, drawn: Ids, /) -> Ids:
        """Returns the ids, those of the caller's trace where there is one."""
        api = sys.modules.get(API)
        if api is None:
            return drawn
        if self._make is not None and has_provider(api):
            self._start()
        return self._spans.begin(request, policy, now, drawn) if self._spans is not None else below(api, request, drawn)

    def _start(self) -> None:
        with self._lock:
            make, self._make = self._make, None
            if make is not None:
                self._spans = make()
                self.captures = self._spans is not None and self._spans.captures

    def carried(self, ids: Ids, /) -> Mapping[str, str]:
        """Returns what the spans say."""
        return self._spans.carried(ids) if self._spans is not None else {}

    def stats(self) -> TraceStats:
        """Returns what the spans say."""
        return self._spans.stats() if self._spans is not None else TraceStats()

    def emit(self, decision: Decision, /) -> None:
        """Makes the spans of a request, where there is somebody to take them."""
        if self._spans is not None:
            self._spans.emit(decision)

    def close(self) -> None:
        """Closes the sink of spans."""
        if self._spans is not None:
            self._spans.close()


def tracing_of(sinks: Iterable[Sink], /) -> Tracing | None:
    """Returns the sink that names requests, if one does."""
    return next((sink for sink in sinks if isinstance(sink, Tracing)), None)


def exporters_of(environ: Mapping[str, str], signal: Signal = "TRACES", /) -> frozenset[str]:
    """Returns the exporters that `OTEL_TRACES_EXPORTER`, or that of metrics, lists."""
    return frozenset(name.strip() for name in environ.get(f"OTEL_{signal}_EXPORTER", "").split(","))


def has_provider(api: Any, /) -> bool:
    """Returns whether the application has set a tracer provider that makes spans."""
    get = getattr(api, "get_tracer_provider", None)  # another thread may be in the midst of importing the module
    return get is not None and not isinstance(get(), (api.ProxyTracerProvider, api.NoOpTracerProvider))


def set_provider(api: Any, /) -> Any:
    """Returns the application's tracer provider, or whatever stands for none; asked for at each request.

    The API's own function looks through the environment as long as there is none, at a tenth of the price of a request.
    """
    return api._TRACER_PROVIDER if hasattr(api, "_TRACER_PROVIDER") else api.get_tracer_provider()  # noqa: SLF001 - as said above


def below(api: Any, request: Request, drawn: Ids, /) -> Ids:
    """Returns the ids of a request without spans of its own: below the caller's span, in its trace."""
    current = getattr(api, "get_current_span", None)
    context = current().get_span_context() if current is not None else None
    if context is None or not context.is_valid or request.hints.trace_id is not None:
        return drawn
    return Ids(
        request_id=drawn.request_id,
        trace_id=f"{context.trace_id:032x}",
        span_id=drawn.span_id,
        parent_span_id=f"{context.span_id:016x}",
        trace_flags=int(context.trace_flags),
    )
