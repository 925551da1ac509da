"""A policy of somebody else's: packed, installed, found by its entry point, named in TOML, and tested with the kit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.source_tree import ROOT

CONFIG = """
[models.paris]
id = "deepseek/deepseek-v3.2"
region = "eu"

[models.ohio]
id = "anthropic/claude-sonnet-4-5"
region = "us"

[policies.default]
kind = "chain"
policies = [{ kind = "region", allowed = ["eu"] }, { kind = "fallback", models = ["ohio", "paris"] }]
"""
TEST = """
import pytest

from acme.region import Region
from router.testing import check_policy


def test_it_is_a_policy():
    check_policy(Region, promises={"filter"}, examples=50)


@pytest.mark.lowfare(config="config.toml")
def test_it_is_found_by_its_kind(router):
    reply = router.complete("hi")
    assert reply.model == "paris"
    assert [(d.name, d.by, d.reason) for d in reply.decision.slate.dropped] == [("ohio", "region", "is in us")]
"""
CHECK = ["check", "--config", "wrong.toml"]
WRONG = CONFIG.replace("allowed", "alowed")


def policy_of_the_readme() -> str:
    """Returns the policy that README.md shows to whoever wants to write one."""
    blocks: list[str] = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    return next(block for block in blocks if "class Region" in block)


def wheel(folder: Path) -> Path:
    """Returns a wheel with that policy, packed by hand: a build backend would have to be downloaded."""
    path = folder / "acme_policies-1.0-py3-none-any.whl"
    files = {
        "acme/__init__.py": "",
        "acme/region.py": policy_of_the_readme(),
        "acme_policies-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: acme-policies\nVersion: 1.0\n",
        "acme_policies-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "acme_policies-1.0.dist-info/entry_points.txt": "[lowfare.policies]\nregion = acme.region:Region\n",
    }
    record = "acme_policies-1.0.dist-info/RECORD"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(record, "".join(f"{name},,\n" for name in (*files, record)))
    return path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in a project that has installed the policy."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LOWFARE_", "PYTEST_"))}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, (folder / "installed", ROOT))), "PIP_NO_INPUT": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_policy_of_somebody_else(tmp_path: Path) -> None:
    """The README's policy, once pip has installed it, has its kind in TOML, and passes `check_policy` in one call."""
    options = ("--no-index", "--no-deps", "--disable-pip-version-check", "--target", str(tmp_path / "installed"))
    pip = run(tmp_path, "-m", "pip", "install", "-q", *options, str(wheel(tmp_path)))
    assert pip.returncode == 0, pip.stderr
    (tmp_path / "config.toml").write_text(CONFIG)
    (tmp_path / "test_acme.py").write_text(TEST)
    quiet = ("-q", "-p", "no:randomly", "-p", "no:asyncio", "-p", "no:cacheprovider", "--rootdir", str(tmp_path))
    tests = run(tmp_path, "-m", "pytest", *quiet, "test_acme.py")
    assert "2 passed" in tests.stdout, tests.stdout + tests.stderr
    (tmp_path / "wrong.toml").write_text(WRONG)
    explained = run(tmp_path, "-c", f"import sys; sys.argv[1:] = {CHECK}; from router.cli import main; main()")
    assert explained.returncode != 0
    assert "policies.default.policies[0].alowed" in explained.stderr
    assert "did you mean 'allowed'" in explained.stderr
