"""Where decisions go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from router.core.decision import Decision
from router.errors import warn


class Sink(Protocol):
    """Takes every decision, before its caller gets the reply.

    A sink may raise; the router then warns and gives the caller the answer all the same.
    """

    def emit(self, decision: Decision, /) -> None:
        """Takes one decision; called from any thread, so it must be thread-safe and quick."""
        ...

    def close(self) -> None:
        """Lets go of files and connections; may be called more than once."""
        ...


def give_to(sink: Sink, decision: Decision, /) -> None:
    """Gives a sink a decision; warns where it fails, as a log that fails must not cost the caller an answer."""
    try:
        sink.emit(decision)
    except Exception as error:  # noqa: BLE001 - as said above
        warn(f"{type(sink).__name__} lost the decision of trace {decision.trace_id}: {error}")


@runtime_checkable
class SlowSink(Protocol):
    """A sink that takes its time to close, as it waits for others: it begins before any sink is waited for."""

    def begin_close(self) -> None:
        """Begins to close; `close` follows, and waits."""
        ...


def close_all(sinks: Iterable[Sink], /) -> None:
    """Closes sinks; warns of one that fails, as the others must close all the same."""
    closing = tuple(sinks)
    begun = [(sink, sink.begin_close) for sink in closing if isinstance(sink, SlowSink)]
    for sink, close in [*begun, *((sink, sink.close) for sink in closing)]:
        try:
            close()
        except Exception as error:  # noqa: BLE001 - as said above
            warn(f"{type(sink).__name__} did not close: {error}")
