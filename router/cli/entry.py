"""One stored answer -> what a person reads, and the same as JSON values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from router.cli.lookup import age
from router.cli.story import usage
from router.cli.terminal import dollars, shown
from router.core.caching import Entry
from router.core.money import usd
from router.core.record import failure_dict, usage_dict

_YEAR_9999_S: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def entry_table(entry: Entry, now_s: float) -> Table:
    """Returns what is known of an entry, without what it says.

    Args:
        entry: from the store.
        now_s: the time, in Unix seconds.
    """
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    old_s = now_s - entry.stored_s
    counted = usage_dict(entry.answer.usage) if entry.answer is not None else None
    rows = {
        "key": entry.key,
        "model": f"{entry.model} ({entry.model_id})",
        "stored": f"{_time(entry.stored_s)}, {age(max(0.0, old_s))} ago",
        "expires": f"{ends}, in {age(max(0.0, entry.ttl_s - old_s))}" if (ends := _ends(entry)) else "never",
        "cost": dollars(entry.cost_usd, exact=True),
        "trace": entry.trace_id,
        "tenant": entry.tenant,
        "policy": entry.policy,
        "tags": ", ".join(f"{name}={value}" for name, value in entry.tags.items()) or None,
        "tokens": usage(counted) if counted is not None else "unknown",
    }
    if entry.failure is not None:
        rows |= {"cost": None, "tokens": None, "failure": f"{entry.failure.kind}: a request like it fails at once"}
    for name, value in rows.items():
        if value is not None:
            grid.add_row(name, Text(shown(value)))
    return grid


def entry_values(entry: Entry, now_s: float) -> dict[str, Any]:
    """Returns the same as JSON values."""
    return {
        "key": entry.key,
        "model": entry.model,
        "model_id": entry.model_id,
        "stored": _time(entry.stored_s),
        "age_s": max(0.0, now_s - entry.stored_s),
        "expires": _ends(entry),
        "ttl_s": entry.ttl_s,
        "cost_usd": usd(entry.cost_usd),
        "trace_id": entry.trace_id,
        "tenant": entry.tenant,
        "policy": entry.policy,
        "tags": dict(entry.tags),
        "usage": usage_dict(entry.answer.usage) if entry.answer is not None else None,
        "failure": None if entry.failure is None else entry.failure.kind,
    }


def answer_values(entry: Entry) -> dict[str, Any]:
    """Returns what is stored: choices as OpenAI's API has them, or the failure."""
    if entry.failure is not None:
        return {"failure": failure_dict(entry.failure)}
    choices = entry.answer.choices if entry.answer is not None else ()
    return {
        "choices": [
            {"index": c.index, "message": c.message.to_dict(), "finish_reason": c.finish_reason} for c in choices
        ]
    }


def said(entry: Entry) -> list[str]:
    """Returns what is stored, as lines: of each choice its text and its calls; or the failure's message."""
    if entry.failure is not None:
        return [entry.failure.message]
    lines = []
    for choice in entry.answer.choices if entry.answer is not None else ():
        message = choice.message
        lines += [text for text in (message.content, message.refusal) if text]
        lines += [f"{call.function.name}({call.function.arguments})" for call in message.tool_calls or ()]
    return lines


def _ends(entry: Entry) -> str | None:
    """Returns when it is over; None where no calendar has that day."""
    end_s = entry.stored_s + entry.ttl_s
    return _time(end_s) if end_s < _YEAR_9999_S else None


def _time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")
