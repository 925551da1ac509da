"""What our requests are made of; that bodies are litellm's own is for `tests/replay/test_bodies_replay.py` to show."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clients import litellm_adapter
from router.clients.litellm_adapter import WireRequest
from router.clients.media import Remote
from router.core.failure import Failure
from tests.clients.calls import KEY, call

CLAUDE, OLD_CLAUDE, GEMINI = (
    "anthropic/claude-sonnet-4-5",
    "anthropic/claude-3-5-haiku-20241022",
    "gemini/gemini-2.5-flash",
)
FUNCTION = {"name": "clock", "parameters": {"type": "object", "properties": {}}}
CLOCK = {"type": "function", "function": FUNCTION}


def made(model_id: str, **more: Any) -> WireRequest | Failure:
    """Returns the request to a model."""
    one = call(model_id, **more)
    return litellm_adapter.anthropic(one) if one.model.provider == "anthropic" else litellm_adapter.gemini(one)


def wire(model_id: str, **more: Any) -> WireRequest:
    """Returns the request to a model, which must be one."""
    request = made(model_id, **more)
    assert isinstance(request, WireRequest), request
    return request


def body(model_id: str, **more: Any) -> Any:
    """Returns the body of a request."""
    return json.loads(wire(model_id, **more).body)


def parameters(of: Any) -> str:
    """Returns the names of a function's parameters."""
    return " ".join(inspect.signature(of).parameters)


def test_litellm_s_internals_are_those_we_know() -> None:
    """Version and signatures of what is called are the pinned ones: an upgrade fails here, not at a provider."""
    litellm_adapter.load()
    from litellm.anthropic_beta_headers_manager import update_request_with_filtered_beta
    from litellm.constants import RESPONSE_FORMAT_TOOL_NAME
    from litellm.litellm_core_utils.get_supported_openai_params import get_supported_openai_params
    from litellm.llms.anthropic.chat.transformation import ANTHROPIC_TOOL_NAME_REVERSE_MAP_KEY, AnthropicConfig
    from litellm.llms.gemini.chat.transformation import GoogleAIStudioGeminiConfig
    from litellm.llms.vertex_ai.gemini.transformation import (
        GenerationConfig,
        _get_equivalent_key,
        transform_request_body,
    )
    from litellm.types.utils import all_litellm_params
    from litellm.utils import get_optional_params

    transform = "self model messages optional_params litellm_params headers"
    environment = "self headers model messages optional_params litellm_params api_key api_base"
    assert importlib.metadata.version("litellm") == "1.106.2"
    assert parameters(AnthropicConfig.transform_request) == transform
    assert parameters(AnthropicConfig.validate_environment) == environment
    assert parameters(AnthropicConfig.translate_developer_role_to_system_role) == "self messages"
    assert parameters(GoogleAIStudioGeminiConfig.translate_developer_role_to_system_role) == "self messages"
    assert parameters(GoogleAIStudioGeminiConfig.validate_environment) == (
        "self headers model messages optional_params litellm_params api_key api_base"
    )
    assert parameters(transform_request_body) == (
        "messages model optional_params custom_llm_provider litellm_params cached_content"
    )
    assert parameters(update_request_with_filtered_beta) == "headers request_data provider"
    assert parameters(get_supported_openai_params) == "model custom_llm_provider request_type base_model"
    assert parameters(_get_equivalent_key) == "key available_keys"
    assert {"model", "custom_llm_provider", "messages", "stream", "drop_params", "kwargs"} <= set(
        inspect.signature(get_optional_params).parameters
    )
    assert RESPONSE_FORMAT_TOOL_NAME == "json_tool_call"
    assert ANTHROPIC_TOOL_NAME_REVERSE_MAP_KEY == "_anthropic_tool_name_map"
    assert {"temperature", "max_output_tokens", "response_mime_type"} <= set(GenerationConfig.__annotations__)
    assert {"mock_response", "api_base", "fallbacks", "num_retries"} <= set(all_litellm_params)


@pytest.mark.untraced
def test_importing_litellm_is_quiet_and_offline() -> None:
    """Loading it in a fresh process opens no connection, prints nothing, and needs no key in the environment."""
    probe = (
        "import sys\n"
        "def hook(event, args):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo'): sys.exit(f'network: {args}')\n"
        "sys.addaudithook(hook)\n"
        "from tests.clients.calls import call\n"
        "from router.clients import litellm_adapter as adapter\n"
        f"made = adapter.anthropic(call({CLAUDE!r})), adapter.gemini(call({GEMINI!r}))\n"
        "assert all(type(one).__name__ == 'WireRequest' for one in made), made\n"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


async def test_ready_loads_it_once() -> None:
    """After `ready` it is there, and a second time costs nothing."""
    await litellm_adapter.ready()
    await litellm_adapter.ready()
    assert sys.modules["litellm"] is litellm_adapter.load()


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (None, "https://api.anthropic.com/v1/messages"),
        ("http://h", "http://h/v1/messages"),
        ("http://h/v1/", "http://h/v1/messages"),
        ("http://h/x/v1/messages", "http://h/x/v1/messages"),
    ],
)
def test_anthropic_s_url(base: str | None, url: str) -> None:
    """A base may hold the API's version or its path, or neither."""
    assert wire(CLAUDE, base_url=base).url == url


