"""Which log a command reads, and what it needs for that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from router.cli.asking import settings_of
from router.cli.terminal import err
from router.errors import ConfigError

EXTRA = ("duckdb", "numpy", "pyarrow")
"""What the extra `analytics` installs."""


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
