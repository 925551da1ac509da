from __future__ import annotations

from pathlib import Path

from tests.cli.command import lowfare, parsed, words, write_config

SEED = """
[models.claude]
id = "anthropic/claude-sonnet-4-5"
client = "simulated"
quality = 0.9

[models.gpt]
id = "openai/gpt-4.1"
client = "simulated"
output_usd_per_mtok = "7.5"
"""


def test_the_catalog(tmp_path: Path) -> None:
    """Every model is listed with prices, window, capabilities, deprecation and the source of its figures."""
    config = write_config(tmp_path, SEED)
    text = words(lowfare("models", "--config", config).stdout)
    for told in ("claude 3.00 0.30 15.00 200,000 64,000 2026-", "gpt 2.00 0.50 7.50", "id anthropic/claude-sonnet-4-5"):
        assert told in text
    for told in ("quality 0.9", "cache_write 3.75", "json_schema", "all else: litellm", "output_usd_per_mtok: "):
        assert told in text


def test_the_catalog_as_json(tmp_path: Path) -> None:
    """The JSON has every figure as a decimal string, and its source by name."""
    out = {
        model["name"]: model for model in parsed(lowfare("models", "--json", "--config", write_config(tmp_path, SEED)))
    }
    assert out["small"]["price"]["tiers"] == [
        {"above_tokens": 0, "input_usd_per_mtok": "0.1", "output_usd_per_mtok": "0.4"}
    ]
    assert out["gpt"]["sources"]["output_usd_per_mtok"].endswith("config.toml")
    assert out["gpt"]["sources"]["input_usd_per_mtok"].startswith("litellm ")
    assert out["claude"]["capabilities"] == sorted(out["claude"]["capabilities"])


def test_every_kind_of_price_is_shown(tmp_path: Path) -> None:
    """Dearer tiers by size, service tiers, fees and unknown prices have their lines."""
    more = """
[models.tiered]
id = "simulated/tiered"
region = "eu"
input_usd_per_mtok = "1"
output_usd_per_mtok = "2"
request_usd = "0.01"
search_usd = "0.02"
price_tiers = [{ above_tokens = 200000, input_usd_per_mtok = "3", output_usd_per_mtok = "4" }]
price_service = { flex = { input_usd_per_mtok = "0.5", output_usd_per_mtok = "1" } }

[models.bare]
id = "bare"
base_url = "http://localhost:1"
"""
    config = tmp_path / "config.toml"
    config.write_text('unpriced = "allow"\n' + more)
    text = words(lowfare("models", "--config", config).stdout)
    for told in ("> 200,000 3.00 in, 4.00 out", "flex 0.50 in, 1.00 out", "fee $0.01 a request", "search $0.02 each"):
        assert told in text
    for told in ("region eu", "price unknown", "can text alone", "from no source", "at http://localhost:1, no key"):
        assert told in text


def test_the_whole_map() -> None:
    """`--all` lists thousands of models by id; `--search` keeps those whose id contains a text."""
    everything = parsed(lowfare("models", "--all", "--json"))
    assert len(everything) > 2000
    assert [model["id"] for model in everything] == sorted(model["id"] for model in everything)
    found = lowfare("models", "--all", "--search", "GPT-4.1-mini")
    assert "openai/gpt-4.1-mini" in found.stdout
    assert "claude" not in found.stdout
    assert "chat models; prices in US dollars per million tokens; from litellm" in found.stdout


def test_nothing_is_found() -> None:
    """A search without a result says what is near."""
    result = lowfare("models", "--all", "--search", "gpt-4.1-minni")
    assert result.exit_code == 2
    assert "gpt-4.1-mini" in result.stderr


def test_search_needs_all() -> None:
    """`--search` alone is wrong usage."""
    assert lowfare("models", "--search", "x").exit_code == 2


def test_a_narrow_terminal(tmp_path: Path) -> None:
    """On a narrow terminal the lesser figures make room for the names."""
    result = lowfare("models", "--config", write_config(tmp_path, SEED), env={"COLUMNS": "50"})
    assert result.stdout.splitlines()[3].split() == ["claude", "3.00", "15.00", "200,000"]
    assert max(map(len, result.stdout.splitlines())) <= 50
