from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from router.analytics.follow import Follower
from router.cli.metrics import count, serve
from router.errors import ConfigError
from router.sinks.jsonl import JsonlSink
from router.sinks.prometheus import PrometheusSink
from router.testing.records import decision_of
from tests.cli.command import COMMAND, environment, lowfare
from tests.cli.test_process import _interruptible as _interruptible  # noqa: PLC0414 - a fixture for this module too
from tests.sinks.test_prometheus import requests

PATIENCE_S = 60.0
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetched(address: str) -> str:
    """Returns the text at an address."""
    with OPENER.open(address, timeout=PATIENCE_S) as response:
        text: str = response.read().decode()
    return text


def counted(text: str) -> float:
    """Returns how many requests were counted."""
    return sum(float(value) for value in re.findall(r"^lowfare_decisions_total{.*} (\S+)$", text, re.MULTILINE))


@contextmanager
def running(*arguments: str | Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Runs the command; gives the address that it serves, and ends it with Ctrl-C."""
    command: list[str | Path] = [COMMAND, "metrics", *arguments, "--port", "0", "--interval-s", "0.01"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = process.stderr.readline()
            if "waiting for it" in said:
                said = process.stderr.readline()
            yield said.split()[-1], process
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.communicate()[1]
    assert process.returncode == 130
    assert rest.endswith("interrupted\n")
    assert "Traceback" not in rest


def until(address: str, number: float) -> str:
    """Returns the metrics as soon as so many requests are counted."""
    end = time.monotonic() + PATIENCE_S
    while counted(text := fetched(address)) != number and time.monotonic() < end:
        time.sleep(0.05)
    assert counted(text) == number
    return text


def write(log: Path, number: int = 1) -> None:
    """Appends decisions to a log."""
    sink = JsonlSink(log)
    for _ in range(number):
        sink.emit(decision_of(outcomes=["server_error", "answer"], tags={"team": "x"}, tenant="acme"))
    sink.close()


def test_it_counts_from_now_on(tmp_path: Path) -> None:
    """What the log has already is not counted; what comes is, and a file that was rotated is not counted again."""
    log = tmp_path / "a.jsonl"
    write(log, 3)
    with running(tmp_path) as (address, _):
        write(log, 2)
        text = until(address, 2)
        assert 'lowfare_attempts_total{gen_ai_provider_name="simulated"' in text
        assert "acme" not in text
        log.rename(tmp_path / "a.1.jsonl")
        write(log)
        until(address, 3)


def test_it_counts_from_the_start(tmp_path: Path) -> None:
    """With `--from-start`, all that is there counts before anybody can ask; labels are those that were listed."""
    log = tmp_path / "log.jsonl"
    write(log, 3)
    with running(log, "--from-start", "--label", "team", "--label-tenant") as (address, _):
        text = fetched(address)
        assert counted(text) == 3
        assert 'lowfare_tag_team="x",lowfare_tenant="acme"' in text
        assert "lowfare_breaker_state{" not in text  # nobody here has a breaker


def test_it_waits_for_a_log(tmp_path: Path) -> None:
    """A log that is yet to come is waited for, and counted from its first decision."""
    log = tmp_path / "decisions"
    with running(log) as (address, _):
        assert counted(fetched(address)) == 0
        write(log)
        until(address, 1)


def test_lines_that_are_no_decisions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line that is no record, or lacks what is measured, is told by its trace alone, and the others count."""
    log = tmp_path / "log.jsonl"
    odd = decision_of().to_dict() | {"attempts": "a secret", "trace_id": "7" * 32}
    log.write_bytes(orjson.dumps(odd) + b"\nno record\n")
    write(log)
    sink = PrometheusSink()
    follower = Follower(log)
    count(follower, sink)
    count(follower, sink)
    assert requests(sink) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert f"the record of trace {'7' * 32} lacks what is measured; not counted" in told
    assert "a line that is no record, skipped" in told
    assert "secret" not in told


def test_a_port_that_is_taken() -> None:
    """The error names the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot serve at 127.0.0.1:{port}"):
            serve(PrometheusSink(), "127.0.0.1", port)


def test_serving_ends() -> None:
    """After it was stopped, nobody answers at that address."""
    stop = serve(PrometheusSink(), "127.0.0.1", 0)
    stop()


def test_options_are_checked(tmp_path: Path) -> None:
    """Labels that Prometheus cannot tell apart are wrong usage; so is a log that nobody named."""
    result = lowfare("metrics", tmp_path, "--label", "a.b", "--label", "a_b")
    assert result.exit_code == 2
    assert "'a.b' and 'a_b' are one label for Prometheus" in " ".join(result.stderr.split())


def test_without_the_extra(tmp_path: Path) -> None:
    """The error says what to install."""
    code = (
        "import sys\nsys.modules['prometheus_client'] = None\n"
        f"sys.argv = ['lowfare', 'metrics', {str(tmp_path)!r}]\nfrom router.cli import main\nmain()"
    )
    ran = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "pip install 'lowfare[prometheus]'" in " ".join(ran.stderr.split())
