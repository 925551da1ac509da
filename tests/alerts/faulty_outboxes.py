"""Outboxes that break one promise each, and the check of the suite that must notice it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final

from router.alerts.outbox import Delivery
from router.alerts.outbox_memory import MemoryOutbox
from router.core.alert import Message


class Garbles(MemoryOutbox):
    async def put(self, message: Message, destinations: Collection[str], /, *, now_s: float) -> bool:
        body = message.body.decode().encode("ascii", "replace")
        return await super().put(replace(message, body=body), destinations, now_s=now_s)


class TakesNamesTwice(MemoryOutbox):
    async def put(self, message: Message, destinations: Collection[str], /, *, now_s: float) -> bool:
        return await super().put(replace(message, name=message.id), destinations, now_s=now_s)


class ForgetsArrived(MemoryOutbox):
    async def done(self, delivery: Delivery, /) -> None:
        await super().done(delivery)
        self._own.get().names.pop(delivery.message.name)


class NeverForgets(MemoryOutbox):
    async def put(self, message: Message, destinations: Collection[str], /, *, now_s: float) -> bool:
        return await super().put(replace(message, until_s=None), destinations, now_s=now_s)


class ForgetsMessages(MemoryOutbox):
    async def put(self, message: Message, destinations: Collection[str], /, *, now_s: float) -> bool:
        new = await super().put(message, destinations, now_s=now_s)
        held = self._own.get()
        kept = {k: d for k, d in held.deliveries.items() if d.message.name in held.names and d.due_s > now_s - 86_000}
        held.deliveries.clear()
        held.deliveries.update(kept)
        return new


class GivesToTwo(MemoryOutbox):
    async def claim(self, *args: Any, **options: Any) -> Sequence[Delivery]:
        return await super().claim(*args, **options | {"lease_s": 0.0})


class KeepsLostClaims(MemoryOutbox):
    async def retry(self, delivery: Delivery, /, **options: Any) -> bool:
        kept = self._own.get().deliveries.get((delivery.message.id, delivery.destination))
        return await super().retry(delivery if kept is None else kept, **options)


class MindsWhoIsDone(MemoryOutbox):
    async def done(self, delivery: Delivery, /) -> None:
        kept = self._own.get().deliveries.get((delivery.message.id, delivery.destination))
        if kept is not None and kept.claim == delivery.claim and kept.due_s > delivery.due_s + 1e9:
            await super().done(delivery)


class ForgetsFailures(MemoryOutbox):
    async def retry(self, delivery: Delivery, /, *, failures: int, due_s: float, note: str) -> bool:
        return await super().retry(delivery, failures=0, due_s=due_s, note=note)


class DropsTheDead(MemoryOutbox):
    async def bury(self, delivery: Delivery, /, *, failures: int, note: str) -> bool:
        await self.done(delivery)
        return True


class RevivesAll(MemoryOutbox):
    async def revive(self, *, now_s: float, destination: str | None = None, message_id: str | None = None) -> int:
        return await super().revive(now_s=now_s)


class SendsToTheDisabled(MemoryOutbox):
    async def claim(self, *args: Any, **options: Any) -> Sequence[Delivery]:
        held = self._own.get()
        disabled, held.disabled = held.disabled, {}
        try:
            return await super().claim(*args, **options)
        finally:
            held.disabled = disabled


class ForgetsToEnable(MemoryOutbox):
    async def enable(self, destination: str, /) -> bool:
        return destination in self._own.get().disabled


class ClaimsAll(MemoryOutbox):
    async def claim(
        self, destinations: Collection[str], /, *, now_s: float, lease_s: float, most: int = 16
    ) -> Sequence[Delivery]:
        return await super().claim(destinations, now_s=now_s, lease_s=lease_s)


class SaysTwiceThatItIsNew(MemoryOutbox):
    async def put(self, message: Message, destinations: Collection[str], /, *, now_s: float) -> bool:
        await super().put(message, destinations, now_s=now_s)
        return True


class EmptiesAtTheEnd(MemoryOutbox):
    async def aclose(self) -> None:
        self._own.get().deliveries.clear()


class Raises(MemoryOutbox):
    async def put(self, message: Message, destinations: Collection[str], /, *, now_s: float) -> bool:
        raise KeyError(message.id)


class Hangs(MemoryOutbox):
    async def put(self, message: Message, destinations: Collection[str], /, *, now_s: float) -> bool:
        await asyncio.sleep(30)
        return True


FAULTS: Final = [
    ("keeps_what_was_put", Garbles),
    ("takes_a_name_once", TakesNamesTwice),
    ("takes_a_name_once", ForgetsArrived),
    ("forgets_names_in_time", NeverForgets),
    ("forgets_names_in_time", ForgetsMessages),
    ("gives_each_to_one", GivesToTwo),
    ("gives_each_to_one", KeepsLostClaims),
    ("takes_out_what_arrived", MindsWhoIsDone),
    ("tries_again_in_time", ForgetsFailures),
    ("keeps_the_dead", DropsTheDead),
    ("keeps_the_dead", RevivesAll),
    ("holds_what_is_for_the_disabled", SendsToTheDisabled),
    ("holds_what_is_for_the_disabled", ForgetsToEnable),
    ("claims_no_more_than_asked", ClaimsAll),
    ("is_one_for_all", SaysTwiceThatItIsNew),
    ("closes", EmptiesAtTheEnd),
]
