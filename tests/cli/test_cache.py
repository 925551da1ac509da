from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from router import Answer, Choice, Failure, Function, Message, Router, Selector, ToolCall, Usage
from router.cache.codec import Codec
from router.cache.seal import Seal
from router.cache.sqlite import SqliteStore
from router.cli.cache import duration_s, size
from router.core.caching import Entry
from router.errors import RequestError
from tests.cli.command import lowfare, parsed, words, write_config
from tests.redis_server import RedisServer

NOW_S = 1_800_000_000.0
TEXT = 'options = { text = "Lisbon." }'
KEYS = tuple(f"{digit}" * 64 for digit in "abc")


def configured(folder: Path, more: str = "", *, backend: str = "sqlite") -> Path:
    """Writes a configuration with a store in a file; returns its path."""
    path = f'path = "{folder / "cache.sqlite"}"\n' if backend == "sqlite" else ""
    return write_config(folder, f'[cache]\nbackend = "{backend}"\n{path}{more}', small=TEXT, large=TEXT)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Gives a configuration whose store is empty."""
    store(tmp_path)
    return configured(tmp_path)


@pytest.fixture
def asked(config: Path) -> tuple[Path, list[str]]:
    """Gives a configuration whose store has three answers, and their keys."""
    with Router.from_toml(config) as router:
        decisions = [
            router.complete("Capital of Portugal?", tags={"team": "a", "app": "x"}, tenant="acme").decision,
            router.complete("Capital of Portugal?", tags={"team": "a"}, tenant="zeta", model="large").decision,
            router.complete("Capital of Portugal?", tags={"team": "b"}).decision,
        ]
    return config, [decision.key for decision in decisions]


def entry(key: str, **more: Any) -> Entry:
    """Returns an entry that was stored long ago."""
    fields: dict[str, Any] = {
        "key": key,
        "model": "small",
        "model_id": "simulated/small",
        "answer": Answer(choices=(Choice(message=Message(content="Lisbon.")),), usage=Usage(input_tokens=3)),
        "cost_usd": Decimal("0.0001"),
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "tags": {},
        "policy": "default",
        "stored_s": NOW_S,
        "ttl_s": 1e18,
    }
    return Entry(**fields | more)


def store(folder: Path, *entries: Entry, codec: Codec | None = None, label: bytes | None = None) -> None:
    """Puts entries into the store as another process would."""

    async def put() -> None:
        there = SqliteStore(folder / "cache.sqlite")
        for one in entries:
            value = (codec or Codec()).encode(one)
            assert value is not None
            await there.put(one.key, value, label=Codec.label(one) if label is None else label, ttl_s=1e9)
        await there.aclose()

    asyncio.run(put())


def left(config: Path) -> int:
    """Returns how many answers are stored."""
    entries: int = parsed(lowfare("cache", "stats", "--json", "--config", config))["entries"]
    return entries


def test_stats(asked: tuple[Path, list[str]]) -> None:
    """It counts the answers by model and by tenant, and says how large and how old they are."""
    config, _ = asked
    result = lowfare("cache", "stats", "--config", config)
    text = words(result.stdout)
    assert result.exit_code == 0
    assert text.startswith("sqlite: 3 answers, 1.")
    assert " kB, the oldest " in text
    assert "model answers small 2 large 1 tenant answers none 1 acme 1 zeta 1" in text
    out = parsed(lowfare("cache", "stats", "--config", config, "--json"))
    assert (out["backend"], out["entries"], out["unreadable"]) == ("sqlite", 3, 0)
    assert out["by_model"] == {"small": 2, "large": 1}
    assert out["by_tenant"] == {"": 1, "acme": 1, "zeta": 1}
    assert out["oldest_s"] >= 0
    assert out["size_bytes"] > 1_000


def test_stats_of_an_empty_store(config: Path) -> None:
    """Nothing is stored: it says just that."""
    assert words(lowfare("cache", "stats", "--config", config).stdout) == "sqlite: 0 answers, 0 bytes"
    assert parsed(lowfare("cache", "stats", "--config", config, "--json"))["oldest_s"] is None


def test_stats_of_what_nobody_can_read(config: Path, tmp_path: Path) -> None:
    """Values whose labels say nothing are counted apart."""
    store(tmp_path, entry(KEYS[0]), label=b"?")
    text = words(lowfare("cache", "stats", "--config", config).stdout)
    assert text.endswith("bytes 1 answer cannot be read: another version's, or not lowfare's; never purged")
    lowfare("cache", "purge", "--all", "--yes", "--config", config)
    assert left(config) == 1


@pytest.mark.parametrize(
    ("size_bytes", "told"),
    [(0, "0 bytes"), (999, "999 bytes"), (4_050, "4.0 kB"), (4_000_000, "4.0 MB"), (1_234_000_000_000, "1,234.0 GB")],
)
def test_sizes_are_round(size_bytes: int, told: str) -> None:
    """Bytes are told in the unit that a person would choose."""
    assert size(size_bytes) == told


def test_get(asked: tuple[Path, list[str]]) -> None:
    """The beginning of a key finds an answer; all that is known of it is told but what it says."""
    config, keys = asked
    result = lowfare("cache", "get", keys[0][:8].upper(), "--config", config)
    text = words(result.stdout)
    assert result.exit_code == 0
    for told in (
        f"key {keys[0]}",
        "model small (simulated/small)",
        "expires 20",
        "cost $0.0000",
        "trace ",
        "tenant acme",
        "policy default",
        "tags team=a, app=x",
        "tokens in",
    ):
        assert told in text
    assert "Lisbon." not in text
    shown = lowfare("cache", "get", keys[0], "--answer", "--config", config).stdout
    assert shown.endswith("\n\nLisbon.\n")


def test_get_as_json(asked: tuple[Path, list[str]]) -> None:
    """The same for programs; the answer in OpenAI's shape, and only where it is asked for."""
    config, keys = asked
    out = parsed(lowfare("cache", "get", keys[0], "--json", "--config", config))
    assert (out["key"], out["model"], out["tenant"]) == (keys[0], "small", "acme")
    assert (out["ttl_s"], out["tags"], out["policy"]) == (86_400.0, {"team": "a", "app": "x"}, "default")
    assert Decimal(out["cost_usd"]) > 0
    assert out["usage"]["output_tokens"] > 0
    assert "answer" not in out
    out = parsed(lowfare("cache", "get", keys[0], "--json", "--answer", "--config", config))
    assert out["answer"]["choices"][0]["message"]["content"] == "Lisbon."


