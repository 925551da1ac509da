"""`[[alerts]]`: each kind has a schema of its own, and says what is wrong where it is."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.alerts.counters_memory import MemoryCounters
from router.alerts.counters_sqlite import SqliteCounters
from router.config import Settings, load
from router.config_alerts import KINDS, UnpricedAlert, rules_of
from router.config_errors import Fault
from router.core.alert_rules import (
    BudgetRule,
    CacheHitsRule,
    ErrorsRule,
    SpendRateRule,
    UnpricedRule,
    WasteRule,
)
from router.core.window import Window
from router.errors import ConfigError
from router.registry import Registry
from router.setup_alerts import made_watch, planned_watch
from router.setup_destinations import made_alerts

EXAMPLE = Path(__file__).parents[1] / "config.example.toml"
MODEL = {"id": "simulated/m", "input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}
LEAST: Mapping[str, Mapping[str, Any]] = {
    "budget": {"budget": "team", "shares": [0.8]},
    "cache_hits": {"falls_to": [0.5]},
    "errors": {"shares": [0.3]},
    "spend_rate": {"factors": [3], "min_usd": "1"},
    "unpriced": {"shares": [0.1]},
    "waste": {"shares": [0.2]},
}
"""What each kind must be told."""


def table(kind: str, /, **more: Any) -> dict[str, Any]:
    """Returns a rule of a kind."""
    return {"name": kind, "kind": kind, "to": ["ops"], **LEAST[kind], **more}


def settings(*alerts: Any, **more: Any) -> Settings:
    """Returns settings with these rules, and what they name."""
    tables: dict[str, Any] = {
        "models": {"m": MODEL},
        "budgets": {"team": {"limit_usd": "5", "window": "day"}},
        "destinations": {"ops": {"kind": "log"}},
        "outbox": {"backend": "memory"},
        "alerts": alerts,
    }
    return Settings.model_validate(tables | more)


def faults(*alerts: Any, **more: Any) -> list[Fault]:
    """Returns what is wrong with rules that have the right form."""
    return planned_watch(settings(*alerts, **more))[1]


def test_every_kind_becomes_its_rule() -> None:
    """With the defaults that the documentation states."""
    common: dict[str, Any] = {"to": ("ops",), "window": Window(period="hour")}
    assert rules_of(settings(*map(table, KINDS)).alerts) == (
        BudgetRule(name="budget", to=("ops",), budget="team", shares=(Decimal("0.8"),)),
        CacheHitsRule(
            **common, name="cache_hits", falls_to=(Decimal("0.5"),), days=7, min_requests=100, min_share=Decimal("0.05")
        ),
        ErrorsRule(**common, name="errors", shares=(Decimal("0.3"),), model=None, min_attempts=20),
        SpendRateRule(
            **common, name="spend_rate", factors=(Decimal("3.0"),), days=7, min_days=3, min_nano=1_000_000_000
        ),
        UnpricedRule(**common, name="unpriced", of="requests", shares=(Decimal("0.1"),), min_unpriced=5),
        WasteRule(**common, name="waste", shares=(Decimal("0.2"),), min_requests=20, min_nano=0),
    )


def test_all_options_are_taken() -> None:
    """Thresholds are as they were written, and amounts exact."""
    [budget, waste] = rules_of(
        settings(
            table("budget", shares=[0.1, 1.5], amounts_usd=["0.000000001"], forecast=True),
            table("waste", window="day", time_zone="Asia/Kolkata", min_usd="0.5", min_requests=1),
        ).alerts
    )
    assert isinstance(budget, BudgetRule)
    assert (budget.shares, budget.amounts_nano, budget.forecast) == ((Decimal("0.1"), Decimal("1.5")), (1,), True)
    assert isinstance(waste, WasteRule)
    assert (waste.window, waste.min_nano) == (Window(period="day", time_zone="Asia/Kolkata"), 500_000_000)


@given(st.floats(0, 1, exclude_min=True))
def test_a_share_is_the_number_that_was_written(share: float) -> None:
    """Not the binary fraction that is nearest to it."""
    [rule] = rules_of(settings(table("waste", shares=[share])).alerts)
    assert isinstance(rule, WasteRule)
    assert str(float(rule.shares[0])) == str(share)


def test_rules_may_be_made_in_code() -> None:
    """An instance stands for itself."""
    made = UnpricedAlert(name="u", kind="unpriced", to=("ops",), shares=(0.5,))
    assert settings(made).alerts == (made,)


@pytest.mark.parametrize(
    ("alert", "told"),
    [
        (5, "alerts[0]: found no table"),
        ({"name": "a", "to": ["ops"]}, "alerts[0].kind: is missing; allowed: budget, cache_hits, errors"),
        (table("waste", kind="wast"), "alerts[0].kind: found 'wast'; allowed"),
        (table("waste", kind=["waste"]), "alerts[0].kind: found ['waste']"),
        (table("waste", share=0.5), "alerts[0].share: is no key that lowfare knows; allowed: kind, min_requests"),
        (table("waste", share=0.5), "(did you mean 'shares'?)"),
        (table("waste", to=[]), "alerts[0].to: found an empty list"),
        (table("waste", to=["ops", "ops"]), "alerts[0].to: found ['ops', 'ops']; allowed: each one once"),
        (table("waste", shares=[0.0]), "alerts[0].shares[0]: found 0.0; allowed: more than 0"),
        (table("waste", shares=[20]), "alerts[0].shares[0]: found 20; allowed: at most 1"),
        (table("waste", min_usd=0.5), "alerts[0].min_usd: found 0.5; allowed: an amount of US dollars"),
        (table("waste", window="month"), "alerts[0].window: found 'month'; allowed: day, hour"),
        (table("waste", time_zone="Mars"), "alerts[0].time_zone: found 'Mars' is no time zone"),
        (table("spend_rate", window="day"), "alerts[0].window: found 'day'; allowed: hour"),
        (table("spend_rate", factors=[1]), "alerts[0].factors[0]: found 1; allowed: more than 1"),
        (table("spend_rate", days=29), "alerts[0].days: found 29; allowed: at most 28"),
        (table("spend_rate", days=2), "alerts[0]: min_days: found 3; allowed: at most 2, as days says"),
        (table("budget", shares=[]), "alerts[0]: says of nothing when; set shares"),
        (table("budget", amounts_usd=["0"]), "alerts[0].amounts_usd[0]: found '0'; allowed: more than 0"),
        (table("budget", window="day"), "alerts[0].window: is no key that lowfare knows"),
        (table("unpriced", of="dollars"), "alerts[0].of: found 'dollars'; allowed: attempts, requests"),
        (table("errors", min_attempts=0), "alerts[0].min_attempts: found 0; allowed: 1 or more"),
    ],
)
def test_what_is_wrong_is_told(alert: Any, told: str) -> None:
    """The place, what was found, and what is allowed there."""
    with pytest.raises(ConfigError) as caught:
        settings(alert)
    assert told in str(caught.value)


def test_a_name_stands_for_one_rule() -> None:
    """The alerts of another of that name would be kept back; all that is wrong is told at once."""
    with pytest.raises(ConfigError) as caught:
        settings(table("waste"), table("errors", name="waste"), {"kind": "x"}, UnpricedAlert(**table("unpriced")))
    assert "alerts[1].name: found 'waste', which another rule has" in str(caught.value)
    assert "alerts[2].kind: found 'x'" in str(caught.value)
    with pytest.raises(ConfigError, match="alerts: found no list"):
        settings(alerts={"waste": {}})


def test_what_rules_name_must_be_there() -> None:
    """Destinations, budgets and models, each with what is allowed."""
    found = faults(table("budget", budget="teem"), table("errors", model="n", to=["ops", "opps"]))
    assert found == [
        Fault(("alerts", 0, "budget"), "no budget is named 'teem'; allowed: team (did you mean 'team'?)"),
        Fault(("alerts", 1, "model"), "no model is named 'n'; allowed: m"),
        Fault(("alerts", 1, "to", 1), "no destination is named 'opps'; allowed: ops (did you mean 'ops'?)"),
    ]
    [fault] = faults(table("waste"), destinations={}, outbox=None)
    assert fault.message.startswith("no destination is named 'ops'; there is none; this makes one: ")
    assert planned_watch(settings()) == (None, [])


def test_counters_stand_where_the_state_does(tmp_path: Path) -> None:
    """Beside the ledger where `[state]` says where that is, else beside the outbox."""
    outbox = {"backend": "sqlite", "path": str(tmp_path / "outbox.db"), "busy_s": 3.0}
    planned, wrong = planned_watch(settings(table("waste"), outbox=outbox))
    assert (wrong, planned is not None) == ([], True)
    assert planned is not None
    assert (planned.backend, planned.make) == ("sqlite", SqliteCounters)
    assert planned.options == {"path": f"{tmp_path / 'outbox.db'}.counters", "busy_s": 3.0}
    state = {"backend": "sqlite", "path": str(tmp_path / "state.db")}
    planned, _ = planned_watch(settings(table("waste"), outbox=outbox, state=state))
    assert planned is not None
    assert planned.options == {"path": f"{tmp_path / 'state.db'}.counters"}
    planned, _ = planned_watch(settings(table("waste"), outbox=outbox, state={"backend": "memory"}))
    assert planned is not None
    assert (planned.make, planned.options) == (MemoryCounters, {})


class Demanding:
    """Counters that cannot be made."""

    def __init__(self, path: str = "") -> None:
        raise ValueError(path)


def test_counters_that_cannot_be_made_say_so(tmp_path: Path) -> None:
    """Without what may be secret; and of a backend that has none, that alerts need them."""
    outbox = {"backend": "sqlite", "path": str(tmp_path / "secret.db")}
    sound = settings(table("waste"), outbox=outbox)
    kinds = {"sqlite": EntryPoint("sqlite", f"{__name__}:Demanding", "lowfare.counters")}
    planned, _ = planned_watch(sound, counters=Registry("lowfare.counters", kinds))
    assert planned is not None
    with pytest.raises(ConfigError) as caught:
        made_watch(planned, made_alerts(None), now=lambda: pytest.fail("nobody asks the time"))
    assert str(caught.value) == "counters: the kind 'sqlite' cannot be made (ValueError)"
    nothing, [fault] = planned_watch(sound, counters=Registry("lowfare.counters", {}))
    assert (nothing, fault.path) == (None, ("outbox", "backend"))
    assert "keeps no counters, which alerts need" in fault.message
    (tmp_path / "text.db.counters").write_text("a text of some length, and no database at all")
    planned, _ = planned_watch(
        settings(table("waste"), outbox={"backend": "sqlite", "path": str(tmp_path / "text.db")})
    )
    assert planned is not None
    with pytest.raises(ConfigError, match="may be deleted"):
        made_watch(planned, made_alerts(None), now=lambda: pytest.fail("nobody asks the time"))


def test_the_example_has_every_option_of_every_kind() -> None:
    """A key that the example lacks is an option nobody finds."""
    shown: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for alert in tomllib.loads(EXAMPLE.read_text())["alerts"]:
        shown[alert["kind"]] |= alert.keys()
    assert {kind: set(schema.model_fields) for kind, schema in KINDS.items()} == shown


def test_the_environment_may_set_the_rules(tmp_path: Path) -> None:
    """As JSON, like every list; an error names the variable."""
    file = tmp_path / "config.toml"
    file.write_text('[models.m]\nid = "simulated/m"\ninput_usd_per_mtok = "1"\noutput_usd_per_mtok = "1"\n')
    alerts = '[{"name": "w", "kind": "waste", "to": ["ops"], "shares": [%s]}]'
    assert load(file, environ={"LOWFARE_ALERTS": alerts % "0.5"}).alerts[0].name == "w"
    with pytest.raises(ConfigError, match="environment variable LOWFARE_ALERTS"):
        load(file, environ={"LOWFARE_ALERTS": alerts % "5"})
