from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clients.cohere import BASE as COHERE_BASE
from router.clients.litellm_adapter import ANTHROPIC_BASE, GEMINI_BASE
from router.clients.quirks import QUIRKS
from router.config_tables import ModelSettings
from router.core.answer import Usage
from router.core.catalog import Model, Rates, Tier, Timeouts
from router.core.cost import cost_usd
from router.core.deployment import Deployment
from router.errors import ConfigError
from router.prices.catalog import build_model
from router.prices.litellm_map import load_price_map
from router.prices.providers import PROVIDERS, provider_named
from router.prices.seed import SEED_MODELS
from router.prices.stated import RATE_OPTIONS
from tests.prices.rows import PRICES

OWN = {"input_usd_per_mtok": Decimal(1), "output_usd_per_mtok": Decimal(4)}
SERVER = "http://127.0.0.1:8000/v1"


def build(**options: Any) -> Model:
    """Builds a model named "m" from the small map."""
    return build_model("m", options, PRICES)


def rates_of(model: Model) -> Rates:
    """Returns the rates of the standard tier for small inputs."""
    assert model.price is not None
    return model.price.tiers[0].rates


@given(stated=st.dictionaries(st.sampled_from(RATE_OPTIONS), st.decimals(0, 900, places=4), min_size=1))
def test_what_the_configuration_states_is_what_holds(stated: dict[str, Decimal]) -> None:
    """A stated rate holds in every tier of the map, the rest stays the map's, and each names its source."""
    plain, model = build(id="talker-2"), build(id="talker-2", **stated)
    assert plain.price is not None
    assert model.price is not None
    ours = {key.removesuffix("_usd_per_mtok"): usd for key, usd in stated.items()}
    assert model.price.tiers == tuple(
        Tier(above_tokens=t.above_tokens, rates=replace(t.rates, **ours)) for t in plain.price.tiers
    )
    assert model.price.service["flex"][0].rates == replace(plain.price.service["flex"][0].rates, **ours)
    assert {key for key, source in model.sources.items() if source == "config"} == set(stated)
    assert model.sources["context_window_tokens"] == "a map"


def test_a_model_of_the_map_needs_only_its_id() -> None:
    """Price, window, capabilities, client and key come with it."""
    model = build(id="talker-2")
    assert (model.name, model.id, model.provider, model.provider_model) == (
        "m",
        "openai/talker-2",
        "openai",
        "talker-2",
    )
    assert (model.client, model.key_env) == ("openai", "OPENAI_API_KEY")
    assert (model.context_window_tokens, model.max_output_tokens) == (100_000, 10_000)
    assert model.capabilities == {"tools"}
    assert model.deprecated_on == "2027-01-31"
    assert rates_of(model) == Rates(input=Decimal(2), output=Decimal(8), cached_input=Decimal("0.5"))
    assert model.sources == dict.fromkeys(
        [
            "context_window_tokens",
            "max_output_tokens",
            "capabilities",
            "deprecated_on",
            "input_usd_per_mtok",
            "output_usd_per_mtok",
            "cached_input_usd_per_mtok",
            "search_usd",
            "price_tiers",
            "price_service",
        ],
        "a map",
    )


def test_everything_can_be_overridden() -> None:
    """Each figure that is stated replaces the map's, and says so."""
    stated: dict[str, Any] = {
        "client": "simulated",
        "key_env": "MY_KEY",
        "headers": {"X-Team": "a"},
        "context_window_tokens": 5_000,
        "max_output_tokens": 500,
        "capabilities": ("vision",),
        "quality": 0.5,
        "region": "us",
        "timeouts": Timeouts(total_s=9.0),
        "options": {"seed": 1},
        "request_usd": Decimal("0.1"),
        "search_usd": Decimal("0.2"),
    }
    model = build_model("m", {"id": "talker-2"} | stated, PRICES, source="config.toml")
    assert {key: getattr(model, key) for key in stated if hasattr(model, key)} == {
        key: value for key, value in stated.items() if hasattr(model, key)
    } | {"capabilities": {"vision"}}
    assert model.price is not None
    assert (model.price.request_usd, model.price.request_most_usd) == (Decimal("0.1"), Decimal("0.1"))
    assert model.price.search_usd == Decimal("0.2")
    assert {key for key, source in model.sources.items() if source == "config.toml"} == {
        "context_window_tokens",
        "max_output_tokens",
        "capabilities",
        "quality",
        "region",
        "request_usd",
        "search_usd",
    }


