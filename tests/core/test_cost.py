from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.answer import Usage
from router.core.catalog import Charges, Model, Price, Rates, Tier
from router.core.cost import cost_usd, expected_usd, worst_usd
from router.core.request import Features, TokenCount
from router.core.tokens import tokens_at
from tests.core import builders

CLASSES = tuple(f.name for f in fields(Rates))
NEEDS = ("audio_input", "audio_output", "file_input", "tools", "video_input", "vision", "web_search")
SERVICES: tuple[str, ...] = ("flex", "priority")

amounts = st.decimals(0, 600, places=6, allow_nan=False, allow_infinity=False)
counts = st.integers(0, 400_000)


@st.composite
def rates(draw: st.DrawFn) -> Rates:
    """Draws rates with any class but input and output missing."""
    classes = {name: st.none() | amounts for name in CLASSES} | {"input": amounts, "output": amounts}
    return Rates(**{name: draw(strategy) for name, strategy in classes.items()})


@st.composite
def tables(draw: st.DrawFn) -> tuple[Tier, ...]:
    """Draws tiers that ascend from 0."""
    limits = draw(st.sets(st.integers(1, 300_000), max_size=3))
    return tuple(Tier(above_tokens=above, rates=draw(rates())) for above in sorted({0, *limits}))


@st.composite
def prices(draw: st.DrawFn) -> Price:
    """Draws a price with any of the things a price can have."""
    return Price(
        tiers=draw(tables()),
        service=draw(st.dictionaries(st.sampled_from(SERVICES), tables())),
        request_usd=draw(amounts),
        request_most_usd=draw(amounts),
        search_usd=draw(amounts),
        searches_billed_once=draw(st.booleans()),
        searches_unasked=draw(st.booleans()),
        writes_unasked=draw(st.booleans()),
    )


@st.composite
def requests(draw: st.DrawFn) -> Features:
    """Draws features of a request with an output limit."""
    low, likely, high = sorted(draw(st.tuples(counts, counts, counts)))
    return Features(
        input_tokens=TokenCount(low=low, likely=likely, high=high),
        output_tokens_most=draw(st.integers(1, 100_000)),
        choices=draw(st.integers(1, 4)),
        needs=draw(st.frozensets(st.sampled_from(NEEDS))),
        cache_write=draw(st.sampled_from([None, "5m", "1h"])),
        service_tier=draw(st.sampled_from([None, "auto", "default", *SERVICES])),
        images=draw(st.integers(0, 3)),
    )


usages = st.builds(
    Usage,
    input_tokens=counts,
    output_tokens=counts,
    cached_input_tokens=counts,
    cache_write_tokens=counts,
    cache_write_1h_tokens=counts,
    reasoning_tokens=counts,
    input_audio_tokens=counts,
    cached_input_audio_tokens=counts,
    output_audio_tokens=counts,
    input_image_tokens=counts,
    output_image_tokens=counts,
    search_requests=st.integers(0, 5),
    service_tier=st.sampled_from([None, "default", *SERVICES]),
    billed_usd=st.none() | amounts,
)
"""Any usage a host may report, with parts that need not fit their totals."""


@st.composite
def bounded(draw: st.DrawFn, features: Features, model: Model) -> Usage:
    """Draws a usage that the request allows: inside its token bounds, in classes that it asks for."""
    assert model.price is not None
    needs, price = features.needs, model.price
    most = min(features.output_tokens_most or 0, model.max_output_tokens or 0)
    usage = draw(usages)
    hears, sees = needs & {"audio_input", "video_input"}, needs & {"vision", "file_input", "video_input"}
    asked_tiers = SERVICES if features.service_tier == "auto" else (features.service_tier,)
    return replace(
        usage,
        input_tokens=draw(st.integers(0, tokens_at(features, model).high)),
        output_tokens=draw(st.integers(0, most * features.choices)),
        cache_write_tokens=usage.cache_write_tokens if features.cache_write or price.writes_unasked else 0,
        cache_write_1h_tokens=usage.cache_write_1h_tokens if features.cache_write == "1h" else 0,
        input_audio_tokens=usage.input_audio_tokens if hears else 0,
        cached_input_audio_tokens=usage.cached_input_audio_tokens if hears else 0,
        input_image_tokens=usage.input_image_tokens if sees or features.images else 0,
        output_audio_tokens=usage.output_audio_tokens if "audio_output" in needs else 0,
        search_requests=usage.search_requests if price.searches_unasked or "web_search" in needs else 0,
        service_tier=draw(st.sampled_from([None, *asked_tiers])),
    )


