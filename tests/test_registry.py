from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Literal

import pytest

from policies.cheapest import Cheapest
from router.config_policies import policy_class
from router.errors import ConfigError
from router.registry import Registry, installed

GROUP = "lowfare.policies"


@dataclass(frozen=True)
class Impostor:
    """A class that is registered under a kind which is not its own."""

    kind: Literal["impostor"] = "impostor"

    def __call__(self) -> None:
        """Can be called, as policies can."""


NOT_A_CLASS = 5


def distribution(folder: Path, name: str, *entries: str) -> str:
    """Writes the metadata of an installed distribution; returns the folder to look in."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *entries]))
    return str(folder)


def test_own_kinds_come_through_entry_points_too() -> None:
    """What ships with lowfare is found as anyone's plug-in is."""
    registry = installed(GROUP)
    assert {"cheapest", "fallback", "token_tiers"} <= set(registry.kinds)
    assert registry.load("cheapest") is Cheapest
    assert {"openai", "anthropic", "gemini", "litellm", "simulated"} <= set(installed("lowfare.clients").kinds)
    assert {"jsonl", "log"} <= set(installed("lowfare.sinks").kinds)


@pytest.mark.parametrize("group", ["lowfare.policies", "lowfare.clients", "lowfare.sinks"])
def test_every_own_kind_loads(group: str) -> None:
    """No entry point of ours leads nowhere."""
    registry = installed(group)
    for kind in registry.kinds:
        assert isinstance(registry.load(kind), type)


@pytest.mark.parametrize("kind", installed(GROUP).kinds)
def test_every_policy_is_a_policy(kind: str) -> None:
    """A frozen dataclass that can be called and whose `kind` is the name it is registered under."""
    assert policy_class(installed(GROUP), kind).__name__


def test_an_unknown_kind_lists_what_is_installed() -> None:
    """With the likeliest spelling."""
    with pytest.raises(ConfigError, match=r"'cheepest' is not an installed kind .*allowed: chain, .*mean 'cheapest'"):
        installed(GROUP).load("cheepest")
    with pytest.raises(ConfigError, match="none is installed"):
        installed("lowfare.nothing").load("x")


def test_two_distributions_with_one_kind_are_refused(tmp_path: Path) -> None:
    """Which one wins would depend on the order of installation: both are named."""
    path = distribution(tmp_path, "acme", "fast = acme.fast:Fast", "slow = acme.slow:Slow")
    distribution(tmp_path, "zenith", "fast = zenith.fast:Fast")
    with pytest.raises(ConfigError) as caught:
        installed(GROUP, path=[path])
    for part in ("'fast'", "acme 1.0 (acme.fast:Fast)", "zenith 1.0 (zenith.fast:Fast)"):
        assert part in str(caught.value)


def test_nothing_is_imported_before_it_is_used(tmp_path: Path) -> None:
    """A plug-in that cannot be imported harms nobody who does not use it."""
    registry = installed(GROUP, path=[distribution(tmp_path, "acme", "fast = nowhere_at_all:Fast")])
    assert registry.kinds == ("fast",)
    with pytest.raises(ConfigError, match=r"from acme 1\.0 \(nowhere_at_all:Fast\).*reinstall"):
        registry.load("fast")


def test_a_missing_extra_says_what_to_install(tmp_path: Path) -> None:
    """By the extra's name where the entry point has one, else by the missing package's."""
    path = distribution(
        tmp_path, "acme", "plain = tests.needy_plugin:X", "extra = tests.needy_plugin:X [fast]", "own = tests.nowhere:X"
    )
    registry = installed(GROUP, path=[path])
    with pytest.raises(ConfigError, match=r"it needs 'a_package_nobody_has', .*: pip install 'a_package_nobody_has'"):
        registry.load("plain")
    with pytest.raises(ConfigError, match=r"pip install 'acme\[fast\]'"):
        registry.load("extra")
    with pytest.raises(ConfigError, match=r"No module named 'tests\.nowhere'; reinstall"):
        registry.load("own")


def test_a_name_that_is_not_there_is_said(tmp_path: Path) -> None:
    """The entry point promises a class that its module does not have."""
    registry = installed(GROUP, path=[distribution(tmp_path, "acme", "gone = policies.cheapest:Gone")])
    with pytest.raises(ConfigError, match=r"AttributeError: module 'policies\.cheapest' has no attribute 'Gone'"):
        registry.load("gone")


def test_what_is_no_policy_is_refused() -> None:
    """A class under another kind's name, and something that is no class."""
    entries = {
        "other": EntryPoint("other", "tests.test_registry:Impostor", GROUP),
        "five": EntryPoint("five", "tests.test_registry:NOT_A_CLASS", GROUP),
    }
    for kind in entries:
        with pytest.raises(ConfigError, match=f'which is no policy: .* kind: Literal\\["{kind}"\\]'):
            policy_class(Registry(GROUP, entries), kind)


DECOY = """
import sys
sys.path.insert(0, {folder!r})
from router.errors import ConfigError
from router.registry import installed
try:
    print(installed("lowfare.policies").load("cheapest"))
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize("decoy", ["policies.py", "policies/__init__.py"])
def test_a_file_that_shadows_ours_is_named(tmp_path: Path, decoy: str) -> None:
    """A script's own `policies` comes first on the path: the error says which file it is, and how to go on."""
    file = tmp_path / decoy
    file.parent.mkdir(exist_ok=True)
    file.write_text("class Cheapest: ...\n")
    done = subprocess.run(
        [sys.executable, "-c", DECOY.format(folder=str(tmp_path))], capture_output=True, text=True, check=True
    )
    assert f"Python finds {tmp_path / 'policies'}" in done.stdout
    assert "python -P" in done.stdout


def test_a_shadow_of_a_plugins_module_is_named_too(tmp_path: Path) -> None:
    """Not only our own packages can be hidden by a user's file."""
    (tmp_path / "json.py").write_text("")
    registry = installed(GROUP, path=[distribution(tmp_path, "acme", "fast = json:Fast")])
    with pytest.raises(ConfigError, match="where the package 'json' of acme"):
        registry.load("fast")


def test_a_module_without_a_spec_is_left_to_the_import(tmp_path: Path) -> None:
    """Nobody can say where a module comes from that a program put together by hand."""
    (tmp_path / "put_together.py").write_text("")
    registry = installed(GROUP, path=[distribution(tmp_path, "acme", "fast = put_together:Fast")])
    sys.modules["put_together"] = ModuleType("put_together")
    try:
        with pytest.raises(ConfigError, match="has no attribute 'Fast'"):
            registry.load("fast")
    finally:
        del sys.modules["put_together"]
