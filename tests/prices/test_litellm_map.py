from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ConfigError
from router.prices import litellm_map
from router.prices.litellm_map import PriceMap, load_price_map
from tests.prices.rows import PRICES, ROWS


@pytest.fixture(scope="module")
def installed() -> PriceMap:
    """Returns the map of the installed litellm."""
    return load_price_map()


@given(st.sampled_from(sorted(ROWS)), st.text(min_size=1, max_size=3), st.integers(0, 30))
def test_no_near_miss_is_priced(key: str, extra: str, at: int) -> None:
    """An id with anything added to it is another id."""
    wrong = key[:at] + extra + key[at:]
    assert wrong in ROWS or PRICES.row(wrong) is None


@pytest.mark.parametrize(
    ("model_id", "key"),
    [
        ("talker-2", "talker-2"),
        ("openai/talker-2", "talker-2"),
        ("azure/talker-2", "azure/talker-2"),
        ("gemini/twin-1-flash", "gemini/twin-1-flash"),
        ("twin-1-flash", "twin-1-flash"),
        ("vertex_ai/twin-1-flash", "twin-1-flash"),
        ("bedrock/cloudy.sonnet-1-v1:0", "cloudy.sonnet-1-v1:0"),
        ("bedrock_converse/cloudy.sonnet-1-v1:0", "cloudy.sonnet-1-v1:0"),
        ("deepseek/talker-2", None),
        ("azure/talker-2-pro", None),
        ("free-or-unknown", None),
        ("TALKER-2", None),
        ("embedder-3", None),
        ("openai/", None),
        ("", None),
    ],
)
def test_ids_are_found_with_and_without_their_provider(model_id: str, key: str | None) -> None:
    """The prefix may be added where the map leaves it away; another provider's row is never taken."""
    row = PRICES.row(model_id)
    assert (row and row.key) == key


def test_modes_are_told_of_all_rows() -> None:
    """A message can say that an id is an embedding model."""
    assert PRICES.mode("openai/embedder-3") == "embedding"
    assert PRICES.mode("openai/nothing") is None


def test_suggestions_are_likeliest_first() -> None:
    """A letter too few, a wrong provider and a missing one are all understood; what resembles nothing is left."""
    assert PRICES.suggest("openai/talker2")[0] == "openai/talker-2"
    assert PRICES.suggest("mistral/talker-2")[:2] == ("openai/talker-2", "azure/talker-2")
    assert PRICES.suggest("talker2")[0] == "openai/talker-2"
    assert PRICES.suggest("free-or-unknown")[0] == "volcengine/free-or-unknown"
    assert len(PRICES.suggest("talker-2", most=1)) == 1
    assert PRICES.suggest("zzzzz/qqqqq") == ()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("claude-sonnet-4.5", "anthropic/claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4-5"),
        ("GPT-4.1", "openai/gpt-4.1"),
        ("gpt-4-1", "openai/gpt-4.1"),
        ("deepseek-v3.2", "deepseek/deepseek-v3.2"),
        ("gemini_2.5_flash", "gemini/gemini-2.5-flash"),
    ],
)
def test_what_people_mix_up_is_understood(installed: PriceMap, written: str, meant: str) -> None:
    """Capitals, and dots, hyphens and underscores for each other; of many hosts, the model's maker comes first."""
    assert installed.suggest(written)[0] == meant


def test_embeddings_are_never_suggested() -> None:
    """Only chat models can be routed to."""
    assert PRICES.suggest("embedder-3") == ()


def test_the_installed_map_is_read_and_named(installed: PriceMap) -> None:
    """Its version stands beside every figure; the row that explains the format is no model."""
    assert installed.source == f"litellm {version('litellm')}"
    assert len(installed.rows) > 3_000
    assert "sample_spec" not in installed.rows


def test_every_row_of_the_installed_map_can_be_read(installed: PriceMap) -> None:
    """No row raises; prices are never negative or zero, and every id finds its own row again."""
    rows = [row for key in installed.rows if (row := installed.row(key)) is not None]
    assert len(rows) > 2_000
    for row in rows:
        again = installed.row(row.id)
        assert again is not None
        assert again.key in {row.key, row.id}
        for tier in row.price.tiers if row.price else ():
            assert tier.charges is not None
            assert tier.charges.output > 0 or tier.above_tokens


def test_the_installed_map_is_corrected(installed: PriceMap) -> None:
    """A correction that no longer applies, because the map caught up, is to be removed from the table."""
    assert set(installed.corrections) == {("deepseek/deepseek-v3.2", "output_usd_per_mtok")}
    row = installed.row("deepseek/deepseek-v3.2")
    home = installed.row("deepseek/deepseek-chat")
    assert row is not None
    assert row.price is not None
    assert home is not None
    assert home.price is not None
    assert row.price.tiers[0].rates.output == home.price.tiers[0].rates.output


def test_reading_the_map_does_not_import_litellm() -> None:
    """The import costs seconds, and would go to the network."""
    code = (
        "import sys; from router.prices.litellm_map import load_price_map as l; l(); sys.exit('litellm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_another_map_can_be_read(tmp_path: Path) -> None:
    """A file of the same format; figures name it as their source."""
    path = tmp_path / "prices.json"
    path.write_bytes(orjson.dumps(ROWS))
    found = load_price_map(path)
    assert (found.rows, found.source) == (ROWS, "prices.json")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"a": 1}'])
def test_a_broken_map_is_refused(tmp_path: Path, content: bytes) -> None:
    """Rather no start than a catalog without prices."""
    path = tmp_path / "prices.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"prices\.json"):
        load_price_map(path)


def test_a_missing_map_is_refused(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(ConfigError, match=r"none\.json cannot be read"):
        load_price_map(tmp_path / "none.json")


def test_a_missing_litellm_is_refused() -> None:
    """The message says what to install."""
    with pytest.raises(ConfigError, match="is not installed"):
        litellm_map.installed_map("no_such_package")
