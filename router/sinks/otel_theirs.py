"""Spans of the application's provider, with its sampler, processors and limits; made at once, with the record's ids."""

from __future__ import annotations

import os
import threading
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanContext, SpanKind, Tracer, TracerProvider

from router.core.decision import Decision, Ids
from router.sinks.otel_spans import SCOPE, UNSET, Head, Open, Teller, Told, ns


class Theirs:
    """Makes spans by the application's tracer.

    Args:
        provider: the application's.
        teller: what spans say.
    """

    def __init__(self, provider: TracerProvider, teller: Teller) -> None:
        self._teller = teller
        tracer: Any = provider.get_tracer(SCOPE)
        # Routers may share a tracer. Of providers that draw ids elsewhere than the SDK, attempts have ids of their own.
        known = getattr(tracer, "id_generator", None)
        self._ids = known if isinstance(known, GivenIds) else GivenIds()
        if known is not None:
            tracer.id_generator = self._ids
        self._tracer: Tracer = tracer

    def begin(self, head: Head, /) -> Open:
        """Returns a request whose span is started."""
        given = head.trace_id, int(head.drawn.span_id, 16), head.random
        self._ids.put(given)
        kind, start_ns = SpanKind.INTERNAL, ns(head.start)
        span = self._tracer.start_span(head.name, head.context, kind, head.about, head.links, start_ns)
        own = span.get_span_context()
        return Open(head, _ids(head, own, given), head.about, own.trace_state, self, span)

    def end(self, opened: Open, decision: Decision, /) -> None:
        """Makes the spans of the attempts, and ends that of the request."""
        span, head = opened.span, opened.head
        recorded, trace_id = span.is_recording(), span.get_span_context().trace_id
        below = trace.set_span_in_context(span, head.context)
        try:
            for attempt in decision.attempts:
                told = self._teller.attempt(attempt, decision, head.params, whole=recorded)
                self._ids.put((trace_id, told.span_id, False))
                start_ns = told.start_ns
                started = self._tracer.start_span(told.name, below, told.kind, told.attributes, start_time=start_ns)
                _finish(started, told)
        finally:  # a processor that fails must not leave it open
            if recorded:
                told = self._teller.request(decision)
                span.set_attributes(told.attributes)
                _finish(span, told)


class GivenIds:
    """Hands out the ids that were put there in this thread just before; an `IdGenerator` as the SDK calls it.

    A span that nobody put ids for, as another's of the same scope, gets some of its own.
    """

    def __init__(self) -> None:
        self._next = _Next()

    def put(self, ids: tuple[int, int, bool], /) -> None:
        """Sets what the next span gets: trace id, span id, and whether the trace id was drawn at random."""
        self._next.ids = ids

    def generate_trace_id(self) -> int:
        """Returns the trace id; asked for spans without a parent, and before the other two."""
        ids = self._next.ids
        return ids[0] if ids is not None else int.from_bytes(os.urandom(16), "big")

    def is_trace_id_random(self) -> bool:
        """Returns whether it was drawn, as W3C's flag 2 says: a request may name its own."""
        ids = self._next.ids
        return ids is None or ids[2]

    def generate_span_id(self) -> int:
        """Returns the span id, and forgets what was put."""
        ids, self._next.ids = self._next.ids, None
        return ids[1] if ids is not None else int.from_bytes(os.urandom(8), "big")


class _Next(threading.local):
    """What was put in this thread."""

    ids: tuple[int, int, bool] | None = None


def _finish(span: Span, told: Told) -> None:
    """Ends a span."""
    for event in told.events:
        span.add_event(event.name, event.attributes, event.timestamp)
    for link in told.links:
        span.add_link(link.context, link.attributes)
    if told.status is not UNSET:
        span.set_status(told.status)
    span.end(told.end_ns)


def _ids(head: Head, own: SpanContext, given: tuple[int, int, bool]) -> Ids:
    """Returns a request's ids: those of its span, or, below a span that nobody records, those that were drawn."""
    parent, drawn = head.parent, head.drawn
    known = own.is_valid and own.span_id != parent.span_id
    trace_id = own.trace_id if known else given[0]
    return Ids(
        request_id=drawn.request_id,
        trace_id=drawn.trace_id if trace_id == given[0] and not parent.is_valid else f"{trace_id:032x}",
        span_id=f"{own.span_id:016x}" if known and own.span_id != given[1] else drawn.span_id,
        parent_span_id=f"{parent.span_id:016x}" if parent.is_valid else None,
        trace_flags=int(own.trace_flags if known else parent.trace_flags),
    )
