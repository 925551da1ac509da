"""Costs of recorded usages against those of other price tables, and against what providers themselves billed."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import orjson
import pytest

from router.clients import anthropic, gemini, openai_usage
from router.core.answer import Usage
from router.core.catalog import Price, Rates, Tier
from router.core.cost import cost_usd
from router.prices.litellm_map import PriceMap, load_price_map
from router.prices.litellm_row import MapRow
from tests.shared_data import data_path

TOLERANCE = {"two_oracles_agree": Decimal("1e-6"), "billed+oracle": Decimal("0.005")}
"""By truth: how far off a cost may be, relative to it."""

OUR_NAME = {
    "alibaba": "dashscope",
    "fireworks": "fireworks_ai",
    "together": "together_ai",
    "vercel-gateway": "vercel_ai_gateway",
    "vertex": "vertex_ai",
}
"""Providers that the recordings name otherwise."""

LISTED_PROVIDER = {"xai": "x-ai"}
"""Providers that genai-prices names otherwise."""

LISTED = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
}
"""Our rates as genai-prices names them."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One recorded usage, what it costs by the table named as truth, and by ours."""

    row: Mapping[str, Any]
    priced: MapRow | None
    usage: Usage | None
    listed: Price | None
    """The flat price of genai-prices, where it has one for the model."""

    @cached_property
    def ours(self) -> Decimal | None:
        if self.priced is None or self.priced.price is None or self.usage is None:
            return None
        return cost_usd(self.usage, self.priced.price)

    @property
    def truth(self) -> Decimal:
        return Decimal(repr(self.row["expected_cost_usd"]))

    def is_right(self, usd: Decimal | None) -> bool:
        return usd is not None and abs(usd - self.truth) <= TOLERANCE[self.row["truth"]] * self.truth

    @property
    def repriced(self) -> bool:
        """Whether the map has another list price than the table that agrees with the bill of that day."""
        if self.priced is None or self.priced.price is None or self.listed is None:
            return False
        ours, theirs = self.priced.price.tiers[0].rates, self.listed.tiers[0].rates
        return (ours.input, ours.output) != (theirs.input, theirs.output)

    @property
    def why(self) -> str:
        """Says, for the table, what sets this row apart."""
        if self.priced is None:
            return "not in the map"
        if self.ours is None:
            return "in the map without a price" if self.priced.price is None else "reports no usage"
        if self.repriced and self.listed is not None:
            rates = self.listed.tiers[0].rates
            return f"the list price was {rates.input} / {rates.output} that day, the map has another"
        if any(r.get("type") == "compaction" for r in self.row["usage"].get("iterations") or ()):
            return "compaction rounds are billed; the oracles leave them out"
        return "differs" if self.truth else "the oracles say it is free"


def usage_of(row: Mapping[str, Any]) -> Usage | None:
    """Reads a provider's own usage object as our clients do."""
    usage = row["usage"]
    match row["api"]:
        case "anthropic.messages":
            return anthropic.usage_from({"usage": usage})
        case "gemini.generate":
            return gemini.usage_from({"usageMetadata": usage})
        case "bedrock.converse":
            return converse_usage(usage)
        case "openai.responses":
            usage = responses_usage(usage)
        case _:
            pass
    return openai_usage.usage_from({"usage": usage, "model": row["model"]}, named(row, OUR_NAME))


