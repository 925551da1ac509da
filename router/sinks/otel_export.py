"""The export of our own, for applications that have set no provider: batches, a bounded queue, and counted losses.

What is stated goes before the standard `OTEL_*` variables, and these before their defaults.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any, Final, Literal

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

from router.errors import ConfigError
from router.sinks.otel_end import CLOSE_S, Ending
from router.sinks.otel_headers import headers_of
from router.sinks.otel_outlet import SpanOutlet
from router.sinks.tracing import Signal, TraceStats, exporters_of

Protocol = Literal["http", "grpc", "console"]

QUEUE_MOST: Final = 2048
"""Spans that wait for their export; the default of `OTEL_BSP_MAX_QUEUE_SIZE`."""
BATCH_MOST: Final = 512
"""Spans of one export; the default of `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`."""


class Counts:
    """Counts spans in and out, and lets in no more than there is room for; safe to use from several threads.

    Attributes:
        most: how many spans may wait.
        lost: whether a span was dropped, or not taken.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._exported = self._dropped = self._failed = self._waiting = 0
        self.lost = False
        self._until = inf

    @property
    def late(self) -> bool:
        """Whether it is too late to send anything."""
        return time.monotonic() >= self._until

    def end(self, within_s: float) -> None:
        """Sets until when spans may be sent."""
        self._until = time.monotonic() + within_s

    def enter(self, spans: int) -> bool:
        """Returns whether so many more spans may wait."""
        with self._lock:
            fits = self._waiting + spans <= self.most
            self._waiting += spans if fits else 0
            self._dropped += 0 if fits else spans
            self.lost |= not fits
            return fits

    def leave(self, spans: int) -> None:
        """Notes that spans are on their way."""
        with self._lock:
            self._waiting = max(0, self._waiting - spans)

    def sent(self, taken: int, *, failed: int) -> None:
        """Notes how many spans the collector took, and how many it did not."""
        with self._lock:
            self._exported += taken
            self._failed += failed
            self.lost |= failed > 0

    def stats(self) -> TraceStats:
        """Returns the counts."""
        with self._lock:
            return TraceStats(
                exported=self._exported, dropped=self._dropped, failed=self._failed, waiting=self._waiting
            )


class CountedExporter(SpanExporter):
    """Makes spans of what was waiting, exports them by another exporter, and counts.

    Args:
        exporter: the other one.
        counts: of the spans.
        make: makes one.
    """

    def __init__(self, exporter: SpanExporter, counts: Counts, make: Callable[[Any], ReadableSpan]) -> None:
        self._exporter = exporter
        self._counts = counts
        self._make = make

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        """Returns whether the collector took the spans; never raises."""
        self._counts.leave(len(spans))
        result, made = SpanExportResult.FAILURE, []
        if not self._counts.late:
            for waiting in spans:
                # What one record cannot say costs the others nothing.
                with suppress(Exception):
                    made.append(self._make(waiting))
            # What an exporter raises is its own affair: the spans after these are to go out.
            with suppress(Exception):
                result = self._exporter.export(made)
        taken = len(made) if result is SpanExportResult.SUCCESS else 0
        self._counts.sent(taken, failed=len(spans) - taken)
        return result

    def shutdown(self) -> None:
        """Ends the exporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Has nothing of its own to flush."""
        return True


