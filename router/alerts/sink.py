"""Where alerts go, and what comes of sending one there."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from router.core.alert import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """The destination has it.

    Attributes:
        note: what it answered, in words.
    """

    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The destination does not have it, as far as anybody knows; it is sent again.

    Attributes:
        note: why not, in words without a secret.
        retry_after_s: how long the destination asks not to be disturbed.
    """

    note: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """The destination wants nothing any more.

    Attributes:
        note: what it answered, in words.
    """

    note: str


Outcome = Arrived | Failed | Gone


class AlertSink(Protocol):
    """Sends alerts to one destination, which may get the same one again.

    A class is made with the options of its table `[destinations.NAME]`, by keyword.
    """

    def send(self, message: Message, /, *, time: datetime) -> Awaitable[Outcome]:
        """Sends a message once; returns what came of it.

        Called from an event loop, where nothing may wait in any other way. What it raises counts as `Failed`.

        Args:
            message: whose body is JSON, `{type, timestamp, data}`.
            time: of this attempt.
        """
        ...
