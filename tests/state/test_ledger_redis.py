"""The ledger in Redis: its names, its limits, and a server that is gone. `check_ledger` tries the rest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from router.core.budget import KEPT_S, MOST_NANO, Account, Claim, Entry, Reserved, Standing
from router.errors import ConfigError, StoreError
from router.state.ledger_redis import RedisLedger
from tests.redis_server import RedisServer

NOW_S = 1_700_000_000.0
DAY = Entry(account=Account(budget="day", value="", start_s=1_699_920_000, end_s=1_700_006_400), limit_nano=100)


def claim(name: str, amount: int = 10) -> Claim:
    """Returns a claim on one account."""
    return Claim(id=name, entries=(DAY,), amount_nano=amount, now_s=NOW_S, lapses_s=NOW_S + 60)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A redis-server for all tests of this file."""
    with RedisServer() as started:
        yield started


async def test_all_its_names_are_in_one_slot(server: RedisServer) -> None:
    """Every name begins with the prefix, and has the same hash tag: a claim is one script, also in a cluster."""
    ledger = RedisLedger(server.url, prefix="mine")
    assert repr(ledger) == f"RedisLedger(127.0.0.1:{server.port}/0, '{{mine:ledger}}:accounts')"
    await ledger.reserve(claim("one"))
    names = {name.decode() for name in server.command("KEYS", "{mine:*")}
    assert names == {f"{{mine:ledger}}:{name}" for name in ("accounts", "claims", "due", "ends")}
    await ledger.aclose()


@pytest.mark.parametrize("prefix", ["a{b", "a}b"])
def test_a_prefix_with_braces_is_refused(prefix: str) -> None:
    """Braces mark what a cluster keeps together."""
    with pytest.raises(ConfigError, match="has a brace"):
        RedisLedger("redis://localhost", prefix=prefix)


def test_an_address_that_cannot_be_read_is_not_shown() -> None:
    """It may hold a password."""
    with pytest.raises(ConfigError, match="the address of Redis cannot be read") as caught:
        RedisLedger("http://user:secret@host")
    assert "secret" not in str(caught.value)


async def test_a_server_that_is_gone_is_a_store_error() -> None:
    """Every method says so; a server that comes back empty begins anew."""
    with RedisServer() as server:
        ledger = RedisLedger(server.url)
        await ledger.settle(claim("one"), None, now_s=NOW_S)
        server.kill()
        with pytest.raises(StoreError, match=r"the ledger in Redis at 127\.0\.0\.1:\d+/0 does not help"):
            await ledger.reserve(claim("two"))
        with pytest.raises(StoreError):
            await ledger.rebuild((), now_s=NOW_S)
        server.restart()
        assert await ledger.standings((DAY,), now_s=NOW_S) == (Standing(limit_nano=100),)
        await ledger.aclose()


async def test_a_claim_that_cannot_be_counted_changes_nothing(server: RedisServer) -> None:
    """Beyond nine billion dollars it is a ValueError, in a reservation as in a settlement."""
    ledger = RedisLedger(server.url, prefix="most")
    loose = Entry(account=DAY.account, limit_nano=100, strict=False)
    await ledger.settle(claim("most", MOST_NANO), None, now_s=NOW_S)
    more = Claim(id="more", entries=(loose,), amount_nano=1, now_s=NOW_S, lapses_s=NOW_S + 60)
    with pytest.raises(ValueError, match="an account of the budget 'day' would have more than can be counted"):
        await ledger.reserve(more)
    with pytest.raises(ValueError, match="would have more than can be counted"):
        await ledger.settle(more, None, now_s=NOW_S)
    assert await ledger.standings((DAY,), now_s=NOW_S) == (Standing(limit_nano=100, spent_nano=MOST_NANO),)
    await ledger.aclose()


async def test_a_settlement_that_cannot_be_counted_changes_nothing(server: RedisServer) -> None:
    """Where an attempt cost more than was reserved, so that the sum is too much, the reservation stays."""
    ledger = RedisLedger(server.url, prefix="settled")
    await ledger.reserve(claim("one", 10))
    await ledger.settle(claim("most", MOST_NANO - 10), None, now_s=NOW_S)
    with pytest.raises(ValueError, match="would have more than can be counted"):
        await ledger.settle(claim("one", 10), 11, now_s=NOW_S)
    [standing] = await ledger.standings((DAY,), now_s=NOW_S)
    assert (standing.spent_nano, standing.reserved_nano) == (MOST_NANO - 10, 10)
    await ledger.aclose()


async def test_nothing_piles_up(server: RedisServer) -> None:
    """Claims and accounts go when their time is over."""
    ledger = RedisLedger(server.url, prefix="piles")
    for number in range(50):
        start = int(NOW_S) + number * 3_600
        entry = Entry(account=Account(budget="h", value="", start_s=start, end_s=start + 3_600), limit_nano=100)
        rolling = Entry(account=Account(budget="r", value="", rolling_s=7_200), limit_nano=100)
        one = Claim(id=f"{number}", entries=(entry, rolling), amount_nano=1, now_s=float(start), lapses_s=start + 60.0)
        assert isinstance(await ledger.reserve(one), Reserved)
        if number % 2:
            await ledger.settle(one, 1, now_s=one.now_s)
    assert [each async for each in ledger.accounts(now_s=NOW_S + 50 * 3_600 + 2 * KEPT_S)] == []
    assert server.command("KEYS", "{piles*") == []
    await ledger.aclose()


async def test_accounts_come_in_pages(server: RedisServer) -> None:
    """More accounts than one page has are all listed, once."""
    ledger = RedisLedger(server.url, prefix="pages")
    for number in range(1_000):
        entry = Entry(account=Account(budget="b", value=f"{number}"), limit_nano=9)
        await ledger.settle(
            Claim(id=f"{number}", entries=(entry,), amount_nano=number, now_s=NOW_S, lapses_s=NOW_S), None, now_s=NOW_S
        )
    found = {account.value: standing async for account, standing in ledger.accounts(now_s=NOW_S)}
    assert found == {f"{n}": Standing(limit_nano=9, spent_nano=n) for n in range(1_000)}
    await ledger.aclose()
