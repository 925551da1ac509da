"""How a store in a SQLite file is made: its options, and what is said of a file that is of no use."""

from __future__ import annotations

import inspect
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from router.cache.sqlite import ExistingSqliteStore, SqliteStore
from router.errors import ConfigError
from router.state.sqlite_file import why_not_opened
from router.testing.store_promises import LONG_S
from tests.cache.sqlite_processes import key_of


def test_its_options_are_what_a_table_may_state() -> None:
    """Nothing but what a configuration can say is an option."""
    assert [*inspect.signature(SqliteStore).parameters] == ["path", "max_bytes", "busy_s"]
    assert inspect.signature(ExistingSqliteStore) == inspect.signature(SqliteStore)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"path": 5}, "path is 5"),
        ({"max_bytes": 0}, "max_bytes is 0"),
        ({"max_bytes": "1 GB"}, "max_bytes is '1 GB'"),
        ({"max_bytes": 1.5}, "max_bytes is 1.5"),
        ({"busy_s": True}, "busy_s is True"),
        ({"busy_s": -1.0}, "busy_s is -1.0"),
        ({"busy_s": float("nan")}, "busy_s is nan"),
    ],
)
def test_an_option_of_no_use_is_refused(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    """What would make every call fail is told at once, with the option's name."""
    values: dict[str, Any] = {"path": tmp_path / "cache.db"}
    with pytest.raises(ConfigError, match=told):
        SqliteStore(**values | options)
    assert not any(tmp_path.iterdir())


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A path that is a folder is told as one."""
    with pytest.raises(ConfigError, match="is a folder; write the path of a file in it") as caught:
        SqliteStore(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_place_where_no_file_can_be_is_told(tmp_path: Path) -> None:
    """The error names the path, says what the system said, and what is needed."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="this user can read and write") as caught:
        SqliteStore(tmp_path / "file" / "cache.db")
    assert f"{tmp_path / 'file' / 'cache.db'} cannot be opened" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


def test_a_file_that_others_hold_is_told(tmp_path: Path) -> None:
    """What another process holds up for too long can be tried again, and the error says so."""
    told = why_not_opened(tmp_path / "cache.db", BlockingIOError(11, "another process opens the file"))
    assert str(tmp_path / "cache.db") in told
    assert "another process holds it; end that, or try again" in told


def test_only_a_file_that_exists_can_be_asked_for(tmp_path: Path) -> None:
    """Whoever wants a store that is there already gets no new one."""
    with pytest.raises(ConfigError, match="there is no file") as caught:
        ExistingSqliteStore(tmp_path / "some" / "cache.db")
    assert str(tmp_path / "some" / "cache.db") in str(caught.value)
    assert not any(tmp_path.iterdir())


async def test_a_file_that_exists_is_opened(tmp_path: Path) -> None:
    """What one store put another one finds that wanted the file to be there."""
    made = SqliteStore(tmp_path / "cache.db")
    await made.put(key_of(0), b"value", label=b"", ttl_s=LONG_S)
    store = ExistingSqliteStore(tmp_path / "cache.db", max_bytes=5, busy_s=1)
    assert await store.get(key_of(0)) == b"value"
    await made.aclose()
    await store.aclose()


def test_a_file_of_another_version_is_left_where_it_must_exist(tmp_path: Path) -> None:
    """Whoever only looks removes nothing that another version keeps."""
    path = tmp_path / "cache.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE some (thing)")
    SqliteStore(tmp_path / "ours.db")
    with closing(sqlite3.connect(tmp_path / "ours.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match=r"ours\.db was made by another version of lowfare"):
        ExistingSqliteStore(tmp_path / "ours.db")
    with pytest.raises(ConfigError, match=r"cache\.db is a database of another program"):
        ExistingSqliteStore(path)
