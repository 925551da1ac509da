from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

from hypothesis import strategies as st

from lowfare_plugins.hypothesis import is_ours, register
from router import Request

DRAWS = (
    "from hypothesis import strategies as st; import router; print(router.mine, st.integers().example() is not None)"
)


def test_ours_is_told_from_others() -> None:
    """A package counts as ours where it lies beside the plugins; one that was made by hand lies nowhere."""
    assert is_ours("router")
    assert is_ours("policies")
    assert not is_ours("pytest")
    assert not is_ours("a_package_nobody_has")
    sys.modules["made_by_hand"] = ModuleType("made_by_hand")
    try:
        assert not is_ours("made_by_hand")
    finally:
        del sys.modules["made_by_hand"]


def test_types_are_registered() -> None:
    """Hypothesis draws lowfare's types; to be told twice changes nothing."""
    register()
    assert isinstance(st.from_type(Request), st.SearchStrategy)


def test_a_router_of_ones_own_is_in_nobodys_way(tmp_path: Path) -> None:
    """In a project with a module `router` Hypothesis can be imported, and the module is the project's."""
    (tmp_path / "router.py").write_text("mine = True\n")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DRAWS], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.stdout == "True True\n", run.stderr
