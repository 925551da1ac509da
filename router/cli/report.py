"""`lowfare report`: what a log says of cost, time and waste, on the terminal, as JSON, CSV, HTML, or a FOCUS export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from router.analytics.tables import Report, Table
from router.cli.asking import pairs, settings_of
from router.cli.logs import Reading, analytics, check_any, log_path
from router.cli.tables import report_lines, report_values, write_csv, write_csv_files
from router.cli.terminal import err, out, print_json
from router.cli.writing import STDOUT, writing
from router.core.catalog import Model
from router.errors import ConfigError, RequestError

if TYPE_CHECKING:
    from router.analytics.report_options import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What of which requests is to be reported, as the command line says it.

    Attributes:
        where: filters by field, several values of one being alternatives.
        tags: filters of tags, NAME=VALUE.
    """

    since: str | None = None
    until: str | None = None
    where: Mapping[str, Sequence[str]]
    tags: Sequence[str] = ()
    by: Sequence[str] = ()
    baseline: str | None = None
    storm_within_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Where the report goes; to the terminal where none of them is given.

    Attributes:
        csv: a folder for all tables, or where `table` is given, a file for that one; "-" is standard output.
    """

    as_json: bool = False
    html: Path | None = None
    csv: Path | None = None
    table: str | None = None
    focus: Path | None = None


def run(log: Path | None, wanted: Wanted, outputs: Outputs, *, config: Path | None) -> None:
    """Makes the report, and writes it to where it is wanted."""
    if outputs.table is not None and outputs.csv is None and not outputs.as_json:
        raise RequestError("--table names the table for --csv or --json: give one of them too")
    path = log_path(log, config)
    with analytics():
        from router.analytics.focus import write_focus
        from router.analytics.log import opened
        from router.analytics.report import report_of

        options = _options(wanted, config)
        with Reading("reading") as progress, opened(path, progress=progress) as connection:
            check_any(connection, path)
            report = report_of(connection, options, log=str(path))
            if outputs.focus is not None:
                with writing(outputs.focus) as file:
                    charges = write_focus(connection, options, file)
                _tell(f"{charges:,} charges", outputs.focus)
    _write(report, outputs)


def _options(wanted: Wanted, config: Path | None) -> Options:
    from router.analytics.report_options import Options, moment_of
    from router.analytics.report_prices import Prices
    from router.prices.litellm_map import load_price_map

    now = datetime.now(UTC)
    where = [(name, value) for name, values in wanted.where.items() for value in values]
    for tag in wanted.tags:
        where += [(f"tag:{name}", value) for name, value in pairs([tag], "--tag").items()]
    return Options(
        since=None if wanted.since is None else moment_of(wanted.since, now),
        until=None if wanted.until is None else moment_of(wanted.until, now),
        where=tuple(where),
        by=tuple(dict.fromkeys(wanted.by)),
        baseline=wanted.baseline,
        storm_within_s=wanted.storm_within_s,
        prices=Prices(catalog=_catalog(config), price_map=load_price_map()),
    )


def _catalog(config: Path | None) -> Mapping[str, Model]:
    """Returns the models of the configuration; none where there is no configuration, which a report does not need."""
    from router.setup import setup_of

    try:
        settings = settings_of(config)
    except ConfigError:
        if config is not None:
            raise
        return {}
    return setup_of(settings).catalog


def _write(report: Report, outputs: Outputs) -> None:
    if outputs.html is not None:
        from router.analytics.html import html_of

        with writing(outputs.html) as file:
            file.write(html_of(report))
        _tell("the report", outputs.html)
    if outputs.csv is not None:
        _write_csv(report, outputs.csv, outputs.table)
    if outputs.as_json:
        values = report_values(report)
        print_json(values if outputs.table is None else _table_values(report, outputs.table))
    elif outputs.html is None and outputs.csv is None and outputs.focus is None:
        console = out()
        for part in report_lines(report, console.width):
            console.print(part)


def _write_csv(report: Report, to: Path, name: str | None) -> None:
    if name is None:
        if to == STDOUT:
            raise RequestError("--csv - writes one table: name it with --table, or give a folder for all")
        _tell(f"{len(write_csv_files(report, to))} tables", to)
        return
    with writing(to) as file:
        write_csv(_named(report, name), file)
    _tell(f"table {name}", to)


def _table_values(report: Report, name: str) -> object:
    table = _named(report, name)
    sections = report_values(report)["sections"].values()
    return next(section["tables"][name] for section in sections if table.name in section["tables"])


def _named(report: Report, name: str) -> Table:
    tables = {table.name: table for section in report.sections for table in section.tables}
    if name not in tables:
        raise RequestError(f"--table {name}: there is no such table; there are {', '.join(tables)}")
    return tables[name]


def _tell(what: str, path: Path) -> None:
    if path != STDOUT:
        err().print(f"wrote {what} to {path}", style="dim", soft_wrap=True)
