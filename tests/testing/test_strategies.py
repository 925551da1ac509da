"""What the strategies draw is valid, various, small when shrunk, and can be pasted."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis import strategies as st

from policies.token_tiers import TokenTiers
from policies.weighted import Share, Weighted
from router import (
    Answer,
    Candidate,
    Context,
    Failure,
    FailureClass,
    Features,
    Hints,
    Model,
    ModelStats,
    Policy,
    Price,
    Rates,
    Request,
    Slate,
    TokenCount,
    Usage,
    statics,
)
from router.core.adequacy import slate_of
from router.core.features import features_of
from router.core.key import content_key
from router.core.parse import parse_request
from router.core.usable import unusable
from router.registry import installed
from router.testing import as_code, as_script
from router.testing import strategies as kit
from router.testing.strategies_by_type import register

QUIET = settings(
    max_examples=300,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType] - it takes the metaclass for the members
    deadline=None,
)
SHRINKING = settings(QUIET, phases=[Phase.generate, Phase.shrink])
PLAIN = Request(messages=({"role": "user", "content": "hi"},))
OFFERING = dataclasses.replace(
    PLAIN, params={"tools": [{"type": "function", "function": {"name": name}} for name in ("look_up", "sum")]}
)
ALL: dict[str, Callable[[], st.SearchStrategy[Any]]] = {
    name: getattr(kit, name)
    for name in kit.__all__
    if name not in {"BrokenConfig", "Vocabulary", "arguments_of", "instances_of", "vocabulary_of"}
}


def seen(
    strategy: st.SearchStrategy[Any],
    what: Callable[[Any], Any],
    wanted: AbstractSet[Any] = frozenset(),
    *,
    rounds: int = 20,
) -> set[Any]:
    """Returns what is found in many draws; each draw may show several things.

    What Hypothesis draws depends on which modules are loaded, so some things may be rare in one round: as long as
    something that is wanted was not seen, it goes on.
    """
    found: set[Any] = set()

    @settings(QUIET)
    @given(strategy)
    def look(value: Any) -> None:
        found.update(what(value))

    for start in range(rounds):
        seed(start)(look)()
        if wanted <= found:
            break
    return found


@pytest.mark.untraced
@pytest.mark.parametrize("name", sorted(ALL))
def test_what_is_drawn_can_be_pasted(name: str) -> None:
    """The code of a value, run on its own, gives a value with the same code; an equal one, where it has an equal."""

    @settings(QUIET, max_examples=25)
    @given(ALL[name]())
    def check(value: Any) -> None:
        names: dict[str, Any] = {}
        exec(as_script(value=value), names)  # noqa: S102 - whether this runs is the question
        assert as_code(names["value"]) == as_code(value)
        if "Candidate(" not in as_code(value):  # which is equal to itself alone
            assert names["value"] == value

    check()


TYPES = (Answer, Candidate, Context, Failure, Features, Hints, Model, ModelStats, Policy, Price, Rates, Request, Slate)


@pytest.mark.parametrize("drawn", [*TYPES, TokenCount, Usage], ids=lambda drawn: drawn.__name__)
def test_types_are_drawn_by_name(drawn: type) -> None:
    """`st.from_type` gives what the strategies give."""
    register()

    @settings(QUIET, max_examples=5)
    @given(st.from_type(drawn))
    def check(value: Any) -> None:
        assert callable(value) if drawn is Policy else isinstance(value, drawn)

    check()


PROBE = """
import sys
import hypothesis
slow = {"aiohttp", "httpx", "litellm", "openai", "pydantic", "router.config", "router.testing.strategies_models"}
print(sorted(slow & set(sys.modules)))
from router import Request
from hypothesis import strategies as st
assert all(isinstance(m, dict) for m in st.from_type(Request).example().messages)
"""


def test_importing_hypothesis_imports_little() -> None:
    """The entry point registers, and leaves strategies and all that is slow for later; types are drawn all the same."""
    command = [sys.executable, "-W", "ignore", "-c", PROBE]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@given(kit.requests())
def test_requests_are_valid(request: Request) -> None:
    """Each is what the router makes of some call, and everything that is computed from a request can be."""
    assert parse_request(**kit.arguments_of(request)) == request
    features = features_of(request)
    assert features.input_tokens.low <= features.input_tokens.likely <= features.input_tokens.high
    assert content_key(request, policy="default")


def _shape(request: Request) -> set[str]:
    """Returns what stands out in a request."""
    features = features_of(request)
    texts = [m["content"] for m in request.messages if isinstance(m.get("content"), str)]
    return {
        *features.needs,
        *request.params,
        *(f.name for f in dataclasses.fields(Hints) if getattr(request.hints, f.name) not in (None, {})),
        *(message["role"] for message in request.messages),
        *({"empty"} if "" in texts else ()),
        *({"huge"} if any(len(text) > 100_000 for text in texts) else ()),
        *({"stream"} if request.stream else ()),
        *({"headers"} if request.headers else ()),
    }


@pytest.mark.untraced
def test_requests_are_of_every_kind() -> None:
    """Every hint and capability, all roles, empty and huge texts; and every parameter that providers know."""
    wanted = {f.name for f in dataclasses.fields(Hints)} | {"system", "developer", "user", "assistant", "tool"}
    wanted |= {"tools", "json_object", "json_schema", "vision", "audio_input", "audio_output", "file_input"}
    wanted |= {
        "video_input",
        "reasoning",
        "web_search",
        "max_tokens",
        "max_completion_tokens",
        "a_parameter_of_next_year",
    }
    wanted |= {"empty", "huge", "stream", "headers", "n", "temperature"}
    assert wanted - seen(kit.requests(), _shape, wanted) == set()


def test_requests_shrink_to_what_can_be_read() -> None:
    """The smallest request is one message; the smallest with tools has one tool."""
    smallest = find(kit.requests(), lambda _: True, settings=SHRINKING)
    assert as_code(smallest) == "Request(messages=({'role': 'user', 'content': 'hi'},))"
    small = find(kit.requests(), lambda request: "tools" in request.params, settings=SHRINKING)
    assert small.messages == PLAIN.messages
    assert len(small.params["tools"]) == 1


def test_texts_are_of_every_script() -> None:
    """Latin, Greek, Cyrillic, Arabic, Hebrew, scripts of India, Chinese, Japanese, Korean, emoji, and none."""
    wanted = {*"hüΑПתाแ请を번👩", "", "\x00", "\u202e", "\u200d"}
    assert wanted - seen(kit.texts(), lambda text: {*text[:200], "" if not text else text[0]}, wanted) == set()
    assert all(text for text in seen(kit.prompts(), lambda text: {text}))


@given(kit.slates())
def test_candidates_that_cannot_serve_are_dropped(slate: Slate) -> None:
    """Whoever is live in a drawn slate would be live in a real one, and each name stands there once."""
    everyone = [*slate.live, *(fallen.candidate for fallen in slate.dropped)]
    assert len({candidate.name for candidate in everyone}) == len(everyone)
    for candidate in slate.live:
        real = slate_of(
            {candidate.name: candidate.model},
            candidate.features,
            Hints(),
            max_cost_usd=None,
            expected_output_tokens=candidate.expected_output_tokens,
            unpriced=True,
        )
        assert len(real) == 1


@pytest.mark.untraced
def test_slates_are_various() -> None:
    """Empty and full, priced and not, dropped by the request and by a policy before, equal in cost."""

    def shape(slate: Slate) -> set[str]:
        costs = [candidate.expected_usd for candidate in slate.live]
        return {
            f"{len(slate.live)} live",
            *("unpriced" for cost in costs if cost is None),
            *("free" for cost in costs if cost == 0),
            *(["equal"] if len(costs) > len(set(costs)) else []),
            *(f"by {fallen.by}" for fallen in slate.dropped),
            *(f"{fallen.reason.split()[0]}" for fallen in slate.dropped),
        }

    wanted = {"0 live", "1 live", "2 live", "5 live", "unpriced", "free", "equal", "by request", "by earlier"}
    wanted |= {"lacks", "window"}
    assert wanted - seen(kit.slates(), shape, wanted) == set()


def test_contexts_are_various() -> None:
    """Every day of the week, both ends of the draw, tags in an order, statistics of some models."""

    def shape(context: Context) -> set[str]:
        return {
            f"day {context.now.weekday()}",
            f"draw {context.draw}",
            f"{len(context.tags)} tags",
            f"{len(context.stats)} stats",
            f"tenant {context.tenant is not None}",
            *(seen_model.breaker for seen_model in context.stats.values()),
        }

    wanted = {"draw 0.0", "0 tags", "3 tags", "0 stats", "3 stats", "tenant True", "tenant False", "half_open"}
    wanted |= {f"day {day}" for day in range(7)}
    assert wanted - seen(kit.contexts(), shape, wanted) == set()


@given(kit.prices())
def test_prices_have_tiers_that_ascend_from_zero(price: Price) -> None:
    """As the catalog's rule is, for service tiers too."""
    for tiers in (price.tiers, *price.service.values()):
        limits = [tier.above_tokens for tier in tiers]
        assert limits[0] == 0
        assert limits == sorted(set(limits))


