"""`lowfare cache`: what a store that processes share holds, and which of it is to go.

These commands open the store and nothing else: no model, no policy, no API key. What each process keeps in its own
memory they cannot see.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from rich.table import Table
from rich.text import Text

from router.cache.cache import Cache, CacheStats, Purged, Selector
from router.cache.sqlite import ExistingSqliteStore, SqliteStore
from router.cache.store import Store
from router.cli.asking import pairs, settings_of
from router.cli.entry import answer_values, entry_table, entry_values, said
from router.cli.lookup import age
from router.cli.terminal import out, print_json, shown
from router.config_errors import config_error
from router.core.caching import Entry
from router.errors import ConfigError, RequestError, RouterError
from router.setup_cache import PlannedCache, made_cache, planned_cache

T = TypeVar("T")

_KEY_DIGITS: Final = 64
_KEY: Final = re.compile(r"[0-9a-f]{8,64}")
"""A content key or the beginning of one; eight digits are unique in any store of a person's."""

_DURATION: Final = re.compile(r"(?P<count>\d+(?:\.\d+)?)(?P<unit>[smhdw]?)")
_UNIT_S: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a purge is asked to take out, as the command line says it; None and empty choose nothing.

    Attributes:
        key: content key or the beginning of one.
        tags: each as NAME=VALUE.
        tenant, model: as in `Selector`.
        older_than: seconds, or a number and one of s, m, h, d, w.
        everything: whether all is meant.
    """

    key: str | None = None
    tags: Sequence[str] = ()
    tenant: str | None = None
    model: str | None = None
    older_than: str | None = None
    everything: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """A cache whose store commands can reach: what is planned, and what opens the store."""

    planned: PlannedCache
    opened: Callable[[], Store]


def run_stats(*, config: Path | None, as_json: bool) -> None:
    """Prints how full the store is."""
    shared = _shared(config)

    async def ask(cache: Cache, _: Store) -> CacheStats:
        return await cache.stats()

    stats = _asked(shared, ask)
    if as_json:
        print_json(
            {
                "backend": shared.planned.backend,
                "entries": stats.entries,
                "size_bytes": stats.size_bytes,
                "by_model": stats.by_model,
                "by_tenant": stats.by_tenant,
                "oldest_s": stats.oldest_s,
                "unreadable": stats.unreadable,
            }
        )
    else:
        _print_stats(stats, shared.planned.backend)


def run_purge(chosen: Chosen, *, config: Path | None, really: bool, as_json: bool) -> None:
    """Takes out what was chosen; unless it is `really` meant, only says what that would be."""
    selector = _selector(chosen)
    shared = _shared(config)

    async def ask(cache: Cache, store: Store) -> tuple[Selector, Purged]:
        key = selector.key if selector.key is None else await _key(selector.key, store)
        meant = replace(selector, key=key)
        return meant, await cache.purge(meant, dry_run=not really)

    meant, purged = _asked(shared, ask)
    if as_json:
        print_json(
            {
                "dry_run": purged.dry_run,
                "entries": purged.entries,
                "size_bytes": purged.size_bytes,
                "selector": _as_values(meant),
            }
        )
    else:
        _print_purged(meant, purged, shared.planned.memory_ttl_s)


def run_get(key: str, *, config: Path | None, answer: bool, as_json: bool) -> None:
    """Prints what is known of one stored answer, and the answer itself where that is asked for."""
    begins = _checked_key(key, "KEY")
    shared = _shared(config)

    async def ask(cache: Cache, store: Store) -> Entry:
        whole = await _key(begins, store)
        value = await store.get(whole)
        entry = cache.codec.decode(whole, value) if value is not None else None
        if entry is not None:
            return entry
        told = "no answer is stored under" if value is None else "another version wrote, or another key sealed,"
        raise RouterError(f"{told} {whole}")

    entry, now_s = _asked(shared, ask, unseal=True), time.time()
    if as_json:
        print_json(entry_values(entry, now_s) | ({"answer": answer_values(entry)} if answer else {}))
        return
    out().print(entry_table(entry, now_s))
    if answer:
        out().print()
        for line in said(entry):
            out().print(shown(line), soft_wrap=True)


def duration_s(text: str) -> float:
    """Returns a time as the command line has it: "3600", "90s", "12h", "7d".

    Raises:
        RequestError: it is none.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise RequestError(f"--older-than {text!r}: write seconds, or a number and one of s, m, h, d, w, as in 7d")
    return float(found["count"]) * _UNIT_S[found["unit"]]


def _shared(config: Path | None) -> _Shared:
    """Returns the cache of a configuration, where commands can reach it.

    Raises:
        ConfigError: there is none, it is wrong, or each process has its own.
    """
    settings = settings_of(config)
    file = settings.origin.file
    planned, faults = planned_cache(settings)
    if faults:
        raise config_error(faults, settings.origin)
    if planned is None:
        raise ConfigError(
            f"{file}: has no table [cache], so no answer is stored; this makes a cache: "
            '[cache], backend = "sqlite", path = "cache.sqlite"'
        )
    if planned.make is None:
        raise ConfigError(
            f'{file}: the cache has backend = "{planned.backend}", which is each process\'s own, so that no command '
            'sees it; the program itself may ask Router.cache_stats() and purge(). backend = "sqlite" (one host) and '
            '"redis" (many) are shared, and can be asked here'
        )
    # A store that a command made would be empty: whoever mistyped the path would be told that there are no answers.
    make = ExistingSqliteStore if planned.make is SqliteStore else planned.make
    return _Shared(planned=planned, opened=partial(make, **planned.options))


