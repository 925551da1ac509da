from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from router.core.catalog import Model
from router.core.families import family_of
from router.core.features import features_of
from router.core.parse import parse_request
from router.core.request import Features, TokenCount
from router.core.tokens import Content, Count, Measure, estimate_tokens, measure, tokens_at, tokens_most, uncertain
from router.tokenizer import Tokenizer

TOKENIZER = Tokenizer()
texts = (
    st.text()
    | st.text(alphabet='abc XYZ019.,\n\t{}"é中ひ한я😀')
    | st.sampled_from(["word ", "中文", "0f3a", " "]).map(lambda s: s * 300)
)


def model(model_id: str) -> Model:
    """Returns a model with this id."""
    return Model(name="m", id=model_id, provider=model_id.partition("/")[0], client="c")


@given(texts)
def test_bounds_hold_for_every_text(text: str) -> None:
    """A text has at least one token for 128 bytes and at most one for each byte; the estimate is between."""
    tokens = estimate_tokens(text)
    exact = TOKENIZER.count(text.encode(errors="replace").decode())
    assert exact is not None
    assert tokens.low <= exact <= tokens.high
    assert tokens.low <= tokens.likely <= tokens.high


@pytest.mark.parametrize(
    "text",
    [
        "The cheapest model that is adequate answers the request, and the record explains why it was chosen. " * 30,
        "Самая дешёвая модель, которая подходит, отвечает на запрос, и запись объясняет выбор. " * 30,
        "能够胜任的最便宜的模型会回答请求，并且记录会解释为什么选择它。" * 30,
        '{"model": "small", "tokens": 1234, "live": true, "reason": "window of 8000 is too small"},\n' * 30,
        "def add(a: int, b: int) -> int:\n    return a + b\n\n\nclass Thing:\n    x = 1\n" * 30,
    ],
    ids=["english", "russian", "chinese", "json", "python"],
)
def test_the_estimate_is_within_two_fifths(text: str) -> None:
    """English, Russian, Chinese, JSON and code alike."""
    exact = TOKENIZER.count(text)
    assert exact is not None
    assert 0.6 * exact < estimate_tokens(text).likely < 1.4 * exact


@given(st.text(min_size=1, max_size=40))
def test_a_large_text_is_estimated_from_samples(text: str) -> None:
    """Slices spread over a large repetitive text give about what the whole gives."""
    assume(text.encode(errors="replace").decode() == text)
    small, large = estimate_tokens(text * 400).likely, estimate_tokens(text * 40_000).likely
    assert 0.8 * small * 100 - 100 <= large <= 1.2 * small * 100 + 100


def sized(text: str, limits: list[int], *, count: Count | None, output_tokens: int = 0) -> Measure:
    """Returns the measure of one message with this text."""
    return measure(Content(texts=(text,)), limits=limits, output_tokens=output_tokens, count=count)


def never(text: str) -> int:
    """Fails the test that counts."""
    raise AssertionError(f"counted {len(text)} characters")


@given(st.integers(1, 4_000), st.integers(0, 300_000))
def test_what_is_counted_keeps_the_bounds_in_order(words: int, limit: int) -> None:
    """Whatever the limits, low <= likely <= high, a count narrows the bounds, and it is exact for its tokenizer."""
    text = "some " * words
    plain, measured = sized(text, [], count=never), sized(text, [limit], count=TOKENIZER.count)
    bounds = measured.bounds
    assert bounds.low <= bounds.likely <= bounds.high <= plain.bounds.high
    assert plain.bounds.low <= bounds.low
    if measured.exact:
        assert measured.exact == {"o200k_base": (TOKENIZER.count(text) or 0) + 7}


def test_a_window_that_bytes_alone_would_close_is_counted() -> None:
    """300 kB of English are about 60,000 tokens: bytes shut them out of 200,000, a count lets them in anywhere."""
    text = "The quick brown fox jumps over the lazy dog. " * 6_700
    assert sized(text, [], count=TOKENIZER.count).bounds.high > 200_000
    assert sized(text, [200_000], count=TOKENIZER.count).bounds.high < 150_000


def test_room_for_the_output_counts_towards_a_window() -> None:
    """A prompt whose bytes fit a window, but not together with the output, is counted."""
    text = "word " * 2_000
    assert not sized(text, [16_000], count=TOKENIZER.count).exact
    assert sized(text, [16_000], count=TOKENIZER.count, output_tokens=8_000).exact


def test_what_no_window_holds_is_not_counted() -> None:
    """50 MB are told from their bytes."""
    assert sized("word " * 10_000_000, [128_000, 1_000_000], count=never).bounds.high > 50_000_000


def test_a_tokenizer_that_fails_leaves_the_bounds() -> None:
    """A count of None, and no tokenizer at all, leave what the bytes say."""
    text = "word " * 400
    assert sized(text, [400], count=lambda _: None) == sized(text, [400], count=None) == sized(text, [], count=never)


