"""TOML and environment -> frozen settings. The only place that validates input.

`load` merges the file and the environment itself: it must know of each value where it came from, to say so in an
error. All that is wrong is reported at once, without ever showing a secret. This module imports pydantic, so it is
imported when a configuration is loaded, not with `router`.
"""

from __future__ import annotations

import codecs
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, MinLen
from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, TomlConfigSettingsSource

from router.config_alerts import AlertTable, build_alerts
from router.config_attempts import (
    BreakerTable,
    ConcurrencyTable,
    HedgeTable,
    PerPolicyTable,
    RetryQuotaTable,
)
from router.config_budgets import BudgetTable
from router.config_cache import CacheTable
from router.config_destinations import DestinationTable, OutboxTable
from router.config_errors import Fault, config_error, faults_of
from router.config_expect import ExpectTable
from router.config_otel import OtelTable
from router.config_policies import build_policies
from router.config_secrets import checked_seed
from router.config_sinks import SinkTable
from router.config_sources import Origin, overlay
from router.config_state import StateTable
from router.config_tables import BoundsSettings, LogSettings, ModelSettings, TraceSettings
from router.config_values import Table, Whole
from router.core.policy import Policy
from router.errors import ConfigError

IN_CODE = Origin()
"""Of settings that no file states."""


class Settings(Table):
    """A whole configuration, checked but for what needs the catalog; `router.setup.setup_of` does the rest.

    Made by `load`, or in code with the same names: `Settings(models={"small": {"id": "deepseek/deepseek-v3.2"}})`.

    Raises:
        ConfigError: something is wrong; lists all that is.
    """

    models: Annotated[Mapping[Annotated[str, MinLen(1)], ModelSettings], MinLen(1)]
    policies: Mapping[str, Policy] = Field(default_factory=dict)
    bounds: BoundsSettings = BoundsSettings()
    per_policy: Mapping[str, PerPolicyTable] = Field(default_factory=dict)
    checks: Mapping[str, bool] = Field(default_factory=dict)
    breaker: BreakerTable = BreakerTable()
    retry_quota: RetryQuotaTable = RetryQuotaTable()
    concurrency: ConcurrencyTable = ConcurrencyTable()
    hedge: HedgeTable = HedgeTable()
    cache: CacheTable | None = None
    budgets: Mapping[Annotated[str, MinLen(1)], BudgetTable] = Field(default_factory=dict)
    state: StateTable = StateTable()
    log: LogSettings = LogSettings()
    sinks: Mapping[str, SinkTable] = Field(default_factory=dict)
    trace: TraceSettings = TraceSettings()
    destinations: Mapping[Annotated[str, MinLen(1)], DestinationTable] = Field(default_factory=dict)
    outbox: OutboxTable | None = None
    otel: OtelTable = OtelTable()
    alerts: tuple[AlertTable, ...] = ()
    expect: tuple[ExpectTable, ...] = ()
    seed: Annotated[str, Field(coerce_numbers_to_str=True)] = ""
    expected_output_tokens: Annotated[Whole, Ge(1)] = 500
    unpriced: Literal["refuse", "drop", "allow"] = "refuse"

    _check_seed = field_validator("seed")(checked_seed)

    _origin: Origin = PrivateAttr(default=IN_CODE)

    @property
    def origin(self) -> Origin:
        """Where each value came from."""
        return self._origin

    @field_validator("policies", mode="plain")
    @classmethod
    def _build_policies(cls, tables: Any) -> Mapping[str, Policy]:
        return build_policies(tables)

    @field_validator("alerts", mode="plain")
    @classmethod
    def _build_alerts(cls, tables: Any) -> tuple[AlertTable, ...]:
        return build_alerts(tables)

    @model_validator(mode="wrap")
    @classmethod
    def _explained(cls, tables: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        """Turns what pydantic finds wrong into one `ConfigError`, in code as in files."""
        origin, faults = info.context or (IN_CODE, [])
        try:
            settings = handler(tables)
        except ValidationError as error:
            # The cause is left out: it holds the input as it stands in the file.
            raise config_error([*faults_of(error, cls), *faults], origin) from None
        if faults:
            raise config_error(faults, origin)
        settings._origin = origin  # noqa: SLF001 - an attribute of this very class
        return settings


def load(path: str | os.PathLike[str], /, *, environ: Mapping[str, str] | None = None) -> Settings:
    """Returns the settings of a TOML file, with those `LOWFARE_*` variables of the environment over them.

    `LOWFARE_BOUNDS__ATTEMPTS=5` sets `attempts` in `[bounds]`; lists and tables are written as JSON.

    Args:
        path: of the file.
        environ: the environment; None is that of the process.

    Raises:
        ConfigError: the file is missing or no TOML, or something in it is wrong; lists all that is.
    """
    return _checked(read_tables(Path(path)), str(path), environ)


def default_settings(
    *, environ: Mapping[str, str] | None = None, folder: str | os.PathLike[str] | None = None
) -> Settings:
    """Returns the settings of a program that names none.

    They are those of the file that `LOWFARE_CONFIG` names, else of `config.toml` in the folder, else the seed list's
    models whose API keys stand in the environment.

    Args:
        environ: the environment; None is that of the process.
        folder: where to look for `config.toml`; None is the working directory.

    Raises:
        ConfigError: there is none of them, or what there is is wrong.
    """
    from router.prices.providers import provider_named
    from router.prices.seed import SEED_MODELS

    environ = os.environ if environ is None else environ
    if named := environ.get("LOWFARE_CONFIG"):
        return load(named, environ=environ)
    file = Path(folder or ".") / "config.toml"
    if file.is_file():
        return load(file, environ=environ)
    keys = {name: provider_named(table["id"].partition("/")[0]).key_env or "" for name, table in SEED_MODELS.items()}
    models = {name: dict(table) for name, table in SEED_MODELS.items() if environ.get(keys[name])}
    if not models:
        raise ConfigError(
            f"no configuration: LOWFARE_CONFIG is not set, {file} does not exist, and no key of "
            f"{', '.join(keys.values())} is set; set one, or write a config.toml as config.example.toml shows"
        )
    return _checked({"models": models}, "the built-in models", environ)


def _checked(tables: dict[str, Any], file: str, environ: Mapping[str, str] | None) -> Settings:
    laid = overlay(tables, os.environ if environ is None else environ, Settings.model_fields)
    faults = [Fault((variable,), message) for variable, message in laid.unknown.items()]
    return Settings.model_validate(laid.tables, context=(Origin(file=file, variables=laid.variables), faults))


def read_tables(path: Path, /) -> dict[str, Any]:
    """Returns what a TOML file holds.

    Raises:
        ConfigError: it is missing, or no TOML.
    """
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file; config.example.toml shows what to write into one")
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder; allowed: a TOML file")
    try:
        with path.open("rb") as file:
            if file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8:  # editors on Windows begin files with it
                return tomllib.load(file)
        return TomlConfigSettingsSource(BaseSettings, path).toml_data
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: lists or tables stand inside each other too deeply") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from error
