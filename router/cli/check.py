"""`lowfare check`: a configuration, what it comes to, and what somebody will regret."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from router.analytics.dominance import dominated
from router.cli.asking import open_router, settings_of
from router.cli.ending import FAILED, ending
from router.cli.models import as_values, figures
from router.cli.terminal import dollars, out, print_json
from router.core import statics
from router.core.decision import Decision

if TYPE_CHECKING:
    from router.router import Router
    from router.setup import Setup

SIZES = (100, 1_000, 10_000, 100_000)
"""Input tokens of the requests whose worst case is shown: a question, a page, a report, a book."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something that works and that somebody will regret.

    Attributes:
        kind: one of a fixed set of words, for scripts.
        about: the model or policy.
        message: what it is, and how to mend it.
    """

    kind: str
    about: str
    message: str


def run(*, config: Path | None, strict: bool, max_tokens: int | None, as_json: bool) -> None:
    """Prints what the configuration comes to; a configuration that cannot be loaded is a failed check."""
    with ending(as_json=as_json, config_fault=FAILED):
        from router.setup import setup_of

        settings = settings_of(config)
        setup = setup_of(settings)
        warned = list(warnings(setup, today=datetime.now(UTC).date()))
        with open_router(settings) as router:
            plans = {name: [_plan(router, name, size, max_tokens) for size in SIZES] for name in sorted(setup.policies)}
        if as_json:
            print_json(_as_values(setup, warned, plans))
        else:
            _print(settings.origin.file, setup, warned, plans, max_tokens)
        if warned and strict:
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
    source: str, setup: Setup, warned: list[Warned], plans: dict[str, list[Decision]], max_tokens: int | None
) -> None:
    console = out()
    console.print(
        f"{source}: {_count(len(setup.catalog), 'model')}, {_count(len(plans), 'policy', 'policies')}", style="bold"
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
    if not warned:
        console.print("No warnings.", style="green")
        return
    console.print(_count(len(warned), "warning"), style="bold yellow")
    grid = Table.grid(padding=(0, 2))
    for warning in warned:
        grid.add_row(Text("!", style="yellow"), Text(warning.about, style="bold"), Text(warning.message))
    console.print(grid)


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
