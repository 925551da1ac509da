"""`lowfare backtest`: what a log would have cost under another configuration, and how much of that is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from router.cli.asking import settings_of
from router.cli.ending import FAILED
from router.cli.logs import REASONS, Reading, analytics, log_path, nothing_in
from router.cli.tables import plain, report_lines, report_values
from router.cli.terminal import err, out, print_json
from router.cli.writing import STDOUT, writing
from router.errors import ConfigError, RequestError
from router.setup import setup_of

if TYPE_CHECKING:
    from router.analytics.backtest import Engine
    from router.analytics.backtest_explored import Reward
    from router.analytics.backtest_work import Budgets
    from router.analytics.conditions import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for; names as its options."""

    log: Path | None
    config: Path | None
    policy: str | None
    logged_by: Path | None
    reward: Reward | None
    against: tuple[Path, Path] | None
    fail_if: str | None
    engine: Engine
    processes: int | None
    html: Path | None
    budgets: Budgets


def run(asked: Asked, *, as_json: bool) -> None:
    """Prints what comes of a log; a condition of `--fail-if` that holds is a failed command."""
    with analytics():
        from router.analytics.backtest import backtest
        from router.analytics.backtest_figures import figures_of, names_of
        from router.analytics.backtest_report import report_of
        from router.analytics.backtest_work import Job
        from router.analytics.conditions import condition
        from router.analytics.html import html_of
    if asked.against is not None and asked.config is not None:
        raise RequestError("--config and --against: name either the one configuration to play, or the two to compare")
    configs: tuple[Path | None, ...] = asked.against or (asked.config,)
    settings = [settings_of(path) for path in configs]
    setups = tuple(map(setup_of, settings))
    for one, setup in zip(settings, setups, strict=True):
        if asked.policy is not None and asked.policy not in setup.policies:
            there = ", ".join(sorted(setup.policies))
            raise RequestError(f"--policy {asked.policy!r} is not in {one.origin.file}; there are {there}")
    _check_order(asked)
    fails = None if asked.fail_if is None else condition(asked.fail_if, names_of(compare=len(setups) > 1))
    log = log_path(asked.log, configs[0])
    job = Job(
        setups=setups,
        policy=asked.policy,
        logged_by=None if asked.logged_by is None else setup_of(settings_of(asked.logged_by)),
        compare=len(setups) > 1,
        budgets=asked.budgets,
    )
    with _progress() as (reading, told):
        done = backtest(
            log,
            job,
            reward=asked.reward,
            engine=asked.engine,
            processes=asked.processes,
            told=told,
            reading=reading,
        )
    _check_any(log, done.result.records, done.result.aside)
    figures = figures_of(done)
    about = (("log", str(log)), *(("configuration", one.origin.file) for one in settings))
    about += (("policy", asked.policy or "of each request's own name"),)
    about += (("budgets", _BUDGETS[asked.budgets]),) if any(setup.budgets for setup in setups) else ()
    names = tuple(one.origin.file for one in settings)
    report = report_of(done, figures, names=names, about=about)
    if asked.html is not None:
        with writing(asked.html) as file:
            file.write(html_of(report))
    failed = fails is not None and fails.holds(figures)
    if as_json:
        values = {name: plain(value) for name, value in figures.items()}
        print_json({"figures": values, "failed": None if fails is None else failed, "report": report_values(report)})
    elif asked.html != STDOUT:
        console = out()
        for part in report_lines(report, console.width):
            console.print(part)
    if fails is not None and failed:
        _tell_failed(fails, figures)
        raise typer.Exit(FAILED)


def _check_order(asked: Asked) -> None:
    """Raises a RequestError where requests that must follow one another would not."""
    if asked.budgets == "played" and (asked.engine != "local" or (asked.processes or 1) > 1):
        raise RequestError(
            "--budgets played takes the requests one after the other: leave out --engine ray, and --processes above 1"
        )


_BUDGETS: Final = {
    "logged": "held against what was spent then",
    "played": "played in the order of time, each request after the one before",
}


def _check_any(log: Path, records: int, aside: Mapping[str, int]) -> None:
    """Refuses a log of which every line is no decision; decisions that cannot be replayed are a result."""
    if records == sum(aside.values()) and aside.keys() <= REASONS.keys():
        raise ConfigError(nothing_in(log, aside))


def _tell_failed(fails: Condition, figures: Mapping[str, Decimal | None]) -> None:
    used = ", ".join(f"{name} = {figures[name]}" for name in sorted(fails.names))
    err().print(f"failed: {fails.text} ({used})", style="bold red", soft_wrap=True)


@contextmanager
def _progress() -> Iterator[tuple[Reading, Callable[[int], None]]]:
    """Shows on stderr how much of the log was read, then how many records were played; nothing if it is no terminal."""
    console = err()
    columns = (SpinnerColumn(), TextColumn("records played"), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = progress.add_task("", total=None)
    with Reading("reading") as reading:

        def told(records: int) -> None:
            reading.stop()  # a terminal has place for one of them
            progress.start()
            progress.advance(task, records)

        try:
            yield reading, told
        finally:
            progress.stop()
