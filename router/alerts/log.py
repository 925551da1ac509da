"""Writes alerts into the people's log."""

from __future__ import annotations

from datetime import datetime

import orjson
from loguru import logger

from router.alerts.sink import Arrived, Outcome
from router.core.alert import Message, event_of


class LogAlerts:
    """Writes a WARNING through loguru for each alert."""

    async def send(self, message: Message, /, *, time: datetime) -> Outcome:
        """Writes the line."""
        event = event_of(message.id, message.body)
        text = event.data.get("text") or orjson.dumps(event.data).decode()
        logger.bind(alert_id=event.id).warning("alert {}: {} ({})", event.type, text, event.id)
        return Arrived(note="written")
