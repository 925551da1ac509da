"""Sends alerts as messages to Slack, or to whatever takes the form of its incoming webhooks, as Mattermost does.

Source of the form: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from router.alerts.post import TIMEOUT_S, checked_address, post
from router.alerts.sink import Outcome
from router.core.alert import Event, Message, event_of

_ESCAPES: Final = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}
"""What Slack reads as markup, mentions among it (https://docs.slack.dev/messaging/formatting-message-text)."""

_VALUE_LONGEST: Final = 200
_LINES_MOST: Final = 20
_SECTION_LONGEST: Final = 3_000
"""Characters that the text of a block may have."""


class SlackSink:
    """Posts alerts to an incoming webhook.

    Args:
        url: of the incoming webhook, which is a secret: whoever knows it may post.
        blocks: whether the message is laid out in blocks; `text` alone is what notifications show.
        allow_hosts, timeout_s, ca_file: as for `WebhookSink`.

    Raises:
        ConfigError: the address is not allowed; it is not shown.
    """

    def __init__(
        self,
        url: str,
        *,
        blocks: bool = False,
        allow_hosts: Sequence[str] = (),
        timeout_s: float = TIMEOUT_S,
        ca_file: str | None = None,
    ) -> None:
        self._address = checked_address(url, allow_hosts=allow_hosts, timeout_s=timeout_s, ca_file=ca_file)
        self._blocks = blocks

    async def send(self, message: Message, /, *, time: datetime) -> Outcome:
        """Posts a message once."""
        said = said_to_slack(event_of(message.id, message.body), blocks=self._blocks)
        return await post(self._address, orjson.dumps(said), {}, time=time)


def said_to_slack(event: Event, /, *, blocks: bool) -> dict[str, Any]:
    """Returns an event in the form of Slack's incoming webhooks.

    Args:
        event: what happened.
        blocks: whether to lay it out in blocks.
    """
    head = f"*{_escaped(event.type)}*"
    if isinstance(text := event.data.get("text"), str):
        head += f": {_escaped(text)}"
    figures = [(name, value) for name, value in event.data.items() if name != "text"]
    lines = [f"{_escaped(name)}: {_escaped(str(value))}" for name, value in figures[:_LINES_MOST]]
    if not blocks:
        return {"text": "\n".join([head, *lines])}
    texts = [head, "\n".join(lines), f"{event.time.isoformat()} · {event.id}"]
    kinds = ("section", "section", "context")
    return {
        "text": head,
        "blocks": [_block(kind, text) for kind, text in zip(kinds, texts, strict=True) if text],
    }


def _block(kind: str, text: str) -> dict[str, Any]:
    inner = {"type": "mrkdwn", "text": text[:_SECTION_LONGEST]}
    return {"type": kind, "elements": [inner]} if kind == "context" else {"type": kind, "text": inner}


def _escaped(text: str) -> str:
    cut = text if len(text) <= _VALUE_LONGEST else f"{text[:_VALUE_LONGEST]}..."
    return cut.translate(_ESCAPES)
