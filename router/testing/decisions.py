"""A sink that is a list."""

from __future__ import annotations

from router.core.decision import Decision


class Decisions(list[Decision]):
    """A `router.sinks.sink.Sink` in memory: the decisions, oldest first.

    Example:
        >>> from router.testing.records import decision_of
        >>> decisions = Decisions()
        >>> decisions.emit(decision_of(outcomes=["server_error", "answer"]))
        >>> [(attempt.model, attempt.outcome) for attempt in decisions[-1].attempts]
        [('m1', 'server_error'), ('m2', 'answer')]
    """

    def emit(self, decision: Decision, /) -> None:
        """Takes one decision."""
        self.append(decision)

    def close(self) -> None:
        """Has nothing to let go of."""
