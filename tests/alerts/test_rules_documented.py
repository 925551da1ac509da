"""docs/alerts-rules.md shows each event's body as the code makes it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from router.config import Settings
from router.config_alerts import rules_of
from router.core.alert import Alert, body_of
from router.core.alert_budget import budget_alerts
from router.core.alert_counts import count_alerts
from router.core.alert_rules import BudgetRule, Rule
from router.core.budget import Account, Standing
from router.core.counting import Sums
from tests.source_tree import ROOT

PAGE = (ROOT / "docs" / "alerts-rules.md").read_text()
SHOWN = re.compile(r"^### `(?P<type>[a-z.]+)`\n(?P<text>.*?)^```json\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
AT = datetime(2026, 11, 28, 14, 41, 7, tzinfo=UTC)
DAY_S, HOUR_S, CENT = 86_400, 3_600, 10**7
DAY = (int(AT.timestamp()) // DAY_S * DAY_S, int(AT.timestamp()) // DAY_S * DAY_S + DAY_S)
HOUR = (int(AT.timestamp()) // HOUR_S * HOUR_S, int(AT.timestamp()) // HOUR_S * HOUR_S + HOUR_S)
ACME = Account(budget="support", value="acme", start_s=DAY[0], end_s=DAY[1])
STANDING = Standing(limit_nano=5_000 * CENT, spent_nano=4_012 * CENT, reserved_nano=21 * CENT)
COUNTED: Mapping[str, tuple[str, Sums, list[Sums]]] = {
    "spend.rate": (
        "spending-jumps",
        {("spent_nano", ""): 1_260 * CENT},
        [{("requests", ""): 90, ("spent_nano", ""): nano * CENT} for nano in (380, 420, 410, 390, 400)],
    ),
    "waste.share": (
        "waste",
        {("requests", ""): 812, ("spent_nano", ""): 960 * CENT, ("wasted_nano", ""): 240 * CENT},
        [],
    ),
    "errors.share": ("large-fails", {("judged", "large"): 40, ("failures", "large"): 13}, []),
    "cache.hits": (
        "cache-collapses",
        {("lookups", ""): 250, ("hits", ""): 15},
        [{("lookups", ""): 40_000, ("hits", ""): 12_800}],
    ),
    "unpriced.share": (
        "nobody-knows-the-price",
        {("requests", ""): 300, ("unpriced", ""): 18, ("unpriced_attempts", "large"): 18},
        [],
    ),
}


def rules() -> dict[str, Rule]:
    """Returns the rules that the page itself shows, by name."""
    [toml] = re.findall(r"^```toml\n# alerts\.toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    tables = tomllib.loads(toml)
    model = {"id": "simulated/m", "input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}
    settings = Settings.model_validate({"models": {"large": model}, **tables})
    return {rule.name: rule for rule in rules_of(settings.alerts)}


def made(kind: str) -> Alert:
    """Returns the alert that the page shows of an event."""
    if kind.startswith("budget."):
        rule = rules()["support-spends"]
        assert isinstance(rule, BudgetRule)
        return next(alert for alert in budget_alerts(rule, ACME, STANDING, at=AT) if alert.type == kind)
    name, sums, before = COUNTED[kind]
    counting = rules()[name]
    assert not isinstance(counting, BudgetRule)
    window = DAY if counting.window.period == "day" else HOUR
    [alert, *_] = count_alerts(counting, window, sums, before, at=AT)
    return alert


@pytest.mark.parametrize("kind", ["budget.threshold", "budget.forecast", *COUNTED])
def test_the_body_is_as_shown(kind: str) -> None:
    """Every field of it, and each of them is named in the text above it or in the table of what all have."""
    [found] = [shown for shown in SHOWN.finditer(PAGE) if shown["type"] == kind]
    body: Any = json.loads(body_of(made(kind)))
    assert json.loads(found["body"]) == body, json.dumps(body, indent=2)
    common = PAGE.partition("## Events")[2].partition("### ")[0]
    assert [name for name in body["data"] if f"`{name}`" not in common + found["text"]] == []


def test_every_event_is_shown() -> None:
    """And none that there is not."""
    assert {shown["type"] for shown in SHOWN.finditer(PAGE)} == {"budget.threshold", "budget.forecast", *COUNTED}