@given(kit.catalogs(min_size=2, max_size=3))
def test_catalogs_have_as_many_models_as_wanted(catalog: dict[str, Model]) -> None:
    """Each under its own name."""
    assert 2 <= len(catalog) <= 3
    assert all(model.name == name for name, model in catalog.items())


@given(kit.usages())
def test_usage_adds_up(usage: Usage) -> None:
    """No part is more than its total."""
    assert usage.cached_input_tokens + usage.cache_write_tokens <= usage.input_tokens
    assert usage.reasoning_tokens <= usage.output_tokens


def test_failures_are_of_each_class() -> None:
    """What was not sent says so, and only what was refused says how long to wait."""
    every = set(get_args(FailureClass))
    assert seen(kit.failures(), lambda failure: {failure.kind}, every) == every
    assert seen(kit.failures(("cut",)), lambda failure: {failure.kind}) == {"cut"}
    for failure in seen(kit.failures(), lambda failure: {failure}):
        assert failure.sent == (failure.kind != "not_sent")
        assert failure.retry_after_s is None or failure.kind == "refused"


@given(kit.answers())
def test_answers_are_of_use(answer: Answer) -> None:
    """To who offered the tools that they call."""
    assert unusable(answer, OFFERING) is None


@given(kit.unusable_answers())
def test_unusable_answers_are_of_none(answer: Answer) -> None:
    """To anybody."""
    assert unusable(answer, PLAIN) is not None


