from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import lowfare, parsed, words
from tests.cli.test_explain import TRACE, ask, logged

UNKNOWN = "f" * 32


def written(folder: Path, *labels: object) -> Path:
    """Writes a file with labels."""
    file = folder / "labels.jsonl"
    file.write_text("".join(json.dumps(label) + "\n" for label in labels))
    return file


def test_labels_are_taken_and_told(tmp_path: Path) -> None:
    """The command says how many were taken and which traces the log lacks; `explain` then tells what was said."""
    config, log = logged(tmp_path)
    ask(config)
    file = written(
        tmp_path,
        {"trace_id": TRACE, "adequate": False, "score": 0.25, "source": "judge"},
        {"trace_id": UNKNOWN, "adequate": True},
        {"trace_id": TRACE, "score": 3},
    )
    result = lowfare("label", file, "--config", config)
    assert result.exit_code == 0
    assert "labels taken: 2" in result.stdout
    assert f"left out, since their traces are not in {log}: 1 ({UNKNOWN})" in words(result.stdout)
    told = words(lowfare("explain", TRACE, "--config", config).stdout)
    assert "Labels judge inadequate score 0.25 2" in told
    assert "user score 3 2" in told
    assert "simulated/small, window 8,000" in told
    record = parsed(lowfare("explain", TRACE, "--config", config, "--json"))
    assert [(label["source"], label["adequate"]) for label in record["labels"]] == [("judge", False), ("user", None)]


def test_as_json(tmp_path: Path) -> None:
    """With `--json` the counts come as an object; where no trace at all is known, the exit code is 1."""
    config, log = logged(tmp_path)
    ask(config)
    known, unknown = {"trace_id": TRACE, "adequate": True}, {"trace_id": UNKNOWN, "adequate": True}
    result = lowfare("label", written(tmp_path, known), "--log", log, "--json")
    assert (result.exit_code, parsed(result)) == (0, {"taken": 1, "unknown": 0, "unknown_trace_ids": []})
    result = lowfare("label", written(tmp_path, unknown), "--log", log, "--json")
    assert (result.exit_code, parsed(result)) == (1, {"taken": 0, "unknown": 1, "unknown_trace_ids": [UNKNOWN]})


def test_a_wrong_line_stops_all(tmp_path: Path) -> None:
    """A file with a wrong line is exit code 2, and nothing of it is taken."""
    config, log = logged(tmp_path)
    ask(config)
    result = lowfare("label", written(tmp_path, {"trace_id": TRACE, "adequate": True}, 7), "--log", log)
    assert (result.exit_code, "line 2: is no JSON object" in words(result.stderr)) == (2, True)
    assert not (tmp_path / "log.labels").exists()


@pytest.mark.parametrize("many", [6, 200])
def test_unknown_traces_are_named_in_short(tmp_path: Path, many: int) -> None:
    """Five of the unknown traces are named."""
    config, _ = logged(tmp_path)
    ask(config)
    file = written(tmp_path, *({"trace_id": f"{n:032x}", "adequate": True} for n in range(1, many + 1)))
    result = lowfare("label", file, "--config", config)
    assert f": {many} ({1:032x}, " in words(result.stdout)
    assert words(result.stdout).endswith(f"{5:032x}, ...)")


def test_labels_that_cannot_be_written(tmp_path: Path) -> None:
    """What stands in the way is told."""
    config, log = logged(tmp_path)
    ask(config)
    (tmp_path / "log.labels").mkdir()
    result = lowfare("label", written(tmp_path, {"trace_id": TRACE, "adequate": True}), "--log", log)
    assert result.exit_code == 1
    assert "cannot be written: Is a directory" in words(result.stderr)