def test_beyond_ascii_only_bytes_bound_other_tokenizers() -> None:
    """Vocabularies differ by several times there, so a count in one says little about another."""
    text = "กรุงเทพมหานคร" * 200
    counted = sized(text, [TOKENIZER.count(text) or 0], count=TOKENIZER.count)
    assert counted.exact
    assert counted.bounds.high >= len(text.encode())


def test_definitions_are_counted_too() -> None:
    """With tools the count narrows the bounds, but is not exact: templates rewrite definitions."""
    content = Content(texts=("hi",), definitions='{"name": "é", "description": "what it does"}' * 50)
    plain = measure(content, limits=[], output_tokens=0, count=None)
    counted = measure(content, limits=[plain.bounds.likely], output_tokens=0, count=TOKENIZER.count)
    assert not counted.exact
    assert counted.bounds.likely != plain.bounds.likely


@pytest.mark.parametrize(
    ("model_id", "family", "tokenizer"),
    [
        ("openai/gpt-4.1", "openai", "o200k_base"),
        ("gpt-4o", "openai", "o200k_base"),
        ("azure/gpt-5-mini", "openai-reasoning", "o200k_base"),
        ("openai/o3", "openai-reasoning", "o200k_base"),
        ("openai/gpt-4o-mini", "gpt-4o-mini", "o200k_base"),
        ("groq/openai/gpt-oss-120b", "gpt-oss", "o200k_base"),
        ("openai/gpt-4-turbo", "openai-cl100k", "cl100k_base"),
        ("gpt-3.5-turbo", "openai-cl100k", "cl100k_base"),
        ("bedrock/us.anthropic.claude-sonnet-4-5-v1:0", "claude", None),
        ("gemini/gemini-2.5-flash", "gemini", None),
        ("deepseek/deepseek-v3.2", "deepseek", None),
        ("simulated/small", "other", None),
    ],
)
def test_families_are_told_by_the_id(model_id: str, family: str, tokenizer: str | None) -> None:
    """Wherever a model is hosted, it tokenizes alike."""
    assert (family_of(model_id).name, family_of(model_id).tokenizer) == (family, tokenizer)


def features(text: str, *limits: int, **params: Any) -> Features:
    """Returns the features of a prompt, counted where a limit is near."""
    return features_of(parse_request(text, **params), limits=limits, count=TOKENIZER.count)


def test_a_counted_prompt_is_exact_where_the_tokenizer_is_known() -> None:
    """OpenAI's count is the text's and 7 for one message; a host that adds a prompt of its own adds to it."""
    counted = features("word " * 400, 400)
    exact = counted.exact_tokens["o200k_base"]
    at_openai, at_oss = (
        tokens_at(counted, model("openai/gpt-4.1")),
        tokens_at(counted, model("groq/openai/gpt-oss-20b")),
    )
    assert at_openai.low == at_openai.likely == at_openai.high == exact
    assert at_oss.low == exact < at_oss.likely < at_oss.high
    at_claude = tokens_at(counted, model("anthropic/claude-sonnet-4-5"))
    assert at_claude.low < exact < at_claude.likely < at_claude.high


@given(st.text(max_size=300), st.booleans(), st.sampled_from(["openai/gpt-4o", "x/claude", "y/grok-4", "z/z"]))
def test_a_models_count_is_never_below_the_common_one(text: str, tools: bool, model_id: str) -> None:
    """Hosts only add; and asking twice gives the same."""
    assume(text)
    assume(text.encode(errors="ignore").decode() == text)
    params = {"tools": [{"type": "function", "function": {"name": "f"}}]} if tools else {}
    common = features(text, **params)
    there = tokens_at(common, model(model_id))
    assert there.low <= there.likely <= there.high
    assert there.likely >= common.input_tokens.likely
    assert there.high >= common.input_tokens.high
    assert tokens_at(common, model(model_id)) is there


@given(
    st.builds(
        Features,
        input_tokens=st.integers(0, 100_000).map(lambda n: TokenCount(low=0, likely=n // 2, high=n)),
        exact_tokens=st.dictionaries(st.sampled_from(["o200k_base", "cl100k_base"]), st.integers(0, 200_000)),
        images=st.integers(0, 3),
        needs=st.frozensets(st.sampled_from(["tools", "json_schema", "vision"])),
    ),
    st.sampled_from(
        "gpt-oss-20b gpt-4o-mini gpt-5 gpt-4o gpt-4 claude-4 gemini-3 llama-4 grok-4 mimo deepseek-v3 qwen3 z".split()
    ),
)
def test_no_model_counts_more_than_the_most(asked: Features, model_id: str) -> None:
    """What fits a window with that many tokens fits it at every family of models."""
    assert tokens_at(asked, model(model_id)).high <= tokens_most(asked)


def test_images_cost_more_where_they_do() -> None:
    """gpt-4o-mini charges one picture as up to 48,169 tokens."""
    parts = [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]
    seen = features_of(parse_request(parts))
    assert tokens_at(seen, model("openai/gpt-4o-mini")).high > 48_000 > tokens_at(seen, model("openai/gpt-4o")).high


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("", (0, 0, 0)),
        ("a", (1, 1, 1)),
        ("The cheapest model that is adequate.", (1, 7, 36)),
        ("ABCDEF 123456 abc", (1, 12, 17)),
        ("x" * 100, (1, 58, 100)),
        ("AB12" * 30, (1, 120, 120)),
        ('{"a": [1, 2]}\n\t', (1, 7, 15)),
        ("é中ひ한я😀ก“", (1, 13, 23)),
        ("Grüße, Ωμέγα, Қазақ, שלום, 'ქართული'", (1, 16, 66)),
        ("0123456789" * 8, (1, 48, 80)),
        ("HELLO WORLD, " * 5, (1, 14, 65)),
        ("word " * 20_000, (782, 19_740, 100_000)),
        ("中文" * 20_000, (938, 36_418, 120_000)),
    ],
)
def test_an_estimate_is_the_same_one_day_as_the_next(text: str, bounds: tuple[int, int, int]) -> None:
    """It decides who is asked, so its weights are no detail: who changes them changes these figures too."""
    tokens = estimate_tokens(text)
    assert (tokens.low, tokens.likely, tokens.high) == bounds


