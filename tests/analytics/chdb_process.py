"""Runs statements on chDB in a process of its own: it keeps its memory, threads and signals to itself.

Reads JSON: statements to run first, and queries with their parameters. Writes a file of Arrow's for each query.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyarrow import ipc  # type: ignore[import-untyped]  # it ships no types

from tests.analytics.brute import Rows

Query = tuple[str, Mapping[str, Any]]
"""A text, and the values of its parameters."""

_PROGRAM = """
import json, pathlib, sys
from chdb.session import Session
task = json.load(sys.stdin)
session = Session()
for statement in task["statements"]:
    session.query(statement)
for number, (text, values) in enumerate(task["queries"]):
    answer = session.query(text, "ArrowStream", params=values)
    pathlib.Path(task["folder"], f"{number}.arrow").write_bytes(answer.bytes())
"""


def answers(folder: Path, statements: Sequence[str], queries: Sequence[Query]) -> list[Rows]:
    """Returns the rows of each query, after the statements."""
    folder.mkdir(exist_ok=True)
    task = json.dumps({"folder": str(folder), "statements": list(statements), "queries": list(queries)})
    command = [sys.executable, "-c", _PROGRAM]
    run = subprocess.run(command, input=task, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return [_rows(folder / f"{number}.arrow") for number in range(len(queries))]


def _rows(file: Path) -> Rows:
    with ipc.open_stream(file.read_bytes()) as stream:
        found: Rows = stream.read_all().to_pylist()
    return found
