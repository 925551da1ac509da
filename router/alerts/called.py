"""Hands alerts to a function of the user's."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from router.alerts.sink import Arrived, Outcome
from router.core.alert import Message, event_of


class CalledSink:
    """Calls a function with each alert; the alert has arrived when it returns, and has not when it raises.

    Args:
        function: called with a `router.Event` in a thread of its own; what it returns is awaited where it can be.
        options: by keyword.
    """

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        self._call = partial(function, **options)

    async def send(self, message: Message, /, *, time: datetime) -> Outcome:
        """Calls the function once."""
        returned = await asyncio.to_thread(self._call, event_of(message.id, message.body))
        if inspect.isawaitable(returned):
            await returned
        return Arrived(note="taken")
