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

import random
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self

from annotated_types import MinLen
from pydantic import BaseModel, Field, ModelWrapValidatorHandler, ValidationError, ValidationInfo, model_validator

from router.config import Settings, load
from router.config_errors import Fault, config_error, faults_of
from router.config_sources import Origin
from router.core.naming import allowed
from router.errors import ConfigError
from router.testing.traffic import Traffic
from router.testing.troubles import STRICT, Behaviour, Spread, Trouble

RANDOM: Final = "random"
"""Names the scenario that is drawn from the seed instead of read from a file."""


class Scenario(BaseModel):
    """A whole simulation but for its seed.

    Attributes:
        config: the router's configuration as tables, or the path of its TOML file. Whatever clients it names, every
            call goes to the scripted providers; nothing is logged to its files.
        providers: by model name.

    Raises:
        ConfigError: something is wrong; lists all that is.
    """

    model_config = STRICT

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
        # The books find a request by the trace id in its headers.
        trace = settings.trace.model_copy(update={"headers": True})
        return settings.model_copy(update={"trace": trace})

    def _misnamed(self, settings: Settings) -> Iterator[Fault]:
        names = tuple(settings.models)
        for name in self.providers:
            if name not in names:
                yield Fault(("providers", name), f"is no model of the configuration; {allowed(name, names)}")
        for index, trouble in enumerate(self.troubles):
            if not any(map(trouble.befalls, names)):
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


_KINDS: Final = ("error", "error", "unreachable", "hang", "refuse", "refuse", "empty", "error_in_answer", "cut", "slow")


def random_scenario(chance: random.Random, /) -> Scenario:
    """Returns some scenario: a few models, policies nested to some depth, bounds, traffic, troubles.

    Args:
        chance: what it is drawn from; Hypothesis' `st.randoms()` makes it shrink.
    """
    names = [f"m{number}" for number in range(chance.randint(1, 5))]
    duration_s = chance.choice((5.0, 60.0, 600.0))
    requests = chance.randint(1, 240)
    bounds: dict[str, Any] = {"attempts": chance.randint(1, 6), "deadline_s": chance.choice((0.5, 3.0, 20.0, 90.0))}
    if chance.random() < 0.5:
        bounds["waste_usd"] = chance.choice(("0", "0.0005", "0.01", "1"))
    config = {
        "models": {name: _model(name, chance) for name in names},
        "policies": {"default": _policy(names, chance, depth=chance.randint(0, 3))},
        "bounds": bounds,
        "seed": str(chance.randrange(1000)),
    }
    return Scenario(
        title="drawn from the seed",
        config=config,
        traffic=_traffic(requests, duration_s, chance),
        providers={name: _behaviour(chance) for name in names if chance.random() < 0.7},
        troubles=tuple(_trouble(names, duration_s, chance) for _ in range(chance.randint(0, 6))),
    )


def _model(name: str, chance: random.Random) -> dict[str, Any]:
    table: dict[str, Any] = {
        "id": f"simulated/{name}",
        "input_usd_per_mtok": chance.choice(("0.1", "1", "3")),
        "output_usd_per_mtok": chance.choice(("0.4", "4", "15")),
        "context_window_tokens": chance.choice((2_000, 16_000, 128_000)),
        "max_output_tokens": chance.choice((64, 1_000, 8_000)),
        "quality": chance.choice((0.5, 0.8, 0.95)),
    }
    if chance.random() < 0.3:
        table["timeout_s"] = {"total": chance.choice((0.3, 2.0, 30.0))}
    return table


def _policy(names: list[str], chance: random.Random, *, depth: int) -> dict[str, Any]:
    some = chance.sample(names, chance.randint(1, len(names)))
    if depth == 0:
        leaves: list[dict[str, Any]] = [
            {"kind": "cheapest"},
            {"kind": "fallback", "models": some},
            {"kind": "token_tiers", "tiers": [{"up_to_tokens": 500, "models": some}, {"models": names}]},
        ]
        return chance.choice(leaves)
    inner = [_policy(names, chance, depth=depth - 1) for _ in range(chance.randint(1, 2))]
    cheap = {"kind": "max_cost", "limit_usd": chance.choice(("0.0002", "0.005"))}
    split = [{"weight": chance.choice((1, 3)), "use": policy} for policy in inner]
    outer: list[dict[str, Any]] = [
        {"kind": "chain", "policies": [{"kind": "cheapest"}, inner[0]]},
        {"kind": "first_of", "policies": [{"kind": "chain", "policies": [cheap, inner[0]]}, inner[-1]]},
        {"kind": "rules", "rules": [{"when": {"above_tokens": 900}, "use": inner[0]}], "otherwise": inner[-1]},
        {"kind": "weighted", "split": split},
    ]
    return chance.choice(outer)


def _traffic(requests: int, duration_s: float, chance: random.Random) -> Traffic:
    options: dict[str, Any] = {}
    if chance.random() < 0.7:
        options["max_tokens"] = chance.choice((1, 50, 500))
    if chance.random() < 0.3:
        options["attempts"] = chance.randint(1, 8)
    if chance.random() < 0.3:
        options["deadline_s"] = chance.choice((0.2, 2.0, 120.0))
    if chance.random() < 0.2:
        options["max_cost_usd"] = chance.choice(("0.0001", "0.01"))
    return Traffic(
        kind=chance.choice(("poisson", "constant", "bursts")),
        rate_per_s=requests / duration_s,
        duration_s=duration_s,
        burst=chance.randint(1, requests),
        requests=requests,
        input_tokens=Spread(median=chance.choice((20, 400, 3_000)), spread=0.7, most=20_000),
        stream_share=chance.choice((0.0, 0.5, 1.0)),
        cancel_share=chance.choice((0.0, 0.0, 0.3)),
        drop_share=chance.choice((0.0, 0.0, 0.3)),
        options=options,
    )


def _behaviour(chance: random.Random) -> Behaviour:
    return Behaviour(
        latency_s=Spread(median=chance.choice((0.05, 0.6, 4.0)), spread=chance.choice((0.0, 0.8))),
        tokens_per_s=Spread(median=chance.choice((10.0, 100.0)), spread=0.2),
        requests_per_minute=chance.choice((None, 6.0, 120.0)),
        tokens_per_minute=chance.choice((None, None, 20_000.0)),
        retry_after=chance.choice(("honest", "none", "too_short", "too_long", "garbage")),
    )


def _trouble(names: list[str], duration_s: float, chance: random.Random) -> Trouble:
    jumps = chance.random() < 0.1
    kind: Any = "clock_jump" if jumps else chance.choice(_KINDS)
    table: dict[str, Any] = {"kind": kind, "start_s": chance.uniform(0, duration_s / 2)}
    match kind:
        case "clock_jump":
            return Trouble(**table, jump_s=chance.choice((-3600.0, 7200.0)))
        case "error":
            table |= {"billed": chance.random() < 0.5, "status": chance.choice((500, 502, 503, 504))}
        case "refuse":
            table["retry_after"] = chance.choice(("honest", "none", "too_short", "too_long", "garbage"))
        case "slow":
            table["factor"] = chance.choice((3.0, 50.0))
    if chance.random() < 0.6:
        table["duration_s"] = chance.uniform(0.1, duration_s)
        if chance.random() < 0.3:
            table["every_s"] = table["duration_s"] * chance.uniform(1.5, 4)
    return Trouble(**table, model=chance.choice(["*", *names]), share=chance.choice((0.2, 0.5, 1.0)))
