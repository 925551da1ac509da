from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from router.alerts.outbox_sqlite import SqliteOutbox
from tests.alerts.receiver import SECRET, Receiver, message
from tests.cli.command import COMMAND, environment, lowfare, parsed, words, write_config

PATIENCE_S = 60.0
TABLES = """
[outbox]
backend = "sqlite"
path = "{path}"

[destinations.ops]
kind = "webhook"
url = "{url}"
secret_env = "OPS_SECRET"
allow_hosts = ["127.0.0.1"]
"""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Gives a receiver that takes everything."""
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
def config(tmp_path: Path, receiver: Receiver) -> Path:
    """Gives a configuration with one destination."""
    return write_config(tmp_path, TABLES.format(path=tmp_path / "outbox.db", url=receiver.url))


def outbox(config: Path) -> SqliteOutbox:
    """Returns the outbox of a configuration."""
    return SqliteOutbox(config.parent / "outbox.db")


async def put(config: Path, *names: str) -> None:
    """Raises alerts as another process would."""
    for name in names:
        assert await outbox(config).put(message(name), ["ops"], now_s=time.time())


async def bury(config: Path) -> None:
    """Lets all that is due be tried often enough."""
    for delivery in await outbox(config).claim(["ops"], now_s=time.time(), lease_s=9):
        await outbox(config).bury(delivery, failures=10, note="500")


async def run(*arguments: str | Path, env: Mapping[str, str] | None = None) -> Result:
    """Runs a command in a thread, while the receiver answers."""
    return await asyncio.to_thread(lowfare, "alerts", *arguments, env={"OPS_SECRET": SECRET} if env is None else env)


async def test_what_waits_is_listed(config: Path) -> None:
    """What is on the way, what is dead, and who is disabled; nothing but the outbox is needed."""
    await put(config, "a")
    await bury(config)
    await put(config, "b")
    await outbox(config).disable("ops", now_s=time.time(), note="410, gone")
    result = await run("--config", config, env={"COLUMNS": "140"})
    text = words(result.stdout)
    assert text.startswith("sqlite: 1 alert on the way, 1 dead ops is disabled (410, gone); what is for it is held:")
    assert "msg_a ops budget.threshold dead 10 - 500" in text
    assert "msg_b ops budget.threshold held 0 now" in text
    told = parsed(await run("--config", config, "--json", env={}))
    states = {one["id"]: (one["state"], one["failures"], one["note"]) for one in told["deliveries"]}
    assert states == {"msg_a": ("dead", 10, "500"), "msg_b": ("held", 0, "")}
    assert told["disabled"]["ops"]["note"] == "410, gone"
    assert told["backend"] == "sqlite"


async def test_states_are_told_apart(config: Path) -> None:
    """What another process is sending, and what waits for its time."""
    await put(config, "a", "b")
    [claimed] = await outbox(config).claim(["ops"], now_s=time.time(), lease_s=9_000, most=1)
    [other] = await outbox(config).claim(["ops"], now_s=time.time(), lease_s=9_000, most=1)
    await outbox(config).retry(other, failures=1, due_s=time.time() + 9_000, note="500")
    told = parsed(await run("--config", config, "--json"))
    states = {one["id"]: one["state"] for one in told["deliveries"]}
    assert states == {claimed.message.id: "claimed", other.message.id: "waiting"}
    assert "in 2.5 hours" in words((await run("--config", config, env={"COLUMNS": "140"})).stdout)


async def test_an_empty_outbox_says_so(config: Path) -> None:
    """Nothing waits."""
    outbox(config)
    assert words((await run("--config", config)).stdout) == "sqlite: 0 alerts on the way, 0 dead"
    assert words((await run("deliver", "--config", config)).stdout) == "0 alerts arrived, 0 did not"


async def test_deliver_sends_what_is_due(config: Path, receiver: Receiver) -> None:
    """Each is told with what came of it; one that did not arrive is an exit code of 1."""
    await put(config, "a", "b")
    result = await run("deliver", "--config", config)
    assert result.exit_code == 0
    assert sorted(result.stdout.splitlines()) == [
        "2 alerts arrived, 0 did not",
        "msg_a to ops: arrived (200)",
        "msg_b to ops: arrived (200)",
    ]
    assert sorted(one.id for one in receiver.received) == ["msg_a", "msg_b"]
    receiver.answers = [500]
    await put(config, "c")
    result = await run("deliver", "--config", config, "--json")
    assert result.exit_code == 1
    assert parsed(result) == {"id": "msg_c", "destination": "ops", "outcome": "failed", "note": "500"}


async def test_gone_then_enabled(config: Path, receiver: Receiver) -> None:
    """A destination that answered 410 is held until a command enables it; then the next delivery sends all."""
    receiver.answers = [410]
    await put(config, "a")
    result = await run("deliver", "--config", config)
    assert result.exit_code == 1
    assert "msg_a to ops: gone (410, gone)" in result.stdout
    assert (await run("deliver", "--config", config)).stdout == "0 alerts arrived, 0 did not\n"
    text = (await run("enable", "ops", "--config", config)).stdout
    assert text == "ops is enabled again; 1 alert on the way to it\n"
    told = parsed(await run("enable", "ops", "--config", config, "--json"))
    assert told == {"destination": "ops", "was_disabled": False, "waiting": 1}
    assert "was not disabled" in (await run("enable", "ops", "--config", config)).stdout
    assert (await run("deliver", "--config", config)).exit_code == 0


async def test_the_dead_are_sent_again(config: Path, receiver: Receiver) -> None:
    """All of them, one message, or those for one destination."""
    await put(config, "a", "b", "c")
    await bury(config)
    assert (await run("retry", "msg_a", "--config", config)).stdout == "1 alert due again\n"
    assert parsed(await run("retry", "--to", "sales", "--config", config, "--json")) == {"revived": 0}
    assert (await run("retry", "--config", config)).stdout == "2 alerts due again\n"
    result = await run("retry", "msg_x", "--config", config)
    assert (result.exit_code, result.stdout) == (1, "0 alerts due again\n")
    await run("deliver", "--config", config)
    assert len(receiver.received) == 3


async def test_a_destination_can_be_tried(config: Path, receiver: Receiver) -> None:
    """A made-up alert is sent at once, past the outbox, and the answer told."""
    result = await run("test", "ops", "--config", config)
    assert result.exit_code == 0
    assert result.stdout.endswith(" to ops: arrived (200)\n")
    told = receiver.received[0].verified()
    assert (told["type"], told["data"]["destination"]) == ("lowfare.test", "ops")
    receiver.answers = [404]
    result = await run("test", "ops", "--config", config, "--json")
    assert (result.exit_code, parsed(result)["outcome"], parsed(result)["note"]) == (1, "failed", "404")
    assert not (config.parent / "outbox.db").exists()


@pytest.mark.parametrize(
    ("arguments", "env", "told"),
    [
        (
            ["test", "opps"],
            {"OPS_SECRET": SECRET},
            "no destination is named 'opps'; allowed: ops (did you mean 'ops'?)",
        ),
        (["test", "ops"], {}, "destinations.ops: the environment variable OPS_SECRET is not set"),
        (["test", "ops"], {"OPS_SECRET": "hunter2"}, "destinations.ops: webhook secret 1"),
        (["deliver"], {}, "destinations.ops: the environment variable OPS_SECRET is not set"),
        (["deliver"], {"OPS_SECRET": SECRET}, "there is no file"),
        (["enable", "ops"], {}, "there is no file"),
        ([], {}, "so nothing waits; is the path right?"),
    ],
)
async def test_what_is_wrong_is_told(config: Path, arguments: list[str], env: dict[str, str], told: str) -> None:
    """In words, with an exit code of 2, and without a secret."""
    result = await run(*arguments, "--config", config, env=env)
    assert result.exit_code == 2
    assert told in words(result.stderr)
    assert "hunter2" not in result.stderr


async def test_a_name_nobody_has_cannot_be_enabled(config: Path) -> None:
    """But one that is disabled can, though the configuration has lost it."""
    await outbox(config).disable("old", now_s=time.time(), note="410")
    assert (await run("enable", "old", "--config", config)).exit_code == 0
    result = await run("enable", "old", "--config", config)
    assert (result.exit_code, "no destination is named 'old'" in words(result.stderr)) == (2, True)


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        ("", "has no destination, so no alert is sent"),
        ('[outbox]\nbackend = "memory"\n[destinations.a]\nkind = "log"', "each process's own"),
        ('[destinations.a]\nkind = "log"', "outbox: is missing"),
        (
            '[outbox]\nbackend = "redis"\nurl = "redis://127.0.0.1:1/0"\n[destinations.a]\nkind = "log"',
            "(backend 'redis')",
        ),
    ],
)
async def test_a_configuration_without_alerts_is_told(tmp_path: Path, rest: str, told: str) -> None:
    """What is missing is named."""
    result = await run("--config", write_config(tmp_path, rest))
    assert result.exit_code in (1, 2)
    assert told in words(result.stderr)


async def test_following_ends_in_good_order(config: Path, receiver: Receiver) -> None:
    """It begins before there is an outbox, sends what others raise, and SIGTERM ends it without an error."""
    command = [COMMAND, "alerts", "deliver", "--follow", "--json", "--config", config]
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(OPS_SECRET=SECRET)
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        while not (config.parent / "outbox.db").exists():
            await asyncio.sleep(0.01)
        await put(config, "a")
        line: Any = json.loads(await process.stdout.readline())
        assert (line["id"], line["outcome"]) == ("msg_a", "arrived")
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert len(receiver.received) == 1
