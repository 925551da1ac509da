"""`lowfare simulate`: a scenario in virtual time, its figures, and every promise that was broken."""

from __future__ import annotations

import random
import shlex
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import typer
from rich.table import Table
from rich.text import Text

from router.cli.ending import FAILED, ending
from router.cli.terminal import dollars, err, out, print_json, seconds, waiting
from router.errors import RequestError
from router.testing.drawn import random_scenario
from router.testing.report import Report
from router.testing.scenario import RANDOM, Scenario, load_scenario, with_trace
from router.testing.simulation import simulate

SHOWN = 20
"""Broken promises that are listed; `--json` has all of them."""


def run(*, scenario: str, seed: int, trace: Path | None, as_json: bool) -> None:
    """Prints what came of a scenario; a broken promise is a failed command, with the command that repeats it."""
    with ending(as_json=as_json):
        played = _scenario(scenario, seed, trace)
        with waiting("simulating"):
            started_s = time.perf_counter()
            report = simulate(played, seed)
            took_s = time.perf_counter() - started_s
        if not as_json:
            err().print(f"{report.requests:,} requests simulated in {took_s:.1f} s", style="dim")
        tell(report, replay_command(scenario, seed, trace), as_json=as_json)


def replay_command(scenario: str, seed: int, trace: Path | None = None) -> str:
    """Returns the command that runs the same again."""
    words = ["lowfare", "simulate", "--scenario", scenario, "--seed", str(seed)]
    return shlex.join(words if trace is None else [*words, "--trace", str(trace)])


def _scenario(name: str, seed: int, trace: Path | None) -> Scenario:
    if name == RANDOM:
        scenario = random_scenario(random.Random(seed))  # noqa: S311 - a seeded draw, no secret
    elif Path(name).is_file():
        scenario = load_scenario(Path(name))
    else:
        raise RequestError(f"--scenario {name}: there is no such file; '{RANDOM}' draws a scenario from the seed")
    return scenario if trace is None else with_trace(scenario, trace)


def tell(report: Report, replay: str, *, as_json: bool) -> None:
    """Prints the figures, and on stderr what was broken with the command that repeats it.

    Raises:
        typer.Exit: with 1, where a promise was broken.
    """
    if as_json:
        print_json(report.to_dict() | {"replay": replay})
    else:
        _print_figures(report)
    if report.violations:
        _print_violations(report, replay)
        raise typer.Exit(FAILED)


def _print_figures(report: Report) -> None:
    console = out()
    console.print(Text(f"{report.title or 'simulation'}, seed {report.seed}", style="bold"))
    grid = Table.grid(padding=(0, 2))
    success = Text(f"{100 * report.success_share:.2f} % of {report.requests:,} requests", style="bold green")
    grid.add_row("success", success)
    grid.add_row("ended with", _counted(report.outcomes))
    grid.add_row("calls", f"{_counted(report.calls)}; at most {report.calls_most} for one request")
    grid.add_row("of them", _counted(report.fates))
    if report.cost_usd is not None and report.waste_share is not None:
        grid.add_row("cost, by the record", _money(report.cost_usd, report.waste_usd, report.waste_share))
    if report.true_waste_share is not None:
        grid.add_row("cost, in truth", _money(report.true_cost_usd, report.true_waste_usd, report.true_waste_share))
    if report.latency_s:
        grid.add_row("latency", ", ".join(f"{name} {seconds(value)}" for name, value in report.latency_s.items()))
    grid.add_row("longest request", seconds(report.longest_s))
    console.print(grid)
    for load in report.loads:
        share = f"{100 * load.calls / load.offered:.0f} %" if load.offered else "-"
        told = f"{load.offered:,} requests offered, {load.calls:,} calls ({share}), {load.calls_there:,} of them there"
        console.print(Text.assemble((f"trouble {load.trouble}: ", "dim"), told))


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _money(cost_usd: Decimal, waste_usd: Decimal | None, share: float) -> str:
    return f"{dollars(cost_usd)}, {dollars(waste_usd)} of it wasted ({100 * share:.2f} %)"


def _print_violations(report: Report, replay: str) -> None:
    console = err()
    console.print(Text(f"{len(report.violations)} broken promises", style="bold red"))
    for violation in report.violations[:SHOWN]:
        where = f" (trace {violation.trace_id})" if violation.trace_id else ""
        console.print(Text(f"  {violation.rule}: {violation.detail}{where}"), soft_wrap=True)
    if (more := len(report.violations) - SHOWN) > 0:
        console.print(f"  and {more} more; --json lists all")
    console.print(f"repeat it with: {replay}", soft_wrap=True)
