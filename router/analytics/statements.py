"""The texts of the SQL files: those of DuckDB in `sql/`, of ClickHouse in `sql/clickhouse/`."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

_FOLDER: Final = "router.analytics"


def statement(name: str, /, **places: str) -> str:
    """Returns the text of a file.

    Args:
        name: of the file in `sql/`, without its ending: "groups", "clickhouse/groups".
        **places: what stands where the text has such a name in braces; SQL of our own, never what a user typed.
    """
    text = files(_FOLDER).joinpath("sql", f"{name}.sql").read_text("utf-8")
    for place, part in places.items():
        text = text.replace(f"{{{place}}}", part)
    return text