def priced(price: Price | None, most: int | None = 50_000) -> Model:
    """Returns a model with this price and output limit."""
    return builders.model(id="openai/gpt-4.1", price=price, max_output_tokens=most)


def flat(**usd_per_mtok: str) -> Price:
    """Returns a price of one tier, by class."""
    return Price(tiers=(Tier(rates=Rates(**{name: Decimal(usd) for name, usd in usd_per_mtok.items()})),))


def by_hand(usage: Usage, rates: Rates) -> Fraction:
    """Adds up a usage whose parts fit their totals, by the rules as `Rates` states them."""

    def of(name: str, *otherwise: str) -> Fraction:
        return next(Fraction(rate) for key in (name, *otherwise) if (rate := getattr(rates, key)) is not None)

    fresh_audio = usage.input_audio_tokens - usage.cached_input_audio_tokens
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    special = usage.reasoning_tokens + usage.output_audio_tokens + usage.output_image_tokens
    text = usage.input_tokens - usage.cached_input_tokens - written - fresh_audio - usage.input_image_tokens
    total = (
        text * of("input")
        + (usage.cached_input_tokens - usage.cached_input_audio_tokens) * of("cached_input", "input")
        + usage.cached_input_audio_tokens * of("cached_input_audio", "cached_input", "input")
        + usage.cache_write_tokens * of("cache_write", "input")
        + usage.cache_write_1h_tokens * of("cache_write_1h", "cache_write", "input")
        + fresh_audio * of("input_audio", "input")
        + usage.input_image_tokens * of("input_image", "input")
        + (usage.output_tokens - special) * of("output")
        + usage.reasoning_tokens * of("reasoning", "output")
        + usage.output_audio_tokens * of("output_audio", "output")
        + usage.output_image_tokens * of("output_image", "output")
    )
    return total / 1_000_000


@st.composite
def whole_usages(draw: st.DrawFn) -> Usage:
    """Draws a usage whose parts fit their totals."""
    n = draw(st.lists(st.integers(0, 50_000), min_size=10, max_size=10))
    return Usage(
        input_tokens=sum(n[:6]),
        cached_input_tokens=n[0] + n[1],
        cached_input_audio_tokens=n[1],
        cache_write_tokens=n[2],
        cache_write_1h_tokens=n[3],
        input_audio_tokens=n[1] + n[4],
        input_image_tokens=n[5],
        output_tokens=sum(n[6:]),
        reasoning_tokens=n[6],
        output_audio_tokens=n[7],
        output_image_tokens=n[8],
    )


@given(usage=whole_usages(), rates=rates())
def test_every_class_is_charged_at_its_own_rate(usage: Usage, rates: Rates) -> None:
    """The cost is the exact sum over the classes, a class without a rate charged as the one it is part of."""
    usd = cost_usd(usage, Price(tiers=(Tier(rates=rates),)))
    assert usd is not None
    assert Fraction(usd) == by_hand(usage, rates)


@given(data=st.data(), price=prices(), features=requests())
def test_worst_case_is_an_upper_bound(data: st.DataObject, price: Price, features: Features) -> None:
    """No usage inside a request's token bounds, in classes it may fall into, costs more than the worst case."""
    model = priced(price)
    worst = worst_usd(model, features)
    usd = cost_usd(data.draw(bounded(features, model)), price)
    assert usd is not None
    if worst is None:
        assert price.search_usd > 0
        assert not price.searches_billed_once
    else:
        assert usd <= worst


