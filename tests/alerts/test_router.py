from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest

from router import Alert, ConfigError, Router
from router.alerts.outbox_memory import MemoryOutbox
from router.alerts.outbox_sqlite import SqliteOutbox
from router.config import Settings
from router.testing import VirtualClock, simulated_router
from tests.alerts.receiver import NOW, Receiver, alert, message
from tests.cli.command import lowfare, write_config

TABLES = """
[outbox]
backend = "sqlite"
path = "{path}"
{more}

[destinations.ops]
kind = "webhook"
url = "{url}"
secret_env = "PATH"
allow_hosts = ["127.0.0.1"]

[destinations.console]
kind = "log"
"""


def settings(url: str, path: Path, **outbox: object) -> Settings:
    """Returns the settings of a router with one destination, whose secret stands in an option of its own."""
    model = {"id": "simulated/m", "input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}
    ops = {"kind": "slack", "url": url, "allow_hosts": ["127.0.0.1"]}
    return Settings.model_validate(
        {
            "models": {"m": model},
            "destinations": {"ops": ops},
            "outbox": {"backend": "sqlite", "path": str(path), **outbox},
        }
    )


async def test_a_router_delivers_alerts(tmp_path: Path) -> None:
    """What is raised arrives before the router is closed, while the caller goes on; what was left over, too."""
    path = tmp_path / "outbox.db"
    await SqliteOutbox(path).put(message("left"), ["ops"], now_s=time.time() - 1)
    async with Receiver() as receiver:
        async with Router(settings(receiver.url, path)) as router:
            assert router.alerts.destinations == ("ops",)
            assert await asyncio.wrap_future(router.alerts.fire(alert("new"), to=["ops"]))
            assert (await router.acomplete("hi")).text
        assert len(receiver.received) == 2
    assert await SqliteOutbox(path).deliveries() == []


async def test_a_router_may_leave_it_to_others(tmp_path: Path) -> None:
    """With `deliver = false` alerts are kept for `lowfare alerts deliver`."""
    path = tmp_path / "outbox.db"
    async with Receiver() as receiver:
        async with Router(settings(receiver.url, path, deliver=False)) as router:
            assert await asyncio.wrap_future(router.alerts.fire(Alert(name="a", type="a", time=NOW), to=["ops"]))
        assert receiver.received == []
    assert len(await SqliteOutbox(path).deliveries()) == 1


def test_a_router_without_destinations_takes_no_alerts(tmp_path: Path) -> None:
    """Then no outbox is made either."""
    with Router.from_toml(write_config(tmp_path, '[outbox]\nbackend = "sqlite"\npath = "outbox.db"\n')) as router:
        assert router.alerts.destinations == ()
        with pytest.raises(ConfigError, match="no destination 'ops'; there is none"):
            router.alerts.fire(alert(), to=["ops"])
    assert [file.name for file in tmp_path.iterdir()] == ["config.toml"]


def test_commands_that_send_nothing_need_no_secret(tmp_path: Path) -> None:
    """What `check` and `explain` say does not depend on the secrets of alerts."""
    tables = TABLES.format(path=tmp_path / "outbox.db", url="https://example.com/", more="").replace("PATH", "NOWHERE")
    config = write_config(tmp_path, tables)
    for arguments in (["check"], ["explain", "hi"]):
        assert lowfare(*arguments, "--config", config).exit_code == 0
    assert "NOWHERE is not set" in lowfare("complete", "hi", "--config", config).stderr


def test_a_secret_of_no_use_is_told_at_once(tmp_path: Path) -> None:
    """A service with alerts that could never be sent does not start."""
    tables = TABLES.format(path=tmp_path / "outbox.db", url="https://example.com/", more="")
    with pytest.raises(ConfigError, match=r"^destinations\.ops: webhook secret 1"):
        Router.from_toml(write_config(tmp_path, tables))


def test_a_simulated_router_sends_nothing(tmp_path: Path) -> None:
    """Whatever its configuration says, its alerts stay in memory, and no secret is needed."""
    tables = TABLES.format(path=tmp_path / "outbox.db", url="https://example.com/", more="")
    with simulated_router(write_config(tmp_path, tables)) as router:
        assert router.alerts.fire(alert("a"), to=["ops", "console"]).result()
        assert isinstance(router.alerts.outbox, MemoryOutbox)
        assert len(asyncio.run(router.alerts.outbox.deliveries())) == 2
    assert not (tmp_path / "outbox.db").exists()


def test_alerts_go_by_the_time_of_the_router(tmp_path: Path) -> None:
    """In a time of its own, however long ago, a window's alert fires once, until the window is over."""
    clock = VirtualClock(NOW - timedelta(days=4_000))
    tables = TABLES.format(path=tmp_path / "outbox.db", url="https://example.com/", more="")
    with simulated_router(write_config(tmp_path, tables), clock=clock) as router:
        one = alert("a", time=clock.now(), until=clock.now() + timedelta(hours=1))
        new = [router.alerts.fire(one, to=["ops"]).result() for _ in range(2)]
        clock.advance(2 * 86_400)
        new.append(router.alerts.fire(one, to=["ops"]).result())
    assert new == [True, False, True]