def test_tiers_and_service_tiers_can_be_stated() -> None:
    """They replace the map's; what they leave out is as in the model's own price."""
    model = build(
        id="talker-2",
        output_usd_per_mtok=Decimal(9),
        price_tiers=[{"above_tokens": 1_000, "input_usd_per_mtok": Decimal(3)}],
        price_service={"priority": {"output_usd_per_mtok": Decimal(20)}},
    )
    price = model.price
    assert price is not None
    base = Rates(input=Decimal(2), output=Decimal(9), cached_input=Decimal("0.5"))
    assert price.tiers == (Tier(rates=base), Tier(above_tokens=1_000, rates=replace(base, input=Decimal(3))))
    assert price.service["priority"] == (Tier(rates=replace(base, output=Decimal(20))),)
    assert price.service["flex"][0].rates.output == 9


def test_a_compatible_server_needs_nothing_from_the_map() -> None:
    """Its model has the server's own id, no key, and the price that is stated, or none."""
    model = build(id="meta-llama/Llama-3.1-8B", base_url=SERVER)
    assert (model.provider, model.client, model.key_env, model.price) == ("openai_compatible", "openai", None, None)
    assert model.provider_model == "meta-llama/Llama-3.1-8B"
    priced = build(id="meta-llama/Llama-3.1-8B", base_url=SERVER, **OWN)
    assert rates_of(priced) == Rates(input=Decimal(1), output=Decimal(4))
    assert priced.sources == dict.fromkeys(OWN, "config")


