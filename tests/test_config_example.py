from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

from router import Policy
from router.config import Settings, load
from router.config_policies import policy_class
from router.registry import installed
from router.setup import setup_of

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "config.example.toml"
REGISTRY = installed("lowfare.policies")


def plain(annotation: Any) -> Any:
    """Returns an annotation without `Annotated` and `| None`."""
    if get_origin(annotation) is Annotated:
        return plain(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return plain(next(argument for argument in get_args(annotation) if argument is not type(None)))
    return annotation


def options(schema: Any) -> Iterator[tuple[type, str]]:
    """Yields every key of a schema and of the tables in it, with the class that has it; policies by themselves."""
    schema = plain(schema)
    if schema is Policy:
        return
    if isinstance(schema, type) and (issubclass(schema, BaseModel) or dataclasses.is_dataclass(schema)):
        names = schema.model_fields if issubclass(schema, BaseModel) else [f.name for f in dataclasses.fields(schema)]
        hints = get_type_hints(schema)
        for name in names:
            yield schema, name
            yield from options(hints[name])
    for argument in get_args(schema):
        yield from options(argument)


def keys(tables: Any) -> Iterator[str]:
    """Yields every key of some TOML, at any depth."""
    if isinstance(tables, Mapping):
        yield from tables
        for inner in tables.values():
            yield from keys(inner)
    if isinstance(tables, list):
        for inner in tables:
            yield from keys(inner)


def docstring_example(kind: str) -> str:
    """Returns the TOML in the docstring of a policy."""
    _, _, rest = (policy_class(REGISTRY, kind).__doc__ or "").partition("```toml\n")
    return dedent(rest.partition("```")[0])


def test_the_example_loads() -> None:
    """It is a configuration that works, checks against the catalog included."""
    setup = setup_of(load(EXAMPLE, environ={}))
    assert setup.default_policy in setup.policies
    assert {"small", "medium", "large", "local"} <= set(setup.catalog)


def test_the_example_has_every_option() -> None:
    """A key that a table may have, and that the example lacks, is an option nobody finds."""
    shown = set(keys(tomllib.loads(EXAMPLE.read_text())))
    # A hook is written as a bare string, which has no key.
    missing = {(cls.__name__, name) for cls, name in options(Settings)} - {("RedactSettings", "hook")}
    assert {name for _, name in missing if name not in shown} == set()


@pytest.mark.parametrize("kind", REGISTRY.kinds)
def test_every_option_of_every_policy_is_shown(kind: str) -> None:
    """In the example, or, so that a new policy needs one file, in the TOML of its docstring."""
    tables = [t for t in tomllib.loads(EXAMPLE.read_text())["policies"].values() if t["kind"] == kind]
    shown = {*keys(tables), *keys(tomllib.loads(docstring_example(kind)))}
    assert {name for _, name in options(policy_class(REGISTRY, kind)) if name not in shown} == set()


def test_the_defaults_in_the_example_are_the_defaults() -> None:
    """What the example shows of the top level and of [bounds] is what holds without it."""
    shown = load(EXAMPLE, environ={})
    default = Settings.model_validate({"models": {"a": {"id": "x"}}})
    assert shown.bounds.model_copy(update={"waste_usd": None}) == default.bounds
    assert shown.trace.model_copy(update={"hosts": None}) == default.trace
    assert shown.log.model_copy(update={"path": None, "redact": ()}) == default.log
    assert (shown.seed, shown.expected_output_tokens, shown.unpriced) == (
        default.seed,
        default.expected_output_tokens,
        default.unpriced,
    )


@pytest.mark.parametrize("kind", REGISTRY.kinds)
def test_the_example_in_a_docstring_runs(kind: str, tmp_path: Path) -> None:
    """The TOML in the docstring of each policy is a configuration, with three models beside it, and is of its kind."""
    file = tmp_path / "config.toml"
    file.write_text(
        docstring_example(kind)
        + """
[models.small]
id = "deepseek/deepseek-v3.2"
[models.medium]
id = "gemini/gemini-2.5-flash"
quality = 0.8
[models.large]
id = "openai/gpt-4.1"
quality = 0.95
"""
    )
    setup = setup_of(load(file, environ={}))
    assert type(setup.policies["default"]) is policy_class(REGISTRY, kind)
