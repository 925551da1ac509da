from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SKIPS = {
    "in_a_test": "import pytest\ndef test_it(): pytest.skip('nothing here')\n",
    "by_a_mark": "import pytest\n@pytest.mark.skipif(True, reason='nothing here')\ndef test_it(): ...\n",
    "of_a_file": "import pytest\npytest.skip('nothing here', allow_module_level=True)\n",
}
EXPECTED_FAILURE = "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it(): assert False\n"


def run_pytest(folder: Path, source: str, *, ci: str) -> subprocess.CompletedProcess[str]:
    """Runs a file of tests under this project's conftest, in a process of its own."""
    (folder / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-rs", "test_it.py"]
    environment = os.environ | {"CI": ci, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("source", SKIPS.values(), ids=SKIPS)
def test_a_skip_is_a_failure_in_ci(tmp_path: Path, source: str) -> None:
    """In CI a skipped test, and a skipped file, turn the run red and say what was missing."""
    run = run_pytest(tmp_path, source, ci="true")
    assert run.returncode != 0
    assert "no test may be skipped in CI: Skipped: nothing here" in run.stdout


@pytest.mark.parametrize("source", SKIPS.values(), ids=SKIPS)
def test_a_skip_is_one_line_elsewhere(tmp_path: Path, source: str) -> None:
    """On a developer's machine without the data a skip stays a skip."""
    run = run_pytest(tmp_path, source, ci="")
    assert run.stdout.count("nothing here") == 1
    assert "1 skipped" in run.stdout


def test_an_expected_failure_is_not_a_skip(tmp_path: Path) -> None:
    """An xfail that fails as expected passes in CI too."""
    run = run_pytest(tmp_path, EXPECTED_FAILURE, ci="true")
    assert run.returncode == 0
    assert "1 xfailed" in run.stdout
