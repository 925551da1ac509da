from __future__ import annotations

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from router.config import Settings, load
from router.core.decision import Decision
from router.errors import ConfigError
from router.registry import Registry
from router.setup import setup_of, sinks_of
from router.setup_sinks import made_sinks, planned_sinks
from router.sinks.jsonl import JsonlSink
from router.sinks.log import LogSink

MODELS = '[models.a]\nid = "simulated/a"\ninput_usd_per_mtok = "1"\noutput_usd_per_mtok = "1"\n'


class Kept:
    """A sink of somebody else's, with an option, another that has a default, and no patience for negative numbers."""

    closed: list[int] = []  # noqa: RUF012 - shared on purpose: what is made here is out of the test's reach

    def __init__(self, most: int, *, name: str = "kept") -> None:
        if most < 0:
            raise ValueError("most is negative")
        self.most, self.name = most, name

    def emit(self, decision: Decision, /) -> None:
        """Takes it."""

    def close(self) -> None:
        """Says that it was."""
        self.closed.append(self.most)


class Open(Kept):
    """A sink that takes any option."""

    def __init__(self, *_: object, **options: object) -> None:
        super().__init__(len(options))


REGISTRY = Registry(
    "lowfare.sinks",
    {
        name: EntryPoint(name=name, group="lowfare.sinks", value=f"tests.test_setup_sinks:{target}")
        for name, target in (("kept", "Kept"), ("open", "Open"), ("wrong", "REGISTRY"))
    },
)


def settings(text: str) -> Settings:
    """Returns the settings of a text."""
    return Settings.model_validate(tomllib.loads(text + MODELS))


def test_sinks_are_those_the_configuration_asks_for(tmp_path: Path) -> None:
    """A path is a durable log and `lines` a readable one, before those of the tables, in their order."""
    text = f'[log]\npath = "{tmp_path}"\nlines = true\n[sinks.more]\nkind = "jsonl"\npath = "{tmp_path}/more.jsonl"\n'
    sinks = sinks_of(setup_of(settings(text)))
    assert [type(sink) for sink in sinks] == [JsonlSink, LogSink, JsonlSink]
    for sink in sinks:
        sink.close()
    assert sinks_of(setup_of(settings(""))) == ()


def test_an_installed_sink_gets_its_options() -> None:
    """By keyword; what is left out is as its class has it."""
    text = '[sinks.a]\nkind = "kept"\nmost = 5\n[sinks.b]\nkind = "open"\nx = 1\ny = 2\n'
    planned, faults = planned_sinks(settings(text), registry=REGISTRY)
    assert faults == []
    kept, free = made_sinks(planned)
    assert isinstance(kept, Kept)
    assert isinstance(free, Open)
    assert ((kept.most, kept.name), free.most) == ((5, "kept"), 2)


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ('kind = "jsnl"', ("kind",), "is not an installed kind of lowfare.sinks; allowed: kept, open, wrong"),
        ('kind = "wrong"', ("kind",), "which is no sink: a class with emit and close"),
        ('kind = "kept"', ("most",), "is missing; the kind 'kept' needs it"),
        ('kind = "kept"\nmost = 1\nnmae = "x"', ("nmae",), "allowed: most, name (did you mean 'name'?)"),
    ],
)
def test_wrong_tables_are_faults_at_their_key(text: str, path: tuple[str, ...], said: str) -> None:
    """Found before any request, without making the sink."""
    planned, faults = planned_sinks(settings(f"[sinks.a]\n{text}\n"), registry=REGISTRY)
    assert planned == ()
    [fault] = faults
    assert fault.path == ("sinks", "a", *path)
    assert said in fault.message


def test_faults_of_sinks_are_told_with_the_others() -> None:
    """In one error, as everything else in the file."""
    with pytest.raises(ConfigError, match=r"sinks\.a\.colour: is no option of the kind 'log'; it has none"):
        setup_of(settings('[sinks.a]\nkind = "log"\ncolour = "red"\n'))


def test_one_sink_serves_metrics() -> None:
    """Nothing would ever show what a second one counted."""
    both = '[sinks.a]\nkind = "prometheus"\n[sinks.b]\nkind = "prometheus"\n'
    with pytest.raises(ConfigError, match=r"sinks\.b: serves metrics, as \[sinks\.a\] does already; keep one of them"):
        setup_of(settings(both))


def test_a_sink_that_refuses_its_options_closes_those_before_it() -> None:
    """The error says which one it was."""
    Kept.closed.clear()
    text = '[sinks.a]\nkind = "kept"\nmost = 7\n[sinks.b]\nkind = "kept"\nmost = -1\n'
    planned, _ = planned_sinks(settings(text), registry=REGISTRY)
    with pytest.raises(ConfigError, match=r"sinks\.b: cannot be made: most is negative"):
        made_sinks(planned)
    assert Kept.closed == [7]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[otel]\nendpoint = "http://127.0.0.1:9"\nheaders_env = "NO_SUCH"\n',
            "otel.headers_env: the variable NO_SUCH is empty or not set",
        ),
        (
            '[sinks.mine]\nkind = "otel"\nheaders_env = "NO_SUCH"\n',
            "sinks.mine.headers_env: the variable NO_SUCH is empty or not set",
        ),
        (
            '[sinks.mine]\nkind = "prometheus"\nlabels = ["a", "a"]\n',
            "sinks.mine.labels: 'a' stands there twice; allowed: once",
        ),
        (
            '[sinks.mine]\nkind = "prometheus"\nlabels = [1]\n',
            "sinks.mine.labels: found [1]; allowed: a list of names of tags",
        ),
    ],
)
def test_what_a_sink_refuses_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    """The file and the key, as for whatever else is wrong; where a variable has set the table, that one."""
    file = tmp_path / "config.toml"
    file.write_text(MODELS + text)
    with pytest.raises(ConfigError) as caught:
        sinks_of(setup_of(load(file, environ={})))
    assert str(caught.value) == f"{file}: {said}"


def test_what_a_variable_set_is_told_with_the_variable(tmp_path: Path) -> None:
    """As the file has nothing of it."""
    file = tmp_path / "config.toml"
    file.write_text(MODELS)
    environ = {"LOWFARE_OTEL__PROTOCOL": "http", "LOWFARE_OTEL__HEADERS_ENV": "NO_SUCH"}
    with pytest.raises(ConfigError) as caught:
        sinks_of(setup_of(load(file, environ=environ)))
    assert str(caught.value) == (
        "environment variable LOWFARE_OTEL__HEADERS_ENV: otel.headers_env: the variable NO_SUCH is empty or not set"
    )


def test_a_key_in_a_sink_is_refused() -> None:
    """At any depth, and not shown."""
    with pytest.raises(ConfigError, match=r"'to\.password' looks like a key \(not shown\)") as caught:
        settings('[sinks.a]\nkind = "open"\nto = { password = "hunter2" }\n')
    assert "hunter2" not in str(caught.value)
