"""Where each value of a configuration comes from: the file, or a variable of the environment over it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from router.config_values import Spelt
from router.core.naming import allowed

Path = tuple[str | int, ...]
"""Keys and list positions, from the top of the file down."""

PREFIX = "LOWFARE_"
NESTING = "__"
RESERVED = frozenset({"LOWFARE_CONFIG"})
"""Variables with our prefix that are no options: the path of the configuration itself."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Which file, and which variables of the environment by the path they set."""

    file: str = "settings"
    variables: Mapping[Path, str] = field(default_factory=dict)

    def where(self, path: Path, /) -> str:
        """Returns what to name as the place of an error: the variable that set the value, else the file."""
        if len(path) == 1 and str(path[0]).startswith(PREFIX):
            return "the environment"
        for length in range(len(path), 0, -1):
            if path[:length] in self.variables:
                return f"environment variable {self.variables[path[:length]]}"
        return self.file


@dataclass(frozen=True, slots=True)
class Overlay:
    """The tables of a file with the environment over them.

    Attributes:
        tables: what is to be checked.
        variables: the variable that set a value, by its path.
        unknown: by variable, what is wrong with its name or its JSON.
    """

    tables: Mapping[str, Any]
    variables: Mapping[Path, str]
    unknown: Mapping[str, str]


def overlay(tables: Mapping[str, Any], environ: Mapping[str, str], options: Iterable[str], /) -> Overlay:
    """Returns the tables with every `LOWFARE_*` variable laid over them.

    `LOWFARE_MODELS__GPT_4_1__QUALITY` sets `quality` of the model "gpt-4.1": upper and lower case, and signs that the
    name of a variable cannot have, do not matter where the file has the name.

    Args:
        tables: of the file.
        environ: the environment.
        options: names of the top-level keys.
    """
    known = set(options)
    merged: dict[str, Any] = dict(tables)
    variables: dict[Path, str] = {}
    unknown: dict[str, str] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in RESERVED:
            continue
        parts = variable.removeprefix(PREFIX).split(NESTING)
        if parts[0].lower() not in known:
            names = [f"{PREFIX}{name.upper()}" for name in known] + sorted(RESERVED)
            unknown[variable] = f"sets no option; {allowed(variable, names)}"
            continue
        try:
            value = _value(environ[variable])
        except json.JSONDecodeError as error:
            unknown[variable] = f"is not JSON: {error.msg}, at character {error.pos + 1}"
            continue
        merged, path = _set(merged, parts, value)
        variables[path] = variable
    return Overlay(merged, variables, unknown)


def _value(text: str) -> Any:
    """Returns lists and tables as JSON has them; scalars stay text, which the types of the options read."""
    return json.loads(text) if text.lstrip().startswith(("[", "{")) else Spelt(text)


def _set(table: Mapping[str, Any], parts: list[str], value: Any) -> tuple[dict[str, Any], Path]:
    """Returns the table with a value set, and the path it was set at; the table given is left as it is."""
    spelling = {_plain(key): key for key in table}
    key = spelling.get(_plain(parts[0]), parts[0].lower())
    if len(parts) == 1:
        return {**table, key: value}, (key,)
    inner = table.get(key)
    below, path = _set(inner if isinstance(inner, Mapping) else {}, parts[1:], value)
    return {**table, key: below}, (key, *path)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower())
