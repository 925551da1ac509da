"""Deployments: what each may take, and which is asked."""

from __future__ import annotations

from collections import Counter
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.deployment import Allowance, Bucket, Deployment, Level, Load, choose, level_of
from tests.core.builders import model

LOADS = st.lists(st.builds(Load, st.floats(0.01, 100), st.integers(0, 50)), min_size=1, max_size=6)
DRAW = st.floats(0, 1, exclude_max=True)


@given(loads=LOADS, draw=DRAW)
def test_the_busiest_is_never_chosen_among_several(loads: list[Load], draw: float) -> None:
    """Of two drawn the less busy is asked, so one that is busier than all others never is."""
    chosen = choose(loads, draw)
    busy = [load.in_flight / load.weight for load in loads]
    assert 0 <= chosen < len(loads)
    if len(loads) > 1 and busy.count(max(busy)) == 1:
        assert busy[chosen] < max(busy)


def test_idle_deployments_are_asked_by_weight() -> None:
    """Where nothing is on the way, the weights are the shares, to the letter over evenly spread draws."""
    counts = Counter(choose([Load(3.0, 0), Load(1.0, 0)], i / 4_000) for i in range(4_000))
    assert counts == {0: 3_000, 1: 1_000}


def test_load_piles_up_by_weight() -> None:
    """Attempts that do not end share themselves out by weight, whatever is drawn."""
    chance, on_the_way = Random(1), [0, 0, 0]
    for _ in range(1_000):
        loads = [Load(weight, n) for weight, n in zip((3.0, 1.0, 1.0), on_the_way, strict=True)]
        on_the_way[choose(loads, chance.random())] += 1
    assert on_the_way == pytest.approx([600, 200, 200], abs=10)


@given(
    limit=st.integers(1, 1_000),
    steps=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 50)), max_size=50),
)
def test_a_bucket_lets_no_more_out_than_it_held_and_got(limit: int, steps: list[tuple[float, int]]) -> None:
    """Over T seconds at most a full bucket and its refill go out, and what is waited for is there afterwards."""
    bucket = Bucket(level=limit, most=limit, per_s=limit / 60, at_s=0.0)
    now_s = out = 0.0
    for seconds, wanted in steps:
        now_s += seconds
        wait_s = bucket.wait_s(wanted, now_s)
        assert bucket.left(now_s + wait_s) >= min(wanted, limit) - 1e-6
        if wait_s == 0.0 and wanted <= limit:
            bucket, out = bucket.less(wanted, now_s), out + wanted
        assert out <= limit * (1 + now_s / 60) + 1e-6


def test_what_is_larger_than_a_bucket_passes_when_it_is_full() -> None:
    """Whether a request that is too large will ever fit, its provider says; it is paid for by what comes after."""
    bucket = Bucket(level=100, most=100, per_s=1.0, at_s=0.0)
    assert bucket.wait_s(500, 0.0) == 0.0
    assert bucket.less(500, 0.0).wait_s(1, 0.0) == 401.0
    assert Bucket(level=0, most=100, per_s=0.0, at_s=0.0).wait_s(1, 0.0) == inf


OPENAI = {
    "x-ratelimit-limit-requests": "100",
    "x-ratelimit-remaining-requests": "10",
    "x-ratelimit-reset-requests": "54s",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "0",
    "x-ratelimit-reset-tokens": "1m0s",
}


def test_levels_are_read_as_providers_write_them() -> None:
    """OpenAI's spans, Anthropic's points in time, Mistral's names without a reset."""
    assert level_of(OPENAI, "requests") == Level(100, 10, 54)
    assert level_of(OPENAI, "tokens") == Level(200_000, 0, 60)
    anthropic = {
        "date": "Mon, 23 Nov 2026 12:00:00 GMT",
        "anthropic-ratelimit-input-tokens-limit": "1000",
        "anthropic-ratelimit-input-tokens-remaining": "100",
        "anthropic-ratelimit-input-tokens-reset": "2026-11-23T12:00:30Z",
    }
    assert level_of(anthropic, "tokens") == Level(1_000, 100, 30)
    assert level_of(anthropic, "requests") is None
    mistral = {"x-ratelimit-remaining-tokens-minute": "5", "x-ratelimit-limit-tokens-minute": "500"}
    assert level_of(mistral, "tokens") == Level(500, 5, 60)


@pytest.mark.parametrize(
    ("remaining", "limit"), [("51", "100"), ("x", "100"), ("1", ""), ("inf", "100"), ("-1", "100"), ("0", "0")]
)
def test_plenty_and_nonsense_teach_nothing(remaining: str, limit: str) -> None:
    """A limit that is more than half full, or that cannot be read, is not followed."""
    headers = {"x-ratelimit-remaining-requests": remaining, "x-ratelimit-limit-requests": limit}
    assert level_of(headers, "requests") is None
    assert Allowance().learned(headers, 0.0, (0, 0)) == Allowance()


def test_a_configured_limit_holds() -> None:
    """Two requests a minute are two at once, then one every thirty seconds; tokens alike."""
    allowance = Allowance.of(Deployment(name="a", requests_per_minute=2, tokens_per_minute=600), 0.0)
    assert not allowance.unlimited
    allowance = allowance.less(1, 500, 0.0)
    assert allowance.wait_s(100, 0.0) == 0.0
    assert allowance.wait_s(200, 0.0) == 10.0
    assert allowance.less(1, 0, 0.0).wait_s(1, 0.0) == 30.0
    assert Allowance.of(Deployment(name="b"), 0.0).unlimited


