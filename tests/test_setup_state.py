"""`[state]` as it stands in TOML, and the ledger that it makes."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from router.config import Settings
from router.config_state import StateTable
from router.errors import ConfigError
from router.registry import Registry
from router.setup_state import LEDGERS, PlannedState, made_ledger, planned_state
from router.state.ledger_guard import GuardedLedger
from router.state.ledger_memory import MemoryLedger


def settings(**state: Any) -> Settings:
    """Returns settings with this table."""
    return Settings.model_validate(
        {"models": {"small": {"id": "simulated/small"}}, **({"state": state} if state else {})}
    )


def test_memory_is_what_nobody_asks_for() -> None:
    """Without a table each process counts by itself."""
    planned, faults = planned_state(settings())
    assert (planned.backend, planned.make, dict(planned.options), faults) == ("memory", MemoryLedger, {}, [])
    assert isinstance(made_ledger(planned), GuardedLedger)


async def test_a_backend_is_made_with_its_options(tmp_path: Path) -> None:
    """What is no key of the table goes to the class."""
    path = tmp_path / "state" / "ledger"
    planned, faults = planned_state(settings(backend="sqlite", path=str(path), wait_s=2))
    assert not faults
    assert planned.wait_s == 2
    ledger = made_ledger(planned)
    assert path.exists()
    await ledger.aclose()


def test_a_ledger_of_ones_own_takes_the_place_of_the_planned_one() -> None:
    """As tests pass one in."""

    def never() -> MemoryLedger:
        raise AssertionError

    assert made_ledger(PlannedState(make=never), ledger=MemoryLedger()).state == "closed"


@pytest.mark.parametrize(
    ("table", "path", "told"),
    [
        ({"backend": "sqlight"}, ("state", "backend"), "did you mean 'sqlite'?"),
        ({"backend": "sqlite"}, ("state", "path"), "is missing; the backend 'sqlite' needs it"),
        ({"backend": "sqlite", "path": 7}, ("state", "path"), "found 7; allowed: a string"),
        ({"path": "x"}, ("state", "path"), "is no option of the backend 'memory'"),
        ({"backend": "redis", "url": "redis://h", "prefx": "x"}, ("state", "prefx"), "did you mean 'prefix'?"),
    ],
)
def test_what_is_wrong_is_said(table: dict[str, Any], path: tuple[str, ...], told: str) -> None:
    """A fault says where, what was found, and what is allowed."""
    _, [fault] = planned_state(settings(**table))
    assert fault.path == path
    assert told in fault.message


@pytest.mark.parametrize(
    ("value", "told"), [("router.nowhere:X", "cannot be loaded"), ("router.registry:Registry", "which is no ledger")]
)
def test_a_plug_in_that_is_no_ledger_is_told(value: str, told: str) -> None:
    """What an entry point leads to must be a class with a ledger's methods."""
    registry = Registry(LEDGERS, {"mine": EntryPoint("mine", value, LEDGERS)})
    _, [fault] = planned_state(settings(backend="mine"), registry=registry)
    assert fault.path == ("state", "backend")
    assert told in fault.message


@pytest.mark.parametrize("url", ["redis://:hush@host", "redis://host?password=hush"])
def test_a_password_in_the_file_is_refused(url: str) -> None:
    """The message names the variable, and does not show the password."""
    with pytest.raises(ValueError, match="LOWFARE_STATE__URL") as caught:
        StateTable(backend="redis", url=url)  # type: ignore[call-arg]  # what the class of the backend takes
    assert "hush" not in str(caught.value)


def test_options_are_not_shown() -> None:
    """An address from the environment may hold a password."""
    table = StateTable(backend="redis", url="redis://host")  # type: ignore[call-arg]  # the backend's own
    assert repr(table) == "StateTable(backend='redis', wait_s=0.25)"
    assert "host" not in repr(planned_state(settings(backend="redis", url="redis://host"))[0])


def _fails(error: Exception) -> Callable[[], Any]:
    def make() -> Any:
        raise error

    return make


def test_a_ledger_that_cannot_be_made_is_told() -> None:
    """A ConfigError is passed on; of any other only its kind is shown."""
    with pytest.raises(ConfigError, match="no file"):
        made_ledger(PlannedState(make=_fails(ConfigError("no file"))))
    with pytest.raises(ConfigError, match=r"state: the backend 'mine' cannot be made \(OSError\)"):
        made_ledger(PlannedState(backend="mine", make=_fails(OSError("hush"))))
