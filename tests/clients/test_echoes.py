"""What every client that speaks HTTP owes the caller when a provider repeats the prompt, or redirects."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest

from router.clients.anthropic import AnthropicClient
from router.clients.client import Client
from router.clients.gemini import GeminiClient
from router.clients.litellm import LitellmClient
from router.clients.openai import OpenAIClient
from router.core.failure import FOLLOW, Failure
from tests.clients.calls import KEY, call, sse, streamed
from tests.replay.server import Recording, ReplayServer

CANARY = "my doctor says the xylophone is malignant"
PROMPT = {"role": "user", "content": f"Listen: {CANARY}. What now?"}
SAID = {"error": {"code": 400, "type": "invalid_request_error", "message": f"Invalid value in message: {CANARY}"}}
MODELS: Mapping[str, type[Client]] = {
    "openai/m": OpenAIClient,
    "anthropic/claude-sonnet-4-5": AnthropicClient,
    "gemini/gemini-2.5-flash": GeminiClient,
    "cohere/command-a-03-2025": LitellmClient,
    "hosted_vllm/m": LitellmClient,
}


@pytest.fixture(params=MODELS)
async def model(request: pytest.FixtureRequest) -> str:
    """The id of a model of each client."""
    name: str = request.param
    return name


@pytest.fixture
async def client(model: str) -> AsyncIterator[Client]:
    """The client that serves the model, closed after the test."""
    one = MODELS[model]()
    yield one
    await one.aclose()


async def failed(client: Client, model: str, recording: Recording, *, stream: bool) -> Failure:
    """Returns how a call with the canary fails."""
    async with ReplayServer({"a": recording}) as server:
        one = call(model, base_url=f"{server.url}/a", messages=[PROMPT], stream=stream)
        result = (await streamed(client, one))[1] if stream else await client.send(one)
    assert isinstance(result, Failure)
    return result


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_does_not_repeat_the_prompt(client: Client, model: str, stream: bool) -> None:
    """Of an error's words only those are shown that are not the caller's."""
    recording = Recording(status=400, headers={"content-type": "application/json"}, body=json.dumps(SAID).encode())
    failure = await failed(client, model, recording, stream=stream)
    assert failure.message == "Invalid value in message: …"
    assert CANARY not in repr(failure)


async def test_an_error_in_a_stream_does_not_repeat_the_prompt(client: Client, model: str) -> None:
    """The same holds where the error comes as an event of a stream that had begun well."""
    recording = Recording(headers={"content-type": "text/event-stream"}, body=sse(SAID, name="error"))
    failure = await failed(client, model, recording, stream=True)
    assert not any(word in repr(failure) for word in ("doctor", "xylophone", "malignant"))


# litellm's own HTTP client, which speaks to all other providers, follows redirects.
@pytest.mark.parametrize("model", [name for name in MODELS if not name.startswith("hosted_vllm")])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_redirect_says_where_it_leads(client: Client, model: str, stream: bool) -> None:
    """A redirect is not followed with the key; it costs nothing, and is said to be base_url's fault."""
    headers = {"location": "https://user:secret@elsewhere.example/v1/chat?token=1"}
    recording = Recording(status=302, headers=headers, body=b"<html>moved</html>")
    failure = await failed(client, model, recording, stream=stream)
    assert failure.message == (
        "the address redirects to elsewhere.example, which is not followed; set base_url to where it leads"
    )
    assert (FOLLOW[failure.kind].same_model, FOLLOW[failure.kind].billed) == (False, "no")


@pytest.mark.parametrize("key", [None, "", KEY])
async def test_a_key_that_was_not_there_is_said_to_be_missing(client: Client, model: str, key: str | None) -> None:
    """Where the variable of the key is empty or not set, a refusal names it; where it is set, the key is wrong."""
    said = {"error": {"type": "authentication_error", "message": "No auth credentials found"}}
    recording = Recording(status=401, headers={"content-type": "application/json"}, body=json.dumps(said).encode())
    async with ReplayServer({"a": recording}) as server:
        one = call(model, base_url=f"{server.url}/a", key=key)
        failure = await client.send(replace(one, model=replace(one.model, key_env="SOME_API_KEY")))
    assert isinstance(failure, Failure)
    assert failure.kind == "denied"
    assert failure.message.startswith("the environment variable SOME_API_KEY is empty or not set: ") is (not key)
