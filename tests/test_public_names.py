"""Public is what stands in `__all__`: the packages, their contents and docs/reference.md say the same."""

from __future__ import annotations

import ast
import importlib
import re
from types import ModuleType
from typing import get_args

import pytest

from tests.source_tree import PRODUCT, ROOT, python_files, relative

REFERENCE = ROOT / "docs" / "reference.md"


def declared(source: str) -> list[str] | None:
    """Returns the names in a module's `__all__`, in their order; None where it has none."""
    for node in ast.parse(source).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                names: list[str] = ast.literal_eval(value)
                return names
            case _:
                continue
    return None


def module_name(path: str) -> str:
    """Returns the dotted name of the module in a file below the project's root."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = sorted(
    module_name(relative(path)) for path in python_files(*PRODUCT) if declared(path.read_text()) is not None
)


@pytest.mark.parametrize("name", MODULES)
def test_public_names_exist(name: str) -> None:
    """Each name in an `__all__` exists, and stands there once; their order is the linter's business (RUF022)."""
    module = importlib.import_module(name)
    assert len(module.__all__) == len(set(module.__all__))
    missing = [public for public in module.__all__ if not hasattr(module, public)]
    assert not missing


def test_router_shows_nothing_else() -> None:
    """`router` has no public name besides those in `__all__`, its own modules and the error tree's left out."""
    router = importlib.import_module("router")
    for public in router.__all__:
        getattr(router, public)
    seen = {
        name for name, value in vars(router).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert seen - set(router.__all__) - {"Any", "TYPE_CHECKING", "annotations"} == set()


def test_every_error_is_public() -> None:
    """Whatever lowfare raises on purpose can be caught by a public name."""
    errors = importlib.import_module("router.errors")
    raised = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert raised <= set(importlib.import_module("router").__all__)


def test_policies_use_public_names_only() -> None:
    """What the policies that ship with lowfare import from it, anyone's policy may."""
    public = set(importlib.import_module("router").__all__)
    used = {
        alias.name
        for path in python_files("policies")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "router"
        for alias in node.names
    }
    assert used <= public


@pytest.mark.parametrize("package", ["router", "router.testing"])
def test_the_reference_lists_what_is_public(package: str) -> None:
    """docs/reference.md has one row for each public name of a package, in order, and none for anything else."""
    section = REFERENCE.read_text().partition(f"\n## {package}\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \| \S", section, re.MULTILINE)
    assert listed == importlib.import_module(package).__all__


def test_the_reference_lists_every_policy() -> None:
    """docs/reference.md has one row for each kind of policy that ships with lowfare, in order."""
    section = REFERENCE.read_text().partition("\n## policies\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert listed == [path.stem for path in python_files("policies") if not path.stem.startswith("_")]


def test_fixed_sets_are_spelt_once() -> None:
    """A public `Literal` has at least two members, and no member twice."""
    router = importlib.import_module("router")
    for public in router.__all__:
        members = get_args(getattr(router, public))
        if members and all(isinstance(member, str) for member in members):
            assert len(members) == len(set(members)) >= 2, public
