"""Ledgers in files and in Redis count rolling windows as the one in memory does, however full and large they are."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from router.core.budget import MOST_NANO, Account, Claim, Entry
from router.state.ledger import Ledger
from router.state.ledger_memory import MemoryLedger
from tests.redis_server import RedisServer
from tests.state.ledger_processes import opened

NOW_S = 1_700_000_000.0
ROLLING_S = 7_200
ENTRIES = (
    Entry(account=Account(budget="rolling", value="", rolling_s=ROLLING_S), limit_nano=MOST_NANO, strict=False),
    Entry(account=Account(budget="other", value="", rolling_s=60), limit_nano=10**15),
    Entry(account=Account(budget="all", value=""), limit_nano=MOST_NANO),
)
LARGEST = {0: MOST_NANO, 1: 10**15, 2: 10**16}
"""What a claim may be at most that is in no account but this one: several do not fit 64 bits, nor a number of Lua."""


def drawn(draw: random.Random, number: int, now_s: float) -> Claim:
    """Returns some claim on one account or on all."""
    which = draw.choice((0, 1, 2, 3))
    entries = ENTRIES if which == 3 else ENTRIES[which : which + 1]
    largest = min(LARGEST.get(which, 10**9), 10 ** draw.randrange(1, 30))
    return Claim(
        id=f"{number}", entries=entries, amount_nano=draw.randrange(largest), now_s=now_s, lapses_s=now_s + 300
    )


async def same(ledger: Ledger, *, rounds: int) -> None:
    """Plays one history to a ledger and to one in memory; they answer alike, and stand alike after each step."""
    model = MemoryLedger()
    draw = random.Random(11)
    now_s = NOW_S
    for number in range(rounds):
        now_s += draw.choice((0.0, 30.0, 120.0, -60.0))
        claim = drawn(draw, number, now_s)
        try:
            expected = await model.reserve(claim)
        except ValueError:
            with pytest.raises(ValueError, match="would have more than can be counted"):
                await ledger.reserve(claim)
            continue
        came = await ledger.reserve(claim)
        assert type(came) is type(expected)
        cost = draw.choice((claim.amount_nano // 2, claim.amount_nano, 0))
        if draw.random() < 0.8:
            for each in (model, ledger):
                await each.settle(claim, cost, now_s=now_s)
        assert await ledger.standings(ENTRIES, now_s=now_s) == await model.standings(ENTRIES, now_s=now_s)


async def test_sqlite_counts_as_memory_does(tmp_path: Path) -> None:
    """A window of many cells is summed up exactly, beyond 64 bits as well."""
    ledger = opened("sqlite", str(tmp_path / "ledger"))
    await same(ledger, rounds=400)
    await ledger.aclose()


async def test_redis_counts_as_memory_does() -> None:
    """A window of many cells is summed up exactly, beyond what a number of Lua holds as well."""
    with RedisServer() as server:
        ledger = opened("redis", f"{server.url} alike")
        await same(ledger, rounds=400)
        await ledger.aclose()
