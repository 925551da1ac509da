from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import lowfare, parsed, words

TABLE = "when_ms,in,output_tokens\n0,10,5\n1000,ten,5\n"
MAPPED = ("--map", "time=when_ms", "--map", "input_tokens=in", "--start", "2026-11-01T00:00:00Z")


def test_a_table(tmp_path: Path) -> None:
    """What was imported is found, rows that could not be read are told with their line, and nothing twice."""
    (file := tmp_path / "t.csv").write_text(TABLE)
    result = lowfare("import", "table", file, "--into", tmp_path / "log", *MAPPED, "--model", "gpt-4.1")
    assert result.exit_code == 0
    assert "1 decisions written to" in words(result.stdout)
    assert "t.csv:3: in: is no count of tokens" in words(result.stderr)
    assert "1 rows could not be read" in words(result.stderr)
    (written,) = (tmp_path / "log").glob("import-table-*.jsonl")
    trace_id = json.loads(written.read_text())["trace_id"]
    told = lowfare("explain", trace_id, "--log", tmp_path / "log")
    assert "gpt-4.1 answered" in words(told.stdout)
    assert "source imported: table" in words(told.stdout)
    again = lowfare("import", "table", file, "--into", tmp_path / "log", *MAPPED)
    assert again.exit_code == 2
    assert "was imported before" in words(again.stderr)


def test_explaining_what_says_next_to_nothing(tmp_path: Path) -> None:
    """A request of unknown model, time and cost is explained as far as it goes."""
    (file := tmp_path / "t.csv").write_text("output_tokens\n5\n")
    lowfare("import", "table", file, "--into", tmp_path / "l.jsonl")
    trace_id = json.loads((tmp_path / "l.jsonl").read_text())["trace_id"]
    told = words(lowfare("explain", trace_id, "--log", tmp_path / "l.jsonl").stdout)
    assert "A model answered" in told
    assert "time unknown" in told
    assert "about unknown tokens" in told
    assert "unknown tokens in, 5 out" in told
    assert "in all unknown" in told


def test_json(tmp_path: Path) -> None:
    """With --json it prints the same for programs."""
    (file := tmp_path / "t.csv").write_text(TABLE)
    done = parsed(lowfare("import", "table", file, "--into", tmp_path / "l.jsonl", *MAPPED[:-2], "--json"))
    assert done["records"] == 0
    assert done["refused"] == 2
    assert [fault["row"] for fault in done["faults"]] == [2, 3]


def test_nothing_that_can_be_read(tmp_path: Path) -> None:
    """A file of which no row is read ends with 1."""
    (file := tmp_path / "x.jsonl").write_text("{}\n")
    assert lowfare("import", "litellm", file, "--into", tmp_path / "log").exit_code == 1


def test_columns_that_are_not_used(tmp_path: Path) -> None:
    """Nobody finds out later that a column was not taken: it is told at once, with the option that takes it."""
    (file := tmp_path / "t.csv").write_text("input_tokens,spent,note\n1,2,3\n")
    result = lowfare("import", "table", file, "--into", tmp_path / "log", "--map", "cost_usd=spent")
    assert f"{file}: columns not used: note; see --map" in words(result.stderr)
    out = parsed(lowfare("import", "table", file, "--into", tmp_path / "other", "--json"))
    assert out["unused_columns"] == ["spent", "note"]
    assert "not used" not in lowfare("import", "table", file, "--into", tmp_path / "x", "--map", "a=b").stderr


def test_options_come_first(tmp_path: Path) -> None:
    """What is wrong with the options is told before that the file was imported already."""
    (file := tmp_path / "t.csv").write_text("input_tokens\n1\n")
    assert lowfare("import", "table", file, "--into", tmp_path / "log").exit_code == 0
    for option, told in (("cost=x", "--map cost: is no field"), ("cost_usd=x", "has no column 'x'")):
        result = lowfare("import", "table", file, "--into", tmp_path / "log", "--map", option)
        assert (result.exit_code, told in words(result.stderr)) == (2, True)


def test_unpriced(tmp_path: Path) -> None:
    """It says how many cost an unknown amount."""
    pair = {"request": {"model": "mine", "messages": []}, "response": {"usage": {"prompt_tokens": 5}}}
    (file := tmp_path / "x.jsonl").write_text(json.dumps(pair) + "\n")
    told = words(lowfare("import", "openai", file, "--into", tmp_path / "log").stdout)
    assert "1 of them at an unknown cost" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("excel",), "'excel' is no format"),
        (("litellm", "--map", "a=b"), "--map is for tables"),
        (("openai", "--start", "2026-01-01"), "--start is for tables"),
        (("litellm", "--requests", "FILE"), "--requests is for openai"),
        (("table", "--map", "a"), "write it as NAME=VALUE"),
        (("table", "--start", "noon"), "is no time"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    """Options that make no sense are refused with what does."""
    (file := tmp_path / "x").write_text("")
    form, *rest = (str(file) if argument == "FILE" else argument for argument in arguments)
    result = lowfare("import", form, file, "--into", tmp_path / "log", *rest)
    assert result.exit_code == 2
    assert message in words(result.stderr)


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    """Where nothing can be written is told."""
    (file := tmp_path / "x.csv").write_text("input_tokens\n1\n")
    result = lowfare("import", "table", file, "--into", file / "log")
    assert result.exit_code == 2
    assert "Not a directory" in words(result.stderr)