@pytest.mark.parametrize(
    ("base", "stream", "url"),
    [
        (None, False, "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"),
        ("http://h", False, "http://h/v1beta/models/gemini-2.5-flash:generateContent"),
        ("http://h/v1/", True, "http://h/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
    ],
)
def test_gemini_s_url(base: str | None, url: str, stream: bool) -> None:
    """A base that is only a host gets the API's version."""
    assert wire(GEMINI, base_url=base, stream=stream).url == url


@pytest.mark.parametrize("model_id", [CLAUDE, GEMINI])
def test_keys_and_headers(model_id: str) -> None:
    """The key stands in one header and in no repr; without one none is sent, and the model's own headers win."""
    with_key = wire(model_id, headers={"Traceparent": "t"}, model_headers={"X-Own": "1"})
    assert [name for name, value in with_key.headers.items() if KEY in value] in (["x-api-key"], ["x-goog-api-key"])
    assert KEY not in repr(with_key)
    assert (with_key.headers["traceparent"], with_key.headers["x-own"]) == ("t", "1")
    without = wire(model_id, key=None, model_headers={"Authorization": "Bearer own"})
    assert "none" not in without.headers.values()
    assert without.headers["authorization"] == "Bearer own"


def test_beta_flags_are_merged() -> None:
    """A beta flag of the caller's joins those that the request needs."""
    headers = wire(CLAUDE, model_headers={"anthropic-beta": "context-1m-2025-08-07"}).headers
    assert "context-1m-2025-08-07" in headers["anthropic-beta"]


@pytest.mark.parametrize(
    ("model_id", "params", "named"),
    [
        (CLAUDE, {"seed": 1, "logit_bias": {"1": 2}}, "seed, logit_bias"),
        (CLAUDE, {"n": 2}, "n"),
        (GEMINI, {"min_p": 0.1}, "min_p"),
        (GEMINI, {"tools": [CLOCK], "parallel_tool_calls": False}, "parallel_tool_calls"),
        ("anthropic/claude-opus-4-7", {"temperature": 0.2}, ""),
    ],
)
def test_what_cannot_be_honoured_is_refused(model_id: str, params: dict[str, Any], named: str) -> None:
    """A parameter without a counterpart is named in a failure, and nothing is sent."""
    failure = made(model_id, params=params)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.sent) == ("unsupported", False)
    assert failure.message.endswith(named)


@pytest.mark.parametrize("model_id", [CLAUDE, GEMINI])
def test_what_changes_nothing_is_left_out(model_id: str) -> None:
    """Hints, and values that ask for what happens anyway, leave no trace in the body."""
    params = {
        "n": 1,
        "store": True,
        "logit_bias": {},
        "prompt_cache_key": "k",
        "seed": None,
        "parallel_tool_calls": True,
    }
    plain = body(model_id, params={"max_tokens": 5})
    sent = body(model_id, params={**params, "max_tokens": 5})
    sent.get("generationConfig", {}).pop("candidate_count", None)  # Gemini knows `n`
    assert sent == plain


def test_a_message_that_cannot_be_expressed_is_refused_without_quoting_it() -> None:
    """Whatever litellm's transform raises becomes a failure that holds none of its text."""
    failure = made(CLAUDE, messages=[{"role": "user", "content": [{"type": "image_url", "image_url": "private"}]}])
    assert isinstance(failure, Failure)
    assert failure.kind == "unsupported"
    assert "private" not in failure.message


def test_the_limit_of_the_catalog_is_anthropic_s_default() -> None:
    """A request without a limit gets the model's, with which its worst case was computed; one of its own stands."""
    assert body(CLAUDE, max_output_tokens=77)["max_tokens"] == 77
    assert body(CLAUDE, max_output_tokens=77, params={"max_completion_tokens": 5})["max_tokens"] == 5
    assert body(CLAUDE)["max_tokens"] > 77


def test_tools_with_names_that_anthropic_refuses() -> None:
    """They are renamed on the wire, and the request tells how to read them back."""
    named = {"type": "function", "function": {**FUNCTION, "name": "a.clock"}}
    assert wire(CLAUDE, params={"tools": [named]}).tool_names == {"a_clock": "a.clock"}


def test_response_format_by_a_tool_or_directly() -> None:
    """Only a model without structured output gets the tool that stands for it."""
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {}}}}
    assert wire(OLD_CLAUDE, params={"response_format": schema}).json_tool == "json_tool_call"
    assert wire(CLAUDE, params={"response_format": schema}).json_tool is None
    assert wire(CLAUDE).json_tool is None


@pytest.mark.parametrize("model_id", [CLAUDE, GEMINI])
def test_the_request_s_own_headers_go_over_all_others(model_id: str) -> None:
    """Over the model's and the router's; a key among them is the only one that is sent."""
    own = {"authorization": "Bearer own", "x-a": "mine", "traceparent": "mine"}
    given = {"model_headers": {"X-A": "model", "X-B": "model"}, "headers": {"Traceparent": "router"}}
    sent = wire(model_id, own_headers=own, **given).headers
    assert {name: sent[name] for name in own} == own
    assert sent["x-b"] == "model"
    assert not [name for name, text in sent.items() if KEY in text or text == "none"]


