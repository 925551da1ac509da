from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.draws import TooManyWays, draws_of, sequence, ways_of
from router.errors import ConfigError
from router.testing.expect_search import Case
from router.testing.space_world import Asked
from tests.testing.tiny_configs import random_config, world_of

MODELS = {
    name: {"id": name, "base_url": "http://localhost:1", "input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}
    for name in "abcdefg"
}


def split(*weights: float, use: Any = None) -> dict[str, Any]:
    """Returns a split over as many models, or over as many times one policy."""
    shares = [
        {"weight": weight, **({"model": name} if use is None else {"use": use})}
        for weight, name in zip(weights, "abcdefg", strict=False)
    ]
    return {"kind": "weighted", "split": shares, "others": "drop"}


@pytest.mark.untraced
@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_every_draw_is_like_one_of_them(seed: int) -> None:
    """Whatever is drawn, one of the draws leaves the same slate."""
    chance = random.Random(seed)
    config = random_config(chance)
    inner = config["policies"]["default"]
    other = random_config(chance)["policies"]["default"]
    config["policies"]["default"] = {
        "kind": "weighted",
        "split": [{"weight": chance.choice((1, 2, 0.5)), "use": one} for one in (inner, other, split(1, 3))],
        "others": chance.choice(("follow", "drop")),
    }
    try:
        world = world_of(config)
    except ConfigError:
        return
    point = world.space(Asked(tags={"t": frozenset("x")})).all().smallest()
    assert point is not None

    def left(draw: float) -> tuple[str, ...]:
        return tuple(c.name for c in Case(point=point, draw=draw).slate(world, "default"))

    try:
        draws = draws_of(world.setup.policies["default"])
    except TooManyWays:
        return
    known = {left(draw) for draw in draws}
    assert {left(i / 211) for i in range(211)} <= known


def test_the_draws_of_a_policy_without_splits() -> None:
    """One draw is as good as any."""
    world = world_of({"models": MODELS})
    assert len(draws_of(world.setup.policies["default"])) == 1


def test_splits_that_can_be_drawn_in_too_many_ways() -> None:
    """Splits of many shares inside each other are refused, not sampled."""
    config = {"models": MODELS, "policies": {"default": split(*range(1, 7), use=split(*range(1, 7)))}}
    with pytest.raises(TooManyWays, match="more than 300"):
        draws_of(world_of(config).setup.policies["default"])


def test_the_shares_of_one_draw() -> None:
    """Every share comes once; the one that was drawn first."""
    assert next(index for index, _ in sequence([1, 1, 2], 0.6)) == 2
    assert sorted(index for index, _ in sequence([1, 1, 2], 0.6)) == [0, 1, 2]


def test_the_ways_of_a_split_are_as_wide_as_its_shares() -> None:
    """The draws that put a model first are as many as its weight says, also of a split inside a share."""
    inner = {"kind": "weighted", "split": [{"weight": 1, "model": "b"}, {"weight": 3, "model": "c"}]}
    shares = [{"weight": 3, "model": "a"}, {"weight": 1, "use": inner}]
    world = world_of({"models": MODELS, "policies": {"default": {"kind": "weighted", "split": shares}}})
    point = world.space(Asked()).all().smallest()
    assert point is not None
    first: dict[str, float] = {}
    for way in ways_of(world.setup.policies["default"]):
        name = Case(point=point, draw=way.draw).slate(world, "default").live[0].name
        first[name] = first.get(name, 0.0) + way.share
    assert first == pytest.approx({"a": 0.75, "b": 0.0625, "c": 0.1875})
