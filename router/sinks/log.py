"""The people's log: one readable line per decision, through loguru.

Libraries keep quiet by default: there are lines only where a router is given this sink, which `[log] lines = true` and
`--verbose` on the command line do. An application silences them with `loguru.logger.disable("router")`.
"""

from __future__ import annotations

from decimal import Decimal

from loguru import logger

from router.core.decision import Decision
from router.core.money import usd


class LogSink:
    """Writes a line per decision: INFO for an answer, WARNING for a request that ended without one."""

    def emit(self, decision: Decision, /) -> None:
        """Writes the line."""
        level = "INFO" if decision.model is not None else "WARNING"
        logger.bind(trace_id=decision.trace_id, span_id=decision.ids.span_id).log(level, "{}", line(decision))

    def close(self) -> None:
        """Has nothing to let go of."""


def line(decision: Decision, /) -> str:
    """Returns the decision in one line: what answered, through which attempts, at what cost, and its trace id.

    An answer out of the cache has no attempts; in their place stands where it was, how old it is and what it saved.
    """
    tried = ", ".join(f"{a.model} {a.outcome}" for a in decision.attempts) or _unsent(decision)
    tokens = decision.features.input_tokens.likely
    cost = _money(decision.cost_usd)
    return (
        f"{decision.model or 'no answer'} [{tried}] {cost}, {decision.latency_s:.3f} s,"
        f" about {tokens:,} tokens in, policy {decision.policy}, trace {decision.trace_id}, span {decision.ids.span_id}"
    )


def _unsent(decision: Decision) -> str:
    hit = decision.lookup.hit if decision.lookup is not None else None
    if hit is None or decision.cache == "none":
        return "nothing sent"
    if hit.failure is not None:
        return f"cache {hit.kind}, {hit.age_s:.0f} s old: {hit.failure.kind}"
    return f"cache {hit.kind}, {hit.age_s:.0f} s old, saved {_money(decision.saved_usd)}"


def _money(amount: Decimal | None) -> str:
    return f"${usd(amount)}" if amount is not None else "unknown cost"
