from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router import Context
from router.errors import ConfigError
from router.testing.expect_search import Case
from router.testing.gaps import findings
from router.testing.gaps_found import Finding, Path
from router.testing.space import COUNTED, NEEDS, STATED, TOOLS, Answer, Point, Question, need
from router.testing.space_linear import CERTAIN
from router.testing.space_world import World, asked_by
from tests.testing.tiny_configs import random_config, when, world_of

LONGEST = 14
SMALL: dict[str, Any] = {
    "id": "small",
    "base_url": "http://localhost:1",
    "input_usd_per_mtok": "0.1",
    "output_usd_per_mtok": "0.4",
    "context_window_tokens": 8192,
    "max_output_tokens": 1000,
    "capabilities": ["tools"],
    "quality": 0.7,
}
LARGE: dict[str, Any] = SMALL | {
    "id": "large",
    "context_window_tokens": 200_000,
    "capabilities": ["tools", "vision"],
    "quality": 0.9,
}
MODELS = {"small": SMALL, "large": LARGE}
VISION = {"needs": ["vision"]}
ONLY_LARGE = {"kind": "fallback", "models": ["large"]}
ANY = {"kind": "cheapest"}


def found(policy: dict[str, Any], models: dict[str, Any] | None = None, **more: Any) -> list[Finding]:
    """Returns what is found in a policy over two models."""
    config = {"models": models or MODELS, "policies": {"default": policy}, **more}
    return list(findings(world_of(config)))


def told(
    policy: dict[str, Any], *kinds: str, models: dict[str, Any] | None = None, **more: Any
) -> set[tuple[str, str]]:
    """Returns the findings of some kinds as (kind, path below the policy)."""
    return {
        (one.kind, ".".join(map(str, one.path[2:])))
        for one in found(policy, models, **more)
        if one.kind in (kinds or ("gap", "unreachable", "unable", "window", "one_provider"))
        and (kinds or one.severity == "warning")
    }


def rules(*entries: tuple[dict[str, Any], dict[str, Any]], otherwise: Any = None) -> dict[str, Any]:
    """Returns a policy of rules."""
    table = {"kind": "rules", "rules": [{"when": condition, "use": use} for condition, use in entries]}
    return table if otherwise is None else table | {"otherwise": otherwise}


def tiers(*entries: tuple[int | None, list[str]], **more: Any) -> dict[str, Any]:
    """Returns a policy of tiers."""
    listed = [{"models": names} | ({} if limit is None else {"up_to_tokens": limit}) for limit, names in entries]
    return {"kind": "token_tiers", "tiers": listed} | more


def small_points(world: World) -> Iterator[Point]:
    """Yields every short request of certain length, as far as the rules of the default policy tell them apart."""
    space = world.space(asked_by([world.setup.policies["default"]]), spread=CERTAIN)
    used = [need(name) for name in ("tools", "vision", "json_object")]
    open_ = [q for q in space.questions if q[0] == "tag" or q in {TOOLS, *used}]
    plain: dict[Question, Answer] = {question: answers[0] for question, answers in space.questions.items()}
    for values in product(*(space.questions[question] for question in open_)):
        answers = {**plain, **dict(zip(open_, values, strict=True))}
        if answers[TOOLS] and not answers[need("tools")]:
            answers[need("web_search")] = True  # what is offered then is the provider's own search
        for n, m in product(range(1, LONGEST), range(LONGEST)):
            yield Point({**answers, STATED: m > 0}, (n, n, m))


