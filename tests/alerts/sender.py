"""What tests of alerts run in processes of their own, to kill them."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta

from router.alerts.alerts import Alerts
from router.alerts.outbox import Outbox
from router.alerts.webhook import WebhookSink
from router.core.alert import Alert


def outbox_at(place: str) -> Outbox:
    """Returns the outbox in a file, or in Redis."""
    if place.startswith("redis://"):
        from router.alerts.outbox_redis import RedisOutbox

        return RedisOutbox(place)
    from router.alerts.outbox_sqlite import SqliteOutbox

    return SqliteOutbox(place)


def raised(number: int, of: str) -> Alert:
    """Returns an alert of its own name, which stands in its data too."""
    now = datetime.now(UTC)
    name = f"{of}/{number}"
    return Alert(name=name, type="budget.threshold", time=now, data={"name": name}, until=now + timedelta(days=1))


def raise_until_killed(place: str, url: str, of: str) -> None:
    """Raises alerts for ever, and prints the name of each when it counts as raised."""
    secret = os.environ["LOWFARE_TEST_SECRET"]
    alerts = Alerts(
        outbox_at(place), ["ops"], lambda: {"ops": WebhookSink(url, secret=secret, allow_hosts=["127.0.0.1"])}
    )
    number = 0
    while True:
        alert = raised(number, of)
        if alerts.fire(alert, to=["ops"]).result():
            print(alert.name, flush=True)  # noqa: T201 - what the test reads
        number += 1


if __name__ == "__main__":
    raise_until_killed(*sys.argv[1:])