class CountedBatch(BatchSpanProcessor):
    """Exports in batches from a thread of its own, and refuses what its queue has no room for.

    The SDK's own queue would drop the oldest spans instead, without saying how many. What is put there is not a span
    yet, but has a context as one has.

    Args:
        exporter: where they go.
        counts: of the spans.
        make: makes a span of what was put there.
        **options: of the SDK's class.
    """

    def __init__(
        self, exporter: SpanExporter, counts: Counts, make: Callable[[Any], ReadableSpan], **options: Any
    ) -> None:
        batch = _positive(os.environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH_MOST)
        options = {"max_queue_size": counts.most, "max_export_batch_size": min(batch, counts.most), **options}
        super().__init__(CountedExporter(exporter, counts, make), **options)
        self._outlet = exporter
        self._counts = counts
        self._lock = threading.Lock()
        self._over = False

    def take(self, spans: Sequence[Any]) -> None:
        """Takes spans that are sampled, all or none."""
        with self._lock:
            if self._over:  # of a request that was under way when the router was closed
                self._counts.sent(0, failed=len(spans))
            elif self._counts.enter(len(spans)):
                for waiting in spans:
                    self.on_end(waiting)

    def shutdown(self) -> None:
        """Exports what waits, and takes no more."""
        with self._lock:
            self._over = True
        if isinstance(self._outlet, SpanOutlet):
            self._outlet.hasten()
        super().shutdown()  # type: ignore[no-untyped-call]  # the SDK says no types there

    def leave(self) -> None:
        """Sends nothing any more: what waits is another process's, of which this one is a fork."""
        if isinstance(self._outlet, SpanOutlet):
            self._outlet.leave()


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Where spans go.

    Attributes:
        endpoint, protocol, headers_env, service_name, sample_ratio: as in `[otel]`.
    """

    endpoint: str | None = None
    protocol: Protocol | None = None
    headers_env: str | None = None
    service_name: str | None = None
    sample_ratio: float | None = None

    def provider(self) -> TracerProvider:
        """Returns a new provider, which has a sampler and a resource, and exports nothing."""
        return TracerProvider(
            sampler=None if self.sample_ratio is None else ParentBasedTraceIdRatio(self.sample_ratio),
            resource=self.resource(os.environ),
            shutdown_on_exit=False,
        )

    def resource(self, environ: Mapping[str, str]) -> Resource:
        """Returns what is said of the process: its service's name at least."""
        named = "OTEL_SERVICE_NAME" in environ or f"{SERVICE_NAME}=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        name = self.service_name or (None if named else "lowfare")
        return Resource.create({} if name is None else {SERVICE_NAME: name})

    def exporter(self, environ: Mapping[str, str]) -> SpanExporter:
        """Returns a new exporter.

        Raises:
            ConfigError: its package is not installed, or the variable with its headers is not set.
        """
        protocol = self.protocol or protocol_of(environ)
        if protocol == "console":
            return ConsoleSpanExporter(out=sys.stderr)
        headers = headers_of(self.headers_env, environ, "TRACES")
        try:
            if protocol == "grpc":
                from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

                return GrpcExporter(endpoint=self.endpoint, headers=headers)
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
        except ImportError as error:
            extra = "otel-grpc" if protocol == "grpc" else "otel"
            raise ConfigError(
                f"{error.name} is not installed; run pip install 'lowfare[{extra}]', or set another protocol"
            ) from error
        return HttpExporter(endpoint=self.address("traces"), headers=headers)

    def address(self, signal: Literal["traces", "metrics"]) -> str | None:
        """Returns where a signal goes over HTTP; None leaves it to the standard variables, which may have all of it."""
        if self.endpoint is None:
            return None
        base = self.endpoint.rstrip("/").removesuffix("/v1/traces").removesuffix("/v1/metrics")
        return f"{base}/v1/{signal}"


def protocol_of(environ: Mapping[str, str], /, *, signal: Signal = "TRACES") -> Protocol:
    """Returns the protocol that the standard variables ask for.

    Raises:
        ConfigError: they ask for one that there is none of here.
    """
    exporters = exporters_of(environ, signal)
    if "console" in exporters and "otlp" not in exporters:
        return "console"
    name = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or ""
    match name.strip():
        case "grpc":
            return "grpc"
        case "" | "http/protobuf":
            return "http"
        case other:
            raise ConfigError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {other!r}; allowed: http/protobuf, grpc")


def queue_most(environ: Mapping[str, str], /) -> int:
    """Returns how many spans may wait, as `OTEL_BSP_MAX_QUEUE_SIZE` says."""
    return _positive(environ, "OTEL_BSP_MAX_QUEUE_SIZE", QUEUE_MOST)


def _positive(environ: Mapping[str, str], name: str, default: int) -> int:
    """Returns a variable's number; what is none counts as not set, as with the SDK."""
    with suppress(ValueError):
        return max(0, int(environ.get(name, ""))) or default
    return default


def ending(batch: CountedBatch, counts: Counts, /, within_s: float = CLOSE_S) -> Ending:
    """Returns the end of a batch, which begins now; what it has not sent within a time it never will."""
    counts.end(within_s)
    return Ending(batch.shutdown, within_s)
