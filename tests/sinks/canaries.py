"""What must not leave the process: a canary in every field of a request, an answer and a key, and where to look."""

from __future__ import annotations

import http.server
import json
import logging
import threading
import traceback
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from loguru import logger

SAID: Mapping[str, str] = {
    "system": "amber system in the rebma",
    "prompt": "basil prompt in the lisab",
    "earlier": "cedar earlier in the radec",
    "thought": "dahlia thought in the ailhad",
    "arguments": "ebony arguments in the ynobe",
    "result": "fennel result in the lennef",
    "name": "ginger name in the regnig",
    "description": "hazel description in the lezah",
    "parameter": "indigo parameter in the ogidni",
    "schema": "jasmine schema in the enimsaj",
    "metadata": "lavender metadata in the redneval",
    "user": "maple user in the elpam",
    "stop": "nutmeg stop in the gemtun",
    "image": "oliveimageevilo",  # as it stands in base64
    "header": "pepper header in the reppep",
    "extra": "quince extra in the ecniuq",
    "answer": "rosemary answer in the yramesor",
    "reasoning": "saffron reasoning in the norffas",
    "called": "thyme called in the emyht",
    "logprob": "umber logprob in the rebmu",
    "beside": "vanilla beside in the allinav",
}
"""Of what is said and answered: words, as all that looks like a key is hidden from errors in any case."""
KEYS: Mapping[str, str] = {
    "key": "sk-canary-key-c1d4e8f06b7a9235",
    "other_key": "wren-and-robin-of-the-other-key",  # which looks like none
    "collector_header": "finch-of-the-collector",
}
SHOWN: Mapping[str, str] = {
    "tag": "heron-tag",
    "tenant": "stork-tenant",
    "stated_header": "raven in the file",
    "property": "kale property in the elak",  # a name, as those of tools: errors show them
    "complaint": "the owl complains of",  # of a provider, in its own words
}
"""What traces and the log may have, and metrics and the readable log must not; headers of the file are no keys."""
JSON = "application/json"
REFUSALS = ("echo", "html", "text", "denied", "ok", "stream")
"""How providers repeat what they got: in JSON, HTML or text, with the key, in an answer, in mid-stream."""


