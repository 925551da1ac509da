"""What a log says of money, time and waste: `report_of`, from the view `decisions` to sections of tables.

All figures are computed in DuckDB by the files of `sql/`; Python orders them, multiplies sums of tokens by prices, and
words what a person should act on.
"""

from __future__ import annotations

import duckdb

from router.analytics.report_context import context_section
from router.analytics.report_duplicates import duplicates_section
from router.analytics.report_efficiency import efficiency_section
from router.analytics.report_failures import failures_section, waste_section
from router.analytics.report_groups import days_section, grouped, models_section, own_section
from router.analytics.report_labels import labels_section
from router.analytics.report_options import Options
from router.analytics.report_query import Queries
from router.analytics.report_summary import summary_section
from router.analytics.tables import Report, Section


def report_of(connection: duckdb.DuckDBPyConnection, options: Options, /, *, log: str = "") -> Report:
    """Returns the report.

    Args:
        connection: with the view `decisions`, as `router.analytics.log.opened` gives it.
        options: window, filters, groups and prices.
        log: what to call the log.

    Raises:
        RequestError: the baseline has no known price.
    """
    queries = Queries(connection=connection, options=options)
    groups = grouped(queries)
    own = own_section(groups, options.by) if options.by not in {(), ("model",)} else None
    labels = labels_section(queries)
    days = own if own is not None and options.by == ("day",) else days_section(groups)
    sections: tuple[Section, ...] = (
        summary_section(queries, groups),
        *([own] if own is not None and own is not days else []),
        days,
        models_section(groups),
        *([labels] if labels is not None else []),
        failures_section(queries, groups),
        waste_section(queries, groups),
        efficiency_section(queries),
        duplicates_section(queries, groups),
        context_section(queries),
    )
    return Report(
        title="What was spent, and what for", about=_about(queries, groups.whole["requests"], log), sections=sections
    )


def _about(queries: Queries, requests: int, log: str) -> tuple[tuple[str, str], ...]:
    options = queries.options
    aside = queries.connection.execute("SELECT reason, lines FROM aside ORDER BY lines DESC, reason").fetchall()
    window = " until ".join(
        "any time" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC" for moment in (options.since, options.until)
    )
    return (
        *((("Log", log),) if log else ()),
        ("Window", window if options.since or options.until else "everything"),
        *((("Filters", ", ".join(f"{name}={value}" for name, value in options.where)),) if options.where else ()),
        *((("Groups", ", ".join(options.by)),) if options.by else ()),
        ("Requests", f"{requests:,}"),
        *((("Lines set aside", ", ".join(f"{lines:,} ({reason})" for reason, lines in aside)),) if aside else ()),
    )
