from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from router.cli.tail import line_of
from tests.cli.command import COMMAND, environment, lowfare
from tests.cli.test_process import _interruptible as _interruptible  # noqa: PLC0414 - a fixture for this module too


def record(number: int, **fields: Any) -> dict[str, Any]:
    """Returns what tail shows of a decision."""
    values: dict[str, Any] = {
        "trace_id": f"{number:08x}" + "0" * 24,
        "time": f"2026-11-23T12:00:{number:02}.123456+00:00",
        "model": "small",
        "ending": "answer",
        "cache": "none",
        "cost_usd": "0.000123",
        "latency_s": 0.25,
        "tags": {"team": "support"},
        "attempts": [{"model": "small", "model_id": "simulated/small"}],
    }
    return values | fields


def write(log: Path, *records: dict[str, Any]) -> Path:
    """Appends records to a log."""
    with log.open("a") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    return log


def test_the_last_ones(tmp_path: Path) -> None:
    """One line per decision, in the order of time: when, which, who, what it cost, how long, whence, how it ended."""
    failed = record(3, model=None, ending="bounds", tags={"a": "b c", "n": "x\ny"})
    hit = record(2, cache="memory", cost_usd="0", lookup={"hit": {"model_id": "simulated/large"}})
    log = write(tmp_path / "log.jsonl", record(1), hit, failed)
    result = lowfare("tail", log, "--no-follow")
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "2026-11-23 12:00:01 00000001 small $0.000123 250 ms answer team=support",
        "2026-11-23 12:00:02 00000002 small $0 250 ms memory answer team=support",
        "2026-11-23 12:00:03 00000003 - $0.000123 250 ms bounds a=b c n=x y",
    ]
    assert lowfare("tail", log, "-n", "1", "--no-follow").stdout == result.stdout.splitlines(keepends=True)[-1]
    assert lowfare("tail", log, "-n", "0", "--no-follow").stdout == ""


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--model", "small"], [1, 3]),
        (["--model", "large"], [2]),
        (["--model", "simulated/large", "--model", "other"], [2, 3]),
        (["--tag", "team=support"], [1, 3]),
        (["--tag", "team=support", "--tag", "x=1"], [3]),
        (["--failed"], [3]),
        (["--failed", "--model", "large"], []),
    ],
)
def test_filters(tmp_path: Path, options: list[str], shown: list[int]) -> None:
    """A decision is shown if all filters hold; a model that was asked in vain had a part in it too."""
    large = {"model": "large", "tags": {}, "attempts": [{"model": "large", "model_id": "simulated/large"}]}
    attempts = [{"model": "small"}, {"model": "other"}]
    tried = {"model": None, "ending": "bounds", "tags": {"team": "support", "x": "1"}, "attempts": attempts}
    log = write(tmp_path / "log.jsonl", record(1), record(2, **large), record(3, **tried))
    result = lowfare("tail", log, "--json", "--no-follow", *options)
    assert [int(json.loads(line)["trace_id"][:8], 16) for line in result.stdout.splitlines()] == shown


def test_json_is_the_line_itself(tmp_path: Path) -> None:
    """With `--json` each record comes byte for byte as the log has it."""
    log = tmp_path / "log.jsonl"
    log.write_text('{"trace_id":"a", "odd":  1e3}\n')
    assert lowfare("tail", log, "--json", "--no-follow").stdout == log.read_text()


def test_a_record_of_others(tmp_path: Path) -> None:
    """A record that lacks nearly everything, or drives terminals, is one plain line all the same."""
    assert line_of({"trace_id": "abc"}).plain.split() == ["-", "abc", "-", "unknown", "-", "-"]
    text = line_of(record(1, model="\x1b[2Jx\ny", tags={"\x07": "\n"})).plain
    assert text.isprintable()


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    """Without following, a log that is not there is an error."""
    result = lowfare("tail", tmp_path / "none", "--no-follow")
    assert (result.exit_code, "there is no such log" in result.stderr) == (2, True)


def test_it_follows_until_it_is_interrupted(tmp_path: Path) -> None:
    """It waits for the log, shows what comes to files that appear, says what is odd on stderr; Ctrl-C is exit 130."""
    log = tmp_path / "decisions"
    command: list[str | Path] = [COMMAND, "tail", log, "--interval-s", "0.01"]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "there is no such log yet" in process.stderr.readline()
        log.mkdir()
        for number, name in enumerate(["one.jsonl", "two.jsonl", "one.jsonl"], start=1):
            write(log / name, record(number))
            assert f"{number:08x}" in process.stdout.readline()
        (log / "one.jsonl").write_text("")
        write(log / "one.jsonl", record(9, why="x" * 5))
        assert "00000009" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err.endswith("interrupted\n")
    assert "Traceback" not in err


def test_it_needs_no_duckdb(tmp_path: Path) -> None:
    """Following a log imports nothing that only reports need."""
    log = write(tmp_path / "log.jsonl", record(1))
    code = (
        f"import sys\nsys.argv = ['lowfare', 'tail', {str(log)!r}, '--no-follow']\nfrom router.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint('duckdb' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "False"
