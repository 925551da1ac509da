"""Small configurations, and every request of a small space, to hold proofs against brute force."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from router.config import Settings
from router.config_expect import ExpectTable
from router.prices.litellm_map import PriceMap
from router.setup import setup_of
from router.testing.expect import meant
from router.testing.space import (
    CACHE_WRITE,
    NEEDS,
    STATED,
    STREAM,
    TENANT,
    Among,
    Cell,
    Condition,
    Point,
    need,
)
from router.testing.space_linear import Line, Spread, within
from router.testing.space_world import World

NAMES = ("a", "b", "c")
TOKENS_MOST, UPPER_MOST, OUTPUT_MOST = 6, 8, 3
CHEAP = ("0", "1", "2", "3", "5")
NO_PRICES = PriceMap({})


def world_of(config: Mapping[str, Any]) -> World:
    """Returns the world of a configuration in Python."""
    return World.of(setup_of(Settings.model_validate(config), prices=NO_PRICES))


def random_config(chance: random.Random) -> dict[str, Any]:
    """Returns a configuration whose limits lie where the small space is."""
    return {
        "models": {name: _model(name, chance) for name in NAMES},
        "policies": {"default": _policy(chance, chance.choice((0, 1, 1, 2)))},
        "bounds": {"attempts": chance.choice((1, 3)), **({"waste_usd": "0.000004"} if chance.random() < 0.5 else {})},
        "expected_output_tokens": chance.choice((1, 2, 2, 4)),
        "unpriced": chance.choice(("drop", "allow")),
    }


def _model(name: str, chance: random.Random) -> dict[str, Any]:
    table: dict[str, Any] = {
        "id": chance.choice(("x", "x", "gpt-4o", "gpt-5")) + f"-{name}",
        "base_url": "http://localhost:1",
        "capabilities": chance.sample(("tools", "vision", "json_object"), chance.randint(0, 3)),
        "quality": chance.choice((0.5, 0.8, 0.9)),
    }
    if chance.random() < 0.9:
        table |= {"input_usd_per_mtok": chance.choice(CHEAP), "output_usd_per_mtok": chance.choice(CHEAP)}
        if chance.random() < 0.4:
            table["price_tiers"] = [{"above_tokens": chance.randint(3, 12), "input_usd_per_mtok": chance.choice(CHEAP)}]
        if chance.random() < 0.2:
            table["price_service"] = {"flex": {"input_usd_per_mtok": chance.choice(CHEAP)}}
    if chance.random() < 0.7:
        table["context_window_tokens"] = chance.choice((12, 15, 66, 70, 72, 74, 77, 486, 492, 10_000))
    if chance.random() < 0.6:
        table["max_output_tokens"] = chance.randint(1, 3)
    return table


def _policy(chance: random.Random, depth: int) -> dict[str, Any]:
    some = chance.sample(NAMES, chance.randint(1, 3))
    leaves: list[dict[str, Any]] = [
        {"kind": "cheapest"},
        {"kind": "fallback", "models": some},
        _tiers(chance),
        {
            "kind": "max_cost",
            "limit_usd": f"0.0000{chance.randint(0, 60):02}",
            "of": chance.choice(("expected", "worst")),
        },
        {"kind": "min_quality", "quality": chance.choice((0.6, 0.85))},
        {"kind": "requires", "capabilities": ["tools"]},
        {"kind": "prefer", "first": [{"model": chance.choice(NAMES)}]},
        {"kind": "prefer", "deny": [{"model": chance.choice(NAMES)}]},
        {"kind": "weighted", "split": [{"weight": 1, "model": some[0]}, {"weight": 2, "model": some[-1]}]}
        if len(some) > 1
        else {"kind": "cheapest"},
    ]
    if depth == 0:
        return chance.choice(leaves)
    inner = [_policy(chance, depth - 1) for _ in range(chance.randint(2, 3))]
    outer: list[dict[str, Any]] = [
        {"kind": "chain", "policies": inner},
        {"kind": "first_of", "policies": inner},
        {"kind": "rules", "rules": [{"when": when(chance), "use": one} for one in inner[1:]], "otherwise": inner[0]},
        {
            "kind": "weighted",
            "split": [{"weight": chance.choice((1, 3)), "use": one} for one in inner],
            "others": chance.choice(("follow", "drop")),
        },
    ]
    return chance.choice(outer)


def _tiers(chance: random.Random) -> dict[str, Any]:
    low, high = sorted(chance.sample(range(1, 9), 2))
    tiers = [{"up_to_tokens": limit, "models": chance.sample(NAMES, chance.randint(1, 3))} for limit in (low, high)]
    return {
        "kind": "token_tiers",
        "tiers": tiers,
        "fallback": chance.sample(NAMES, chance.randint(0, 2)),
        "measure": chance.choice(("input", "total")),
        "order": chance.choice(("cheapest", "listed")),
    }


def when(chance: random.Random) -> dict[str, Any]:
    """Returns some conditions of a rule."""
    low = chance.randint(0, 4)
    options: dict[str, Any] = {
        "tags": {"t": chance.choice(("x", "y", "x*", "*"))},
        "needs": [chance.choice(("tools", "vision", "json_object"))],
        "above_tokens": low,
        "up_to_tokens": low + chance.randint(1, 4),
        "images": chance.random() < 0.5,
        "tools": chance.random() < 0.5,
    }
    return {key: options[key] for key in chance.sample(sorted(options), chance.randint(0, 2))}


def random_expect(chance: random.Random) -> ExpectTable:
    """Returns an expectation of requests in the small space."""
    then: dict[str, Any] = {
        "model_in": chance.sample(NAMES, 2),
        "model_not_in": [chance.choice(NAMES)],
        "cost_usd": f"{chance.choice(('<', '<=', '>', '>='))} 0.0000{chance.randint(0, 60):02}",
        "worst_usd": f"{chance.choice(('<', '<=', '>', '>='))} 0.000{chance.randint(0, 999):03}",
        "worst_case_usd": f"{chance.choice(('<', '<=', '>', '>='))} 0.000{chance.randint(0, 999):03}",
        "answered": chance.random() < 0.7,
        "fallbacks": f"{chance.choice(('<', '<=', '>', '>='))} {chance.randint(1, 2)}",
        "live": [chance.choice(NAMES)],
        "dropped": [chance.choice(NAMES)],
    }
    given = when(chance) if chance.random() < 0.5 else {}
    stated = chance.choice((f"<= {OUTPUT_MOST}", "none", None, "2..3"))
    needs = sorted({*chance.sample(("tools", "vision", "json_object"), chance.randint(0, 2)), *given.get("needs", ())})
    return ExpectTable.model_validate(
        {
            "when": {
                **given,
                "tokens": f"<= {chance.randint(2, TOKENS_MOST)}",
                "needs_only": needs,
                **({} if stated is None else {"max_tokens": stated}),
                **({"tokens_most": f"<= {UPPER_MOST}"} if chance.random() < 0.5 else {}),
            },
            "then": {key: then[key] for key in chance.sample(sorted(then), 1)},
        }
    )


def every_request(table: ExpectTable, world: World) -> Iterator[Point]:
    """Yields the requests that an expectation means, sizes beyond the small space left out."""
    cell = meant(table.when, world, world.setup.policies["default"])
    return iter(()) if cell is None else requests_of(cell)


def requests_of(cell: Cell) -> Iterator[Point]:
    """Yields the requests of a cell; sizes beyond the small space, and what no tiny model goes by, left out."""
    space = cell.space
    plain = {STATED, STREAM, TENANT, CACHE_WRITE}
    choices = [cell.answers(q)[:1] if q in plain else cell.answers(q) for q in space.questions]
    sizes = [one for one in _sizes(spread=space.spread) if within(one, cell.bounds)]
    for values in product(*choices):
        answers = dict(zip(space.questions, values, strict=True))
        if not _possible(answers) or any(answers[q] not in left for q, left in cell.left.items() if q != STATED):
            continue
        for n, h, m in sizes:
            point = Point({**answers, STATED: m > 0}, (n, h, m))
            if has(cell, point):
                yield point


def has(cell: Cell, point: Point) -> bool:
    """Returns whether a request is in a cell."""
    return (
        all(point.answers[question] in answers for question, answers in cell.left.items())
        and within(point.sizes, cell.bounds)
        and not any(all(holds(condition, point) for condition in group) for group in cell.without)
    )


def holds(condition: Condition, point: Point) -> bool:
    """Returns whether a condition holds of a request."""
    match condition:
        case bool():
            return condition
        case Among():
            return condition.holds(point)
        case Line():
            return condition.holds(point.sizes)


def _sizes(*, spread: Spread | None) -> Iterator[tuple[int, int, int]]:
    for n, h, m in product(range(1, TOKENS_MOST + 1), range(1, UPPER_MOST + 1), range(OUTPUT_MOST + 1)):
        if n <= h and (spread is None or h <= spread[0] * n + spread[1]):
            yield n, h, m


def _possible(answers: Mapping[Any, Any]) -> bool:
    exact = [name for name in NEEDS if name not in {"json_object", "audio_output", "reasoning", "web_search"}]
    needs = {name for name in NEEDS if answers[need(name)]}
    offered = answers[("", "tools")]
    return (
        not {"json_object", "json_schema"} <= needs
        and not (offered and needs.isdisjoint({"tools", "web_search"}))
        and not (answers[("", "the input was counted exactly")] and (offered or not needs.isdisjoint(exact)))
    )
