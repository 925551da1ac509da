from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from router import ConfigError, RequestError, Router, RouterError
from router.analytics.log_reader import LogReader
from router.config import load
from router.sinks.jsonl import JsonlSink
from router.sinks.log import LogSink
from tests.cli.command import environment, write_config
from tests.core.test_label import TRACE


def labels(file: Path) -> list[dict[str, object]]:
    """Returns the labels of a file."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_feedback_is_kept_beside_a_log_folder(tmp_path: Path) -> None:
    """A label is on disk when `feedback` returns, in a file of this process that no reader of decisions meets."""
    log = tmp_path / "decisions"
    with Router.from_toml(write_config(tmp_path, f'[log]\npath = "{log}"\n')) as router:
        reply = router.complete("Hi")
        router.feedback(reply.trace_id, adequate=True)
        router.feedback(reply.trace_id, adequate=False, score=0.25, source="judge")
        (file,) = (log / "labels").iterdir()
        assert [(x["trace_id"], x["adequate"], x["score"], x["source"]) for x in labels(file)] == [
            (reply.trace_id, True, None, "user"),
            (reply.trace_id, False, 0.25, "judge"),
        ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    reader = LogReader(log)
    assert ([r["trace_id"] for r in reader], reader.torn) == ([reply.trace_id], 0)


def test_feedback_is_kept_beside_a_log_file(tmp_path: Path) -> None:
    """Beside a log of one file its labels have its name and an ending that no reader of a folder takes."""
    log = tmp_path / "mine.jsonl"
    with Router(load(write_config(tmp_path)), sinks=[JsonlSink(log)]) as router:
        trace_id = router.complete("Hi").trace_id
        router.feedback(trace_id, score=3)
    assert labels(tmp_path / "mine.labels")[0]["score"] == 3.0
    reader = LogReader(tmp_path)
    assert ([r["trace_id"] for r in reader], reader.torn) == ([trace_id], 0)


def test_feedback_without_a_log(tmp_path: Path) -> None:
    """Where nothing keeps labels, the error says what to set; a bad label is the caller's fault first."""
    with Router(load(write_config(tmp_path)), sinks=[LogSink()]) as router:
        with pytest.raises(ConfigError, match=r"set \[log\] path"):
            router.feedback(TRACE, adequate=True)
        with pytest.raises(RequestError, match="needs adequate"):
            router.feedback(TRACE)


def test_feedback_that_cannot_be_written(tmp_path: Path) -> None:
    """A label that does not reach the disk is an error, since its caller has nothing else to show for it."""
    (tmp_path / "file").write_text("")
    with (
        Router(load(write_config(tmp_path)), sinks=[JsonlSink(tmp_path / "file" / "log.jsonl")]) as router,
        pytest.raises(RouterError, match=f"JsonlSink lost the label of trace {TRACE}"),
    ):
        router.feedback(TRACE, adequate=True)


def test_the_default_router_takes_feedback(tmp_path: Path) -> None:
    """The module's function gives a label to the default router."""
    config = write_config(tmp_path, f'[log]\npath = "{tmp_path / "log.jsonl"}"\n')
    code = "import router; router.feedback(router.complete('Hi').trace_id, adequate=False)"
    subprocess.run([sys.executable, "-c", code], env=environment(LOWFARE_CONFIG=str(config)), check=True)
    (label,) = labels(tmp_path / "log.labels")
    assert (label["adequate"], label["source"]) == (False, "user")
    assert label["trace_id"] == json.loads((tmp_path / "log.jsonl").read_text())["trace_id"]
