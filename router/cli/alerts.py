"""`lowfare alerts`: what has not arrived, and whether it would.

These commands open the outbox and nothing else: no model, no API key; a destination's secret only where they send.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import typer
from rich.table import Table
from rich.text import Text

from router.alerts.courier import Courier, Delivered
from router.alerts.outbox import Delivery, Disabled, Outbox
from router.alerts.outbox_memory import MemoryOutbox
from router.alerts.outbox_sqlite import SqliteOutbox
from router.alerts.sink import Arrived, Failed, Gone, Outcome
from router.cli.asking import settings_of
from router.cli.ending import FAILED
from router.cli.lookup import age
from router.cli.terminal import out, print_json, shown
from router.clock import SystemClock
from router.config_errors import config_error
from router.core.alert import Alert, event_of, message_of
from router.core.naming import allowed
from router.errors import ConfigError, RequestError, RouterError
from router.setup_destinations import PlannedAlerts, made_outbox, made_sink, made_sinks, planned_alerts

T = TypeVar("T")

_WORDS: Mapping[type[Outcome], str] = {Arrived: "arrived", Failed: "failed", Gone: "gone"}


def run_list(*, config: Path | None, as_json: bool) -> None:
    """Prints what stands in the outbox."""
    planned = _planned(config)

    async def ask(outbox: Outbox) -> tuple[Sequence[Delivery], Mapping[str, Disabled]]:
        return await outbox.deliveries(), await outbox.disabled()

    deliveries, disabled = _asked(planned, ask)
    if as_json:
        print_json(
            {
                "backend": planned.backend,
                "deliveries": [_values(delivery, disabled) for delivery in deliveries],
                "disabled": {name: {"since": _time(one.since_s), "note": one.note} for name, one in disabled.items()},
            }
        )
        return
    console, now_s = out(), time.time()
    dead = sum(delivery.dead for delivery in deliveries)
    console.print(Text(f"{planned.backend}: {_count(len(deliveries) - dead)} on the way, {dead:,} dead", style="bold"))
    for name, one in disabled.items():
        console.print(
            shown(f"{name} is disabled ({one.note}); what is for it is held: lowfare alerts enable {name}"),
            soft_wrap=True,
        )
    if deliveries:
        console.print(_table(deliveries, disabled, now_s))


def run_deliver(*, config: Path | None, follow: bool, as_json: bool) -> None:
    """Sends what is due; goes on where it is to `follow`."""
    planned = _planned(config)
    sinks = made_sinks(planned)

    async def ask(outbox: Outbox) -> Delivered:
        courier = Courier(outbox, sinks, clock=SystemClock(), told=_json_told if as_json else _told)
        if not follow:
            return await courier.drain()
        # How services are stopped; what is on its way is finished, and the exit code is 0.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, courier.stop)
        await courier.follow()
        return Delivered()

    delivered = _asked(planned, ask, begins=follow)
    if not follow and not as_json:
        not_arrived = delivered.failed + delivered.dead + delivered.gone
        out().print(f"{_count(delivered.arrived)} arrived, {not_arrived:,} did not")
    if delivered != Delivered(arrived=delivered.arrived):
        raise typer.Exit(FAILED)


def run_test(name: str, *, config: Path | None, as_json: bool) -> None:
    """Sends a made-up alert to a destination, past the outbox."""
    planned = _planned(config)
    _check(name, planned.destinations)
    sink = made_sink(planned.destinations[name], os.environ)
    message_id = f"msg_{uuid4().hex}"
    now = datetime.now(UTC)
    data = {"text": f"a test of the destination {name}", "destination": name}
    message = message_of(Alert(name=message_id, type="lowfare.test", time=now, data=data), message_id=message_id)
    delivery = Delivery(message=message, destination=name)
    outcome = asyncio.run(Courier(MemoryOutbox(), {name: sink}, clock=SystemClock()).sent(delivery))
    (_json_told if as_json else _told)(delivery, outcome)
    if not isinstance(outcome, Arrived):
        raise typer.Exit(FAILED)


def run_enable(name: str, *, config: Path | None, as_json: bool) -> None:
    """Lets alerts go to a disabled destination again."""
    planned = _planned(config)

    async def ask(outbox: Outbox) -> tuple[bool, int]:
        if name not in planned.destinations:
            _check(name, {*planned.destinations, *await outbox.disabled()})
        enabled = await outbox.enable(name)
        return enabled, sum(one.destination == name and not one.dead for one in await outbox.deliveries())

    enabled, waiting = _asked(planned, ask)
    if as_json:
        print_json({"destination": name, "was_disabled": enabled, "waiting": waiting})
    else:
        said = "is enabled again" if enabled else "was not disabled"
        out().print(f"{name} {said}; {_count(waiting)} on the way to it", soft_wrap=True)


def run_retry(message_id: str | None, *, to: str | None, config: Path | None, as_json: bool) -> None:
    """Makes dead alerts due again."""

    async def ask(outbox: Outbox) -> int:
        return await outbox.revive(now_s=time.time(), destination=to, message_id=message_id)

    revived = _asked(_planned(config), ask)
    if as_json:
        print_json({"revived": revived})
    else:
        out().print(f"{_count(revived)} due again")
    if message_id is not None and not revived:
        raise typer.Exit(FAILED)


def _planned(config: Path | None) -> PlannedAlerts:
    """Returns how alerts go out.

    Raises:
        ConfigError: they do not, or the configuration is wrong.
    """
    settings = settings_of(config)
    planned, faults = planned_alerts(settings)
    if faults:
        raise config_error(faults, settings.origin)
    if planned is None:
        raise ConfigError(
            f"{settings.origin.file}: has no destination, so no alert is sent; this makes one: "
            '[destinations.ops], kind = "webhook", url = "https://...", secret_env = "OPS_SECRET"'
        )
    return planned


def _asked(planned: PlannedAlerts, ask: Callable[[Outbox], Awaitable[T]], *, begins: bool = False) -> T:
    """Returns what comes of asking the outbox, which is opened for it and closed again.

    Args:
        planned: whose outbox.
        ask: what to ask.
        begins: whether it may be made; otherwise whoever mistyped its path would be told that nothing waits.

    Raises:
        ConfigError: its options are of no use, there is none yet, or it is each process's own.
        RouterError: it cannot be asked.
    """
    if planned.make is MemoryOutbox:
        raise ConfigError(
            'the outbox has backend = "memory", which is each process\'s own, so that no command sees it; '
            '"sqlite" (one host) and "redis" (many) are shared'
        )
    if planned.make is SqliteOutbox and not begins and not Path(planned.options["path"]).exists():
        raise ConfigError(f"outbox: there is no file {planned.options['path']}, so nothing waits; is the path right?")

    async def asked() -> T:
        outbox = made_outbox(planned)
        try:
            return await ask(outbox)
        finally:
            await outbox.aclose()

    try:
        return asyncio.run(asked())
    except RouterError:
        raise
    except Exception as error:  # noqa: BLE001 - of any library; its text may hold the address, and that a password
        raise RouterError(f"the outbox (backend {planned.backend!r}) cannot be asked: {type(error).__name__}") from None


def _check(name: str, names: Mapping[str, Any] | set[str]) -> None:
    if name not in names:
        raise RequestError(f"no destination is named {name!r}; {allowed(name, names)}")


def _told(delivery: Delivery, outcome: Outcome) -> None:
    said = f"{delivery.message.id} to {delivery.destination}: {_WORDS[type(outcome)]} ({outcome.note})"
    out().print(shown(said), soft_wrap=True)


def _json_told(delivery: Delivery, outcome: Outcome) -> None:
    values = {"id": delivery.message.id, "destination": delivery.destination}
    print_json(values | {"outcome": _WORDS[type(outcome)], "note": outcome.note})


def _values(delivery: Delivery, disabled: Mapping[str, Disabled]) -> dict[str, Any]:
    return {
        "id": delivery.message.id,
        "name": delivery.message.name,
        "type": event_of(delivery.message.id, delivery.message.body).type,
        "destination": delivery.destination,
        "state": _state(delivery, disabled),
        "failures": delivery.failures,
        "due": _time(delivery.due_s),
        "note": delivery.note,
    }


def _state(delivery: Delivery, disabled: Mapping[str, Disabled]) -> str:
    if delivery.dead:
        return "dead"
    if delivery.destination in disabled:
        return "held"
    return "claimed" if delivery.claim else "waiting"


def _table(deliveries: Sequence[Delivery], disabled: Mapping[str, Disabled], now_s: float) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("id", "to", "type", "state", "failures", "due", "note"):
        table.add_column(column, overflow="fold", justify="right" if column == "failures" else "left")
    for one in deliveries:
        values = _values(one, disabled)
        ahead_s = one.due_s - now_s
        due = "-" if one.dead else f"in {age(ahead_s)}" if ahead_s > 0 else "now"
        cells = (values["id"], one.destination, values["type"], values["state"], f"{one.failures}", due, one.note)
        table.add_row(*(Text(shown(cell)) for cell in cells))
    return table


def _count(alerts: int) -> str:
    return "1 alert" if alerts == 1 else f"{alerts:,} alerts"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
