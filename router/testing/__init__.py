"""What tests of programs that use lowfare need: checks of one's own policies, strategies, a scripted client, a clock.

What stands in `__all__` is imported when it is first asked for: only some of it needs Hypothesis or pydantic.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from router.testing.pasteable import as_code, as_script
    from router.testing.policies import check_policy

__all__ = ["as_code", "as_script", "check_policy"]

_PLACES = {"as_code": "pasteable", "as_script": "pasteable", "check_policy": "policies"}
"""By name, the module of this package that has it."""


def __getattr__(name: str) -> Any:
    """Imports a public name from its module."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
