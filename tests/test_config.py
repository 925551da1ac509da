from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policies.chain import Chain
from policies.cheapest import Cheapest
from router import Context, Slate
from router.config import Settings, default_settings, load
from router.config_errors import faults_of
from router.config_policies import build_policies, policy_class
from router.config_sources import overlay
from router.errors import ConfigError
from router.registry import Registry
from router.setup import setup_of

SMALL = '[models.small]\nid = "deepseek/deepseek-v3.2"\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Returns the path of a configuration with one model."""
    path = tmp_path / "config.toml"
    path.write_text(SMALL)
    return path


def test_defaults(config: Path) -> None:
    """One model is enough; everything else has its default."""
    settings = load(config, environ={})
    assert settings.models["small"].id == "deepseek/deepseek-v3.2"
    assert (settings.bounds.attempts, settings.bounds.deadline_s, settings.bounds.waste_usd) == (3, 60, None)
    assert (settings.log.path, settings.log.content, settings.log.redact, settings.log.lines) == (
        None,
        "none",
        (),
        False,
    )
    assert (settings.trace.headers, settings.seed, settings.unpriced) == (True, "", "refuse")
    assert settings.policies == {}


def test_settings_are_frozen(config: Path) -> None:
    """What was checked cannot be changed behind the check."""
    settings = load(config, environ={})
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = "other"


def test_the_environment_goes_over_the_file(config: Path) -> None:
    """Scalars as they are, lists and tables as JSON; tables are merged, everything else is replaced."""
    config.write_text(SMALL + '[bounds]\nattempts = 2\ndeadline_s = 9\n[policies.default]\nkind = "cheapest"\n')
    settings = load(
        config,
        environ={
            "LOWFARE_BOUNDS__ATTEMPTS": "5",
            "LOWFARE_BOUNDS__WASTE_USD": "0.10",
            "LOWFARE_SEED": "7",
            "LOWFARE_TRACE__HEADERS": "false",
            "LOWFARE_MODELS__SMALL__CAPABILITIES": '["tools"]',
            "LOWFARE_MODELS__SMALL__TIMEOUT_S": "12",
            "LOWFARE_MODELS__LARGE": '{"id": "openai/gpt-4.1"}',
            "LOWFARE_MODELS__LARGE__QUALITY": "0.9",
            "LOWFARE_POLICIES__DEFAULT": '{"kind": "chain", "policies": [{"kind": "cheapest"}]}',
            "LOWFARE_CONFIG": "elsewhere",
            "PATH": "untouched",
        },
    )
    assert (settings.bounds.attempts, settings.bounds.deadline_s, str(settings.bounds.waste_usd)) == (5, 9, "0.10")
    assert (settings.seed, settings.trace.headers) == ("7", False)
    assert settings.models["small"].capabilities == ("tools",)
    assert settings.models["small"].timeout_s is not None
    assert settings.models["small"].timeout_s.total == 12
    assert (settings.models["large"].id, settings.models["large"].quality) == ("openai/gpt-4.1", 0.9)
    assert settings.policies["default"] == Chain(policies=(Cheapest(),))


def test_variables_find_names_that_they_cannot_spell(config: Path) -> None:
    """Upper case, dots and hyphens of a model's name do not keep a variable from it."""
    config.write_text('[models."GPT-4.1"]\nid = "openai/gpt-4.1"\n')
    settings = load(config, environ={"LOWFARE_MODELS__GPT_4_1__QUALITY": "0.5"})
    assert settings.models["GPT-4.1"].quality == 0.5


def test_an_error_names_the_variable_that_caused_it(config: Path) -> None:
    """Whoever set the wrong value finds the place to mend it."""
    environ = {
        "LOWFARE_BOUNDS__ATTEMPTS": "many",
        "LOWFARE_BOUNDZ__ATTEMPTS": "1",
        "LOWFARE_LOG": "{path",
        "LOWFARE_SED": "1",
    }
    with pytest.raises(ConfigError) as caught:
        load(config, environ=environ)
    lines = str(caught.value).splitlines()
    assert (
        lines[0]
        == "environment variable LOWFARE_BOUNDS__ATTEMPTS: bounds.attempts: found 'many'; allowed: a whole number"
    )
    assert lines[1].startswith("the environment: LOWFARE_BOUNDZ__ATTEMPTS: sets no option; allowed: LOWFARE_ALERTS,")
    assert lines[2].startswith("the environment: LOWFARE_LOG: is not JSON: Expecting property name")
    assert lines[3].endswith("(did you mean 'LOWFARE_SEED'?)")


