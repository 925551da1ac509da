"""Spans by OpenTelemetry: one for each request, and one below it for each attempt.

A request's span is started when the request begins, in the caller's context, so that the sampler has decided before
anything is sent, and providers are told the truth. All else is made when the request has ended, out of its record, with
the times and the ids that the record has. So a span is never left open, and the log and the trace cannot differ.

The application's tracer provider is used where it has set one, with its sampler, processors and limits. Ids come from
the record all the same: the tracer named "lowfare" is given a generator that hands them out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer

from router.core.decision import Attempt, Decision, Ids
from router.core.request import Request
from router.errors import warn
from router.sinks.otel_content import EVENT, capture_of, content_attributes
from router.sinks.otel_export import Export, Protocol
from router.sinks.otel_names import (
    ERROR_TYPE,
    EXCEPTION,
    EXCEPTION_MESSAGE,
    Attributes,
    CostName,
    asked,
    attempt_attributes,
    attempt_error,
    request_attributes,
    request_error,
    sampling_params,
)
from router.sinks.otel_tracer import Here, Open, ns, started
from router.sinks.tracing import TraceStats

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
        self._cost_names = tuple(cost_names)
        self._cache_write_name = cache_write_name
        self._hosts = dict(hosts or {})
        self._capture = capture_of(os.environ)
        self.captures = self._capture != "NO_CONTENT"
        export = Export(
            endpoint=endpoint,
            protocol=protocol,
            headers_env=headers_env,
            service_name=service_name,
            sample_ratio=sample_ratio,
        )
        self._stated = export != Export()
        self._renewed = partial(Here, export, provider)
        self._by_pid = {os.getpid(): self._renewed()}
        self._told: set[str] = set()
        self._here.tracer()  # what is wrong with the export is said now, not at the first request

    def begin(self, request: Request, policy: str, now: datetime, drawn: Ids, /) -> Ids:
        """Returns the ids of a request whose span begins now, below the caller's."""
        here, context = self._here, contexts.get_current()
        parent, links = trace.get_current_span(context).get_span_context(), None
        wanted = request.hints.trace_id
        if parent.is_valid and wanted is not None and int(wanted, 16) != parent.trace_id:
            context, links = trace.set_span_in_context(trace.INVALID_SPAN, context), [Link(parent)]
            parent = trace.INVALID_SPAN_CONTEXT
        trace_id = parent.trace_id if parent.is_valid else int(drawn.trace_id, 16)
        span = started(
            here.tracer(),
            f"route {policy}",
            (trace_id, int(drawn.span_id, 16), wanted is None),
            context=context,
            about=_about(policy, request.hints.tenant),
            links=links,
            at_ns=ns(now),
        )
        ids = _ids(span, parent, drawn)
        if len(here.open) < OPEN_MOST:
            here.open[ids.span_id] = Open(span, context, request.params)
        return ids

    def carried(self, ids: Ids, /) -> Mapping[str, str]:
        """Returns the caller's `tracestate` and `baggage`, as headers."""
        opened = self._here.open.get(ids.span_id)
        if opened is None:
            return {}
        headers: dict[str, str] = {}
        W3CBaggagePropagator().inject(headers, opened.context)
        state = opened.span.get_span_context().trace_state
        return {**headers, "tracestate": state.to_header()} if state else headers

    def emit(self, decision: Decision, /) -> None:
        """Makes the spans of a request that has ended."""
        here = self._here
        opened = here.open.pop(decision.ids.span_id, None)
        if opened is None:
            opened = Open(self._late(here, decision), Context(), {})
        recorded = opened.span.is_recording()
        if recorded or here.theirs:  # below a span that is not recorded, our own sampler records none
            self._attempts(here.tracer(), opened, decision)
        if recorded:
            end = ns(decision.time) + _in_ns(decision.latency_s)
            opened.span.set_attributes(request_attributes(decision))
            _link(opened.span, decision)
            _fail(opened.span, request_error(decision), end)
            if self._speaker(decision) is None:
                self._speak(opened.span, decision, None, end)
            opened.span.end(end)
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

    @property
    def _here(self) -> Here:
        """What belongs to this process."""
        pid = os.getpid()
        return self._by_pid.get(pid) or self._by_pid.setdefault(pid, self._renewed())

    def _attempts(self, tracer: Tracer, opened: Open, decision: Decision) -> None:
        """Makes the span of each attempt."""
        below, began = trace.set_span_in_context(opened.span, opened.context), ns(decision.time)
        recorded, speaker = opened.span.is_recording(), self._speaker(decision)
        for attempt in decision.attempts:
            about = self._about(attempt, decision, opened.params) if recorded else asked(attempt)
            held = attempt.held is not None
            span = started(
                tracer,
                f"held {attempt.model}" if held else f"chat {about['gen_ai.request.model']}",
                (opened.span.get_span_context().trace_id, int(attempt.span_id, 16), False),
                context=below,
                kind=SpanKind.INTERNAL if held else SpanKind.CLIENT,
                about=about,
                at_ns=began + _in_ns(attempt.started_s),
            )
            end = began + _in_ns(attempt.started_s + attempt.latency_s)
            _fail(span, attempt_error(attempt), end)
            if attempt is speaker:
                self._speak(span, decision, attempt.finish_reason, end)
            span.end(end)

    def _about(self, attempt: Attempt, decision: Decision, params: Mapping[str, Any]) -> Attributes:
        """Returns all that the span of an attempt says."""
        says = attempt_attributes(
            attempt,
            decision,
            cost_names=self._cost_names,
            cache_write_name=self._cache_write_name,
            hosts=self._hosts,
        )
        return says if attempt.held is not None else {**asked(attempt), **says, **sampling_params(params)}

    def _speaker(self, decision: Decision) -> Attempt | None:
        """Returns the attempt whose span has the request's content: that which answered, else the last one."""
        made = [attempt for attempt in decision.attempts if attempt.held is None] if self.captures else []
        last = made[-1] if made else None
        return next((a for a in made if a.outcome == "answer" and a.model == decision.model), last)

    def _late(self, here: Here, decision: Decision) -> Span:
        """Returns the span of a request that nobody told us of when it began."""
        ids, parent = decision.ids, trace.INVALID_SPAN_CONTEXT
        trace_id = int(ids.trace_id, 16)
        if ids.parent_span_id is not None:
            flags = TraceFlags(ids.trace_flags)
            parent = SpanContext(trace_id, int(ids.parent_span_id, 16), is_remote=True, trace_flags=flags)
        return started(
            here.tracer(),
            f"route {decision.policy}",
            (trace_id, int(ids.span_id, 16), False),
            context=trace.set_span_in_context(trace.NonRecordingSpan(parent), Context()),
            about=_about(decision.policy, decision.tenant),
            at_ns=ns(decision.time),
        )

    def _speak(self, span: Span, decision: Decision, finish_reason: str | None, at_ns: int) -> None:
        """Puts the request's content on a span, where the switch says so."""
        if not self.captures or decision.content is None:
            return
        said = content_attributes(decision.content, finish_reason)
        if self._capture != "EVENT_ONLY":
            span.set_attributes(said)
        if self._capture != "SPAN_ONLY":
            span.add_event(EVENT, said, at_ns)

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
            warn("spans go to the application's tracer provider; endpoint, service_name and so on in [otel] are unused")


