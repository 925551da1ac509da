from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import Budget, ConfigError, Scope, Settings, Window
from router.config_budgets import BudgetTable
from router.setup import Setup, setup_of
from router.testing.gaps import findings
from router.testing.space_world import World

MODEL = {"id": "simulated/small", "input_usd_per_mtok": "1", "output_usd_per_mtok": "1", "max_output_tokens": 1_000}
DAY = {"limit_usd": "1", "window": "day"}


def setup(budget: dict[str, Any], **more: Any) -> Setup:
    """Returns what a router with one budget runs with."""
    tables = {"models": {"small": MODEL}, "budgets": {"b": {**DAY, **budget}}, **more}
    return setup_of(Settings(**tables))


def test_a_table_is_a_budget() -> None:
    """All that it says, and what holds where it says nothing."""
    assert setup({}).budgets == (Budget(name="b", limit_nano=10**9, window=Window(period="day")),)
    whole = {
        "limit_usd": "0.0000000019",
        "window": "90m",
        "time_zone": "Europe/Berlin",
        "scope": "tag:team",
        "only": "search",
        "policy": "default",
        "fail": "open",
        "open_share": 0.5,
    }
    assert setup(whole).budgets == (
        Budget(
            name="b",
            limit_nano=1,
            window=Window(period="rolling", time_zone="Europe/Berlin", rolling_s=5_400),
            scope=Scope(kind="tag", tag="team", value="search"),
            on_exceed="policy",
            policy="default",
            fail="open",
            open_share=0.5,
        ),
    )


@given(
    st.sampled_from(["hour", "day", "week", "month", "total", "24h", "7d"]), st.sampled_from(["all", "tag:x", "model"])
)
def test_the_settings_stand(window: str, scope: str) -> None:
    """Every window with every scope."""
    budget = BudgetTable.model_validate({**DAY, "window": window, "scope": scope}).value("n")
    assert (budget.name, budget.on_exceed, budget.scope.kind) == ("n", "block", scope.partition(":")[0])


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        (
            {"limit_usd": 0.5},
            'budgets.b.limit_usd: found 0.5; allowed: an amount of US dollars; write it as a string: "0.5"',
        ),
        ({"limit_usd": "-1"}, "budgets.b.limit_usd: found '-1'; allowed: 0 or more"),
        (
            {"limit_usd": "10000000000"},
            "budgets.b: found limit_usd 10000000000; allowed: 0, or 0.000000001 to 9000000000",
        ),
        ({"limit_usd": "0.0000000001"}, "found limit_usd 0.0000000001; allowed: 0, or 0.000000001 to"),
        ({"window": "fortnight"}, "budgets.b.window: found 'fortnight' is no window; allowed: "),
        ({"window": "day", "time_zone": "Europe/Berlinn"}, "did you mean 'Europe/Berlin'?"),
        ({"scope": "tennant"}, "budgets.b.scope: found 'tennant'; allowed: "),
        ({"scope": "tag:"}, "budgets.b.scope: found 'tag:'; allowed: "),
        ({"only": "x"}, "found only without a scope that it is a value of"),
        ({"on_exceed": "policy"}, "without a policy; allowed beside it"),
        ({"on_exceed": "block", "policy": "default"}, 'found a policy and on_exceed = "block"'),
        ({"on_exceed": "blok"}, "did you mean 'block'?"),
        ({"fail": "open"}, "found only one of fail"),
        ({"open_share": 0.5}, "found only one of fail"),
        ({"open_share": 2}, "budgets.b.open_share: found 2; allowed: at most 1"),
        ({"policy": "nobody"}, "budgets.b.policy: no policy is named 'nobody'; allowed: default"),
        ({"scope": "model", "only": "smal"}, "budgets.b.only: no model is named 'smal'; allowed: small (did you mean"),
        ({"scope": "provider", "only": "opnai"}, "budgets.b.only: no provider is named 'opnai'; allowed: simulated"),
        ({"scope": "policy", "only": "x"}, "budgets.b.only: no policy is named 'x'; allowed: default, none"),
        ({"scope": "policy", "only": "default", "policy": "default"}, "it would decide again; allowed: another policy"),
        ({"limit": "1"}, "budgets.b.limit: is no key that lowfare knows; allowed: fail, limit_usd"),
    ],
)
def test_what_is_wrong_is_told(budget: dict[str, Any], says: str) -> None:
    """Where it is, what was found, and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        setup(budget)
    assert says in str(caught.value)


def test_a_value_that_nobody_can_know_stands() -> None:
    """Tenants and values of tags are not configured, nor are providers of models that are wrong themselves."""
    assert setup({"scope": "tenant", "only": "acme"}).budgets[0].scope.value == "acme"
    with pytest.raises(ConfigError) as caught:
        setup({"scope": "provider", "only": "x"}, models={"a": MODEL, "b": {**MODEL, "client": "nobody", "id": "?"}})
    assert "budgets.b.only" not in str(caught.value)


def test_a_policy_may_only_look_at_budgets_that_are_there() -> None:
    """The error names the place inside the policy, at any depth."""
    pace = {"kind": "pace", "budget": "bb", "steps": [{"ahead": 0.1, "without": ["small"]}]}
    with pytest.raises(ConfigError, match=r"policies\.default\.policies\[0\]\.budget: no budget is named 'bb'"):
        setup({}, policies={"default": {"kind": "chain", "policies": [pace]}})
    assert setup({}, policies={"default": {**pace, "budget": "b"}}).budgets


def found(budget: dict[str, Any], **more: Any) -> list[str]:
    """Returns what is found of a budget."""
    return [one.message for one in findings(World.of(setup(budget, **more))) if one.kind == "budget"]


def test_a_budget_that_no_request_fits_is_found() -> None:
    """Without max_tokens; one of some model is held against that model, one that only alerts against none."""
    dear = {**MODEL, "id": "simulated/large", "output_usd_per_mtok": "10", "input_usd_per_mtok": "10"}
    both = {"small": MODEL, "large": dear}
    (told,) = found({"limit_usd": "0.0001"})
    assert told.startswith("is $0.0001, and a request without max_tokens can cost $0.001")
    assert found({"limit_usd": "0.005"}, models=both) == []
    assert found({"limit_usd": "0.0001", "on_exceed": "alert"}) == []
    for scope, only in (("model", "large"), ("model", None), ("provider", "simulated")):
        one = {"limit_usd": "0.005", "scope": scope, **({} if only is None else {"only": only})}
        assert bool(found(one, models=both)) == (only == "large")
    unknown = {"id": "own/x", "base_url": "http://127.0.0.1:9", "context_window_tokens": 100_000}
    (told,) = found({}, models={"x": unknown}, unpriced="allow")
    assert "anything, as no price is known," in told
