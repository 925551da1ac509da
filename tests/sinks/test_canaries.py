"""Nothing that was said, and no key, leaves the process with capture off, by whichever way."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from loguru import logger
from pydantic import BaseModel

from router import Answer, Request, Router, RouterError, Settings, Usage, check
from router.sinks.otel_content import SWITCH
from tests.sinks.canaries import (
    ENVIRONMENT,
    KEYS,
    REFUSALS,
    SAID,
    SCHEMA,
    SHOWN,
    Outputs,
    Provider,
    provider,
    request,
    tables,
)
from tests.sinks.otlp import Collector, collector
from tests.sinks.spans import environment
from tests.sinks.test_otel_export import closed_port
from tests.sinks.test_prometheus import fetched

EVERYTHING = {**SAID, **KEYS}


class Shape(BaseModel):
    """What an answer is to be; its field is not what comes."""

    other: int


async def asked(router: Router, host: Provider, outputs: Outputs) -> None:
    """Makes requests that end in every way there is, and notes what they show."""
    for _ in range(2):
        reply = await router.acomplete(**request())
        assert reply.text == SAID["answer"]
        outputs.show(reply, reply.decision, reply.choices, reply.choices[0].message, reply.usage, reply.decision.slate)
    outputs.show(router, router.plan(**request()), router.health(), router.trace_stats())
    outputs.show(router.complete(**request(policy="good", cache="off")))
    async with router.astream(**request(policy="good", cache="off")) as stream:
        async for chunk in stream:
            outputs.show(chunk, *chunk.choices, *(choice.delta for choice in chunk.choices))
        outputs.show(stream, stream.reply)
    for chunk in router.stream(**request(policy="good", cache="off")):
        outputs.show(chunk)
        break
    await refused(outputs, router.acomplete(**request(policy="wrong", tools=None, response_format=SCHEMA)))
    await refused(outputs, router.acomplete(**request(policy="wrong", tools=None, response_format=Shape)))
    await refused(outputs, streamed(router, policy="wrong", tools=None, response_format=SCHEMA))
    await refused(outputs, streamed(router, policy="cut"))
    for how in (*REFUSALS, *(f"{how}_{name}" for how in ("echo", "denied") for name in OTHERS)):
        plain = {"extra_body": None} if "gemini" in how else {}
        await refused(outputs, router.acomplete(**request(policy=how, **plain)))
        await refused(outputs, streamed(router, policy=how, **plain))
    for how in ("down", "keyless"):
        await refused(outputs, router.acomplete(**request(policy=how)))
    for wrong in wrong_requests():
        await refused(outputs, router.acomplete(**request(**wrong)))
    hung = asyncio.create_task(router.acomplete(**request(policy="good", cache="off")))
    await asyncio.sleep(0)
    hung.cancel()
    with suppress(asyncio.CancelledError):
        await hung
    await router.arecord_usage(model="good", usage=Usage(input_tokens=9), tags={"note": SHOWN["tag"]})
    while not {*QUOTED} <= {name for name, text in EVERYTHING.items() if any(text in said for said in host.quoted)}:
        await refused(outputs, router.acomplete(**request(policy="quote", response_format=SCHEMA)))
        assert len(host.quoted) < 200
    await refused(outputs, router.arecord_usage(model="good", usage={"prompt_tokens": SAID["prompt"]}))


OTHERS = ("anthropic", "gemini", "cohere", "vllm")


def wrong_requests() -> tuple[dict[str, Any], ...]:
    """Returns what is wrong with requests, in the fields that hold content."""
    said = SAID["prompt"]
    long = said * 9  # a name that is no longer than names are is shown
    return (
        {"messages": said.encode()},
        {"messages": [said, 7]},
        {"messages": [{"role": long, "content": "x"}]},
        {"messages": [{"role": "user", "content": {said}}]},
        {"tools": said},
        {"tools": [{"type": "function", "function": {"name": said, "parameters": float("nan")}}]},
        {"metadata": {long: object()}},
        {"extra_headers": {long: "a b\n"}},
        {"extra_headers": {"x-own": f"{said}\n"}},
        {"stop": {said}},
        {"max_tokens": said},
        {"n": said},
        {"user": [said, {1}]},
    )


async def streamed(router: Router, **more: Any) -> None:
    """Reads a stream to its end."""
    async for _ in router.astream(**request(**more)):
        pass


async def refused(outputs: Outputs, asking: Awaitable[Any]) -> None:
    """Makes a request that has no answer, and notes what the error shows."""
    with pytest.raises(RouterError) as caught:
        await asking
    outputs.error(caught.value)
    outputs.show(getattr(caught.value, "decision", None))


@asynccontextmanager
async def watched(
    outputs: Outputs, folder: Path, *, status: int = 200, **more: Any
) -> AsyncIterator[tuple[Router, Provider, Collector]]:
    """Runs a router between a provider and a collector, and notes what leaves the process."""
    log = folder / "log.jsonl"
    with environment(**ENVIRONMENT), provider() as host, collector() as found:
        found.status = status
        async with outputs.listening():
            stated = tables(host.url, found.url, closed_port(), str(log))
            for name, table in more.pop("tables", {}).items():
                stated[name] |= table
            settings = Settings(**stated)
            outputs.show(settings)
            async with Router(settings, **more) as router:
                yield router, host, found
                text = (await fetched(router.metrics_app()))[1]["body"].decode()
                outputs.add("metrics", text)
        outputs.add("record", log.read_text())
        for path, body in zip(found.paths, found.bodies, strict=True):
            outputs.add("spans" if path == "/v1/traces" else "metrics", body.decode(errors="replace"))


@pytest.mark.untraced
async def test_nothing_that_was_said_leaves_the_process(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No prompt, answer, tool, schema or key is in a span, metric, record, log line, exception, warning or repr."""
    outputs = Outputs()
    async with watched(outputs, tmp_path) as (router, host, found):
        await asked(router, host, outputs)
    outputs.add("console", *capfd.readouterr())
    assert outputs.leaks(EVERYTHING) == set()
    assert outputs.leaks(SHOWN, but=frozenset({"spans", "record", "repr", "exception"})) == set()
    assert not any(SHOWN[name] in text for text in host.got for name in ("tag", "tenant"))
    assert not any(text in path for path in host.paths for text in EVERYTHING.values())
    alive = {name for name, text in EVERYTHING.items() if any(text in got for got in host.got)}
    assert alive >= {*SENT, "key", "other_key"}
    assert all(headers["x-team"] == KEYS["collector_header"] for headers in found.headers)
    ways = {"spans", "metrics", "record", "loguru", "exception", "repr", "console"}
    assert {way for way, texts in outputs.found.items() if any(texts)} >= ways