def test_a_wrong_variable_alone_is_an_error(config: Path) -> None:
    """A misspelt variable is refused though the file is right: it would silently do nothing."""
    with pytest.raises(ConfigError, match="LOWFARE_ATTEMPTS: sets no option"):
        load(config, environ={"LOWFARE_ATTEMPTS": "1"})


keys = st.sampled_from(["a", "B", "c-d"])
tables = st.recursive(
    st.dictionaries(keys, st.integers(), max_size=3),
    lambda inner: st.dictionaries(keys, inner | st.integers(), max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["x", "y"]), tables), st.sampled_from(["A", "B", "C_D"]))
def test_an_overlay_sets_one_value_and_leaves_the_rest(file: dict[str, Any], key: str) -> None:
    """The value stands where the variable says, under the file's spelling; the file's tables are not touched."""
    before = json.dumps(file)
    laid = overlay(file, {f"LOWFARE_X__{key}": "new"}, ["x", "y"])
    assert json.dumps(file) == before
    ((_, spelt),) = laid.variables
    assert laid.tables["x"][spelt] == "new"
    assert {**laid.tables["x"], spelt: None} == {**file.get("x", {}), spelt: None}
    assert laid.tables.get("y") == file.get("y")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """It is not taken for an empty one."""
    with pytest.raises(ConfigError, match=r"nowhere\.toml: there is no such file"):
        load(tmp_path / "nowhere.toml", environ={})


def test_a_folder_is_an_error(tmp_path: Path) -> None:
    """A folder in place of the file is no configuration."""
    with pytest.raises(ConfigError, match="is a folder"):
        load(tmp_path, environ={})


def test_broken_toml_names_the_line(config: Path) -> None:
    """So that one need not search for it."""
    config.write_text(SMALL + "[bounds\n")
    with pytest.raises(ConfigError, match=r"config\.toml: is not TOML: .*line 3"):
        load(config, environ={})


def test_text_that_is_not_utf8_is_an_error(config: Path) -> None:
    """TOML is UTF-8 by definition."""
    config.write_bytes(b'[models.small]\nid = "\xff"\n')
    with pytest.raises(ConfigError, match="cannot be read as UTF-8"):
        load(config, environ={})


def test_default_settings_prefer_the_named_file(tmp_path: Path, config: Path) -> None:
    """LOWFARE_CONFIG goes before ./config.toml, that before the keys of the environment."""
    other = tmp_path / "other.toml"
    other.write_text('[models.other]\nid = "openai/gpt-4.1"\n')
    environ = {"LOWFARE_CONFIG": str(other), "OPENAI_API_KEY": "made up"}
    assert list(default_settings(environ=environ, folder=tmp_path).models) == ["other"]
    del environ["LOWFARE_CONFIG"]
    assert list(default_settings(environ=environ, folder=tmp_path).models) == ["small"]
    config.unlink()
    settings = default_settings(environ=environ, folder=tmp_path)
    assert {name: table.id for name, table in settings.models.items()} == {"gpt-4.1": "openai/gpt-4.1"}


def test_default_settings_take_every_model_with_a_key(tmp_path: Path) -> None:
    """The seed list's models whose keys are set, and the environment over them."""
    environ = {"ANTHROPIC_API_KEY": "x", "DEEPSEEK_API_KEY": "x", "GEMINI_API_KEY": "", "LOWFARE_BOUNDS__ATTEMPTS": "1"}
    settings = default_settings(environ=environ, folder=tmp_path)
    assert set(settings.models) == {"claude-sonnet-4-5", "deepseek-v3.2"}
    assert settings.bounds.attempts == 1


def test_default_settings_without_anything_say_what_to_do(tmp_path: Path) -> None:
    """The error names the variable, the file and the keys that would do."""
    with pytest.raises(ConfigError) as caught:
        default_settings(environ={}, folder=tmp_path)
    for word in (
        "LOWFARE_CONFIG",
        str(tmp_path / "config.toml"),
        "OPENAI_API_KEY",
        "GEMINI_API_KEY",
        "config.example.toml",
    ):
        assert word in str(caught.value)


def test_a_missing_named_file_is_not_passed_over(tmp_path: Path, config: Path) -> None:
    """LOWFARE_CONFIG that leads nowhere is an error, though there is a config.toml."""
    with pytest.raises(ConfigError, match="there is no such file"):
        default_settings(environ={"LOWFARE_CONFIG": str(tmp_path / "gone.toml")}, folder=tmp_path)


