"""What the tests of reports share: models with prices, and ways to the tables of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from router.analytics.log import opened
from router.analytics.report import report_of
from router.analytics.report_options import Options
from router.analytics.report_prices import Prices
from router.analytics.tables import Report, Table
from router.core.catalog import Model, Price, Rates, Tier
from tests.analytics.brute import Rows
from tests.analytics.records import MODELS, write_log

CHEAP = Price(
    tiers=(
        Tier(rates=Rates(input=Decimal(1), cached_input=Decimal("0.1"), output=Decimal(4), reasoning=Decimal(5))),
        Tier(above_tokens=5_000, rates=Rates(input=Decimal(2), cached_input=Decimal("0.5"), output=Decimal(8))),
    ),
    request_usd=Decimal("0.01"),
)
PLAIN = Price(tiers=(Tier(rates=Rates(input=Decimal(3), output=Decimal(6), cache_write=Decimal("3.75"))),))


def model_named(name: str, price: Price | None) -> Model:
    """Returns the model that the records of a log name so."""
    return Model(name=name, id=MODELS[name][0], provider=MODELS[name][1], client="simulated", price=price)


PRICES = Prices(catalog={"small": model_named("small", CHEAP), "other": model_named("other", PLAIN)})
"""`large` has none."""


def report(folder: Path, log: Iterable[Mapping[str, Any]], options: Options | None = None) -> Report:
    """Returns the report of a log."""
    with opened(write_log(folder / "log.jsonl", log)) as connection:
        # The lines are parsed once, not by each query.
        connection.execute("CREATE TEMP TABLE parsed AS SELECT * FROM decisions")
        connection.execute("CREATE OR REPLACE TEMP VIEW decisions AS SELECT * FROM parsed")
        return report_of(connection, options or Options(prices=PRICES))


def reported(folder: Path, log: Iterable[Mapping[str, Any]], options: Options | None = None) -> dict[str, Table]:
    """Returns the tables of the report of a log, by name."""
    return {table.name: table for section in report(folder, log, options).sections for table in section.tables}


def rows(table: Table) -> Rows:
    """Returns the rows of a table as values by column."""
    return [dict(zip((column.name for column in table.columns), row, strict=True)) for row in table.rows]


def only(table: Table) -> dict[str, Any]:
    """Returns the one row of a table."""
    (row,) = rows(table)
    return row
