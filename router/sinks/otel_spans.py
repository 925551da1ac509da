"""What the spans of a request are: as it begins, and as its record tells. Two other files make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceState

from router.core.decision import Attempt, Decision, Ids
from router.core.measure import request_model
from router.core.quick import quick
from router.sinks.otel_content import EVENT, Capture, content_attributes
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

UNSET: Final = Status(StatusCode.UNSET)

SCOPE: Final = "lowfare"

RANDOM: Final = 2
"""The flag of W3C Trace Context, Level 2, that says that a trace id was drawn at random."""


@quick
@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a request's span when it begins.

    Attributes:
        name: of the span.
        drawn: the ids that it has where nobody else gives it others.
        context: the caller's, where the span's parent is.
        parent: that parent.
        random: whether the trace id was drawn at random.
        about: attributes that samplers may go by.
        links: to other spans.
        start: when the request arrived.
        params: of the request.
    """

    name: str
    drawn: Ids
    context: Context
    parent: SpanContext
    random: bool
    about: Mapping[str, Any]
    links: tuple[Link, ...]
    start: datetime
    params: Mapping[str, Any]

    @property
    def trace_id(self) -> int:
        """The caller's, else the one that was drawn."""
        return self.parent.trace_id if self.parent.is_valid else int(self.drawn.trace_id, 16)


@quick
@dataclass(frozen=True, slots=True)
class Open:
    """A request under way.

    Attributes:
        ids: of the record.
        about: the span's attributes as yet.
        state: what goes on to providers in `tracestate`.
        maker: who makes the spans when the request has ended.
        span: its span, where it is made when it begins.
    """

    head: Head
    ids: Ids
    about: Mapping[str, Any]
    state: TraceState | None
    maker: Maker
    span: Span = INVALID_SPAN


class Maker(Protocol):
    """Makes the spans of requests."""

    def begin(self, head: Head, /) -> Open:
        """Returns a request that begins, whose sampler has decided."""
        ...

    def end(self, opened: Open, decision: Decision, /) -> None:
        """Makes the spans of a request that has ended."""
        ...


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A span that is yet to be made.

    Attributes:
        span_id: as the record has it.
        start_ns, end_ns: Unix time, to the microsecond.
    """

    name: str
    span_id: int
    kind: SpanKind
    start_ns: int
    end_ns: int
    attributes: Attributes
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()
    status: Status = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Tells the spans of records.

    Attributes:
        cost_names, cache_write_name, hosts: as `OtelSink` has them.
        capture: what of prompts and answers goes out.
    """

    cost_names: tuple[CostName, ...]
    cache_write_name: str
    hosts: Mapping[str, str]
    capture: Capture

    @property
    def captures(self) -> bool:
        """Whether prompts and answers go out."""
        return self.capture != "NO_CONTENT"

    def request(self, decision: Decision, /) -> Told:
        """Returns the span of a request, without what was known when it began."""
        start = ns(decision.time)
        end = start + in_ns(decision.latency_s)
        said = self._said(decision, None) if self.captures and self._speaker(decision) is None else {}
        attributes, events, status = self._outcome(request_attributes(decision), request_error(decision), said, end)
        return Told(
            name=f"route {decision.policy}",
            span_id=int(decision.ids.span_id, 16),
            kind=SpanKind.INTERNAL,
            start_ns=start,
            end_ns=end,
            attributes=attributes,
            events=events,
            links=_served_by(decision),
            status=status,
        )

    def attempt(
        self, attempt: Attempt, decision: Decision, params: Mapping[str, Any], /, *, whole: bool = True
    ) -> Told:
        """Returns the span of one of a decision's attempts.

        Args:
            attempt: one of the decision's.
            decision: the record.
            params: the request's.
            whole: whether all that is known of it is wanted, or only what samplers may go by.
        """
        begun = ns(decision.time)
        end = begun + in_ns(attempt.started_s + attempt.latency_s)
        speaks = whole and self.captures and attempt is self._speaker(decision)
        said = self._said(decision, attempt.finish_reason) if speaks else {}
        about = self._about(attempt, decision, params) if whole else asked(attempt)
        attributes, events, status = self._outcome(about, attempt_error(attempt), said, end)
        held = attempt.held is not None
        return Told(
            name=f"held {attempt.model}" if held else f"chat {request_model(attempt)}",
            span_id=int(attempt.span_id, 16),
            kind=SpanKind.INTERNAL if held else SpanKind.CLIENT,
            start_ns=begun + in_ns(attempt.started_s),
            end_ns=end,
            attributes=attributes,
            events=events,
            status=status,
        )

    def _about(self, attempt: Attempt, decision: Decision, params: Mapping[str, Any]) -> Attributes:
        """Returns all that the span of an attempt says."""
        says = attempt_attributes(
            attempt,
            decision,
            cost_names=self.cost_names,
            cache_write_name=self.cache_write_name,
            hosts=self.hosts,
        )
        return says if attempt.held is not None else {**asked(attempt), **says, **sampling_params(params)}

    def _speaker(self, decision: Decision) -> Attempt | None:
        """Returns the attempt whose span has the request's content: that which answered, else the last one."""
        made = [attempt for attempt in decision.attempts if attempt.held is None]
        last = made[-1] if made else None
        return next((a for a in made if a.outcome == "answer" and a.model == decision.model), last)

    def _said(self, decision: Decision, finish_reason: str | None) -> Attributes:
        """Returns the request's content, where there is any."""
        if decision.content is None:
            return {}
        return dict(content_attributes(decision.content, finish_reason))

    def _outcome(
        self, attributes: Attributes, error: tuple[str, Attributes] | None, said: Attributes, at_ns: int
    ) -> tuple[Attributes, tuple[Event, ...], Status]:
        """Returns attributes, events and status of a span that ends so, having said this."""
        if error is None and not said:
            return attributes, (), UNSET
        events, status = [], UNSET
        if error is not None:
            attributes[ERROR_TYPE], event = error
            events.append(Event(EXCEPTION, event, at_ns))
            status = Status(StatusCode.ERROR, event[EXCEPTION_MESSAGE])
        if said and self.capture != "EVENT_ONLY":
            attributes.update(said)
        if said and self.capture != "SPAN_ONLY":
            events.append(Event(EVENT, said, at_ns))
        return attributes, tuple(events), status


def ns(at: datetime, /) -> int:
    """Returns a time in Unix nanoseconds; to the microsecond, as the record has it."""
    return round(at.timestamp() * 1e6) * 1_000


def in_ns(seconds: float, /) -> int:
    """Returns seconds in nanoseconds; to the microsecond, as the record has them."""
    return round(seconds * 1e6) * 1_000


def _served_by(decision: Decision) -> tuple[Link, ...]:
    """Returns the link of a request that another one's answer served to that one's span."""
    hit = decision.lookup.hit if decision.lookup is not None else None
    if hit is None or hit.span_id is None or decision.cache == "none":
        return ()
    paid = SpanContext(int(hit.trace_id, 16), int(hit.span_id, 16), is_remote=True)
    return (Link(paid, {"lowfare.cache.kind": hit.kind}),)
