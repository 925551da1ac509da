"""`lowfare check`: a configuration, what it comes to, and what somebody will regret."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from router.analytics.dominance import dominated
from router.cli.asking import open_router, settings_of
from router.cli.check_proofs import print_expectations, print_notes, warned_of
from router.cli.ending import FAILED, ending
from router.cli.lookup import age
from router.cli.models import as_values, figures
from router.cli.terminal import dollars, out, print_json
from router.core import statics
from router.core.decision import Decision
from router.core.key import Drop

if TYPE_CHECKING:
    from router.config import Settings
    from router.core.caching import Caching
    from router.router import Router
    from router.setup import Setup
    from router.setup_cache import PlannedCache
    from router.testing.config import Report

SIZES = (100, 1_000, 10_000, 100_000)
"""Input tokens of the requests whose worst case is shown: a question, a page, a report, a book."""

MEANT = frozenset({"max_completion_tokens", "max_tokens", "n", "response_format", "stop", "tool_choice", "tools"})
"""Parameters that every answer depends on; some that leave out others may know why."""

PROBE = "Answer in French. Say nothing of prices."
"""Instructions of which no rule should leave nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something that works and that somebody will regret.

    Attributes:
        kind: one of a fixed set of words, for scripts.
        about: the model or policy, or the table.
        message: what it is, and how to mend it.
    """

    kind: str
    about: str
    message: str


def run(*, config: Path | None, expect: Path | None, strict: bool, max_tokens: int | None, as_json: bool) -> None:
    """Prints what the configuration comes to; one that cannot be loaded, or is not as expected, is a failed check."""
    with ending(as_json=as_json, config_fault=FAILED):
        from router.setup import setup_of
        from router.testing.config import examine

        settings = settings_of(config)
        setup = setup_of(settings)
        report = examine(settings, setup, expect=expect)
        warned = list(warnings(setup, today=datetime.now(UTC).date()))
        warned += [Warned(kind=kind, about=about, message=told) for kind, about, told in warned_of(report)]
        with open_router(settings, deliver=False) as router:
            plans = {name: [_plan(router, name, size, max_tokens) for size in SIZES] for name in sorted(setup.policies)}
        if as_json:
            print_json(_as_values(setup, warned, plans) | report.values())
        else:
            _print(settings, setup, report, plans, max_tokens)
            _print_warnings(warned)
            print_notes(report, out())
        if report.failed or (warned and strict):
            raise typer.Exit(FAILED)


def warnings(setup: Setup, *, today: date) -> Iterator[Warned]:
    """Yields what is not wrong and yet not as it should be.

    Args:
        setup: of the router.
        today: the day that deprecation dates are compared with.
    """
    better = dominated(setup.catalog)
    reachable = {name for policy in setup.policies.values() for name in statics.may_leave(policy, setup.catalog)}
    for name, model in setup.catalog.items():
        if model.key_env is not None and model.client != "simulated" and not os.environ.get(model.key_env):
            yield Warned(kind="no_key", about=name, message=f"{model.key_env} is not set; its calls will be denied")
        if model.deprecated_on is not None:
            yield from _ageing(name, model.deprecated_on, today)
        if model.price is None:
            yield Warned(kind="unpriced", about=name, message="has no known price; its costs will read unknown")
        if model.context_window_tokens is None:
            yield Warned(kind="no_window", about=name, message="has no context_window_tokens; a request may not fit")
        if name not in reachable:
            yield Warned(kind="unused", about=name, message="no policy can leave it; name it in one, or leave it out")
        if name in better:
            yield Warned(
                kind="dominated",
                about=name,
                message=f"{better[name]} is at least as good in quality, window and capabilities, and nowhere dearer",
            )
    if setup.cache is not None:
        yield from _cache_warnings(setup, setup.cache)


def _cache_warnings(setup: Setup, cache: PlannedCache) -> Iterator[Warned]:
    if cache.max_entry_bytes > cache.memory_bytes:
        told = f"max_entry_bytes = {cache.max_entry_bytes} is more than all of memory_bytes = {cache.memory_bytes}"
        yield Warned(kind="cache_size", about="cache", message=told)
    policies: dict[str, list[str]] = {}
    for name, terms in sorted(setup.terms.items()):
        for told in _untimely(cache, terms.caching):
            policies.setdefault(told, []).append(name)
    for told, names in policies.items():
        for name in ["cache"] if len(names) == len(setup.terms) else names:
            yield Warned(kind="cache_times", about=name, message=told)
    for name, terms in sorted(setup.terms.items()):
        if merged := _merged(terms.drop):
            told = f"requests that differ in {merged} share answers: its cache leaves that out of the key"
            yield Warned(kind="cache_key", about=name, message=told)


def _untimely(cache: PlannedCache, terms: Caching | None) -> Iterator[str]:
    """Yields what is odd about the times of a policy's answers."""
    if terms is None or terms.mode == "off":
        return
    if terms.max_age_s is not None and terms.max_age_s > terms.ttl_s:
        yield f"max_age_s = {terms.max_age_s:g} never matters: ttl_s = {terms.ttl_s:g} is over before"
    if cache.make is not None and cache.memory_ttl_s > terms.ttl_s:
        yield (
            f"memory_ttl_s = {cache.memory_ttl_s:g} is more than ttl_s = {terms.ttl_s:g}: what is purged elsewhere is "
            "given here all the same"
        )


