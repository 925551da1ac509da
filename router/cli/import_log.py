"""`lowfare import`: logs that other programs wrote, and traces, as a log of decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import typer

from router.analytics.import_litellm import read_litellm
from router.analytics.import_openai import OpenAIImporter
from router.analytics.import_table import PRESETS, TableImporter
from router.analytics.importing import Done, Importer, import_log
from router.analytics.report_prices import Prices
from router.cli.asking import pairs
from router.cli.ending import FAILED
from router.cli.logs import Reading
from router.cli.terminal import err, out, print_json
from router.core.naming import allowed
from router.errors import ConfigError, RequestError
from router.prices.litellm_map import load_price_map

FORMATS: Final = ("litellm", "openai", "table", *PRESETS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says of the file.

    Attributes:
        mapped: each as FIELD=COLUMN.
        model: of rows that name none.
        start: when time 0 was.
        requests: a batch's input.
    """

    mapped: tuple[str, ...] = ()
    model: str | None = None
    start: str | None = None
    requests: Path | None = None


def run(form: str, file: Path, *, into: Path, options: Options, as_json: bool) -> None:
    """Imports the file and prints what became of it."""
    prices = Prices(price_map=load_price_map())
    importer = _importer(form, options, prices)
    try:
        unused = importer.unused(file) if isinstance(importer, TableImporter) else ()
        with Reading("importing") as progress:
            done = import_log(file, into, source=form, importer=importer, prices=prices, progress=progress)
    except OSError as error:
        raise ConfigError(f"{error.filename or file}: {error.strerror or error}") from error
    if as_json:
        print_json(_values(done, unused))
    else:
        _print(done, file)
    if unused:
        err().print(f"{file}: columns not used: {', '.join(unused)}; see --map", soft_wrap=True)
    if done.refused and not done.records:
        raise typer.Exit(FAILED)


def _print(done: Done, file: Path) -> None:
    out().print(f"{done.records:,} decisions written to {done.path}", soft_wrap=True)
    if done.unpriced:
        out().print(f"{done.unpriced:,} of them at an unknown cost: no price, or no tokens", soft_wrap=True)
    for number, reason in done.faults:
        err().print(f"{file}:{number}: {reason}", soft_wrap=True)
    if done.refused:
        err().print(f"{file}: {done.refused:,} rows could not be read", soft_wrap=True)


def _importer(form: str, options: Options, prices: Prices) -> Importer:
    if form not in FORMATS:
        raise RequestError(f"{form!r} is no format; {allowed(form, FORMATS, none='')}")
    is_table = form == "table" or form in PRESETS
    for name, given in (("--map", options.mapped), ("--model", options.model), ("--start", options.start)):
        if given and not is_table:
            raise RequestError(f"{name} is for tables; {form} says it itself")
    if options.requests is not None and form != "openai":
        raise RequestError("--requests is for openai: the input of a batch whose output is imported")
    if form == "litellm":
        return read_litellm
    if form == "openai":
        return OpenAIImporter(prices=prices, requests=options.requests)
    return TableImporter(
        columns=pairs(options.mapped, "--map"),
        model=options.model,
        start=None if options.start is None else _time(options.start),
        preset=PRESETS.get(form),
    )


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise RequestError(f"--start {text!r} is no time; write it as 2026-11-01T00:00:00Z") from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _values(done: Done, unused: Sequence[str]) -> Mapping[str, Any]:
    return {
        "path": str(done.path),
        "records": done.records,
        "unpriced": done.unpriced,
        "refused": done.refused,
        "faults": [{"row": number, "reason": reason} for number, reason in done.faults],
        "unused_columns": list(unused),
    }
