"""The look into the cache: what counts as a hit, what follows what does not, and that all of it replays."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from router.core.answer import Answer, Choice, Function, Message, ToolCall, Usage
from router.core.bounds import Bounds
from router.core.caching import (
    NOT_CACHED,
    CacheHint,
    CacheKind,
    CacheMode,
    Caching,
    Entry,
    Hit,
    Lookup,
    hit_of,
    own_copy,
)
from router.core.decision import Decision
from router.core.ending import error_of
from router.core.failure import Failure
from router.core.keeping import answer_kept, refusal_kept
from router.core.machine import Done, Exhausted, NeedCall, NeedLookup, Served, plan
from router.core.record import decision_dict
from router.core.replay import replay
from router.errors import BoundsExceeded, NotCached, ProviderError
from router.testing.scripted import answer
from tests.core.builders import NOON, attempt, given, keep_all, model

USE = Caching(mode="use")
ENTRY = Entry(
    key="k" * 64,
    model="a",
    model_id="simulated/a",
    answer=answer("ok"),
    trace_id="e" * 32,
    tags={},
    policy="default",
    stored_s=1.0,
    ttl_s=9.0,
)


def hit(name: str = "a", **fields: Any) -> Hit:
    """Returns a hit of five seconds that had cost a cent."""
    values: dict[str, Any] = {
        "kind": "memory",
        "model": name,
        "model_id": f"simulated/{name}",
        "trace_id": "e" * 32,
        "age_s": 5.0,
        "saved_usd": Decimal("0.01"),
        "usage": Usage(input_tokens=100, output_tokens=50),
    }
    return Hit(**values | fields)


def look(caching: Caching = USE, **fields: Any) -> NeedLookup:
    """Returns the first state of a request over two models that uses the cache."""
    state = plan(given(model("a"), model("b"), caching=caching, **fields))
    assert isinstance(state, NeedLookup)
    return state


def replays(decision: Decision) -> bool:
    """Returns whether the logged decision is decided in the same way again."""
    catalog = {name: model(name) for name in ("a", "b")}
    record = decision_dict(decision)
    again = replay(record, catalog=catalog, policy=keep_all)
    return isinstance(again, Decision) and decision_dict(again) == record


def test_a_hit_that_counts_is_the_reply_and_costs_nothing() -> None:
    """Nobody is asked; the record says whose answer it is, how old, and what it saved."""
    state = look()
    end = state.next(hit(), 0.001)
    assert isinstance(end, Served)
    decision = end.decision
    assert (decision.model, decision.cache, decision.ending, decision.attempts) == ("a", "memory", "answer", ())
    assert (decision.cost_usd, decision.waste_usd, decision.saved_usd) == (Decimal(0), Decimal(0), Decimal("0.01"))
    assert decision.baseline_usd is not None
    assert decision.lookup == Lookup(ended_s=0.001, hit=hit())
    assert "5 s before" in decision.why
    assert replays(decision)


@pytest.mark.parametrize(
    ("found", "caching", "told"),
    [
        (hit("c"), USE, "c is not live"),
        (hit(model_id="other"), USE, "a is simulated/a now, not other"),
        (hit(age_s=61.0), replace(USE, max_age_s=60.0), "61 s old"),
        (hit(unusable="the answer is no JSON"), USE, "no JSON"),
    ],
)
def test_a_hit_that_does_not_count_is_passed_over(found: Hit, caching: Caching, told: str) -> None:
    """A model that is not live, an answer too old or of no use: a provider is asked, and the record says why."""
    state = look(caching)
    asked = state.next(found, 0.5)
    assert isinstance(asked, NeedCall)
    end = asked.next(attempt("a", started_s=0.5))
    assert isinstance(end, Done)
    lookup = end.decision.lookup
    assert lookup is not None
    assert lookup.refused is not None
    assert told in lookup.refused
    assert end.decision.cache == "none"
    assert end.decision.saved_usd == 0
    assert replays(end.decision)


def test_a_hit_as_old_as_allowed_counts() -> None:
    """`max_age_s` is the oldest age that is taken."""
    assert isinstance(look(replace(USE, max_age_s=5.0)).next(hit(age_s=5.0), 0.0), Served)


def test_a_miss_is_followed_by_the_first_candidate() -> None:
    """With nothing found the request goes on as it would without a cache."""
    state = look().next(None, 0.25)
    assert isinstance(state, NeedCall)
    assert state.candidate.model.name == "a"
    assert state.timeout_s == pytest.approx(Bounds().deadline_s - 0.25)
    end = state.next(attempt("a", started_s=0.25))
    assert isinstance(end, Done)
    assert end.decision.lookup == Lookup(ended_s=0.25)
    assert replays(end.decision)


@pytest.mark.parametrize("found", [None, hit("c")])
def test_who_wants_a_stored_answer_only_asks_nobody(found: Hit | None) -> None:
    """In the mode "only" a miss is an error of its own kind, and free."""
    end = look(Caching(mode="only")).next(found, 0.0)
    assert isinstance(end, Exhausted)
    assert end.ending == "not_cached"
    error = error_of(end)
    assert isinstance(error, NotCached)
    assert error.decision == end.decision
    assert replays(end.decision)
    assert end.decision.cost_usd == 0


def test_a_remembered_refusal_fails_at_once() -> None:
    """A request that was invalid a moment ago gets the provider's error without being sent."""
    failure = Failure(kind="invalid", message="no such field", status=400, code="bad")
    end = look().next(hit(failure=failure, usage=None, saved_usd=Decimal(0)), 0.0)
    assert isinstance(end, Exhausted)
    decision = end.decision
    assert (decision.cache, decision.saved_usd, decision.model) == ("memory", Decimal(0), None)
    error = error_of(end)
    assert isinstance(error, ProviderError)
    assert error.failure == failure
    assert "no such field" in str(error)
    assert replays(end.decision)


