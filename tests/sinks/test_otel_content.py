"""What of prompts, keys and answers leaves the process: nothing, unless the standard switch says so."""

from __future__ import annotations

import orjson
import pytest

from router.sinks.otel_content import EVENT, SWITCH
from router.testing.records import decision_of
from router.testing.scripted import ScriptedClient, answer, failure
from tests.sinks.spans import Traced, environment


@pytest.mark.parametrize("mode", ["SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"])
def test_content_goes_where_the_switch_says_after_redaction(mode: str) -> None:
    """On the span of the attempt that answered, or in an event of it; what the log redacts is redacted there too."""
    with environment(**{SWITCH: mode}):
        client = ScriptedClient({"small": failure("server_error"), "large": answer("call 0800123")})
        traced = Traced(client, bounds={"waste_usd": "1"}, log={"redact": [{"pattern": r"\d{7}"}]})
    traced.router.complete("my number is 0123456")
    first, second, route = traced.spans
    assert second.attributes is not None
    on_span = dict(second.attributes)
    in_event = [dict(event.attributes or {}) for event in second.events if event.name == EVENT]
    where = [*([on_span] if mode != "EVENT_ONLY" else []), *in_event]
    assert len(where) == (2 if mode == "SPAN_AND_EVENT" else 1)
    for says in where:
        (message,) = orjson.loads(str(says["gen_ai.input.messages"]))
        assert message["parts"] == [{"type": "text", "content": "my number is [redacted]"}]
        (message,) = orjson.loads(str(says["gen_ai.output.messages"]))
        assert message["parts"] == [{"type": "text", "content": "call [redacted]"}]
        assert message["finish_reason"] == "stop"
    for silent in (first, route):
        assert "gen_ai.input.messages" not in (silent.attributes or {})
    assert [d.content for d in traced.kept.decisions] == [None]


def test_a_hit_has_its_content_too() -> None:
    """On the span of the request, as there is no attempt."""
    with environment(**{SWITCH: "SPAN_ONLY"}):
        traced = Traced()
    for _ in range(2):
        traced.router.complete("hi")
    assert "gen_ai.output.messages" in (traced.spans[-1].attributes or {})
    assert "gen_ai.input.messages" not in (traced.spans[-2].attributes or {})


def test_content_in_the_log_is_not_content_in_traces() -> None:
    """Each has a switch of its own."""
    traced = Traced(log={"content": "full"})
    traced.router.complete("hi")
    assert traced.kept.decisions[0].content is not None
    assert not any("gen_ai.input.messages" in (span.attributes or {}) for span in traced.spans)
    with environment(**{SWITCH: "SPAN_ONLY"}):
        both = Traced(log={"content": "full"})
    both.router.complete("hi")
    assert both.kept.decisions[0].content is not None
    assert "gen_ai.input.messages" in (both.named("chat").attributes or {})


def test_a_record_without_content_shows_none() -> None:
    """As that of a decision that another router made, whatever the switch says."""
    with environment(**{SWITCH: "SPAN_AND_EVENT"}):
        traced = Traced()
    traced.sink.emit(decision_of())
    assert [span.name for span in traced.spans] == ["chat m1", "route default"]
    assert not any("gen_ai.input.messages" in (span.attributes or {}) or span.events for span in traced.spans)
