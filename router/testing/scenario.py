"""Scenarios: a configuration, the traffic it meets and the troubles of its providers, as values and as TOML.

```toml
title = "The cheapest model is half broken for ten minutes"

[config.models.small]              # a whole configuration, or: config = "config.toml"
id = "simulated/small"
...

[traffic]
rate_per_s = 5
duration_s = 3600

[[troubles]]
kind = "error"
model = "small"
start_s = 1200
duration_s = 600
share = 0.3
billed = true
```
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final, Self

from annotated_types import MinLen
from pydantic import Field, ModelWrapValidatorHandler, ValidationError, ValidationInfo, model_validator

from router.config import Settings, load
from router.config_destinations import OutboxTable
from router.config_errors import Fault, config_error, faults_of
from router.config_sources import Origin
from router.config_values import Table
from router.core.naming import allowed
from router.errors import ConfigError
from router.testing.traffic import Traffic
from router.testing.troubles import Behaviour, Trouble

RANDOM: Final = "random"
"""Names the scenario that is drawn from the seed instead of read from a file."""


class Scenario(Table):
    """A whole simulation but for its seed.

    Attributes:
        config: the router's configuration as tables, or the path of its TOML file. Whatever clients it names, every
            call goes to the scripted providers; nothing is logged to its files.
        providers: by model name.

    Raises:
        ConfigError: something is wrong; lists all that is.
    """

    title: str = ""
    config: dict[str, Any] | Annotated[str, MinLen(1)]
    traffic: Traffic = Traffic()
    providers: Mapping[str, Behaviour] = Field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()

    @model_validator(mode="wrap")
    @classmethod
    def _explained(cls, tables: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        """Turns what pydantic finds wrong into one `ConfigError`."""
        origin = info.context or Origin(file="scenario")
        try:
            return handler(tables)
        except ValidationError as error:
            raise config_error(faults_of(error, cls), origin) from None

    def settings(self, file: str = "scenario") -> Settings:
        """Returns the router's settings.

        Args:
            file: what errors name as the place.

        Raises:
            ConfigError: the configuration is wrong, or a provider or trouble names no model of it.
        """
        if isinstance(self.config, str):
            settings = load(self.config, environ={})
        else:
            settings = Settings.model_validate(self.config, context=(Origin(file=f"{file}, config"), []))
        if faults := list(self._misnamed(settings)):
            raise config_error(faults, Origin(file=file))
        # The books find a request by the trace id in its headers; without a seed of its own, no run would repeat.
        trace = settings.trace.model_copy(update={"headers": True, "hosts": None})
        more = {} if settings.outbox is None else {"outbox": OutboxTable(backend="memory", deliver=False)}
        return settings.model_copy(update={"trace": trace, "seed": settings.seed or "simulation", **more})

    def _misnamed(self, settings: Settings) -> Iterator[Fault]:
        names = tuple(settings.models)
        for name in self.providers:
            if name not in names:
                yield Fault(("providers", name), f"is no model of the configuration; {allowed(name, names)}")
        for index, trouble in enumerate(self.troubles):
            if not any(fnmatchcase(name, trouble.model) for name in names):
                where = ("troubles", index, "model")
                yield Fault(where, f"found {trouble.model!r}, which fits no model; {allowed(trouble.model, names)}")


def load_scenario(path: Path, /) -> Scenario:
    """Returns the scenario of a TOML file; paths in it are relative to its folder.

    Raises:
        ConfigError: the file is missing or no TOML, or something in it is wrong; lists all that is.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    scenario = Scenario.model_validate(tables, context=Origin(file=str(path)))
    if isinstance(scenario.config, str):
        scenario = scenario.model_copy(update={"config": str(path.parent / scenario.config)})
    if scenario.traffic.path is not None:
        scenario = with_trace(scenario, path.parent / scenario.traffic.path)
    scenario.settings(str(path))
    return scenario


def with_trace(scenario: Scenario, path: Path, /) -> Scenario:
    """Returns the scenario with its times and lengths taken from a trace; shares and options stay."""
    traffic = scenario.traffic.model_copy(update={"kind": "trace", "path": str(path)})
    return scenario.model_copy(update={"traffic": traffic})