def test_tokens_are_put_right_when_they_are_known() -> None:
    """What a request did not take is given back, what it took more is taken off."""
    allowance = Allowance.of(Deployment(name="a", tokens_per_minute=600), 0.0).less(1, 600, 0.0)
    assert allowance.less(0, -400, 0.0).wait_s(400, 0.0) == 0.0
    assert allowance.less(0, 100, 0.0).wait_s(1, 0.0) == pytest.approx(10.1)


def test_a_told_limit_counts_what_was_sent_since() -> None:
    """Ten were left when the attempt began and four went out since: six are left, and the rest comes back in time."""
    allowance = Allowance().learned({k: v for k, v in OPENAI.items() if "requests" in k}, 100.0, (4, 900))
    assert allowance.warned
    assert allowance.learned_tokens is None
    assert allowance.learned_requests is not None
    assert allowance.learned_requests.left(100.0) == 6.0
    assert allowance.learned_requests.left(154.0) == 96.0


def test_older_attempts_teach_nothing_new() -> None:
    """An answer that took long does not bring back what was true when it began; a fresh one with plenty lifts it."""
    allowance = Allowance().learned(OPENAI, 100.0, (0, 0))
    plenty = {"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "99"}
    assert allowance.learned(plenty, 99.0, (0, 0)) is allowance
    assert allowance.learned(plenty, 101.0, (0, 0)).unlimited


def test_the_users_limits_stand_apart_from_the_providers() -> None:
    """Where nobody else is left, what the provider told may be tried; what the user set is kept."""
    told = Allowance().learned(OPENAI, 0.0, (0, 0))
    assert told.wait_s(1, 0.0) > 0.0
    assert told.wait_s(1, 0.0, configured_only=True) == 0.0


def test_a_deployment_overrides_what_it_names() -> None:
    """The model at a deployment has its address, key, region and headers, and the model's own for the rest."""
    base = model("small", base_url="http://a", key_env="A", region="eu", headers={"x": "1", "y": "1"})
    west = Deployment(name="west", base_url="http://b", key_env="B", region="us", headers={"y": "2"})
    both = model("small", base_url="http://a", key_env="A", region="eu", headers=base.headers, deployments=(west,))
    at = both.at(west)
    assert (at.base_url, at.key_env, at.region, at.headers) == ("http://b", "B", "us", {"x": "1", "y": "2"})
    assert at.deployments == ()
    assert base.at(Deployment(name="same")) == base


@pytest.mark.parametrize(
    ("remaining", "limit", "level"),
    [
        ("1", "10", Level(10.0, 1.0, 60.0)),
        ("5", "10", Level(10.0, 5.0, 60.0)),
        ("5.5", "10", None),
        ("0", "1", Level(1.0, 0.0, 60.0)),
        ("0.25", "0.5", Level(0.5, 0.25, 60.0)),
        ("0", "0", None),
        ("1.0.0", "10", None),
        ("inf", "10", None),
        ("1", "nan", None),
        ("", "10", None),
        ("1", None, None),
    ],
)
def test_a_limit_is_near_from_its_half_on(remaining: str, limit: str | None, level: Level | None) -> None:
    """Plain numbers alone say so; one without a reset is full in a minute."""
    headers = {"x-ratelimit-remaining-requests": remaining}
    if limit is not None:
        headers["x-ratelimit-limit-requests"] = limit
    assert level_of(headers, "requests") == level
    assert level_of(headers, "tokens") is None


def test_what_was_learned_is_used_up_too() -> None:
    """Requests from the one, tokens from the other, each at its own pace; configured limits as well."""
    start = Allowance(
        requests=Bucket(level=3.0, most=10.0, per_s=1.0, at_s=0.0),
        tokens=Bucket(level=50.0, most=100.0, per_s=10.0, at_s=0.0),
        learned_requests=Bucket(level=1.0, most=10.0, per_s=0.5, at_s=0.0),
        learned_tokens=Bucket(level=20.0, most=100.0, per_s=4.0, at_s=0.0),
        learned_s=0.0,
    )
    assert start.wait_s(20, 0.0) == 0.0
    assert start.wait_s(60, 0.0) == pytest.approx(10.0)
    assert start.wait_s(60, 0.0, configured_only=True) == pytest.approx(1.0)
    after = start.less(1, 12, 1.0)
    assert (after.requests, after.tokens) == (
        Bucket(level=3.0, most=10.0, per_s=1.0, at_s=1.0),
        Bucket(level=48.0, most=100.0, per_s=10.0, at_s=1.0),
    )
    assert (after.learned_requests, after.learned_tokens) == (
        Bucket(level=0.5, most=10.0, per_s=0.5, at_s=1.0),
        Bucket(level=12.0, most=100.0, per_s=4.0, at_s=1.0),
    )
    assert after.wait_s(1, 1.0) == pytest.approx(1.0)
    assert after.wait_s(1, 1.0, configured_only=True) == 0.0


@pytest.mark.parametrize(("draw", "chosen"), [(0.02, 1), (0.05, 0), (0.2, 1), (0.5, 0), (0.7, 1), (0.99, 1)])
def test_one_draw_serves_for_both(draw: float, chosen: int) -> None:
    """Where it falls within the share of the first says which of the others is compared with it."""
    assert choose([Load(1.0, 1), Load(1.0, 0), Load(4.0, 9)], draw) == chosen