def test_the_request_s_own_key_is_the_only_one_that_litellm_gets() -> None:
    """Neither the model's nor one of the environment stands beside it."""
    own = {"authorization": "Bearer own"}
    for key in (KEY, None):
        arguments = litellm_adapter.completion_arguments(call("volcengine/x", key=key, own_headers=own))
        assert isinstance(arguments, dict)
        assert arguments["extra_headers"] == own
        assert arguments["api_key"] == "none"


def test_metadata_names_the_user() -> None:
    """Anthropic's one field of metadata is taken from OpenAI's."""
    assert body(CLAUDE, params={"metadata": {"user_id": "u", "other": 1}})["metadata"] == {"user_id": "u"}


def test_cache_control_at_gemini_calls_nothing_else() -> None:
    """The mark is left out: litellm's own entry point would create a cache at another endpoint."""
    marked = [{"type": "text", "text": "long " * 2000, "cache_control": {"type": "ephemeral"}}]
    sent = body(GEMINI, messages=[{"role": "system", "content": marked}, {"role": "user", "content": "hi"}])
    assert "cachedContent" not in sent
    assert "cache_control" not in json.dumps(sent)
    assert body(GEMINI, params={"cached_content": "cachedContents/1"})["cachedContent"] == "cachedContents/1"


@given(st.sampled_from([CLAUDE, GEMINI]), st.text(min_size=1), st.floats(0, 1), st.integers(1, 10**6))
def test_the_caller_s_request_is_never_changed(model_id: str, said: str, temperature: float, limit: int) -> None:
    """Transforms change what they are given; the caller's own messages and parameters stay as they were."""
    messages = [{"role": "user", "content": [{"type": "text", "text": said}], "name": None}]
    params = {"temperature": temperature, "max_tokens": limit, "tools": [CLOCK], "stop": ["END"]}
    before = json.dumps([messages, params])
    first = made(model_id, messages=messages, params=params)
    assert first == made(model_id, messages=messages, params=params)
    assert json.dumps([messages, params]) == before


@pytest.mark.parametrize(
    ("url", "field", "anthropic", "gemini"),
    [
        ("https://h/a.png", "image_url", False, True),
        ("http://h/a.png", "image_url", True, True),
        ("https://h/a.pdf", "file_data", True, True),
        ("https://generativelanguage.googleapis.com/v1beta/files/x", "file_id", False, False),
    ],
)
def test_which_urls_are_inlined(url: str, field: str, anthropic: bool, gemini: bool) -> None:
    """Those that litellm's transform would download itself, synchronously."""
    remote = Remote(url=url, field=field)
    assert (litellm_adapter.anthropic_inlines(remote), litellm_adapter.gemini_inlines(remote)) == (anthropic, gemini)


@pytest.mark.parametrize(
    ("model_id", "base_url", "key", "given"),
    [
        ("volcengine/x", "http://h", None, "none"),
        ("volcengine/x", "http://h", KEY, KEY),
        ("volcengine/x", None, None, None),
        ("bedrock/converse/x", "http://h", None, None),
    ],
)
def test_litellm_finds_no_key_for_an_address_of_the_users(
    model_id: str, base_url: str | None, key: str | None, given: str | None
) -> None:
    """It would send a key of its environment to whoever is there; clouds that sign go by the account's credentials."""
    arguments = litellm_adapter.completion_arguments(call(model_id, base_url=base_url, key=key))
    assert isinstance(arguments, dict)
    assert arguments.get("api_key") == given


def test_arguments_for_acompletion() -> None:
    """They hold one attempt of this very request; litellm's own settings among its parameters are refused."""
    one = call(
        "bedrock/converse/x", base_url="http://h", stream=True, params={"max_tokens": 5, "store": True},
        options={"aws_region_name": "eu-west-1", "allow_private_media": True}, headers={"X-Trace-ID": "t"},
    )  # fmt: skip
    arguments = litellm_adapter.completion_arguments(one)
    assert isinstance(arguments, dict)
    assert arguments["max_retries"] == arguments["num_retries"] == 0
    assert arguments["stream_options"] == {"include_usage": True}
    assert arguments["aws_region_name"] == "eu-west-1"
    assert arguments["extra_headers"] == {"x-trace-id": "t"}
    assert not arguments.keys() & {"store", "allow_private_media"}
    meddling = litellm_adapter.completion_arguments(call("bedrock/x", params={"mock_response": "a"}))
    assert isinstance(meddling, Failure)
    refused = litellm_adapter.completion_arguments(call("bedrock/converse/amazon.nova-lite-v1:0", params={"seed": 1}))
    assert isinstance(refused, Failure)
    unknown = litellm_adapter.completion_arguments(call("nobody/x", params={"seed": 1}))
    assert isinstance(unknown, dict)
