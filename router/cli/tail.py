"""`lowfare tail`: one line per decision, as it is written."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from router.analytics.follow import Entry, Follower, Notice, Record, Wanted
from router.analytics.places import is_store, store_of
from router.cli.asking import pairs
from router.cli.logs import log_path
from router.cli.terminal import dollars, err, out, seconds, shown
from router.errors import ConfigError


def run(
    log: Path | None,
    *,
    config: Path | None,
    last: int,
    models: Sequence[str],
    tags: Sequence[str],
    failed: bool,
    interval_s: float,
    follow: bool,
    as_json: bool,
) -> None:
    """Prints the last decisions, and then those that come, until it is interrupted."""
    path = log_path(log, config)
    if not path.exists() and not is_store(store_of(path)):
        if not follow:
            raise ConfigError(f"{path}: there is no such log; name a log file, or a folder with *.jsonl files")
        err().print(f"{path}: there is no such log yet; waiting for it", soft_wrap=True)
    follower = Follower(path, wanted=wanted(models, pairs(tags, "--tag"), failed=failed))
    for entry in follower.last(last):
        _print(entry, as_json=as_json)
    while follow:
        for found in follower.new():
            _print(found, as_json=as_json)
        time.sleep(interval_s)


def wanted(models: Sequence[str], tags: Mapping[str, str], *, failed: bool) -> Wanted:
    """Returns which decisions are to be seen: those for which all that is stated holds.

    Args:
        models: names or ids; one of them answered, or was asked.
        tags: the request had all of them.
        failed: its caller got no answer.
    """
    named = frozenset(models)

    def takes(record: Record) -> bool:
        return (
            (not named or not named.isdisjoint(_models(record)))
            and all((record.get("tags") or {}).get(name) == value for name, value in tags.items())
            and (not failed or _failed(record))
        )

    return takes


def line_of(record: Record) -> Text:
    """Returns a decision in one line: time, trace, model, cost, latency, source, ending, tags."""
    cost = record.get("cost_usd")
    cells = [
        (_time(record), "dim"),
        (str(record.get("trace_id"))[:8], "dim"),
        (f"{_plain(record.get('model') or '-'):16}", "bold"),
        (f"{dollars(cost):>10}", ""),
        (f"{seconds(record.get('latency_s')):>8}", ""),
        (f"{'' if record.get('cache', 'none') == 'none' else _plain(record['cache']):6}", "cyan"),
        (_plain(record.get("ending") or "-"), "red" if _failed(record) else "green"),
        (" ".join(f"{_plain(name)}={_plain(value)}" for name, value in (record.get("tags") or {}).items()), ""),
    ]
    line = Text("  ").join(Text(text, style=style) for text, style in cells)
    line.rstrip()
    return line


def _print(found: Entry | Notice, *, as_json: bool) -> None:
    if isinstance(found, Notice):
        err().print(shown(found.text), soft_wrap=True)
    elif as_json:
        sys.stdout.write(found.line.decode(errors="replace") + "\n")
    else:
        out().print(line_of(found.record), soft_wrap=True)
    sys.stdout.flush()


def _models(record: Record) -> set[str]:
    attempts = record.get("attempts") or ()
    hit = (record.get("lookup") or {}).get("hit") or {}
    named = [record, hit, *attempts]
    return {str(part[key]) for part in named for key in ("model", "model_id") if part.get(key) is not None}


def _failed(record: Record) -> bool:
    return record.get("model") is None or record.get("ending", "answer") != "answer"


def _time(record: Record) -> str:
    """Returns the time without its fraction and zone, which is UTC."""
    return _plain(str(record.get("time") or "-")[:19].replace("T", " "))


def _plain(value: Any) -> str:
    return " ".join(shown(str(value)).split()) or "-"
