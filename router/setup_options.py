"""What is wrong with the options that a table states for a class found by entry point."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from router.config_sources import Path
from router.core.naming import allowed


def wrong_options(make: Callable[..., Any], taker: str, options: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yields what is wrong with options, by the parameters of the class that takes them.

    Args:
        make: the class.
        taker: what the configuration calls it, as "kind 'jsonl'" or "backend 'sqlite'".
        options: by keyword.
    """
    parameters = [p for p in _parameters(make) if p.kind is not p.VAR_POSITIONAL]
    hints = {p.name: p.annotation for p in parameters}
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    if len(names) == len(parameters):
        for name in options.keys() - set(names):
            yield (name,), f"is no option of the {taker}; {allowed(name, names, none='it has none')}"
    for name, value in options.items():
        wanted = _TYPES.get(hints.get(name))
        if wanted is not None and not (isinstance(value, wanted) and isinstance(value, bool) == (wanted is bool)):
            yield (name,), f"found {value!r:.80}; allowed: {_WORDS[wanted]}"
    for p in parameters:
        if p.kind is not p.VAR_KEYWORD and p.default is p.empty and p.name not in options:
            yield (p.name,), f"is missing; the {taker} needs it"


_TYPES: Final[Mapping[Any, Any]] = {bool: bool, int: int, float: (int, float), str: str}
_WORDS: Final[Mapping[Any, str]] = {
    bool: "true or false",
    int: "a whole number",
    (int, float): "a number",
    str: "a string",
}


def _parameters(make: Callable[..., Any]) -> Iterable[inspect.Parameter]:
    """Returns what a class is made with; types as text, which are not compared, where they cannot be read."""
    try:
        return inspect.signature(make, eval_str=True).parameters.values()
    except NameError:
        return inspect.signature(make).parameters.values()
