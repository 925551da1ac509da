"""What is wrong with the options that a table states for a class found by entry point."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from router.config_sources import Path
from router.core.naming import allowed


def wrong_options(make: Callable[..., Any], kind: str, options: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yields what is wrong with options, by the parameters of the class that takes them.

    Args:
        make: the class.
        kind: what the configuration calls it.
        options: by keyword.
    """
    parameters = [p for p in inspect.signature(make).parameters.values() if p.kind is not p.VAR_POSITIONAL]
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    if len(names) == len(parameters):
        for name in options.keys() - set(names):
            yield (name,), f"is no option of the kind {kind!r}; {allowed(name, names, none='it has none')}"
    for p in parameters:
        if p.kind is not p.VAR_KEYWORD and p.default is p.empty and p.name not in options:
            yield (p.name,), f"is missing; the kind {kind!r} needs it"