def test_a_look_that_took_the_whole_deadline_ends_the_request() -> None:
    """Who waited for another request until the deadline asks nobody any more."""
    end = look().next(None, Bounds().deadline_s)
    assert isinstance(end, Exhausted)
    assert isinstance(error_of(end), BoundsExceeded)
    assert replays(end.decision)


def test_giving_up_while_waiting_is_recorded() -> None:
    """A caller that cancels during the look leaves a record that replays."""
    end = look().abandon(0.5)
    assert (end.decision.ending, end.decision.why) == ("cancelled", "the caller gave up")
    assert end.decision.latency_s == 0.5
    assert replays(end.decision)


def test_a_stream_that_nobody_goes_on_with_ends_as_committed() -> None:
    """The caller saw a part of another request's answer, and what came then was something else."""
    waiting = look().part(0.5)
    assert waiting.decision.ending == "committed"
    assert replays(waiting.decision)
    error = error_of(waiting)
    assert isinstance(error, ProviderError)
    assert error.failure.kind == "cut"
    state = look().next(None, 0.5)
    assert isinstance(state, NeedCall)
    for outcome in ("cancelled", "answer"):
        made = attempt("a", outcome, started_s=0.5, committed=True, cost_usd=Decimal("0.1"))
        end = state.part(1.5, made)
        assert (end.decision.ending, end.decision.cost_usd) == ("committed", Decimal("0.1"))
        assert replays(end.decision)


def test_without_a_mode_that_looks_the_provider_is_asked_at_once() -> None:
    """Off and refresh do not look; only refresh stores."""
    for mode in get_args(CacheMode):
        state = plan(given(model("a"), caching=Caching(mode=mode)))
        assert isinstance(state, NeedLookup if mode in {"use", "only"} else NeedCall)
    assert Caching(mode="refresh").stores
    assert not Caching(mode="off").stores


def test_the_preview_tells_of_the_look() -> None:
    """What would be done begins with the cache."""
    assert "the cache would be asked, then a" in look().planned.why


