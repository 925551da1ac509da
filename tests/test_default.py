"""The router of programs that need only one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cli.command import environment, write_config

SLOW = """
import os
from pathlib import Path
Path(os.environ["FIFO"]).read_bytes()
redact = str
"""
FORKED = """
import os, signal, threading
from pathlib import Path
from router.default import default_router
threading.Thread(target=default_router, daemon=True).start()
with Path(os.environ["FIFO"]).open("wb"):  # opens when the thread is reading, and keeps it there
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends a child that waits for ever
        os.environ["LOWFARE_CONFIG"] = "plain.toml"
        os._exit(0 if default_router() is default_router() else 1)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
MODEL = '[models.a]\nid = "openai/gpt-4.1"\n'


ASKED = """
import asyncio, router
from router.default import default_router

async def both():
    return [(await router.acomplete("hi")).text, "".join([c.text async for c in router.astream("hi")])]

said = [router.complete("hi").text, "".join(c.text for c in router.stream("hi")), *asyncio.run(both())]
assert said == ["Lisbon."] * 4, said
assert default_router() is default_router()
"""


def test_the_modules_functions_ask_the_default_router(tmp_path: Path) -> None:
    """All four ask one router, made by the first call from the file that the environment names."""
    config = write_config(tmp_path, small='options = { text = "Lisbon." }')
    env = environment(LOWFARE_CONFIG=str(config))
    ran = subprocess.run([sys.executable, "-c", ASKED], env=env, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_process_forked_while_another_thread_makes_it_makes_its_own(tmp_path: Path) -> None:
    """The lock that the thread holds is not the child's."""
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "slow-1.dist-info").mkdir()
    (tmp_path / "slow-1.dist-info" / "METADATA").write_text("Name: slow\nVersion: 1\n")
    (tmp_path / "slow-1.dist-info" / "entry_points.txt").write_text("[lowfare.redactors]\nslow = slow:redact\n")
    (tmp_path / "slow.toml").write_text(f'{MODEL}[log]\nredact = ["slow"]\n')
    (tmp_path / "plain.toml").write_text(MODEL)
    os.mkfifo(tmp_path / "fifo")
    ran = subprocess.run(
        [sys.executable, "-c", FORKED],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "LOWFARE_CONFIG": "slow.toml", "FIFO": "fifo"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
