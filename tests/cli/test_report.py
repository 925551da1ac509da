from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path

import pytest

from tests.analytics.records import attempt, hit, marks, record, write_log
from tests.cli.command import lowfare, parsed, words, write_config


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with a bit of everything."""
    failed = attempt(model="large", outcome="timed_out", error="no \x1b[31manswer", usage=None, cost_usd="0.01")
    prefix = record()["features"] | {"prefix": marks("ab")}
    requests = [
        record(key="k", time=n * 3_600, tenant="acme", tags={"team": "a", "session": "s"}, features=prefix)
        for n in range(30)
    ]
    requests += [record(time=5, attempts=[failed, attempt(model="other")]), hit("small", None, "0.25", time=6)]
    return write_log(tmp_path / "log.jsonl", requests)


def test_on_a_terminal(log: Path) -> None:
    """Every section with its findings and tables, in 80 columns, and nothing that drives the terminal."""
    result = lowfare("report", log)
    assert result.exit_code == 0
    text = words(result.stdout)
    for told in ("$0.041 were spent on 32 requests", "By day", "By model", "Failed calls by model", "Waste by kind"):
        assert told in text
    for told in ("Completion ratio", "What a cache would have saved", "15 min", "Input that was sent before"):
        assert told in text
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "\x1b" not in result.stdout


def test_long_tables_are_cut(log: Path) -> None:
    """Of a table the first rows are shown, and how many more there are."""
    text = words(lowfare("report", log, "--by", "hour").stdout)
    assert "By hour" in text
    assert "and 10 more; --json and --csv have all" in text


def test_as_json(log: Path) -> None:
    """All tables by section, money as strings; or the one that was named."""
    report = parsed(lowfare("report", log, "--json"))
    assert report["sections"]["summary"]["tables"]["summary"][0]["cost_usd"] == "0.041"
    assert report["sections"]["days"]["tables"]["by_day"][0]["time"] == "2026-11-01T00:00:00+00:00"
    rows = parsed(lowfare("report", log, "--json", "--table", "by_model"))
    assert {row["model"]: row["requests"] for row in rows} == {"small": 31, "other": 1}


def test_as_csv(log: Path, tmp_path: Path) -> None:
    """One table on stdout or in a file, or all tables in a folder, a file each."""
    rows = list(csv.DictReader(StringIO(lowfare("report", log, "--csv", "-", "--table", "failures").stdout)))
    assert (rows[0]["class"], rows[0]["cost_usd"], rows[0]["unknown_cost"]) == ("timed_out", "0.01", "0")
    one = lowfare("report", log, "--csv", tmp_path / "one.csv", "--table", "by_model")
    assert (one.stdout, (tmp_path / "one.csv").read_text().partition(",")[0]) == ("", "model")
    result = lowfare("report", log, "--csv", tmp_path / "tables")
    assert f"{len(list((tmp_path / 'tables').iterdir()))} tables to" in words(result.stderr)
    with (tmp_path / "tables" / "by_day.csv").open() as file:
        assert [row["requests"] for row in csv.DictReader(file)] == ["26", "6"]


def test_as_focus(log: Path, tmp_path: Path) -> None:
    """The costs as charges in a file of their own, beside the report or alone."""
    path = tmp_path / "focus.csv"
    result = lowfare("report", log, "--focus", path, "--json")
    with path.open() as file:
        charges = list(csv.DictReader(file))
    assert f"wrote {len(charges)} charges to" in words(result.stderr)
    assert json.loads(result.stdout)["title"]
    assert lowfare("report", log, "--focus", path).stdout == ""


def test_as_html(log: Path, tmp_path: Path) -> None:
    """The report as a page in a file."""
    path = tmp_path / "report.html"
    result = lowfare("report", log, "--html", path)
    assert (result.stdout, result.exit_code) == ("", 0)
    assert "wrote the report to" in words(result.stderr)
    assert path.read_text().startswith("<!DOCTYPE html>")


def test_window_and_filters(log: Path) -> None:
    """Only requests in the window that pass every filter count; values of one filter are alternatives."""
    options = ["--since", "2026-11-01T02:00", "--until", "2026-11-02", "--tag", "team=a", "--model", "small"]
    report = parsed(lowfare("report", log, *options, "--tenant", "acme", "--tenant", "zeta", "--json"))
    assert report["about"]["Requests"] == "22"
    assert report["about"]["Window"] == "2026-11-01 02:00 UTC until 2026-11-02 00:00 UTC"
    assert "tag:team=a" in report["about"]["Filters"]


def test_prices_of_the_configuration(log: Path, tmp_path: Path) -> None:
    """A model of the configuration can be the baseline, under its own name."""
    config = write_config(tmp_path)
    report = parsed(lowfare("report", log, "--config", config, "--baseline", "large", "--json"))
    baseline = report["sections"]["summary"]["tables"]["baseline"][0]
    assert (baseline["requests"], baseline["baseline_usd"]) == (31, "0.01116")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--table", "by_model"], "--table names the table for --csv or --json"),
        (["--json", "--table", "nonsense"], "--table nonsense: there is no such table; there are summary, "),
        (["--csv", "-"], "--csv - writes one table: name it with --table"),
        (["--focus", "no/such/folder/focus.csv"], "cannot be written: No such file or directory"),
        (["--since", "2026-11-02", "--until", "2026-11-01"], "which is not before its end at 2026-11-01 00:00:00 UTC"),
        (["--since", "soon"], "'soon' is no time"),
        (["--by", "mood"], "'mood' is no group"),
        (["--tag", "team"], "write it as NAME=VALUE"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_wrong_usage(log: Path, options: list[str], told: str) -> None:
    """What cannot be is refused with exit code 2, and says what can."""
    result = lowfare("report", log, *options)
    assert result.exit_code == 2
    assert told in words(result.stderr)


def test_no_log(tmp_path: Path) -> None:
    """Without a log, or where the configuration has none, the error says what to name."""
    assert "there is no such log" in words(lowfare("report", tmp_path / "none.jsonl").stderr)
    result = lowfare("report", env={"LOWFARE_CONFIG": str(write_config(tmp_path))})
    assert result.exit_code == 2
    assert "[log] path is not set" in words(result.stderr)


@pytest.mark.parametrize("command", ["report", "savings", "backtest"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no decisions: it is empty"),
        ('{"a": 1}\n', "has no decisions: 1 line that is none (1 JSON, but no decision)"),
        (
            "hello\n[1]\nyou\n",
            "has no decisions: 3 lines that are none (2 not JSON, 1 JSON, but no decision)",
        ),
    ],
)
def test_a_log_without_a_decision(tmp_path: Path, command: str, text: str, told: str) -> None:
    """A file that has none is refused, with what was found there, instead of a report of nothing."""
    (log := tmp_path / "log.jsonl").write_text(text)
    result = lowfare(command, log, "--config", write_config(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{log}: {told}" in words(result.stderr)


def test_requests_without_a_time(tmp_path: Path) -> None:
    """They are in no day, and how many there are is told."""
    log = write_log(tmp_path / "log.jsonl", [record(time=None), record(time=5)])
    report = parsed(lowfare("report", log, "--json"))["sections"]["days"]
    assert report["findings"] == ["1 request without a time: in no day."]
    assert [row["requests"] for row in report["tables"]["by_day"]] == [1]


def test_the_log_of_the_demo(tmp_path: Path) -> None:
    """Who has no log yet reports on that of the demo, as docs/report.md says."""
    assert lowfare("demo", "--log", tmp_path / "demo.jsonl").exit_code == 0
    result = lowfare("report", tmp_path / "demo.jsonl")
    assert result.exit_code == 0
    assert "were spent on 7 requests; 100 % of all were answered." in words(result.stdout)


def test_no_formulas(tmp_path: Path) -> None:
    """What a spreadsheet would take for a formula is a text in CSV and FOCUS; figures stay as they are."""
    log = write_log(tmp_path / "log.jsonl", [record(tenant="=HYPERLINK(1)", cost_usd="0.5", baseline_usd="0.25")])
    table = ("--csv", "-", "--table", "by_tenant", "--by", "tenant", "--focus", tmp_path / "focus.csv")
    (row,) = csv.DictReader(StringIO(lowfare("report", log, *table).stdout))
    assert row["tenant"] == "'=HYPERLINK(1)"
    (baseline,) = csv.DictReader(StringIO(lowfare("report", log, "--csv", "-", "--table", "baseline").stdout))
    assert baseline["saved_usd"] == "-0.25"
    with (tmp_path / "focus.csv").open() as file:
        assert {charge["x_Tenant"] for charge in csv.DictReader(file)} == {"'=HYPERLINK(1)"}


def test_log_of_the_configuration(log: Path, tmp_path: Path) -> None:
    """Without a log named the configuration's is read."""
    config = write_config(tmp_path, f'\n[log]\npath = "{log}"\n')
    assert lowfare("report", "--config", config).exit_code == 0