@given(price=prices(), features=requests())
def test_worst_case_is_the_dearest_class_throughout(price: Price, features: Features) -> None:
    """A request all of whose tokens fall into one class, whichever is allowed, reaches the bound and no more."""
    price = replace(price, search_usd=Decimal(0), request_most_usd=Decimal(0))
    features = replace(features, service_tier="flex")
    model = priced(price)
    n = tokens_at(features, model).high
    m = min(features.output_tokens_most or 0, model.max_output_tokens or 0) * features.choices
    ins: list[dict[str, Any]] = [{}, {"cached_input_tokens": n}]
    outs: list[dict[str, Any]] = [{}, {"reasoning_tokens": m}, {"output_image_tokens": m}]
    if features.cache_write or price.writes_unasked:
        ins.append({"cache_write_tokens": n})
    if features.cache_write == "1h":
        ins.append({"cache_write_1h_tokens": n})
    if features.needs & {"audio_input", "video_input"}:
        ins.append({"input_audio_tokens": n})
        ins.append({"cached_input_tokens": n, "input_audio_tokens": n, "cached_input_audio_tokens": n})
    if features.images or features.needs & {"vision", "file_input", "video_input"}:
        ins.append({"input_image_tokens": n})
    if "audio_output" in features.needs:
        outs.append({"output_audio_tokens": m})
    tables = (price.tiers, price.service.get("flex", price.tiers))
    # The bound counts the most tokens at the rates of every tier that fewer tokens may be charged at.
    single = [
        Price(tiers=(Tier(rates=t.rates),)) for table in tables for t in table if n > t.above_tokens or t is table[0]
    ]
    costs = [
        cost_usd(Usage(input_tokens=n, output_tokens=m, **i, **o), tier) for tier in single for i in ins for o in outs
    ]
    assert worst_usd(model, features) == price.request_usd + max(usd for usd in costs if usd is not None)


@pytest.mark.untraced
@given(price=prices(), features=requests(), output_tokens=st.integers(0, 1_000))
def test_expected_cost_is_within_the_worst_case(price: Price, features: Features, output_tokens: int) -> None:
    """What a request is expected to cost is never above what it can cost."""
    model = priced(price)
    limited = replace(features, output_tokens_most=1_000)
    expected, worst = expected_usd(model, limited, output_tokens), worst_usd(model, limited)
    assert expected is not None
    assert worst is None or expected <= worst


@given(usage=usages, price=prices())
def test_no_token_is_charged_twice(usage: Usage, price: Price) -> None:
    """Parts that exceed their totals are cut: the dearest rate times the totals is never exceeded."""
    usd = cost_usd(usage, price)
    tables = [price.tiers, *price.service.values()]
    rates = [r for table in tables for t in table for name in CLASSES if (r := getattr(t.rates, name)) is not None]
    fees = price.request_usd + price.search_usd * usage.search_requests
    assert usd is not None
    assert 0 <= usd <= fees + max(rates) * usage.total_tokens / 1_000_000


@given(usage=usages, price=prices(), features=requests())
def test_costs_do_not_depend_on_the_precision_of_the_thread(usage: Usage, price: Price, features: Features) -> None:
    """An application that computes with three digits is charged the same money."""
    model = priced(price)
    exact = cost_usd(usage, price), expected_usd(model, features, 77), worst_usd(model, features)
    with localcontext(prec=3):
        rough = replace(price, tiers=tuple(Tier(above_tokens=t.above_tokens, rates=t.rates) for t in price.tiers))
        model = priced(rough)
        assert (cost_usd(usage, rough), expected_usd(model, features, 77), worst_usd(model, features)) == exact


@given(usage=usages, rates=rates(), missing=st.sampled_from(["input", "output"]))
def test_an_unknown_price_is_an_unknown_cost(usage: Usage, rates: Rates, missing: str) -> None:
    """Without an input or output price nothing has a cost, not even a request of no tokens."""
    price = Price(tiers=(Tier(rates=replace(rates, **{missing: None})),))
    model, features = priced(price), builders.features(100, output_tokens_most=10)
    assert cost_usd(usage, price) is None
    assert expected_usd(model, features, 10) is None
    assert worst_usd(model, features) is None


@given(rates=rates())
def test_charges_fill_in_what_rates_leave_out(rates: Rates) -> None:
    """Charges per token are those of rates whose missing classes were written out by hand."""
    charges = Charges.of(rates)
    assert charges is not None
    full = Rates(**{name: getattr(charges, name) * 1_000_000 for name in CLASSES})
    assert Charges.of(full) == charges
    assert all(getattr(full, name) == rate for name in CLASSES if (rate := getattr(rates, name)) is not None)


def counted(tokens: int, **known: Any) -> Features:
    """Returns features of a request counted exactly in the tokenizer of the models that `priced` makes."""
    return builders.features(tokens, exact_tokens={"o200k_base": tokens}, **known)


SONNET = flat(input="3", output="15", cached_input="0.30", cache_write="3.75", cache_write_1h="6")


