"""The configuration files in `examples/` are what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from router.config import load
from router.core.instruments import COUNTED, STANDING, Instrument
from router.setup import setup_of
from router.sinks.prometheus import label_names, prometheus_name
from tests.source_tree import ROOT

EXAMPLES = ROOT / "examples"
TELEMETRY = EXAMPLES / "telemetry"
DASHBOARD: dict[str, Any] = json.loads((TELEMETRY / "grafana" / "lowfare.json").read_text())
QUERIES = [
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]),
    *(v["query"]["query"] for v in DASHBOARD["templating"]["list"] if v["type"] == "query"),
]
TOKEN = re.compile(r'"[^"]*"|(?<!\$)\b[a-zA-Z_][a-zA-Z0-9_]*')
PROMQL = set("sum min max by rate histogram_quantile vector or le label_values".split())
PARTS = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}


def exposed(instrument: Instrument) -> set[str]:
    """Returns the names that a metric has in queries."""
    return {prometheus_name(instrument) + part for part in PARTS[instrument.kind]}


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.toml")), ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_configurations_load(path: Path) -> None:
    """Each configuration is one, its models, policies and sinks included."""
    if path.parent.name != "scenarios":
        setup_of(load(path, environ={}))


@pytest.mark.parametrize("query", QUERIES)
def test_the_dashboard_asks_for_what_there_is(query: str) -> None:
    """Every name in a query is a metric as Prometheus shows it, a label that it has, or a word of PromQL."""
    names = {token for token in TOKEN.findall(query) if not token.startswith('"')} - PROMQL - {"__rate_interval"}
    metrics = [metric for metric in (*COUNTED, *STANDING) if exposed(metric) & names]
    assert metrics
    labels = set.intersection(*({*label_names(metric.attributes)} for metric in metrics))
    assert names <= {name for metric in metrics for name in exposed(metric)} | labels


def test_the_dashboard_shows_every_metric() -> None:
    """None is left out."""
    text = "\n".join(QUERIES)
    assert [metric.name for metric in (*COUNTED, *STANDING) if not any(name in text for name in exposed(metric))] == []


def test_the_dashboard_is_one() -> None:
    """Panels have numbers, titles and places of their own."""
    panels = DASHBOARD["panels"]
    for values in ([p["id"] for p in panels], [p["title"] for p in panels], [str(p["gridPos"]) for p in panels]):
        assert len(set(values)) == len(panels)


@pytest.mark.parametrize("path", sorted(TELEMETRY.rglob("docker-compose.yaml")), ids=lambda path: path.parent.name)
def test_what_is_mounted_is_there(path: Path) -> None:
    """Files that a set-up hands to its services exist, and each set-up has a configuration for the application."""
    for file in re.findall(r'["\s](\.\.?/[^:"]+):', path.read_text()):
        assert (path.parent / file).is_file(), file
    assert (path.parent / "lowfare.toml").is_file()
    assert f"| `{path.parent.name}` |" in (TELEMETRY / "README.md").read_text()
