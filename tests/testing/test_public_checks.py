"""The one-call checks have one shape, and `router.testing` one way to get at what it offers."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import router.testing

CHECKS = [name for name in router.testing.__all__ if name.startswith("check_")]
SHARED = {"examples": int, "derandomize": bool, "patience_s": float}


@pytest.mark.parametrize("name", CHECKS)
def test_checks_are_called_alike(name: str) -> None:
    """What is checked comes first and has no name; all else has one, and the same one means the same everywhere."""
    check = getattr(router.testing, name)
    first, *others = inspect.signature(check).parameters.values()
    assert first.kind is inspect.Parameter.POSITIONAL_ONLY
    assert {other.kind for other in others} <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}
    for other in others:
        if other.name in SHARED:
            assert isinstance(other.default, SHARED[other.name])
    assert inspect.getdoc(check)
    assert not inspect.iscoroutinefunction(check)


def test_there_is_a_check_for_each_kind_of_plug_in() -> None:
    """Policies, configurations, clients, caches, ledgers, outboxes, sinks, state and prices."""
    kinds = ("cache", "client", "config", "ledger", "outbox", "policy", "prices", "sink", "state")
    assert [f"check_{what}" for what in kinds] == CHECKS


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    """`import router.testing` needs neither Hypothesis nor pydantic; a name that it lacks is an AttributeError."""
    code = (
        "import sys, router.testing\n"
        "assert not {'hypothesis', 'pydantic', 'aiohttp', 'pytest'} & set(sys.modules)\n"
        "router.testing.nothing"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "AttributeError: module 'router.testing' has no attribute 'nothing'" in run.stderr
