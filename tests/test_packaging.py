from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions
from inspect import isclass
from typing import Any

import pytest

from tests.source_tree import PRODUCT, ROOT, imported_packages, python_files, relative


def project() -> dict[str, Any]:
    """Returns pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def normal(name: str) -> str:
    """Returns a distribution's name as indexes compare it: `Typing_Extensions[x]>=4` is `typing-extensions`."""
    matched = re.match(r"[\w.\-]+", name)
    assert matched, name
    return re.sub(r"[-_.]+", "-", matched[0]).lower()


def test_plug_ins_have_their_groups() -> None:
    """Policies, clients, caches and sinks come in by entry point, those that ship with lowfare too."""
    groups = project()["project"]["entry-points"]
    assert set(groups) >= {"lowfare.policies", "lowfare.clients", "lowfare.caches", "lowfare.sinks"}


@pytest.mark.parametrize("group", sorted(project()["project"]["entry-points"]))
def test_entry_points_load(group: str) -> None:
    """Every plug-in that ships with lowfare can be imported, under a name of its own; ours are classes."""
    points = [point for point in distribution("lowfare").entry_points if point.group == group]
    declared = project()["project"]["entry-points"].get(group, {})
    assert {point.name: point.value for point in points} == declared, "reinstall lowfare: its entry points changed"
    loaded = [point.load() for point in points]
    assert all(map(isclass, loaded)) or not group.startswith("lowfare.")


def test_every_policy_is_registered() -> None:
    """Each file of `policies/` is a policy, which TOML can name by the file's name."""
    files = {path.stem for path in python_files("policies") if not path.stem.startswith("_")}
    assert set(project()["project"]["entry-points"]["lowfare.policies"]) == files


def test_declared_dependencies_are_those_imported() -> None:
    """What the product imports is declared, in the dependencies or an extra; what is declared is imported."""
    metadata = project()["project"]
    extras = {name: needs for name, needs in metadata["optional-dependencies"].items() if name != "dev"}
    always = {normal(name) for name in metadata["dependencies"]}
    declared = always | {normal(name) for needs in extras.values() for name in needs} - {"lowfare"}
    owners = packages_distributions()
    imported: dict[str, str] = {}
    for path in python_files(*PRODUCT):
        for package in imported_packages(path):
            if package not in sys.stdlib_module_names and package not in PRODUCT:
                imported.setdefault(normal(owners.get(package, [package])[0]), relative(path))
    undeclared = {name: path for name, path in imported.items() if name not in declared}
    assert not undeclared, f"imported without being declared: {undeclared}"
    used = set(imported) | {"tzdata"}  # zoneinfo looks for it by itself, where the system has no database
    assert not always - used, f"declared without being imported: {always - used}"


def test_every_package_is_typed() -> None:
    """Type checkers may trust the annotations of every package."""
    assert all((ROOT / package / "py.typed").is_file() for package in PRODUCT)


def test_the_changelog_knows_the_version() -> None:
    """The installed version is pyproject's, and the change log has an entry for it or for what comes next."""
    version = project()["project"]["version"]
    assert distribution("lowfare").version == version
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert version in headings or headings == ["Unreleased"]


def test_the_lock_names_no_machine() -> None:
    """The lock holds a hash for every file, and addresses of the public index only."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    for package in lock["package"]:
        if package["name"] == "lowfare":
            continue
        assert package["source"] == {"registry": "https://pypi.org/simple"}, package["name"]
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert files, package["name"]
        for file in files:
            assert file["url"].startswith("https://files.pythonhosted.org/packages/"), file["url"]
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]), file["url"]
