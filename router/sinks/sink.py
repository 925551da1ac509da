"""Where decisions go."""

from __future__ import annotations

from typing import Protocol

from router.core.decision import Decision


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
