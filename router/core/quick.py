"""Frozen dataclasses that are made in half the time.

A frozen dataclass refuses to be changed by anyone, its own `__init__` included, which therefore sets every field by way
of `object.__setattr__`. A request makes a dozen such values with a hundred fields; one that is answered out of memory
would spend a tenth of its time on that.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import MISSING, fields
from functools import update_wrapper
from typing import Any, TypeVar

T = TypeVar("T")


def quick(kind: type[T], /) -> type[T]:
    """Gives a frozen dataclass with slots an `__init__` that sets its fields as that of any other class does.

    While they are set, the new value is of an open twin of its class, which has the same slots and refuses nothing;
    nobody else has the value yet. A subclass keeps the way of dataclasses, as the twin is not one of it.

    Raises:
        TypeError: the class has a `__post_init__`, which would not be called.
    """
    if hasattr(kind, "__post_init__"):
        raise TypeError(f"{kind.__name__} has a __post_init__, which a quick class does not call")
    frozen: Any = kind
    slow = frozen.__init__
    names: dict[str, Any] = {
        "frozen": frozen,
        "twin": type(kind.__name__, kind.__bases__, {"__slots__": frozen.__slots__}),
        "slow": slow,
        "put": object.__setattr__,
    }
    exec("\n".join(_source(frozen, names)), names)  # noqa: S102 - as dataclasses do it: the text is made of fields' names
    made: Any = update_wrapper(names["__init__"], slow)
    made.__defaults__, made.__kwdefaults__ = slow.__defaults__, slow.__kwdefaults__
    frozen.__init__ = made
    return kind


def _source(frozen: Any, names: dict[str, Any]) -> Iterator[str]:
    """Yields the lines of the `__init__`, and adds to `names` what makes defaults."""
    parameters = inspect.signature(frozen).parameters
    placed = [p.name for p in parameters.values() if p.kind is not p.KEYWORD_ONLY]
    named = [p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY]
    yield f"def __init__({', '.join(['self', *placed, *(['*', *named] if named else [])])}):"
    yield "    if self.__class__ is not frozen:"
    yield f"        return slow({', '.join(['self', *placed, *(f'{name}={name}' for name in named)])})"
    yield "    put(self, '__class__', twin)"
    for field in fields(frozen):
        name = value = field.name
        if field.default_factory is not MISSING:
            names[f"make_{name}"], value = field.default_factory, f"make_{name}()"
            if field.init:
                names[f"no_{name}"] = parameters[name].default  # what dataclasses put there where nothing was given
                value = f"{value} if {name} is no_{name} else {name}"
        yield f"    self.{name} = {value}"
    yield "    self.__class__ = frozen"
