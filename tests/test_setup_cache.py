from __future__ import annotations

import secrets
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from router import Router
from router.config import Settings, load
from router.errors import ConfigError
from router.registry import Registry
from router.setup import setup_of
from router.setup_cache import PlannedCache, made_cache, planned_cache

MODELS = '[models.a]\nid = "simulated/a"\ninput_usd_per_mtok = "1"\noutput_usd_per_mtok = "1"\n'


class Refusing:
    """No store, and one that cannot be made: it has the methods, and no patience."""

    def __init__(self, url: str, *, tries: int = 1) -> None:
        raise ConnectionError(f"{url} after {tries}")

    get = put = delete = scan = join = renew = watch = leave = aclose = lambda self: None


REGISTRY = Registry(
    "lowfare.caches",
    {
        name: EntryPoint(name=name, group="lowfare.caches", value=f"tests.{target}")
        for name, target in (
            ("refusing", "test_setup_cache:Refusing"),
            ("wrong", "cache.routers:Kept"),
            ("lost", "test_setup_cache:Lost"),
        )
    },
)


def settings(text: str) -> Settings:
    """Returns the settings of a text."""
    return Settings.model_validate(tomllib.loads(text + MODELS))


def now() -> float:
    """Returns some time."""
    return 5.0


def test_without_a_table_nothing_is_planned_or_kept() -> None:
    """Whoever says nothing has no cache."""
    assert planned_cache(settings("")) == (None, [])
    assert made_cache(None, now).guard is None


def test_a_bare_table_is_memory() -> None:
    """The defaults are a cache in memory."""
    planned, faults = planned_cache(settings("[cache]\n"))
    assert not faults
    assert planned is not None
    assert (planned.backend, planned.make, planned.memory_bytes) == ("memory", None, 100_000_000)
    assert setup_of(settings("[cache]\n")).cache == planned


def test_a_store_is_made_with_its_options(tmp_path: Path) -> None:
    """The class gets what the table says, by keyword."""
    path = tmp_path / "deep" / "cache.db"
    planned, faults = planned_cache(settings(f'[cache]\nbackend = "sqlite"\npath = "{path}"\nmax_bytes = 5000000\n'))
    assert not faults
    cache = made_cache(planned, now)
    assert (cache.backend, path.exists()) == ("sqlite", True)


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ('backend = "wrong"\n', ("cache", "backend"), "which is no store"),
        ('backend = "lost"\n', ("cache", "backend"), "Lost"),
        ('backend = "none"\n', ("cache", "backend"), "memory"),
        ('backend = "refusing"\n', ("cache", "url"), "is missing"),
        ('backend = "refusing"\nurl = "x"\ntrys = 3\n', ("cache", "trys"), "did you mean 'tries'?"),
        ('backend = "refusing"\nurl = "x"\ntries = "three"\n', ("cache", "tries"), "a whole number"),
        ('backend = "refusing"\nurl = "x"\ntries = true\n', ("cache", "tries"), "a whole number"),
        ('backend = "refusing"\nurl = 5\n', ("cache", "url"), "a string"),
    ],
)
def test_what_is_wrong_with_a_backend_is_said(text: str, place: tuple[str, ...], told: str) -> None:
    """The fault names the key, and what would be right."""
    _, faults = planned_cache(settings(f"[cache]\n{text}"), registry=REGISTRY)
    assert [fault.path for fault in faults] == [place]
    assert told in faults[0].message


def test_a_store_that_cannot_be_made_shows_no_address() -> None:
    """An address may hold a password, so only the kind of error is told."""
    planned, _ = planned_cache(settings('[cache]\nbackend = "refusing"\nurl = "hunter2"\n'), registry=REGISTRY)
    with pytest.raises(ConfigError, match=r"cannot be made \(ConnectionError\)") as caught:
        made_cache(planned, now)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(planned)


def test_a_store_that_says_why_it_cannot_be_made_is_heard(tmp_path: Path) -> None:
    """What a store tells of its configuration reaches the caller: the path, and what is wrong with it."""
    planned, faults = planned_cache(settings(f'[cache]\nbackend = "sqlite"\npath = "{tmp_path}"\n'))
    assert not faults
    with pytest.raises(ConfigError, match="is a folder; write the path of a file in it") as caught:
        made_cache(planned, now)
    assert str(tmp_path) in str(caught.value)


def test_a_clock_is_no_option(tmp_path: Path) -> None:
    """What a table cannot say is refused as an option, by name."""
    text = f'[cache]\nbackend = "sqlite"\npath = "{tmp_path / "cache.db"}"\nnow = 5\n'
    _, [fault] = planned_cache(settings(text))
    assert fault.path == ("cache", "now")
    assert "max_bytes" in fault.message


def test_a_key_that_is_missing_or_no_key_is_an_error() -> None:
    """Nobody believes that answers are sealed when they are not."""
    planned = PlannedCache(key_env="SEAL_KEY")
    for environ in ({}, {"SEAL_KEY": "hunter2"}):
        with pytest.raises(ConfigError, match="SEAL_KEY") as caught:
            made_cache(planned, now, environ=environ)
        assert "hunter2" not in str(caught.value)
    assert made_cache(planned, now, environ={"SEAL_KEY": secrets.token_hex(32)}).backend == "memory"


def test_a_store_needs_terms() -> None:
    """A program that brings a store without the table is told so."""
    store: Any = object()
    with pytest.raises(ConfigError, match=r"\[cache\]"):
        Router(settings(""), store=store)


def test_an_address_with_a_password_comes_from_the_environment(tmp_path: Path) -> None:
    """There it may stand; it is in no repr."""
    path = tmp_path / "config.toml"
    path.write_text(f'[cache]\nbackend = "redis"\n{MODELS}')
    environ = {"LOWFARE_CACHE__URL": "redis://:hunter2@localhost:1", "LOWFARE_CACHE__CLUSTER": "True"}
    loaded = load(path, environ=environ)
    assert loaded.cache is not None
    assert loaded.cache.options == {"url": "redis://:hunter2@localhost:1", "cluster": True}
    assert "hunter2" not in repr(loaded)
    planned, faults = planned_cache(loaded)
    assert not faults
    assert "hunter2" not in repr(planned)


def test_an_address_that_is_none_is_left_to_the_store(tmp_path: Path) -> None:
    """What is no address at all has no password either."""
    assert settings('[cache]\nbackend = "redis"\nurl = "redis://[::1"\n').cache is not None
    with pytest.raises(ConfigError, match="looks like a key"):
        settings('[cache]\nbackend = "redis"\npassword = "hunter2"\n')


def test_terms_of_policies_are_laid_over_those_of_all() -> None:
    """What a policy does not state is as the table has it."""
    terms = setup_of(
        settings(
            "[cache]\nttl_s = 50\nsampled = false\n"
            "[per_policy.default.cache]\nmode = 'refresh'\ndrop_params = ['user']\n"
        )
    ).terms
    default, none = terms["default"], terms["none"]
    assert default.caching is not None
    assert none.caching is not None
    assert (default.caching.mode, default.caching.ttl_s, default.caching.sampled) == ("refresh", 50.0, False)
    assert (none.caching.mode, none.caching.ttl_s) == ("use", 50.0)
    assert default.drop.params == {"user"}
    assert not none.drop.params
