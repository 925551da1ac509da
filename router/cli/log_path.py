"""Which log a command reads: the one that is named, else that of the configuration."""

from __future__ import annotations

from pathlib import Path

from router.cli.asking import settings_of
from router.errors import ConfigError


def log_path(log: Path | None, config: Path | None) -> Path:
    """Returns the file or folder.

    Raises:
        ConfigError: none is named, and the configuration has none.
    """
    if log is not None:
        return log
    settings = settings_of(config)
    if settings.log.path is None:
        raise ConfigError(
            f"{settings.origin.file}: [log] path is not set, so there is no log; name one with --log PATH"
        )
    return Path(settings.log.path)


def require_analytics() -> None:
    """Refuses to go on without DuckDB.

    Raises:
        ConfigError: it is not installed; says how to mend that.
    """
    try:
        import duckdb  # noqa: F401 - only to see whether it is there
    except ImportError as error:
        raise ConfigError("reading whole logs needs DuckDB: pip install 'lowfare[analytics]'") from error
