"""The outbox of one process: what has not arrived when the process ends is lost."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from router.alerts.outbox import GRACE_S, NOTE_LONGEST, Delivery, Disabled
from router.core.alert import Message
from router.state.process import PerProcess


class _Held:
    """What is kept, and the lock of whoever looks at it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.names: dict[str, float | None] = {}
        self.deliveries: dict[tuple[str, str], Delivery] = {}
        self.disabled: dict[str, Disabled] = {}


class MemoryOutbox:
    """A `router.alerts.outbox.Outbox` in the memory of this process. A forked child begins with an empty one."""

    def __init__(self) -> None:
        self._own = PerProcess(_Held(), lambda _: _Held())

    async def put(self, message: Message, destinations: Collection[str], /, *, now_s: float) -> bool:
        """Keeps a message for each destination, due at once; returns whether its name is new."""
        held = self._own.get()
        with held.lock:
            over = [name for name, until_s in held.names.items() if until_s is not None and until_s + GRACE_S < now_s]
            for name in over:
                del held.names[name]
            if message.name in held.names:
                return False
            held.names[message.name] = message.until_s
            for destination in destinations:
                delivery = Delivery(message=message, destination=destination, due_s=now_s)
                held.deliveries[message.id, destination] = delivery
            return True

    async def claim(
        self, destinations: Collection[str], /, *, now_s: float, lease_s: float, most: int = 16
    ) -> Sequence[Delivery]:
        """Claims what is due for these destinations, for so many seconds; at most so many."""
        held = self._own.get()
        with held.lock:
            due = [delivery for delivery in _open(held, destinations) if delivery.due_s <= now_s][:most]
            claimed = [replace(delivery, due_s=now_s + lease_s, claim=secrets.token_hex(8)) for delivery in due]
            held.deliveries.update({(one.message.id, one.destination): one for one in claimed})
            return claimed

    async def next_s(self, destinations: Collection[str], /) -> float | None:
        """Returns when the next message for these is due, or its claim over; None where nothing is to be sent."""
        held = self._own.get()
        with held.lock:
            return next((delivery.due_s for delivery in _open(held, destinations)), None)

    async def done(self, delivery: Delivery, /) -> None:
        """Takes out what has arrived, whoever has claimed it by now."""
        held = self._own.get()
        with held.lock:
            held.deliveries.pop((delivery.message.id, delivery.destination), None)

    async def retry(self, delivery: Delivery, /, *, failures: int, due_s: float, note: str) -> bool:
        """Gives up the claim, to try again at `due_s`; changes nothing and returns False where the claim is lost."""
        return self._changed(delivery, failures=failures, due_s=due_s, note=note[:NOTE_LONGEST])

    async def bury(self, delivery: Delivery, /, *, failures: int, note: str) -> bool:
        """Keeps it as dead; changes nothing and returns False where the claim is lost."""
        return self._changed(delivery, failures=failures, note=note[:NOTE_LONGEST], dead=True)

    async def disable(self, destination: str, /, *, now_s: float, note: str) -> None:
        """Lets nothing be claimed for a destination until it is enabled; what is for it, and what comes, is kept."""
        held = self._own.get()
        with held.lock:
            held.disabled.setdefault(destination, Disabled(since_s=now_s, note=note[:NOTE_LONGEST]))

    async def enable(self, destination: str, /) -> bool:
        """Lets messages for a destination be claimed again; returns whether it was disabled."""
        held = self._own.get()
        with held.lock:
            return held.disabled.pop(destination, None) is not None

    async def revive(self, *, now_s: float, destination: str | None = None, message_id: str | None = None) -> int:
        """Makes what is dead due at once, with no failures; returns how many there were."""
        held = self._own.get()
        with held.lock:
            revived = {
                key: replace(one, dead=False, failures=0, due_s=now_s)
                for key, one in held.deliveries.items()
                if one.dead and destination in (None, one.destination) and message_id in (None, one.message.id)
            }
            held.deliveries.update(revived)
            return len(revived)

    async def deliveries(self) -> Sequence[Delivery]:
        """Returns all that has not arrived, dead or not, in the order of their time."""
        held = self._own.get()
        with held.lock:
            return sorted(held.deliveries.values(), key=lambda delivery: delivery.due_s)

    async def disabled(self) -> Mapping[str, Disabled]:
        """Returns the disabled destinations, by name."""
        held = self._own.get()
        with held.lock:
            return dict(held.disabled)

    async def aclose(self) -> None:
        """Has nothing to let go of."""

    def _changed(self, claimed: Delivery, **changes: Any) -> bool:
        held, key = self._own.get(), (claimed.message.id, claimed.destination)
        with held.lock:
            kept = held.deliveries.get(key)
            if kept is None or kept.claim != claimed.claim:
                return False
            held.deliveries[key] = replace(kept, claim="", **changes)
            return True


def _open(held: _Held, destinations: Collection[str]) -> list[Delivery]:
    """Returns what may be sent some time, the most urgent first."""
    wanted = set(destinations) - held.disabled.keys()
    found = [one for one in held.deliveries.values() if not one.dead and one.destination in wanted]
    return sorted(found, key=lambda delivery: delivery.due_s)
