from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest

from policies.cheapest import Cheapest
from router import Answer, Bounds, ConfigError, Context, Request, Router, Slate, Timeouts, check
from router.clients.simulated import SimulatedClient
from router.config import Settings, load
from router.core.hedging import Hedging
from router.core.usable import DEFAULT_ON
from router.prices.litellm_map import PriceMap, load_price_map
from router.setup import setup_of, sinks_of

MODELS = """
[models.local]
id = "mine"
base_url = "http://localhost/v1"
input_usd_per_mtok = "0.1"
output_usd_per_mtok = "0.3"
context_window_tokens = 4096
[models.large]
id = "anthropic/claude-sonnet-4-5"
"""


@pytest.fixture(scope="module")
def prices() -> PriceMap:
    """Returns the installed price map."""
    return load_price_map()


def settings(text: str, models: str = MODELS) -> Settings:
    """Returns the settings of a text."""
    return Settings.model_validate(tomllib.loads(text + models))


def test_defaults(prices: PriceMap) -> None:
    """Without policies the cheapest adequate model is asked, within the default bounds, and nothing is logged."""
    setup = setup_of(settings(""), prices=prices)
    assert setup.policies == {"default": Cheapest()}
    assert setup.default_policy == "default"
    assert setup.terms["default"].bounds == Bounds(attempts=3, deadline_s=60, waste_usd=None)
    assert (setup.expected_output_tokens, setup.unpriced, setup.trace_headers, setup.seed) == (500, False, True, "")
    assert (setup.content, sinks_of(setup)) == (None, ())
    assert (setup.patterns, setup.total_token_limits, setup.reads_stats) == ((), (), frozenset())


def test_the_catalog_joins_file_and_map(prices: PriceMap, tmp_path: Path) -> None:
    """What the file states goes before the map, and each figure says where it comes from."""
    file = tmp_path / "config.toml"
    file.write_text(MODELS + 'quality = 0.9\ntimeout_s = { connect = 2, total = 30 }\nheaders = { X-Team = "a" }\n')
    large = setup_of(load(file, environ={}), prices=prices).catalog["large"]
    assert (large.client, large.key_env, large.quality) == ("anthropic", "ANTHROPIC_API_KEY", 0.9)
    assert large.timeouts == Timeouts(connect_s=2, total_s=30)
    assert large.headers == {"X-Team": "a"}
    assert large.sources["quality"] == str(file)
    assert large.sources["output_usd_per_mtok"] == prices.source


def test_what_policies_want_counted_and_matched_is_gathered(prices: PriceMap) -> None:
    """Limits ascend and include the context windows; expressions are compiled once."""
    setup = setup_of(
        settings("""
[policies.default]
kind = "token_tiers"
tiers = [{ up_to_tokens = 9000, models = ["local"] }, { models = ["large"] }]
[policies.total]
kind = "token_tiers"
measure = "total"
tiers = [{ up_to_tokens = 70, models = ["local"] }, { models = ["large"] }]
[policies.matching]
kind = "rules"
rules = [{ when = { last_user_message = "b+" }, use = "quick" }, { when = { last_user_message = "a" }, use = "total" }]
[policies.quick]
kind = "max_latency"
p95_s = 2
"""),
        prices=prices,
    )
    assert setup.token_limits == (4096, 9000, setup.catalog["large"].context_window_tokens)
    assert setup.total_token_limits == (70,)
    assert setup.patterns == (re.compile("a"), re.compile("b+"))
    assert setup.reads_stats == {"matching", "quick"}


def test_the_path_of_a_file_is_no_settings() -> None:
    """The error names what reads one."""
    with pytest.raises(TypeError, match=r"a value of type str; Router\.from_toml reads a file"):
        Router("lowfare.toml")  # type: ignore[arg-type]  # what is refused


def test_unpriced_models(prices: PriceMap) -> None:
    """They are refused unless the settings say to drop or to allow them."""
    unpriced = '[models.a]\nid = "mine"\nbase_url = "http://localhost/v1"\n'
    with pytest.raises(ConfigError, match=r"^settings: models\.a: the price of 'mine' is unknown"):
        setup_of(settings("", unpriced), prices=prices)
    dropped = setup_of(settings('unpriced = "drop"\n', unpriced), prices=prices)
    assert (dropped.catalog["a"].price, dropped.unpriced) == (None, False)
    assert setup_of(settings('unpriced = "allow"\n', unpriced), prices=prices).unpriced


def test_content_is_logged_after_redaction(prices: PriceMap) -> None:
    """Content is logged only in full, and hooks and expressions apply in the order of the list."""
    redact = "redact = [{ pattern = '\\d+', replace = '#' }, { pattern = '#', replace = '[number]' }]"
    assert setup_of(settings(f"[log]\n{redact}\n"), prices=prices).content is None
    content = setup_of(settings(f'[log]\ncontent = "full"\n{redact}\n'), prices=prices).content
    assert content is not None
    assert [redactor("call 42") for redactor in content.redactors] == ["call #", "call 42"]


def test_client_classes_are_those_of_the_catalog(prices: PriceMap) -> None:
    """One class for each kind that a model names, loaded at once; none for a kind that is given."""
    models = MODELS + 'client = "simulated"\n'
    setup = setup_of(settings("", models), prices=prices)
    assert setup.client_classes({"openai"}) == {"simulated": SimulatedClient}
    assert setup.client_classes({"openai", "simulated"}) == {}