class Provider:
    """A provider that answers with canaries, or repeats all that it got; as the first part of the path says.

    Attributes:
        url: where it stands.
        got: all that it got.
        paths: to which it was sent.
        quoted: the values that it quoted, one in each answer: all of a request's, one after the other.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.got: list[str] = []
        self.paths: list[str] = []
        self.quoted: list[str] = []


@contextmanager
def provider() -> Iterator[Provider]:
    """Runs one."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            everything = body + str(self.headers)
            it.got.append(everything)
            it.paths.append(self.path)
            how = self.path.split("/")[1]
            if how in ("good", "wrong", "cut"):
                self._answer(how, stream=json.loads(body).get("stream") is True)
                return
            if how == "quote":
                values = [*strings(json.loads(body)), *self.headers.values()]
                it.quoted.append(values[len(it.quoted) % len(values)])
                everything = it.quoted[-1]
            keys = " ".join(self.headers.get(name, "") for name in ("authorization", "x-api-key"))
            self._send(*refusal(how, everything, keys))

        def _answer(self, how: str, *, stream: bool) -> None:
            whole = answer(how)
            if not stream:
                self._send(200, JSON, json.dumps(whole))
                return
            choice = whole["choices"][0]
            piece = whole | {"choices": [{"index": 0, "delta": choice["message"]}], "object": "chat.completion.chunk"}
            end = whole | {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
            parts = [piece] if how == "cut" else [piece, end, "[DONE]"]
            lines = [part if isinstance(part, str) else json.dumps(part) for part in parts]
            self._send(200, "text/event-stream", "".join(f"data: {line}\n\n" for line in lines))

        def _send(self, status: int, kind: str, text: str) -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.send_header("x-echo", SAID["prompt"] + KEYS["key"])
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the library gave it
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    it = Provider(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield it
    server.shutdown()
    server.server_close()
    thread.join()


def refusal(how: str, everything: str, keys: str) -> tuple[int, str, str]:
    """Returns status, type and body of an answer that repeats what came."""
    complaint = f"{SHOWN['complaint']} {everything}"
    whole = {"error": {"message": complaint, "type": everything, "code": everything, "param": everything}}
    match how:
        case "quote":
            return 400, JSON, json.dumps({"error": {"message": f"Bad value: {everything}"}})
        case "denied":
            return 401, JSON, json.dumps({"error": {"message": f"Incorrect API key: {keys}"}})
        case "html":
            return 502, "text/html", f"<html><h1>Bad gateway</h1>{everything}</html>"
        case "text":
            return 400, "text/plain", everything
        case "ok":
            return 200, JSON, json.dumps(whole)
        case "stream":
            return 200, "text/event-stream", f"data: {json.dumps(whole)}\n\n"
        case _:
            return 500, JSON, json.dumps(whole)


def strings(value: Any) -> Iterator[str]:
    """Yields all texts in a JSON value."""
    match value:
        case str():
            yield value
        case dict():
            for name, inner in value.items():
                yield name
                yield from strings(inner)
        case list():
            for inner in value:
                yield from strings(inner)


def answer(how: str) -> dict[str, Any]:
    """Returns a whole answer of the provider; one that is "wrong" is JSON that does not match the schema."""
    call = {"name": "f", "arguments": json.dumps({"a": SAID["called"]})}
    message = {
        "role": "assistant",
        "content": json.dumps({SHOWN["property"]: SAID["answer"]}) if how == "wrong" else SAID["answer"],
        "reasoning_content": SAID["reasoning"],
        "annotations": [{"type": "url_citation", "note": SAID["beside"]}],
        "tool_calls": [] if how == "wrong" else [{"id": "1", "index": 0, "type": "function", "function": call}],
    }
    logprobs = {"content": [{"token": SAID["logprob"], "logprob": -1.0, "bytes": None, "top_logprobs": []}]}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": logprobs}
    usage = {"prompt_tokens": 5, "completion_tokens": 5}
    return {"id": "answer-1", "model": "m", "choices": [choice], "usage": usage}


def request(**more: Any) -> dict[str, Any]:
    """Returns a request with a canary in every field that holds content."""
    call = {"id": "9", "type": "function", "function": {"name": "f", "arguments": f'"{SAID["arguments"]}"'}}
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{SAID['image']}"}}
    parameters = {"type": "object", "properties": {"a": {"type": "string", "description": SAID["parameter"]}}}
    function = {"name": "f", "description": SAID["description"], "parameters": parameters}
    return {
        "messages": [
            {"role": "system", "content": SAID["system"]},
            {"role": "user", "name": SAID["name"], "content": [{"type": "text", "text": SAID["earlier"]}, image]},
            {"role": "assistant", "content": None, "reasoning_content": SAID["thought"], "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "9", "content": SAID["result"]},
            {"role": "user", "content": SAID["prompt"]},
        ],
        "tools": [{"type": "function", "function": function}],
        "metadata": {"note": SAID["metadata"]},
        "user": SAID["user"],
        "stop": [SAID["stop"]],
        "extra_headers": {"x-own": SAID["header"]},
        "extra_body": {"own": SAID["extra"]},
        "tags": {"note": SHOWN["tag"]},
        "tenant": SHOWN["tenant"],
        "max_tokens": 50,
    } | more


SCHEMA: Mapping[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "wanted",
        "schema": {
            "type": "object",
            "description": SAID["schema"],
            "properties": {SHOWN["property"]: {"type": "integer"}},
            "required": [SHOWN["property"]],
        },
    },
}


def tables(provider_url: str, collector_url: str, nobody: str, log: str) -> dict[str, Any]:
    """Returns the configuration: a model for each way to answer and to refuse, and a policy for each of them."""
    shape = {
        "headers": {"x-model": SHOWN["stated_header"]},
        "input_usd_per_mtok": "1",
        "output_usd_per_mtok": "1",
        "context_window_tokens": 100_000,
        "max_output_tokens": 1_000,
        "capabilities": ["tools", "vision", "json_schema", "json_object"],
        "key_env": "CANARY_KEY",
    }
    models = {
        how: shape | {"client": "openai", "id": f"openai/{how}"} for how in ("good", "wrong", "cut", "quote", *REFUSALS)
    }
    for how in ("echo", "denied"):
        others = {
            "anthropic": "anthropic/claude-sonnet-4-5",
            "gemini": "gemini/gemini-2.5-flash",
            "cohere": "cohere/command-a-03-2025",
            "vllm": "hosted_vllm/m",
        }
        models |= {f"{how}_{name}": shape | {"id": id_, "key_env": "OTHER_KEY"} for name, id_ in others.items()}
    models = {
        name: model | {"base_url": f"{provider_url}/{name.partition('_')[0]}/v1"} for name, model in models.items()
    }
    models["quote"] |= {"key_env": "OTHER_KEY"}
    models["down"] = models["good"] | {"base_url": f"{nobody}/v1"}
    models["keyless"] = models["good"] | {"key_env": "NO_SUCH_KEY", "base_url": models["denied"]["base_url"]}
    return {
        "models": models,
        "policies": {
            "default": {"kind": "fallback", "models": ["echo", "good"]},
            **{name: {"kind": "fallback", "models": [name]} for name in models},
        },
        "bounds": {"attempts": 2},
        "breaker": {"consecutive_failures": 1_000},
        "retry_quota": {"share": 1.0},
        "cache": {"backend": "memory"},
        "log": {"path": log, "lines": True},
        "otel": {"endpoint": collector_url, "headers_env": "CANARY_HEADERS"},
        "sinks": {"metrics": {"kind": "prometheus"}},
    }


ENVIRONMENT: Mapping[str, str] = {
    "CANARY_KEY": KEYS["key"],
    "OTHER_KEY": KEYS["other_key"],
    "CANARY_HEADERS": f"x-team={KEYS['collector_header']}",
}


class Outputs:
    """Collects what leaves the process, by the way it left."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def add(self, way: str, *texts: object) -> None:
        """Notes what left."""
        self.found.setdefault(way, []).extend(map(str, texts))

    def show(self, *values: object) -> None:
        """Notes how values show themselves."""
        self.add("repr", *map(repr, values))

    def error(self, error: BaseException) -> None:
        """Notes how an error shows itself, its causes, and their notes and arguments."""
        self.add("exception", str(error), repr(error), *traceback.format_exception(error))
        chain: BaseException | None = error
        while chain is not None:
            self.add("exception", repr(chain.args), vars(chain))
            chain = chain.__cause__ or chain.__context__

    def leaks(self, canaries: Mapping[str, str], *, but: frozenset[str] = frozenset()) -> set[tuple[str, str]]:
        """Returns by which way which canaries left.

        Args:
            canaries: by name.
            but: ways that need not be looked at.
        """
        return {
            (way, name)
            for way, texts in self.found.items()
            if way not in but
            for name, canary in canaries.items()
            if any(canary in text for text in texts)
        }

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listens to the readable log, to `logging` down to its debug lines, and to warnings."""

        class Lines(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                outer.add("logging", self.format(record), record.args, record.exc_text)

        outer, root, lines = self, logging.getLogger(), Lines(level=logging.DEBUG)
        number = logger.add(lambda text: self.add("loguru", text), format="{message} {extra} {exception}", level=0)
        level = root.level
        root.addHandler(lines)
        root.setLevel(logging.DEBUG)
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                yield
            self.add("warning", *(one.message for one in told))
        finally:
            root.removeHandler(lines)
            root.setLevel(level)
            logger.remove(number)
