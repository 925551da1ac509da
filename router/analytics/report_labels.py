"""What labels say of each model's answers, as a section of the report."""

from __future__ import annotations

from router.analytics.report_query import Queries
from router.analytics.report_tables import table
from router.analytics.tables import Section

_COLUMNS = (
    "model Model text",
    "source Source text",
    "requests Requests count",
    "labelled Labelled count",
    "labelled_share Of its answers share",
    "adequate Adequate count",
    "adequate_share Of those labelled share",
    "scored Scored count",
    "score_mean Score, mean ratio",
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
    by_model = table("labels_by_model", "Labels by model", _COLUMNS, rows, _NOTE)
    findings = [
        f"{model}: {labelled - adequate:,} of {labelled:,} answers that {source} labelled were inadequate."
        for model, source, _, labelled, _, adequate, *_ in rows
        if adequate < labelled
    ]
    return Section(name="labels", title="Labels", tables=(by_model,), findings=tuple(findings))