def test_the_preview_names_the_key(asked: tuple[Path, list[str]]) -> None:
    """What `explain PROMPT` shows as key is what `cache get` finds."""
    config, keys = asked
    text = lowfare("explain", "Capital of Portugal?", "--tenant", "acme", "--config", config).stdout
    assert f"key     {keys[0]}" in text


def test_get_of_other_answers(config: Path, tmp_path: Path) -> None:
    """Tool calls are shown as calls; a refusal that is remembered is told as one, its message only where asked for."""
    call = ToolCall(id="1", function=Function(name="weather", arguments='{"city": "Porto"}'))
    answer = Answer(choices=(Choice(message=Message(tool_calls=(call,), refusal="Not that.")),))
    failure = Failure(kind="invalid", message="no such field", status=400)
    store(
        tmp_path,
        entry(KEYS[0], answer=answer, cost_usd=None),
        entry(KEYS[1], answer=None, failure=failure, cost_usd=None),
    )
    text = lowfare("cache", "get", KEYS[0], "--answer", "--config", config).stdout
    assert text.endswith('\n\nNot that.\nweather({"city": "Porto"})\n')
    for told in ("cost unknown", "tokens unknown", "expires never"):
        assert told in words(text)
    text = lowfare("cache", "get", KEYS[1], "--config", config).stdout
    assert "failure invalid: a request like it fails at once" in words(text)
    assert "no such field" not in text
    assert "cost" not in text
    out = lowfare("cache", "get", KEYS[1], "--answer", "--config", config).stdout
    assert out.endswith("\n\nno such field\n")
    values = parsed(lowfare("cache", "get", KEYS[1], "--answer", "--json", "--config", config))
    assert (values["failure"], values["expires"]) == ("invalid", None)
    assert values["answer"]["failure"]["message"] == "no such field"


