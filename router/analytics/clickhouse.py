"""The tables of the report as queries in ClickHouse's dialect, for those who ship their logs there.

Nothing here connects to anything: these are texts, and `docs/report.md` says how to run them.
"""

from __future__ import annotations

from typing import Final

from router.analytics.statements import statement
from router.core.naming import allowed
from router.errors import RequestError

TABLES: Final = (
    "summary",
    "tokens",
    "latency",
    "baseline",
    "cache",
    "endings",
    "groups",
    "failures",
    "errors",
    "completion",
    "windows",
    "limits",
    "waste",
    "most_wasteful",
    "duplicates",
    "most_repeated",
    "cache_curve",
    "storms",
    "largest_storms",
    "context",
    "prefixes",
)
"""What `query` knows, each a table of the report; `groups` is `by_model`, `by_day`, and so on."""


def views(source: str, /) -> tuple[str, ...]:
    """Returns the statements that create the views which the queries read, in their order.

    Args:
        source: SQL of a table, of a table function, or of a query in parentheses; it goes into the text as it is.
    """
    text = statement("clickhouse/views", source=source)
    return tuple(part.strip() for part in text.split(";\n") if part.strip())


def query(table: str, /) -> str:
    """Returns the query of a table of the report.

    `groups` and `waste` have the parameter `by`, `storms` and `largest_storms` the parameter `within_s`.

    Raises:
        RequestError: there is no such table.
    """
    if table not in TABLES:
        raise RequestError(f"{table!r} is no table in ClickHouse's dialect; {allowed(table, TABLES)}")
    return statement(f"clickhouse/{table}")
