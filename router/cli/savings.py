"""`lowfare savings`: which short requests could go to which cheaper model, what it would save, and the TOML for it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from router.cli.asking import settings_of
from router.cli.logs import Reading, analytics, check_any, log_path
from router.cli.tables import report_lines, report_values
from router.cli.terminal import out, print_json
from router.core.catalog import Model
from router.errors import ConfigError, RequestError

if TYPE_CHECKING:
    from router.analytics.report_prices import Prices
    from router.prices.litellm_map import PriceMap


def run(
    log: Path | None,
    *,
    config: Path | None,
    tiers: str,
    to: Sequence[str],
    adequate_share: float,
    as_json: bool,
) -> None:
    """Prints the estimate and its recommendation."""
    limits = parsed_tiers(tiers)
    path = log_path(log, config)
    with analytics():
        from router.analytics.log import opened
        from router.analytics.report_prices import Prices
        from router.analytics.savings import estimate, log_calls, log_models
        from router.analytics.savings_report import savings_report
        from router.analytics.savings_toml import recommended_toml
    from router.prices.litellm_map import load_price_map

    prices = load_price_map()
    catalog, policies = _configured(config, optional=bool(to))
    targets = _targets(catalog, to, prices)
    with Reading("reading") as progress, opened(path, progress=progress) as connection:
        check_any(connection, path)
        known = _known(log_models(connection), Prices(catalog=catalog, price_map=prices))
        owns = {key: model.price for key, model in known.items() if model.price is not None}
        calls = log_calls(connection)
        found = estimate(connection, targets, owns, limits=limits, adequate_share=adequate_share)
    others = {key: model for key, model in known.items() if model.name not in catalog}
    toml = recommended_toml(found, catalog, targets, others, policies=policies)
    about = (
        ("log", str(path)),
        ("requests", f"{sum(tier.requests for tier in found):,}"),
        ("considered", ", ".join(targets)),
        ("prices", prices.source),
        ("least adequate", f"{adequate_share:.0%} of the labelled answers"),
    )
    report = savings_report(found, about, adequate_share=adequate_share, calls=calls)
    if as_json:
        print_json(report_values(report) | {"toml": toml})
        return
    for part in report_lines(report):
        out().print(part)
    if toml:
        out().print(f"\nTo paste into the configuration:\n\n{toml}", soft_wrap=True, end="")


def parsed_tiers(text: str) -> list[int]:
    """Returns the limits of tiers, written as "500,2000".

    Raises:
        RequestError: they are no whole numbers from 1 up, or do not ascend.
    """
    fault = f'--tiers {text!r}: write token counts that ascend, as "500,2000"'
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) <= 12 for part in parts):
        raise RequestError(fault)
    limits = [int(part) for part in parts]
    if limits[0] < 1 or any(low >= high for low, high in pairwise(limits)):
        raise RequestError(fault)
    return limits


def _configured(config: Path | None, *, optional: bool) -> tuple[Mapping[str, Model], Collection[str]]:
    """Returns the models of the configuration and the names of its policies; none where it may lack and does."""
    from router.setup import setup_of

    if optional and config is None and not os.environ.get("LOWFARE_CONFIG") and not Path("config.toml").is_file():
        return {}, ()
    settings = settings_of(config)
    return setup_of(settings).catalog, settings.policies.keys()


def _targets(catalog: Mapping[str, Model], to: Sequence[str], prices: PriceMap) -> dict[str, Model]:
    """Returns the priced models to move to: those that were named, else all of the configuration.

    Raises:
        ConfigError: one is unknown, or none has a price.
    """
    from router.prices.catalog import build_model

    by_id = {model.id: model for model in reversed(list(catalog.values()))}
    targets: dict[str, Model] = {} if to else dict(catalog)
    for name in to:
        model = catalog.get(name) or by_id.get(name) or build_model(name, {"id": name}, prices)
        targets[model.name] = model
    unpriced = [name for name, model in targets.items() if model.price is None]
    if unpriced and (to or len(unpriced) == len(targets)):
        raise ConfigError(f"the price of {', '.join(unpriced)} is unknown, so nothing can be estimated there")
    return {name: model for name, model in targets.items() if name not in unpriced}


def _known(models: Sequence[tuple[str, str | None]], prices: Prices) -> dict[tuple[str, str | None], Model]:
    """Returns what the log's models are today; those of the price map under the names that they have in the log."""
    found = {key: prices.model(*key) for key in models}
    return {
        (name, model_id): model if prices.catalog.get(model.name) is model else replace(model, name=name)
        for (name, model_id), model in found.items()
        if model is not None
    }
