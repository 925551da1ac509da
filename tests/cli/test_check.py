from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from router.cli.check import warnings
from router.config import Settings
from router.prices.litellm_map import PriceMap
from router.setup import setup_of
from tests.cli.command import lowfare, parsed, words, write_config

POLICIES = """
[policies.default]
kind = "token_tiers"
tiers = [{ up_to_tokens = 500, models = ["small"] }, { models = ["large"] }]

[policies.careful]
kind = "min_quality"
quality = 0.8
"""


def test_a_good_configuration(tmp_path: Path) -> None:
    """Models, policies and worst cases are shown, and the exit code is 0."""
    result = lowfare("check", "--config", write_config(tmp_path, POLICIES))
    text = words(result.stdout)
    assert result.exit_code == 0
    for told in ("2 models, 2 policies", "0.10", "token_tiers", "min_quality", "at most", "No warnings."):
        assert told in text


def test_worst_cases(tmp_path: Path) -> None:
    """For each policy and size it says who would be asked first and the most that a request can cost."""
    config = write_config(tmp_path, POLICIES)
    out = parsed(lowfare("check", "--json", "--config", config, "--max-tokens", "100"))
    by_name = {policy["name"]: policy["worst_case"] for policy in out["policies"]}
    assert [case["models"][:1] for case in by_name["default"]] == [["small"], ["large"], ["large"], []]
    assert by_name["default"][-1]["worst_case_usd"] is None  # a book fits no window
    assert all(case["models"] in (["large"], []) for case in by_name["careful"])


def test_a_size_that_nobody_serves(tmp_path: Path) -> None:
    """A request too large for every model is shown as such."""
    assert "nobody is adequate" in words(lowfare("check", "--config", write_config(tmp_path)).stdout)


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        ("[bounds]\nattempt = 3\n", "attempt"),
        ('[policies.default]\nkind = "fallback"\nmodels = ["smal"]\n', "did you mean 'small'"),
        (
            '[policies.default]\nkind = "token_tiers"\ntiers = [{ models = ["small"] }, { models = ["large"] }]\n',
            "no request can reach it",
        ),
        ("not toml", "TOML"),
    ],
)
def test_a_wrong_configuration(tmp_path: Path, rest: str, told: str) -> None:
    """What is wrong, unreachable rules included, is told by file and key, and the exit code is 1."""
    config = write_config(tmp_path, rest)
    result = lowfare("check", "--config", config)
    assert result.exit_code == 1
    assert told in words(result.stderr)
    assert "config.toml" in result.stderr
    assert parsed(lowfare("check", "--json", "--config", config))["error"]["type"] == "ConfigError"


def test_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    """A path that names nothing exits with 2."""
    assert lowfare("check", "--config", tmp_path / "missing.toml").exit_code == 2


def test_warnings(tmp_path: Path) -> None:
    """What works and will be regretted is listed; `--strict` makes it a failure."""
    more = '[models.dear]\nid = "simulated/dear"\ninput_usd_per_mtok = "9"\noutput_usd_per_mtok = "9"\n'
    config = write_config(
        tmp_path, more + POLICIES.replace("[policies.careful]", "[policies.other]").replace("0.8", "0.1")
    )
    result = lowfare("check", "--config", config)
    assert result.exit_code == 0
    assert "dear" in result.stdout
    assert "context_window_tokens" in result.stdout
    assert lowfare("check", "--config", config, "--strict").exit_code == 1
    assert lowfare("check", "--strict", "--config", write_config(tmp_path)).exit_code == 0


def kinds(
    models: dict[str, dict[str, Any]],
    today: date = date(2026, 1, 1),
    *,
    prices: PriceMap | None = None,
    **more: Any,
) -> set[tuple[str, str]]:
    """Returns the warnings of a configuration as (kind, model)."""
    setup = setup_of(Settings.model_validate({"models": models, **more}), prices=prices)
    return {(warned.kind, warned.about) for warned in warnings(setup, today=today)}


MODEL: dict[str, Any] = {
    "id": "simulated/x",
    "input_usd_per_mtok": "1",
    "output_usd_per_mtok": "2",
    "context_window_tokens": 1000,
}


def test_a_missing_key() -> None:
    """A model whose key is not in the environment is told."""
    model = MODEL | {"client": "openai", "base_url": "http://localhost:1", "key_env": "LOWFARE_TEST_NO_SUCH_KEY"}
    assert kinds({"one": model}) == {("no_key", "one")}
    assert kinds({"one": model | {"key_env": "PATH"}}) == set()


@pytest.mark.parametrize(("today", "warned"), [("2020-01-01", False), ("2026-10-01", True), ("2027-01-01", True)])
def test_deprecation(today: str, warned: bool) -> None:
    """A model that its provider ends soon, or has ended, is told."""
    model = {"id": "anthropic/claude-sonnet-4-5", "client": "simulated"}
    assert (("deprecated", "claude") in kinds({"claude": model}, date.fromisoformat(today))) == warned


