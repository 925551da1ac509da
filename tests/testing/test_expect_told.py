from __future__ import annotations

import pytest

from router.config_expect import ExpectTable
from router.testing.expect import Counterexample, verdict
from router.testing.expect_search import Case
from router.testing.expect_told import advice, decision_told, request_told, request_values, verdict_told
from router.testing.space import (
    CACHE_WRITE,
    COUNTED,
    SERVICE_TIER,
    STATED,
    STREAM,
    TENANT,
    TOOLS,
    Answer,
    Point,
    Question,
    need,
)
from router.testing.space_world import Asked, World
from tests.testing.tiny_configs import world_of

WORLD = world_of(
    {
        "models": {
            name: {
                "id": name,
                "base_url": "http://localhost:1",
                "input_usd_per_mtok": price,
                "output_usd_per_mtok": price,
                "context_window_tokens": 5000,
            }
            for name, price in (("a", "1"), ("b", "2"))
        }
    }
)


def point(answers: dict[Question, Answer] | None = None, sizes: tuple[int, int, int] = (7, 7, 0)) -> Point:
    """Returns a request that is plain but for some answers."""
    asked = Asked(tags={"team": frozenset(("x",))}, expressions=frozenset(("hi",)))
    plain = WORLD.space(asked).all().smallest()
    assert plain is not None
    return Point({**plain.answers, **(answers or {})}, sizes)


def refuted(request: Point, world: World = WORLD) -> Counterexample:
    """Returns a counterexample with this request."""
    case = Case(point=request)
    return Counterexample(case=case, decision=case.decided(world, "default"), broken=("it is so",))


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (point(), "7 tokens"),
        (point(sizes=(1, 1, 0)), "1 token"),
        (point(sizes=(7000, 9000, 50)), "7,000 tokens (an estimate; at most 9,000), max_tokens = 50"),
        (point({COUNTED: True}), "7 tokens (counted exactly)"),
        (
            point({TENANT: "acme", ("tag", "team"): "x", need("tools"): True, need("vision"): True, TOOLS: True}),
            "7 tokens, tenant = 'acme', tags.team = 'x', needs tools and vision, offers tools",
        ),
        (
            point({STREAM: True, SERVICE_TIER: "flex", CACHE_WRITE: "1h", ("match", "hi"): True}),
            "7 tokens, service_tier = 'flex', cache_write = '1h', streamed, its last user message matches 'hi'",
        ),
    ],
)
def test_requests_in_words(request_: Point, told: str) -> None:
    """What is plain about a request is left out; the rest is told."""
    assert request_told(request_) == told


def test_a_request_as_json() -> None:
    """A request as JSON has the same keys as `when` where there are such."""
    request = point({("tag", "team"): "x", need("tools"): True, STATED: True}, (7, 9, 5))
    assert request_values(request) == {
        "tokens": 7,
        "tokens_most": 9,
        "max_tokens": 5,
        "needs": ["tools"],
        "tags": {"team": "x"},
    }


def test_decisions_in_words() -> None:
    """Who is asked, who stands by, and why the others are not."""
    assert decision_told(refuted(point()).decision) == "a is asked, then b"
    told = decision_told(refuted(point({need("vision"): True})).decision)
    assert told == "nobody is asked; dropped: a lacks vision (request); b lacks vision (request)"


@pytest.mark.parametrize(
    ("request_", "when", "told"),
    [
        (point(), {}, None),
        (point({need("vision"): True}), {}, "needs_only = []"),
        (point({need("vision"): True}), {"needs": ["vision"]}, None),
        (point({need("vision"): True, need("tools"): True}), {"needs": ["tools"]}, "needs_only = ['tools']"),
        (point({STATED: True}, (7, 9, 5)), {}, 'max_tokens = "none", tokens_most = "<= ..."'),
        (point({STATED: True}, (7, 9, 5)), {"max_tokens": "< 9", "tokens_most": "< 99"}, None),
    ],
)
def test_advice(request_: Point, when: dict[str, object], told: str | None) -> None:
    """What `when` says nothing of, and the request has, is what to say more of if it is not meant."""
    table = ExpectTable.model_validate({"when": when, "then": {"answered": True}})
    found = advice(refuted(request_), table.when)
    assert found is None if told is None else (found or "").endswith(told)


@pytest.mark.parametrize(
    ("when", "then", "told"),
    [
        ({"tokens": "< 9"}, {"fallbacks": "<= 1"}, "holds for every request (1 case)"),
        ({"images": True, "needs_only": []}, {"answered": True}, "means no request: no request can be as `when` says"),
        ({"tokens": "< 9", "needs_only": [], "max_tokens": "none"}, {"model": "b"}, "a is asked first, not b"),
    ],
)
def test_verdicts_in_words(when: dict[str, object], then: dict[str, object], told: str) -> None:
    """Each outcome has a sentence."""
    assert verdict_told(verdict(ExpectTable.model_validate({"when": when, "then": then}), WORLD)) == told
