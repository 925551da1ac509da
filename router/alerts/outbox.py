"""The seam between alerts and what keeps them until they have arrived.

A message stands in the outbox once for each destination, from before the alert counts as raised until it has arrived.
Whoever delivers it claims it first, for so long: of several processes one does, and if that dies, another one may claim
it when the time is over. So a message arrives at least once; where it arrives twice it has the same id.

What was tried often enough is dead: kept, listed, and sent again when somebody says so. A destination that is disabled
keeps what is for it, and gets it when somebody enables it. Nothing is deleted but what has arrived.

Times are Unix seconds, told by the caller. Processes that share an outbox should agree on them within some seconds.
`router.testing.check_outbox` is the conformance suite of every outbox.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from router.core.alert import Message

GRACE_S: Final = 86_400.0
"""How long a name is kept after the time until which it counts: clocks differ, and a slow process may come late."""

NOTE_LONGEST: Final = 300
"""Characters of a note that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message on its way to one destination.

    Attributes:
        message: what is to arrive.
        destination: its name.
        failures: how many attempts failed.
        due_s: when it is to be tried; of one that is claimed, when the claim is over.
        note: what came of the last attempt, in words.
        dead: whether it was tried often enough.
        claim: whose it is; empty where it is nobody's.
    """

    message: Message
    destination: str
    failures: int = 0
    due_s: float = 0.0
    note: str = ""
    dead: bool = False
    claim: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disabled:
    """Why nothing is sent to a destination, and since when (Unix seconds)."""

    since_s: float
    note: str


class Outbox(Protocol):
    """Keeps messages until they have arrived. Every method may be called from any thread, event loop and process."""

    async def put(self, message: Message, destinations: Collection[str], /, *, now_s: float) -> bool:
        """Keeps a message for each destination, due at once; returns whether its name is new.

        Where it is not, nothing is changed. When this returns, the message is kept whatever becomes of this process.
        """
        ...

    async def claim(
        self, destinations: Collection[str], /, *, now_s: float, lease_s: float, most: int = 16
    ) -> Sequence[Delivery]:
        """Claims what is due for these destinations, for so many seconds; at most so many, each as it is kept.

        Neither what is dead, nor what another one has claimed and may still be at, nor what is for a disabled one.
        """
        ...

    async def next_s(self, destinations: Collection[str], /) -> float | None:
        """Returns when the next message for these is due, or its claim over; None where nothing is to be sent."""
        ...

    async def done(self, delivery: Delivery, /) -> None:
        """Takes out what has arrived, whoever has claimed it by now."""
        ...

    async def retry(self, delivery: Delivery, /, *, failures: int, due_s: float, note: str) -> bool:
        """Gives up the claim, to try again at `due_s`; changes nothing and returns False where the claim is lost."""
        ...

    async def bury(self, delivery: Delivery, /, *, failures: int, note: str) -> bool:
        """Keeps it as dead; changes nothing and returns False where the claim is lost."""
        ...

    async def disable(self, destination: str, /, *, now_s: float, note: str) -> None:
        """Lets nothing be claimed for a destination until it is enabled; what is for it, and what comes, is kept."""
        ...

    async def enable(self, destination: str, /) -> bool:
        """Lets messages for a destination be claimed again; returns whether it was disabled."""
        ...

    async def revive(self, *, now_s: float, destination: str | None = None, message_id: str | None = None) -> int:
        """Makes what is dead due at once, with no failures; returns how many there were.

        Args:
            now_s: the time.
            destination: only what is for this one.
            message_id: only this message.
        """
        ...

    async def deliveries(self) -> Sequence[Delivery]:
        """Returns all that has not arrived, dead or not, in the order of their time."""
        ...

    async def disabled(self) -> Mapping[str, Disabled]:
        """Returns the disabled destinations, by name."""
        ...

    async def aclose(self) -> None:
        """Closes the connections that belong to the running event loop, and whatever belongs to all of them."""
        ...