def test_a_date_that_is_none() -> None:
    """A deprecation date that the price map writes in words is no warning and no error."""
    row = {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    prices = PriceMap({"x": row | {"max_input_tokens": 1000, "deprecation_date": "mid 2026"}})
    assert kinds({"one": {"id": "openai/x", "client": "simulated"}}, prices=prices) == set()


def test_a_dominated_model() -> None:
    """A model that another beats in every respect is told."""
    assert kinds({"good": MODEL, "bad": MODEL | {"output_usd_per_mtok": "3"}}) == {("dominated", "bad")}


def test_a_model_without_price_or_window() -> None:
    """Models whose figures are unknown are told."""
    model = {"id": "bare", "base_url": "http://localhost:1"}
    assert kinds({"one": model}, unpriced="allow") == {("unpriced", "one"), ("no_window", "one")}


def test_an_unused_model() -> None:
    """A model that no policy can leave is told."""
    table = {"kind": "fallback", "models": ["one"]}
    other = MODEL | {"region": "eu"}
    assert kinds({"one": MODEL, "two": other}, policies={"default": table}) == {("unused", "two")}


CACHE: dict[str, Any] = {"backend": "memory"}


@pytest.mark.parametrize(
    ("table", "own", "warned"),
    [
        ({}, {}, set()),
        ({"max_entry_bytes": 10, "memory_bytes": 9}, {}, {("cache_size", "cache")}),
        ({"ttl_s": 60, "max_age_s": 61}, {}, {("cache_times", "cache")}),
        ({"ttl_s": 60, "max_age_s": 60}, {}, set()),
        ({"ttl_s": 60, "max_age_s": 61}, {"mode": "off"}, {("cache_times", "none")}),
        ({"max_age_s": 61}, {"ttl_s": 60}, {("cache_times", "default")}),
        ({"memory_ttl_s": 61, "ttl_s": 60}, {}, set()),
        ({}, {"drop_params": ["user"], "drop_text": [r"Now: \S+"]}, set()),
        ({}, {"drop_params": ["user", "tools"]}, {("cache_key", "default")}),
        ({}, {"drop_text": [r"(?s).*"]}, {("cache_key", "default")}),
    ],
)
def test_what_a_cache_will_be_regretted_for(table: Any, own: Any, warned: set[tuple[str, str]]) -> None:
    """Sizes and times that contradict each other, and keys that leave out what answers depend on, are told."""
    assert kinds({"one": MODEL}, cache=CACHE | table, per_policy={"default": {"cache": own}}) == warned


def test_a_shared_cache_whose_memory_lasts(tmp_path: Path) -> None:
    """Where others may purge, a memory that outlives every answer is told."""
    table = {"backend": "sqlite", "path": str(tmp_path / "cache.sqlite"), "memory_ttl_s": 61, "ttl_s": 60}
    assert kinds({"one": MODEL}, cache=table) == {("cache_times", "cache")}


def test_the_cache_in_a_line(tmp_path: Path) -> None:
    """Backend, mode, time to live, sealed or not, and the policies whose terms differ; nothing where there is none."""
    assert "Cache" not in lowfare("check", "--config", write_config(tmp_path)).stdout
    more = POLICIES + '[cache]\nbackend = "memory"\nttl_s = 3600\nsampled = false\n'
    own = '[per_policy.careful.cache]\nmode = "off"\n'
    text = words(lowfare("check", "--config", write_config(tmp_path, more + own)).stdout)
    assert "Cache: memory, mode use, answers kept for 1 hour, at temperature 0 only, other terms for careful" in text
    shared = f'[cache]\nbackend = "sqlite"\npath = "{tmp_path / "new" / "cache.sqlite"}"\n'
    text = words(lowfare("check", "--config", write_config(tmp_path, shared)).stdout)
    assert "Cache: sqlite, mode use, answers kept for 1 day, sampled ones too, not sealed No warnings" in text
    sealed = write_config(tmp_path, shared + 'key_env = "TEST_CACHE_KEY"\n')
    result = lowfare("check", "--config", sealed, env={"TEST_CACHE_KEY": "ab" * 32})
    assert "sealed by TEST_CACHE_KEY" in words(result.stdout)
    result = lowfare("check", "--config", sealed)
    assert result.exit_code == 1
    assert "TEST_CACHE_KEY" in result.stderr


def test_the_cache_as_json(tmp_path: Path) -> None:
    """For programs: the backend, the name of the key's variable, and the terms of every policy."""
    assert parsed(lowfare("check", "--json", "--config", write_config(tmp_path)))["cache"] is None
    config = write_config(tmp_path, '[cache]\nbackend = "memory"\n[per_policy.default.cache]\nttl_s = 5\n')
    out = parsed(lowfare("check", "--json", "--config", config))["cache"]
    assert (out["backend"], out["key_env"]) == ("memory", None)
    assert {name: terms["ttl_s"] for name, terms in out["policies"].items()} == {"default": 5, "none": 86_400}


EXPECTED = """
[[expect]]
name = "short and cheap"
when = { tokens = "<= 500", needs_only = [], max_tokens = "none" }
then = { model = "small", cost_usd = "< 0.001" }
"""


def test_expectations_that_hold(tmp_path: Path) -> None:
    """Each expectation is told with its outcome, its line and how many cases it took."""
    config = write_config(tmp_path, POLICIES + EXPECTED)
    result = lowfare("check", "--config", config)
    assert result.exit_code == 0
    assert "short and cheap: holds for every request (1 case)" in words(result.stdout)
    (told,) = parsed(lowfare("check", "--json", "--config", config))["expectations"]
    assert (told["name"], told["outcome"], told["file"]) == ("short and cheap", "proved", str(config))
    assert config.read_text().splitlines()[told["line"] - 1] == "[[expect]]"


def test_an_expectation_that_does_not_hold(tmp_path: Path) -> None:
    """The smallest request that breaks it is shown with the decision that it gets, and the exit code is 1."""
    config = write_config(tmp_path, POLICIES + EXPECTED.replace("<= 500", "<= 501"))
    result = lowfare("check", "--config", config)
    text = words(result.stdout)
    assert result.exit_code == 1
    for told in ("large is asked first, not small", "request: 501 tokens", "decision: large is asked; dropped: small"):
        assert told in text
    out = parsed(lowfare("check", "--json", "--config", config))
    assert out["expectations"][0]["counterexample"]["request"] == {"tokens": 501, "tokens_most": 501}


def test_an_expectation_that_is_searched(tmp_path: Path) -> None:
    """What goes by statistics is searched, which is said."""
    policy = '[policies.default]\nkind = "max_latency"\np95_s = 8\n'
    config = write_config(tmp_path, policy + '[[expect]]\nwhen = { tokens = "< 9" }\nthen = { fallbacks = "<= 1" }\n')
    result = lowfare("check", "--config", config)
    assert result.exit_code == 0
    assert "searched 1,000 requests and found none that breaks it" in words(result.stdout)


def test_expectations_beside_the_configuration(tmp_path: Path) -> None:
    """They may stand in config.expect.toml, or in the file after --expect."""
    config = write_config(tmp_path, POLICIES)
    other = tmp_path / "other.toml"
    other.write_text(EXPECTED.replace("<= 500", "<= 501"))
    assert lowfare("check", "--config", config).exit_code == 0
    assert lowfare("check", "--config", config, "--expect", other).exit_code == 1
    (tmp_path / "config.expect.toml").write_text(EXPECTED)
    assert "short and cheap" in words(lowfare("check", "--config", config).stdout)
    other.write_text(EXPECTED.replace("model =", "mdel ="))
    wrong = lowfare("check", "--config", config, "--expect", other)
    assert wrong.exit_code == 1
    assert "did you mean 'model'" in words(wrong.stderr)


def test_findings(tmp_path: Path) -> None:
    """Gaps and their like are warnings with their line; what may be meant so is told behind them."""
    config = write_config(tmp_path, POLICIES.replace("{ models", "{ up_to_tokens = 9000, models"))
    result = lowfare("check", "--config", config)
    text = words(result.stdout)
    assert result.exit_code == 0
    assert "1 warning ! policies.default" in text
    assert "leaves requests between 9,001 and 99,436 tokens to nobody, though large could serve them" in text
    assert "Worth knowing" in text
    assert lowfare("check", "--strict", "--config", config).exit_code == 1
    out = parsed(lowfare("check", "--json", "--config", config))
    (gap,) = [found for found in out["findings"] if found["severity"] == "warning"]
    assert (gap["kind"], gap["about"], gap["request"]["tokens"]) == ("gap", "policies.default", 9001)
    assert [warning["kind"] for warning in out["warnings"]] == ["gap"]


def test_nothing_worth_knowing(tmp_path: Path) -> None:
    """Settings without a file have findings without lines; where there are none, none are told."""
    every = "tools json_object json_schema vision audio_input audio_output file_input video_input reasoning web_search"
    config = tmp_path / "config.toml"
    config.write_text(
        '[models.one]\nid = "simulated/one"\ninput_usd_per_mtok = "1"\noutput_usd_per_mtok = "1"\n'
        f"capabilities = {every.split()}\n"
    )
    assert "Worth knowing" not in lowfare("check", "--config", config).stdout
