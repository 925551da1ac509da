from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from router.config import Settings, load
from router.errors import ConfigError
from router.setup import setup_of
from router.testing.config import check_config, examine

CONFIG = """
[models.small]
id = "deepseek/deepseek-v3.2"
client = "simulated"

[models.large]
id = "anthropic/claude-sonnet-4-5"
client = "simulated"

[policies.default]
kind = "token_tiers"
tiers = [
  { up_to_tokens = 2000, models = ["small"] },
  { models = ["large"] },
]
fallback = ["large"]
"""
GOOD = """
[[expect]]
name = "short and cheap"
when = { tokens = "< 500", needs_only = [], max_tokens = "none" }
then = { model_in = ["small"], cost_usd = "< 0.001" }
"""
BAD = """
[[expect]]
when = { tokens = "< 5000" }
then = { model = "small" }
"""
ROOT = Path(__file__).parents[2]


def write(folder: Path, text: str, name: str = "config.toml") -> Path:
    """Writes a file; returns its path."""
    path = folder / name
    path.write_text(text)
    return path


def test_a_config_that_is_as_expected(tmp_path: Path) -> None:
    """One call proves it all, and returns what was proved."""
    report = check_config(write(tmp_path, CONFIG + GOOD))
    assert [(one.label, one.line, found.outcome) for one, found in report.verdicts] == [
        ("short and cheap", 18, "proved")
    ]


def test_a_config_that_is_not(tmp_path: Path) -> None:
    """What does not hold is an AssertionError with the place, the request and the decision that it gets."""
    path = write(tmp_path, CONFIG + GOOD + BAD)
    with pytest.raises(AssertionError) as raised:
        check_config(path)
    text = str(raised.value)
    assert text.splitlines()[0] == f"{path}:23: expect[1]: large is asked first, not small"
    for told in ("request: 2,001 tokens", "decision: large is asked; dropped: small is not in tier 2"):
        assert told in text
    assert "short and cheap" not in text


def test_findings_fail_too(tmp_path: Path) -> None:
    """So does what is found to warn of, with its line, unless that kind is allowed."""
    text = CONFIG.replace("{ models", "{ up_to_tokens = 9000, models").replace('fallback = ["large"]', "")
    path = write(tmp_path, text)
    with pytest.raises(AssertionError) as raised:
        check_config(path)
    assert f"{path}:10: policies.default: leaves requests between 9,001 and" in str(raised.value)
    assert check_config(path, allow=["gap"]).findings


def test_a_file_beside(tmp_path: Path) -> None:
    """Expectations may stand in config.expect.toml beside config.toml, or in any file that is named."""
    path = write(tmp_path, CONFIG)
    assert not check_config(path).verdicts
    other = write(tmp_path, GOOD, "other.toml")
    assert [one.place for one, _ in check_config(path, expect=other).verdicts] == [f"{other}:2"]
    beside = write(tmp_path, BAD, "config.expect.toml")
    with pytest.raises(AssertionError, match=f"{beside}:2: "):
        check_config(path)


def test_settings_made_in_code() -> None:
    """Settings need no file; then places have no line."""
    model = {"id": "a", "base_url": "http://localhost:1", "input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}
    settings = Settings.model_validate(
        {"models": {"a": model}, "expect": [{"when": {"tokens": "<= 9"}, "then": {"cost_usd": "< 0.001"}}]}
    )
    ((expectation, _),) = check_config(settings).verdicts
    assert (expectation.place, expectation.line) == ("settings", None)


@pytest.mark.parametrize(
    ("expect", "says"),
    [
        ({"then": {"model": "smal"}}, ["expect[0].then.model: no model is named 'smal'", "did you mean 'small'"]),
        ({"then": {"model_in": ["small", "x"]}}, ["expect[0].then.model_in: no model is named 'x'", "large, small"]),
        ({"then": {"provider": "openai"}}, ["no provider is named 'openai'", "anthropic, deepseek"]),
        ({"when": {"policy": "defualt"}, "then": {"answered": True}}, ["no policy is named 'defualt'", "'default'"]),
        (
            {"when": {"last_user_message": "x"}, "then": {"answered": True}},
            ["when.last_user_message: is no expression of the policy default", "it has none"],
        ),
    ],
)
def test_names_that_nobody_has(tmp_path: Path, expect: dict[str, Any], says: list[str]) -> None:
    """An expectation that names what is not there is an error, with what is allowed."""
    settings = load(write(tmp_path, CONFIG))
    wrong = Settings.model_validate({**settings.model_dump(include={"models"}, exclude_unset=True), "expect": [expect]})
    with pytest.raises(ConfigError) as raised:
        check_config(wrong)
    assert all(told in str(raised.value) for told in says), raised.value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[expect]]\nwhen = {}\n", "expect[0].then: is missing"),
        ("[models.a]\nid = 'x'\n", "models: is no key"),
        ("not toml", "is not TOML"),
        ("", "expect: is missing"),
    ],
)
def test_a_wrong_file_beside(tmp_path: Path, text: str, says: str) -> None:
    """A file of expectations that is wrong is an error, with the file and what is allowed."""
    path = write(tmp_path, CONFIG)
    wrong = write(tmp_path, text, "config.expect.toml")
    with pytest.raises(ConfigError) as raised:
        check_config(path)
    assert str(raised.value).startswith(str(wrong))
    assert says in str(raised.value)


def test_the_report_as_json(tmp_path: Path) -> None:
    """Everything that is told can be had as JSON: outcomes, lines, counterexamples, findings."""
    settings = load(write(tmp_path, CONFIG + GOOD + BAD))
    values = examine(settings, setup_of(settings)).values()
    good, bad = values["expectations"]
    assert (good["name"], good["outcome"], good["line"], good["counterexample"]) == (
        "short and cheap",
        "proved",
        18,
        None,
    )
    assert bad["outcome"] == "refuted"
    assert bad["counterexample"]["request"] == {"tokens": 2001, "tokens_most": 2001}
    assert bad["counterexample"]["live"] == ["large"]
    assert bad["counterexample"]["dropped"][0]["model"] == "small"
    assert [(one["kind"], one["severity"], one["about"], one["line"]) for one in values["findings"]] == [
        ("nobody", "note", "models", 2)
    ]


@pytest.mark.parametrize("path", [ROOT / "config.example.toml"], ids=lambda path: path.name)
def test_what_ships_is_as_expected(path: Path) -> None:
    """The example's own expectations are proved, and nothing is found to warn of."""
    settings = load(path, environ={})
    assert {found.outcome for _, found in check_config(settings).verdicts} == {"proved"}
