"""Recent behaviour of each model, as policies see it."""

from __future__ import annotations

from dataclasses import replace

from router.core.answer import Usage
from router.core.decision import Attempt, Decision
from router.core.machine import Exhausted, plan
from router.core.place import DeploymentState, ModelState
from router.core.stats import BreakerState
from router.state.statistics import ENOUGH, WINDOW, Statistics
from tests.core.builders import attempt, given


def decision(*attempts: Attempt) -> Decision:
    """Returns a decision that made these attempts."""
    end = plan(given())
    assert isinstance(end, Exhausted)
    return replace(end.decision, attempts=attempts)


def test_nothing_is_known_of_a_model_that_was_not_tried() -> None:
    """The snapshot starts empty."""
    assert Statistics().snapshot() == {}


def test_attempts_and_failures_are_counted_by_model() -> None:
    """Failures count, calls that their caller gave up do not."""
    statistics = Statistics()
    statistics.fold(decision(attempt("a", "server_error"), attempt("b")))
    statistics.fold(decision(attempt("a"), attempt("a", "cancelled")))
    stats = statistics.snapshot()
    assert (stats["a"].attempts, stats["a"].failures) == (2, 1)
    assert (stats["b"].attempts, stats["b"].failures) == (1, 0)


def test_no_quantile_before_there_is_enough_to_say_it() -> None:
    """A p95 of three calls is no p95."""
    statistics = Statistics()
    for _ in range(ENOUGH - 1):
        statistics.fold(decision(attempt("a", latency_s=2.0)))
    assert statistics.snapshot()["a"].latency_p95_s is None
    statistics.fold(decision(attempt("a", latency_s=2.0)))
    assert statistics.snapshot()["a"].latency_p95_s == 2.0


def test_quantiles_follow_recent_answers_only() -> None:
    """The window forgets: after enough fast answers the slow ones no longer count, and failures have no latency."""
    statistics = Statistics()
    for _ in range(WINDOW):
        statistics.fold(decision(attempt("a", latency_s=9.0, first_token_s=1.0, usage=Usage(output_tokens=10))))
    slow = statistics.snapshot()["a"]
    assert (slow.latency_p50_s, slow.first_token_p50_s, slow.output_tokens_mean) == (9.0, 1.0, 10.0)
    for _ in range(WINDOW):
        statistics.fold(decision(attempt("a", "timed_out", latency_s=60.0), attempt("a", latency_s=0.5)))
    assert statistics.snapshot()["a"].latency_p95_s == 0.5


def test_breakers_stand_in_the_snapshot() -> None:
    """A policy sees that a model is not asked for now; of several deployments the best one counts."""
    statistics = Statistics()
    statistics.fold(decision(attempt("a", latency_s=2.0)))

    def state(*breakers: BreakerState) -> ModelState:
        deployments = {str(i): DeploymentState(breaker=b) for i, b in enumerate(breakers)}
        return ModelState(deployments=deployments, in_flight=0, queued=0, limit=None, retries_left=1.0)

    stats = statistics.snapshot({"a": state("open"), "b": state("open", "closed"), "c": state("open", "half_open")})
    assert (stats["a"].breaker, stats["a"].attempts) == ("open", 1)
    assert "b" not in stats
    assert stats["c"].breaker == "half_open"


def test_turns_that_were_held_back_are_no_failures() -> None:
    """A model that is merely busy does not look broken."""
    statistics = Statistics()
    statistics.fold(decision(attempt("a", "not_sent", held="queue_full"), attempt("a")))
    assert (statistics.snapshot()["a"].attempts, statistics.snapshot()["a"].failures) == (1, 0)