@pytest.mark.parametrize(
    ("model_id", "base_url", "key_env"),
    [
        ("openai/qwen3", "https://llm.thirdparty.example/v1", None),
        ("openai/qwen3", "https://api.openai.com.thirdparty.example/v1", None),
        ("openai/qwen3", "https://notapi.openai.com/v1", None),
        ("openai/qwen3", "http://api.openai.com/v1", None),
        ("openai/qwen3", "http://localhost:8000/v1", None),
        ("anthropic/claude-x", "https://gateway.example", None),
        ("hosted_vllm/qwen3", "http://10.0.0.1:8000/v1", None),
        ("openai/qwen3", "https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("openai/qwen3", "https://EU.api.openai.com/v1", "OPENAI_API_KEY"),
        ("anthropic/claude-x", "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
        ("azure/mine", "https://x.openai.azure.com", "AZURE_API_KEY"),
        ("openai/gpt-x", None, "OPENAI_API_KEY"),
    ],
)
def test_the_usual_key_goes_only_to_its_provider(model_id: str, base_url: str | None, key_env: str | None) -> None:
    """At an address that is not the provider's own a model has no key, unless the configuration names one."""
    stated = {"id": model_id, "base_url": base_url, **OWN}
    assert build(**stated).key_env == key_env
    assert build(**stated, key_env="MINE").key_env == "MINE"


def test_the_usual_key_goes_to_no_deployment_elsewhere() -> None:
    """A deployment has the key of its own address, unless it or its model names one."""
    here, eu = Deployment(name="here"), Deployment(name="eu", base_url="https://eu.api.openai.com/v1")
    away, own = Deployment(name="away", base_url=SERVER), Deployment(name="own", base_url=SERVER, key_env="OWN")

    def keys(*deployments: Deployment, **stated: Any) -> list[str | None]:
        model = build(**{"id": "talker-2", "deployments": deployments} | stated)
        return [model.at(deployment).key_env for deployment in model.deployments]

    assert keys(here, eu, away, own) == ["OPENAI_API_KEY", "OPENAI_API_KEY", None, "OWN"]
    assert keys(here, eu, id="openai/talker-2", base_url=SERVER) == [None, "OPENAI_API_KEY"]
    assert keys(here, away, own, key_env="MINE") == ["MINE", "MINE", "OWN"]
    assert build(id="talker-2", deployments=(here, eu)).deployments == (here, eu)


def test_the_hosts_of_a_provider_are_those_it_is_asked_at() -> None:
    """Whatever address a client has for a provider, its usual key may go there."""
    bases = {name: quirks.base_url for name, quirks in QUIRKS.items()}
    bases |= {"anthropic": ANTHROPIC_BASE, "gemini": GEMINI_BASE, "cohere": COHERE_BASE}
    for name, base in bases.items():
        assert PROVIDERS[name].key_env_at(base) == PROVIDERS[name].key_env


def test_a_bare_id_on_a_server_is_not_priced_by_the_map() -> None:
    """What OpenAI charges for a model says nothing about another server that has one of that name."""
    assert build(id="talker-2", base_url=SERVER).price is None
    assert build(id="openai/talker-2", base_url=SERVER).price is not None


def test_a_server_whose_ids_look_like_a_provider() -> None:
    """`openai_compatible/` before the id says that the rest belongs to the server."""
    model = build(id="openai_compatible/openai/gpt-oss-20b", base_url=SERVER)
    assert (model.provider, model.provider_model) == ("openai_compatible", "openai/gpt-oss-20b")


def test_a_deployment_takes_the_figures_of_the_model_it_serves() -> None:
    """`map_id` names the row where the id is a name of the user's own."""
    model = build(id="azure/my-deployment", map_id="azure/talker-2", base_url="https://x.openai.azure.com")
    assert (model.provider, model.provider_model, model.key_env) == ("azure", "my-deployment", "AZURE_API_KEY")
    assert rates_of(model).input == Decimal("2.2")
    with pytest.raises(ConfigError, match="map_id = 'azure/talker-3' is not in the price map"):
        build(id="azure/my-deployment", map_id="azure/talker-3", base_url="https://x.openai.azure.com")


def test_a_model_newer_than_the_map_can_be_priced_by_hand() -> None:
    """With its provider and its price it needs no base URL."""
    model = build(id="openai/talker-3", **OWN)
    assert (model.provider, model.client, model.provider_model) == ("openai", "openai", "talker-3")
    assert rates_of(model) == Rates(input=Decimal(1), output=Decimal(4))


@pytest.mark.parametrize("model_id", ["openai/talker-2", "gemini/twin-1-flash", "simulated/anything"])
def test_a_simulated_model_is_one_by_name(model_id: str) -> None:
    """Only the configuration makes a model simulated; its price is the real one's."""
    model = build(id=model_id, client="simulated")
    assert model.client == "simulated"
    assert (model.price is None) == (model_id == "simulated/anything")


@pytest.mark.parametrize(
    ("options", "client"),
    [
        ({"id": "talker-2"}, "openai"),
        ({"id": "talker-2-pro"}, "litellm"),
        ({"id": "gemini/twin-1-flash"}, "gemini"),
        ({"id": "vertex_ai/twin-1-flash"}, "litellm"),
        ({"id": "bedrock/cloudy.sonnet-1-v1:0"}, "litellm"),
        ({"id": "anthropic/new"} | OWN, "anthropic"),
        ({"id": "deepseek/new"} | OWN, "openai"),
        ({"id": "volcengine/free-or-unknown"}, "litellm"),
        ({"id": "volcengine/free-or-unknown", "base_url": SERVER}, "openai"),
        ({"id": "vertex_ai/new", "base_url": SERVER}, "litellm"),
        ({"id": "anything", "base_url": SERVER}, "openai"),
        ({"id": "talker-2", "client": "litellm"}, "litellm"),
    ],
)
def test_the_client_follows_the_provider(options: dict[str, Any], client: str) -> None:
    """Unless the configuration names one; a server of one's own speaks OpenAI's protocol."""
    assert build(**options).client == client


def test_a_price_of_zero_in_the_map_is_unknown_until_it_is_stated() -> None:
    """The map's zero is not believed, the configuration's is."""
    assert build(id="volcengine/free-or-unknown").price is None
    free = build(id="volcengine/free-or-unknown", input_usd_per_mtok=Decimal(0), output_usd_per_mtok=Decimal(0))
    assert free.price is not None
    assert cost_usd(Usage(input_tokens=5, output_tokens=5), free.price) == 0


@pytest.mark.parametrize(
    ("options", "factor"),
    [
        ({"id": "talker-2", "region": "eu"}, "1.1"),
        ({"id": "talker-2", "region": "us"}, "1"),
        ({"id": "vertex_ai/twin-1-flash", "region": "europe-west4"}, "1.1"),
        ({"id": "vertex_ai/twin-1-flash", "region": "global"}, "1"),
        ({"id": "volcengine/free-or-unknown", "region": "eu"}, None),
    ],
)
def test_some_regions_are_dearer(options: dict[str, Any], factor: str | None) -> None:
    """Where the map says so, every rate is multiplied."""
    dear, plain = build(**options), build(id=options["id"])
    if factor is None:
        assert dear.price is None
        return
    for name in (f.name for f in fields(Rates)):
        rate = getattr(rates_of(plain), name)
        assert getattr(rates_of(dear), name) == (None if rate is None else rate * Decimal(factor))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": "openai/talker2"}, "'openai/talker2' is not in the price map (a map); did you mean 'openai/talker-2'"),
        ({"id": "zzzz/qqqq"}, "'zzzz/qqqq' is not in the price map (a map). A model that it lacks needs base_url"),
        ({"id": "talker-3"} | OWN, "'talker-3' is not in the price map"),
        ({"id": "embedder-3"}, "is no chat model: a map has it as 'embedding'"),
        ({"id": "my-deployment", "map_id": "talker-2"}, "does not say who serves it"),
        ({"id": "azure/talker-2"}, "needs base_url"),
        ({"id": "openai_compatible/x"} | OWN, "'openai_compatible/x' is not in the price map"),
        ({"id": "x", "base_url": SERVER, "output_usd_per_mtok": Decimal(1)}, "states a part of its price"),
        ({"id": "x", "base_url": SERVER, "request_usd": Decimal(1)}, "states a part of its price"),
    ],
)
def test_what_cannot_be_right_is_refused(options: dict[str, Any], message: str) -> None:
    """The message names the table, the key, what was found and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        build_model("mine", options, PRICES)
    assert str(caught.value).startswith("[models.mine]")
    assert message in str(caught.value)


def test_options_that_are_none_are_absent() -> None:
    """So that a settings class can hand over all its fields."""
    assert build(**dict.fromkeys(ModelSettings.model_fields) | {"id": "talker-2"}) == build(id="talker-2")


@pytest.mark.parametrize(
    ("name", "input_usd", "output_usd", "client", "key_env"),
    [
        ("gpt-4.1", "2", "8", "openai", "OPENAI_API_KEY"),
        ("claude-sonnet-4-5", "3", "15", "anthropic", "ANTHROPIC_API_KEY"),
        ("gemini-2.5-flash", "0.3", "2.5", "gemini", "GEMINI_API_KEY"),
        ("deepseek-v3.2", "0.28", "0.42", "openai", "DEEPSEEK_API_KEY"),
    ],
)
def test_the_seed_models_work_out_of_the_box(
    name: str, input_usd: str, output_usd: str, client: str, key_env: str
) -> None:
    """At the prices of the seed list, from the installed map."""
    model = build_model(name, SEED_MODELS[name], load_price_map())
    rates = rates_of(model)
    assert (rates.input, rates.output) == (Decimal(input_usd), Decimal(output_usd))
    assert (model.client, model.key_env) == (client, key_env)
    assert model.context_window_tokens
    assert model.max_output_tokens
    assert "tools" in model.capabilities


def test_a_corrected_figure_names_its_own_source() -> None:
    """The price that the map has wrong does not claim to be the map's, unless the configuration states another."""
    prices = load_price_map()
    model = build_model("m", {"id": "deepseek/deepseek-v3.2"}, prices)
    assert model.sources["output_usd_per_mtok"].startswith("api-docs.deepseek.com")
    assert model.sources["input_usd_per_mtok"] == prices.source
    stated = build_model("m", {"id": "deepseek/deepseek-v3.2", "output_usd_per_mtok": Decimal("0.40")}, prices)
    assert stated.sources["output_usd_per_mtok"] == "config"


def test_providers_that_nobody_listed_are_left_to_litellm() -> None:
    """Key and address included."""
    assert provider_named("volcengine").client == "litellm"
    assert provider_named("volcengine").key_env is None
    assert {p.client for p in PROVIDERS.values()} == {"anthropic", "gemini", "litellm", "openai", "simulated"}
