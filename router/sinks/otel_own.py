"""Spans of our own, for applications that have set no provider: decided at once, made by the thread that exports them.

The sampler is asked when a request begins, as providers are told what it says. When the request has ended its record is
put into the queue; what is dear about spans is done where no request waits for it. The SDK's tracer would make them
within the request, which takes a hundred microseconds and more, most of them for attributes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits
from opentelemetry.sdk.trace.sampling import Decision as Decided
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags

from router.core.decision import Attempt, Decision, Ids
from router.sinks.otel_end import Ending
from router.sinks.otel_export import CountedBatch, Counts, Export, ending
from router.sinks.otel_outlet import SpanOutlet
from router.sinks.otel_spans import RANDOM, SCOPE, Head, Open, Teller

SAMPLED: Final = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
_SCOPE: Final = InstrumentationScope(SCOPE)


class Own:
    """Makes spans and exports them.

    Args:
        export: where spans go.
        counts: of the spans.
        teller: what they say.

    Raises:
        ConfigError: a package is missing, or a variable.
    """

    def __init__(self, export: Export, counts: Counts, teller: Teller) -> None:
        provider = export.provider()  # for the sampler that it reads from the environment
        self._sampler, self._resource = provider.sampler, provider.resource
        self._limits = SpanLimits()
        self._counts = counts
        self._teller = teller
        self._batch = CountedBatch(SpanOutlet(export.exporter(os.environ)), counts, self._made)

    def begin(self, head: Head, /) -> Open:
        """Returns a request that begins, as the sampler wants it."""
        trace_id, drawn, kind = head.trace_id, head.drawn, SpanKind.INTERNAL
        told = self._sampler.should_sample(head.context, trace_id, head.name, kind, head.about, head.links)
        below = head.parent.is_valid
        ids = Ids(
            request_id=drawn.request_id,
            trace_id=f"{trace_id:032x}" if below else drawn.trace_id,
            span_id=drawn.span_id,
            parent_span_id=f"{head.parent.span_id:016x}" if below else None,
            trace_flags=(1 if told.decision is Decided.RECORD_AND_SAMPLE else 0) | (RANDOM if head.random else 0),
        )
        return Open(head, ids, told.attributes, told.trace_state, self)

    def end(self, opened: Open, decision: Decision, /) -> None:
        """Puts the spans of a request that has ended into the queue: all of them, or none where there is no room."""
        if opened.ids.trace_flags & TraceFlags.SAMPLED:
            self._batch.take([Waiting(opened, decision, one) for one in (*decision.attempts, None)])

    def close(self) -> Ending:
        """Begins to send what waits, and takes no more."""
        return ending(self._batch, self._counts)

    def leave(self) -> None:
        """Sends nothing any more, in a fork of the process whose spans these are."""
        self._batch.leave()

    def _made(self, waiting: Waiting) -> ReadableSpan:
        opened, decision, attempt = waiting.opened, waiting.decision, waiting.attempt
        head, ids, limits = opened.head, opened.ids, self._limits
        most_events, most_links = limits.max_event_attributes, limits.max_link_attributes
        longest = limits.max_attribute_length

        def named(span_id: int) -> SpanContext:
            flags = TraceFlags(ids.trace_flags)
            return SpanContext(head.trace_id, span_id, is_remote=False, trace_flags=flags, trace_state=opened.state)

        own = named(int(ids.span_id, 16))
        if attempt is None:
            told = self._teller.request(decision)
            context, parent = own, head.parent if head.parent.is_valid else None
            attributes, links = {**opened.about, **told.attributes}, (*head.links, *told.links)
        else:
            told = self._teller.attempt(attempt, decision, head.params)
            context, parent, attributes, links = named(told.span_id), own, told.attributes, ()
        return ReadableSpan(
            told.name,
            context,
            parent,
            self._resource,
            _bounded(attributes, limits.max_span_attributes, limits.max_span_attribute_length),
            _latest(
                limits.max_events,
                [Event(e.name, _bounded(e.attributes, most_events, longest), e.timestamp) for e in told.events],
            ),
            _latest(
                limits.max_links,
                [Link(link.context, _bounded(link.attributes, most_links, longest)) for link in links],
            ),
            told.kind,
            status=told.status,
            start_time=told.start_ns,
            end_time=told.end_ns,
            instrumentation_scope=_SCOPE,
        )


@dataclass(frozen=True, slots=True)
class Waiting:
    """A span in the queue: of an attempt, or with None of the request itself.

    Attributes:
        context: where the SDK's queue looks for whether it is sampled.
    """

    opened: Open
    decision: Decision
    attempt: Attempt | None
    context: SpanContext = SAMPLED


def _bounded(attributes: Any, most: int | None, longest: int | None) -> Any:
    """Returns attributes within the limits of the `OTEL_*` variables, which few ever reach."""
    if not attributes or (longest is None and (most is None or len(attributes) <= most)):
        return attributes
    return BoundedAttributes(most, attributes, max_value_len=longest)


def _latest(most: int | None, items: Sequence[Any]) -> Sequence[Any]:
    """Returns events or links within their limit: the latest, as the SDK keeps them, with the count of the others."""
    return items if most is None or len(items) <= most else BoundedList.from_seq(most, items)
