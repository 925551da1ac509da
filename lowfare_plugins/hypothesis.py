"""What Hypothesis calls when it is imported, in whatever project, so that it can draw lowfare's types."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

_HOME = Path(__file__).resolve().parents[1]
"""The folder that holds our packages: site-packages, or the checkout of an editable install."""


def register() -> None:
    """Registers a strategy for each of lowfare's types, unless the project has a module `router` of its own."""
    if not is_ours("router"):
        return
    from router.testing.strategies_by_type import register as register_all

    register_all()


def is_ours(package: str) -> bool:
    """Returns whether Python finds our package under this name; nothing is imported for that."""
    try:
        spec = find_spec(package)
    except ValueError:  # a module put into sys.modules by hand has no spec
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve().parents[1] == _HOME
