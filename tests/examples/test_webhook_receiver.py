from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import uvicorn

from router.alerts.alerts import Alerts
from router.alerts.outbox_memory import MemoryOutbox
from router.alerts.webhook import WebhookSink
from router.core.alert import Alert, body_of
from router.webhooks import new_secret, sign
from tests.source_tree import ROOT

SECRET, OTHER = new_secret(), new_secret()
PATIENCE_S = 60.0


def example() -> Any:
    """Returns the example as a module."""
    spec = importlib.util.spec_from_file_location("webhook_receiver", ROOT / "examples" / "webhook_receiver.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up their annotations
    spec.loader.exec_module(module)
    return module


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """Serves an application on loopback; gives its address."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    )
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(PATIENCE_S):
        while not server.started:
            await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


def told(
    name: str, *, spent_usd: str, budget: str = "team", value: str | None = None, kind: str = "budget.threshold"
) -> Alert:
    """Returns an alert of a budget, or of another kind that says what was spent."""
    of = {"budget": budget, "value": value} if kind.startswith("budget.") else {}
    data = {**of, "window": {"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"}, "spent_usd": spent_usd}
    return Alert(name=name, type=kind, time=datetime.now(UTC), data=data)


async def test_alerts_add_up() -> None:
    """What a router raises arrives, is verified, and makes the total: the most of each budget, in whatever order."""
    async with served(example().receiver([OTHER, SECRET])) as url, httpx.AsyncClient(base_url=url) as client:
        sink = WebhookSink(f"{url}/lowfare", secret=SECRET, allow_hosts=["127.0.0.1"])
        alerts = Alerts(MemoryOutbox(), ["ops"], lambda: {"ops": sink})
        for alert in (
            told("a", spent_usd="4.00"),
            told("b", spent_usd="5.50"),
            told("b", spent_usd="5.50"),
            told("c", spent_usd="4.50"),
            told("d", spent_usd="0.25", budget="other"),
            Alert(name="e", type="lowfare.test", time=datetime.now(UTC)),
        ):
            alerts.fire(alert, to=["ops"])
        await asyncio.to_thread(alerts.close)
        assert await alerts.outbox.deliveries() == []
        assert (await client.get("/total")).json() == {"total_usd": "5.75"}


async def test_each_account_counts_and_money_counts_once() -> None:
    """Two tenants of one budget add up; alerts of rates and waste tell of money that budgets tell of."""
    app, now = example().receiver([SECRET]), datetime.now(UTC)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        for alert in (
            told("a", spent_usd="4", value="acme"),
            told("b", spent_usd="3", value="zeta"),
            told("c", spent_usd="5", value="acme", kind="budget.forecast"),
            told("d", spent_usd="2", kind="spend.rate"),
            told("e", spent_usd="1", kind="waste.share"),
        ):
            body = body_of(alert)
            headers = sign(alert.name, body, SECRET, time=now)
            assert (await client.post("/lowfare", content=body, headers=headers)).status_code == 200
        assert (await client.get("/total")).json() == {"total_usd": "8"}


async def test_a_message_counts_once_and_only_if_it_is_genuine() -> None:
    """A repeated id changes nothing; what is tampered with, stale, unsigned or too long is refused."""
    app = example().receiver([SECRET])
    body, now = body_of(told("a", spent_usd="4")), datetime.now(UTC)
    headers = sign("msg_a", body, SECRET, time=now)
    stale = sign("msg_b", body, SECRET, time=datetime(2026, 1, 1, tzinfo=UTC))
    wrong = sign("msg_b", body, OTHER, time=now)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        for new in (True, False):
            answer = await client.post("/lowfare", content=body, headers=headers)
            assert (answer.status_code, answer.json()) == (200, {"new": new, "total_usd": "4"})
        for given, sent, status in (
            (headers, body.replace(b"4", b"5"), 400),
            (stale, body, 400),
            (wrong, body, 400),
            ({}, body, 400),
            (headers, b" " * 20_001, 413),
        ):
            answer = await client.post("/lowfare", content=sent, headers=given)
            assert answer.status_code == status
        assert (await client.get("/total")).json() == {"total_usd": "4"}
