"""What of prompts, keys and answers leaves the process: nothing, unless the standard switch says so."""

from __future__ import annotations

import http.server
import json
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from loguru import logger

from router import Router, RouterError, Settings
from router.sinks.otel_content import EVENT, SWITCH
from router.testing.scripted import ScriptedClient, answer, failure
from tests.sinks.otlp import attributes, collector
from tests.sinks.spans import Traced, environment

CANARIES = {
    "system": "canary-system-1f0c9a77",
    "prompt": "canary-prompt-8d2e6b41",
    "earlier": "canary-earlier-3c75aa90",
    "arguments": "canary-arguments-e4b19f26",
    "result": "canary-result-70ad5c18",
    "description": "canary-description-b6f3821d",
    "metadata": "canary-metadata-95e0c4ab",
    "stop": "canary-stop-2a8f7d53",
    "key": "sk-canary-key-c1d4e8f06b7a9235",
    "answer": "canary-answer-6e93b07f",
    "called": "canary-called-d80f5a2c",
    "header": "canary-header-41b7e6d9",
}


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the canaries, or repeats the whole request, key included, in an error."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if body["model"] == "echo":
            said = json.dumps(body) + str(self.headers["authorization"]) + str(self.headers["x-own"])
            self._send(500, {"error": {"message": f"cannot serve {said}", "type": "server_error", "code": "broken"}})
            return
        call = {"name": "f", "arguments": json.dumps({"a": CANARIES["called"]})}
        message = {
            "role": "assistant",
            "content": CANARIES["answer"],
            "tool_calls": [{"id": "1", "type": "function", "function": call}],
        }
        usage = {"prompt_tokens": 5, "completion_tokens": 5}
        self._send(200, {"id": "1", "model": "m", "choices": [{"index": 0, "message": message}], "usage": usage})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the library gave it
        pass


@contextmanager
def echo() -> Iterator[str]:
    """Runs the provider; yields its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def request() -> dict[str, Any]:
    """Returns a request with a canary in every field that holds content."""
    call = {"id": "9", "type": "function", "function": {"name": "f", "arguments": f'"{CANARIES["arguments"]}"'}}
    return {
        "messages": [
            {"role": "system", "content": CANARIES["system"]},
            {"role": "user", "content": [{"type": "text", "text": CANARIES["earlier"]}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "9", "content": CANARIES["result"]},
            {"role": "user", "content": CANARIES["prompt"]},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": CANARIES["description"]}}],
        "metadata": {"note": CANARIES["metadata"]},
        "stop": [CANARIES["stop"]],
        "extra_headers": {"x-own": CANARIES["header"]},
        "max_tokens": 50,
    }


def settings(url: str, otlp: str, log: Path) -> Settings:
    """Returns those of a router over two models of the provider, the first of which fails."""
    model = {
        "client": "openai",
        "base_url": url,
        "key_env": "CANARY_KEY",
        "input_usd_per_mtok": "1",
        "output_usd_per_mtok": "1",
        "context_window_tokens": 10_000,
        "max_output_tokens": 1_000,
        "capabilities": ["tools"],
    }
    tables: dict[str, Any] = {
        "models": {"bad": model | {"id": "openai/echo"}, "good": model | {"id": "openai/good"}},
        "policies": {
            "default": {"kind": "fallback", "models": ["bad", "good"]},
            "bad": {"kind": "fallback", "models": ["bad"]},
        },
        "bounds": {"waste_usd": "1", "attempts": 2},
        "cache": {"backend": "memory"},
        "log": {"path": str(log), "lines": True},
        "otel": {"endpoint": otlp},
    }
    return Settings(**tables)


def test_nothing_that_was_said_leaves_the_process(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With capture off no span, log line, exception, warning or repr has a prompt, an answer, a key or an argument."""
    lines: list[str] = []
    handler = logger.add(lines.append, format="{message} {extra}")
    logger.enable("router")
    log, said = tmp_path / "log.jsonl", list[str]()
    with environment(CANARY_KEY=CANARIES["key"]), echo() as url, collector() as found, warnings.catch_warnings():
        warnings.simplefilter("error")
        with Router(settings(url, found.url, log)) as router:
            replies = [router.complete(**request()) for _ in range(2)]
            assert [reply.text for reply in replies] == [CANARIES["answer"]] * 2
            assert replies[1].decision.cache == "memory"
            said += map(repr, replies)
            try:
                router.complete(**request(), policy="bad", cache="off")
            except RouterError as error:
                said += [str(error), repr(error), "".join(traceback.format_exception(error))]
    logger.remove(handler)
    assert len(said) == 5
    assert len(found.spans) == 1 + 2 + 1 + 3
    shown = "\n".join([*said, *lines, log.read_text(), *capfd.readouterr(), *map(str, found.spans)])
    assert any(attributes(event) for span in found.spans for event in span.events)
    assert lines
    assert [name for name, canary in CANARIES.items() if canary in shown] == []
    assert b"canary" not in b"".join(found.bodies)


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
