"""What labels say of each model's answers, as a section of the report."""

from __future__ import annotations

from router.analytics.report_query import Queries
from router.analytics.tables import Column, Section, Table

_COLUMNS = (
    Column(name="model", title="model"),
    Column(name="source", title="source"),
    Column(name="requests", title="requests", unit="count"),
    Column(name="labelled", title="labelled", unit="count"),
    Column(name="labelled_share", title="share", unit="share"),
    Column(name="adequate", title="adequate", unit="count"),
    Column(name="adequate_share", title="adequate share", unit="share"),
    Column(name="scored", title="scored", unit="count"),
    Column(name="score_mean", title="mean score", unit="ratio"),
)
_NOTE = (
    "Labelled: requests that the model answered and whose trace this source called adequate or inadequate; of one "
    "source the latest label counts. The adequate share is of those. Scores are on each source's own scale."
)


def labels_section(queries: Queries, /) -> Section | None:
    """Returns how many answers of each model were labelled, by source, and how many of them did.

    None where none of the report's answers has a label.
    """
    rows = [tuple(row.values()) for row in queries.rows("labels")]
    if not rows:
        return None
    table = Table(name="labels_by_model", title="Labels by model", columns=_COLUMNS, rows=tuple(rows), note=_NOTE)
    findings = [
        f"{model}: {labelled - adequate:,} of {labelled:,} answers that {source} labelled were inadequate."
        for model, source, _, labelled, _, adequate, *_ in rows
        if adequate < labelled
    ]
    return Section(name="labels", title="Labels", tables=(table,), findings=tuple(findings))
