"""A router that asks nobody: any configuration, with a scripted client, a virtual clock and a list of decisions."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from router.clock import Clock
from router.config import Settings, load
from router.config_destinations import OutboxTable
from router.errors import ConfigError
from router.registry import installed
from router.router import Router
from router.sinks.sink import Sink
from router.testing.clock import VirtualClock
from router.testing.decisions import Decisions
from router.testing.scripted import ScriptedClient

# Prices and windows are stated: what a test says of a cost must not change with somebody's price list.
_MODELS: Final[dict[str, dict[str, Any]]] = {
    "small": {
        "id": "simulated/small",
        "client": "simulated",
        "input_usd_per_mtok": "0.10",
        "output_usd_per_mtok": "0.40",
        "context_window_tokens": 128_000,
        "max_output_tokens": 16_000,
        "capabilities": ["tools", "json_object", "json_schema"],
        "quality": 0.7,
    },
    "large": {
        "id": "simulated/large",
        "client": "simulated",
        "input_usd_per_mtok": "3.00",
        "output_usd_per_mtok": "15.00",
        "context_window_tokens": 200_000,
        "max_output_tokens": 64_000,
        "capabilities": ["tools", "json_object", "json_schema", "vision", "reasoning"],
        "quality": 0.95,
    },
}
_POLICIES: Final[dict[str, dict[str, Any]]] = {
    "default": {
        "kind": "token_tiers",
        "tiers": [{"up_to_tokens": 2000, "models": ["small"]}, {"models": ["large"]}],
        "fallback": ["large"],
    }
}


def simulated_router(
    config: str | os.PathLike[str] | Settings | None = None,
    /,
    *,
    provider: ScriptedClient | None = None,
    clock: Clock | None = None,
    sinks: Iterable[Sink] | None = None,
) -> Router:
    """Returns a router that asks nobody, writes nothing and waits for nothing, whatever its configuration says.

    All its models are asked through one scripted client; answers are cached in memory only, and the sinks and the
    `LOWFARE_*` variables of the environment are left out.

    Example:
        >>> with simulated_router() as router:
        ...     router.complete("hi").text
        'ok'

    Args:
        config: a TOML file, or settings; None takes two models, `small` up to 2000 tokens, `large` above, and where
            `small` fails.
        provider: what the models say; None says "ok".
        clock: None takes a virtual one.
        sinks: where decisions go; None keeps none.

    Raises:
        ConfigError: the configuration is wrong.
    """
    clock = VirtualClock() if clock is None else clock
    provider = ScriptedClient(clock=clock) if provider is None else provider
    settings = settings_of(config)
    provider.models = tuple(settings.models)
    return Router(
        settings,
        clients=dict.fromkeys(installed("lowfare.clients").kinds, provider),
        sinks=[Decisions()] if sinks is None else sinks,
        clock=clock,
    )


def settings_of(config: str | os.PathLike[str] | Settings | None, /) -> Settings:
    """Returns the settings of a configuration without what reaches beyond this process: cache and outbox are in memory.

    Raises:
        ConfigError: the configuration is wrong.
    """
    if config is None:
        return Settings.model_validate({"models": _MODELS, "policies": _POLICIES})
    settings = config if isinstance(config, Settings) else load(config, environ={})
    if settings.outbox is not None:
        settings = settings.model_copy(update={"outbox": OutboxTable(backend="memory", deliver=False)})
    if settings.cache is None:
        return settings
    terms = type(settings.cache).model_fields.keys() - {"backend", "key_env"}
    table = {name: getattr(settings.cache, name) for name in terms}
    return settings.model_copy(update={"cache": type(settings.cache)(**table)})


def found(config: str | os.PathLike[str], /, *, beside: Path, up_to: Path) -> Path:
    """Returns the file of a configuration: in a folder, or the nearest of those above it.

    Args:
        config: its path; an absolute one is returned as it is.
        beside: the folder to begin with.
        up_to: the last folder to look into.

    Raises:
        ConfigError: there is none.
    """
    above = [beside, *beside.parents]
    folders = above[: above.index(up_to) + 1] if up_to in above else [beside, up_to]
    for folder in folders:
        if (file := folder / config).is_file():
            return file
    raise ConfigError(f"found no file {os.fspath(config)!r}; looked into {', '.join(map(str, folders))}")
