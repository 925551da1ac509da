from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from router import Event
from router.alerts.called import CalledSink
from router.alerts.log import LogAlerts
from router.alerts.outbox_memory import MemoryOutbox
from router.alerts.outbox_sqlite import SqliteOutbox
from router.alerts.webhook import WebhookSink
from router.config import Settings, load
from router.config_errors import Fault
from router.errors import ConfigError
from router.registry import Registry
from router.setup_destinations import made_alerts, made_sinks, planned_alerts
from router.webhooks import new_secret

SECRET, OTHER = f"whsec_{'a/+' * 16}", new_secret()
MODEL = {"id": "simulated/m", "input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}
MEMORY = {"backend": "memory"}
HERE = __name__


class Demanding:
    """A kind of destination with options of its own."""

    def __init__(self, team: str, *, level: int = 1, token: str = "", keys: tuple[str, ...] = ()) -> None:
        if team == "broken":
            raise ValueError(token)
        self.options = (team, level, token, keys)

    async def send(self, *_: Any, **__: Any) -> Any:
        raise AssertionError


def page(event: Event, *, team: str) -> None:
    """A function as a kind of destination."""


KINDS = Registry(
    "lowfare.alert_sinks",
    {
        name: EntryPoint(name, f"{HERE}:{value}", "lowfare.alert_sinks")
        for name, value in {
            "demanding": "Demanding",
            "page": "page",
            "number": "NUMBER",
            "plain": "Plain",
            "gone": "Gone",
        }.items()
    },
)
NUMBER = 3


class Plain:
    """No kind of destination: it cannot send."""


def settings(destinations: Mapping[str, Any], outbox: Any = MEMORY) -> Settings:
    """Returns settings with these destinations."""
    tables = {"models": {"m": MODEL}, "destinations": destinations}
    return Settings.model_validate(tables | ({} if outbox is None else {"outbox": outbox}))


def faults(destinations: Mapping[str, Any], outbox: Any = MEMORY, *, sinks: Registry | None = None) -> list[Fault]:
    """Returns what is wrong with destinations."""
    return planned_alerts(settings(destinations, outbox), sinks=sinks)[1]


def test_nothing_is_planned_where_nobody_is_told() -> None:
    """Without a destination there is nothing to deliver, whether or not there is an outbox."""
    assert planned_alerts(settings({}, None)) == (None, [])
    assert planned_alerts(settings({})) == (None, [])


def test_secrets_come_from_the_environment() -> None:
    """One variable or several; no repr shows what they hold."""
    planned, wrong = planned_alerts(
        settings(
            {
                "one": {"kind": "webhook", "url": "https://example.com/a", "secret_env": "ONE"},
                "two": {"kind": "webhook", "url_env": "WHERE", "secret_envs": ["ONE", "TWO"]},
                "log": {"kind": "log"},
            }
        )
    )
    assert not wrong
    assert planned is not None
    environ = {"ONE": SECRET, "TWO": OTHER, "WHERE": "https://example.com/b"}
    sinks = made_sinks(planned, environ=environ)
    assert [type(sink) for sink in sinks.values()] == [WebhookSink, WebhookSink, LogAlerts]
    assert not any(value in f"{planned} {sinks}" for value in environ.values())
    for missing in environ:
        with pytest.raises(ConfigError, match=rf"destinations\.\w+: the environment variable {missing} is not set"):
            made_sinks(planned, environ=environ | {missing: ""})


def test_kinds_of_others_take_options_too() -> None:
    """A class is made with them, a function called with them."""
    planned, wrong = planned_alerts(
        settings(
            {
                "a": {"kind": "demanding", "team": "ops", "level": 2, "token_env": "TOKEN", "key_envs": ["A", "B"]},
                "b": {"kind": "page", "team": "ops"},
            }
        ),
        sinks=KINDS,
    )
    assert not wrong
    assert planned is not None
    made: Any = made_sinks(planned, environ={"TOKEN": "t", "A": "1", "B": "2"})
    assert made["a"].options == ("ops", 2, "t", ("1", "2"))
    assert isinstance(made["b"], CalledSink)


def test_what_a_class_raises_is_not_quoted() -> None:
    """Its text may hold what the variables hold."""
    planned, _ = planned_alerts(
        settings({"a": {"kind": "demanding", "team": "broken", "token_env": "TOKEN"}}), sinks=KINDS
    )
    assert planned is not None
    with pytest.raises(ConfigError) as caught:
        made_sinks(planned, environ={"TOKEN": "hunter2"})
    assert str(caught.value) == "destinations.a: the kind 'demanding' cannot be made (ValueError)"


@pytest.mark.parametrize(
    ("table", "path", "told"),
    [
        ({"kind": "demandin", "team": "a"}, ("kind",), "did you mean 'demanding'?"),
        ({"kind": "demanding"}, ("team",), "is missing"),
        ({"kind": "demanding", "team": "a", "levl": 1}, ("levl",), "did you mean 'level'?"),
        ({"kind": "demanding", "team": "a", "level": "high"}, ("level",), "a whole number"),
        ({"kind": "demanding", "team": "a", "team_env": "TEAM"}, ("team",), "stated twice"),
        (
            {"kind": "demanding", "team": "a", "token_env": "not a name"},
            ("token_env",),
            "name of an environment variable",
        ),
        ({"kind": "demanding", "team": "a", "token_env": SECRET}, None, "secret"),
        ({"kind": "demanding", "team": "a", "key_envs": "A"}, ("key_envs",), "a list of names"),
        ({"kind": "demanding", "team": "a", "key_envs": []}, ("key_envs",), "a list of names"),
        ({"kind": "page"}, ("team",), "is missing"),
        ({"kind": "page", "team": "a", "event": "x"}, ("event",), "is no option"),
        ({"kind": "gone"}, ("kind",), "cannot be loaded"),
        ({"kind": "number"}, ("kind",), "neither a class with send nor a function"),
        ({"kind": "plain"}, ("kind",), "neither a class with send nor a function"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(table: dict[str, Any], path: tuple[str, ...] | None, told: str) -> None:
    """Each fault has its key, and what is allowed; a secret is not shown."""
    if path is None:
        with pytest.raises(ConfigError, match=told) as caught:
            faults({"a": table}, sinks=KINDS)
        assert SECRET not in str(caught.value)
        return
    found = faults({"a": table}, sinks=KINDS)
    assert [fault.path for fault in found] == [("destinations", "a", *path)]
    assert told in found[0].message


@pytest.mark.parametrize(
    "table",
    [
        {"kind": "webhook", "url": "https://example.com", "secret": SECRET},
        {"kind": "webhook", "url": "https://example.com", "secrets": ["short"]},
        {"kind": "webhook", "url": "https://u:hunter2@example.com", "secret_env": "A"},
        {"kind": "webhook", "url": "https://example.com/?token=hunter2", "secret_env": "A"},
        {"kind": "slack", "url": "https://hooks.slack.com/services/T0/B0/hunter2"},
        {"kind": "page", "api_key": "hunter2"},
    ],
)
def test_secrets_do_not_stand_in_the_file(table: dict[str, Any]) -> None:
    """They are refused, not shown, and the way to name a variable is told."""
    with pytest.raises(ConfigError, match=r"secret_env = .*url_env = ") as caught:
        settings({"a": table})
    assert not any(text in str(caught.value) for text in (SECRET, "hunter2", "short"))


@pytest.mark.parametrize(
    ("outbox", "path", "told"),
    [
        (None, (), "alerts need one to stand in until they have arrived"),
        ({"backend": "sqlit"}, ("backend",), "did you mean 'sqlite'?"),
        ({"backend": "sqlite"}, ("path",), "is missing"),
        ({"backend": "memory", "path": "x"}, ("path",), "is no option"),
    ],
)
def test_what_is_wrong_with_the_outbox_is_told(outbox: Any, path: tuple[str, ...], told: str) -> None:
    """An outbox has to be chosen: one that forgets would lose alerts that nobody knows of."""
    [fault] = faults({"a": {"kind": "log"}}, outbox)
    assert fault.path == ("outbox", *path)
    assert told in fault.message


def test_what_is_no_outbox_is_told() -> None:
    """A plug-in that leads to something else is named."""
    kinds = Registry("lowfare.outboxes", {"memory": EntryPoint("memory", f"{HERE}:Plain", "lowfare.outboxes")})
    _, [fault] = planned_alerts(settings({"a": {"kind": "log"}}), outboxes=kinds)
    assert "which is no outbox: a class with put, claim" in fault.message


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"backend": "redis", "url": "redis://:hunter2@host/0"}, "LOWFARE_OUTBOX__URL"),
        ({"backend": "redis", "api_key": "hunter2"}, "LOWFARE_OUTBOX__NAME"),
    ],
)
def test_passwords_do_not_stand_in_the_file(table: dict[str, Any], told: str) -> None:
    """They come by the environment."""
    with pytest.raises(ConfigError, match=told) as caught:
        settings({"a": {"kind": "log"}}, table)
    assert "hunter2" not in str(caught.value)


