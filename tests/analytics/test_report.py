from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.analytics.report_duplicates import TTLS_S
from router.analytics.report_options import Options
from router.analytics.tables import Table
from tests.analytics.brute import Rows, Seen, by_group, day_of, figures, grouped, hour_of, summary
from tests.analytics.brute_calls import efficiency, failures, waste
from tests.analytics.brute_repeats import context, duplicates
from tests.analytics.records import START, Record, records
from tests.analytics.reporting import PRICES, reported, rows


def same(found: Any, expected: Any) -> bool:
    """Returns whether two figures are equal: money and counts exactly, floats but for the order of their sums."""
    if isinstance(expected, float) and found is not None:
        return bool(found == pytest.approx(expected, rel=1e-9, abs=1e-15))
    return bool(found == expected)


def agree(table: Table, expected: Rows) -> None:
    """Checks a table against rows that were computed otherwise, whatever the order of either."""
    found = rows(table)
    assert len(found) == len(expected), (table.name, found, expected)
    names = [name for name in expected[0] if not isinstance(expected[0][name], float | Decimal)] if expected else []

    def key(row: Mapping[str, Any]) -> list[str]:
        return [str(row[name]) for name in names] + [str(float(row.get("cost_usd") or 0))]

    for one, other in zip(sorted(found, key=key), sorted(expected, key=key), strict=True):
        different = {name: (one[name], value) for name, value in other.items() if not same(one[name], value)}
        assert not different, (table.name, other, different)


def baseline_cost(usage: Mapping[str, int]) -> Decimal:
    """Returns what a usage costs at the price of `small`, written out by hand."""
    total, output = usage["input_tokens"], usage["output_tokens"]
    written = min(usage.get("cache_write_tokens", 0), total)
    cached = min(usage.get("cached_input_tokens", 0), total - written)
    reasoning = min(usage.get("reasoning_tokens", 0), output)
    fresh, read, out, thought = ("2", "0.5", "8", "8") if total > 5_000 else ("1", "0.1", "4", "5")
    rates = [(fresh, total - cached), (read, cached), (out, output - reasoning), (thought, reasoning)]
    return Decimal("0.01") + sum((Decimal(rate) * tokens / 1_000_000 for rate, tokens in rates), Decimal(0))


def saving_rate(one: Seen) -> Decimal | None:
    """Returns what a cached token costs less at the request's model."""
    if one.model == "large":
        return None
    if one.model == "other":
        return Decimal(0)
    return Decimal("0.0000015") if (one.input or 0) > 5_000 else Decimal("0.0000009")


def wanted(one: Seen, options: Options) -> bool:
    """Returns whether a request is in the window and passes the filters."""
    if options.since is not None and (one.time is None or one.time < options.since):
        return False
    if options.until is not None and (one.time is None or one.time >= options.until):
        return False
    for name in {name for name, _ in options.where}:
        value = one.tags.get(name[4:]) if name.startswith("tag:") else getattr(one, name)
        if value not in {accepted for other, accepted in options.where if other == name}:
            return False
    return True


_FILTERS = (
    ("model", "small"),
    ("model", "large"),
    ("cache", "none"),
    ("ending", "answer"),
    ("tenant", "acme"),
    ("tag:team", "x"),
)
_GROUPS: Mapping[str, Callable[[Seen], Any]] = {
    "tenant": lambda s: s.tenant,
    "provider": lambda s: s.provider,
    "tag:team": lambda s: s.tags.get("team"),
    "hour": hour_of,
    "day": day_of,
}


def random_options(seed: int) -> Options:
    """Returns options that leave most of a log in view, as a rule."""
    draw = random.Random(seed)
    filters = draw.sample(_FILTERS, k=draw.choice((0, 0, 0, 1, 2)))
    return Options(
        since=draw.choice((None, None, START, START + timedelta(seconds=5))),
        until=draw.choice((None, None, START + timedelta(seconds=61), START + timedelta(days=2))),
        where=tuple(filters),
        by=tuple(draw.sample(sorted(_GROUPS), k=draw.randrange(3))),
        baseline=draw.choice((None, "small")),
        storm_within_s=draw.choice((0.5, 1.0, 10.0)),
        prices=PRICES,
    )


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records(), st.builds(random_options, st.integers(0, 2**32 - 1)))
def test_every_figure(tmp_path: Path, log: Sequence[Record], options: Options) -> None:
    """Every figure of a report equals what plain loops over the records come to."""
    seen = [one for one in map(Seen, log) if wanted(one, options)]
    expected = {
        **summary(seen, baseline_cost if options.baseline else None),
        **by_group(seen),
        **failures(seen),
        **waste(seen),
        **efficiency(seen),
        **duplicates(seen, TTLS_S, options.storm_within_s),
        **context(seen, saving_rate),
    }
    if options.by:  # by day it stands in the place of the shorter table of days
        names = [name.replace(":", "_") for name in options.by]
        groups = grouped(seen, lambda one: tuple(_GROUPS[name](one) for name in options.by))
        expected["by_" + "_".join(names)] = [
            {**dict(zip(names, key, strict=True)), **figures(group, seen)} for key, group in groups.items()
        ]
    found = reported(tmp_path, log, options)
    assert found.keys() == expected.keys()
    for name, table in found.items():
        agree(table, expected[name][:10] if name in {"prefixes", "largest_storms"} else expected[name])
