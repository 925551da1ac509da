"""The SQL files, run over what a report is about."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import duckdb

from router.analytics.report_options import Options, Part, groups_of, scope_of
from router.analytics.statements import statement

_PARAMETER: Final = re.compile(r"\$(\w+)")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """Runs the files of `sql/`.

    In their text `{scope}` stands for the requests of the report, and `{by}` for the columns of its own groups; all
    that a user typed is bound by name.
    """

    connection: duckdb.DuckDBPyConnection = field(repr=False)
    options: Options

    def rows(self, name: str, /, *, sql: Mapping[str, str] | None = None, **values: Any) -> list[Row]:
        """Returns the rows of a file's query, as values by column.

        Args:
            name: of the file.
            sql: texts of our own for further places of the file.
            **values: further parameters.
        """
        self.run(name, sql=sql, **values)
        names = [column[0] for column in self.connection.description or ()]
        return [dict(zip(names, row, strict=True)) for row in self.connection.fetchall()]

    def by_step(self, name: str, steps: Sequence[int], /) -> list[Row]:
        """Returns the rows of a file's query that tells requests by how many of `steps` their input is larger than."""
        step = " + ".join(["0", *(f"(input_tokens > $step_{n})::INTEGER" for n in range(len(steps)))])
        return self.rows(name, sql={"step": step}, **{f"step_{n}": size for n, size in enumerate(steps)})

    def run(self, name: str, /, *, sql: Mapping[str, str] | None = None, **values: Any) -> None:
        """Runs a file's statement."""
        scope, by = scope_of(self.options), groups_of(self.options.by)
        text = statement(name, **{"scope": scope.sql, "by": by.sql, **(sql or {})})
        known = {**scope.values, **by.values, **values}
        used = set(_PARAMETER.findall(text))
        self.connection.execute(text, {name: value for name, value in known.items() if name in used})


__all__ = ["Part", "Queries", "Row"]
