"""Hypothesis strategies for policies of any installed kind, nested to some depth; needs `hypothesis`.

Nothing is known here of the kinds themselves: a policy's class says by its annotations which options it has, as it
does to TOML.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from hypothesis import strategies as st

from router import Policy
from router.registry import installed
from router.testing.strategies_vocabulary import PLAIN, Vocabulary

_AMOUNTS: Final = ("0.001", "0", "0.0001", "0.05", "1")
_NUMBERS: Final = (1.0, 0.5, 0.1, 2.0, 3.0, 20.0, 0.0)
_STATED: Final = (Policy, str, bool, int, float, Decimal, NoneType)
_MOST: Final = 3
"""Entries of a list, and policies beside each other."""
_EITHER: Final[Mapping[str, tuple[str, ...]]] = {"Share": ("model", "use")}
"""By class, options of which one must be set and only one."""


def policies(
    names: Iterable[str] = (), *, kinds: Iterable[str] = (), max_leaves: int = 6, vocabulary: Vocabulary = PLAIN
) -> st.SearchStrategy[Policy]:
    """Returns a strategy of policies, single ones and such with others inside.

    Args:
        names: of the models that they may name; none takes those of the vocabulary.
        kinds: those to draw from; none takes all that are installed.
        max_leaves: about how many policies there are inside each other.
        vocabulary: what else their options are drawn from.
    """
    chosen = tuple(names)
    words = dataclasses.replace(vocabulary, names=chosen) if chosen else vocabulary
    return _policies(words, tuple(kinds), max_leaves)


@lru_cache(maxsize=64)
def _policies(vocabulary: Vocabulary, kinds: tuple[str, ...], max_leaves: int) -> st.SearchStrategy[Policy]:
    registry = installed("lowfare.policies")
    classes = [registry.load(kind) for kind in kinds or registry.kinds]
    composed = [cls for cls in classes if _holds_policies(cls)]
    plain = [cls for cls in classes if cls not in composed]
    leaves = st.one_of(*(instances_of(cls, vocabulary=vocabulary) for cls in plain))
    if not composed:
        return leaves
    if not plain:
        leaves = policies(kinds=["cheapest"], vocabulary=vocabulary)

    def around(inner: st.SearchStrategy[Policy]) -> st.SearchStrategy[Policy]:
        return st.one_of(*(instances_of(cls, vocabulary=vocabulary, inner=inner) for cls in composed))

    return around(leaves) if not plain else st.recursive(leaves, around, max_leaves=max_leaves)


def instances_of(
    cls: type,
    /,
    *,
    vocabulary: Vocabulary = PLAIN,
    inner: st.SearchStrategy[Policy] | None = None,
    options: Mapping[str, Any] | None = None,
) -> st.SearchStrategy[Any]:
    """Returns a strategy of a class's instances, their options drawn as its annotations say.

    Args:
        cls: of policies, or of what stands in their options.
        vocabulary: what names and limits are drawn from.
        inner: of the policies inside; None draws single ones.
        options: by name, a value or a strategy of values, in place of what would be drawn.
    """
    given = {name: _as_strategy(value) for name, value in (options or {}).items()}
    if not dataclasses.is_dataclass(cls):
        return st.builds(cls, **given)
    hints = get_type_hints(cls, include_extras=True)
    drawn: dict[str, st.SearchStrategy[Any]] = {}
    options_of = _Options(vocabulary, inner)
    for field in dataclasses.fields(cls):
        if not field.init or field.name == "kind" or field.name in given:
            continue
        if _is_required(field):
            drawn[field.name] = options_of.of(hints[field.name], field.name)
        elif options_of.knows(hints[field.name]):
            drawn[field.name] = st.one_of(st.just(_default(field)), options_of.of(hints[field.name], field.name))
    either = [name for name in _EITHER.get(cls.__name__, ()) if name in drawn]
    if not either:
        return st.builds(cls, **drawn, **given)
    rest = {name: of for name, of in drawn.items() if name not in either} | given
    return st.one_of(*(st.builds(cls, **rest, **{name: options_of.stated(hints[name], name)}) for name in either))


class _Options:
    """Strategies for options by their annotation and, where it says little, by their name."""

    def __init__(self, vocabulary: Vocabulary, inner: st.SearchStrategy[Policy] | None) -> None:
        self._words = vocabulary
        self._inner = inner

    def of(self, annotation: Any, name: str, rules: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
        """Returns a strategy of values that the annotation allows."""
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self.of(arguments[0], name, (*rules, *arguments[1:]))
        if origin is Literal:
            return st.sampled_from(arguments)
        if origin in {Union, UnionType}:
            several = (st.none() if a is NoneType else self.of(a, name, rules) for a in arguments)
            return st.one_of(*several)
        if origin is tuple and ... not in arguments:
            return st.tuples(*(self.of(argument, name) for argument in arguments))
        if origin in {tuple, list, frozenset, set}:
            return self._several(origin, self.of(arguments[0], name), rules)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return st.dictionaries(self.of(arguments[0], name), self.of(arguments[1], name), max_size=_MOST)
        return self._one(annotation, name, rules)

    def stated(self, annotation: Any, name: str) -> st.SearchStrategy[Any]:
        """Returns the same without None, which means that nothing is stated."""
        if get_origin(annotation) not in {Union, UnionType}:
            return self.of(annotation, name)
        return st.one_of(*(self.of(a, name) for a in get_args(annotation) if a is not NoneType))

    def knows(self, annotation: Any) -> bool:
        """Returns whether it is made of what TOML can state; of other things, the default is a wiser choice."""
        arguments = get_args(annotation)
        match get_origin(annotation):
            case None:
                return annotation in _STATED or dataclasses.is_dataclass(annotation)
            case origin if origin is Literal:
                return True
            case origin if origin is Annotated:
                return self.knows(arguments[0])
            case origin if origin in {Union, UnionType, tuple, list, frozenset, set}:
                return all(self.knows(argument) for argument in arguments if argument is not ...)
            case origin:
                return issubclass(origin, Mapping) and all(map(self.knows, arguments))

    def _several(self, kind: type, item: st.SearchStrategy[Any], rules: tuple[Any, ...]) -> st.SearchStrategy[Any]:
        least = max((rule.min_length for rule in rules if isinstance(rule, MinLen)), default=0)
        most = min((rule.max_length for rule in rules if isinstance(rule, MaxLen)), default=max(_MOST, least))
        if kind in {frozenset, set}:
            return st.frozensets(item, min_size=least, max_size=most).map(kind)
        several = st.lists(item, min_size=least, max_size=most)
        return several.map(lambda items: kind(_ascending(_distinct(items, least))))

    def _one(self, annotation: Any, name: str, rules: tuple[Any, ...]) -> st.SearchStrategy[Any]:
        if annotation is Policy:
            return policies(vocabulary=self._words, max_leaves=1) if self._inner is None else self._inner
        if annotation is str:
            return st.sampled_from(self._texts(name))
        if annotation is bool:
            return st.booleans()
        if annotation is int:
            return _within((1, *self._words.tokens, 0, 2), rules, annotation)
        if annotation is float:
            numbers = () if "quality" in name else _NUMBERS
            return _within((*self._words.qualities, *numbers), rules, annotation)
        if annotation is Decimal:
            return _within(map(Decimal, _AMOUNTS), rules, annotation)
        if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
            return instances_of(annotation, vocabulary=self._words, inner=self._inner)
        return st.from_type(annotation)

    def _texts(self, name: str) -> tuple[str, ...]:
        words = self._words
        match name:
            case "provider" | "providers":
                return (*words.providers, "*", "open?i")
            case "region" | "regions":
                return (*words.regions, "eu-*", "*")
            case "tags" | "tenant" | "tenants":
                return (*words.words, "*", "[xy]")
            case "last_user_message" | "pattern" | "patterns":
                return words.patterns
            case "service_tier":
                return ("flex", "batch")
            case _:
                return words.names


def _holds_policies(cls: type) -> bool:
    """Returns whether a policy, or a table in its options, may have policies inside."""
    return any(
        _mentions_policy(hint) for name, hint in get_type_hints(cls, include_extras=True).items() if name != "kind"
    )


def _mentions_policy(hint: Any) -> bool:
    if hint is Policy:
        return True
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _holds_policies(hint)
    return any(_mentions_policy(argument) for argument in get_args(hint))


def _within(values: Iterable[Any], rules: tuple[Any, ...], kind: type) -> st.SearchStrategy[Any]:
    """Returns a strategy of those of the values that keep the rules; where none does, of any number that does."""
    found = [value for value in dict.fromkeys(values) if all(_keeps(value, rule) for rule in rules)]
    if found:
        return st.sampled_from(found)
    bounded: Any = Annotated[(kind, *rules)]
    return st.from_type(bounded)


def _keeps(value: Any, rule: Any) -> bool:
    match rule:
        case Ge(ge=bound):
            return bool(value >= bound)
        case Gt(gt=bound):
            return bool(value > bound)
        case Le(le=bound):
            return bool(value <= bound)
        case Lt(lt=bound):
            return bool(value < bound)
        case _:
            return True


def _distinct(items: list[Any], least: int) -> list[Any]:
    """Returns each item once, if that leaves as many as there must be.

    Hypothesis could draw again until all differ, but writes all of a strategy's repr into its report each time.
    """
    once = list({repr(item): item for item in items}.values())
    return once if len(once) >= least else items


def _ascending(items: list[Any]) -> list[Any]:
    """Returns tables that have a limit in the order of their limits, those without one last and only one of them."""
    if not items or not hasattr(items[0], "up_to_tokens"):
        return items
    by_limit = {item.up_to_tokens: item for item in reversed(items)}
    last = by_limit.pop(None, None)
    return [*(by_limit[limit] for limit in sorted(by_limit)), *([last] if last is not None else [])]


def _as_strategy(value: Any) -> st.SearchStrategy[Any]:
    return value if isinstance(value, st.SearchStrategy) else st.just(value)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
