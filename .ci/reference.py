"""Writes docs/reference.md: every public name, every policy, what tests may use; each with its docstring's first line.

python .ci/reference.py
"""

from __future__ import annotations

import importlib
import inspect
import tomllib
from pathlib import Path
from typing import get_args, get_origin

ROOT = Path(__file__).resolve().parents[1]
HEAD = """# Reference

Public is what stands here, and in `router.__all__` and `router.testing.__all__`; a test compares them. What each name
takes, returns and raises is in its docstring: `python -P -m pydoc router.Router`. Written by `.ci/reference.py`.
"""


def says(value: object) -> str:
    """Returns the first line of what a public name says about itself; the members, of a fixed set of words."""
    members = get_args(value)
    if hasattr(value, "__metadata__"):  # Annotated: what follows the type is for pydantic
        return f"A `{members[0].__name__}`."
    if members and all(isinstance(member, str) for member in members):
        return f"One of {', '.join(f'`{member!r}`' for member in members)}."
    if members:
        inside = ", ".join(getattr(member, "__name__", str(member)) for member in members)
        return f"`{getattr(get_origin(value), '__name__', value)}[{inside}]`."
    return (inspect.getdoc(value) or "").partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def table(title: str, rows: dict[str, str]) -> str:
    """Returns a section with one row per name."""
    lines = [f"| `{name}` | {text} |" for name, text in rows.items()]
    return "\n".join([f"## {title}", "", "| name | what it is |", "| --- | --- |", *lines]) + "\n"


def main() -> None:
    """Writes the file."""
    router = importlib.import_module("router")
    names = {name: says(getattr(router, name)) for name in router.__all__}
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["lowfare.policies"]
    policies = {}
    for kind, point in sorted(points.items()):
        module, _, name = point.partition(":")
        policies[kind] = says(getattr(importlib.import_module(module), name))
    testing = importlib.import_module("router.testing")
    kit = {name: says(getattr(testing, name)) for name in testing.__all__}
    text = "\n".join([HEAD, table("router", names), table("router.testing", kit), table("policies", policies)])
    (ROOT / "docs" / "reference.md").write_text(text)


if __name__ == "__main__":
    main()