def test_a_policy_has_its_own_terms(prices: PriceMap) -> None:
    """Bounds, checks, patience and hedging of one policy; the others, and requests without one, have everyone's."""
    text = """
[policies.default]
kind = "cheapest"
[policies.careful]
kind = "cheapest"
[bounds]
waste_usd = "0.02"
[checks]
refusal = true
[hedge]
enabled = true
after_s = 3
[per_policy.careful]
bounds = { attempts = 2, waste_usd = "0.01" }
checks = { refusal = false, empty = false }
prefer_wait_s = 5
hedge = false
"""
    terms = setup_of(settings(text), prices=prices).terms
    assert terms["default"] == terms["none"]
    assert terms["default"].hedging == Hedging(after_s=3)
    assert terms["default"].checks.on == DEFAULT_ON | {"refusal"}
    careful = terms["careful"]
    assert careful.bounds == Bounds(attempts=2, deadline_s=60, waste_usd=Decimal("0.01"))
    assert careful.checks.on == DEFAULT_ON - {"empty"}
    assert (careful.prefer_wait_s, careful.hedging) == (5, None)


def test_checks_that_a_program_brings_are_on(prices: PriceMap) -> None:
    """They can be switched off by name like those that ship."""

    @check("short")
    def short(answer: Answer, _request: Request) -> str | None:
        return None if len(answer.text) < 9 else "too long"

    terms = setup_of(settings(""), prices=prices, checks=[short]).terms["default"]
    assert terms.checks.on == DEFAULT_ON | {"short"}
    assert terms.checks.named is not None
    assert short in terms.checks.named
    off = setup_of(settings("[checks]\nshort = false"), prices=prices, checks=[short]).terms["default"]
    assert off.checks.on == DEFAULT_ON


def brief(answer: Answer, _request: Request, /) -> str | None:
    """A check as a plug-in has it: a plain function."""
    return "too long" if len(answer.text) > 10 else None


@pytest.fixture
def plugins(tmp_path: Path) -> Iterator[None]:
    """Installs a distribution with two checks, of which one cannot be loaded."""
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    entries = ("[lowfare.checks]", "brief = tests.test_setup:brief", "gone = tests.test_setup:nobody")
    (info / "entry_points.txt").write_text("\n".join(entries))
    sys.path.append(str(tmp_path))
    yield
    sys.path.remove(str(tmp_path))


def test_an_installed_check_is_loaded_where_it_is_named(prices: PriceMap, plugins: None) -> None:
    """It is off until the settings switch it on, and known by the name it is installed under."""
    terms = setup_of(settings("[checks]\nbrief = true"), prices=prices).terms["default"]
    assert terms.checks.on == DEFAULT_ON | {"brief"}
    assert {named.name: named.check for named in terms.checks.named or ()}["brief"] is brief
    assert "brief" not in (setup_of(settings(""), prices=prices).terms["default"].checks.on or ())


def test_a_check_that_cannot_be_loaded_is_an_error_of_its_switch(prices: PriceMap, plugins: None) -> None:
    """The switch is named, and the distribution that promised the check."""
    with pytest.raises(ConfigError, match=r"(?s)checks\.gone.*acme 1\.0"):
        setup_of(settings("[checks]\ngone = true"), prices=prices)


@dataclass(frozen=True)
class Odd:
    """A policy made in code, which holds others where nobody would look for them, and complains."""

    inner: Any

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate

    def problems(self, catalog: object, /) -> list[str]:
        return ["does not like this catalog", "inner[0].why: is odd"]


def test_problems_stand_at_the_key_they_are_about(prices: PriceMap) -> None:
    """Policies inside mappings and lists are found; a policy used by name is reported where it is defined, once."""
    shared = Odd(inner=5)
    made = Settings.model_validate(
        {
            "models": tomllib.loads(MODELS)["models"],
            "policies": {"default": Odd(inner={"x": [shared]}), "shared": shared, "function": lambda slate, _: slate},
        }
    )
    with pytest.raises(ConfigError) as caught:
        setup_of(made, prices=prices)
    assert str(caught.value).splitlines() == [
        "settings: policies.default: does not like this catalog",
        "settings: policies.default.inner[0].why: is odd",
        "settings: policies.shared: does not like this catalog",
        "settings: policies.shared.inner[0].why: is odd",
    ]


def test_of_policies_that_lead_nowhere_the_innermost_is_named(prices: PriceMap) -> None:
    """Whatever is around it is not to blame."""
    with pytest.raises(ConfigError) as caught:
        setup_of(
            settings("""
[policies.default]
kind = "chain"
policies = [{ kind = "chain", policies = ["strict"] }]
[policies.strict]
kind = "min_quality"
quality = 0.9
"""),
            prices=prices,
        )
    (line,) = str(caught.value).splitlines()
    assert line.startswith("settings: policies.strict: leads nowhere")


def test_settings_of_no_file_take_the_installed_map() -> None:
    """Without a price map the one of the installed litellm is read."""
    catalog = setup_of(Settings.model_validate({"models": {"a": {"id": "openai/gpt-4.1"}}})).catalog
    assert catalog["a"].price is not None


def test_a_setup_goes_to_other_processes(prices: PriceMap) -> None:
    """As those of a backtest get it; what it makes sinks of later goes along."""
    setup = setup_of(settings(""), prices=prices)
    again = vars(ForkingPickler)["loads"](bytes(ForkingPickler.dumps(setup)))  # a plain function, by its types a method
    assert list(again.catalog) == list(setup.catalog)
    assert again.late_traces is not None
    assert again.late_metrics is not None
