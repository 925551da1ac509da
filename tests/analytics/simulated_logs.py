"""Logs for tests: what the production router writes of simulated traffic, and small records of a few words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

import orjson

from router.config import Settings
from router.config_sources import Origin
from router.core.answer import Usage
from router.core.caching import Caching, Hit
from router.core.catalog import Catalog
from router.core.decision import Attempt, Decision
from router.core.machine import Done, Exhausted, NeedCall, NeedLookup, Served, State, plan
from router.core.record import decision_dict
from router.setup import Setup, setup_of
from router.testing.scenario import Scenario
from router.testing.simulation import Routed, Stage, simulate
from tests.core.builders import attempt, given

MODELS: Mapping[str, Any] = {
    name: {
        "id": f"simulated/{name}",
        "input_usd_per_mtok": dollars_in,
        "output_usd_per_mtok": dollars_out,
        "context_window_tokens": 128_000,
        "max_output_tokens": 4_096,
    }
    for name, dollars_in, dollars_out in (("small", "0.15", "0.60"), ("medium", "0.40", "1.60"), ("large", "2", "8"))
}
TIERS: Mapping[str, Any] = {
    "kind": "token_tiers",
    "tiers": [
        {"up_to_tokens": 200, "models": ["small"]},
        {"up_to_tokens": 500, "models": ["medium"]},
        {"models": ["large"]},
    ],
    "fallback": ["medium", "large"],
}
WEIGHTED: Mapping[str, Any] = {
    "kind": "weighted",
    "split": [{"weight": 6, "model": "small"}, {"weight": 3, "model": "medium"}, {"weight": 1, "model": "large"}],
}


def settings_with(default: Mapping[str, Any], **more: Any) -> Settings:
    """Returns settings of three models whose default policy is this."""
    tables = {"models": MODELS, "policies": {"default": default}, **more}
    return Settings.model_validate(tables, context=(Origin(file="config.toml"), []))


def setup_with(default: Mapping[str, Any], **more: Any) -> Setup:
    """Returns what a router of such settings runs with."""
    return _setup(json.dumps([default, more]))


@cache
def _setup(tables: str) -> Setup:
    default, more = json.loads(tables)
    return setup_of(settings_with(default, **more))


@dataclass(slots=True)
class _Lines:
    """A sink that keeps the lines of the log."""

    lines: list[str] = field(default_factory=list)

    def emit(self, decision: Decision, /) -> None:
        self.lines.append(orjson.dumps(decision_dict(decision), default=str).decode())

    def close(self) -> None:
        """Has nothing to let go of."""


@cache
def simulated(policy: str, requests: int, seed: int) -> tuple[str, ...]:
    """Returns the log of some traffic in which the cheapest model fails for a while.

    Args:
        policy: the default policy as JSON, which can be a key of the cache.
        requests: about how many.
        seed: of all draws.
    """
    scenario = Scenario.model_validate(
        {
            "config": {"models": MODELS, "policies": {"default": json.loads(policy)}},
            "traffic": {
                "rate_per_s": 5,
                "duration_s": requests / 5,
                "input_tokens": {"median": 300, "spread": 0.8, "most": 4_000},
                "output_tokens": {"median": 60, "spread": 0.6, "most": 500},
                "options": {"max_tokens": 500},
                "cancel_share": 0.05,
            },
            "troubles": [{"kind": "error", "model": "small", "start_s": 5, "duration_s": requests / 20, "status": 500}],
        }
    )
    sink = _Lines()

    def contender(stage: Stage) -> Routed:
        return Routed(stage, sinks=[sink])

    simulate(scenario, seed, contender=contender)
    return tuple(sink.lines)


def record_of(catalog: Catalog, *attempts: Attempt, hit: Hit | None = None, **fields: Any) -> dict[str, Any]:
    """Returns the record of a request that the machine sent through a catalog, as it stands, with these outcomes.

    Args:
        catalog: the models, the first to be asked in front.
        *attempts: what the calls come to.
        hit: what the cache has; it is looked into only where there is something.
        **fields: of what goes into the decision.
    """
    terms = {"caching": Caching(mode="use")} if hit is not None else {}
    state: State = plan(given(*catalog.values(), **{**terms, **fields}))
    waiting = list(attempts)
    while not isinstance(state, Done | Exhausted | Served):
        match state:
            case NeedLookup():
                state = state.next(hit, 0.0)
            case NeedCall() if waiting:
                state = state.next(waiting.pop(0))
            case _:
                raise AssertionError(f"the machine wants {state}")
    record: dict[str, Any] = orjson.loads(orjson.dumps(decision_dict(state.decision), default=str))
    return record


def answered(name: str, *, usd: str | None = "0.001", tokens: tuple[int, int] = (100, 50), **more: Any) -> Attempt:
    """Returns an attempt that was answered."""
    return attempt(
        name,
        model_id=f"simulated/{name}",
        usage=Usage(input_tokens=tokens[0], output_tokens=tokens[1]),
        cost_usd=None if usd is None else Decimal(usd),
        **more,
    )


def stored(name: str) -> Hit:
    """Returns an answer that the cache has of a model."""
    return Hit(
        kind="shared",
        model=name,
        model_id=f"simulated/{name}",
        trace_id="e" * 32,
        age_s=5.0,
        saved_usd=Decimal("0.001"),
        usage=Usage(input_tokens=100, output_tokens=50),
    )


def rows(*records: Any) -> list[tuple[str, None, None]]:
    """Returns records as a part of a log without labels."""
    return [(orjson.dumps(record).decode(), None, None) for record in records]
