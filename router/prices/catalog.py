"""From one `[models.NAME]` table and the price map to a `Model`.

What the configuration states is taken as it stands, figure by figure; the map fills the rest, under exactly this id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from router.core.catalog import Model, Timeouts
from router.core.deployment import Deployment
from router.errors import ConfigError
from router.prices.litellm_map import PriceMap
from router.prices.litellm_row import MapRow
from router.prices.providers import COMPATIBLE, PROVIDERS, Provider, provider_named
from router.prices.stated import PRICE_OPTIONS, price_with, states_price

CONFIG: Final = "config"
"""What `Model.sources` names for a figure that the configuration states."""

Options = Mapping[str, Any]


def build_model(name: str, options: Options, prices: PriceMap, *, source: str = CONFIG) -> Model:
    """Returns the catalog entry that a `[models.NAME]` table describes.

    Args:
        name: the table's name.
        options: the table, as `router.config_tables.ModelSettings` checked and states it. An option that is None counts
            as absent. `map_id` names the map's row to take figures from where `id` is a name of the user's own (a
            deployment on Azure, a model behind a proxy). `capabilities` replace the map's.
        prices: the map to take from what `options` leave out.
        source: what `Model.sources` names for figures that `options` state.

    Raises:
        ConfigError: the id is not in the map and the options do not stand in for it.
    """
    given = {key: value for key, value in options.items() if value is not None}
    row = _row(name, given, prices)
    provider, model_id = _identity(name, given, row, prices)
    client = given.get("client") or _client(provider, row, has_base_url="base_url" in given)
    key_env, deployments = _keys(given, provider_named(provider))
    if client == "openai" and provider_named(provider).own_url:
        _check_address(name, given, provider)
    found: dict[str, Any] = {
        "context_window_tokens": row.context_window_tokens if row else None,
        "max_output_tokens": row.max_output_tokens if row else None,
        "capabilities": row.capabilities if row else frozenset(),
        "region": row.region if row else None,
        "deprecated_on": row.deprecated_on if row else None,
    }
    figures = {key: given.get(key, value) for key, value in found.items()}
    price, rate_names = price_with(name, given, row)
    from_map = [key for key, value in found.items() if value and key not in given] + rate_names
    sources = dict.fromkeys(from_map, prices.source)
    if row is not None:
        sources |= {key: s for key in rate_names if (s := prices.corrections.get((row.key, key))) is not None}
    sources |= dict.fromkeys([k for k in given if k in found or k in PRICE_OPTIONS or k == "quality"], source)
    return Model(
        name=name,
        id=model_id,
        provider=provider,
        client=client,
        price=price,
        context_window_tokens=figures["context_window_tokens"],
        max_output_tokens=figures["max_output_tokens"],
        capabilities=frozenset(figures["capabilities"]),
        quality=given.get("quality"),
        region=figures["region"],
        deprecated_on=figures["deprecated_on"],
        base_url=given.get("base_url"),
        key_env=key_env,
        headers=given.get("headers", {}),
        timeouts=given.get("timeouts", Timeouts()),
        options=given.get("options", {}),
        sources=sources,
        deployments=deployments,
        concurrency=given.get("concurrency"),
        queue=given.get("queue"),
    )


def _check_address(name: str, given: Options, provider: str) -> None:
    """Refuses a model that stands where only the user knows, and does not say where."""
    deployments = given.get("deployments")
    if "base_url" not in given and not (deployments and all(d.base_url is not None for d in deployments)):
        raise ConfigError(
            f"[models.{name}] id = {given['id']!r} needs base_url: where {provider} stands is yours to say"
        )


def _keys(given: Options, how: Provider) -> tuple[str | None, tuple[Deployment, ...]]:
    """Returns the model's key and its deployments, so that the usual key goes to the provider's own hosts only."""
    base_url, deployments = given.get("base_url"), tuple(given.get("deployments", ()))
    if "key_env" in given:
        return given["key_env"], deployments
    usual = how.key_env_at(base_url)
    keys = [d.key_env or how.key_env_at(d.base_url or base_url) for d in deployments]
    if keys == [d.key_env or usual for d in deployments]:
        return usual, deployments
    # The model's must be none: a deployment without a key would have it.
    return None, tuple(replace(d, key_env=key) for d, key in zip(deployments, keys, strict=True))


def _row(name: str, given: Options, prices: PriceMap) -> MapRow | None:
    """Returns the map's row, or None where the options stand in for it."""
    model_id = given["id"]
    wanted = given.get("map_id", model_id)
    if "base_url" in given and "map_id" not in given and _prefix(model_id, prices) is None:
        return None  # a bare id on the user's own server says nothing about what that server charges
    row = prices.row(wanted)
    if row is not None:
        return row
    if "map_id" not in given:
        prefix = _prefix(model_id, prices)
        if "base_url" in given or prefix == "simulated" or (prefix not in {None, COMPATIBLE} and states_price(given)):
            return None
    key = "map_id" if "map_id" in given else "id"
    raise ConfigError(_unknown(name, key, wanted, prices))


def _identity(name: str, given: Options, row: MapRow | None, prices: PriceMap) -> tuple[str, str]:
    """Returns the provider and the id with its provider before it."""
    model_id: str = given["id"]
    if row is not None and "map_id" not in given:
        return row.provider, row.id
    prefix = _prefix(model_id, prices)
    if prefix is not None:
        return prefix, model_id
    if "base_url" in given:
        return COMPATIBLE, model_id
    raise ConfigError(
        f"[models.{name}] id = {model_id!r} does not say who serves it: write it as provider/model "
        f'("azure/my-deployment"), or give base_url'
    )


def _prefix(model_id: str, prices: PriceMap) -> str | None:
    """Returns the provider that an id begins with; None where what stands before the slash is no provider."""
    prefix, slash, _ = model_id.partition("/")
    return prefix if slash and (prefix in PROVIDERS or prefix in prices.providers()) else None


def _client(provider: str, row: MapRow | None, *, has_base_url: bool) -> str:
    how = provider_named(provider)
    if has_base_url and provider not in PROVIDERS:
        return "openai"
    if how.client == "openai" and row is not None and row.mode == "responses":
        return "litellm"  # these answer at /responses only, which litellm bridges to
    return how.client


def _unknown(name: str, key: str, wanted: str, prices: PriceMap) -> str:
    where = f"[models.{name}] {key} = {wanted!r}"
    mode = prices.mode(wanted)
    if mode is not None:
        return f"{where} is no chat model: {prices.source} has it as {mode!r}"
    suggestions = prices.suggest(wanted)
    near = f"; did you mean {', '.join(map(repr, suggestions))}?" if suggestions else "."
    return (
        f"{where} is not in the price map ({prices.source}){near} A model that it lacks needs base_url, "
        f"or provider/model with input_usd_per_mtok and output_usd_per_mtok"
    )
