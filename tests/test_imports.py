from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

PROBE = """
import sys
sockets = []
sys.addaudithook(lambda event, args: sockets.append(event) if event.startswith("socket.") else None)
import time
start = time.perf_counter()
{statement}
seconds = time.perf_counter() - start
import json
print(json.dumps({{"seconds": seconds, "modules": sorted(sys.modules), "sockets": sockets}}))
"""
# Each takes longer to import than all of lowfare, and none is needed before the first request that uses it.
SLOW = {
    "aiohttp",
    "duckdb",
    "httpx",
    "litellm",
    "openai",
    "opentelemetry",
    "prometheus_client",
    "pydantic",
    "pydantic_settings",
    "rich",
    "tiktoken",
    "typer",
}


def probe(statement: str) -> dict[str, Any]:
    """Runs a statement in a fresh process; returns what it imported, the sockets it opened and the time it took."""
    # Coverage would load modules of its own and slow the rest.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-c", PROBE.format(statement=statement)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(run.stdout)
    return found


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Any:
    """Prints past pytest's capture, so that CI's log holds the figure."""

    def write(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}")  # noqa: T201 - the figure is what this fixture is for

    return write


def test_import_router_is_light(show: Any) -> None:
    """`import router` imports nothing slow and opens no socket; the time it takes is printed, not judged."""
    seconds = sorted(probe("import router")["seconds"] for _ in range(5))
    found = probe("import router")
    show(f"import router: median {1000 * seconds[2]:.0f} ms, {len(found['modules'])} modules loaded")
    assert SLOW.isdisjoint(found["modules"])
    assert found["sockets"] == []


def test_the_router_class_needs_no_litellm() -> None:
    """`from router import Router` leaves litellm to the models that need it, and opens no socket."""
    found = probe("from router import Router")
    assert "litellm" not in found["modules"]
    assert found["sockets"] == []


def test_policies_import_no_more_than_router() -> None:
    """A policy is pure: to import all of them loads nothing slow either."""
    names = "cheapest, fallback, token_tiers"
    assert SLOW.isdisjoint(probe(f"from policies import {names}")["modules"])
