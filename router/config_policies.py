"""`[policies.*]` tables -> policies: each kind's own class is its schema, and names are followed to any depth."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, SchemaValidator

from router.config_errors import ELSEWHERE, Fault, faults_of, said
from router.config_values import with_flags
from router.core.naming import allowed
from router.core.policy import Policy
from router.errors import ConfigError
from router.registry import Registry, installed

GROUP = "lowfare.policies"
TOO_DEEP = "found policies inside each other too deeply; allowed: some hundred levels"
"""How deep depends on Python's limit on recursion, which requests meet as well; far less than that makes no sense."""


def build_policies(tables: Any, registry: Registry | None = None) -> dict[str, Policy]:
    """Returns the policies by name; an instance stands for itself.

    Args:
        tables: as `[policies.*]` has them.
        registry: the kinds there are; None takes what is installed.

    Raises:
        ValidationError: with all that is wrong, each at its path below `policies`.
        ConfigError: two distributions register the same kind.
    """
    if not isinstance(tables, Mapping):
        raise said("found no table; allowed: a table [policies.NAME] for each policy")
    try:
        return _Builder(tables, registry or installed(GROUP)).all()
    except RecursionError as error:
        raise said(TOO_DEEP) from error


class _Builder:
    """Builds each named policy once, in the order in which they need each other."""

    def __init__(self, tables: Mapping[str, Any], registry: Registry) -> None:
        self._tables = tables
        self._registry = registry
        self._built: dict[str, Policy] = {}
        self._faults: dict[str, list[Fault]] = {}
        self._under_way: list[str] = []
        self._schemas: dict[str, tuple[type, SchemaValidator]] = {}

    def all(self) -> dict[str, Policy]:
        for name in self._tables:
            if name:
                self._attempt(name)
            else:
                self._faults[name] = [Fault((), "found a policy without a name; allowed: a name that is not empty")]
        if self._faults:
            raise _validation_error(
                Fault((name, *fault.path), fault.message) for name, faults in self._faults.items() for fault in faults
            )
        return {name: self._built[name] for name in self._tables}

    def _attempt(self, name: str) -> None:
        """Builds a named policy, or notes what is wrong with it."""
        if name in self._built or name in self._faults:
            return
        self._under_way.append(name)
        try:
            self._built[name] = self._inline(self._tables[name])
        except ValidationError as error:
            self._faults[name] = faults_of(error, object)
        except PydanticCustomError as error:
            self._faults[name] = [Fault((), error.message())]
        self._under_way.pop()

    def _nested(self, value: Any) -> Policy:
        """Returns the policy that an option names or holds; called by pydantic for each field of the type `Policy`."""
        return self._named(value) if isinstance(value, str) else self._inline(value)

    def _named(self, name: str) -> Policy:
        if name in self._under_way:
            cycle = " -> ".join([*self._under_way[self._under_way.index(name) :], name])
            raise said(
                f"found {name!r}, which makes a cycle: {cycle}; allowed: policies that do not come back to this one"
            )
        if name not in self._tables:
            inline = f'; for the kind, write {{ kind = "{name}" }}' if name in self._registry.kinds else ""
            none = "no other policy is defined"
            raise said(f"no policy is named {name!r}; {allowed(name, self._tables, none=none)}{inline}")
        self._attempt(name)
        if name not in self._built:
            raise PydanticCustomError(ELSEWHERE, "reported where it arose")
        return self._built[name]

    def _inline(self, table: Any) -> Policy:
        if callable(table):
            return table  # type: ignore[no-any-return]  # a policy made in code; what it returns is checked when it runs
        if not isinstance(table, Mapping):
            raise said(f"found {table!r:.80}; allowed: the name of a policy, or a table with a kind")
        kind = table.get("kind")
        if not isinstance(kind, str):
            found = "is missing" if kind is None else f"found {kind!r:.80}"
            raise _validation_error([Fault(("kind",), f"{found}; {allowed('', self._registry.kinds)}")])
        cls, schema = self._schema(kind)
        try:
            built: Policy = schema.validate_python(table, extra="forbid", context={"policy": self._nested})
            return built
        except ValidationError as error:
            raise _validation_error(faults_of(error, cls)) from None

    def _schema(self, kind: str) -> tuple[type, SchemaValidator]:
        if kind not in self._schemas:
            try:
                cls = policy_class(self._registry, kind)
            except ConfigError as error:
                raise _validation_error([Fault(("kind",), str(error))]) from error
            self._schemas[kind] = cls, SchemaValidator(schema_of(cls))
        return self._schemas[kind]


def schema_of(cls: type, /) -> CoreSchema:
    """Returns what pydantic makes of a policy's class, with booleans that take nothing else, as in all tables."""
    schema: CoreSchema = with_flags(TypeAdapter(cls).core_schema)
    return schema


def policy_class(registry: Registry, kind: str) -> type:
    """Returns the class of a kind.

    Raises:
        ConfigError: it is not installed, cannot be loaded, or is no frozen dataclass with this `kind`.
    """
    found = registry.load(kind)
    if isinstance(found, type) and _is_frozen(found) and "__call__" in dir(found):
        kinds = get_args(get_type_hints(found).get("kind"))
        if kinds == (kind,):
            return found
    raise ConfigError(
        f"the kind {kind!r} of {GROUP} leads to {found!r}, which is no policy: it must be a frozen dataclass that can "
        f'be called, with a field kind: Literal["{kind}"]'
    )


def _is_frozen(cls: type) -> bool:
    """Returns whether instances of a dataclass stay as they are: a policy is used by many requests at once."""
    return dataclasses.is_dataclass(cls) and bool(getattr(cls, "__dataclass_params__").frozen)  # noqa: B009 - untyped


def _validation_error(faults: Iterable[Fault]) -> ValidationError:
    return ValidationError.from_exception_data(
        "policies", [InitErrorDetails(type=said(f.message), loc=f.path, input=None) for f in faults]
    )