def _merged(drop: Drop) -> str:
    """Returns what its rules leave out that no answer is independent of; empty where they leave out no such thing."""
    found = sorted(drop.params & MEANT)
    found += ["their instructions"] if any(not rule.sub("", PROBE).strip() for rule in drop.text) else []
    return ", ".join(found)


def _ageing(name: str, deprecated_on: str, today: date) -> Iterator[Warned]:
    try:
        left = (date.fromisoformat(deprecated_on) - today).days
    except ValueError:
        return
    if left < 0:
        yield Warned(kind="deprecated", about=name, message=f"its provider was to end it on {deprecated_on}")
    elif left <= SOON_DAYS:
        yield Warned(kind="deprecated", about=name, message=f"its provider ends it on {deprecated_on}, in {left} days")


SOON_DAYS = 90


def _plan(router: Router, policy: str, size: int, max_tokens: int | None) -> Decision:
    """Returns what would be decided for a request of so many tokens; a common word with its space is one token."""
    options = {} if max_tokens is None else {"max_tokens": max_tokens}
    return router.plan("word " * size, policy=policy, **options)


def _as_values(setup: Setup, warned: list[Warned], plans: dict[str, list[Decision]]) -> dict[str, Any]:
    return {
        "models": [as_values(model) for model in setup.catalog.values()],
        "policies": [
            {
                "name": name,
                "kind": _kind(policy),
                "models": sorted(statics.may_leave(policy, setup.catalog)),
                "worst_case": [_case(size, plan) for size, plan in zip(SIZES, plans[name], strict=True)],
            }
            for name, policy in sorted(setup.policies.items())
        ],
        "cache": None if setup.cache is None else _cache_values(setup, setup.cache),
        "warnings": [{"kind": w.kind, "about": w.about, "message": w.message} for w in warned],
    }


def _case(size: int, plan: Decision) -> dict[str, Any]:
    record = plan.to_dict()
    live = record["slate"]["live"]
    return {
        "input_tokens": size,
        "models": [entry["model"] for entry in live],
        "expected_usd": live[0]["expected_usd"] if live else None,
        "worst_case_usd": record["worst_case_usd"] if live else None,
    }


def _kind(policy: object) -> str:
    return str(getattr(policy, "kind", type(policy).__name__))


def _print(
    settings: Settings, setup: Setup, report: Report, plans: dict[str, list[Decision]], max_tokens: int | None
) -> None:
    console = out()
    console.print(
        f"{settings.origin.file}: {_count(len(setup.catalog), 'model')}, {_count(len(plans), 'policy', 'policies')}",
        style="bold",
    )
    console.print()
    console.print(figures(setup.catalog, console.width))
    console.print()
    console.print(_policies(setup))
    console.print()
    limit = "the most that each model writes" if max_tokens is None else f"up to {max_tokens:,} tokens out"
    console.print(f"Worst case of one request, by its input tokens; {limit}", style="bold")
    console.print(_cases(plans))
    console.print()
    if settings.cache is not None and setup.cache is not None:
        console.print(_cache(setup, setup.cache, settings.cache.value()))
        console.print()
    print_expectations(report, console)


def _print_warnings(warned: list[Warned]) -> None:
    console = out()
    if not warned:
        console.print("No warnings.", style="green")
        return
    console.print(_count(len(warned), "warning"), style="bold yellow")
    grid = Table.grid(padding=(0, 2))
    for warning in warned:
        grid.add_row(Text("!", style="yellow"), Text(warning.about, style="bold"), Text(warning.message))
    console.print(grid)


def _cache_values(setup: Setup, cache: PlannedCache) -> dict[str, Any]:
    return {
        "backend": cache.backend,
        "key_env": cache.key_env,
        "policies": {name: asdict(t.caching) for name, t in sorted(setup.terms.items()) if t.caching is not None},
    }


def _cache(setup: Setup, cache: PlannedCache, usual: Caching) -> Text:
    """Returns the cache in a line; policies whose terms are not the `usual` ones are named."""
    others = [name for name, terms in sorted(setup.terms.items()) if terms.caching != usual]
    sealed = "not sealed" if cache.key_env is None else f"sealed by {cache.key_env}"
    parts = [cache.backend, f"mode {usual.mode}", f"answers kept for {age(usual.ttl_s)}"]
    parts += ["sampled ones too" if usual.sampled else "at temperature 0 only"]
    parts += [] if cache.make is None else [sealed]
    parts += [f"other terms for {', '.join(others)}"] if others else []
    return Text.assemble(("Cache: ", "bold"), ", ".join(parts))


def _policies(setup: Setup) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("policy", "kind", "models it may leave"):
        table.add_column(name, overflow="fold")
    for name, policy in sorted(setup.policies.items()):
        left = statics.may_leave(policy, setup.catalog)
        models = "all" if len(left) == len(setup.catalog) else ", ".join(left) or "none"
        table.add_row(Text(name, style="bold"), _kind(policy), Text(models))
    return table


def _cases(plans: dict[str, list[Decision]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("policy", overflow="fold")
    table.add_column("in", justify="right", no_wrap=True)
    for name in ("first asked", "expected", "at most"):
        table.add_column(name, overflow="fold")
    for name, decisions in plans.items():
        for size, plan in zip(SIZES, decisions, strict=True):
            case = _case(size, plan)
            first = case["models"][0] if case["models"] else Text("nobody is adequate", style="red")
            amounts = (dollars(case["expected_usd"]), dollars(case["worst_case_usd"])) if case["models"] else ("", "")
            table.add_row(Text(name if size == SIZES[0] else "", style="bold"), f"{size:,}", first, *amounts)
    return table


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
