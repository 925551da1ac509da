"""`lowfare models`: the catalog, or litellm's whole price map, with where each figure comes from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from router.cli.asking import settings_of
from router.cli.ending import ending
from router.cli.terminal import dollars, out, print_json, tokens
from router.core.catalog import Catalog, Model, Price, Rates, Tier
from router.core.money import usd
from router.errors import RequestError

WIDE = 76
"""Columns from which all figures of a model fit on a line beside a name of ordinary length."""


def run(*, config: Path | None, as_json: bool) -> None:
    """Prints the catalog."""
    with ending(as_json=as_json):
        from router.setup import setup_of

        catalog = setup_of(settings_of(config)).catalog
        if as_json:
            print_json([as_values(model) for model in catalog.values()])
            return
        out().print(figures(catalog, out().width))
        for model in catalog.values():
            out().print()
            out().print(Text(model.name, style="bold"))
            out().print(Padding(_details(model), (0, 0, 0, 2), expand=False))


def run_all(search: str | None, *, as_json: bool) -> None:
    """Prints the chat models of litellm's map whose id contains `search`."""
    from router.prices.litellm_map import load_price_map

    with ending(as_json=as_json):
        prices = load_price_map()
        wanted = (search or "").lower()
        found = (row for key in prices.rows if (row := prices.row(key)) is not None)
        rows = sorted((row for row in found if wanted in row.id.lower()), key=lambda row: row.id)
        if not rows:
            near = prices.suggest(search or "")
            hint = f"; near it are {', '.join(near)}" if near else ""
            raise RequestError(f"no chat model of {prices.source} has {search!r} in its id{hint}")
        if as_json:
            print_json(
                [
                    {
                        "id": row.id,
                        "price": None if row.price is None else price_values(row.price),
                        "context_window_tokens": row.context_window_tokens,
                        "max_output_tokens": row.max_output_tokens,
                        "capabilities": sorted(row.capabilities),
                        "deprecated_on": row.deprecated_on,
                        "source": prices.source,
                    }
                    for row in rows
                ]
            )
            return
        _print_rows([(row.id, row.price, row.context_window_tokens, row.deprecated_on) for row in rows])
        out().print(
            f"{len(rows):,} chat models; prices in US dollars per million tokens; from {prices.source}", style="dim"
        )


def figures(catalog: Catalog, width: int) -> Table:
    """Returns the figures by which models are compared, one line each.

    Args:
        catalog: the models.
        width: of the terminal; where it is narrow, the lesser figures are left out.
    """
    wide = width >= WIDE
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("model", overflow="fold")
    for name in ("$/M in", *(["cached"] if wide else []), "out", "window", *(["most out"] if wide else [])):
        table.add_column(name, justify="right", no_wrap=True)
    if wide:
        table.add_column("until", no_wrap=True)
    for model in catalog.values():
        rates = _first_rates(model.price)
        label, window = Text(model.name, style="bold"), tokens(model.context_window_tokens)
        if wide:
            most, until = tokens(model.max_output_tokens), model.deprecated_on or "-"
            cells = (label, rate(rates.input), rate(rates.cached_input, "-"), rate(rates.output), window, most, until)
            table.add_row(*cells)
        else:
            table.add_row(label, rate(rates.input), rate(rates.output), window)
    return table


def rate(usd_per_mtok: Decimal | None, unknown: str = "unknown") -> str:
    """Returns dollars per million tokens as a price list shows them: "2.00", "0.075"."""
    return unknown if usd_per_mtok is None else dollars(usd_per_mtok, exact=True).removeprefix("$")


def as_values(model: Model) -> dict[str, Any]:
    """Returns one model as JSON values, money as decimal strings."""
    return {
        "name": model.name,
        "id": model.id,
        "provider": model.provider,
        "client": model.client,
        "base_url": model.base_url,
        "key_env": model.key_env,
        "price": None if model.price is None else price_values(model.price),
        "context_window_tokens": model.context_window_tokens,
        "max_output_tokens": model.max_output_tokens,
        "capabilities": sorted(model.capabilities),
        "quality": model.quality,
        "region": model.region,
        "deprecated_on": model.deprecated_on,
        "sources": dict(model.sources),
    }


