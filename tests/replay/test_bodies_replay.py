"""Our request bodies for Anthropic and Gemini are litellm's own, but for a list of differences that are meant."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from router.clients import litellm_adapter, litellm_results
from router.clients.client import Call
from router.clients.litellm_adapter import WireRequest
from router.core.catalog import Model, Timeouts
from router.core.failure import Failure
from router.core.request import Request
from tests.replay.openai_requests import generated, recorded
from tests.replay.plain_reading import all_of
from tests.replay.server import Recording, ReplayServer

ALLOWED = tomllib.loads((Path(__file__).parent / "allowed_differences.toml").read_text())["allowed"]
ANSWERS = {
    "anthropic": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
    "gemini": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "ok"}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
    },
}  # fmt: skip
MODELS = (
    "anthropic/claude-sonnet-4-5",
    "anthropic/claude-3-5-haiku-20241022",
    "anthropic/claude-opus-4-7",
    "gemini/gemini-2.5-flash",
    "gemini/gemini-3-pro-preview",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place where the two differ; `where` is a JSON pointer, or "/" with the words of who refuses."""

    provider: str
    where: str
    ours: str
    theirs: str

    def allowed(self) -> int | None:
        """Returns the number of the list's entry that allows it."""
        for number, entry in enumerate(ALLOWED):
            if self.provider in entry["providers"] and re.fullmatch(entry["where"], self.where):
                return number
        return None


def ours(model_id: str, request: Mapping[str, Any]) -> WireRequest | Failure:
    """Returns what our client would send."""
    provider = model_id.partition("/")[0]
    params = {k: v for k, v in request.items() if k not in ("messages", "stream")}
    call = Call(
        model=Model(name="m", id=model_id, provider=provider, client=provider),
        request=Request(messages=tuple(request["messages"]), params=params, stream=bool(request.get("stream"))),
        timeouts=Timeouts(connect_s=60.0),
        key="test-key",
    )
    return litellm_adapter.anthropic(call) if provider == "anthropic" else litellm_adapter.gemini(call)


async def theirs(server: ReplayServer, number: str, model_id: str, request: Mapping[str, Any]) -> Any:
    """Returns the body that litellm sends; None where it refuses to."""
    server.recordings[number] = Recording(
        headers={"content-type": "application/json"}, body=json.dumps(ANSWERS[model_id.partition("/")[0]]).encode()
    )
    asked: dict[str, Any] = {**copy.deepcopy(dict(request)), "model": model_id}
    # Whatever it raises, what was sent is what counts. A stream is read up to its first piece: by then the body is out.
    with contextlib.suppress(Exception):
        answer = await litellm_adapter.load().acompletion(
            **asked,
            api_base=server.url,
            api_key="test-key",
            extra_headers={"x-cassette": number},
            max_retries=0,
            num_retries=0,
            _skip_mcp_handler=True,
        )
        if request.get("stream"):
            await anext(answer, None)
    seen = server.seen.get(number)
    return seen.json() if seen is not None else None


def flat(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every leaf of a JSON value with its pointer."""
    match value:
        case dict() if value:
            for name, inner in value.items():
                yield from flat(inner, f"{at}/{name}")
        case list() if value:
            for number, inner in enumerate(value):
                yield from flat(inner, f"{at}/{number}")
        case _:
            yield at, value


def differences(provider: str, mine: WireRequest | Failure, other: Any) -> Iterator[Difference]:
    """Yields where a body of ours differs from litellm's; `/we refuse: ...` where only one of the two would be sent."""
    match mine, other:
        case Failure(), None:
            return
        case Failure(message=message), _:
            yield Difference(provider=provider, where=f"/we refuse: {message.partition(': ')[2]}", ours="", theirs="")
        case _, None:
            yield Difference(provider=provider, where="/litellm refuses", ours="", theirs="")
        case WireRequest(body=body), _:
            left, right = dict(flat(json.loads(body))), dict(flat(other))
            for where in sorted(left.keys() | right.keys()):
                mine_, its = repr(left.get(where, "-")), repr(right.get(where, "-"))
                if mine_ != its:
                    yield Difference(provider=provider, where=where, ours=mine_, theirs=its)


async def compared(requests: Sequence[Mapping[str, Any]], models: Sequence[str]) -> list[list[Difference]]:
    """Returns the differences of each request at each model."""
    pairs = [(request, model) for request in requests for model in models]
    async with ReplayServer() as server:
        sent = await all_of(
            [partial(theirs, server, str(n), model, request) for n, (request, model) in enumerate(pairs)]
        )
        # Its streams for Anthropic go through a client of the whole process, which `aclose` rightly leaves alone.
        await litellm_adapter.load().module_level_aclient.client._transport.aclose()  # noqa: SLF001 - the only way to it
        await litellm_results.aclose()
    return [
        list(differences(model.partition("/")[0], ours(model, request), body))
        for (request, model), body in zip(pairs, sent, strict=True)
    ]


def judge(found: list[list[Difference]]) -> Counter[int]:
    """Returns how often each entry of the list was needed; fails on any difference that none allows."""
    used: Counter[int] = Counter()
    wrong = []
    for per_request in found:
        for difference in per_request:
            entry = difference.allowed()
            if entry is None:
                wrong.append(difference)
            else:
                used[entry] += 1
    assert not wrong, f"{len(wrong)} differences, such as {wrong[:5]}"
    return used


@pytest.mark.untraced
def test_generated_requests(capsys: pytest.CaptureFixture[str]) -> None:
    """Of generated requests our bodies are litellm's, and no entry of the list of differences is stale."""
    found = asyncio.run(compared(list(generated(150)), MODELS))
    used = judge(found)
    stale = [entry["reason"] for number, entry in enumerate(ALLOWED) if entry["generated"] and not used[number]]
    same = sum(not per_request for per_request in found)
    with capsys.disabled():
        print(f"\ngenerated: {same} of {len(found)} bodies are litellm's to the letter, the others as allowed")  # noqa: T201 - shown
    assert not stale


@pytest.mark.untraced
def test_recorded_requests(capsys: pytest.CaptureFixture[str]) -> None:
    """Of recorded requests our bodies are litellm's."""
    found = asyncio.run(compared(recorded(), ("anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash")))
    judge(found)
    same = sum(not per_request for per_request in found)
    with capsys.disabled():
        print(f"\nrecorded: {same} of {len(found)} bodies are litellm's to the letter, the others as allowed")  # noqa: T201 - shown