def test_the_environment_may_say_everything(tmp_path: Path) -> None:
    """Lists as JSON, a password in the outbox's address; and no repr shows it."""
    file = tmp_path / "config.toml"
    file.write_text(
        '[models.m]\nid = "simulated/m"\ninput_usd_per_mtok = "1"\noutput_usd_per_mtok = "1"\n'
        '[outbox]\nbackend = "redis"\n[destinations.a]\nkind = "webhook"\nsecret_env = "A"\n'
    )
    loaded = load(
        file,
        environ={
            "LOWFARE_OUTBOX__URL": "redis://:hunter2@host/0",
            "LOWFARE_DESTINATIONS__A__ALLOW_HOSTS": '["localhost"]',
            "LOWFARE_DESTINATIONS__A__URL": "http://localhost:80/hunter2",
        },
    )
    planned, wrong = planned_alerts(loaded)
    assert not wrong
    assert planned is not None
    assert planned.options == {"url": "redis://:hunter2@host/0"}
    assert planned.destinations["a"].options["allow_hosts"] == ["localhost"]
    assert "hunter2" not in f"{loaded!r} {planned!r}"
    assert isinstance(made_sinks(planned, environ={"A": SECRET})["a"], WebhookSink)


def test_the_outbox_is_that_of_the_table(tmp_path: Path) -> None:
    """Its options are its class's; one that cannot be made says so without its text."""
    planned, _ = planned_alerts(
        settings({"a": {"kind": "log"}}, {"backend": "sqlite", "path": str(tmp_path / "x"), "deliver": False})
    )
    assert planned is not None
    assert planned.deliver is False
    alerts = made_alerts(planned)
    assert isinstance(alerts.outbox, SqliteOutbox)
    assert alerts.destinations == ("a",)
    (tmp_path / "x").unlink()
    (tmp_path / "x").mkdir()
    with pytest.raises(ConfigError, match="cannot be opened"):
        made_alerts(planned)
    planned, _ = planned_alerts(settings({"a": {"kind": "log"}}, {"backend": "sqlite", "path": 3.5}))
    assert planned is not None
    with pytest.raises(ConfigError, match=r"^outbox: the backend 'sqlite' cannot be made \(TypeError\)$"):
        made_alerts(planned)
    memory, _ = planned_alerts(settings({"a": {"kind": "log"}}))
    assert memory is not None
    assert isinstance(made_alerts(memory).outbox, MemoryOutbox)