def test_an_anthropic_conversation_with_a_cached_prefix() -> None:
    """2,000 tokens read, 300 and 100 written, 50 new, 400 answered."""
    usage = Usage(
        input_tokens=2_450,
        cached_input_tokens=2_000,
        cache_write_tokens=300,
        cache_write_1h_tokens=100,
        output_tokens=400,
    )
    assert cost_usd(usage, SONNET) == Decimal("0.008475")


def test_the_whole_request_is_charged_at_the_tier_of_its_input() -> None:
    """One token above the limit makes every token dearer, those of the output too; at the limit none is."""
    price = Price(
        tiers=(
            Tier(rates=Rates(input=Decimal("1.25"), output=Decimal(10), cached_input=Decimal("0.125"))),
            Tier(
                above_tokens=200_000,
                rates=Rates(input=Decimal("2.5"), output=Decimal(15), cached_input=Decimal("0.25")),
            ),
        )
    )
    assert cost_usd(Usage(input_tokens=200_000, output_tokens=1_000), price) == Decimal("0.26")
    above = Usage(input_tokens=200_001, cached_input_tokens=200_000, output_tokens=1_000)
    assert cost_usd(above, price) == Decimal("0.0650025")


def test_a_service_tier_has_its_own_table() -> None:
    """Flex is charged by its table, a tier without one as the standard tier."""
    price = replace(SONNET, service={"flex": flat(input="1.5", output="7.5").tiers})
    usage = Usage(input_tokens=1_000, output_tokens=1_000)
    assert cost_usd(replace(usage, service_tier="flex"), price) == Decimal("0.009")
    assert cost_usd(replace(usage, service_tier="default"), price) == Decimal("0.018")


def test_a_price_without_tiers_is_unknown() -> None:
    """A table with no row says nothing, so that nothing is charged by it."""
    empty = Price(tiers=())
    assert cost_usd(Usage(input_tokens=10), empty) is None
    assert worst_usd(priced(empty), counted(10)) is None


def test_audio_is_charged_once() -> None:
    """Cached audio is inside both the cached and the audio tokens."""
    price = flat(input="0.30", output="2.50", cached_input="0.03", input_audio="1", cached_input_audio="0.10")
    usage = Usage(input_tokens=1_000, cached_input_tokens=500, input_audio_tokens=600, cached_input_audio_tokens=400)
    # 100 text cached, 400 audio cached, 200 audio, 300 text
    assert cost_usd(usage, price) == Decimal("0.000333")


def test_searches_are_charged_each_or_once() -> None:
    """Three searches cost three fees, or one where the provider bills the grounded prompt."""
    price = replace(SONNET, search_usd=Decimal("0.01"))
    assert cost_usd(Usage(search_requests=3), price) == Decimal("0.03")
    assert cost_usd(Usage(search_requests=3), replace(price, searches_billed_once=True)) == Decimal("0.01")


def test_what_the_provider_billed_plays_no_part() -> None:
    """A stated bill is for the caller to prefer."""
    usage = Usage(input_tokens=1_000)
    assert cost_usd(replace(usage, billed_usd=Decimal(7)), SONNET) == cost_usd(usage, SONNET)


def test_expected_cost_of_several_choices() -> None:
    """The input is charged once, the output once for each choice."""
    features = counted(1_000, choices=3)
    assert expected_usd(priced(SONNET), features, 200) == Decimal("0.012")


def test_expected_cost_reckons_with_one_search() -> None:
    """A request that may search is expected to search once."""
    price = replace(SONNET, search_usd=Decimal("0.01"))
    features = counted(1_000, needs=frozenset({"web_search"}))
    assert expected_usd(priced(price), features, 0) == Decimal("0.013")


def test_expected_cost_of_a_spoken_answer() -> None:
    """An answer in audio is charged as audio."""
    price = flat(input="2.5", output="10", output_audio="80")
    features = counted(0, needs=frozenset({"audio_output"}))
    assert expected_usd(priced(price), features, 100) == Decimal("0.008")


@pytest.mark.parametrize(
    ("asked", "possible", "worst"),
    [
        (100, 1_000, "0.0015"),
        (5_000, 1_000, "0.015"),
        (None, 1_000, "0.015"),
        (100, None, "0.0015"),
        (None, None, None),
    ],
)
def test_the_largest_output_is_the_smaller_limit(asked: int | None, possible: int | None, worst: str | None) -> None:
    """The request's limit and the model's both hold; with neither the worst case is unknown."""
    features = counted(0, output_tokens_most=asked)
    assert worst_usd(priced(SONNET, possible), features) == (None if worst is None else Decimal(worst))