def _asked(shared: _Shared, ask: Callable[[Cache, Store], Awaitable[T]], *, unseal: bool = False) -> T:
    """Returns what comes of asking the cache and its store, which are opened for it and closed again.

    Args:
        shared: the cache.
        ask: what to ask.
        unseal: whether answers are to be read. Without that the key which they are sealed with need not be there.

    Raises:
        ConfigError: the store's options are of no use, or there is no store yet.
        RouterError: the store cannot be opened or asked, or does not have what was asked for.
    """
    planned = shared.planned if unseal else replace(shared.planned, key_env=None)

    async def asked() -> T:
        store = shared.opened()
        try:
            return await ask(made_cache(planned, time.time, store=store), store)
        finally:
            await store.aclose()

    try:
        return asyncio.run(asked())
    except RouterError:
        raise
    except Exception as error:  # noqa: BLE001 - of any library; its text may hold the address, and that a password
        raise RouterError(
            f"the cache's store (backend {planned.backend!r}) cannot be asked: {type(error).__name__}"
        ) from None


async def _key(begins: str, store: Store) -> str:
    """Returns the stored key that begins so; a whole key as it is.

    Raises:
        RouterError: there is none, or there are several.
    """
    if len(begins) == _KEY_DIGITS:
        return begins
    keys = sorted([row.key async for row in store.scan() if row.key.startswith(begins)])
    if not keys:
        raise RouterError(f"no answer is stored under a key that begins with {begins!r}")
    if len(keys) > 1:
        raise RouterError(f"{begins!r} begins {len(keys)} keys: {', '.join(keys[:5])}; write more of it")
    return keys[0]


def _checked_key(text: str, name: str) -> str:
    key = text.lower()
    if not _KEY.fullmatch(key):
        raise RequestError(f"{name} {text!r}: write a content key, or at least 8 of its 64 hex digits")
    return key


def _selector(chosen: Chosen) -> Selector:
    """Returns what is to be taken out, its key as it was written.

    Raises:
        RequestError: nothing was chosen, or all and something, or it is no key, tag or time.
    """
    tags = pairs(chosen.tags, "--tag") if chosen.tags else None
    if tags is not None and len(tags) < len(chosen.tags):
        raise RequestError("--tag: one tag has one value; purge the others by a command of their own")
    selector = Selector(
        key=_checked_key(chosen.key, "--key") if chosen.key is not None else None,
        tags=tags,
        tenant=chosen.tenant,
        model=chosen.model,
        older_than_s=duration_s(chosen.older_than) if chosen.older_than is not None else None,
    )
    if (selector == Selector()) is not chosen.everything:
        told = "--all is everything: leave it out, or the others" if chosen.everything else "say what is to be purged"
        ways = "--key, --tag, --tenant, --model, --older-than, all of which must hold; or --all"
        raise RequestError(f"{told}; allowed: {ways}")
    return replace(selector, everything=chosen.everything)


def _as_values(selector: Selector) -> dict[str, Any]:
    return {
        "key": selector.key,
        "tags": None if selector.tags is None else dict(selector.tags),
        "tenant": selector.tenant,
        "model": selector.model,
        "older_than_s": selector.older_than_s,
    }


def _print_stats(stats: CacheStats, backend: str) -> None:
    console = out()
    oldest = "" if stats.oldest_s is None else f", the oldest {age(stats.oldest_s)} old"
    console.print(Text(f"{backend}: {_count(stats.entries)}, {size(stats.size_bytes)}{oldest}", style="bold"))
    for name, counts in (("model", stats.by_model), ("tenant", stats.by_tenant)):
        if counts:
            console.print()
            console.print(_counted(name, counts))
    if stats.unreadable:
        console.print()
        console.print(f"{_count(stats.unreadable)} cannot be read: another version's, or not lowfare's; never purged")


def _counted(name: str, counts: Mapping[str, int]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(name, overflow="fold")
    table.add_column("answers", justify="right", no_wrap=True)
    for what, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(Text(shown(what) if what else "none"), f"{count:,}")
    return table


def _print_purged(selector: Selector, purged: Purged, memory_ttl_s: float) -> None:
    console = out()
    named = [f"{name} {value}" for name in ("key", "tenant", "model") if (value := getattr(selector, name)) is not None]
    named += [f"tag {name}={value}" for name, value in (selector.tags or {}).items()]
    named += [f"older than {age(selector.older_than_s)}"] if selector.older_than_s is not None else []
    which = shown(", ".join(named)) or "all"
    what = f"{_count(purged.entries)}, {size(purged.size_bytes)} ({which})"
    if purged.dry_run:
        again = "; nothing was done: the same command with --yes does it" if purged.entries else ""
        console.print(f"would be taken out: {what}{again}", soft_wrap=True)
        return
    console.print(f"taken out: {what}", soft_wrap=True)
    if purged.entries:
        console.print(
            f"processes that have them in memory may give them for {age(memory_ttl_s)} more (memory_ttl_s)",
            style="dim",
            soft_wrap=True,
        )


def _count(entries: int) -> str:
    return "1 answer" if entries == 1 else f"{entries:,} answers"


def size(size_bytes: float) -> str:
    """Returns a size in decimal units: "312 bytes", "4.1 kB", "1.3 GB"."""
    if size_bytes < 1_000:
        return f"{size_bytes:,.0f} bytes"
    for unit in ("kB", "MB"):
        size_bytes /= 1_000
        if size_bytes < 1_000:
            return f"{size_bytes:.1f} {unit}"
    return f"{size_bytes / 1_000:,.1f} GB"
