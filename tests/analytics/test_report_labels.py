from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.analytics.report_labels import labels_section
from router.analytics.report_options import Options
from router.analytics.report_query import Queries

SCHEMA = """
SET threads = 1;
CREATE TABLE decisions (trace_id VARCHAR, model VARCHAR, ending VARCHAR);
CREATE TABLE labels (trace_id VARCHAR, adequate BOOLEAN, score DOUBLE, source VARCHAR)
"""
decisions = st.tuples(
    st.sampled_from("abcd"), st.sampled_from(["small", "large", None]), st.sampled_from(["answer", None, "cut"])
)
labels = st.dictionaries(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["user", "judge"])),
    st.tuples(st.none() | st.booleans(), st.none() | st.integers(0, 9)),
)


@pytest.fixture(scope="module", name="connection")
def _connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(SCHEMA)
        yield connection


@settings(max_examples=50)
@given(asked=st.lists(decisions, max_size=10), said=labels)
def test_every_figure(
    connection: duckdb.DuckDBPyConnection,
    asked: list[tuple[str, str | None, str | None]],
    said: dict[tuple[str, str], tuple[bool | None, int | None]],
) -> None:
    """Counts and shares per model and source are those of single requests; without labels there is no section."""
    connection.execute("DELETE FROM decisions; DELETE FROM labels")
    for row in asked:
        connection.execute("INSERT INTO decisions VALUES (?, ?, ?)", row)
    for (trace, source), (adequate, score) in said.items():
        connection.execute("INSERT INTO labels VALUES (?, ?, ?, ?)", [trace, adequate, score, source])
    section = labels_section(Queries(connection=connection, options=Options()))
    answered = [(trace, model) for trace, model, ending in asked if model is not None and ending != "cut"]
    expected = {}
    for model in ("small", "large"):
        traces = [trace for trace, m in answered if m == model]
        for source in ("user", "judge"):
            mine = [said[trace, source] for trace in traces if (trace, source) in said]
            if mine:
                verdicts = [adequate for adequate, _ in mine if adequate is not None]
                scores = [score for _, score in mine if score is not None]
                expected[model, source] = (
                    len(traces),
                    len(verdicts),
                    len(verdicts) / len(traces),
                    sum(verdicts),
                    sum(verdicts) / len(verdicts) if verdicts else None,
                    len(scores),
                    pytest.approx(fmean(scores)) if scores else None,
                )
    if section is None:
        assert not expected
        return
    (table,) = section.tables
    assert {row[:2]: row[2:] for row in table.rows} == expected
    assert all(len(row) == len(table.columns) for row in table.rows)
    wrong = [key for key, figures in expected.items() if figures[3] < figures[1]]
    assert len(section.findings) == len(wrong)
