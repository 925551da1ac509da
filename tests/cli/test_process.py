"""The console script itself, in a process of its own: what it imports, how it ends, what a signal does to it."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.cli.command import COMMAND, environment, write_config

SLOW = ("aiohttp", "litellm", "pydantic", "tiktoken", "loguru", "duckdb", "router.config", "router.setup")


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """Lets commands be interrupted also where the tests run in a shell's background, which ignores Ctrl-C for them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def run(arguments: Sequence[str | Path], **more: str) -> subprocess.CompletedProcess[str]:
    """Runs the console script to its end, stdout and stderr being pipes."""
    env = environment(**more)
    return subprocess.run([COMMAND, *arguments], env=env, capture_output=True, text=True, check=False)


def test_help_names_every_command_and_the_exit_codes() -> None:
    """`lowfare --help` and bare `lowfare` list the commands; the exit codes stand below."""
    result = run(["--help"])
    assert result.returncode == 0
    for told in ("demo", "complete", "explain", "check", "models", "compare", "130"):
        assert told in result.stdout
    assert "Usage" in run([]).stdout


def test_help_is_light() -> None:
    """The help imports nothing that only a request needs."""
    code = (
        "import sys\nsys.argv = ['lowfare', '--help']\nfrom router.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', [name for name in {SLOW!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "LOADED []"


def test_version() -> None:
    """`--version` is that of the distribution."""
    assert run(["--version"]).stdout == f"lowfare {version('lowfare')}\n"


def test_demo_in_a_foreign_folder(tmp_path: Path) -> None:
    """The first command of the README runs anywhere, without a key and without colour in a pipe."""
    env = {name: value for name, value in environment().items() if not name.endswith("_API_KEY")}
    result = subprocess.run([COMMAND, "demo"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    assert not list(tmp_path.iterdir())


def test_verbose(tmp_path: Path) -> None:
    """`--verbose` adds the line of the people's log on stderr, which holds neither prompt nor answer."""
    config = write_config(tmp_path, small='options = { text = "Lisbon." }')
    result = run(["complete", "My secret question", "--config", config, "--verbose"])
    assert any("policy default" in line and "small" in line for line in result.stderr.splitlines())
    assert "secret" not in result.stderr
    assert "Lisbon" not in result.stderr
    assert result.stdout == "Lisbon.\n"
    lines = write_config(tmp_path, "[log]\nlines = true\n")
    assert run(["complete", "Hi", "--config", lines, "--verbose"]).stderr.count("policy default") == 1


def test_a_lost_log_line_is_told_in_one_line(tmp_path: Path) -> None:
    """A log that cannot be written is a warning without a place in the source."""
    (tmp_path / "file").write_text("")
    config = write_config(tmp_path, f'[log]\npath = "{tmp_path / "file" / "log.jsonl"}"\n')
    result = run(["complete", "Hi", "--config", config])
    assert result.returncode == 0
    warning = next(line for line in result.stderr.splitlines() if "Warning" in line)
    assert warning.startswith("RouterWarning: ")
    assert ".py" not in result.stderr


SILENT = """
[models.silent]
id = "silent"
base_url = "http://127.0.0.1:{port}/v1"
input_usd_per_mtok = "1"
output_usd_per_mtok = "2"
context_window_tokens = 8000
max_output_tokens = 1000

[log]
path = "{log}"
"""


@pytest.mark.parametrize("arguments", [["complete", "Hi"], ["complete", "Hi", "--json", "--stream"], ["compare", "Hi"]])
def test_ctrl_c_cancels_prices_and_logs(tmp_path: Path, arguments: list[str]) -> None:
    """Ctrl-C ends the call; the command says what it cost, the log has it, and the exit code is 130."""
    log, config = tmp_path / "log.jsonl", tmp_path / "config.toml"
    with socket.create_server(("127.0.0.1", 0)) as server:
        config.write_text(SILENT.format(port=server.getsockname()[1], log=log))
        command: list[str | Path] = [COMMAND, *arguments, "--config", config]
        with subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            connection, _ = server.accept()
            with connection:
                connection.recv(1)  # the request is on its way, and nobody will answer it
                process.send_signal(signal.SIGINT)
                out, err = process.communicate()
    assert process.returncode == 130, err
    assert err.startswith("interrupted")
    assert "Traceback" not in err
    record = json.loads(log.read_text())
    assert record["ending"] == "cancelled"
    assert Decimal(record["attempts"][0]["cost_usd"]) > 0
    if "--json" in arguments:
        assert json.loads(out)["decision"] == record
    else:
        assert out == ""


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    """A pipe that is closed early (`| head -1`) is no error."""
    with subprocess.Popen(
        [COMMAND, "models", "--all"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (0, "")


def test_an_encoding_that_lacks_a_character(tmp_path: Path) -> None:
    """On a stdout that cannot show a character, the rest of the answer is printed."""
    config = write_config(tmp_path, small='options = { text = "naïve" }')
    result = run(["complete", "Hi", "--config", config], PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stdout) == (0, "na?ve\n")


def test_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal there are colours unless NO_COLOR is set, progress while it waits, and no escape of the answer."""
    config = write_config(tmp_path, small='options = { text = "\\u001b[2Jhello", latency_s = 0.2 }')
    coloured = on_terminal(["complete", "Hi", "--config", config], TERM="xterm")
    assert "waiting for the answer" in coloured
    assert "\x1b[2J" not in coloured
    assert "[2Jhello" in coloured
    assert "\x1b[1m" in coloured or "\x1b[2m" in coloured
    plain = on_terminal(["models", "--config", config], TERM="xterm", NO_COLOR="1")
    assert "\x1b[3" not in plain  # no colour; bold and dim are none


def test_progress_of_a_comparison(tmp_path: Path) -> None:
    """A comparison on a terminal counts the models that have answered."""
    slow = "options = { latency_s = 0.3 }"
    config = write_config(tmp_path, small=slow, large=slow)
    assert "of 2 have answered" in on_terminal(["compare", "Hi", "--config", config], TERM="xterm")


def on_terminal(arguments: Sequence[str | Path], **more: str) -> str:
    """Runs the console script on a terminal of its own; returns all that it wrote there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, *arguments], env=environment(**more), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not piece:
            break
        written += piece
    os.close(ours)
    assert process.wait() == 0
    return written.decode()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
@pytest.mark.parametrize("arguments", [["models", "--all"], ["demo"], ["demo", "--json"], ["--version"], ["--help"]])
def test_a_full_disk_is_told_in_one_line(arguments: list[str]) -> None:
    """What cannot be written is said on stderr, without a traceback."""
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [COMMAND, *arguments], env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (result.returncode, result.stderr) == (1, "cannot write to stdout: No space left on device\n")


@pytest.mark.untraced
@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("arguments", ["models --all", "demo --json", "--version"])
def test_closed_streams_are_no_error(arguments: str, streams: str) -> None:
    """Who closes stdout or stderr wants to hear nothing there."""
    result = subprocess.run(
        ["sh", "-c", f"{COMMAND} {arguments} {streams}"],  # noqa: S607 - any shell will do
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("columns", ["0", "1"])
def test_a_terminal_without_a_width_gets_all_of_it(columns: str) -> None:
    """`COLUMNS=0` says that nobody knows, not that there is no room."""
    result = run(["demo"], COLUMNS=columns)
    assert result.returncode == 0
    assert "$" in result.stdout


def test_ctrl_c_while_the_command_is_loaded() -> None:
    """Ctrl-C in the middle of an import ends the command like any other, without a traceback."""
    code = (
        "import signal, sys, router.cli\n"
        "class Impatient:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'router.cli.app': signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Impatient())\n"
        "router.cli.main()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (130, "interrupted\n")
