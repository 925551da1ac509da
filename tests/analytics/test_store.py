from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.analytics.sources import Mark, SourceId
from router.analytics.store import AsideFile, Commit, DataFile, State, Step, commit, read_state


def change(number: int, *, removed: tuple[str, ...] = ()) -> Commit:
    """Returns a commit of one file of each kind."""
    name = f"date=2026-11-01/{number}.parquet"
    return Commit(
        added=(DataFile(name=name, records=number, columns="c", size=10),),
        removed=removed,
        steps=(Step(source=SourceId(f"{number % 3}", "h"), start=0, mark=Mark(number, "t")),),
        aside=(AsideFile(name=f"aside/{number}", reasons={"not_json": 1}),),
        newer=1,
    )


def made(store: Path, change: Commit) -> Commit:
    """Returns a commit whose files are there."""
    for name in change.names:
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).touch()
    return change


@settings(max_examples=8)
@given(count=st.integers(1, 140), gone=st.integers(0, 70))
def test_what_was_committed_is_read(tmp_path_factory: pytest.TempPathFactory, count: int, gone: int) -> None:
    """A store reads as it was left; of commits before a multiple of 64, the newest has all that counts."""
    store = tmp_path_factory.mktemp("store")
    state: State | None = State()
    for number in range(1, count + 1):
        assert state is not None
        removed = (next(iter(state.files)),) if number % 5 == 0 else ()
        state = commit(store, state, made(store, change(number, removed=removed)))
    assert state is not None
    for number in range(1, min(gone, count // 64 * 64 - 1) + 1):
        (store / "_commits" / f"{number:08d}.json").unlink()
    assert read_state(store) == state
    assert state.number == count
    assert state.records == sum(file.records for file in state.files.values())


def test_whoever_comes_second(tmp_path: Path) -> None:
    """Of two commits on the same state one counts, and the other changed nothing, not even a draft."""
    first = commit(tmp_path, State(), made(tmp_path, change(1)))
    assert first is not None
    assert commit(tmp_path, State(), made(tmp_path, change(2))) is None
    assert read_state(tmp_path) == first
    assert [path.name for path in (tmp_path / "_commits").iterdir()] == ["00000001.json"]


def test_files_that_are_gone(tmp_path: Path) -> None:
    """A commit whose files another compaction swept meanwhile does not count, and leaves no draft."""
    with pytest.raises(FileNotFoundError):
        commit(tmp_path, State(), change(1))
    assert read_state(tmp_path) == State()
    assert not list((tmp_path / "_commits").iterdir())