def visited(policy: Any, path: Path, world: World, case: Case) -> Iterator[Path]:
    """Yields the rules and tiers of a policy, and of those inside it, that take a request, as policies do it."""
    match policy.kind:
        case "rules":
            given_ = case.given(world, "default")
            context = Context(features=given_.features, now=given_.now, draw=0.5, tags=given_.hints.tags)
            for index, rule in enumerate(policy.rules):
                if rule.when.holds(context):
                    yield (*path, "rules", index)
                    yield from visited(rule.use, (*path, "rules", index, "use"), world, case)
                    return
            if policy.otherwise is not None:
                yield (*path, "otherwise")
                yield from visited(policy.otherwise, (*path, "otherwise"), world, case)
        case "token_tiers":
            features = case.given(world, "default").features
            slate = case.slate(world, "default")
            everyone = [*slate.live, *(fallen.candidate for fallen in slate.dropped)]
            most = features.output_tokens_most or max(c.expected_output_tokens for c in everyone)
            tokens = features.measured_tokens + (most if policy.measure == "total" else 0)
            limits = [tier.up_to_tokens for tier in policy.tiers]
            yield from [(*path, "tiers", i) for i, limit in enumerate(limits) if limit is None or tokens <= limit][:1]
        case "chain" | "first_of":
            for index, part in enumerate(policy.policies):
                yield from visited(part, (*path, "policies", index), world, case)
        case "weighted":
            for index, share in enumerate(policy.split):
                if share.use is not None:
                    yield from visited(share.use, (*path, "split", index, "use"), world, case)


def places(policy: Any, path: Path) -> Iterator[Path]:
    """Yields every rule and tier of a policy, and of those inside it."""
    match policy.kind:
        case "rules":
            for index, rule in enumerate(policy.rules):
                yield (*path, "rules", index)
                yield from places(rule.use, (*path, "rules", index, "use"))
            if policy.otherwise is not None:
                yield (*path, "otherwise")
                yield from places(policy.otherwise, (*path, "otherwise"))
        case "token_tiers":
            yield from ((*path, "tiers", index) for index in range(len(policy.tiers)))
        case "chain" | "first_of":
            for index, part in enumerate(policy.policies):
                yield from places(part, (*path, "policies", index))
        case "weighted":
            for index, share in enumerate(policy.split):
                if share.use is not None:
                    yield from places(share.use, (*path, "split", index, "use"))


def ruled(chance: random.Random) -> dict[str, Any]:
    """Returns a configuration with many rules, inside each other too."""
    config = random_config(chance)

    def some(depth: int) -> dict[str, Any]:
        if depth == 0:
            return random_config(chance)["policies"]["default"]  # type: ignore[no-any-return]  # a table of policies
        entries = [(when(chance), some(depth - 1)) for _ in range(chance.randint(1, 4))]
        return rules(*entries, otherwise=some(0) if chance.random() < 0.5 else None)

    config["policies"]["default"] = some(chance.randint(0, 2))
    return config


@pytest.mark.untraced
@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_unreachable_rules_and_tiers_against_brute_force(seed: int) -> None:
    """Those rules and tiers are found that no request reaches, all of them and no others."""
    try:
        world = world_of(ruled(random.Random(seed)))
    except ConfigError:
        return
    policy = world.setup.policies["default"]
    reached: set[Path] = set()
    for point in small_points(world):
        reached |= set(visited(policy, ("policies", "default"), world, Case(point=point)))
    unreached = set(places(policy, ("policies", "default"))) - reached
    seen = {one.path for one in findings(world) if one.kind == "unreachable"}
    # What stands inside something that nothing reaches is not told again.
    assert seen == {path for path in unreached if not any(path[:length] in unreached for length in range(len(path)))}


