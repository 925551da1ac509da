"""What our own exporters have besides the SDK's: no lines on standard error, and no waiting for nobody at the end.

The SDK's exporters try again for seconds when a collector cannot be reached, and log each time that they do.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

_PORTS: Final = {"http": 80, "https": 443}
_KNOCK_S: Final = 1.0
"""How long a collector may take to let us in before it counts as slow; one that is not there refuses at once."""


class Quiet(logging.Filter):
    """Keeps the lines of an exporter from standard error, as long as the application has set up no logging.

    Python writes warnings there where nobody handles them (`logging.lastResort`). Who has set up logging gets every
    line; so does an exporter of the application's own, which logs under the same names.

    Args:
        exporter: whose classes' modules name the loggers.
    """

    def __init__(self, exporter: object) -> None:
        super().__init__()
        self._here = threading.local()
        modules = {kind.__module__ for kind in type(exporter).__mro__}
        self._loggers = [logging.getLogger(name) for name in modules if name.startswith("opentelemetry.")]
        for logger in self._loggers:
            logger.addFilter(self)

    def __enter__(self) -> None:
        self._here.ours = True

    def __exit__(self, *_: object) -> None:
        self._here.ours = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether a line is to be written."""
        return not getattr(self._here, "ours", False) or logging.getLogger(record.name).hasHandlers()

    def end(self) -> None:
        """Lets every line through again."""
        for logger in self._loggers:
            logger.removeFilter(self)


class _Outlet:
    """An exporter that is quiet, and can be ended at any time, once."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self._quiet = Quiet(exporter)
        self._lock = threading.Lock()
        self._over = False

    def hasten(self) -> None:
        """Ends the exporter if nobody listens where it sends to: this also breaks off its waiting for another try."""
        if nobody_at(getattr(self._exporter, "_endpoint", "")):  # they keep it under no other name
            self._end()

    def leave(self) -> None:
        """Sends nothing any more, and leaves the exporter as it is: its connections are another process's."""
        self._over = True

    def _end(self) -> None:
        with self._lock:
            over, self._over = self._over, True
        if not over:
            with self._quiet:
                self._exporter.shutdown()
            self._quiet.end()


class SpanOutlet(_Outlet, SpanExporter):
    """An exporter of spans."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Returns whether the collector took the spans."""
        if self._over:
            return SpanExportResult.FAILURE
        with self._quiet:
            result: SpanExportResult = self._exporter.export(spans)
        return result

    def shutdown(self) -> None:
        """Ends the exporter."""
        self._end()


class MetricOutlet(_Outlet, MetricExporter):
    """An exporter of metrics.

    Attributes:
        lost: whether the collector did not take what it was last sent.
    """

    def __init__(self, exporter: MetricExporter) -> None:
        # The reader takes these from its exporter, and there is no other way to ask for them.
        MetricExporter.__init__(self, exporter._preferred_temporality, exporter._preferred_aggregation)  # noqa: SLF001
        _Outlet.__init__(self, exporter)
        self.lost = False

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Returns whether the collector took the metrics; never raises."""
        result = MetricExportResult.FAILURE
        # What an exporter raises is its own affair: the reader would log it.
        with suppress(Exception), self._quiet:
            if not self._over:
                result = self._exporter.export(metrics_data, timeout_millis, **kwargs)
        self.lost = result is not MetricExportResult.SUCCESS
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Has nothing of its own to flush."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Ends the exporter."""
        self._end()


def nobody_at(endpoint: str, /) -> bool:
    """Returns whether connections to an address are refused, or cannot be made at all.

    Behind a proxy that cannot be told, nor of an address without a host or a port.
    """
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
        port = parts.port or _PORTS.get(parts.scheme)
        if parts.hostname is None or port is None or getproxies().keys() - {"no"}:
            return False
        socket.create_connection((parts.hostname, port), _KNOCK_S).close()
    except (TimeoutError, ValueError):  # a name that gRPC knows how to read, and we do not
        return False
    except OSError:
        return True
    return False