def named(row: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Returns the row's provider under another table's name for it."""
    provider: str = row["provider"]
    return names.get(provider, provider)


def responses_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Spells the Responses API's usage as Chat Completions'; litellm, which we reach that API by, does the same."""
    names = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
    names |= {f"{old}_details": f"{new}_details" for old, new in names.items()}
    return {names.get(key, key): value for key, value in usage.items()}


def converse_usage(usage: Mapping[str, Any]) -> Usage:
    """Adds up Bedrock's counts, which stand beside each other."""
    cached, written = usage.get("cacheReadInputTokens", 0), usage.get("cacheWriteInputTokens", 0)
    return Usage(
        input_tokens=usage.get("inputTokens", 0) + cached + written,
        output_tokens=usage.get("outputTokens", 0),
        cached_input_tokens=cached,
        cache_write_tokens=written,
    )


def map_row(prices: PriceMap, row: Mapping[str, Any]) -> MapRow | None:
    """Looks the model up under the id that the answer names, else the one that was asked for."""
    provider = named(row, OUR_NAME)
    ids = (f"{provider}/{model}" for model in (row["model"], row["model_requested"]) if model)
    return next((found for model_id in ids if (found := prices.row(model_id)) is not None), None)


def list_prices() -> dict[tuple[str, str], Price]:
    """Returns the flat prices of genai-prices by provider and model, as a user would state them."""
    with gzip.open(data_path("prices", "table_genai_prices_v2.json.gz")) as file:
        providers = orjson.loads(file.read())
    found: dict[tuple[str, str], Price] = {}
    for provider, model in ((p["id"], model) for p in providers for model in p["models"]):
        listed = model["prices"] if isinstance(model["prices"], dict) else {}
        rates = {ours: Decimal(repr(listed[theirs])) for ours, theirs in LISTED.items() if is_flat(listed.get(theirs))}
        if rates.keys() >= {"input", "output"}:
            found[provider, model["id"]] = Price(tiers=(Tier(rates=Rates(**rates)),))
    return found


def is_flat(rate: object) -> bool:
    """Says whether a listed rate is a plain number, not one that depends on the size of the input."""
    return isinstance(rate, int | float)


@pytest.fixture(scope="module")
def compared() -> list[Compared]:
    """Returns every recorded usage, priced."""
    prices, listed = load_price_map(), list_prices()
    with gzip.open(data_path("prices", "real_usage_cost.jsonl.gz")) as lines:
        rows = [row for row in map(orjson.loads, lines) if isinstance(row["usage"], dict)]
    return [
        Compared(
            row=row,
            priced=map_row(prices, row),
            usage=usage_of(row),
            # Only where a bill confirms it is that table known to have been right on the day.
            listed=listed.get((named(row, LISTED_PROVIDER), str(row.get("genai_model"))))
            if row["truth"] == "billed+oracle"
            else None,
        )
        for row in rows
    ]


def explain(title: str, rows: Iterable[Compared]) -> None:
    """Prints the table of rows that do not agree."""
    lines = [title]
    for (model, why), count in sorted(Counter((f"{c.row['provider']}/{c.row['model']}", c.why) for c in rows).items()):
        lines.append(f"{count:6}  {model:56}  {why}")
    print("\n" + "\n".join(lines))  # noqa: T201 - the suite's report: pytest shows it with -s or -rP


def test_costs_are_those_that_two_price_tables_agree_on(compared: list[Compared]) -> None:
    """Usage times the map's price is what genai-prices and litellm both say, within a millionth."""
    rows = [c for c in compared if c.row["truth"] == "two_oracles_agree"]
    known = [c for c in rows if c.priced is not None]
    right = [c for c in known if c.is_right(c.ours)]
    title = f"two_oracles_agree: {len(right)} of {len(known)} rows with a model in the map agree, {len(rows)} in all"
    explain(title, (c for c in rows if not c.is_right(c.ours)))
    assert len(right) >= 0.99 * len(known)


def test_costs_are_those_that_providers_billed(compared: list[Compared]) -> None:
    """Usage times the map's price is the bill, within half a percent, where the price is still that of the bill.

    Rows whose list price has changed since are no test of the arithmetic, and are left out on both sides of the bar;
    the figure with them is printed beside it (docs/decisions/002-price-sources.md).
    """
    rows = [c for c in compared if c.row["truth"] == "billed+oracle"]
    known = [c for c in rows if c.priced is not None]
    same = [c for c in known if not c.repriced]
    right = [c for c in same if c.is_right(c.ours)]
    title = (
        f"billed+oracle by the map's price, {len(known)} of {len(rows)} rows being in the map:\n"
        f"{len([c for c in known if c.is_right(c.ours)])} of {len(known)} of all of them agree\n"
        f"{len(right)} of {len(same)} of those agree whose list price is still that of the bill"
    )
    explain(title, (c for c in rows if not c.is_right(c.ours)))
    assert same
    assert len(right) >= 0.99 * len(same)


def test_usage_times_a_stated_price_is_the_bill(compared: list[Compared]) -> None:
    """With the price that held on the day, as a configuration would state it, the sum is what the provider billed."""
    rows = [c for c in compared if c.listed is not None and c.usage is not None]
    costs = [(c, cost_usd(c.usage, c.listed)) for c in rows if c.usage is not None and c.listed is not None]
    right = [c for c, usd in costs if c.is_right(usd)]
    title = f"billed+oracle by the price of the day: {len(right)} of {len(rows)} rows agree"
    explain(title, (c for c, usd in costs if not c.is_right(usd)))
    assert len(right) >= 0.99 * len(rows)


def test_a_cost_that_the_provider_states_is_read(compared: list[Compared]) -> None:
    """The cost that a decision records is the one the provider states with the usage, else usage times price."""
    rows = [c for c in compared if c.row["truth"] == "billed+oracle"]
    recorded = [(c, c.usage.billed_usd if c.usage and c.usage.billed_usd is not None else c.ours) for c in rows]
    right = [c for c, usd in recorded if c.is_right(usd)]
    title = f"billed+oracle as recorded, the provider's own bill first: {len(right)} of {len(rows)} rows agree"
    explain(title, (c for c, usd in recorded if not c.is_right(usd)))
    assert len(right) >= 0.99 * len(rows)


def test_nothing_is_free_that_is_not(compared: list[Compared]) -> None:
    """A row that we cannot price says unknown; none says zero unless every table and the provider do."""
    zero = [c for c in compared if c.ours == 0 and c.usage is not None and c.usage.total_tokens]
    assert [c.row["model"] for c in zero if c.row["expected_cost_usd"] or c.row["billed_cost_usd"]] == []
    unknown = [c for c in compared if c.priced is None or c.priced.price is None]
    assert {c.ours for c in unknown} <= {None}
    explain(f"{len(unknown)} of {len(compared)} rows cannot be priced and say unknown", ())