@pytest.mark.untraced
@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_gaps_against_brute_force(seed: int) -> None:
    """A plain request that a model could serve, and that is left to nobody, lies in a gap; each gap has such a one."""
    try:
        world = world_of(random_config(random.Random(seed)))
    except ConfigError:
        return
    gaps = [one for one in findings(world) if one.kind == "gap"]
    for gap in gaps:
        assert gap.example is not None
        cases = [Case(point=gap.example, draw=draw / 97) for draw in range(97)]
        assert any(not case.slate(world, "default").live for case in cases)
        assert world.able("default", gap.example)
    space = world.space(asked_by([world.setup.policies["default"]]), spread=CERTAIN)
    tags = space.questions.get(("tag", "t"), ())
    plain: dict[Question, Answer] = {question: answers[0] for question, answers in space.questions.items()}
    for tag, counted, n in product(tags or (None,), (False, True), range(1, 90)):
        answers = {**plain, **({("tag", "t"): tag} if tags else {}), COUNTED: counted}
        point = Point(answers, (n, n, 0))
        if not Case(point=point, draw=0.5).slate(world, "default").live and world.able("default", point):
            assert any(not any(one.example.needs(name) for name in NEEDS) for one in gaps if one.example is not None)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (rules(({"stream": True}, ANY), ({"stream": False}, ANY), (VISION, ANY)), {("unreachable", "rules.2")}),
        (
            rules(({"up_to_tokens": 99}, ANY), ({"above_tokens": 99, "stream": True}, ANY), (VISION, ANY)),
            set(),
        ),
        (rules((VISION, ANY), ({"images": True, "tools": True}, ANY)), {("unreachable", "rules.1")}),
        (rules(({"needs": ["prompt_caching"]}, ANY)), {("unreachable", "rules.0")}),
        (rules(({"needs": ["json_object", "json_schema"]}, ANY)), {("unreachable", "rules.0")}),
        (
            rules(({"stream": True}, ANY), ({"stream": False}, ANY), otherwise=ANY),
            {("unreachable", "otherwise")},
        ),
        (
            rules(({"tags": {"a": "x*"}}, ANY), ({"tags": {"a": "*y"}}, ANY), ({"tags": {"a": "x?y"}}, ANY)),
            {("unreachable", "rules.2")},
        ),
        (
            rules(({"above_tokens": 1000}, tiers((500, ["small"]), (None, ["large"])))),
            {("unreachable", "rules.0.use.tiers.0")},
        ),
    ],
)
def test_unreachable(policy: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    """What several rules take together, and what cannot be where it stands, is unreachable."""
    assert told(policy, "unreachable") == expected


def test_who_takes_the_requests_is_told() -> None:
    """An unreachable rule names those before it that take its requests, and only those."""
    policy = rules(
        ({"tags": {"a": "x"}}, ANY), ({"stream": True}, ANY), ({"stream": False}, ANY), (VISION | {"tenant": "t"}, ANY)
    )
    (finding,) = [one for one in found(policy) if one.kind == "unreachable"]
    assert "rules[1] and rules[2] before it take all" in finding.message


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (rules(({"tags": {"a": "x"}}, ANY), ({"stream": True}, ANY)), {"rules.1"}),
        (rules(({"tags": {"a": "x"}, "stream": True}, ANY), ({"stream": True}, ANY)), set()),
        (rules(({"tags": {"a": "x"}}, ANY), ({"tags": {"a": "y"}}, ANY)), set()),
        (rules(({"up_to_tokens": 9}, ANY), ({"above_tokens": 9}, ANY)), set()),
        (rules(({"up_to_tokens": 9}, ANY), ({"above_tokens": 8}, ANY)), {"rules.1"}),
    ],
)
def test_overlaps(policy: dict[str, Any], expected: set[str]) -> None:
    """Rules that hold for the same requests are told with one, unless the earlier is a special case of the later."""
    assert {path for _, path in told(policy, "overlap")} == expected
    for one in found(policy):
        if one.kind == "overlap":
            assert one.severity == "note"
            assert "such as: " in one.message


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (tiers((500, ["small"]), (2000, ["large"])), {("gap", "")}),
        (tiers((500, ["small"]), (None, ["large"])), set()),
        (
            tiers((500, ["small"]), (2000, ["large"]), fallback=["large", "small"]),
            {("one_provider", "tiers.0"), ("one_provider", "tiers.1")},
        ),
        (tiers((10_000, ["small"]), (None, ["large"])), {("gap", "tiers.0"), ("window", "tiers.0.models.0")}),
        (
            tiers((10_000, ["small", "large"]), (None, ["large"])),
            {("window", "tiers.0.models.0"), ("one_provider", "tiers.0")},
        ),
        ({"kind": "fallback", "models": ["small"]}, {("gap", "")}),
        (rules(({"tags": {"a": "x"}}, {"kind": "fallback", "models": ["small"]})), {("gap", "rules.0")}),
        ({"kind": "max_cost", "limit_usd": "0.001"}, set()),
        ({"kind": "min_quality", "quality": 0.8}, set()),
        (rules((VISION, {"kind": "fallback", "models": ["small"]})), {("unable", "rules.0.use.models.0")}),
        (rules((VISION, tiers((99, ["small"]), (None, ["large"])))), {("unable", "rules.0.use.tiers.0.models.0")}),
        ({"kind": "weighted", "split": [{"weight": 1, "model": "small"}], "others": "drop"}, {("gap", "")}),
        ({"kind": "max_latency", "p95_s": 3}, set()),
    ],
)
def test_gaps_and_windows(policy: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    """Requests that lists leave to nobody, and models too small for their tier, are found where they are."""
    other = {"other": LARGE | {"id": "anthropic/claude-x", "context_window_tokens": 5000, "quality": 0.1}}
    assert told(policy, models=MODELS | other) == expected


def test_a_gap_is_exact() -> None:
    """A gap says from which length to which, to the token, and who could serve such requests."""
    (gap,) = [
        one
        for one in found(tiers((10_000, ["small"]), (None, ["large"])))
        if one.kind == "gap" and one.severity == "warning"
    ]
    assert "between 7,629 and 10,000 tokens" in gap.message  # 8,192 less 500 of output and 64 of the host
    assert "large could serve them" in gap.message
    world = world_of({"models": MODELS, "policies": {"default": tiers((10_000, ["small"]), (None, ["large"]))}})
    assert gap.example is not None
    assert gap.example.sizes == (7629, 7629, 0)
    served = Point(gap.example.answers, (7628, 7628, 0))
    assert Case(point=served).slate(world, "default").live


def test_needs_that_a_tier_cannot_meet() -> None:
    """A tier whose models lack what requests may need is worth knowing, with the need."""
    (gap,) = [one for one in found(tiers((500, ["small"]), (None, ["large"]))) if one.kind == "gap"]
    assert gap.severity == "note"
    assert "requests that need vision to nobody" in gap.message


def test_requests_that_no_model_serves() -> None:
    """The longest input that any model takes, and what none is capable of, is told once."""
    (nobody,) = [one for one in found(ANY) if one.kind == "nobody"]
    assert "more than 199,436 tokens" in nobody.message
    assert "audio_input" in nobody.message
    assert "vision" not in nobody.message
    able = SMALL | {"capabilities": list(NEEDS)}
    del able["context_window_tokens"]
    assert not [one for one in found(ANY, {"small": able}) if one.kind == "nobody"]


def test_a_list_of_one_provider() -> None:
    """A list whose models are all of one provider is warned of where there is another, and else worth knowing."""
    both = {"kind": "fallback", "models": ["small", "large"]}
    assert [one.severity for one in found(both) if one.kind == "one_provider"] == ["note"]
    other = MODELS | {"other": LARGE | {"id": "anthropic/claude-x", "quality": 0.1}}
    (one,) = [one for one in found(both, other) if one.kind == "one_provider"]
    assert (one.severity, "there is anthropic" in one.message) == ("warning", True)


def test_policies_by_name_are_looked_at_by_themselves() -> None:
    """A policy that others use has its own findings, once; gaps are those of the policies that requests name."""
    policies = {
        "default": rules((VISION, "inner"), otherwise="inner"),  # type: ignore[arg-type]  # names of policies
        "inner": tiers((500, ["small"]), (2000, ["large"])),
    }
    paths = [(one.kind, one.path) for one in found({}, policies=policies) if one.severity == "warning"]
    assert paths == [("gap", ("policies", "inner"))]


def test_what_is_not_finished_is_said() -> None:
    """Where there is too much to look at, it says so."""
    split = [{"weight": weight, "model": name} for weight, name in enumerate("abcdefg", start=1)]
    models = {name: SMALL | {"id": name} for name in "abcdefg"}
    inner = {"kind": "weighted", "split": [{"weight": 1, "use": {"kind": "weighted", "split": split}}]}
    assert [one.kind for one in found(inner, models) if one.path == ("policies", "default")] == ["unfinished"]
