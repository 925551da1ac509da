from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    "in_a_test": "import pytest\ndef test_it(): pytest.skip('nothing here')\n",
    "by_a_mark": "import pytest\n@pytest.mark.skipif(True, reason='nothing there')\ndef test_it(): ...\n",
    "of_a_file": "import pytest\npytest.skip('nothing anywhere', allow_module_level=True)\n",
    "expected": "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it(): assert False\n",
}
REASONS = ("nothing here", "nothing there", "nothing anywhere")


def run_pytest(folder: Path, *, ci: str) -> str:
    """Runs files of tests under this project's conftest, in a process of its own; returns what it prints."""
    for name, source in SOURCES.items():
        (folder / f"test_{name}.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-rs"]
    command.append("--continue-on-collection-errors")
    environment = os.environ | {"CI": ci, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout


def test_a_skip_is_a_failure_in_ci(tmp_path: Path) -> None:
    """In CI a skipped test, and a skipped file, turn the run red and say what was missing; what xfails passes."""
    printed = run_pytest(tmp_path, ci="true")
    for reason in REASONS:
        assert f"no test may be skipped in CI: Skipped: {reason}" in printed
    assert "1 failed, 1 xfailed, 2 errors" in printed


def test_a_skip_is_one_line_elsewhere(tmp_path: Path) -> None:
    """On a developer's machine without the data a skip stays a skip."""
    printed = run_pytest(tmp_path, ci="")
    assert [printed.count(reason) for reason in REASONS] == [1, 1, 1]
    assert "3 skipped, 1 xfailed" in printed