@pytest.mark.parametrize(("takes", "kind"), [(True, NeedLookup), (False, Exhausted)])
def test_who_wants_a_stored_answer_only_gets_no_drawn_one_where_none_is_shared(takes: bool, kind: type) -> None:
    """With `sampled = false` and the mode "only", a request whose answer would be drawn finds nothing, and is free."""
    terms = Caching(mode="only", sampled=False).asked(None, {"temperature": 0 if takes else 1})
    assert (terms.mode, terms.takes, terms.looks) == ("only", takes, takes)
    end = plan(given(model("a"), model("b"), caching=terms))
    assert isinstance(end, kind)
    if isinstance(end, Exhausted):
        assert isinstance(error_of(end), NotCached)
        assert "sampled = false" in end.why
        assert end.decision.lookup is None
        assert replays(end.decision)


@over(
    hint=st.none()
    | st.builds(
        CacheHint,
        mode=st.none() | st.sampled_from(get_args(CacheMode)),
        ttl_s=st.none() | st.floats(1, 9),
        max_age_s=st.none() | st.floats(0, 9),
        sampled=st.none() | st.booleans(),
    ),
    temperature=st.none() | st.sampled_from([0, 0.0, 0.7, 1]),
    sampled=st.booleans(),
)
def test_a_hint_goes_before_the_policy(hint: CacheHint | None, temperature: float | None, sampled: bool) -> None:
    """What a request states is taken, what it leaves out stays; sampled answers are stored only where wanted."""
    params = {} if temperature is None else {"temperature": temperature}
    base = Caching(mode="use", ttl_s=100.0, max_age_s=50.0, sampled=sampled)
    terms = base.asked(hint, params)
    stated = hint or CacheHint()
    assert terms.ttl_s == (stated.ttl_s or 100.0)
    assert terms.max_age_s == (50.0 if stated.max_age_s is None else stated.max_age_s)
    wanted = sampled if stated.sampled is None else stated.sampled
    mode = stated.mode or "use"
    shared = wanted or temperature == 0
    assert terms.mode == (mode if shared or mode == "only" else "off")
    assert terms.looks == (shared and mode in {"use", "only"})
    assert terms.stores == (shared and mode in {"use", "refresh"})


@pytest.mark.parametrize("kind", get_args(CacheKind))
def test_what_an_entry_is_to_a_request(kind: CacheKind) -> None:
    """Its age is never below 0, whichever clock is ahead."""
    found = hit_of(replace(ENTRY, cost_usd=Decimal(2)), kind, 0.5, unusable="why")
    assert (found.kind, found.age_s, found.saved_usd, found.unusable) == (kind, 0.0, Decimal(2), "why")
    assert found.usage == answer("ok").usage
    failed = replace(ENTRY, answer=None, failure=Failure(kind="invalid", message="bad"))
    assert hit_of(failed, kind, 3.0).usage is None


def test_what_is_kept_of_an_answer() -> None:
    """Key, terms and cost of the request that paid, and no response headers."""
    start = given(model("a"), caching=replace(USE, ttl_s=7.0))
    look = plan(start)
    assert isinstance(look, NeedLookup)
    call = look.next(None, 0.0)
    assert isinstance(call, NeedCall)
    end = call.next(attempt("a", cost_usd=Decimal("0.5")))
    assert isinstance(end, Done)
    said = replace(answer("ok"), headers={"set-cookie": "x"})
    entry = answer_kept(end, said, 12.0)
    assert entry.answer == answer("ok")
    assert (entry.key, entry.model, entry.cost_usd, entry.stored_s, entry.ttl_s) == (
        "k" * 64,
        "a",
        Decimal("0.5"),
        12.0,
        7.0,
    )
    assert (entry.trace_id, entry.policy, entry.tenant) == (start.ids.trace_id, "default", None)


