"""Values as Python that can be pasted into a test: how counterexamples are shown.

What values hide in their repr (messages, headers, options) stands here in full: this is for values that a test made
up, never for those of a real request.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from types import FunctionType, MappingProxyType
from typing import Any, Final, TypeGuard
from zoneinfo import ZoneInfo

import router

_WIDTH: Final = 100
"""Columns: messages are read in terminals, and behind what pytest puts in front of them."""
_PERIODIC_FROM: Final = 60
"""Characters from which a text that repeats itself is written as a product."""


def as_code(value: Any, /) -> str:
    """Returns an expression that evaluates to an equal value, parts at their defaults left out.

    The names in it are those of `router`, else of the module that defines them; `as_script` writes the imports too.
    A class that is called like a public one of `router` has its module's name in front: `token_tiers.Tier`.
    """
    return _Writer({}).expression(value)


def as_script(**values: Any) -> str:
    """Returns statements that import what they need and assign each value to its name.

    What stands in several of the values, as the features of a request do, is assigned once and named.
    """
    return script(values)


def script(values: Mapping[str, Any], /, *, needs: Iterable[tuple[str, str]] = (), end: str = "") -> str:
    """Returns the same, with more imports and a last line.

    Args:
        values: by name.
        needs: pairs of module and name, to be imported for the last line.
        end: the last line; none where it is empty.
    """
    named: dict[int, str] = {}
    lines: list[str] = []
    imports: dict[str, set[str]] = {}
    for module, needed in needs:
        imports.setdefault(module, set()).add(needed)
    for name, value in [*_shared(values), *values.items()]:
        writer = _Writer(named)
        lines.append(f"{name} = {writer.expression(value, taken=len(name) + 3)}")
        for module, names in writer.imports.items():
            imports.setdefault(module, set()).update(names)
        if dataclasses.is_dataclass(value):
            named[id(value)] = name
    return "\n".join([*_import_lines(imports), *([""] if imports else []), *lines, *([end] if end else [])])


@dataclass(frozen=True, slots=True)
class _Shape:
    """A value with parts: what stands before, between and after them."""

    head: str
    parts: tuple[tuple[str, Any], ...]
    tail: str
    lone: str = ""
    """What follows the part if there is only one: the comma that makes a tuple."""


class _Writer:
    """Writes one expression, and notes what must be imported for it.

    Args:
        named: by `id`, the names of values that were assigned before.
    """

    def __init__(self, named: Mapping[int, str]) -> None:
        self._named = named
        self.imports: dict[str, set[str]] = {}

    def expression(self, value: Any, *, taken: int = 0, indent: int = 0) -> str:
        """Returns the value on one line if it fits, else each part on its own.

        Args:
            value: what is written.
            taken: columns of the line that are taken already.
            indent: columns before what follows on other lines.
        """
        if (name := self._named.get(id(value))) is not None:
            return name
        shape = self.shape(value)
        if isinstance(shape, str):
            return shape
        if len(flat := self._flat(shape)) + taken <= _WIDTH or not shape.parts:
            return flat
        inner = indent + 4
        lines = [
            f"{' ' * inner}{before}{self.expression(part, taken=inner + len(before) + 1, indent=inner)},"
            for before, part in shape.parts
        ]
        return "\n".join([shape.head, *lines, f"{' ' * indent}{shape.tail}"])

    def _flat(self, shape: _Shape) -> str:
        parts = [f"{before}{self._on_one_line(part)}" for before, part in shape.parts]
        return f"{shape.head}{', '.join(parts)}{shape.lone if len(parts) == 1 else ''}{shape.tail}"

    def _on_one_line(self, value: Any) -> str:
        if (name := self._named.get(id(value))) is not None:
            return name
        shape = self.shape(value)
        return shape if isinstance(shape, str) else self._flat(shape)

    def shape(self, value: Any) -> str | _Shape:
        """Returns a value's parts, or its code where it has none."""
        match value:
            case str():
                return _text(value)
            case Enum():
                return f"{self._name(type(value))}.{value.name}"
            case float() if not math.isfinite(value):
                return f'float("{value}")'
            case None | bool() | int() | float() | bytes():
                return repr(value)
            case Decimal():
                return f'{self._name(Decimal)}("{value}")'
            case datetime():
                return self._moment(value)
            case date() | timedelta():
                self._name(type(value))
                return repr(value).removeprefix("datetime.")
            case FunctionType() if value.__name__ == "<lambda>":
                return "..."  # has no name to be imported by
            case type() | FunctionType():
                return self._name(value)
            case _:
                return self._composite(value)

    def _composite(self, value: Any) -> str | _Shape:
        match value:
            case tuple():
                return _Shape("(", _plain(value), ")", lone=",")
            case list():
                return _Shape("[", _plain(value), "]")
            case dict():
                parts = tuple((f"{as_code(key)}: ", item) for key, item in value.items())
                return _Shape("{", parts, "}")
            case MappingProxyType():
                self._need("types", "MappingProxyType")  # by its own account it is called otherwise
                return _Shape("MappingProxyType(", (("", dict(value)),), ")")
            case set() if value:
                return _Shape("{", _plain(_ordered(value)), "}")
            case set() | frozenset():
                parts = (("", set(value)),) if value else ()
                return _Shape(f"{type(value).__name__}(", parts, ")")
            case _ if _is_record(value):
                return _Shape(f"{self._name(type(value))}(", tuple(_arguments(value)), ")")
            case _ if hasattr(value, "model_fields_set"):  # pydantic's, which is not imported for this
                parts = tuple(
                    (f"{n}=", getattr(value, n)) for n in type(value).model_fields if n in value.model_fields_set
                )
                return _Shape(f"{self._name(type(value))}(", parts, ")")
            case _ if all("__repr__" not in vars(cls) for cls in type(value).__mro__[:-1]):
                return f"{self._name(type(value))}({'...' if _is_choosy(type(value)) else ''})"
            case _:
                # Such as `count(3)`: where the repr is a call, the class must be there to be called.
                text = repr(value)
                if text.startswith(f"{type(value).__qualname__}("):
                    self._name(type(value))
                return text

    def _moment(self, value: datetime) -> str:
        clock = [value.hour, value.minute, value.second, value.microsecond]
        while clock and not clock[-1]:
            clock.pop()
        parts = [str(n) for n in (value.year, value.month, value.day, *clock)]
        match value.tzinfo:
            case None:
                pass
            case zone if zone is UTC:
                self._need("datetime", "UTC")
                parts.append("tzinfo=UTC")
            case timezone():
                self._need("datetime", "timedelta")
                minutes = (value.utcoffset() or timedelta()) // timedelta(minutes=1)
                parts.append(f"tzinfo={self._name(timezone)}(timedelta(minutes={minutes}))")
            case ZoneInfo():
                parts.append(f"tzinfo={self._name(ZoneInfo)}({value.tzinfo.key!r})")
            case other:
                parts.append(f"tzinfo={other!r}")
        return f"{self._name(datetime)}({', '.join(parts)})"

    def _need(self, module: str, name: str) -> None:
        self.imports.setdefault(module, set()).add(name)

    def _name(self, thing: type | FunctionType) -> str:
        """Returns what a class or function is called, and notes its import."""
        name, public = thing.__qualname__, vars(router)
        top = name.partition(".")[0]
        if public.get(name) is thing:
            self._need("router", name)
        elif thing.__module__ in {"builtins", "__main__"} or "<" in name:
            pass  # is there already, or cannot be imported
        elif top in router.__all__:
            package, _, module = thing.__module__.rpartition(".")
            self._need(package, module)
            return f"{module}.{name}"
        else:
            self._need(thing.__module__, top)
        return name


