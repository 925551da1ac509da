"""Which log a command reads, and what it needs for that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from router.analytics.report_tables import counted
from router.cli.asking import settings_of
from router.cli.terminal import err
from router.errors import ConfigError

if TYPE_CHECKING:
    import duckdb

EXTRA = ("duckdb", "numpy", "pyarrow")
"""What the extra `analytics` installs."""
REASONS: Final = {"not_json": "not JSON", "not_utf8": "not UTF-8", "no_decision": "JSON, but no decision"}
"""Why a line of a log is no decision, in words."""


def log_path(log: Path | None, config: Path | None) -> Path:
    """Returns the log that is meant.

    Raises:
        ConfigError: none was named, and the configuration has none.
    """
    if log is not None:
        return log
    settings = settings_of(config)
    if settings.log.path is None:
        raise ConfigError(f"{settings.origin.file}: [log] path is not set, so there is no log; name one")
    return Path(settings.log.path)


@contextmanager
def analytics() -> Iterator[None]:
    """Tells what to install where the extra is missing; the modules that need it are imported inside.

    Raises:
        ConfigError: it is missing.
    """
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in EXTRA:
            raise
        raise ConfigError(
            f"logs are read with {error.name}, which is not installed: pip install 'lowfare[analytics]'"
        ) from error


def check_any(connection: duckdb.DuckDBPyConnection, log: Path) -> None:
    """Says what a log has where that is no decision at all.

    Raises:
        ConfigError: it has none.
    """
    if connection.execute("SELECT 1 FROM decisions LIMIT 1").fetchone() is None:
        aside = dict(connection.execute("SELECT reason, lines FROM aside").fetchall())
        raise ConfigError(nothing_in(log, aside))


def nothing_in(log: Path, aside: Mapping[str, int]) -> str:
    """Returns what to say of a log without a decision.

    Args:
        log: its path.
        aside: how many of its lines are none, by reason.
    """
    if not aside:
        return f"{log}: has no decisions: it is empty"
    lines = sum(aside.values())
    commonest = sorted(aside.items(), key=lambda one: (-one[1], one[0]))
    found = ", ".join(f"{count:,} {REASONS[reason]}" for reason, count in commonest)
    return (
        f"{log}: has no decisions: {counted(lines, 'line')} that {'is' if lines == 1 else 'are'} none ({found}); logs "
        f"that other programs wrote come in by `lowfare import`"
    )


class Reading:
    """Shows on stderr how much of a log was read; nothing where stderr is no terminal.

    Args:
        what: is being done: "compacting".
    """

    def __init__(self, what: str) -> None:
        console = err()
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task(what, total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Takes it from the terminal, also where it is gone already."""
        self._bar.stop()

    def __call__(self, done: int, whole: int) -> None:
        """Shows so many bytes of so many."""
        self._bar.update(self._task, completed=done, total=whole)