def _ids(span: Span, parent: SpanContext, drawn: Ids) -> Ids:
    """Returns a request's ids: those of its span, or, below a span that nobody records, those that were drawn."""
    own = span.get_span_context()
    known = own.is_valid and own.span_id != parent.span_id
    return Ids(
        request_id=drawn.request_id,
        trace_id=f"{own.trace_id:032x}" if known else f"{parent.trace_id:032x}" if parent.is_valid else drawn.trace_id,
        span_id=f"{own.span_id:016x}" if known else drawn.span_id,
        parent_span_id=f"{parent.span_id:016x}" if parent.is_valid else None,
        trace_flags=int(own.trace_flags if known else parent.trace_flags),
    )


def _link(span: Span, decision: Decision) -> None:
    """Links a request that another one's answer served to that one's span."""
    hit = decision.lookup.hit if decision.lookup is not None else None
    if hit is None or hit.span_id is None or decision.cache == "none":
        return
    paid = SpanContext(int(hit.trace_id, 16), int(hit.span_id, 16), is_remote=True)
    span.add_link(paid, {"lowfare.cache.kind": hit.kind})


def _fail(span: Span, error: tuple[str, Attributes] | None, at_ns: int) -> None:
    if error is None:
        return
    kind, event = error
    span.set_attribute(ERROR_TYPE, kind)
    span.add_event(EXCEPTION, event, at_ns)
    span.set_status(Status(StatusCode.ERROR, event[EXCEPTION_MESSAGE]))


def _in_ns(seconds: float) -> int:
    """Returns seconds in nanoseconds; to the microsecond, as the record has them."""
    return round(seconds * 1e6) * 1_000


def _about(policy: str, tenant: str | None) -> Attributes:
    """Returns what is known of a request before it is decided, which samplers may go by."""
    return {"lowfare.policy": policy} if tenant is None else {"lowfare.policy": policy, "lowfare.tenant": tenant}
