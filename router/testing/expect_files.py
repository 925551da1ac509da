"""Where expectations stand: in a configuration, or in a file beside it; and whether the names in them are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from router.config import Settings, read_tables
from router.config_errors import Fault, config_error, faults_of
from router.config_expect import ExpectFile, ExpectTable
from router.config_lines import line_of, lines_of
from router.config_sources import Origin
from router.core import statics
from router.core.naming import allowed
from router.errors import ConfigError
from router.setup import Setup

BESIDE = ".expect.toml"
"""What a file of expectations is called beside `config.toml`: `config.expect.toml`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file, and the lines of what stands in it; none are known of settings that were made in code."""

    file: str
    lines: Mapping[tuple[str | int, ...], int] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, file: str, /) -> Source:
        """Returns a file with its lines, if it can be read."""
        try:
            text = Path(file).read_text(encoding="utf-8-sig")
        except OSError:
            return cls(file=file)
        return cls(file=file, lines=lines_of(text))

    def line(self, path: tuple[str | int, ...], /) -> int | None:
        """Returns the line of what stands at a path, or of what is around it; None where it is not known."""
        return line_of(self.lines, path)

    def place(self, path: tuple[str | int, ...], /) -> str:
        """Returns the file, with the line of what stands at a path."""
        line = self.line(path)
        return self.file if line is None else f"{self.file}:{line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One expectation, and where it stands."""

    table: ExpectTable
    source: Source
    index: int

    @property
    def label(self) -> str:
        """What to call it."""
        return self.table.name or f"expect[{self.index}]"

    @property
    def line(self) -> int | None:
        """The line that it begins on."""
        return self.source.line(("expect", self.index))

    @property
    def place(self) -> str:
        """The file and the line."""
        return self.source.place(("expect", self.index))


def expectations(settings: Settings, setup: Setup, source: Source, /, beside: Path | None) -> tuple[Expectation, ...]:
    """Returns the expectations of a configuration and of the file beside it.

    Args:
        settings: of the configuration.
        setup: of it.
        source: of its own expectations.
        beside: a file with more; None takes the one whose name is the configuration's with `.expect.toml`, if there is.

    Raises:
        ConfigError: the file is wrong, or an expectation names what is not there.
    """
    found = [Expectation(table=table, source=source, index=index) for index, table in enumerate(settings.expect)]
    more = Path(source.file).with_suffix(BESIDE) if beside is None else beside
    if beside is not None or (source.lines and more.is_file()):
        found += _read(more)
    faults = [told for one in found for told in _misnamed(one, setup)]
    if faults:
        raise ConfigError("\n".join(faults))
    return tuple(found)


def _read(path: Path) -> list[Expectation]:
    tables = read_tables(path)
    try:
        file = ExpectFile.model_validate(tables)
    except ValidationError as error:
        raise config_error(faults_of(error, ExpectFile), Origin(file=str(path))) from None
    source = Source.of(str(path))
    return [Expectation(table=table, source=source, index=index) for index, table in enumerate(file.expect)]


def _misnamed(expectation: Expectation, setup: Setup) -> Iterator[str]:
    for fault in _faults(expectation.table, setup):
        path = ("expect", expectation.index, *fault.path)
        yield str(config_error([Fault(path, fault.message)], Origin(file=expectation.source.place(path))))


def _faults(table: ExpectTable, setup: Setup) -> Iterator[Fault]:
    policy = table.when.policy or setup.default_policy
    if policy not in setup.policies:
        yield Fault(("when", "policy"), f"no policy is named {policy!r}; {allowed(policy, setup.policies)}")
        return
    patterns = statics.patterns(setup.policies[policy])
    wanted = table.when.last_user_message
    if wanted is not None and wanted not in patterns:
        told = allowed(wanted, patterns, none="it has none")
        yield Fault(("when", "last_user_message"), f"is no expression of the policy {policy}, which it must be; {told}")
    providers = {model.provider for model in setup.catalog.values()}
    for key, value in table.then.model_dump(exclude_none=True).items():
        there: Any = {"provider": providers, "provider_in": providers, **dict.fromkeys(_OF_MODELS, setup.catalog)}
        for name in _names(value) if key in there else ():
            if name not in there[key]:
                what = "provider" if key.startswith("provider") else "model"
                yield Fault(("then", key), f"no {what} is named {name!r}; {allowed(name, there[key])}")


_OF_MODELS = ("model", "model_in", "model_not_in", "live", "dropped")


def _names(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value
