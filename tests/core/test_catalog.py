"""What a catalog's entries say of themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.catalog import Timeouts
from router.core.deployment import Deployment
from tests.core.builders import model

SECONDS = st.floats(0.001, 1_000)


@given(own=st.builds(Timeouts, connect_s=SECONDS, total_s=st.none() | SECONDS), limit_s=SECONDS)
def test_no_attempt_outlives_what_is_left_of_the_deadline(own: Timeouts, limit_s: float) -> None:
    """Cut to a limit, the whole attempt and its connection take no longer than it, nor than the model's own."""
    cut = own.within(limit_s)
    assert cut.total_s == min(limit_s, limit_s if own.total_s is None else own.total_s)
    assert cut.connect_s == min(own.connect_s, cut.total_s or limit_s)
    assert (cut.first_token_s, cut.between_tokens_s) == (own.first_token_s, own.between_tokens_s)
    assert cut.within(limit_s) == cut


@pytest.mark.parametrize(
    ("name", "provider", "sent"),
    [
        ("openai/gpt-5", "openai", "gpt-5"),
        ("openrouter/openai/gpt-5", "openrouter", "openai/gpt-5"),
        ("local-model", "openai", "local-model"),
    ],
)
def test_a_provider_is_asked_by_the_name_that_it_knows(name: str, provider: str, sent: str) -> None:
    """Only the provider's own prefix is left out."""
    assert model(id=name, provider=provider).provider_model == sent


def test_a_deployment_is_the_model_but_for_what_it_says_itself() -> None:
    """Address, key, region and headers are the deployment's where it has them, else the model's."""
    home = model(base_url="https://home", key_env="HOME_KEY", region="eu", headers={"x": "1", "y": "1"})
    assert home.at(Deployment(name="same")) == home
    away = home.at(
        Deployment(name="away", base_url="https://away", key_env="AWAY_KEY", region="us", headers={"y": "2"})
    )
    assert (away.base_url, away.key_env, away.region) == ("https://away", "AWAY_KEY", "us")
    assert away.headers == {"x": "1", "y": "2"}
    assert away.name == home.name
