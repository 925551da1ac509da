"""An attribute that is computed when it is first asked for.

`functools.cached_property` without the lock that it takes until Python 3.12 (bpo-43468): a slate asks for a hundred
such values per request, and the lock costs more than the value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")
Owner = TypeVar("Owner")


class lazy(Generic[Owner, T]):  # noqa: N801 - a decorator, named as such
    """Turns a method without arguments into an attribute; its owner needs a `__dict__`."""

    def __init__(self, compute: Callable[[Owner], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> lazy[Owner, T]: ...
    @overload
    def __get__(self, instance: Owner, owner: type[Any]) -> T: ...

    def __get__(self, instance: Owner | None, owner: type[Any]) -> lazy[Owner, T] | T:
        """Returns the value, computed at most once unless threads race for it, which then compute the same."""
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._compute(instance)
        return value
