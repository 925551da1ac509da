"""The tables of a configuration, each a class whose fields are its keys."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Le, MinLen
from pydantic import Field, field_validator, model_validator

from router.config_attempts import DeploymentTable
from router.config_errors import said
from router.config_secrets import checked_base_url, checked_headers, checked_key_env, checked_options
from router.config_values import Real, Seconds, Table, Whole
from router.core.catalog import Capability, ServiceTier, Timeouts
from router.core.money import Usd
from router.core.statics import pattern_fault


class RateSettings(Table):
    """US dollars per million tokens, by token class; a class left out is the map's, or that of the class it is in."""

    input_usd_per_mtok: Usd | None = None
    output_usd_per_mtok: Usd | None = None
    cached_input_usd_per_mtok: Usd | None = None
    cache_write_usd_per_mtok: Usd | None = None
    cache_write_1h_usd_per_mtok: Usd | None = None
    reasoning_usd_per_mtok: Usd | None = None
    input_audio_usd_per_mtok: Usd | None = None
    cached_input_audio_usd_per_mtok: Usd | None = None
    output_audio_usd_per_mtok: Usd | None = None
    input_image_usd_per_mtok: Usd | None = None
    output_image_usd_per_mtok: Usd | None = None


class PriceTierSettings(RateSettings):
    """Rates for requests with more input than `above_tokens`."""

    above_tokens: Annotated[Whole, Ge(1)]


class TimeoutSettings(Table):
    """How long one attempt may take, in seconds; what is left out has its default."""

    connect: Seconds = Timeouts().connect_s
    first_token: Seconds | None = Timeouts().first_token_s
    between_tokens: Seconds | None = Timeouts().between_tokens_s
    total: Seconds | None = Timeouts().total_s

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        """Takes a bare number as the total."""
        return value if isinstance(value, Mapping | cls) else {"total": value}


class ModelSettings(RateSettings):
    """`[models.NAME]`: one model that requests may be routed to."""

    id: Annotated[str, MinLen(1)]
    map_id: str | None = None
    client: str | None = None
    base_url: str | None = None
    key_env: str | None = None
    headers: Mapping[str, str] | None = Field(default=None, repr=False)
    request_usd: Usd | None = None
    search_usd: Usd | None = None
    price_tiers: tuple[PriceTierSettings, ...] | None = None
    price_service: Mapping[ServiceTier, RateSettings] | None = None
    context_window_tokens: Annotated[Whole, Ge(1)] | None = None
    max_output_tokens: Annotated[Whole, Ge(1)] | None = None
    capabilities: tuple[Capability, ...] | None = None
    quality: Annotated[Real, Ge(0), Le(1)] | None = None
    region: str | None = None
    timeout_s: TimeoutSettings | None = None
    deployments: tuple[DeploymentTable, ...] | None = None
    concurrency: Annotated[Whole, Ge(1)] | None = None
    queue: Annotated[Whole, Ge(0)] | None = None
    options: Mapping[str, Any] | None = Field(default=None, repr=False)

    _check_base_url = field_validator("base_url")(checked_base_url)
    _check_key_env = field_validator("key_env")(checked_key_env)
    _check_headers = field_validator("headers")(checked_headers)
    _check_options = field_validator("options")(checked_options)

    @field_validator("deployments")
    @classmethod
    def _named_apart(cls, tables: tuple[DeploymentTable, ...] | None) -> tuple[DeploymentTable, ...] | None:
        names = [table.name for table in tables or ()]
        if len(set(names)) < len(names):
            raise ValueError(f"found the names {', '.join(names)}; allowed: each once")
        return tables

    @field_validator("price_tiers")
    @classmethod
    def _ascending(cls, tiers: tuple[PriceTierSettings, ...] | None) -> tuple[PriceTierSettings, ...] | None:
        limits = [tier.above_tokens for tier in tiers or ()]
        if any(later <= earlier for earlier, later in pairwise(limits)):
            raise ValueError(f"found above_tokens {', '.join(map(str, limits))}; allowed: limits that ascend")
        return tiers

    def stated(self) -> dict[str, Any]:
        """Returns what the table states, as `router.prices.catalog.build_model` takes it."""
        stated = self.model_dump(exclude_none=True, exclude={"timeout_s", "deployments"})
        if self.deployments is not None:
            stated["deployments"] = tuple(table.value() for table in self.deployments)
        if self.timeout_s is not None:
            seconds = self.timeout_s
            stated["timeouts"] = Timeouts(
                connect_s=seconds.connect,
                first_token_s=seconds.first_token,
                between_tokens_s=seconds.between_tokens,
                total_s=seconds.total,
            )
        return stated


class BoundsSettings(Table):
    """`[bounds]`: what one request may take, over all its attempts."""

    attempts: Annotated[Whole, Ge(1), Le(100)] = 3
    deadline_s: Seconds = 60.0
    waste_usd: Usd | None = None


class RedactSettings(Table):
    r"""One entry of `redact`: a hook by the name of its entry point, or a regular expression and what replaces it.

    In TOML a bare string is a hook: `redact = ["card_numbers", { pattern = '[\w.]+@[\w.]+', replace = "[mail]" }]`.
    """

    hook: str | None = None
    pattern: str | None = None
    replace: str = "[redacted]"

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        """Takes a bare string as the name of a hook."""
        return {"hook": value} if isinstance(value, str) else value

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if fault := pattern_fault(pattern or ""):
            raise said(f"found {fault}; allowed: a regular expression that ends soon")
        return pattern

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.hook is None) == (self.pattern is None):
            raise said("found neither or both of hook and pattern; allowed: one of them")
        return self


class LogSettings(Table):
    """`[log]`: the durable log, and what of a request's content it holds."""

    path: Annotated[str, MinLen(1)] | None = None
    content: Literal["none", "full"] = "none"
    redact: tuple[RedactSettings, ...] = ()
    lines: bool = False

    @field_validator("path")
    @classmethod
    def _at_home(cls, path: str | None) -> str | None:
        """Puts the user's folder in place of `~`, as a shell would; no sink would know what it means."""
        return None if path is None else os.path.expanduser(path)  # noqa: PTH111 - pathlib would drop a final slash


class TraceSettings(Table):
    """`[trace]`: what goes out with each attempt.

    Attributes:
        headers: whether trace ids do.
        hosts: who gets them, and with them the `tracestate` and `baggage` of the caller, by name of the host or a
            pattern as "*.example.com"; None sends ids to every host, and nothing else to any.
    """

    headers: bool = True
    hosts: tuple[Annotated[str, MinLen(1)], ...] | None = None
