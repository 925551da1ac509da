"""Requests: when they come, how long they are, and from which file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from pydantic import ValidationError

from router.errors import ConfigError
from router.testing.traffic import Traffic

Kind = Literal["poisson", "constant", "bursts"]


@given(
    kind=st.sampled_from(["poisson", "constant", "bursts"]),
    rate_per_s=st.floats(min_value=0.1, max_value=50),
    duration_s=st.floats(min_value=0.1, max_value=20),
    seed=st.integers(min_value=0, max_value=2**32),
)
def test_arrivals_are_in_order_and_in_time(kind: Kind, rate_per_s: float, duration_s: float, seed: int) -> None:
    """Each has its own trace id; the same seed gives the same ones."""
    traffic = Traffic(kind=kind, rate_per_s=rate_per_s, duration_s=duration_s, burst=5, stream_share=0.5)
    arrivals = traffic.arrivals(seed)
    assert [a.at_s for a in arrivals] == sorted(a.at_s for a in arrivals)
    assert all(0 <= a.at_s < duration_s and a.input_tokens > 0 and a.output_tokens > 0 for a in arrivals)
    assert len({a.trace_id for a in arrivals}) == len(arrivals)
    assert all(len(a.trace_id) == 32 for a in arrivals)
    assert traffic.arrivals(seed) == arrivals


@pytest.mark.parametrize("kind", ["poisson", "constant", "bursts"])
def test_the_rate_is_kept(kind: Kind) -> None:
    """Bursts too have `rate_per_s` on average."""
    assert len(Traffic(kind=kind, rate_per_s=10, duration_s=500).arrivals(3)) == pytest.approx(5000, rel=0.05)


def test_bursts_come_at_once() -> None:
    """`burst` requests at the same moment."""
    arrivals = Traffic(kind="bursts", rate_per_s=1, duration_s=20, burst=10).arrivals(0)
    assert [a.at_s for a in arrivals] == [0.0] * 10 + [10.0] * 10


def test_shares_of_callers() -> None:
    """Some stream, some lose patience, some leave their stream; who does not stream cannot."""
    arrivals = Traffic(rate_per_s=10, duration_s=300, stream_share=0.5, cancel_share=0.2, drop_share=0.5).arrivals(1)
    count = len(arrivals)
    assert sum(a.stream for a in arrivals) / count == pytest.approx(0.5, abs=0.05)
    assert sum(a.patience_s is not None for a in arrivals) / count == pytest.approx(0.2, abs=0.05)
    assert sum(a.pieces is not None for a in arrivals) / count == pytest.approx(0.25, abs=0.05)
    assert all(a.stream for a in arrivals if a.pieces is not None)


def written(path: Path, **columns: list[Any]) -> str:
    """Returns the path of a parquet file with these columns."""
    parquet.write_table(pa.table(columns), path)
    return str(path)


def test_a_trace_is_replayed(tmp_path: Path) -> None:
    """Times and lengths are the file's, sooner by `speed`; the rest is drawn as ever."""
    path = written(tmp_path / "t.parquet", t_s=[0.0, 8.0, 4.0], input_tokens=[100, 300, 200], output_tokens=[1, 3, 2])
    arrivals = Traffic(kind="trace", path=path, speed=2).arrivals(0)
    assert [(a.at_s, a.input_tokens, a.output_tokens) for a in arrivals] == [(0, 100, 1), (2, 200, 2), (4, 300, 3)]
    assert len(Traffic(kind="trace", path=path, requests=2).arrivals(0)) == 2


def test_a_trace_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, no parquet, or without a column: the error names the file and the columns."""
    (tmp_path / "text").write_text("no parquet")
    short = written(tmp_path / "short.parquet", t_s=[0.0])
    for path in (str(tmp_path / "absent"), str(tmp_path / "text"), short):
        with pytest.raises(ConfigError, match=r"is no parquet file with t_s, input_tokens, output_tokens"):
            Traffic(kind="trace", path=path).arrivals(0)


def test_a_trace_without_pyarrow_says_what_to_install() -> None:
    """Who replays no trace needs no pyarrow; who does is told."""
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from router.errors import ConfigError\n"
        "from router.testing.traffic import Traffic\n"
        "try:\n    Traffic(kind='trace', path='x').arrivals(0)\n"
        "except ConfigError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install pyarrow" in done.stdout


@pytest.mark.parametrize("table", [{"kind": "trace"}, {"path": "x.parquet"}])
def test_a_trace_and_its_path_belong_together(table: dict[str, Any]) -> None:
    """One without the other is a mistake."""
    with pytest.raises(ValidationError, match="trace without path"):
        Traffic(**table)