@pytest.mark.parametrize(("cache_write", "worst"), [(None, "0.003"), ("5m", "0.00375"), ("1h", "0.006")])
def test_the_worst_case_counts_cache_writes_that_are_asked_for(cache_write: str | None, worst: str) -> None:
    """Written input is dearer than fresh input, for longer dearer still."""
    features = counted(1_000, output_tokens_most=0, cache_write=cache_write)
    assert worst_usd(priced(SONNET), features) == Decimal(worst)


def test_the_worst_case_counts_cache_writes_that_nobody_asks_for() -> None:
    """Providers that write by themselves may bill it for any request."""
    features = counted(1_000, output_tokens_most=0)
    assert worst_usd(priced(replace(SONNET, writes_unasked=True)), features) == Decimal("0.00375")


def test_the_worst_case_is_unknown_where_searches_are_not_limited() -> None:
    """Searches billed one by one have no upper bound, unless they are billed once."""
    price = replace(SONNET, search_usd=Decimal("0.01"))
    features = counted(0, output_tokens_most=0, needs=frozenset({"web_search"}))
    assert worst_usd(priced(price), features) is None
    assert worst_usd(priced(replace(price, searches_billed_once=True)), features) == Decimal("0.01")


def test_an_unpriced_model_costs_an_unknown_amount() -> None:
    """A model without a price row is neither free nor comparable."""
    features = counted(10)
    assert expected_usd(priced(None), features, 10) is None
    assert worst_usd(priced(None), features) is None


def test_a_stated_zero_is_free() -> None:
    """Zero is an answer where the price says zero."""
    assert cost_usd(Usage(input_tokens=9, output_tokens=9), flat(input="0", output="0")) == 0


DEAR = {
    "input": "1",
    "output": "2",
    "input_audio": "8",
    "cached_input_audio": "16",
    "input_image": "32",
    "output_audio": "64",
}


@pytest.mark.parametrize(
    ("fields", "input_rate", "output_rate"),
    [
        ({}, 1, 2),
        ({"needs": frozenset({"json_object"})}, 1, 2),
        ({"needs": frozenset({"audio_input"})}, 16, 2),
        ({"needs": frozenset({"video_input"})}, 32, 2),
        ({"needs": frozenset({"vision"})}, 32, 2),
        ({"needs": frozenset({"file_input"})}, 32, 2),
        ({"images": 1}, 32, 2),
        ({"needs": frozenset({"audio_output"})}, 1, 64),
        ({"needs": frozenset({"audio_output", "audio_input"})}, 16, 64),
    ],
)
def test_a_dear_class_counts_where_the_request_may_have_it(
    fields: dict[str, Any], input_rate: int, output_rate: int
) -> None:
    """Sound where it is heard, pictures where they are seen, in files and films too; nowhere else."""
    features = counted(1_000, output_tokens_most=1_000, **fields)
    assert worst_usd(priced(flat(**DEAR)), features) == Decimal(input_rate + output_rate) / 1_000


@pytest.mark.parametrize(
    ("rate", "input_rate", "output_rate"),
    [("cached_input", 4, 2), ("reasoning", 1, 4), ("output_image", 1, 4), ("output", 1, 4), ("input", 4, 2)],
)
def test_a_class_that_any_request_may_have_counts_always(rate: str, input_rate: int, output_rate: int) -> None:
    """Whatever the provider read from its cache, thought or drew by itself."""
    features = counted(1_000, output_tokens_most=1_000)
    price = flat(**({"input": "1", "output": "2"} | {rate: "4"}))
    assert worst_usd(priced(price), features) == Decimal(input_rate + output_rate) / 1_000


@pytest.mark.parametrize(("tokens", "worst"), [(999, "0.000999"), (1_000, "0.001"), (1_001, "0.01001")])
def test_the_worst_case_is_that_of_the_tier_of_the_input(tokens: int, worst: str) -> None:
    """A tier begins above its edge; at the edge the one below still holds."""
    low, high = (Rates(input=Decimal(usd), output=Decimal(0)) for usd in ("1", "10"))
    price = Price(tiers=(Tier(rates=low), Tier(above_tokens=1_000, rates=high)))
    assert worst_usd(priced(price), counted(tokens, output_tokens_most=0)) == Decimal(worst)
