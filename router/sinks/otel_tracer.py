"""The tracer that spans are made with: the application's, else one of our own, and in both the ids of the record."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Tracer

from router.sinks.otel_end import Ending
from router.sinks.otel_export import Counts, Export, ending, queue_most
from router.sinks.tracing import has_provider

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

SCOPE: Final = "lowfare"


@dataclass(frozen=True, slots=True)
class Open:
    """The span of a request under way, the context of its caller, and the parameters that it has."""

    span: Span
    context: Context
    params: Mapping[str, Any]


class GivenIds:
    """Hands out the ids that were put there in this thread just before; an `IdGenerator` as the SDK calls it.

    A span that nobody put ids for, as another's of the same scope, gets some of its own.
    """

    def __init__(self) -> None:
        self._next = threading.local()

    def put(self, ids: tuple[int, int, bool], /) -> None:
        """Sets what the next span gets: trace id, span id, and whether the trace id was drawn at random."""
        self._next.ids = ids

    def generate_trace_id(self) -> int:
        """Returns the trace id; asked for spans without a parent, and before the other two."""
        ids: tuple[int, int, bool] | None = getattr(self._next, "ids", None)
        return ids[0] if ids is not None else int.from_bytes(os.urandom(16), "big")

    def is_trace_id_random(self) -> bool:
        """Returns whether it was drawn, as W3C's flag 2 says: a request may name its own."""
        ids: tuple[int, int, bool] | None = getattr(self._next, "ids", None)
        return ids is None or ids[2]

    def generate_span_id(self) -> int:
        """Returns the span id, and forgets what was put."""
        ids: tuple[int, int, bool] | None = getattr(self._next, "ids", None)
        self._next.ids = None
        return ids[1] if ids is not None else int.from_bytes(os.urandom(8), "big")


class Here:
    """What belongs to one process: a child of a fork must not write to its parent's connections.

    Args:
        export: where spans go as long as the application has set no provider.
        provider: in place of the application's.

    Attributes:
        open: spans of requests under way, by span id.
        counts: of the spans that a provider of our own got.
        own: that provider; None where the application has one, and before the first span.
        theirs: whether spans go to the application's provider.
    """

    def __init__(self, export: Export, provider: trace.TracerProvider | None = None) -> None:
        self._export = export
        self._given = provider
        self.open: dict[str, Open] = {}
        self.counts = Counts(queue_most(os.environ))
        self.own: TracerProvider | None = None
        self.theirs = False
        self._seen: object = None
        self._tracer: Tracer | None = None
        self._lock = threading.Lock()
        self._ending: Ending | None = None

    def tracer(self) -> Tracer:
        """Returns the tracer of the application's provider; of our own as long as there is none."""
        found, known = self._given or trace.get_tracer_provider(), self._tracer
        if known is not None and found is self._seen:
            return known
        with self._lock:
            self.theirs = self._given is not None or has_provider(trace)
            provider = found if self.theirs else self.own or self._made()
            tracer = provider.get_tracer(SCOPE)
            # Of providers that draw ids elsewhere than the SDK, attempts have ids of their own.
            if not isinstance(getattr(tracer, "id_generator", GivenIds()), GivenIds):
                tracer.id_generator = GivenIds()  # type: ignore[attr-defined]  # the SDK's, not the API's
            self._seen, self._tracer = found, tracer
            return tracer

    def begin_close(self) -> None:
        """Begins to send what waits; the next span starts anew."""
        atexit.unregister(self.close)
        with self._lock:
            own, self.own, self._tracer = self.own, None, None
            if own is not None:
                self._ending = ending(own, self.counts)

    def close(self) -> bool:
        """Returns whether all was sent in time."""
        self.begin_close()
        return self._ending is None or self._ending.done()

    def _made(self) -> TracerProvider:
        self.counts.end(inf)
        self.own = self._export.provider(self.counts)
        atexit.register(self.close)  # for programs that end without closing
        return self.own


def started(
    tracer: Tracer,
    name: str,
    ids: tuple[int, int, bool],
    /,
    *,
    context: Context,
    kind: SpanKind = SpanKind.INTERNAL,
    about: Mapping[str, Any] | None = None,
    links: Sequence[Link] | None = None,
    at_ns: int,
) -> Span:
    """Returns a new span.

    Args:
        tracer: of `Here`.
        name: of the span.
        ids: trace id, span id, and whether the trace id was drawn at random.
        context: whose span is the parent.
        kind: of the span.
        about: attributes that samplers may go by.
        links: to other spans.
        at_ns: when it began.
    """
    generator = getattr(tracer, "id_generator", None)
    if isinstance(generator, GivenIds):
        generator.put(ids)
    return tracer.start_span(name, context, kind, about, links, start_time=at_ns)


def ns(at: datetime, /) -> int:
    """Returns a time in Unix nanoseconds; to the microsecond, as the record has it."""
    return round(at.timestamp() * 1e6) * 1_000