def price_values(price: Price) -> dict[str, Any]:
    """Returns a price as JSON values; rates are dollars per million tokens."""
    return {
        "tiers": [_tier_values(tier) for tier in price.tiers],
        "service": {name: [_tier_values(tier) for tier in tiers] for name, tiers in price.service.items()},
        "request_usd": usd(price.request_usd),
        "request_most_usd": usd(price.request_most_usd),
        "search_usd": usd(price.search_usd),
    }


def _tier_values(tier: Tier) -> dict[str, Any]:
    return {"above_tokens": tier.above_tokens} | {
        f"{name}_usd_per_mtok": usd(amount) for name, amount in _stated(tier.rates)
    }


def _stated(rates: Rates) -> Iterable[tuple[str, Decimal]]:
    amounts = ((f.name, getattr(rates, f.name)) for f in fields(rates))
    return [(name, amount) for name, amount in amounts if amount is not None]


def _first_rates(price: Price | None) -> Rates:
    return Rates() if price is None else price.tiers[0].rates


def _details(model: Model) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("id", Text(model.id))
    where = f"client {model.client}" + (f" at {model.base_url}" if model.base_url else "")
    grid.add_row("asked by", Text(where + (f", key in {model.key_env}" if model.key_env else ", no key")))
    if model.quality is not None:
        grid.add_row("quality", Text(f"{model.quality:g}"))
    if model.region is not None:
        grid.add_row("region", Text(model.region))
    for label, line in _price_lines(model.price):
        grid.add_row(label, Text(line))
    grid.add_row("can", Text(", ".join(sorted(model.capabilities)) or "text alone"))
    grid.add_row("from", Text(_origins(model)))
    return grid


def _price_lines(price: Price | None) -> Iterable[tuple[str, str]]:
    """Yields what the table above has no column for: dearer tiers, service tiers, fees."""
    if price is None:
        yield "price", "unknown"
        return
    rest = [(n, amount) for n, amount in _stated(price.tiers[0].rates) if n not in {"input", "output", "cached_input"}]
    if rest:
        yield "also $/M", ", ".join(f"{name} {rate(amount)}" for name, amount in rest)
    for tier in price.tiers[1:]:
        yield f"> {tier.above_tokens:,}", f"{_in_out(tier.rates)} $/M"
    for name, tiers in price.service.items():
        yield from ((name, f"{_in_out(tier.rates)} $/M") for tier in tiers[:1])
    if price.request_usd or price.request_most_usd:
        most = f" to {dollars(price.request_most_usd)}" if price.request_most_usd > price.request_usd else ""
        yield "fee", f"{dollars(price.request_usd)}{most} a request"
    if price.search_usd:
        yield "search", f"{dollars(price.search_usd)} each"


def _in_out(rates: Rates) -> str:
    return f"{rate(rates.input)} in, {rate(rates.output)} out"


def _origins(model: Model) -> str:
    """Returns where the figures come from: the source of most of them once, and each exception by name."""
    if not model.sources:
        return "no source"
    by_source: dict[str, list[str]] = {}
    for name, source in sorted(model.sources.items()):
        by_source.setdefault(source, []).append(name)
    most = max(by_source, key=lambda source: len(by_source[source]))
    exceptions = [f"{', '.join(names)}: {source}" for source, names in by_source.items() if source != most]
    return "; ".join([*exceptions, f"all else: {most}" if exceptions else most])


def _print_rows(rows: list[tuple[str, Price | None, int | None, str | None]]) -> None:
    """Prints thousands of lines at once; a table that measures every cell would take seconds."""
    width = min(60, max(len(row[0]) for row in rows))
    lines = [f"{'id':{width}}  {'$/M in':>8}  {'out':>8}  {'window':>10}  until"]
    for name, price, window, until in rows:
        rates = _first_rates(price)
        columns = f"{rate(rates.input):>8}  {rate(rates.output):>8}  {tokens(window):>10}  {until or '-'}"
        lines.append(f"{name:{width}}  {columns}")
    out().print("\n".join(lines), soft_wrap=True)
