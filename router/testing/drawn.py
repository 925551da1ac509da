"""Scenarios drawn at random: models, policies, bounds, terms of attempts, traffic and troubles of all kinds."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final

from router.testing.scenario import Scenario
from router.testing.traffic import Traffic
from router.testing.troubles import Behaviour, Spread, Trouble

_KINDS: Final = ("error", "error", "unreachable", "hang", "refuse", "refuse", "empty", "error_in_answer", "cut", "slow")
_PLACES: Final = ("here", "there", "yonder")
"""Names and regions of deployments."""
_KEYS: Final = ("FIRST_KEY", "SECOND_KEY")
"""Shared by models and deployments, as keys of one account are."""


def random_scenario(chance: random.Random, /) -> Scenario:
    """Returns some scenario: a few models, policies nested to some depth, bounds and terms, traffic, troubles.

    Args:
        chance: what it is drawn from; Hypothesis' `st.randoms()` makes it shrink.
    """
    names = [f"m{number}" for number in range(chance.randint(1, 5))]
    duration_s = chance.choice((5.0, 60.0, 600.0))
    requests = chance.randint(1, 240)
    bounds: dict[str, Any] = {"attempts": chance.randint(1, 6), "deadline_s": chance.choice((0.5, 3.0, 20.0, 90.0))}
    if chance.random() < 0.5:
        bounds["waste_usd"] = chance.choice(("0", "0.0005", "0.01", "1"))
    config = {
        "models": {name: _model(name, chance) for name in names},
        "policies": {"default": _policy(names, chance, depth=chance.randint(0, 3))},
        "bounds": bounds,
        "seed": str(chance.randrange(1000)),
        **_terms(bounds, chance),
    }
    return Scenario(
        title="drawn from the seed",
        config=config,
        traffic=_traffic(requests, duration_s, chance),
        providers={name: _behaviour(chance) for name in names if chance.random() < 0.7},
        troubles=tuple(_trouble(names, duration_s, chance) for _ in range(chance.randint(0, 6))),
    )


def _model(name: str, chance: random.Random) -> dict[str, Any]:
    table: dict[str, Any] = {
        "id": f"simulated/{name}",
        "input_usd_per_mtok": chance.choice(("0.1", "1", "3")),
        "output_usd_per_mtok": chance.choice(("0.4", "4", "15")),
        "context_window_tokens": chance.choice((2_000, 16_000, 128_000)),
        "max_output_tokens": chance.choice((64, 1_000, 8_000)),
        "quality": chance.choice((0.5, 0.8, 0.95)),
    }
    if chance.random() < 0.3:
        table["timeout_s"] = {"total": chance.choice((0.3, 2.0, 30.0))}
    if chance.random() < 0.3:
        table["key_env"] = chance.choice(_KEYS)
    if chance.random() < 0.3:
        table["deployments"] = [_deployment(place, chance) for place in _PLACES[: chance.randint(1, len(_PLACES))]]
    if chance.random() < 0.3:
        table |= {"concurrency": chance.choice((1, 2, 10)), "queue": chance.choice((0, 1, 30))}
    return table


def _deployment(place: str, chance: random.Random) -> dict[str, Any]:
    table: dict[str, Any] = {"name": place, "region": place, "weight": chance.choice((1, 5))}
    if chance.random() < 0.5:
        table["key_env"] = chance.choice(_KEYS)
    if chance.random() < 0.3:
        table["requests_per_minute"] = chance.choice((1, 30))
    if chance.random() < 0.2:
        table["tokens_per_minute"] = chance.choice((500, 50_000))
    return table


def _terms(bounds: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
    """Returns the tables that say how attempts are made, each there or not."""
    tables: dict[str, Any] = {
        "breaker": {
            "consecutive_failures": chance.choice((1, 3)),
            "failure_share": chance.choice((0.2, 1.0)),
            "open_s": chance.choice((0.5, 10.0)),
            "key_open_s": chance.choice((1.0, 60.0)),
            "keep_last": chance.random() < 0.5,
        },
        "retry_quota": {
            "share": chance.choice((0.0, 0.5)),
            "least_per_s": chance.choice((0.0, 0.1, 20.0)),
            "ttl_s": chance.choice((1.0, 30.0)),
        },
        "concurrency": {"limit": chance.choice((1, 5)), "queue": chance.choice((0, 2, 50))},
        "hedge": {"enabled": True, "after_s": chance.choice((0.02, 0.7, 5.0, "p95"))},
        "per_policy": {
            "default": {
                "bounds": {
                    "attempts": chance.randint(1, bounds["attempts"]),
                    "deadline_s": bounds["deadline_s"] * chance.choice((0.3, 1.0)),
                },
                "checks": {"empty": True, "refusal": True},
                "prefer_wait_s": chance.choice((0.0, 1.0, 30.0)),
                "hedge": chance.random() < 0.5,
            }
        },
    }
    return {name: table for name, table in tables.items() if chance.random() < 0.4}


def _policy(names: list[str], chance: random.Random, *, depth: int) -> dict[str, Any]:
    some = chance.sample(names, chance.randint(1, len(names)))
    if depth == 0:
        leaves: list[dict[str, Any]] = [
            {"kind": "cheapest"},
            {"kind": "fallback", "models": some},
            {"kind": "token_tiers", "tiers": [{"up_to_tokens": 500, "models": some}, {"models": names}]},
        ]
        return chance.choice(leaves)
    inner = [_policy(names, chance, depth=depth - 1) for _ in range(chance.randint(1, 2))]
    cheap = {"kind": "max_cost", "limit_usd": chance.choice(("0.0002", "0.005"))}
    split = [{"weight": chance.choice((1, 3)), "use": policy} for policy in inner]
    outer: list[dict[str, Any]] = [
        {"kind": "chain", "policies": [{"kind": "cheapest"}, inner[0]]},
        {"kind": "first_of", "policies": [{"kind": "chain", "policies": [cheap, inner[0]]}, inner[-1]]},
        {"kind": "rules", "rules": [{"when": {"above_tokens": 900}, "use": inner[0]}], "otherwise": inner[-1]},
        {"kind": "weighted", "split": split},
    ]
    return chance.choice(outer)


def _traffic(requests: int, duration_s: float, chance: random.Random) -> Traffic:
    options: dict[str, Any] = {}
    if chance.random() < 0.7:
        options["max_tokens"] = chance.choice((1, 50, 500))
    if chance.random() < 0.3:
        options["attempts"] = chance.randint(1, 8)
    if chance.random() < 0.3:
        options["deadline_s"] = chance.choice((0.2, 2.0, 120.0))
    if chance.random() < 0.2:
        options["max_cost_usd"] = chance.choice(("0.0001", "0.01"))
    return Traffic(
        kind=chance.choice(("poisson", "constant", "bursts")),
        rate_per_s=requests / duration_s,
        duration_s=duration_s,
        burst=chance.randint(1, requests),
        requests=requests,
        input_tokens=Spread(median=chance.choice((20, 400, 3_000)), spread=0.7, most=20_000),
        stream_share=chance.choice((0.0, 0.5, 1.0)),
        cancel_share=chance.choice((0.0, 0.0, 0.3)),
        drop_share=chance.choice((0.0, 0.0, 0.3)),
        options=options,
    )


def _behaviour(chance: random.Random) -> Behaviour:
    return Behaviour(
        latency_s=Spread(median=chance.choice((0.05, 0.6, 4.0)), spread=chance.choice((0.0, 0.8))),
        tokens_per_s=Spread(median=chance.choice((10.0, 100.0)), spread=0.2),
        requests_per_minute=chance.choice((None, 6.0, 120.0)),
        tokens_per_minute=chance.choice((None, None, 20_000.0)),
        retry_after=chance.choice(("honest", "none", "too_short", "too_long", "garbage")),
    )


def _trouble(names: list[str], duration_s: float, chance: random.Random) -> Trouble:
    jumps = chance.random() < 0.1
    kind: Any = "clock_jump" if jumps else chance.choice(_KINDS)
    table: dict[str, Any] = {"kind": kind, "start_s": chance.uniform(0, duration_s / 2)}
    match kind:
        case "clock_jump":
            return Trouble(**table, jump_s=chance.choice((-3600.0, 7200.0)))
        case "error":
            status = chance.choice((500, 502, 503, 504, 401, 402, 403))
            # A provider that bills what it denies breaks a promise that is its own.
            table |= {"status": status, "billed": status >= 500 and chance.random() < 0.5}
        case "refuse":
            table["retry_after"] = chance.choice(("honest", "none", "too_short", "too_long", "garbage"))
        case "slow":
            table["factor"] = chance.choice((3.0, 50.0))
    if chance.random() < 0.6:
        table["duration_s"] = chance.uniform(0.1, duration_s)
        if chance.random() < 0.3:
            table["every_s"] = table["duration_s"] * chance.uniform(1.5, 4)
    if chance.random() < 0.3:
        table["region"] = chance.choice(_PLACES)
    return Trouble(**table, model=chance.choice(["*", *names]), share=chance.choice((0.2, 0.5, 1.0)))
