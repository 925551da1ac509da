"""Costs in the form of FOCUS 1.2, which cost-management tools take in: a charge for each day, model, policy and tenant.

Source: FinOps Open Cost and Usage Specification 1.2, the columns that must be there; our own begin with `x_`. A log
does not know a provider's account or invoice, so that these columns have the provider's name.
"""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from typing import Final, TextIO

import duckdb

from router.analytics.cells import cell
from router.analytics.report_options import Options, moment_at
from router.analytics.report_query import Queries, Row
from router.core.money import usd

COLUMNS: Final = (
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodStart"),
    *("BillingPeriodEnd", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodStart"),
    *("ChargePeriodEnd", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity"),
    *("PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName", "x_Model", "x_Policy"),
    *("x_Tenant", "x_Calls", "x_InputTokens", "x_OutputTokens", "x_EstimatedCost", "x_RequestsOfUnknownCost"),
)
_NOBODY: Final = "unknown"


def write_focus(connection: duckdb.DuckDBPyConnection, options: Options, to: TextIO, /) -> int:
    """Writes the charges as CSV; returns how many there are.

    Their sum is the cost of the report, to the last digit. Requests of unknown cost are charged nothing and counted.

    Args:
        connection: with the view `decisions`.
        options: window and filters.
        to: where to write.
    """
    rows = Queries(connection=connection, options=options).rows("focus")
    writer = csv.DictWriter(to, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_charge, rows))
    return len(rows)


def _charge(row: Row) -> dict[str, str | int]:
    day = moment_at("day", row["day"])
    provider, model = cell(row["provider"] or _NOBODY), cell(row["model_id"] or row["model"] or _NOBODY)
    cost = usd(row["cost_usd"]) or ""
    return {
        **_periods(day),
        **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), cost),
        **dict.fromkeys(("BillingAccountId", "BillingAccountName", "InvoiceIssuerName"), provider),
        **dict.fromkeys(("ProviderName", "PublisherName"), provider),
        "BillingCurrency": "USD",
        "ChargeCategory": "Usage",
        "ChargeClass": "",
        "ChargeDescription": f"Calls of {model}",
        "PricingQuantity": row["input_tokens"] + row["output_tokens"],
        "PricingUnit": "Tokens",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": model,
        "x_Model": cell(row["model"] or ""),
        "x_Policy": cell(row["policy"] or ""),
        "x_Tenant": cell(row["tenant"] or ""),
        "x_Calls": row["calls"],
        "x_InputTokens": row["input_tokens"],
        "x_OutputTokens": row["output_tokens"],
        "x_EstimatedCost": usd(row["estimated_usd"]) or "",
        "x_RequestsOfUnknownCost": row["unknown_cost"],
    }


def _periods(day: datetime | None) -> dict[str, str]:
    """Returns the day and its month; nothing for requests whose time is unknown."""
    if day is None:
        return dict.fromkeys(("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"), "")
    month = day.replace(day=1)
    next_month = (month + timedelta(days=32)).replace(day=1)
    return {
        "BillingPeriodStart": _written(month),
        "BillingPeriodEnd": _written(next_month),
        "ChargePeriodStart": _written(day),
        "ChargePeriodEnd": _written(day + timedelta(days=1)),
    }


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
