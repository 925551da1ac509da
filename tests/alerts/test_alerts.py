from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from router.alerts.alerts import Alerts
from router.alerts.outbox import Outbox
from router.alerts.outbox_memory import MemoryOutbox
from router.alerts.outbox_sqlite import SqliteOutbox
from router.alerts.sink import Arrived, Failed, Outcome
from router.core.alert import Message
from router.errors import ConfigError, RouterWarning
from tests.alerts.receiver import alert

PATIENCE_S = 30.0


class Kept:
    """A sink that keeps what it is sent."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.sent: list[str] = []
        self.threads: set[str] = set()

    async def send(self, message: Message, /, *, time: datetime) -> Outcome:
        self.sent.append(message.name)
        self.threads.add(threading.current_thread().name)
        return self.outcomes.pop(0) if self.outcomes else Arrived(note="kept")


class Full(MemoryOutbox):
    """An outbox whose disk is full."""

    async def put(self, *_: Any, **__: Any) -> bool:
        raise OSError("disk full")


def alerts_to(sink: Kept, outbox: Outbox | None = None, **options: Any) -> Alerts:
    """Returns alerts with one destination."""
    return Alerts(MemoryOutbox() if outbox is None else outbox, ["ops"], lambda: {"ops": sink}, **options)


def until(came: Callable[[], object]) -> None:
    """Waits for what another thread does."""
    end = time.monotonic() + PATIENCE_S
    while not came():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def left(alerts: Alerts) -> Sequence[Any]:
    """Returns what stands in the outbox."""
    return asyncio.run(alerts.outbox.deliveries())


def test_an_alert_is_delivered_on_another_thread() -> None:
    """Whoever raises it waits for nothing; the future tells when it is kept, and whether it is new."""
    sink = Kept()
    alerts = alerts_to(sink)
    alerts.start()
    assert alerts.fire(alert("a"), to=["ops"]).result() is True
    assert alerts.fire(alert("a"), to=["ops"]).result() is False
    until(lambda: sink.sent)
    alerts.close()
    assert sink.sent == ["a"]
    assert sink.threads.isdisjoint({threading.current_thread().name})
    assert left(alerts) == []


def test_what_was_just_raised_is_kept_and_tried_when_it_closes() -> None:
    """A program may end right after an alert: it is kept, and sent once, before `close` returns."""
    sink = Kept()
    alerts = alerts_to(sink)
    futures = [alerts.fire(alert(f"{n}"), to=["ops"]) for n in range(20)]
    alerts.close()
    assert all(future.result() for future in futures)
    assert sorted(sink.sent) == sorted(f"{n}" for n in range(20))
    alerts.close()


def test_what_does_not_arrive_stays() -> None:
    """Closing waits for one attempt, not for the next."""
    sink = Kept(Failed(note="500"))
    alerts = alerts_to(sink)
    alerts.fire(alert("a"), to=["ops"]).result()
    alerts.close()
    [delivery] = left(alerts)
    assert (delivery.failures, delivery.note) == (1, "500")


def test_a_later_alert_begins_anew() -> None:
    """What was closed may be used again."""
    sink = Kept()
    alerts = alerts_to(sink)
    for name in ("a", "b"):
        assert alerts.fire(alert(name), to=["ops"]).result()
        alerts.close()
    assert sink.sent == ["a", "b"]


def test_what_is_not_to_deliver_only_keeps() -> None:
    """Alerts may be left to `lowfare alerts deliver`; then no destination is made, and no secret is needed."""

    def refuse() -> dict[str, Kept]:
        raise ConfigError("no secret")

    alerts = Alerts(MemoryOutbox(), ["ops"], refuse, deliver=False)
    assert alerts.fire(alert("a"), to=["ops"]).result()
    alerts.close()
    assert [delivery.message.name for delivery in left(alerts)] == ["a"]
    with pytest.raises(ConfigError, match="no secret"):
        Alerts(MemoryOutbox(), ["ops"], refuse).start()


def test_unknown_destinations_are_refused() -> None:
    """The error says which there are."""
    alerts = alerts_to(Kept())
    with pytest.raises(ConfigError, match=r"no destination 'opps'; allowed: ops \(did you mean 'ops'\?\)"):
        alerts.fire(alert("a"), to=["ops", "opps"])
    with pytest.raises(ConfigError, match="goes to no destination"):
        alerts.fire(alert("a"), to=[])
    with pytest.raises(ValueError, match="not JSON"):
        alerts.fire(alert("a", data={"x": object()}), to=["ops"])


def test_an_outbox_that_is_full_is_told() -> None:
    """The alert is not raised, and whoever raised it may try again."""
    alerts = alerts_to(Kept(), Full(), deliver=False)
    future = alerts.fire(alert("a"), to=["ops"])
    with pytest.raises(OSError, match="disk full"):
        future.result()
    alerts.close()


def test_alerts_may_be_raised_by_a_sink() -> None:
    """Raised on the thread that delivers, an alert holds up nothing."""

    class Raising(Kept):
        async def send(self, message: Message, /, *, time: datetime) -> Outcome:
            if message.name == "a":
                alerts.fire(alert("b"), to=["ops"])
            return await super().send(message, time=time)

    sink = Raising()
    alerts = alerts_to(sink)
    alerts.fire(alert("a"), to=["ops"])
    until(lambda: len(sink.sent) == 2)
    alerts.close()
    assert sink.sent == ["a", "b"]


class Noted(Kept):
    """A sink that notes what it is sent in a file, which forked processes share."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    async def send(self, message: Message, /, *, time: datetime) -> Outcome:
        with self.path.open("a") as file:
            file.write(f"{message.name}\n")
        return await super().send(message, time=time)


def child(alerts: Alerts, name: str) -> None:
    """Raises an alert in a forked process, and ends it in good order."""
    if not alerts.fire(alert(name), to=["ops"]).result():
        raise AssertionError("was raised before")
    alerts.close()


def test_a_forked_child_has_a_thread_of_its_own(tmp_path: Path) -> None:
    """Parent and child raise and deliver on, from the same outbox: whoever comes first delivers, and no one else."""
    sink = Noted(tmp_path / "sent")
    alerts = alerts_to(sink, SqliteOutbox(tmp_path / "outbox.db"))
    assert alerts.fire(alert("parent"), to=["ops"]).result()
    until(lambda: sink.sent)
    process = multiprocessing.get_context("fork").Process(target=child, args=(alerts, "child"))
    process.start()
    process.join(PATIENCE_S)
    assert process.exitcode == 0
    assert alerts.fire(alert("child"), to=["ops"]).result() is False
    assert alerts.fire(alert("after"), to=["ops"]).result() is True
    alerts.close()
    assert sorted(sink.path.read_text().split()) == ["after", "child", "parent"]
    assert left(alerts) == []


def test_a_warning_tells_of_an_alert_that_was_lost() -> None:
    """Whoever does not look at the future is told as well."""
    caught: list[str] = []

    async def raise_it() -> None:
        with pytest.warns(RouterWarning) as warned:
            await asyncio.gather(asyncio.wrap_future(alerts.fire(alert("a"), to=["ops"])), return_exceptions=True)
        caught.extend(str(one.message) for one in warned)

    alerts = alerts_to(Kept(), Full(), deliver=False)
    asyncio.run(raise_it())
    alerts.close()
    assert caught == ["an alert was not raised: the outbox does not take it (OSError)"]
