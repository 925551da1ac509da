"""What a log says was spent, against sums made by hand."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.analytics.spent import claims_of, nano_spent, spent
from router.core.budget import Account, Budget, Scope, account_of
from router.core.window import Window
from router.state.ledger_memory import MemoryLedger
from router.testing.records import decision_of
from tests.budget_kills import play, tables_in
from tests.redis_server import RedisServer

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
TOKYO = Window(period="month", time_zone="Asia/Tokyo")
BUDGETS = (
    Budget(name="hour", limit_nano=1, window=Window(period="hour")),
    Budget(name="month", limit_nano=1, window=TOKYO, scope=Scope(kind="tenant")),
    Budget(name="model", limit_nano=1, window=Window(period="total"), scope=Scope(kind="model", value="m1")),
    Budget(name="rolling", limit_nano=1, window=Window(period="rolling", rolling_s=7_200), on_exceed="alert"),
)  # fmt: skip
BASE = json.loads(json.dumps(decision_of(outcomes=["server_error", "answer"]).to_dict()))


def record(number: int, at: datetime, tenant: str | None, costs: tuple[str | None, ...]) -> dict[str, Any]:
    """Returns a decision of this moment whose attempts cost so much."""
    attempts = [
        {
            **BASE["attempts"][place % 2],
            "span_id": f"{number:012x}{place:04x}",
            "cost_usd": cost,
            "reserved_usd": "0.01",
        }
        for place, cost in enumerate(costs)
    ]
    return {
        **BASE,
        "trace_id": f"{number:032x}",
        "span_id": f"{number:016x}",
        "time": at.isoformat(timespec="microseconds"),
        "tenant": tenant,
        "attempts": attempts,
    }


records = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=90 * 86_400_000).map(lambda ms: NOW - timedelta(milliseconds=ms)),
        st.sampled_from([None, "acme", "zeta"]),
        st.lists(st.sampled_from([None, "0", "0.0000015", "0.00000000001", "0.01"]), max_size=3).map(tuple),
    ),
    max_size=30,
)


def by_hand(made: list[dict[str, Any]], budgets: tuple[Budget, ...]) -> Counter[Account]:
    """Returns the sums, each attempt counted by itself."""
    sums: Counter[Account] = Counter()
    for one in made:
        at = datetime.fromisoformat(one["time"])
        for budget in budgets:
            for attempt in one["attempts"]:
                value = {"tenant": one["tenant"] or "", "model": attempt["model"]}.get(budget.scope.kind, "")
                outside = budget.window.rolling_s is not None and NOW - at > timedelta(seconds=budget.window.rolling_s)
                if (budget.scope.value is None or budget.scope.value == value) and not outside:
                    sums[account_of(budget, value, at)] += nano_spent(attempt)
    return sums


def rebuilt(folder: Path, budgets: tuple[Budget, ...]) -> dict[Account, int]:
    """Returns what each account has after it was rebuilt from a log."""
    found = spent(folder / "log.jsonl", budgets, now_s=NOW.timestamp())

    async def rebuild() -> dict[Account, int]:
        ledger = MemoryLedger()
        await ledger.rebuild(found.claims, now_s=NOW.timestamp())
        return {account: s.spent_nano async for account, s in ledger.accounts(now_s=NOW.timestamp())}

    return asyncio.run(rebuild())


@given(records)
@settings(max_examples=25)
def test_every_window_is_the_sum_of_its_decisions(drawn: list[Any]) -> None:
    """Of random logs: each account that is not over has all of its attempts, once, to the nano-dollar."""
    made = [record(number, *one) for number, one in enumerate(drawn)]
    budgets = BUDGETS[:3]
    with TemporaryDirectory() as name:
        (Path(name) / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in made))
        found = rebuilt(Path(name), budgets)
    now = {account_of(b, "", NOW).end_s for b in budgets}
    sums = {account: nano for account, nano in by_hand(made, budgets).items() if account.end_s in now}
    assert {a: nano for a, nano in found.items() if a.end_s in now and nano} == {a: n for a, n in sums.items() if n}


def test_a_rolling_window_has_what_is_in_its_last_buckets(tmp_path: Path) -> None:
    """What left it is not counted, and what is in it is, however long the log."""
    ages = (0, 3_600, 7_000, 8_000, 86_400)
    made = [record(n, NOW - timedelta(seconds=age), None, ("0.01",)) for n, age in enumerate(ages)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in made))
    assert list(rebuilt(tmp_path, BUDGETS[3:]).values()) == [3 * 10_000_000]


@pytest.mark.parametrize(
    ("attempt", "nano"),
    [
        ({"cost_usd": "0.0000000001"}, 1),
        ({"cost_usd": "0", "reserved_usd": "1"}, 0),
        ({"cost_usd": None, "reserved_usd": "0.5", "worst_usd": "1"}, 500_000_000),
        ({"cost_usd": None, "worst_usd": "1"}, 1_000_000_000),
        ({"cost_usd": None, "reserved_usd": None, "worst_usd": None}, 0),
    ],
)
def test_what_an_attempt_counts(attempt: dict[str, Any], nano: int) -> None:
    """Its cost rounded up; else what was reserved; else its worst case."""
    assert nano_spent(attempt) == nano


def test_a_request_under_way_keeps_its_name() -> None:
    """Claims of requests that may be under way are not summed up: the ledger has them as well."""
    (claim, other) = claims_of(record(7, NOW, "acme", ("0.01", None)), BUDGETS)
    assert claim.id == "0000000000070000"
    assert claim.lapses_s == NOW.timestamp() + 600.0 + 5.0
    assert [entry.account.budget for entry in other.entries] == ["hour", "month", "rolling"]
    recorded = record(8, NOW, None, ("0.01",)) | {"ending": "recorded"}
    (outside,) = claims_of(recorded, BUDGETS)
    assert outside.lapses_s == NOW.timestamp() + 86_400
    assert list(claims_of(recorded, BUDGETS[:0])) == []


def test_what_two_processes_recorded_counts_once(tmp_path: Path) -> None:
    """Usage from elsewhere that was told twice under one name has the same ids in both logs."""
    told = record(1, NOW, None, ("0.01",)) | {"ending": "recorded"}
    (tmp_path / "log.jsonl").write_text(2 * (json.dumps(told) + "\n"))
    assert list(rebuilt(tmp_path, BUDGETS[:1]).values()) == [10_000_000]


def test_only_windows_that_are_kept_are_read(tmp_path: Path) -> None:
    """What is long over is passed over, and lines that are no decisions are counted aside."""
    made = [record(n, NOW - timedelta(days=days), None, ("0.01",)) for n, days in enumerate((0, 5, 50))]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in made) + "nonsense\n")
    found = spent(tmp_path / "log.jsonl", BUDGETS[:1], now_s=NOW.timestamp())
    assert (found.requests, found.aside) == (2, 1)
    assert found.since == NOW - timedelta(days=8, hours=1)
    assert spent(tmp_path / "log.jsonl", BUDGETS[2:3], now_s=NOW.timestamp()).requests == 3


@pytest.fixture(params=["sqlite", "redis"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Gives the table [state] of a store that processes share."""
    if request.param == "sqlite":
        yield {"backend": "sqlite", "path": str(tmp_path / "state.sqlite"), "wait_s": 30}
        return
    with RedisServer() as server:
        yield {"backend": "redis", "url": server.url, "wait_s": 30}


@pytest.mark.untraced
def test_processes_that_are_killed_never_overspend(state: dict[str, Any], tmp_path: Path) -> None:
    """Killed at random: what they had reserved counts in full, and a rebuild makes each window its decisions' sum."""
    chance = random.Random(1)
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        state = {**state, "path": str(folder / "state.sqlite")} if "path" in state else state
        came = play(tables_in(tmp_path if "url" in state else folder, state, "0.05"), chance)
        assert came.most <= 1.0
        assert came.differing == 0
        assert came.decisions > 0
