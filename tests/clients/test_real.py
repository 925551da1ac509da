"""The switch that forbids real calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from router import Call, Client, Failure, Model, Router, Settings, Timeouts
from router.clients.anthropic import AnthropicClient
from router.clients.gemini import GeminiClient
from router.clients.litellm import LitellmClient
from router.clients.openai import OpenAIClient
from router.clients.real import RealCallRefused, allow_real_calls, forbid_real_calls, refuse_if_forbidden
from router.core.parse import parse_request
from router.testing import ScriptedClient

CLIENTS: list[tuple[Callable[[], Client], str, str]] = [
    (OpenAIClient, "openai", "api.openai.com"),
    (AnthropicClient, "anthropic", "api.anthropic.com"),
    (GeminiClient, "gemini", "generativelanguage.googleapis.com"),
    (LitellmClient, "bedrock", "'bedrock' by litellm"),
    (LitellmClient, "cohere", "api.cohere.com"),
]


def call(provider: str, *, stream: bool = False) -> Call:
    """Returns a call of a model of this provider."""
    model = Model(name="m", id=f"{provider}/m", provider=provider, client="x")
    return Call(model=model, request=parse_request("hi", stream=stream), timeouts=Timeouts(total_s=5.0), key="key")


@pytest.mark.parametrize(("make", "provider", "named"), CLIENTS)
async def test_no_client_sends_what_is_forbidden(make: Callable[[], Client], provider: str, named: str) -> None:
    """Each client that ships refuses, whole and streamed, before anything leaves; the block says who was meant."""
    client = make()
    with forbid_real_calls() as refused:
        with pytest.raises(RealCallRefused, match="real calls are forbidden here"):
            await client.send(call(provider))
        async with aclosing(client.stream(call(provider, stream=True))) as events:
            with pytest.raises(RealCallRefused):
                await anext(events)
    await client.aclose()
    assert refused == [named, named]


def test_the_last_block_holds() -> None:
    """Blocks lie inside each other, and what ends leaves the others as they are."""
    with forbid_real_calls() as outer:
        with allow_real_calls():
            refuse_if_forbidden("a")
            with forbid_real_calls() as inner, pytest.raises(RealCallRefused):
                refuse_if_forbidden("b")
        with pytest.raises(RealCallRefused):
            refuse_if_forbidden("c")
    refuse_if_forbidden("d")
    assert (outer, inner) == (["c"], ["b"])


@forbid_real_calls()
def decorated() -> None:
    """Asks somebody."""
    refuse_if_forbidden("acme")


def test_a_function_may_forbid_them() -> None:
    """Each call of it is a block."""
    for _ in range(2):
        with pytest.raises(RealCallRefused):
            decorated()
    refuse_if_forbidden("acme")


def settings(**models: dict[str, Any]) -> Settings:
    """Returns settings with these models, asked in this order."""
    policies = {"default": {"kind": "fallback", "models": list(models)}}
    return Settings.model_validate({"models": models, "policies": policies})


async def test_a_router_goes_on_to_nobody() -> None:
    """A refusal is no failure of a provider: no fallback follows, whole or streamed."""
    models = settings(
        real={"id": "deepseek/deepseek-v3.2"}, made_up={"id": "openai/gpt-4o-mini", "client": "simulated"}
    )
    async with Router(models) as router:
        with forbid_real_calls() as refused:
            with pytest.raises(RealCallRefused):
                await router.acomplete("hi")
            with pytest.raises(RealCallRefused):
                _ = [chunk async for chunk in router.astream("hi")]
            assert (await router.acomplete("hi", model="made_up")).model == "made_up"
    assert refused == ["a provider by the client 'openai'"] * 2


async def test_clients_that_a_program_brings_are_its_own_affair() -> None:
    """What is given to a router is asked."""
    given = ScriptedClient({"real": Failure(kind="denied", message="no")})
    async with Router(settings(real={"id": "deepseek/deepseek-v3.2"}), clients={"openai": given}) as router:
        with forbid_real_calls() as refused, pytest.raises(Exception, match="denied"):
            await router.acomplete("hi")
    assert (refused, given.asked) == ([], ["real"])