def test_settings_made_in_code_are_checked_alike() -> None:
    """The same names, the same errors, and instances of policies beside tables."""
    settings = Settings.model_validate(
        {
            "models": {"a": {"id": "openai/gpt-4.1"}},
            "policies": {"mine": Cheapest(), "chain": {"kind": "chain", "policies": ["mine"]}},
        }
    )
    assert settings.policies["chain"] == Chain(policies=(Cheapest(),))
    assert settings.origin.file == "settings"
    with pytest.raises(ConfigError, match=r"^settings: models\.a\.id: is missing"):
        Settings.model_validate({"models": {"a": {}}})


def test_none_in_code_is_the_same_as_nothing() -> None:
    """An option that is None counts as left out, whatever is checked of its values."""
    nothing = dict.fromkeys(["base_url", "key_env", "headers", "options", "price_tiers", "timeout_s"])
    settings = Settings.model_validate({"models": {"a": {"id": "openai/gpt-4.1", **nothing}}})
    assert settings.models["a"].stated() == {"id": "openai/gpt-4.1"}


@dataclass(frozen=True, kw_only=True)
class Dated:
    """A policy from elsewhere, with an option of a type that none of ours has."""

    until: date
    kind: Literal["dated"] = "dated"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate


def test_an_installed_kind_has_its_own_options_checked() -> None:
    """Whatever its types are; the error says what pydantic says where we have no words of our own."""
    registry = Registry(
        "lowfare.policies", {"dated": EntryPoint("dated", "tests.test_config:Dated", "lowfare.policies")}
    )
    built = build_policies({"a": {"kind": "dated", "until": "2026-01-01"}}, registry)
    assert built == {"a": Dated(until=date(2026, 1, 1))}
    with pytest.raises(ValidationError) as caught:
        build_policies({"a": {"kind": "dated", "until": "soon", "untl": 1}}, registry)
    assert [fault.message for fault in faults_of(caught.value, object)] == [
        "found 'soon'; allowed: Input should be a valid date or datetime, input is too short",
        "is no key that lowfare knows; allowed: kind, until (did you mean 'until'?)",
    ]


def test_lists_without_end_are_an_error(config: Path) -> None:
    """A file that nobody wrote by hand is refused like any other wrong one."""
    config.write_text("x = " + "[" * 5000 + "]" * 5000)
    with pytest.raises(ConfigError, match="too deeply"):
        load(config, environ={})


@pytest.mark.parametrize("towards", [1, -1])
def test_policies_too_deep_to_follow_are_an_error(config: Path, towards: int) -> None:
    """They would fail each request; in which order they are defined does not matter."""
    tables = [f'[policies.p{i}]\nkind = "chain"\npolicies = ["p{i + 1}"]\n' for i in range(1500)][::towards]
    config.write_text(SMALL + "".join(tables) + '[policies.p1500]\nkind = "cheapest"\n')
    with pytest.raises(ConfigError, match="policies: found policies inside each other too deeply"):
        setup_of(load(config, environ={}))


def test_a_file_may_begin_with_a_byte_order_mark(config: Path) -> None:
    """Editors on Windows write one; it is no part of the text."""
    config.write_bytes(b"\xef\xbb\xbf" + config.read_bytes())
    assert "small" in load(config, environ={}).models


def test_the_log_may_stand_in_the_users_folder(config: Path) -> None:
    """`~` is the user's folder, as a shell has it, in files and in variables."""
    home = str(Path.home())
    settings = load(config, environ={"LOWFARE_LOG__PATH": "~/decisions.jsonl"})
    assert settings.log.path == f"{home}/decisions.jsonl"
    assert load(config, environ={"LOWFARE_LOG__PATH": "a~b"}).log.path == "a~b"


def test_a_seed_that_is_a_key_is_refused_and_not_shown(config: Path) -> None:
    """A seed stands in the file and in records; whoever puts a key there is told where it belongs."""
    key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
    with pytest.raises(ConfigError, match="looks like a key") as caught:
        load(config, environ={"LOWFARE_SEED": key})
    assert "abcdefghij" not in str(caught.value)


@dataclass
class Loose:
    """A policy whose options anyone could change."""

    kind: Literal["loose"] = "loose"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate


def test_a_policy_that_can_change_is_none() -> None:
    """A policy serves many requests at once, so its class must be frozen."""
    registry = Registry(
        "lowfare.policies", {"loose": EntryPoint("loose", "tests.test_config:Loose", "lowfare.policies")}
    )
    with pytest.raises(ConfigError, match="must be a frozen dataclass"):
        policy_class(registry, "loose")
