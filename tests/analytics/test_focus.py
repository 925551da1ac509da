from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from router.analytics.focus import COLUMNS, write_focus
from router.analytics.log import opened
from router.analytics.report_options import Options
from tests.analytics.brute import Seen, total
from tests.analytics.records import Record, attempt, record, records, write_log


def charges(folder: Path, log: Sequence[Mapping[str, Any]], options: Options | None = None) -> list[dict[str, str]]:
    """Returns the rows of the export."""
    text = StringIO()
    with opened(write_log(folder / "log.jsonl", log)) as connection:
        written = write_focus(connection, options or Options(), text)
    found = list(csv.DictReader(StringIO(text.getvalue())))
    assert len(found) == written
    return found


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records(most=15))
def test_charges_add_up_to_the_cost(tmp_path: Path, log: Sequence[Record]) -> None:
    """The sum of the charges is the cost of the log to the last digit, and what is unknown is counted."""
    found = charges(tmp_path, log)
    seen = [Seen(one) for one in log]
    assert sum(Decimal(row["BilledCost"]) for row in found) == (total(s.cost for s in seen) or 0)
    assert sum(int(row["x_RequestsOfUnknownCost"]) for row in found) == sum(s.cost is None for s in seen)
    made = [call for s in seen if s.cost is not None for call in s.made]
    assert sum(int(row["x_Calls"]) for row in found) == len(made)


def test_a_charge(tmp_path: Path) -> None:
    """Each attempt is charged on its day where it was made, under the columns that FOCUS wants."""
    failed = attempt(model="large", outcome="timed_out", usage=None, cost_usd="0.02", billing="estimated")
    log = [record(time=86_400, tenant="acme", attempts=[failed, attempt()])]
    large, small = charges(tmp_path, log)
    assert tuple(large) == COLUMNS
    assert (large["ServiceName"], large["BilledCost"], large["x_EstimatedCost"]) == (
        "anthropic/claude-sonnet-4-5",
        "0.02",
        "0.02",
    )
    assert (small["ProviderName"], small["BilledCost"], small["PricingQuantity"]) == ("deepseek", "0.001", "120")
    assert (small["ChargePeriodStart"], small["ChargePeriodEnd"]) == ("2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z")
    assert (small["BillingPeriodStart"], small["BillingPeriodEnd"]) == ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    assert (small["x_Tenant"], small["ChargeCategory"], small["BillingCurrency"]) == ("acme", "Usage", "USD")


def test_a_cost_that_no_attempt_has(tmp_path: Path) -> None:
    """What a record costs more than its attempts is charged to the model that answered; no time is no day."""
    log = [record(time=None, cost_usd="0.5", attempts=[attempt(cost_usd=None)])]
    (row,) = charges(tmp_path, log)
    assert (row["BilledCost"], row["x_Model"], row["ChargePeriodStart"]) == ("0.5", "small", "")
