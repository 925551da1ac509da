from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from router.analytics.report_options import Options, moment_of
from router.analytics.report_prices import Prices
from router.errors import RequestError
from router.prices.litellm_map import load_price_map
from tests.analytics.records import record
from tests.analytics.reporting import CHEAP, PRICES, only, report, reported

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T12:30", datetime(2026, 11, 1, 12, 30, tzinfo=UTC)),
        ("2026-11-01T12:30:00+02:00", datetime(2026, 11, 1, 10, 30, tzinfo=UTC)),
        ("7d", NOW - timedelta(days=7)),
        ("90m", NOW - timedelta(minutes=90)),
        ("12h", NOW - timedelta(hours=12)),
        ("2w", NOW - timedelta(weeks=2)),
    ],
)
def test_times(text: str, moment: datetime) -> None:
    """A time is a date, a time in UTC or with an offset, or how long ago."""
    assert moment_of(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "7", "7y", "-1d", "2026-13-01", "999999w"])
def test_no_times(text: str) -> None:
    """Anything else is refused, with what is allowed."""
    with pytest.raises(RequestError, match=r"is no time: write a date \(2026-11-01\)"):
        moment_of(text, NOW)


@pytest.mark.parametrize("name", ["", "tag:", "cost", "day; DROP TABLE decisions", "key"])
def test_only_known_fields(name: str) -> None:
    """A filter or group of another name is refused; times are groups and no filters."""
    with pytest.raises(RequestError, match=r"is no group; there are model, .* day, hour and tag:NAME"):
        Options(by=(name,))
    with pytest.raises(RequestError, match=r"is no filter; there are model, .* cache and tag:NAME"):
        Options(where=((name, "x"),))


def test_what_a_user_types_is_no_sql(tmp_path: Path) -> None:
    """Names of tags and values are compared as they stand, quotes and all."""
    odd = "it's; DROP TABLE decisions --"
    log = [record(tags={odd: odd}), record()]
    tables = reported(tmp_path, log, Options(where=((f"tag:{odd}", odd),), by=(f"tag:{odd}",), prices=PRICES))
    assert only(tables["summary"])["requests"] == 1
    (own,) = (table for name, table in tables.items() if name.startswith("by_tag_it_s"))
    assert own.rows[0][:2] == (odd, 1)


@pytest.mark.parametrize("by", [("tag:model",), ("tag:requests",), ("tag:day", "day"), ("tag:a b", "tag:a-b")])
def test_a_tag_takes_no_other_name(tmp_path: Path, by: tuple[str, ...]) -> None:
    """A group by a tag is a table of its own with columns of their own, whatever the tag is called."""
    log = [record(tags={name.removeprefix("tag:"): "x" for name in by})]
    sections = report(tmp_path, log, Options(by=by, prices=PRICES)).sections
    tables = [table for section in sections for table in section.tables]
    assert len({table.name for table in tables}) == len(tables)
    (own,) = (table for table in tables if table.name.startswith("by_tag_"))
    assert len({column.name for column in own.columns}) == len(own.columns)
    assert (own.columns[0].name, own.rows[0][0]) == (f"tag_{by[0][4:].replace(' ', '_')}", "x")


def test_where_prices_come_from() -> None:
    """A name means the configuration's model while its id is the same; then its ids count, then the price map."""
    prices = Prices(catalog=PRICES.catalog, price_map=load_price_map())
    assert prices.of("small", None) is CHEAP
    assert prices.of("small", "deepseek/deepseek-v3.2") is CHEAP
    assert prices.of("renamed", "deepseek/deepseek-v3.2") is CHEAP
    elsewhere = prices.of("small", "openai/gpt-4.1-mini")
    assert elsewhere is not None
    assert elsewhere is not CHEAP
    assert prices.of(None, None) is None
    assert prices.of("no-such-model", None) is None
