"""A receiver of lowfare's alerts: checks who sent them, drops those that it has had, and keeps a total of spend.

python examples/webhook_receiver.py                               # tries it on messages that it signs itself
LOWFARE_WEBHOOK_SECRET=whsec_... uvicorn --app-dir examples --factory webhook_receiver:from_environment

It needs fastapi, and uvicorn to be served: pip install fastapi uvicorn httpx
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from fastapi import FastAPI, HTTPException, Request
from httpx import ASGITransport, AsyncClient

from router.core.alert import Alert, body_of
from router.webhooks import Event, WebhookError, new_secret, sign, verify

LARGEST_BYTES = 20_000
"""Standard Webhooks keep their messages below; nobody else has anything to send here."""


@dataclass(slots=True)
class Spend:
    """What was spent, as far as alerts told.

    Attributes:
        seen: ids of messages that count already; a program that restarts keeps them in its database.
        spent_usd: the most that was told of each account and window. So it does not matter in which order alerts come.
    """

    seen: set[str] = field(default_factory=set)
    spent_usd: dict[tuple[str, ...], Decimal] = field(default_factory=dict)

    @property
    def total_usd(self) -> Decimal:
        """Over all accounts of budgets, and their windows."""
        return sum(self.spent_usd.values(), Decimal(0))

    def take(self, event: Event) -> bool:
        """Counts an event; returns False where it was counted before."""
        if event.id in self.seen:
            return False
        self.seen.add(event.id)
        if event.type.startswith("budget."):  # what others say was spent, in an hour or a day, is the same money
            window = tuple(str(event.data.get(name)) for name in ("budget", "value", "window"))
            spent_usd = Decimal(event.data["spent_usd"])
            self.spent_usd[window] = max(spent_usd, self.spent_usd.get(window, Decimal(0)))
        return True


def receiver(secrets: Iterable[str]) -> FastAPI:
    """Returns the application.

    Args:
        secrets: what alerts are signed with; two while one replaces the other.
    """
    app, spend, known = FastAPI(), Spend(), tuple(secrets)

    @app.post("/lowfare")
    async def take(request: Request) -> dict[str, str | bool]:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST_BYTES:
                raise HTTPException(413)
        try:
            event = verify(request.headers, bytes(body), known)
        except WebhookError as error:
            raise HTTPException(400, str(error)) from error
        return {"new": spend.take(event), "total_usd": str(spend.total_usd)}

    @app.get("/total")
    async def total() -> dict[str, str]:
        return {"total_usd": str(spend.total_usd)}

    return app


def from_environment() -> FastAPI:
    """Returns the application with the secrets of the environment: one, or two with a space between."""
    return receiver(os.environ["LOWFARE_WEBHOOK_SECRET"].split())


async def main() -> None:
    """Sends itself an alert, the same once more, another one, and one that was tampered with."""
    secret, now = new_secret(), datetime.now(UTC)
    async with AsyncClient(transport=ASGITransport(receiver([secret])), base_url="http://localhost") as client:
        for message_id, spent_usd in (("msg_1", "4.00"), ("msg_1", "4.00"), ("msg_2", "5.00"), ("msg_3", "500")):
            data = {"budget": "team", "window": "2026-11", "spent_usd": spent_usd}
            body = body_of(Alert(name=message_id, type="budget.threshold", time=now, data=data))
            headers = sign(message_id, body, secret, time=now)
            answer = await client.post("/lowfare", content=body.replace(b"500", b"600"), headers=headers)
            print(message_id, answer.status_code, answer.json())


if __name__ == "__main__":
    asyncio.run(main())