def test_an_input_is_its_parts_and_what_templates_add() -> None:
    """Texts, definitions at four fifths, media, and something for each message, call and request."""
    content = Content(
        texts=("word " * 20, "more"),
        definitions="word " * 30,
        media=TokenCount(low=1_000, likely=2_000, high=3_000),
        messages=2,
        tool_calls=3,
    )
    text, definitions = estimate_tokens("word " * 20 + "\nmore"), estimate_tokens("word " * 30)
    bounds = measure(content, limits=[], output_tokens=0, count=None).bounds
    assert bounds == TokenCount(
        low=text.low + 1_000,
        likely=text.likely + round(0.8 * definitions.likely) + 2_000 + 2 * 4 + 3 * 8 + 3,
        high=text.high + definitions.high + 3_000 + 2 * 12 + 3 * 48 + 8,
    )


def counter(counted: list[str]) -> Count:
    """Returns a count that remembers what it counted."""

    def count(text: str) -> int:
        counted.append(text)
        return 7

    return count


@given(st.integers(1, 1_500), st.integers(-2, 2), st.booleans(), st.sampled_from([0, 700]))
def test_a_text_is_counted_where_a_limit_is_within_reach(words: int, off: int, low: bool, output_tokens: int) -> None:
    """Between 0.6 and 1.6 times the estimate; from 4,096 on as far as bytes, output and a host's extra may go."""
    counted: list[str] = []
    text = "some " * words
    bounds = sized(text, [], count=None).bounds
    edges = [bounds.likely * 0.6, bounds.likely * 1.6, bounds.high + output_tokens + 1024]
    for edge in edges:
        limit = (math.floor if low else math.ceil)(edge) + off
        counted.clear()
        sized(text, [limit], count=counter(counted), output_tokens=output_tokens)
        most = edges[1] if limit < 4096 else edges[2]
        assert bool(counted) == (edges[0] <= limit < most)


def test_definitions_beyond_ascii_are_bounded_by_their_bytes() -> None:
    """Those of plain ASCII by their count, as texts are."""
    for definitions, least in (("é" * 3_000, 6_000), ("word " * 1_200, 0)):
        content = Content(texts=("hi",), definitions=definitions)
        plain = measure(content, limits=[], output_tokens=0, count=None)
        counted = measure(content, limits=[plain.bounds.likely], output_tokens=0, count=TOKENIZER.count)
        assert counted.bounds.high >= least
        assert least or counted.bounds.high < plain.bounds.high


@pytest.mark.parametrize(
    ("text", "count", "bounds"),
    [
        ("some " * 100, 100, (50, 100, 175)),
        ("some " * 100, 101, (50, 101, 177)),
        ("some " * 100, 400, (200, 400, 500)),
        ("some " * 100, 1, (1, 1, 2)),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}" * 100, 100, (50, 100, 200)),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}a" * 100, 80, (40, 80, 300)),
    ],
)
def test_a_count_in_one_tokenizer_bounds_it_in_any(text: str, count: int, bounds: tuple[int, int, int]) -> None:
    """From half as many to seven quarters, and beyond ASCII as many more as there are bytes."""
    tokens = sized(text, [sized(text, [], count=None).bounds.likely], count=lambda _: count).bounds
    assert (tokens.low, tokens.likely - 7, tokens.high - 20) == bounds


@pytest.mark.parametrize(
    ("tokens", "limit", "open_"),
    [
        ((100, 100, 100), 100, False),
        ((10, 100, 400), 110, True),
        ((10, 100, 400), 50, False),
        ((10, 100, 120), 130, False),
    ],
)
def test_an_estimate_near_a_limit(tokens: tuple[int, int, int], limit: int, *, open_: bool) -> None:
    """An estimate leaves a limit open that lies within its error and its bounds; an exact count leaves none open."""
    low, likely, high = tokens
    assert uncertain(TokenCount(low=low, likely=likely, high=high), limit) is open_