async def test_a_collector_that_refuses_is_told_of_without_its_key(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither the warnings nor the lines of its exporters have it, nor anything that was said."""
    outputs = Outputs()
    async with watched(outputs, tmp_path, status=401) as (router, _, found):
        await router.acomplete(**request())
        assert not found.bodies
    outputs.add("console", *capfd.readouterr())
    assert outputs.leaks(EVERYTHING) == set()
    assert any("spans are lost" in text for text in outputs.found["warning"])
    assert any("Failed to export" in text for text in outputs.found["logging"])


SENT = SAID.keys() - {"answer", "called", "reasoning", "logprob", "beside", "image", "schema"}
QUOTED = {*SENT, "schema", "image", "other_key"}
"""What goes to providers, which shows that the canaries were alive."""


@check("loud")
def loud(answer: Answer, _: Request, /) -> str | None:
    """Repeats the answer, which checks must not, and says by every other way what it should not."""
    print(SAID["prompt"])  # noqa: T201 - on purpose
    logger.info(SAID["system"])
    logging.getLogger("loud").debug("%s", SAID["user"])
    warnings.warn(SAID["stop"], UserWarning, stacklevel=2)
    return f"{answer.text} is of no use"


async def caused() -> None:
    """Raises an error whose cause says too much."""
    raise RouterError("no more") from ValueError(SAID["called"])


async def test_leaks_are_found(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What leaks on purpose is found by each way, or the test above would show nothing."""
    outputs = Outputs()
    more = {
        "otel": {"labels": ["note"]},
        "sinks": {"metrics": {"kind": "prometheus", "labels": ["note"]}},
        "log": {"content": "full"},
    }
    with environment(**{SWITCH: "SPAN_ONLY"}):
        async with watched(outputs, tmp_path, tables=more, checks=[loud]) as (router, _, _found):
            await refused(outputs, router.acomplete(**request()))
            outputs.show(router.plan(**request()))
            await refused(outputs, caused())
    outputs.add("console", *capfd.readouterr())
    assert outputs.leaks({**EVERYTHING, **SHOWN}) >= {
        *((way, name) for way in ("spans", "record") for name in ("system", "prompt", "earlier", "arguments", "tag")),
        *((way, name) for way in ("spans", "record", "exception", "repr") for name in ("answer",)),
        ("metrics", "tag"),
        ("repr", "tenant"),
        ("exception", "called"),
        ("console", "prompt"),
        ("loguru", "system"),
        ("logging", "user"),
        ("warning", "stop"),
        ("record", "image"),
    }
