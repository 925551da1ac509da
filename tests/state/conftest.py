"""What the tests of ledgers share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from router.state.ledger import Ledger
from router.state.ledger_memory import MemoryLedger
from router.state.ledger_redis import RedisLedger
from router.state.ledger_sqlite import SqliteLedger
from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A redis-server for all tests of a file."""
    with RedisServer() as started:
        yield started


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    """An empty ledger of each kind."""
    made: Ledger
    if request.param == "memory":
        made = MemoryLedger()
    elif request.param == "sqlite":
        made = SqliteLedger(str(tmp_path / "ledger"))
    else:
        made = RedisLedger(request.getfixturevalue("server").url, prefix=tmp_path.name, answer_s=60.0)
    yield made
    await made.aclose()
