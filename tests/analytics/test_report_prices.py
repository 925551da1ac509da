from __future__ import annotations

import pytest

from router.analytics.report_prices import Prices
from router.prices.litellm_map import PriceMap, load_price_map
from tests.analytics.reporting import CHEAP, PRICES

KNOWN = Prices(catalog=PRICES.catalog, price_map=load_price_map())


@pytest.mark.parametrize(
    ("name", "model_id", "found"),
    [
        ("small", None, "deepseek/deepseek-v3.2"),
        ("small", "deepseek/deepseek-v3.2", "deepseek/deepseek-v3.2"),
        ("tiny", "deepseek/deepseek-v3.2", "deepseek/deepseek-v3.2"),
        ("deepseek/deepseek-v3.2", None, "deepseek/deepseek-v3.2"),
        ("small", "anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        (None, "gpt-4.1-mini", "openai/gpt-4.1-mini"),
        (None, "azure/gpt-4.1", "azure/gpt-4.1"),
        ("nobody-has-this", None, None),
        ("small", "nobody/has-this", None),
        (None, None, None),
        ("", "", None),
    ],
)
def test_what_a_logged_model_is(name: str | None, model_id: str | None, found: str | None) -> None:
    """The configuration's by name while that means the logged id, then by id, then the map's, which is asked by id."""
    model = KNOWN.model(name, model_id)
    assert (None if model is None else model.id) == found
    assert KNOWN.of(name, model_id) == (None if model is None else model.price)


def test_the_configuration_comes_first() -> None:
    """Its price counts, not that of the map, under whatever name the log has the model."""
    assert KNOWN.of("tiny", "deepseek/deepseek-v3.2") == CHEAP


def test_a_model_that_needs_an_address() -> None:
    """The map's price of a model counts though nobody says at which address it stands."""
    model = KNOWN.model(None, "azure/gpt-4.1")
    assert model is not None
    assert (model.provider, model.price is not None, model.context_window_tokens is not None) == ("azure", True, True)


def test_a_log_of_many_models() -> None:
    """However many there are, no more than some are remembered, and each is found all the same."""
    prices = Prices(catalog=PRICES.catalog, price_map=PriceMap())
    for number in range(10_001):
        assert prices.of(f"m{number}", None) is None
    assert prices.of("small", None) == CHEAP
