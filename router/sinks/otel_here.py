"""Who makes spans in this process: the application's provider, or, as long as it has set none, we ourselves."""

from __future__ import annotations

import atexit
import os
import threading
from math import inf

from opentelemetry import trace

from router.sinks.otel_end import Ending
from router.sinks.otel_export import Counts, Export, queue_most
from router.sinks.otel_own import Own
from router.sinks.otel_spans import Maker, Open, Teller
from router.sinks.otel_theirs import Theirs
from router.sinks.tracing import has_provider, set_provider


class Here:
    """What belongs to one process: a child of a fork must not write to its parent's connections.

    Args:
        export: where spans go as long as the application has set no provider.
        teller: what they say.
        provider: in place of the application's.

    Attributes:
        open: requests under way, by span id.
        counts: of the spans that we export ourselves.
        theirs: whether spans go to the application's provider.
    """

    def __init__(self, export: Export, teller: Teller, provider: trace.TracerProvider | None = None) -> None:
        self._export = export
        self._teller = teller
        self._given = provider
        self.open: dict[str, Open] = {}
        self.counts = Counts(queue_most(os.environ))
        self.theirs = False
        self._own: Own | None = None
        self._seen: object = None
        self._maker: Maker | None = None
        self._endings: list[Ending] = []
        self._lock = threading.Lock()

    def maker(self) -> Maker:
        """Returns who makes the spans of a request that begins now."""
        found, known = self._given or set_provider(trace), self._maker
        if known is not None and found is self._seen:
            return known
        with self._lock:
            self.theirs = self._given is not None or has_provider(trace)
            provider = self._given or trace.get_tracer_provider()
            maker = Theirs(provider, self._teller) if self.theirs else self._own or self._made()
            self._seen, self._maker = found, maker
            return maker

    def begin_close(self) -> None:
        """Begins to send what waits; the next span starts anew."""
        atexit.unregister(self.close)
        with self._lock:
            own, self._own, self._maker = self._own, None, None
            if own is not None:
                self._endings.append(own.close())

    def close(self) -> bool:
        """Returns whether all was sent in time."""
        self.begin_close()
        with self._lock:
            endings, self._endings = self._endings, []
        done = [ending.done() for ending in endings]  # each is waited for
        return all(done)

    def leave(self) -> None:
        """Sends nothing any more: what is open is another process's, of which this one is a fork."""
        atexit.unregister(self.close)
        if self._own is not None:
            self._own.leave()

    def _made(self) -> Own:
        self.counts.end(inf)
        self._own = Own(self._export, self.counts, self._teller)
        atexit.register(self.close)  # for programs that end without closing
        return self._own
