"""docs/metrics.md says what the code does."""

from __future__ import annotations

import re

from router.core.instruments import COUNTED, STANDING, TAG, TENANT
from router.sinks.metric_labels import _LONGEST, COMBINATIONS_MOST, VALUES_MOST
from router.sinks.otel_end import CLOSE_S
from router.sinks.prometheus import prometheus_name
from tests.source_tree import ROOT

TEXT = (ROOT / "docs" / "metrics.md").read_text()


def test_the_table_is_the_code() -> None:
    """A row for each metric, in the order of the code: type, unit, attributes, and its name in Prometheus."""
    rows = re.findall(r"^\| `([a-z_.]+\.[a-z_.]+)` \| (\w+) \| `(.+?)` \| (.+?) \| `(\w+)` \|$", TEXT, re.MULTILINE)
    assert rows == [
        (
            metric.name,
            metric.kind,
            metric.unit,
            ", ".join(f"`{name}`" for name in metric.attributes),
            prometheus_name(metric) + ("_total" if metric.kind == "counter" else ""),
        )
        for metric in (*COUNTED, *STANDING)
    ]


def test_the_limits_are_those_of_the_code() -> None:
    """How many values and combinations there may be, how long, how long closing waits, and what tags are called."""
    told = " ".join(TEXT.split())
    for text in (
        f"`label_values_most` | values that each label takes, {VALUES_MOST} unless set",
        f"any of more than {_LONGEST} characters",
        f"at most {COMBINATIONS_MOST:,}",
        f"waits {CLOSE_S:.0f} seconds",
        f"`{TAG}NAME`",
        f"`{TENANT}`",
    ):
        assert text in told
