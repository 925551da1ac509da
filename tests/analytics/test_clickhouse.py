from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from router.analytics.clickhouse import TABLES, query, views
from router.analytics.compact import Terms, compact
from router.analytics.places import store_of
from router.analytics.report_options import Options
from router.analytics.statements import statement
from router.analytics.tables import Table
from router.errors import RequestError
from tests.analytics.brute import Rows
from tests.analytics.chdb_process import Query, answers
from tests.analytics.records import START, random_records, record, write_log
from tests.analytics.reporting import reported
from tests.analytics.test_report import agree
from tests.source_tree import ROOT

BY = ("day", "hour", "model", "provider", "policy", "tenant")
WITHIN_S = 10.0


def tables_asked() -> dict[str, Query]:
    """Returns every query, by the name of the table in the report."""
    within = {"within_s": WITHIN_S}
    parameters: dict[str, dict[str, Any]] = {"storms": within, "largest_storms": within, "waste": {"by": "kind"}}
    alone = {name: (query(name), parameters.get(name, {})) for name in TABLES if name != "groups"}
    groups = {f"by_{name}": (query("groups"), {"by": name}) for name in BY}
    return {**alone, **groups, "waste_by_model": (query("waste"), {"by": "model"})}


def told(folder: Path, log: Path, where: str = "") -> dict[str, Rows]:
    """Returns the tables as ClickHouse has them, from what a compaction makes of a log."""
    compact(log, Terms())
    files = f"file('{store_of(log)}/date=*/*.parquet', Parquet)"
    asked = tables_asked()
    source = f"(SELECT * FROM {files} WHERE {where})" if where else files  # noqa: S608 - the tests' own words
    found = answers(folder, views(source), list(asked.values()))
    return dict(zip(asked, found, strict=True))


def expected(folder: Path, log: Iterable[Mapping[str, Any]], **options: Any) -> dict[str, Table]:
    """Returns the tables as the report has them, those of all groups with them."""
    kept = list(log)
    by = {name: reported(folder, kept, Options(by=(name,), storm_within_s=WITHIN_S, **options)) for name in BY}
    return {**by["model"], **{f"by_{name}": tables[f"by_{name}"] for name, tables in by.items()}}


@pytest.mark.untraced
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_figure_is_that_of_the_report(tmp_path: Path, seed: int) -> None:
    """On chDB each query gives the figures that the report has of the same log, unknown ones too."""
    log = random_records(seed, 120)
    report = expected(tmp_path, log)
    for name, rows in told(tmp_path / "clickhouse", write_log(tmp_path / "shipped.jsonl", log)).items():
        agree(report[name], rows)


def test_what_is_left_of_a_log_by_a_window_and_a_filter(tmp_path: Path) -> None:
    """A query in the place of the table keeps a window and filters, as the report's options do."""
    log = random_records(4, 80)
    until = START + timedelta(seconds=20)
    report = expected(tmp_path, log, until=until, where=(("tenant", "acme"),))
    where = f"time < '{until:%Y-%m-%d %H:%M:%S}' AND tenant = 'acme'"
    for name, rows in told(tmp_path / "clickhouse", write_log(tmp_path / "shipped.jsonl", log), where).items():
        agree(report[name], rows)


def test_where_nothing_is_known(tmp_path: Path) -> None:
    """Sums and percentiles of nothing are unknown, not 0, in either dialect."""
    log = [record(attempts=[], cost_usd=None, waste_usd=None, saved_usd=None, time=None, latency_s=None)]
    report = expected(tmp_path, log)
    for name, rows in told(tmp_path / "clickhouse", write_log(tmp_path / "shipped.jsonl", log)).items():
        agree(report[name], rows)


def test_every_file_is_offered() -> None:
    """No file of the folder is without a name, and a name that there is not is told from those that are."""
    folder = ROOT / "router" / "analytics" / "sql" / "clickhouse"
    assert {file.stem for file in folder.glob("*.sql")} == {*TABLES, "views"}
    with pytest.raises(RequestError, match="'wasted' is no table in ClickHouse's dialect"):
        query("wasted")
    assert "{source}" in statement("clickhouse/views")