@pytest.mark.parametrize(
    ("outcome", "caching", "kept"),
    [
        ("invalid", replace(USE, invalid_ttl_s=3.0), True),
        ("invalid", USE, False),
        ("invalid", replace(NOT_CACHED, invalid_ttl_s=3.0), False),
        ("filtered", replace(USE, invalid_ttl_s=3.0), False),
    ],
)
def test_only_invalid_requests_are_remembered_and_only_where_wanted(outcome: str, caching: Caching, kept: bool) -> None:
    """No other failure is kept, and none without a time to live."""
    state = plan(given(model("a"), caching=caching))
    call = state.next(None, 0.0) if isinstance(state, NeedLookup) else state
    assert isinstance(call, NeedCall)
    end = call.next(attempt("a", outcome, error="bad", status=400, cost_usd=Decimal("0.5")))
    assert isinstance(end, Exhausted)
    entry = refusal_kept(end, 5.0)
    assert (entry is not None) == kept
    if entry is not None:
        assert (entry.failure, entry.answer, entry.ttl_s) == (
            Failure(kind="invalid", message="bad", status=400),
            None,
            3.0,
        )
        assert entry.cost_usd == Decimal("0.5")


def test_a_failure_in_the_midst_of_a_stream_is_not_remembered() -> None:
    """A provider that had begun to answer had taken the request: that it calls it `invalid` then is its own fault."""
    call = look(replace(USE, invalid_ttl_s=3.0)).next(None, 0.0)
    assert isinstance(call, NeedCall)
    end = call.next(attempt("a", "invalid", committed=True))
    assert isinstance(end, Exhausted)
    assert end.ending == "committed"
    assert refusal_kept(end, 5.0) is None


def test_a_request_that_failed_before_any_attempt_leaves_nothing() -> None:
    """There is nothing to remember of a request that nobody saw."""
    end = plan(given(caching=replace(USE, invalid_ttl_s=3.0)))
    assert isinstance(end, Exhausted)
    assert refusal_kept(end, NOON.timestamp()) is None


def test_a_plain_answer_is_nobodys_to_change() -> None:
    """Text and tool calls without fields of the provider's are shared as they are."""
    call = ToolCall(id="c", function=Function(name="f", arguments="{}"))
    for said in (answer("ok"), Answer(choices=(Choice(message=Message(tool_calls=(call,))),)), Answer(choices=())):
        assert own_copy(said) is said


NESTED = {"a": [{"b": 1}, None, "text"]}


@pytest.mark.parametrize(
    "choice",
    [
        Choice(message=Message(content="hi", extra=NESTED)),
        Choice(
            message=Message(tool_calls=(ToolCall(id="c", function=Function(name="f", arguments=""), extra=NESTED),))
        ),
        Choice(message=Message(content="hi"), logprobs=NESTED),
    ],
)
def test_callers_share_nothing_that_one_could_change(choice: Choice) -> None:
    """Provider fields of a message and of its calls, and logprobs, are copied to their depth, and equal."""
    original = Answer(choices=(Choice(message=Message(content="other")), choice), id="x")
    before = repr(_parts(original))
    copied = own_copy(original)
    assert copied == original
    for part in _parts(copied):
        for inner in part["a"][:1]:
            inner["b"] = "mine"
        part["a"].append("mine")
        part["c"] = "mine"
    assert repr(_parts(original)) == before
    assert copied != original


def _parts(said: Answer) -> list[Any]:
    """Returns what of an answer can be changed."""
    message = said.choices[1].message
    parts = (message.extra, *(call.extra for call in message.tool_calls or ()), said.choices[1].logprobs)
    return [part for part in parts if part]


def test_what_cannot_be_copied_is_shared() -> None:
    """What no JSON holds stays what it is, and nesting without end costs nobody an answer."""
    odd = object()
    assert (
        own_copy(Answer(choices=(Choice(message=Message(extra={"odd": odd})),))).choices[0].message.extra["odd"] is odd
    )
    endless: list[Any] = []
    endless.append(endless)
    said = Answer(choices=(Choice(message=Message(), logprobs=endless),))
    assert own_copy(said) is said


def test_an_answer_is_not_in_the_repr_of_a_record() -> None:
    """Neither entries nor hits show what was said."""
    secret = Answer(choices=answer("hush").choices)
    assert "hush" not in repr(replace(ENTRY, answer=secret))
    assert "hush" not in repr(hit_of(replace(ENTRY, answer=secret), "memory", 2.0))