def _text(value: str) -> str:
    """Returns a text as code; a long one that repeats itself as the product it is."""
    size = len(value)
    if size >= _PERIODIC_FROM:
        period = (value + value).find(value, 1)
        if period <= size // 4:
            return f"{value[:period]!r} * {size // period}"
    return repr(str(value))


def _plain(values: Iterable[Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(("", value) for value in values)


def _ordered(values: Iterable[Any]) -> list[Any]:
    return sorted(values, key=as_code)


def _is_record(value: Any) -> TypeGuard[Any]:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _is_choosy(cls: type) -> bool:
    """Returns whether a class cannot be called without arguments."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(cls).parameters.values()
    return any(each.default is inspect.Parameter.empty and each.kind not in variadic for each in parameters)


def _arguments(value: Any) -> Iterator[tuple[str, Any]]:
    """Yields what makes a dataclass's instance: the fields that are not at their default, each with its keyword."""
    by_position = True
    for field in dataclasses.fields(value):
        if not field.init:
            continue
        item = getattr(value, field.name)
        if _is_default(field, item):
            by_position = False
            continue
        by_position = by_position and not field.kw_only
        yield ("" if by_position else f"{field.name}="), item


def _is_default(field: dataclasses.Field[Any], item: Any) -> bool:
    if field.default is not dataclasses.MISSING:
        default = field.default
    elif field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    else:
        return False
    return type(item) is type(default) and bool(item == default)


def _shared(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Returns the dataclasses that occur more than once in the values, innermost first, with names for them."""
    met: dict[int, int] = {}
    order: list[Any] = []
    writer = _Writer({})

    def walk(value: Any) -> None:
        shape = writer.shape(value)
        if isinstance(shape, str):
            return
        known = met.get(id(value), 0)
        if _is_record(value) and shape.parts:
            met[id(value)] = known + 1
            if known:
                return
        for _, part in shape.parts:
            walk(part)
        if _is_record(value) and shape.parts:
            order.append(value)

    for value in values.values():
        walk(value)
    names = set(values)
    out: list[tuple[str, Any]] = []
    for value in order:
        if met[id(value)] > 1 and not any(value is given for given in values.values()):
            stem = type(value).__name__.lower()
            name = next(n for i in range(1, len(order) + 2) if (n := stem if i == 1 else f"{stem}_{i}") not in names)
            names.add(name)
            out.append((name, value))
    return out


def _import_lines(imports: Mapping[str, Iterable[str]]) -> list[str]:
    """Returns import statements in the order that linters ask for."""
    groups: tuple[list[str], list[str]] = ([], [])
    for module in sorted(imports):
        ours = module.partition(".")[0] not in sys.stdlib_module_names
        groups[ours].append(f"from {module} import {', '.join(sorted(imports[module]))}")
    return [*groups[0], *([""] if all(groups) else []), *groups[1]]
