"""A receiver of webhooks on loopback that answers as a test says, and keeps what it was sent."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self

from aiohttp import web
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from router.core.alert import Alert, Message, message_of
from router.webhooks import new_secret

SECRET: Final = new_secret()
NOW: Final = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)

CUT: Final = -1
"""In place of a status: the connection is closed without an answer."""
SLOW: Final = -2
"""In place of a status: no answer comes while the test lasts."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request that arrived: its headers by name in small letters, and its body."""

    headers: Mapping[str, str]
    body: bytes
    outcome: Any = None
    refusal: str = ""

    @property
    def id(self) -> str:
        """The id of the message."""
        return self.headers["webhook-id"]

    @property
    def told(self) -> Any:
        """What the reference library made of it when it came, with the tests' usual secret."""
        assert self.outcome is not None, self.refusal
        return self.outcome

    def verified(self, secret: str = SECRET) -> Any:
        """Returns what the reference library makes of it."""
        return Webhook(secret).verify(self.body, dict(self.headers))


@dataclass(slots=True)
class Receiver:
    """A context manager: `async with Receiver(answers=[500]) as receiver`.

    Attributes:
        answers: statuses of the requests to come; 200 when there are no more.
        headers: of every answer.
        received: what came, oldest first.
    """

    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)
    port: int = 0
    _runner: web.AppRunner | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Its address."""
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}/hook"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(_received(headers, await request.read()))
        status = self.answers.pop(0) if self.answers else 200
        if status == CUT:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if status == SLOW:
            await self._ended.wait()
            return web.Response()
        return web.Response(status=status, headers=self.headers)


def _received(headers: Mapping[str, str], body: bytes) -> Received:
    try:
        return Received(headers, body, Webhook(SECRET).verify(body, dict(headers)))
    except WebhookVerificationError as error:
        return Received(headers, body, refusal=str(error))


def alert(name: str = "team/2026-11/0.8", **more: Any) -> Alert:
    """Returns an alert of a budget."""
    fields: dict[str, Any] = {
        "name": name,
        "type": "budget.threshold",
        "time": NOW,
        "data": {"text": "80 % of $5 <spent> & left", "budget": "team", "spent_usd": "4"},
    }
    return Alert(**fields | more)


def message(name: str = "team/2026-11/0.8", **more: Any) -> Message:
    """Returns the message of an alert."""
    return message_of(alert(name, **more), message_id=f"msg_{name}")
