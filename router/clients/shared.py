"""The clients of a router: those that it was given, and its own, one of each kind for each event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

from router.clients.client import Client
from router.clients.real import refuse_if_forbidden
from router.errors import warn


class Clients:
    """Who speaks to providers, for each event loop.

    Args:
        classes: how to make one, by kind.
        given: those that serve every loop.
    """

    def __init__(self, classes: Mapping[str, type[Client]], given: Mapping[str, Client]) -> None:
        self._classes = classes
        self._given = given
        self._made: dict[asyncio.AbstractEventLoop, dict[str, Client]] = {}
        self._pid = os.getpid()

    def of(self, kind: str) -> Client:
        """Returns the running loop's client of a kind."""
        given = self._given.get(kind)
        if given is not None:
            return given
        loop = asyncio.get_running_loop()
        made = self._made.get(loop)
        if made is None or self._pid != os.getpid():
            made = self._join(loop)
        if kind not in made:
            made[kind] = self._classes[kind]()
        client = made[kind]
        if not getattr(client, "asks_nobody", False):
            refuse_if_forbidden(f"a provider by the client {kind!r}")
        return client

    async def close(self) -> None:
        """Closes the running loop's clients; those that were given close with the first loop that does."""
        for client in (*self._given.values(), *self._made.pop(asyncio.get_running_loop(), {}).values()):
            try:
                await client.aclose()
            except Exception as error:  # noqa: BLE001 - the others must close all the same
                warn(f"{type(client).__name__} did not close: {error}")

    def _join(self, loop: asyncio.AbstractEventLoop) -> dict[str, Client]:
        """Returns the clients of a loop that has none yet; lets go of loops that are closed, or a parent process's."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._made = {}
        self._made = {known: clients for known, clients in self._made.items() if not known.is_closed()}
        return self._made.setdefault(loop, {})
