from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from loguru import logger

from router import Event
from router.alerts.called import CalledSink
from router.alerts.log import LogAlerts
from router.alerts.sink import Arrived, Gone
from router.alerts.slack import SlackSink, said_to_slack
from router.core.alert import event_of
from router.errors import ConfigError
from tests.alerts.receiver import Receiver, message

TIME = datetime(2026, 11, 28, tzinfo=UTC)


def event(**data: Any) -> Event:
    """Returns what a message with that data says."""
    return event_of("msg_a", message("a", data=data).body)


async def test_slack_gets_its_own_form() -> None:
    """A text that Slack shows, with what it would take for markup escaped; and no signature, as the address is one."""
    async with Receiver(answers=[200, 410]) as receiver:
        slack = SlackSink(receiver.url, allow_hosts=["127.0.0.1"])
        assert await slack.send(message("a"), time=TIME) == Arrived(note="200")
        assert await slack.send(message("a"), time=TIME) == Gone(note="410, gone")
    assert orjson.loads(receiver.received[0].body) == {
        "text": "*budget.threshold*: 80 % of $5 &lt;spent&gt; &amp; left\nbudget: team\nspent_usd: 4"
    }
    assert "webhook-signature" not in receiver.received[0].headers


def test_slack_may_get_blocks() -> None:
    """The same laid out, with time and id below; an alert without figures has no empty block."""
    said = said_to_slack(event(text="spent", budget="team"), blocks=True)
    assert said["text"] == "*budget.threshold*: spent"
    assert [block["type"] for block in said["blocks"]] == ["section", "section", "context"]
    assert said["blocks"][1]["text"] == {"type": "mrkdwn", "text": "budget: team"}
    assert "msg_a" in said["blocks"][2]["elements"][0]["text"]
    assert len(said_to_slack(event(), blocks=True)["blocks"]) == 2


def test_slack_gets_no_more_than_it_takes() -> None:
    """Long texts and many figures are cut."""
    said = said_to_slack(event(**{f"k{n}": "x" * 900 for n in range(20)}), blocks=True)
    assert all(len(block["text"]["text"]) <= 3_000 for block in said["blocks"][:2])
    assert said_to_slack(event(text="x" * 900), blocks=False)["text"].endswith("x...")


def test_the_address_of_slack_is_not_shown() -> None:
    """Whoever knows it may post."""
    with pytest.raises(ConfigError) as caught:
        SlackSink("http://hooks.slack.com/services/T0/B0/s3cret")
    assert "s3cret" not in str(caught.value)


async def test_the_log_gets_a_line() -> None:
    """A warning with type, text and id; the figures where there is no text."""
    lines: list[str] = []
    handler = logger.add(lines.append, format="{level} {message}")
    try:
        assert await LogAlerts().send(message("a"), time=TIME) == Arrived(note="written")
        await LogAlerts().send(message("b", data={"left_usd": "3"}), time=TIME)
    finally:
        logger.remove(handler)
    assert lines == [
        "WARNING alert budget.threshold: 80 % of $5 <spent> & left (msg_a)\n",
        'WARNING alert budget.threshold: {"left_usd":"3"} (msg_b)\n',
    ]


async def test_functions_are_called_with_the_event() -> None:
    """A plain one in a thread of its own, one of coroutines awaited; options by keyword."""
    seen: list[Any] = []

    def plain(event: Event, *, team: str) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            seen.append((event.id, team))

    async def awaited(event: Event) -> None:
        await asyncio.sleep(0)
        seen.append(event.data["budget"])

    assert await CalledSink(plain, {"team": "ops"}).send(message("a"), time=TIME) == Arrived(note="taken")
    assert await CalledSink(awaited, {}).send(message("a"), time=TIME) == Arrived(note="taken")
    assert seen == [("msg_a", "ops"), "team"]
