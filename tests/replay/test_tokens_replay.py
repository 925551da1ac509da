"""Parsing, keys and token bounds against recorded traffic: what providers charged for, and prompts that must differ."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from router.core.catalog import Model
from router.core.features import features_of
from router.core.key import content_key
from router.core.parse import parse_request
from router.core.request import Features, Request
from router.core.tokens import estimate_tokens, tokens_at
from router.tokenizer import Tokenizer
from tests.shared_data import data_path

TOKENIZER = Tokenizer()
PROVIDER_ADDS = (
    "context_management", "documents", "container", "mcp_servers", "plugins", "output_config", "output_format",
)  # fmt: skip
"""Fields by which the provider itself changes the input, so that nothing said of the request can bound it."""
SEARCHING = ("search", "sonar", "compound")
"""Models that put what they find into their own input."""


def rows(*parts: str) -> Iterator[dict[str, Any]]:
    """Yields the rows of a file of the real data."""
    with gzip.open(data_path(*parts), "rt") as lines:
        for line in lines:
            yield json.loads(line)


def recorded() -> Iterator[tuple[dict[str, Any], Request, int]]:
    """Yields each recorded request whose input is all in the request, with the input tokens that were reported."""
    for row in rows("cassettes", "cassettes_ok.jsonl.gz"):
        body, usage = row["request"], row["usage"]
        if row["api"] not in ("openai.chat", "anthropic.messages") or row["is_mock"] or not usage:
            continue
        if not isinstance(body, dict) or "messages" not in body or "<b64:" in json.dumps(body):
            continue
        used = input_tokens(usage)
        if not used or provider_adds(body, str(row["model"])):
            continue
        system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
        names = ("tools", "functions", "response_format", "max_tokens")
        yield row, parse_request([*system, *body["messages"]], **{n: body[n] for n in names if body.get(n)}), used


def input_tokens(usage: dict[str, Any]) -> int:
    """Returns the whole input, cached tokens included, in OpenAI's words or Anthropic's."""
    if usage.get("prompt_tokens") is not None:
        return int(usage["prompt_tokens"])
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return sum(usage.get(name) or 0 for name in names)


def provider_adds(body: dict[str, Any], model: str) -> bool:
    """Returns whether the provider adds to the input what nobody can know before."""
    own_tools = any(tool.get("type", "function") not in ("function", "custom") for tool in body.get("tools") or ())
    return own_tools or any(body.get(n) for n in PROVIDER_ADDS) or any(name in model for name in SEARCHING)


def model_of(row: dict[str, Any]) -> Model:
    """Returns the model that was asked."""
    return Model(name="m", id=f"{row['provider']}/{row['model']}", provider=row["provider"], client="c")


def counted(request: Request) -> Features:
    """Returns the features with the input counted, whatever its size."""
    likely = features_of(request).input_tokens.likely
    return features_of(request, limits=[likely], count=TOKENIZER.count)


def test_reported_input_is_below_the_upper_bound() -> None:
    """Bytes bound nearly every recorded input, and so does a count where one was made; what does not is printed."""
    held: Counter[tuple[str, bool]] = Counter()
    for row, request, used in recorded():
        for name, features in (("bytes", features_of(request)), ("counted", counted(request))):
            bounds = tokens_at(features, model_of(row))
            exact = bounds.low == bounds.high
            held[name, used <= bounds.high + (2 if exact else 0)] += 1
            if used > bounds.high + (2 if exact else 0):
                print(f"{name}: {row['id']} {row['provider']} {row['model']}: {used} reported, {bounds}")  # noqa: T201 - the suite's report
    print(held)  # noqa: T201 - the suite's report
    for name in ("bytes", "counted"):
        assert held[name, True] / (held[name, True] + held[name, False]) >= 0.995


def test_counts_are_exact_where_the_tokenizer_is_known() -> None:
    """Of OpenAI's own models at most one in a hundred reports more than a token off."""
    off: Counter[int] = Counter()
    for row, request, used in recorded():
        bounds = tokens_at(counted(request), model_of(row))
        if bounds.low == bounds.high:
            off[abs(used - bounds.likely)] += 1
    print(sorted(off.items()))  # noqa: T201 - the suite's report
    total = off.total()
    assert total > 100
    assert off[0] / total >= 0.85
    assert (off[0] + off[1]) / total >= 0.98


def test_estimates_are_better_than_a_quarter_of_the_characters() -> None:
    """In every set of prompts and tool definitions; the mean errors are printed."""
    errors: dict[str, list[tuple[float, float]]] = {}
    for row in rows("prompts", "prompts.jsonl.gz"):
        texts = [message["content"] for message in row["messages"]]
        texts += [json.dumps(row["tools"])] if row["tools"] else []
        for text in filter(None, texts):
            exact = TOKENIZER.count(text)
            assert exact
            pair = (abs(estimate_tokens(text).likely / exact - 1), abs(len(text) / 4 / exact - 1))
            errors.setdefault(row["set"], []).append(pair)
    for name, found in sorted(errors.items()):
        ours, quarter = (sum(column) / len(found) for column in zip(*found, strict=True))
        print(f"{name}: {len(found)} texts, mean error {ours:.1%}, of a quarter of the characters {quarter:.1%}")  # noqa: T201 - the suite's report
        assert ours < min(0.15, quarter + 0.01)


@pytest.mark.parametrize("file", ["cassettes_ok", "cassettes_errors"])
def test_no_two_recorded_requests_share_a_key(file: str) -> None:
    """Among all message lists of chat requests, with their parameters, equal keys mean equal content."""
    seen: dict[str, str] = {}
    for row in rows("cassettes", f"{file}.jsonl.gz"):
        body = row["request"]
        if row["api"] != "openai.chat" or not isinstance(body, dict) or not body.get("messages"):
            continue
        try:
            request = parse_request(**{k: v for k, v in body.items() if k not in ("model", "stream")})
        except ValueError:
            continue
        assert_unique(seen, request)


def test_no_two_prompts_share_a_key() -> None:
    """Prompts with other tools, and paraphrases, are other requests."""
    seen: dict[str, str] = {}
    for row in rows("prompts", "prompts.jsonl.gz"):
        assert_unique(seen, parse_request(row["messages"], tools=row["tools"]))
    for row in rows("prompts", "paraphrase_pairs_gptcache.jsonl.gz"):
        one, two = (parse_request(row[name]) for name in ("origin", "similar"))
        if row["origin"] != row["similar"]:
            assert content_key(one, "p") != content_key(two, "p")


def assert_unique(seen: dict[str, str], request: Request) -> None:
    """Fails if another request had the same key."""
    unseen = ("metadata", "stream_options", "store", "service_tier", "prompt_cache_key", "safety_identifier")
    params = {name: value for name, value in request.params.items() if name not in unseen}
    text = json.dumps([list(request.messages), params], sort_keys=True).replace(".0,", ",").replace(".0}", "}")
    assert seen.setdefault(content_key(request, "p"), text) == text