def test_an_answer_cannot_drive_the_terminal(config: Path, tmp_path: Path) -> None:
    """Control characters of answers and tags are not printed."""
    answer = Answer(choices=(Choice(message=Message(content="\x1b]0;owned\x07 [bold]x")),))
    store(tmp_path, entry(KEYS[0], answer=answer, tags={"team": "\x1b[2J"}, tenant="\x1b[2J"))
    text = lowfare("cache", "get", KEYS[0], "--answer", "--config", config).stdout
    assert "\x1b" not in text
    assert "[bold]x" in text
    assert "\x1b" not in lowfare("cache", "stats", "--config", config).stdout
    assert "\x1b" not in lowfare("cache", "purge", "--tenant", "\x1b[2J", "--config", config).stdout


@pytest.mark.parametrize(
    ("key", "code", "told"),
    [
        ("0" * 8, 1, "no answer is stored under a key that begins with '00000000'"),
        ("0" * 64, 1, "no answer is stored under 0000"),
        ("a" * 8, 1, "begins 2 keys: aaaaaaaaaaaa"),
        ("a" * 7, 2, "at least 8 of its 64 hex digits"),
        ("a" * 65, 2, "at least 8 of its 64 hex digits"),
        ("not a key", 2, "at least 8 of its 64 hex digits"),
    ],
)
def test_no_such_key(config: Path, tmp_path: Path, key: str, code: int, told: str) -> None:
    """What is not there, not unique, or no key is told by the exit code too."""
    store(tmp_path, entry("a" * 64), entry("a" * 63 + "b"))
    result = lowfare("cache", "get", key, "--config", config)
    assert (result.exit_code, result.stdout) == (code, "")
    assert told in words(result.stderr)
    assert lowfare("cache", "purge", "--key", key, "--config", config).exit_code == (0 if len(key) == 64 else code)


SELECTED = [
    (["--model", "small"], 2, "model small"),
    (["--tenant", "acme"], 1, "tenant acme"),
    (["--tag", "team=a"], 2, "tag team=a"),
    (["--tag", "team=a", "--tag", "app=x"], 1, "tag team=a, tag app=x"),
    (["--tag", "team=a", "--model", "small"], 1, "model small, tag team=a"),
    (["--older-than", "1h"], 0, "older than 1 hour"),
    (["--older-than", "0"], 3, "older than 0 ms"),
    (["--all"], 3, "all"),
]


@pytest.mark.parametrize(("options", "count", "told"), SELECTED)
def test_purge(asked: tuple[Path, list[str]], options: list[str], count: int, told: str) -> None:
    """Without `--yes` it says what would go and how to do it; with it, that is gone and nothing else."""
    config, _ = asked
    result = lowfare("cache", "purge", *options, "--config", config)
    text = words(result.stdout)
    assert result.exit_code == 0
    assert text.startswith(f"would be taken out: {count} answer")
    assert f"({told})" in text
    assert ("--yes" in text) is bool(count)
    assert left(config) == 3
    text = words(lowfare("cache", "purge", *options, "--yes", "--config", config).stdout)
    assert text.startswith(f"taken out: {count} answer")
    assert ("may give them for 5 s more (memory_ttl_s)" in text) is bool(count)
    assert left(config) == 3 - count


