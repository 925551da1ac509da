"""What is wrong with a configuration is refused before anything runs, in words that help to mend it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from router.config import load
from router.errors import ConfigError
from router.prices.litellm_map import PriceMap, load_price_map
from router.setup import setup_of

MODELS = """
[models.small]
id = "deepseek/deepseek-v3.2"
quality = 0.5
[models.large]
id = "anthropic/claude-sonnet-4-5"
quality = 0.9
"""
POLICY = MODELS + "[policies.default]\n"
CASES = tomllib.loads(Path(__file__).with_name("broken_configs.toml").read_text())["case"]
BEFORE = {"nothing": "", "models": MODELS, "policy": POLICY}


@pytest.fixture(scope="module")
def prices() -> PriceMap:
    """Returns the installed price map."""
    return load_price_map()


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_what_is_wrong_is_said(tmp_path: Path, prices: PriceMap, case: dict[str, Any]) -> None:
    """One line with the file, the key, what was found, and what is allowed."""
    file = tmp_path / "broken.toml"
    file.write_text(BEFORE[case["on"]] + case["text"])
    with pytest.raises(ConfigError) as caught:
        setup_of(load(file, environ={}), prices=prices)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{file}: ")
    assert [part for part in case["says"] if part not in line] == [], line


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """Nobody should have to mend one error to see the next; a policy reported once is not reported where it is used."""
    file = tmp_path / "broken.toml"
    file.write_text("""
seeed = 1
[models.a]
quality = 2
[bounds]
attempts = "x"
[policies.default]
kind = "chain"
policies = ["tiers", { kind = "cheapst" }, { kind = "chain", policies = ["tiers"] }]
[policies.tiers]
kind = "token_tiers"
tiers = [{ models = [] }, { modls = ["a"] }]
""")
    with pytest.raises(ConfigError) as caught:
        load(file, environ={})
    keys = [line.removeprefix(f"{file}: ").split(":")[0] for line in str(caught.value).splitlines()]
    assert sorted(keys) == [
        "bounds.attempts",
        "models.a.id",
        "models.a.quality",
        "policies.default.policies[1].kind",
        "policies.tiers.tiers[0].models",
        "policies.tiers.tiers[1].models",
        "policies.tiers.tiers[1].modls",
        "seeed",
    ]


def test_everything_that_the_catalog_shows_is_said_at_once(tmp_path: Path, prices: PriceMap) -> None:
    """Models, policies and redactors are all checked before the error is raised."""
    file = tmp_path / "broken.toml"
    file.write_text(
        MODELS
        + "client = 'opnai'\n[policies.default]\nkind = 'fallback'\nmodels = ['x', 'y']\n[log]\nredact = ['cards']\n"
    )
    with pytest.raises(ConfigError) as caught:
        setup_of(load(file, environ={}), prices=prices)
    keys = [line.removeprefix(f"{file}: ").split(":")[0] for line in str(caught.value).splitlines()]
    assert keys == ["models.large.client", "policies.default.models[0]", "policies.default.models[1]", "log.redact[0]"]


KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"


@pytest.mark.parametrize(
    ("line", "where"),
    [
        (f'api_key = "{KEY}"', "models.a.api_key: is no key that lowfare knows"),
        (f'token = "{KEY}"', "models.a.token"),
        (f'key_env = "{KEY}"', "models.a.key_env: found what looks like the key itself"),
        (f'headers = {{ Authorization = "Bearer {KEY}" }}', "models.a.headers: the header 'Authorization'"),
        ('headers = { x-api-key = "short" }', "models.a.headers: the header 'x-api-key'"),
        (f'headers = {{ X-Team = "{KEY}" }}', "models.a.headers: the header 'X-Team'"),
        (f'options = {{ api_key = "{KEY}" }}', "models.a.options: the option 'api_key'"),
        (f'options = {{ fallback = [{{ url = "x" }}, "{KEY}"] }}', "models.a.options: the option 'fallback[1]'"),
        ('options.aws = { aws_secret_access_key = "short" }', "the option 'aws.aws_secret_access_key' looks like"),
        (f'options.aws = {{ "{KEY}" = 1 }}', "the option 'aws.(not shown"),
        (f'base_url = "https://user:{KEY}@host/v1"', "models.a.base_url: the address holds"),
        (f'base_url = "https://host/v1?key={KEY}"', "models.a.base_url: the address holds"),
    ],
)
def test_a_key_in_the_file_is_refused_and_never_shown(tmp_path: Path, line: str, where: str) -> None:
    """The error says where keys belong, and holds nothing of the key, nor does its cause."""
    file = tmp_path / "secret.toml"
    file.write_text(f'[models.a]\nid = "openai/gpt-4.1"\n{line}\n')
    with pytest.raises(ConfigError) as caught:
        load(file, environ={})
    assert where in str(caught.value)
    assert "name that variable in key_env" in str(caught.value)
    assert "abcdefghij" not in str(caught.value)
    assert "short" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "abcdefghij" not in str(caught.value.__context__)


@pytest.mark.parametrize("place", ["quality", "id2", "client"])
def test_a_key_in_the_wrong_place_is_not_shown_either(tmp_path: Path, prices: PriceMap, place: str) -> None:
    """Whatever the key, a value that looks like a secret stays out of the message."""
    file = tmp_path / "secret.toml"
    file.write_text(f'[models.a]\nid = "openai/gpt-4.1"\n{place} = "{KEY}"\n')
    with pytest.raises(ConfigError) as caught:
        setup_of(load(file, environ={}), prices=prices)
    assert f"models.a.{place}" in str(caught.value)
    assert "abcdefghij" not in str(caught.value)


def test_long_values_are_cut(tmp_path: Path) -> None:
    """An error is for reading: a value of a megabyte is shown by its start."""
    file = tmp_path / "long.toml"
    file.write_text(f'[models.a]\nid = "openai/gpt-4.1"\nquality = "{"very " * 200_000}"\n')
    with pytest.raises(ConfigError) as caught:
        load(file, environ={})
    assert len(str(caught.value)) < 300


def test_no_case_stands_there_twice() -> None:
    """Each of the broken configurations is broken in its own way."""
    texts = {(case["on"], case["text"]) for case in CASES}
    assert len(texts) == len(CASES) >= 40
