"""`lowfare compare`: the same prompt to several models at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import RenderableType
from rich.padding import Padding
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from router.cli.asking import Asked, Kept, open_router, settings_of
from router.cli.ending import FAILED, INTERRUPTED
from router.cli.terminal import dollars, err, out, print_json, seconds, shown
from router.core.decision import Decision, total
from router.core.record import attempt_dict
from router.errors import RequestError, RouterError
from router.reply import Reply
from router.router import Router

AT_ONCE = 8
"""Requests under way at a time: enough for any catalog that a person compares, few enough for an account's limits."""
COLUMN_WIDTH = 40
"""Characters that an answer needs in order to be read beside others; with fewer they stand below one another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one model said, or why it said nothing."""

    model: str
    decision: Decision
    reply: Reply | None = None
    error: str | None = None

    def attempt(self) -> dict[str, Any] | None:
        """Returns its one attempt as JSON values; None where the model was not asked."""
        attempts = self.decision.attempts
        return attempt_dict(attempts[-1]) if attempts else None


def run(asked: Asked, models: Sequence[str], *, config: Path | None, as_json: bool, verbose: bool) -> None:
    """Asks every named model, or all of the catalog, and prints what each said."""
    kept = Kept()
    settings = settings_of(config)
    names = list(dict.fromkeys(models)) or list(settings.models)
    if unknown := [name for name in names if name not in settings.models]:
        raise RequestError(f"no model is named {unknown[0]!r}; there are {', '.join(sorted(settings.models))}")
    router = open_router(settings, kept, verbose=verbose)
    try:
        outcomes = asyncio.run(_ask_all(router, asked, names))
    except KeyboardInterrupt:
        cost = total(d.cost_usd for d in kept.decisions)
        err().print(f"interrupted: {len(kept.decisions)} requests ended or given up, {dollars(cost)} in all")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json([_as_values(outcome) for outcome in outcomes])
    else:
        _print(outcomes)
    if any(outcome.reply is None for outcome in outcomes):
        raise typer.Exit(FAILED)


async def _ask_all(router: Router, asked: Asked, names: Sequence[str]) -> list[Outcome]:
    turns = asyncio.Semaphore(AT_ONCE)
    console = err()
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        task = progress.add_task(f"0 of {len(names)} have answered", total=len(names))
        done = 0

        async def ask(name: str) -> Outcome:
            nonlocal done
            async with turns:
                outcome = await _ask(router, asked, name)
            done += 1
            progress.update(task, description=f"{done} of {len(names)} have answered")
            return outcome

        async with router:
            return list(await asyncio.gather(*map(ask, names)))


async def _ask(router: Router, asked: Asked, name: str) -> Outcome:
    options: Mapping[str, Any] = {**asked.options, "model": name, "attempts": 1, "cache": "off"}
    try:
        reply = await router.acomplete(asked.prompt, **options)
    except RouterError as error:
        if error.decision is None:
            raise  # of the request itself: no model would take it
        return Outcome(model=name, decision=error.decision, error=str(error))
    return Outcome(model=name, decision=reply.decision, reply=reply)


def _as_values(outcome: Outcome) -> dict[str, Any]:
    record = outcome.decision.to_dict()
    return {
        "model": outcome.model,
        "text": None if outcome.reply is None else outcome.reply.text,
        "error": outcome.error,
        "cost_usd": record["cost_usd"],
        "latency_s": record["latency_s"],
        "decision": record,
    }


def _print(outcomes: list[Outcome]) -> None:
    console = out()
    answers: list[RenderableType] = [_answer(outcome) for outcome in outcomes]
    if console.width >= COLUMN_WIDTH * len(outcomes):
        columns = Table(box=None, pad_edge=False, padding=(0, 3, 1, 0), expand=True)
        for outcome in outcomes:
            columns.add_column(Text(outcome.model, style="bold"), ratio=1, overflow="fold")
        columns.add_row(*answers)
        console.print(columns)
    else:
        for outcome, answer in zip(outcomes, answers, strict=True):
            console.print(Text(outcome.model, style="bold"))
            console.print(Padding(answer, (0, 0, 1, 2), expand=False))
    console.print(_figures(outcomes))


def _answer(outcome: Outcome) -> Text:
    if outcome.reply is None:
        return Text(shown(_reason(outcome)), style="red")
    calls = [
        f"{call.function.name}({call.function.arguments})"
        for choice in outcome.reply.choices
        for call in choice.message.tool_calls or ()
    ]
    return Text(shown("\n".join([*([outcome.reply.text] if outcome.reply.text else []), *calls])))


def _reason(outcome: Outcome) -> str:
    """Returns why a model said nothing: the failure of the one attempt, or why it was not asked."""
    attempt = outcome.attempt()
    if attempt is None:
        dropped = (d.reason for d in outcome.decision.slate.dropped if d.name == outcome.model)
        return f"not asked: {next(dropped, outcome.decision.why)}"
    status = "" if attempt["status"] is None else f" ({attempt['status']})"
    return f"{attempt['outcome']}{status}: {attempt['error']}"


def _figures(outcomes: list[Outcome]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("model", overflow="fold")
    for name in ("tokens in", "out", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("cost")
    for outcome in outcomes:
        attempt = outcome.attempt()
        counted = attempt["usage"] if attempt is not None else None
        table.add_row(
            Text(outcome.model, style="bold"),
            f"{counted['input_tokens']:,}" if counted else "-",
            f"{counted['output_tokens']:,}" if counted else "-",
            "-" if attempt is None else seconds(attempt["latency_s"]),
            "not asked" if attempt is None else _cost(attempt),
        )
    return table


def _cost(attempt: Mapping[str, Any]) -> str:
    estimated = " (estimated)" if attempt["billing"] == "estimated" else ""
    return f"{dollars(attempt['cost_usd'])}{estimated}"
