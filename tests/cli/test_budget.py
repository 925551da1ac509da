from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from router import Account, Budget, BudgetExceeded, Router, Standing, Window
from router.cli.budget import forecast_nano, rows_of
from router.cli.purses import purses
from tests.cli.command import lowfare, parsed, words, write_config

HOUR_S = 3_600


def configured(folder: Path, *, limit: str = "1", more: str = "", state: str | None = None) -> Path:
    """Writes a configuration with a budget for each tenant, a log, and accounts in a file; returns its path."""
    kept = f'[state]\nbackend = "sqlite"\npath = "{folder / "state.sqlite"}"\n' if state is None else state
    return write_config(
        folder,
        f'[log]\npath = "{folder / "log"}"\n{kept}[budgets.team]\nlimit_usd = "{limit}"\nwindow = "total"\n'
        f'scope = "tenant"\n{more}',
    )


def spend(config: Path, *tenants: str) -> list[Decimal]:
    """Asks once for each tenant; returns what it cost."""
    with Router.from_toml(config) as router:
        replies = [router.complete("hi", max_tokens=10, tenant=tenant) for tenant in tenants]
    return [cost for reply in replies if (cost := reply.cost_usd) is not None]


def test_it_shows_what_is_spent_and_left(tmp_path: Path) -> None:
    """Each tenant's account has a line; JSON has exact amounts."""
    config = configured(tmp_path)
    (cost, other) = spend(config, "acme", "zeta")
    shown = parsed(lowfare("budget", "--config", config, "--json"))
    assert shown["shared"] is True
    assert [(row["value"], Decimal(row["spent_usd"])) for row in shown["budgets"]] == [("acme", cost), ("zeta", other)]
    assert [Decimal(row["left_usd"]) for row in shown["budgets"]] == [1 - cost, 1 - other]
    assert {row["reserved_usd"] for row in shown["budgets"]} == {"0"}
    text = words(lowfare("budget", "--config", config).stdout)
    assert "team for acme no end $1.00 $0.0000048" in text


def test_a_budget_in_which_nothing_was_counted_is_shown(tmp_path: Path) -> None:
    """It has all of its limit left."""
    config = configured(tmp_path, more='[budgets.day]\nlimit_usd = "2"\nwindow = "24h"\n')
    shown = parsed(lowfare("budget", "--config", config, "--json"))["budgets"]
    assert [(row["name"], row["left_usd"], row["forecast_usd"]) for row in shown] == [
        ("team", "1", None),
        ("day", "2", None),
    ]
    assert "last 24 h" in words(lowfare("budget", "--config", config).stdout)


def test_requests_without_a_value_have_a_line_of_their_own(tmp_path: Path) -> None:
    """It does not read like the budget for everything, nor does one in which nobody was counted yet."""
    config = configured(tmp_path)
    assert "team for each tenant no end" in words(lowfare("budget", "--config", config).stdout)
    with Router.from_toml(config) as router:
        router.complete("hi", max_tokens=10)
    assert "team for no tenant no end" in words(lowfare("budget", "--config", config).stdout)
    rebuilt = lowfare("budget", "rebuild", "--config", config, "--json")
    assert [account["scope"] for account in parsed(rebuilt)["accounts"]] == ["tenant"]


def test_it_says_until_when_a_window_lasts(tmp_path: Path) -> None:
    """By the clock of UTC, as it says beside it."""
    config = configured(tmp_path, more='[budgets.day]\nlimit_usd = "2"\nwindow = "day"\n')
    (end,) = (row["end"] for row in parsed(lowfare("budget", "--config", config, "--json"))["budgets"] if row["end"])
    text = words(lowfare("budget", "--config", config).stdout)
    assert f"day {end[:10]} 00:00" in text
    assert "UTC" in text


def test_what_each_process_has_of_its_own_is_not_known(tmp_path: Path) -> None:
    """Limits are shown, and why nothing else is; there is nothing to rebuild."""
    config = configured(tmp_path, state="", more='[budgets.day]\nlimit_usd = "2"\nwindow = "day"\n')
    text = words(lowfare("budget", "--config", config).stdout)
    assert "each process counts by itself" in text
    assert parsed(lowfare("budget", "--config", config, "--json"))["budgets"][0]["spent_usd"] is None
    refused = lowfare("budget", "rebuild", "--config", config)
    assert refused.exit_code == 2
    assert "there is nothing to rebuild" in refused.stderr


