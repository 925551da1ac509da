from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.analytics.log_reader import LogReader
from router.errors import ConfigError


def line(trace_id: str, time: str = "2026-01-01", **more: object) -> str:
    """Returns one record's line."""
    return json.dumps({"trace_id": trace_id, "time": time, **more}) + "\n"


def test_a_file(tmp_path: Path) -> None:
    """Records come in the order of the file; blank lines are nothing."""
    path = tmp_path / "log"
    path.write_text(line("aa") + "\n" + line("bb"))
    reader = LogReader(path)
    assert [record["trace_id"] for record in reader] == ["aa", "bb"]
    assert reader.torn == 0


def test_a_folder(tmp_path: Path) -> None:
    """A folder is read file by file, other files left alone; what is found is sorted by time."""
    (tmp_path / "2.jsonl").write_text(line("aa11", "2026-01-02"))
    (tmp_path / "1.jsonl").write_text(line("bb22") + line("aa12", "2026-01-03"))
    (tmp_path / "notes.txt").write_text(line("cc33"))
    reader = LogReader(tmp_path)
    assert [record["trace_id"] for record in reader] == ["bb22", "aa12", "aa11"]
    assert [record["trace_id"] for record in reader.find("AA1")] == ["aa11", "aa12"]


def test_only_trace_ids_are_looked_at(tmp_path: Path) -> None:
    """A record that holds the digits elsewhere is not found."""
    (tmp_path / "log").write_text(line("bb", key="aa") + line("xaa"))
    assert LogReader(tmp_path / "log").find("aa") == []


@given(cut=st.integers(min_value=1, max_value=20))
def test_torn_lines(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """A torn line is counted, and every whole line is read all the same."""
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_text(line("aa")[:cut] + "\n" + line("bb"))
    reader = LogReader(path)
    assert [record["trace_id"] for record in reader] == ["bb"]
    assert reader.torn == 1


@pytest.mark.parametrize("text", ["[]", "3", '{"trace": 1}', "\ufffd", "{"])
def test_what_is_no_record(tmp_path: Path, text: str) -> None:
    """JSON that is no record counts as torn too."""
    (tmp_path / "log").write_text(text + "\n")
    reader = LogReader(tmp_path / "log")
    assert list(reader) == []
    assert reader.torn == 1


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A log that is not there, or no file, is told by its name."""
    with pytest.raises(ConfigError, match="missing"):
        list(LogReader(tmp_path / "missing"))
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(ConfigError, match=r"folder\.jsonl: the log cannot be read"):
        list(LogReader(tmp_path))
