"""The configuration files in `examples/` are what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from promql_parser import AggregateExpr, Expr, MatrixSelector, VectorSelector, parse, walk

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
STACKS: dict[str, Any] = {
    path.parent.name: yaml.safe_load(path.read_text()) for path in TELEMETRY.glob("*/docker-compose.yaml")
}
COLLECTORS: dict[str, Any] = {
    path.parent.name: yaml.safe_load(path.read_text()) for path in TELEMETRY.glob("*/collector.yaml")
}
SERVED = {
    f"{name}": ports for name, ports in {"prometheus": {9090}, "tempo": {3200, 4318}, "collector": {8889}}.items()
}
"""Ports at which services take what others send or ask."""
PARTS = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}


def exposed(instrument: Instrument) -> set[str]:
    """Returns the names that a metric has in queries."""
    return {prometheus_name(instrument) + part for part in PARTS[instrument.kind]}


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.toml")), ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_configurations_load(path: Path) -> None:
    """Each configuration is one, its models, policies and sinks included."""
    if path.parent.name != "scenarios":
        setup_of(load(path, environ={}))


METRICS = {name: metric for metric in (*COUNTED, *STANDING) for name in exposed(metric)}


def asked(query: str) -> Expr:
    """Returns a query as Prometheus reads it, what Grafana puts in included."""
    found = re.fullmatch(r"label_values\((\w+), (\w+)\)", query)  # a function of Grafana's own
    filled = f"count by ({found[2]}) ({found[1]})" if found else query
    return parse(filled.replace("$__rate_interval", "5m").replace("$policy", ".*"))


@pytest.mark.parametrize("query", QUERIES)
def test_the_dashboard_asks_for_what_there_is(query: str) -> None:
    """Prometheus can read each query; its metrics and labels are those that there are, and only counters have rates."""
    metrics, labels, rates = set[str](), set[str](), set[str]()

    def see(node: Expr) -> None:
        if isinstance(node, VectorSelector):
            assert node.name is not None
            metrics.add(node.name)
            labels.update(matcher.name for matcher in node.matchers.matchers)
        elif isinstance(node, AggregateExpr) and node.modifier is not None:
            labels.update(node.modifier.labels)
        elif isinstance(node, MatrixSelector):
            rates.add(str(node.vector_selector.name))

    walk(asked(query), see)
    assert metrics
    assert metrics <= METRICS.keys()
    assert labels <= set.intersection(*({*label_names(METRICS[name].attributes), "le"} for name in metrics))
    assert "le" not in labels or all(name.endswith("_bucket") for name in metrics)
    assert rates == {name for name in metrics if METRICS[name].kind != "gauge" and "label_values" not in query}


@pytest.mark.parametrize("query", ["sum(rate(x[5m])", "rate(lowfare_cost_USD_total)", "sum by lowfare_model (x)"])
def test_a_query_that_prometheus_cannot_read_is_found(query: str) -> None:
    """A bracket, a range or a word that is missing is an error."""
    with pytest.raises(ValueError, match=r"."):
        asked(query)


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


@pytest.mark.parametrize("name", STACKS)
def test_services_are_pinned_and_listen_here_alone(name: str) -> None:
    """Each image has a version, and each port is one of this machine."""
    for service in STACKS[name]["services"].values():
        assert re.fullmatch(r"[a-z./-]+:v?\d+\.\d+\.\d+", service["image"])
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert set(service.get("depends_on", ())) <= STACKS[name]["services"].keys()


@pytest.mark.parametrize("name", STACKS)
def test_services_find_each_other(name: str) -> None:
    """Whatever host and port a file names that is handed to a service is a service of the same set-up, and its port."""
    services = STACKS[name]["services"]
    mounted = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", ())]
    for file in (TELEMETRY / name / path for path in mounted if path.endswith(".yaml")):
        text = re.sub(r"#.*", "", file.read_text())
        for host, port in re.findall(r"\b([a-z][a-z.]*):(\d+)", text):
            assert host == "host.docker.internal" or int(port) in SERVED[host], f"{file}: {host}:{port}"
            assert host == "host.docker.internal" or host in services


@pytest.mark.parametrize("name", COLLECTORS)
def test_collectors_pass_everything_on(name: str) -> None:
    """Pipelines use what is defined, and all of it; the port for OTLP is that of the application's configuration."""
    found = COLLECTORS[name]
    for part in ("receivers", "processors", "exporters"):
        used = {one for pipeline in found["service"]["pipelines"].values() for one in pipeline[part]}
        assert used == found[part].keys()
    assert found["service"]["pipelines"].keys() == {"traces", "metrics"}
    port = found["receivers"]["otlp"]["protocols"]["http"]["endpoint"].removeprefix("0.0.0.0:")
    assert f"127.0.0.1:{port}:{port}" in STACKS[name]["services"]["collector"]["ports"]
    assert load(TELEMETRY / name / "lowfare.toml", environ={}).otel.endpoint == f"http://localhost:{port}"
    assert found["exporters"]["prometheus"]["endpoint"] in {f"0.0.0.0:{port}" for port in SERVED["collector"]}