def test_a_configuration_without_budgets_is_told_how_to_make_one(tmp_path: Path) -> None:
    """The error shows a table."""
    refused = lowfare("budget", "--config", write_config(tmp_path))
    assert refused.exit_code == 2
    assert "[budgets.daily]" in refused.stderr


def test_rebuild_shows_first_and_does_it_with_yes(tmp_path: Path) -> None:
    """What was lost with the accounts comes back from the log, exactly; the dry run changes nothing."""
    config = configured(tmp_path)
    costs = spend(config, "acme", "acme", "zeta")
    (tmp_path / "state.sqlite").unlink()
    dry = parsed(lowfare("budget", "rebuild", "--config", config, "--json"))
    assert (dry["dry_run"], dry["requests"]) == (True, 3)
    assert [(a["value"], a["counted_usd"], Decimal(a["logged_usd"])) for a in dry["accounts"]] == [
        ("acme", "0", costs[0] + costs[1]),
        ("zeta", "0", costs[2]),
    ]
    assert [row["spent_usd"] for row in parsed(lowfare("budget", "--config", config, "--json"))["budgets"]] == ["0"]
    text = words(lowfare("budget", "rebuild", "--config", config).stdout)
    assert "2 windows, 2 counted otherwise" in text
    assert "the same command with --yes does it" in text
    done = parsed(lowfare("budget", "rebuild", "--config", config, "--json", "--yes"))
    assert [Decimal(a["now_usd"]) for a in done["accounts"]] == [costs[0] + costs[1], costs[2]]
    text = words(lowfare("budget", "rebuild", "--config", config, "--yes").stdout)
    assert "0 counted otherwise" in text
    assert "done: each window is what the log says" in text


def recorded(config: Path, *ages: timedelta) -> Decimal:
    """Records the same usage of so long ago, once for each; returns what one costs."""
    usage = {"prompt_tokens": 100, "completion_tokens": 10}
    with Router.from_toml(config) as router:
        made = [router.record_usage(model="small", usage=usage, time=datetime.now(UTC) - age) for age in ages]
    return sum((cost for decision in made if (cost := decision.cost_usd)), Decimal(0)) / len(ages)


@pytest.mark.parametrize(("window", "age"), [("1h", timedelta(hours=5)), ("day", timedelta(days=9))])
def test_what_left_a_window_is_not_counted_otherwise(tmp_path: Path, window: str, age: timedelta) -> None:
    """The log goes further back than a rolling window, and than windows that are kept: that is no difference."""
    config = configured(tmp_path, more=f'[budgets.other]\nlimit_usd = "2"\nwindow = "{window}"\n')
    recorded(config, age)
    (tmp_path / "state.sqlite").unlink()
    changes = parsed(lowfare("budget", "rebuild", "--config", config, "--json", "--yes"))["accounts"]
    assert [change["logged_usd"] for change in changes if change["budget"] == "other"] in ([], ["0"])
    assert "0 counted otherwise" in words(lowfare("budget", "rebuild", "--config", config).stdout)


def test_a_rebuild_keeps_windows_as_long_as_the_store_does(tmp_path: Path) -> None:
    """`kept_s` says for how long after their end."""
    state = f'[state]\nbackend = "sqlite"\npath = "{tmp_path / "state.sqlite"}"\nkept_s = 2592000.0\n'
    day = '[budgets.day]\nlimit_usd = "2"\nwindow = "day"\n'
    config = write_config(tmp_path, f'[log]\npath = "{tmp_path / "log"}"\n{state}{day}')
    cost = recorded(config, timedelta(days=20))
    (tmp_path / "state.sqlite").unlink()
    changes = parsed(lowfare("budget", "rebuild", "--config", config, "--json", "--yes"))["accounts"]
    assert [Decimal(change["now_usd"]) for change in changes] == [cost]


def test_usage_of_days_ago_counts_once_in_a_rebuild_right_after(tmp_path: Path) -> None:
    """It was told a moment ago, so that the store still knows each by its name."""
    config = configured(tmp_path)
    cost = recorded(config, *[timedelta(days=3)] * 4)
    changes = parsed(lowfare("budget", "rebuild", "--config", config, "--json", "--yes"))["accounts"]
    assert [Decimal(change["now_usd"]) for change in changes] == [4 * cost]