def test_outcomes_are_answers_failures_and_unusable_answers() -> None:
    """All that a client returns."""

    def shape(outcome: Answer | Failure) -> set[str]:
        return {type(outcome).__name__, str(isinstance(outcome, Answer) and unusable(outcome, OFFERING) is not None)}

    wanted = {"Answer", "Failure", "True", "False"}
    assert seen(kit.outcomes(), shape, wanted) == wanted


@pytest.mark.untraced
def test_policies_are_of_every_kind_and_depth() -> None:
    """All that are installed, alone and inside each other, over the names that are given."""

    def shape(policy: Policy) -> set[str]:
        parts = list(statics.parts(policy))
        return {*(part.kind for _, part in parts), f"{min(len(parts), 4)} parts"}  # type: ignore[attr-defined]  # ours have it

    wanted = {*installed("lowfare.policies").kinds, "1 parts", "4 parts"}
    assert wanted - seen(kit.policies(["north", "south"]), shape, wanted) == set()
    named = seen(kit.policies(["north"], kinds=["fallback"]), lambda policy: set(policy.models))
    assert named == {"north"}


def test_policies_of_composing_kinds_alone_have_something_inside() -> None:
    """Where only kinds are wanted that need others, the cheapest stands inside."""
    found = seen(kit.policies(kinds=["chain"]), lambda policy: {part.kind for part in policy.policies})
    assert found == {"cheapest"}


@given(kit.instances_of(TokenTiers))
def test_tiers_ascend(policy: TokenTiers) -> None:
    """Their limits do, and only the last may have none, as a configuration must have them."""
    limits = [tier.up_to_tokens for tier in policy.tiers]
    assert all(limit is not None for limit in limits[:-1])
    stated = [limit for limit in limits if limit is not None]
    assert stated == sorted(set(stated))


@given(kit.instances_of(Weighted))
def test_shares_are_a_model_or_a_policy(policy: Weighted) -> None:
    """One of them, never both."""
    assert all((share.model is None) != (share.use is None) for share in policy.split)


def test_options_take_the_place_of_what_would_be_drawn() -> None:
    """Values and strategies alike."""
    options = {"weight": 2.0, "model": st.just("x"), "use": None}
    assert seen(kit.instances_of(Share, options=options), lambda share: {share}) == {Share(weight=2.0, model="x")}


@given(kit.scenarios(), kit.seeds())
def test_scenarios_have_models(scenario: Any, seed: int) -> None:
    """And a seed that any simulation takes."""
    assert scenario.settings().models
    assert 0 <= seed <= 2**32