def test_purge_of_one_key(asked: tuple[Path, list[str]]) -> None:
    """The beginning of a key is enough here too, and the JSON says which one it was."""
    config, keys = asked
    out = parsed(lowfare("cache", "purge", "--key", keys[1][:10], "--json", "--config", config))
    assert (out["dry_run"], out["entries"]) == (True, 1)
    assert Selector(**out["selector"]) == Selector(key=keys[1])
    out = parsed(lowfare("cache", "purge", "--key", keys[1][:10], "--json", "--yes", "--config", config))
    assert (out["dry_run"], out["entries"], left(config)) == (False, 1, 2)
    assert lowfare("cache", "get", keys[1], "--config", config).exit_code == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "say what is to be purged"),
        (["--yes"], "say what is to be purged"),
        (["--all", "--model", "small"], "--all is everything"),
        (["--tag", "team"], "NAME=VALUE"),
        (["--tag", "team=a", "--tag", "team=b"], "one tag has one value"),
        (["--older-than", "soon"], "as in 7d"),
    ],
)
def test_purge_of_nothing_in_particular(asked: tuple[Path, list[str]], options: list[str], told: str) -> None:
    """Whoever says nothing, too much or what cannot be read is told what is allowed, and nothing is taken out."""
    config, _ = asked
    result = lowfare("cache", "purge", *options, "--yes", "--config", config)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in words(result.stderr)
    assert parsed(lowfare("cache", "purge", *options, "--json", "--config", config))["error"]["type"] == "RequestError"
    assert left(config) == 3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3600", 3600), ("90s", 90), ("1.5m", 90), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600)],
)
def test_times(text: str, seconds: float) -> None:
    """Seconds, or a number with its unit."""
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "-1", "1y", "1 d", "1e3", "inf", "nan"])
def test_what_is_no_time(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(RequestError):
        duration_s(text)


EACH = pytest.mark.parametrize("command", [["stats"], ["purge", "--all"], ["get", "a" * 8]])


@EACH
def test_memory_cannot_be_seen_from_outside(tmp_path: Path, command: list[str]) -> None:
    """What each process keeps for itself no command sees; the error says what to do instead."""
    result = lowfare("cache", *command, "--config", configured(tmp_path, backend="memory"))
    assert (result.exit_code, result.stdout) == (2, "")
    for told in ("memory", "each process's own", "Router.cache_stats()", "sqlite", "redis"):
        assert told in result.stderr


@EACH
def test_without_a_cache(tmp_path: Path, command: list[str]) -> None:
    """A configuration without the table is told how to make one."""
    result = lowfare("cache", *command, "--config", write_config(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert '[cache], backend = "sqlite", path = "cache.sqlite"' in words(result.stderr)


@EACH
def test_a_wrong_table(tmp_path: Path, command: list[str]) -> None:
    """What is wrong with the table is told by key."""
    result = lowfare("cache", *command, "--config", configured(tmp_path, "max_byte = 1\n"))
    assert result.exit_code == 2
    assert "cache.max_byte" in result.stderr


def test_no_api_key_is_needed(tmp_path: Path) -> None:
    """Only the store is opened: models without keys are no obstacle."""
    store(tmp_path)
    config = configured(tmp_path)
    config.write_text(config.read_text() + '[models.real]\nid = "openai/gpt-4.1"\nkey_env = "LOWFARE_NO_SUCH_KEY"\n')
    assert lowfare("cache", "stats", "--config", config).exit_code == 0


def test_sealed_answers(tmp_path: Path) -> None:
    """To count and to purge takes no key; to read an answer takes the one it was sealed with."""
    config = configured(tmp_path, 'key_env = "TEST_CACHE_KEY"\n')
    store(tmp_path, entry(KEYS[0]), codec=Codec(Seal(b"k" * 32)))
    right, wrong = {"TEST_CACHE_KEY": b"k".hex() * 32}, {"TEST_CACHE_KEY": b"x".hex() * 32}
    assert "Lisbon." in lowfare("cache", "get", KEYS[0], "--answer", "--config", config, env=right).stdout
    result = lowfare("cache", "get", KEYS[0], "--config", config, env=wrong)
    assert result.exit_code == 1
    assert "another key sealed" in words(result.stderr)
    result = lowfare("cache", "get", KEYS[0], "--config", config)
    assert result.exit_code == 2
    assert "TEST_CACHE_KEY" in result.stderr
    assert left(config) == 1
    assert lowfare("cache", "purge", "--model", "small", "--yes", "--config", config).exit_code == 0
    assert left(config) == 0


def test_a_store_that_is_held_up(asked: tuple[Path, list[str]], tmp_path: Path) -> None:
    """A purge that could not be done says so, exit code 1."""
    config, _ = asked
    with closing(sqlite3.connect(tmp_path / "cache.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        result = lowfare("cache", "purge", "--all", "--yes", "--config", config)
        other.execute("ROLLBACK")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the cache's store (backend 'sqlite') cannot be asked: OperationalError" in words(result.stderr)
    assert left(config) == 3


@EACH
def test_a_store_that_cannot_be_opened(tmp_path: Path, command: list[str]) -> None:
    """A folder where a file should be, or a file that is another program's, is told with its path and what to do."""
    config, path = configured(tmp_path), tmp_path / "cache.sqlite"
    path.mkdir()
    result = lowfare("cache", *command, "--config", config)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{path} is a folder; write the path of a file in it" in words(result.stderr)
    path.rmdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE precious (thing)")
    result = lowfare("cache", *command, "--config", config)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{path} is a database of another program; [cache] needs a path of its own" in words(result.stderr)


@EACH
def test_a_file_that_is_not_there(tmp_path: Path, command: list[str]) -> None:
    """A command makes no store: a path that is mistyped is told, and nothing stands there afterwards."""
    config = configured(tmp_path)
    before = sorted(tmp_path.iterdir())
    result = lowfare("cache", *command, "--config", config)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"there is no file {tmp_path / 'cache.sqlite'}" in words(result.stderr)
    assert parsed(lowfare("cache", *command, "--json", "--config", config))["error"]["type"] == "ConfigError"
    assert sorted(tmp_path.iterdir()) == before


@EACH
def test_a_server_that_is_down(tmp_path: Path, command: list[str]) -> None:
    """It is told as such, without the password of its address."""
    config = configured(tmp_path, backend="redis")
    env = {"LOWFARE_CACHE__URL": "redis://:s3cr3t-p4ss@127.0.0.1:1/0"}
    result = lowfare("cache", *command, "--config", config, env=env)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the cache's store (backend 'redis') cannot be asked: ConnectionError" in words(result.stderr)
    assert "s3cr3t" not in result.stderr
    out = lowfare("cache", *command, "--json", "--config", config, env=env)
    assert "s3cr3t" not in out.stdout + out.stderr
    assert parsed(out)["error"]["type"] == "RouterError"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Gives a server with a password."""
    with RedisServer(password="s3cr3t-p4ss") as running:
        yield running


def test_a_server(server: RedisServer, tmp_path: Path) -> None:
    """The same commands serve a store on other hosts."""
    config = configured(tmp_path, backend="redis")
    env = {"LOWFARE_CACHE__URL": server.url}
    reply = parsed(lowfare("complete", "Hi", "--json", "--config", config, env=env))
    key = reply["decision"]["key"]
    assert parsed(lowfare("cache", "stats", "--json", "--config", config, env=env))["by_model"] == {"small": 1}
    assert "Lisbon." in lowfare("cache", "get", key[:8], "--answer", "--config", config, env=env).stdout
    result = lowfare("cache", "purge", "--model", "small", "--yes", "--config", config, env=env)
    assert result.stdout.startswith("taken out: 1 answer")
    assert lowfare("cache", "get", key, "--config", config, env=env).exit_code == 1


def test_the_last_line_of_json(config: Path) -> None:
    """With `--json` stdout holds one JSON value, on one line."""
    text = lowfare("cache", "stats", "--json", "--config", config).stdout
    assert text.count(os.linesep) == 1
    assert json.loads(text)["entries"] == 0