def test_a_rebuilt_limit_holds(tmp_path: Path) -> None:
    """After the accounts are lost and rebuilt, what was spent before still counts."""
    config = configured(tmp_path, limit="0.00002")
    spend(config, "acme")
    (tmp_path / "state.sqlite").unlink()
    assert lowfare("budget", "rebuild", "--config", config, "--yes").exit_code == 0
    with pytest.raises(BudgetExceeded):
        spend(config, *["acme"] * 20)


def test_a_store_that_cannot_be_asked_is_told(tmp_path: Path) -> None:
    """A path where no file can be is an error in words."""
    state = f'[state]\nbackend = "sqlite"\npath = "{tmp_path}"\n'
    refused = lowfare("budget", "--config", configured(tmp_path, state=state))
    assert refused.exit_code == 2
    assert "is a folder; write the path of a file in it" in refused.stderr


def test_the_forecast_goes_on_as_from_the_beginning() -> None:
    """Half of the window over doubles what is spent; too early, and without an end, nothing is foretold."""
    account = Account(budget="b", value="", start_s=0, end_s=2 * HOUR_S)
    standing = Standing(limit_nano=100, spent_nano=40)
    assert forecast_nano(account, standing, HOUR_S) == 80
    assert forecast_nano(account, standing, 60.0) is None
    assert forecast_nano(Account(budget="b", value=""), standing, HOUR_S) is None


def test_a_forecast_above_the_limit_stands_in_the_table(tmp_path: Path) -> None:
    """Windows that are over are left out."""
    budget = Budget(name="b", limit_nano=100, window=Window(period="hour"))
    over = Account(budget="b", value="", start_s=0, end_s=HOUR_S)
    now = Account(budget="b", value="", start_s=HOUR_S, end_s=2 * HOUR_S)
    found = {account: Standing(limit_nano=100, spent_nano=60) for account in (over, now)}
    (row,) = rows_of((budget,), found, HOUR_S * 1.5)
    assert (row.account, row.forecast_nano) == (now, 120)
    config = write_config(
        tmp_path,
        f'[state]\nbackend = "sqlite"\npath = "{tmp_path / "s.sqlite"}"\n'
        '[budgets.hour]\nlimit_usd = "0.000000001"\nwindow = "month"\non_exceed = "alert"\n',
    )
    spend(config, "acme")
    assert "hour" in words(lowfare("budget", "--config", config).stdout)


WIDE = {"COLUMNS": "200"}


def test_explain_tells_of_budgets(tmp_path: Path) -> None:
    """The preview shows what is left; the story also what was reserved, and what a spent budget did."""
    more = (
        '[budgets.day]\nlimit_usd = "1"\nwindow = "day"\non_exceed = "cheapest"\n'
        '[budgets.rolling]\nlimit_usd = "1"\nwindow = "24h"\non_exceed = "alert"\n'
        '[budgets.switch]\nlimit_usd = "0.0000001"\nwindow = "hour"\npolicy = "other"\n'
        'scope = "model"\nonly = "small"\n'
        '[policies.default]\nkind = "cheapest"\n[policies.other]\nkind = "fallback"\nmodels = ["large"]\n'
    )
    config = configured(tmp_path, more=more)
    shown = words(lowfare("explain", "hi", "--config", config, "--tenant", "acme", env=WIDE).stdout)
    assert "Budgets team for acme $1.00 of $1.00 left in all beyond it nobody is asked" in shown
    assert "rolling $1.00 of $1.00 left of the last 24 h holds nothing back" in shown
    assert "the policy other decided in place of default" in shown
    with Router.from_toml(config) as router:
        trace_id = router.complete("hi", max_tokens=10, tenant="acme").trace_id
        other = router.record_usage(model="large", usage={"prompt_tokens": 10, "completion_tokens": 1}).trace_id
    told = words(lowfare("explain", trace_id, "--config", config, env=WIDE).stdout)
    assert "of the budgets was reserved before" in told
    assert "beyond it the policy other decides" in told
    assert "beyond it the cheapest that fits is asked" in told
    assert "large was used outside the router" in words(lowfare("explain", other, "--config", config).stdout)


def test_a_spent_budget_is_told_in_words(tmp_path: Path) -> None:
    """The preview of a request that would be refused says why, and is a failure."""
    config = configured(tmp_path, limit="0")
    refused = lowfare("explain", "hi", "--config", config)
    assert refused.exit_code == 1
    assert "No answer: the budget 'team' has no room: small can cost" in words(refused.stdout)


def test_a_record_from_before_budgets_is_told() -> None:
    """It has none."""
    assert purses({}) is None
