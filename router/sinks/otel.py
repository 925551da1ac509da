"""Spans by OpenTelemetry: one for each request, and one below it for each attempt.

The sampler is asked when a request begins, in the caller's context, so that it has decided before anything is sent, and
providers are told the truth. All else is made when the request has ended, out of its record, with the times and the ids
that the record has. So a span is never left open, and the log and the trace cannot differ.

The application's tracer provider is used where it has set one; else spans are made, and exported, by a thread of ours.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, TraceFlags

from router.core.decision import Decision, Ids
from router.core.request import Request
from router.errors import warn
from router.sinks.otel_content import capture_of
from router.sinks.otel_export import Export, Protocol
from router.sinks.otel_here import Here
from router.sinks.otel_names import Attributes, CostName
from router.sinks.otel_spans import RANDOM, Head, Teller
from router.sinks.tracing import TraceStats, below

OPEN_MOST: Final = 50_000
"""Requests under way whose span is remembered; those beyond it get a span when they end."""


class OtelSink:
    """Makes spans of decisions.

    Args:
        endpoint, protocol, headers_env, service_name, sample_ratio: where spans go when the application has set no
            provider; as in `[otel]`.
        cost_names: whose names for the cost spans have besides ours: "langfuse", "logfire", "openinference", "genai".
        cache_write_name: "cache_creation" or "cache_write": the conventions are split.
        hosts: where providers stand, for models without an address of their own.
        provider: of tracers, in place of the application's.

    Raises:
        ConfigError: a package is missing, or a variable.
        ValueError: the switch of content capture has a value that nobody knows.
    """

    def __init__(  # noqa: PLR0913 - its options are the keys of [otel]
        self,
        *,
        endpoint: str | None = None,
        protocol: Protocol | None = None,
        headers_env: str | None = None,
        service_name: str | None = None,
        sample_ratio: float | None = None,
        cost_names: Sequence[CostName] = (),
        cache_write_name: str = "cache_creation",
        hosts: Mapping[str, str] | None = None,
        provider: trace.TracerProvider | None = None,
    ) -> None:
        teller = Teller(
            cost_names=tuple(cost_names),
            cache_write_name=cache_write_name,
            hosts=dict(hosts or {}),
            capture=capture_of(os.environ),
        )
        self.captures = teller.captures
        export = Export(
            endpoint=endpoint,
            protocol=protocol,
            headers_env=headers_env,
            service_name=service_name,
            sample_ratio=sample_ratio,
        )
        self._stated = export != Export()
        self._renewed = partial(Here, export, teller, provider)
        self._told: set[str] = set()
        self._here = self._renewed()
        self._here.maker()  # what is wrong with the export is said now, not at the first request
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=partial(_renew, weakref.ref(self)))

    def begin(self, request: Request, policy: str, now: datetime, drawn: Ids, /) -> Ids:
        """Returns the ids of a request whose span begins now, below the caller's."""
        here, context, hints = self._here, contexts.get_current(), request.hints
        if len(here.open) >= OPEN_MOST:
            return below(trace, request, drawn)
        parent, wanted = trace.get_current_span(context).get_span_context(), hints.trace_id
        links: tuple[Link, ...] = ()
        if parent.is_valid and wanted is not None and int(wanted, 16) != parent.trace_id:
            context, links = trace.set_span_in_context(trace.INVALID_SPAN, context), (Link(parent),)
            parent = trace.INVALID_SPAN_CONTEXT
        opened = here.maker().begin(
            Head(
                f"route {policy}",
                drawn,
                context,
                parent,
                bool(parent.trace_flags & RANDOM) if parent.is_valid else wanted is None,
                _about(policy, hints.tenant),
                links,
                now,
                request.params,
            )
        )
        here.open[opened.ids.span_id] = opened
        return opened.ids

    def carried(self, ids: Ids, /) -> Mapping[str, str]:
        """Returns the caller's `tracestate` and `baggage`, as headers."""
        opened = self._here.open.get(ids.span_id)
        if opened is None:
            return {}
        headers: dict[str, str] = {}
        W3CBaggagePropagator().inject(headers, opened.head.context)
        return {**headers, "tracestate": opened.state.to_header()} if opened.state else headers

    def emit(self, decision: Decision, /) -> None:
        """Makes the spans of a request that has ended, or has them made."""
        here = self._here
        opened = here.open.pop(decision.ids.span_id, None) or here.maker().begin(_late(decision))
        opened.maker.end(opened, decision)
        if here.counts.lost or here.theirs:
            self._tell(here)

    def stats(self) -> TraceStats:
        """Returns what became of the spans that this process exported itself."""
        return self._here.counts.stats()

    def begin_close(self) -> None:
        """Begins to send what is waiting, so that others may close meanwhile."""
        self._here.begin_close()

    def close(self) -> None:
        """Sends what is waiting; waits for five seconds at most. The application's own provider is left alone."""
        here = self._here
        if not here.close():
            warn("the collector of traces takes its time: not all spans were sent before the end")
        self._tell(here)

    def _tell(self, here: Here) -> None:
        """Warns once of what needs no second warning."""
        if here.counts.lost and "lost" not in self._told:
            self._told.add("lost")
            stats = here.counts.stats()
            warn(
                f"spans are lost: {stats.dropped} found the queue full, and {stats.failed} the collector did not take; "
                "this is said once, Router.trace_stats() counts on, and OpenTelemetry's loggers say why"
            )
        if self._stated and here.theirs and "theirs" not in self._told:
            self._told.add("theirs")
            warn("spans go to the application's tracer provider; what [otel] says of their export is unused for them")


def _renew(sink: weakref.ref[OtelSink]) -> None:
    """Begins anew in a child process: what its parent has open, the child must not write to."""
    if (found := sink()) is not None:
        found._here.leave()  # noqa: SLF001 - it is the sink's own
        found._here = found._renewed()  # noqa: SLF001 - it is the sink's own


def _late(decision: Decision) -> Head:
    """Returns what is known of a request that nobody told us of when it began."""
    ids, parent = decision.ids, trace.INVALID_SPAN_CONTEXT
    if ids.parent_span_id is not None:
        flags = TraceFlags(ids.trace_flags)
        parent = SpanContext(int(ids.trace_id, 16), int(ids.parent_span_id, 16), is_remote=True, trace_flags=flags)
    return Head(
        f"route {decision.policy}",
        ids,
        trace.set_span_in_context(trace.NonRecordingSpan(parent), Context()),
        parent,
        bool(ids.trace_flags & RANDOM),
        _about(decision.policy, decision.tenant),
        (),
        decision.time,
        {},
    )


def _about(policy: str, tenant: str | None) -> Attributes:
    """Returns what is known of a request before it is decided, which samplers may go by."""
    return {"lowfare.policy": policy} if tenant is None else {"lowfare.policy": policy, "lowfare.tenant": tenant}
