"""The people's log: one readable line per decision, through loguru.

Libraries keep quiet by default: there are lines only where a router is given this sink, which `[log] lines = true` and
`--verbose` on the command line do. An application silences them with `loguru.logger.disable("router")`.
"""

from __future__ import annotations

from loguru import logger

from router.core.decision import Decision
from router.core.money import usd


class LogSink:
    """Writes a line per decision: INFO for an answer, WARNING for a request that ended without one."""

    def emit(self, decision: Decision, /) -> None:
        """Writes the line."""
        level = "INFO" if decision.model is not None else "WARNING"
        logger.bind(trace_id=decision.trace_id).log(level, "{}", line(decision))

    def close(self) -> None:
        """Has nothing to let go of."""


def line(decision: Decision, /) -> str:
    """Returns the decision in one line: what answered, through which attempts, at what cost, and its trace id."""
    tried = ", ".join(f"{a.model} {a.outcome}" for a in decision.attempts) or "nothing sent"
    tokens = decision.features.input_tokens.likely
    cost = f"${usd(decision.cost_usd)}" if decision.cost_usd is not None else "unknown cost"
    return (
        f"{decision.model or 'no answer'} [{tried}] {cost}, {decision.latency_s:.3f} s,"
        f" about {tokens:,} tokens in, policy {decision.policy}, trace {decision.trace_id}"
    )
