"""The names and numbers that drawn values are made of, and those at which a given policy is likely to change its mind.

A policy that compares with 2,000 tokens or with "large" is never put to the test by values that are far from both. So
what it says about itself, the options it has, and the constants in its code are drawn too.
"""

from __future__ import annotations

import dataclasses
import dis
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import pairwise
from types import CodeType, FunctionType, MethodType
from typing import Any, Final, TypeVar, get_args

from router import Capability, Policy, statics

NAMES: Final = ("a", "b", "c", "d", "e")
CAPABILITIES: Final[tuple[Capability, ...]] = get_args(Capability)

_WORD: Final = re.compile(r"[^\W\d][\w.\-/:]{0,39}")
_ITERATED: Final = frozenset({"CONTAINS_OP", "GET_ITER"})
"""What is done with a tuple whose members are compared with something."""
_TOKENS_MOST: Final = 10_000_000
_MOST_OF_EACH: Final = 8
"""A number or name that is drawn once in a hundred times finds nothing."""
_PLACES: Final[Mapping[str, str]] = {
    "provider": "providers",
    "providers": "providers",
    "region": "regions",
    "regions": "regions",
    "tags": "words",
    "tag": "words",
    "tenant": "words",
    "tenants": "words",
    "model": "names",
    "models": "names",
    "fallback": "names",
}
"""By what an option is called, what its strings are; all others may be anything."""
_NO_NAMES: Final = frozenset({"kind", "last_user_message"})
"""Options whose strings name nothing that could be drawn."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What drawn models, requests and policies are made of; the simplest of each first.

    Attributes:
        names: of models.
        tokens: lengths of the input.
        words: names and values of tags, and tenants.
        patterns: regular expressions that may match the last user message.
        qualities: priors; None, an unknown one, is drawn besides.
    """

    names: tuple[str, ...] = NAMES
    tokens: tuple[int, ...] = (1, 500, 501, 2000, 2001, 100_000)
    words: tuple[str, ...] = ("x", "y", "z")
    patterns: tuple[str, ...] = ("x", "y")
    providers: tuple[str, ...] = ("openai", "anthropic")
    regions: tuple[str, ...] = ("eu-1", "us-1")
    qualities: tuple[float, ...] = (0.5, 0.1, 0.9, 0.0, 1.0)


PLAIN: Final = Vocabulary()


def vocabulary_of(policy: Policy | type, /, *, names: Iterable[str] = ()) -> Vocabulary:
    """Returns what to draw from so that a policy has something to decide.

    Args:
        policy: as it will be called, or the class of such.
        names: of all models there are; where none are given, those that its options and its code may mean, and others.
    """
    start = PLAIN
    if isinstance(policy, type):
        found, limits, patterns = list(_constants(policy)), frozenset[int](), frozenset[str]()
    else:
        found = [pair for _, part in statics.parts(policy) for pair in (*_options(part, ""), *_constants(part))]
        limits = statics.token_limits(policy) | statics.total_token_limits(policy)
        patterns = statics.patterns(policy)
    numbers = [value for _, value in found if isinstance(value, int | float | Decimal) and not isinstance(value, bool)]
    lengths = [int(n) for n in (*sorted(limits), *numbers) if n == int(n) and 1 < n <= _TOKENS_MOST]
    qualities = [float(n) for n in numbers if 0 <= n <= 1]

    def words(place: str) -> list[str]:
        return [word for where, value in found if where == place and (word := _word(value)) is not None]

    guessed = words("")

    return Vocabulary(
        names=tuple(dict.fromkeys(names)) or _joined(words("names"), start.names, guessed),
        tokens=_joined((1, *(near for n in lengths for near in (n, n + 1))), start.tokens),
        words=_joined(words("words"), start.words, guessed),
        patterns=_joined(sorted(patterns), start.patterns),
        providers=_joined(words("providers"), start.providers, guessed),
        regions=_joined(words("regions"), start.regions, guessed),
        qualities=tuple(dict.fromkeys((start.qualities[0], *qualities[:_MOST_OF_EACH], *start.qualities))),
    )


def functions_of(policy: Any, /) -> Iterator[FunctionType]:
    """Yields the functions that make a policy: itself, or its class's methods; none of what is written in C."""
    if isinstance(policy, MethodType | partial):
        yield from functions_of(policy.__func__ if isinstance(policy, MethodType) else policy.func)
        return
    if isinstance(policy, FunctionType):
        yield policy
        return
    for cls in (policy if isinstance(policy, type) else type(policy)).__mro__:
        for value in vars(cls).values():
            function = getattr(value, "__func__", value)
            function = getattr(function, "fget", None) or function
            # What makes a dataclass was written by nobody: it comes from a text, not from a file.
            if isinstance(function, FunctionType) and not function.__code__.co_filename.startswith("<"):
                yield function


def inner_codes(code: CodeType, /) -> Iterator[CodeType]:
    """Yields a function's code and that of the functions inside it."""
    yield code
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from inner_codes(value)


def _options(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yields what stands in a policy's options at any depth, with what kind of name it is, if that is known."""
    match value:
        case str() | int() | float() | Decimal():
            yield place, value
        case Mapping():
            for key, item in value.items():
                yield place, key
                yield from _options(item, place or _PLACES.get(str(key), ""))
        case tuple() | list() | set() | frozenset():
            for item in value:
                yield from _options(item, place)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            for field in dataclasses.fields(value):
                if field.name not in _NO_NAMES and "Literal" not in str(field.type):
                    yield from _options(getattr(value, field.name), place or _PLACES.get(field.name, ""))


def _constants(part: Any) -> Iterator[tuple[str, Any]]:
    """Yields the constants in a policy's code, and those of its module that it uses."""
    for function in functions_of(part):
        for code in inner_codes(function.__code__):
            globals_used = [function.__globals__[name] for name in code.co_names if name in function.__globals__]
            for value in (*_loaded(code), *globals_used):
                if isinstance(value, str | int | float | Decimal | tuple | frozenset | dict):
                    yield from _options(value, "")


def _loaded(code: CodeType) -> Iterator[Any]:
    """Yields the constants that code works with; not the names of arguments, which stand among its constants too."""
    steps = [step for step in dis.get_instructions(code) if step.opname != "CACHE"]
    for step, following in pairwise([*steps, None]):
        if step is None or not step.opname.startswith(("LOAD_CONST", "RETURN_CONST", "LOAD_SMALL_INT")):
            continue
        if not isinstance(step.argval, tuple) or (following is not None and following.opname in _ITERATED):
            yield step.argval


def _word(value: Any) -> str | None:
    """Returns a text as something that it matches, where it is a pattern; None where it is no name of anything."""
    if not isinstance(value, str) or value in CAPABILITIES:
        return None
    word = value.replace("*", "x").replace("?", "x")
    return word if _WORD.fullmatch(word) else None


def _joined(found: Iterable[T], otherwise: Iterable[T], guessed: Iterable[T] = ()) -> tuple[T, ...]:
    """Returns what was found, what is drawn anyway, and what may be meant: a few of each, none twice."""
    mine = tuple(dict.fromkeys(found))[:_MOST_OF_EACH]
    least = tuple(otherwise)[: max(2, _MOST_OF_EACH // 2 - len(mine))] if mine else tuple(otherwise)
    return tuple(dict.fromkeys((*mine, *least, *tuple(guessed)[: _MOST_OF_EACH // 2])))
