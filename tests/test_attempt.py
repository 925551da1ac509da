"""How stored answers are checked for a request: the schema that it states, and what must not cost anyone an answer."""

from __future__ import annotations

from typing import Any

import pytest

from router.attempt import Attempts
from router.clients.shared import Clients
from router.config import Settings
from router.core.request import Request
from router.core.schema_check import SchemaCheck
from router.setup import setup_of
from router.sinks.tracing import Ambient
from router.state.gate import Gate
from router.testing.scripted import answer
from tests.core.builders import given, model


class _Forgetful(dict[bytes, SchemaCheck | None]):
    """Loses what it is given at once, as when another thread clears it in between."""

    def __setitem__(self, name: bytes, check: SchemaCheck | None, /) -> None:
        super().__setitem__(name, check)
        self.clear()


@pytest.fixture
def attempts() -> Attempts:
    """What carries out the attempts of a router with one model."""
    tables: dict[str, Any] = {
        "models": {"a": {"id": "simulated/a", "input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}},
        "policies": {"default": {"kind": "fallback", "models": ["a"]}},
    }
    setup = setup_of(Settings(**tables))
    gate = Gate(breaker=setup.breaker, quota=setup.retry_quota, concurrency=setup.concurrency, monotonic=lambda: 0.0)
    return Attempts(setup, gate, Clients({}, {}), Ambient())


def asks(schema: Any) -> Request:
    """Returns a request for JSON of a schema."""
    form = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}
    return Request(messages=({"role": "user", "content": "hi"},), params={"response_format": form})


def told(attempts: Attempts, schema: Any, text: str) -> str | None:
    """Returns why a stored answer is of no use to a request for JSON of a schema."""
    return attempts.checker(given(model("a")), asks(schema))(answer(text))


def test_stored_answers_must_match_the_schema(attempts: Attempts) -> None:
    """Of as many schemas as come, more than are kept, each is the one that is checked, the second time too."""
    for _ in range(2):
        for least in range(100):
            assert told(attempts, {"minimum": least}, f"{least}") is None
            assert "schema" in (told(attempts, {"minimum": least}, f"{least - 1}") or "")


def test_schemas_that_another_thread_clears_are_checked_all_the_same(attempts: Attempts) -> None:
    """The check of a schema that was just made need not be kept to be used."""
    attempts._schemas = _Forgetful()  # noqa: SLF001 - no thread can be made to come in just there
    assert told(attempts, {"minimum": 1}, "1") is None
    assert "schema" in (told(attempts, {"minimum": 1}, "0") or "")


def test_a_schema_that_cannot_be_read_makes_an_answer_unusable(attempts: Attempts) -> None:
    """Whatever goes wrong with it, the stored answer is passed over and the request goes on to a provider."""
    assert told(attempts, {"enum": [object()]}, "1") == "a check raised TypeError"
