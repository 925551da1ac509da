"""Small values for tests of the core: each builder takes what the test is about and fills in the rest."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from router.core.bounds import Bounds
from router.core.catalog import Model, Price, Rates, Tier
from router.core.course import Given
from router.core.decision import Attempt, Ids
from router.core.policy import Context
from router.core.request import Features, Hints, TokenCount
from router.core.slate import Slate

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
IDS = Ids(request_id="a" * 32, trace_id="b" * 32, span_id="c" * 16)


def price(input_usd: str = "1", output_usd: str = "4") -> Price:
    """Returns one flat tier, in dollars per million tokens."""
    return Price(tiers=(Tier(rates=Rates(input=Decimal(input_usd), output=Decimal(output_usd))),))


def model(name: str = "small", **fields: Any) -> Model:
    """Returns a priced model with a window of 100,000 tokens."""
    values: dict[str, Any] = {
        "name": name,
        "id": f"simulated/{name}",
        "provider": "simulated",
        "client": "simulated",
        "price": price(),
        "context_window_tokens": 100_000,
        "max_output_tokens": 1_000,
    }
    return Model(**values | fields)


def features(tokens: int = 100, **fields: Any) -> Features:
    """Returns the features of a request of exactly so many tokens."""
    values: dict[str, Any] = {"input_tokens": TokenCount(low=tokens, likely=tokens, high=tokens)}
    return Features(**values | fields)


def keep_all(slate: Slate, _: Context, /) -> Slate:
    """The policy that leaves everything as it is."""
    return slate


def given(*models: Model, **fields: Any) -> Given:
    """Returns what goes into a decision over these models, in this order."""
    values: dict[str, Any] = {
        "ids": IDS,
        "key": "k" * 64,
        "features": features(),
        "hints": Hints(),
        "catalog": {m.name: m for m in models},
        "policy_name": "default",
        "policy": keep_all,
        "bounds": Bounds(),
        "now": NOON,
        "draw": 0.5,
        "expected_output_tokens": 200,
    }
    return Given(**values | fields)


def attempt(model_name: str = "small", outcome: str = "answer", **fields: Any) -> Attempt:
    """Returns an attempt of one second that cost nothing."""
    values: dict[str, Any] = {
        "model": model_name,
        "span_id": "d" * 16,
        "started_s": 0.0,
        "latency_s": 1.0,
        "outcome": outcome,
        "cost_usd": Decimal(0),
        "billing": "billed",
        "price_rule": "none",
    }
    return Attempt(**values | fields)
