from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from router.analytics.compact import Terms, compact
from tests.analytics.log_lines import aged, ids, line
from tests.cli.command import lowfare, parsed, words, write_config


def test_compact(tmp_path: Path) -> None:
    """It says what became of the log, what was set aside and why, and what was removed."""
    log = tmp_path / "log"
    log.mkdir()
    (log / "a.jsonl").write_bytes(line(1) + b"torn\n[]\n\xff\n" + line(2, schema=9))
    aged(log / "a.jsonl", 100_000)
    result = lowfare("compact", log, "--remove")
    assert result.exit_code == 0
    told = words(result.stdout)
    assert "2 decisions compacted into" in told
    assert "3 lines set aside" in told
    assert "1 JSON, but no decision, 1 not JSON, 1 not UTF-8" in told
    assert "1 JSONL files removed" in told
    assert "1 decisions are of a later schema" in words(result.stderr)
    assert ids(log) == {1: 1, 2: 1}


def test_json(tmp_path: Path) -> None:
    """With --json it prints the same figures for programs; --merge and --into are its options."""
    log = tmp_path / "log.jsonl"
    for number in (1, 2):
        with log.open("ab") as file:
            file.write(line(number))
        done = parsed(lowfare("compact", log, "--into", tmp_path / "store", "--json"))
        assert done == {
            "store": str(tmp_path / "store"), "records": 1, "files": 1, "aside": {}, "newer": 0, "merged": 0,
            "removed": 0,
        }  # fmt: skip
    assert "2 files merged" in words(lowfare("compact", log, "--into", tmp_path / "store", "--merge").stdout)


def test_the_log_of_the_configuration(tmp_path: Path) -> None:
    """Without a log it takes the configuration's, and tells where that names none."""
    config = write_config(tmp_path, f'[log]\npath = "{tmp_path / "log"}"\n')
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "a.jsonl").write_bytes(line(1))
    assert "1 decisions compacted" in words(lowfare("compact", "--config", config).stdout)
    result = lowfare("compact", "--config", write_config(tmp_path))
    assert result.exit_code == 2
    assert "[log] path is not set" in words(result.stderr)


def test_no_log(tmp_path: Path) -> None:
    """A log that is not there, and a store that cannot be written, are told in words."""
    result = lowfare("compact", tmp_path / "missing")
    assert result.exit_code == 2
    assert "there is no such log" in words(result.stderr)
    (tmp_path / "log.jsonl").write_bytes(line(1))
    (tmp_path / "file").write_text("")
    result = lowfare("compact", tmp_path / "log.jsonl", "--into", tmp_path / "file" / "store")
    assert result.exit_code == 2
    assert "Not a directory" in words(result.stderr)


@pytest.mark.parametrize(
    ("missing", "command", "told"),
    [
        (
            "duckdb",
            ("compact", "log.jsonl"),
            "logs are read with duckdb, which is not installed: pip install 'lowfare[a",
        ),
        (
            "pyarrow",
            ("compact", "log.jsonl"),
            "logs are read with pyarrow, which is not installed: pip install 'lowfare[",
        ),
        (
            "duckdb",
            ("explain", f"{1:032x}", "--log", "log.jsonl"),
            "this log was compacted, and duckdb is not installed",
        ),
        (
            "pyarrow",
            ("import", "table", "t.parquet", "--into", "log"),
            "Parquet is read with pyarrow, which is not inst",
        ),
    ],
)
def test_a_missing_extra(tmp_path: Path, missing: str, command: tuple[str, ...], told: str) -> None:
    """Who has not installed the extra is told what to install, and by what it is needed."""
    (tmp_path / "t.parquet").write_bytes(b"")
    (tmp_path / "log.jsonl").write_bytes(line(1))
    compact(tmp_path / "log.jsonl", Terms())
    code = f"import sys; sys.modules[{missing!r}] = None; from router.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert told in words(done.stderr)
