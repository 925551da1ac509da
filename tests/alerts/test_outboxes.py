"""The conformance suite of outboxes: what keeps its promises passes, and each broken promise is noticed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.alerts.outbox_memory import MemoryOutbox
from router.alerts.outbox_redis import RedisOutbox
from router.alerts.outbox_sqlite import SqliteOutbox
from router.errors import ConfigError
from router.testing.outboxes import OUTBOX_CHECKS, OutboxCheck, check_outbox
from router.testing.trial import Breach
from tests.alerts.faulty_outboxes import FAULTS, Hangs, Raises, RevivesAll
from tests.redis_server import RedisServer

CHECKS = {check.__name__: check for check in OUTBOX_CHECKS}


@pytest.fixture(scope="module", params=[False, True], ids=["alone", "cluster"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[RedisServer, bool]]:
    """Gives a server, and whether it is a cluster."""
    with RedisServer(cluster=request.param) as server:
        yield server, request.param


@pytest.mark.parametrize("check", OUTBOX_CHECKS, ids=CHECKS)
async def test_memory_is_an_outbox(check: OutboxCheck) -> None:
    """The memory of one process keeps every promise while the process lives."""
    outbox = MemoryOutbox()
    await check(lambda: outbox)


@pytest.mark.parametrize("check", OUTBOX_CHECKS, ids=CHECKS)
async def test_sqlite_is_an_outbox(check: OutboxCheck, tmp_path: Path) -> None:
    """SQLite in a file keeps every promise."""
    await check(lambda: SqliteOutbox(tmp_path / "outbox.db"))


@pytest.mark.parametrize("check", OUTBOX_CHECKS, ids=CHECKS)
async def test_redis_is_an_outbox(check: OutboxCheck, server: tuple[RedisServer, bool]) -> None:
    """Redis keeps every promise, alone and as a cluster."""
    redis, cluster = server
    await check(lambda: RedisOutbox(redis.url, cluster=cluster))


def test_the_address_of_redis_is_not_shown() -> None:
    """It may hold a password; what has a brace in its name would not stay on one node."""
    shown = repr(RedisOutbox("redis://:hunter2@localhost:6379/3", prefix="mine"))
    assert shown == "RedisOutbox(localhost:6379/3, prefix='mine')"
    for url, prefix in (("http://:hunter2@localhost", "mine"), ("redis://:hunter2@localhost", "{x}")):
        with pytest.raises(ConfigError) as caught:
            RedisOutbox(url, prefix=prefix)
        assert "hunter2" not in str(caught.value)


def test_all_checks_may_share_their_data(tmp_path: Path) -> None:
    """The whole suite can be run twice on the same data."""
    for _ in range(2):
        check_outbox(lambda: SqliteOutbox(tmp_path / "outbox.db"))


def test_a_breach_shows_how_to_run_its_check() -> None:
    """Whoever wrote the outbox is told what it did, what it had promised, and how to see that again."""
    outbox = RevivesAll()
    with pytest.raises(Breach) as caught:
        check_outbox(lambda: outbox)
    text = str(caught.value)
    assert "revive()" in text
    assert "Makes what is dead due at once" in text
    assert 'check.__name__ == "keeps_the_dead"' in text


def test_a_method_that_raises_or_hangs_is_a_breach() -> None:
    """Neither ends the test in a way that says nothing of the outbox."""
    with pytest.raises(Breach, match="a method raised KeyError"):
        check_outbox(Raises)
    with pytest.raises(Breach, match="the check hung"):
        check_outbox(Hangs, patience_s=0.5)


@pytest.mark.parametrize(("check", "faulty"), FAULTS, ids=lambda value: getattr(value, "__name__", value))
async def test_broken_promises_are_noticed(check: str, faulty: type[MemoryOutbox]) -> None:
    """An outbox that breaks a promise fails its check with what it did and what it had promised."""
    outbox = faulty()
    with pytest.raises(AssertionError, match=re.escape("router/alerts/outbox.py says of ")):
        await CHECKS[check](lambda: outbox)


def test_every_check_can_fail() -> None:
    """For each check of the suite there is an outbox that fails it."""
    assert {check for check, _ in FAULTS} == CHECKS.keys()
