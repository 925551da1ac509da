"""Decides a logged request again: the same machine, fed with logged outcomes in place of providers.

With the catalog and the policy of the day it gives the same decision. With others it is a backtest of one request,
and where it comes to ask a model whose outcome the log does not have, it says so instead of guessing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, assert_never

from router.core.budget import Refused, Reserved
from router.core.budget_record import purses_from
from router.core.budgeting import SPENT
from router.core.catalog import Catalog, Model
from router.core.course import Given
from router.core.decision import Attempt, Decision, Ids
from router.core.machine import Done, Exhausted, NeedCall, NeedLookup, NeedReserve, NeedSleep, Served, State, plan
from router.core.policy import Policy
from router.core.record import (
    SCHEMA,
    attempt_from,
    bounds_from,
    caching_from,
    features_from,
    hedging_from,
    hints_from,
    hit_from,
    stats_from,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unobserved:
    """The replayed request would ask a model whose outcome is not in the log.

    Attributes:
        planned: the decision as it stood then, with the attempts that were replayed.
        model: the name of the model it would ask.
    """

    planned: Decision
    model: str


def replay(
    record: Mapping[str, Any], /, *, catalog: Catalog, policy: Policy, policies: Mapping[str, Policy] | None = None
) -> Decision | Unobserved:
    """Returns the decision that a logged request gets; its budgets stand as they stood then.

    Args:
        record: a decision's JSON, as `Decision.to_dict` writes it.
        catalog: the models and prices to decide by.
        policy: the policy to decide by.
        policies: those that a budget may put in its place, by name.

    Raises:
        ValueError: the record is of a schema that this version does not read, of a call that was made outside the
            router, or a budget's policy is not there.
        PolicyError: the policy broke its contract.
    """
    if record["schema"] != SCHEMA:
        raise ValueError(f"decision {record['trace_id']} has schema {record['schema']!r}; this version reads {SCHEMA}")
    if record["ending"] == "recorded":
        raise ValueError(
            f"decision {record['trace_id']} is of a call that the program made itself: nothing was decided"
        )
    given = given_from(record, catalog=catalog, policy=policy, policies=policies or {})
    for name in (purse.budget.policy for purse in given.budgets):
        if name is not None and name not in given.policies:
            raise ValueError(f"decision {record['trace_id']} has a budget whose policy {name!r} is not given")
    end = follow(plan(given), record)
    if isinstance(end, NeedCall):
        return Unobserved(planned=end.planned, model=end.candidate.model.name)
    return end.decision


def follow(
    state: State, record: Mapping[str, Any], /, *, reserve: Callable[[NeedReserve], Reserved | Refused] | None = None
) -> NeedCall | Done | Served | Exhausted:
    """Returns how a request ends that meets with the logged outcomes; or the call whose outcome the log does not have.

    A logged attempt is that of a model with the same id, whatever the model was called; one of the same name and
    another id is another model's. Records that do not have the id go by the name.

    Args:
        state: the first state of the request, as `plan` gives it.
        record: the decision's JSON.
        reserve: says whether there is money for an attempt; None goes by what the log says of that.
    """
    attempts = [a for a in record["attempts"] if reserve is None or a.get("held") != SPENT]
    while True:
        match state:
            case NeedLookup():
                state = _after_lookup(state, record)
            case NeedCall():
                if attempts and _has_both(attempts, state):
                    state = _after_call(state, attempts, record)
                elif not attempts and record["ending"] == "cancelled":
                    state = state.abandon(record["latency_s"])
                else:
                    return state
            case NeedReserve():
                state = _after_reserve(state, attempts) if reserve is None else state.next(reserve(state), state.turn_s)
            case NeedSleep():
                state = _after_sleep(state, attempts, record)
            case Done() | Served() | Exhausted():
                return state
            case _:
                assert_never(state)


def _has_both(attempts: list[Any], state: NeedCall) -> bool:
    """Returns whether the log goes on with the call, and with that of its hedge where one was made."""
    if not _meant(attempts[0], state.candidate.model):
        return False
    if len(attempts) < 2 or not attempts[1].get("hedge"):
        return True
    return state.hedge is not None and _meant(attempts[1], state.hedge.candidate.model)


def _meant(attempt: Mapping[str, Any], model: Model) -> bool:
    model_id = attempt.get("model_id")
    return bool(attempt["model"] == model.name if model_id is None else model_id == model.id)


def _after_lookup(state: NeedLookup, record: Mapping[str, Any]) -> State:
    looked = record.get("lookup")
    if looked is None and record["ending"] == "cancelled":
        return state.abandon(record["latency_s"])
    if looked is None and record["ending"] == "committed":
        return state.part(record["latency_s"])
    hit = hit_from(record)
    if hit is not None and not state.lives((hit.model, hit.model_id)):
        live = (c.model.name for c in state.course.slate.live if c.model.id == hit.model_id)
        hit = replace(hit, model=next(live, hit.model))
    return state.next(hit, looked["ended_s"] if looked is not None else state.course.given.started_s)


def _after_reserve(state: NeedReserve, attempts: list[Any]) -> State:
    """Returns what follows: the call, unless the log says that the money was gone when it came to that."""
    if attempts and attempts[0].get("held") == SPENT and _meant(attempts[0], state.call.candidate.model):
        return state.held(_named(attempt_from(attempts.pop(0)), state.call.candidate.model))
    return state.granted(state.course.given.started_s)


def _after_call(state: NeedCall, attempts: list[Any], record: Mapping[str, Any]) -> State:
    made = [_named(attempt_from(attempts.pop(0)), state.candidate.model)]
    if state.hedge is not None and attempts and attempts[0].get("hedge"):
        made.append(_named(attempt_from(attempts.pop(0)), state.hedge.candidate.model))
    if not attempts and record["ending"] == "committed" and not any(_broke(a) for a in made):
        return state.part(record["latency_s"], *made)
    # One of the two may have failed by itself before its caller gave up on the other.
    gave_up = not attempts and record["ending"] == "cancelled" and any(a.outcome == "cancelled" for a in made)
    return state.abandon(record["latency_s"], *made) if gave_up else state.next(*made)


def _named(attempt: Attempt, model: Model) -> Attempt:
    """Returns an attempt under the name that its model has now."""
    if attempt.model == model.name or attempt.model_id != model.id:
        return attempt
    return replace(attempt, model=model.name)


def _broke(attempt: Attempt) -> bool:
    """Returns whether a stream failed after a part of it had reached the caller."""
    return attempt.committed and attempt.outcome not in {"answer", "cancelled"}


def _after_sleep(state: NeedSleep, attempts: list[Any], record: Mapping[str, Any]) -> State:
    if attempts:
        return state.next(attempts[0]["started_s"])
    if record["ending"] == "cancelled":
        return state.abandon(record["latency_s"])
    return state.next(record["latency_s"])


def given_from(record: Mapping[str, Any], /, *, catalog: Catalog, policy: Policy, **instead: Any) -> Given:
    """Returns what went into a logged decision, with this catalog and policy.

    Args:
        record: a decision's JSON.
        catalog: the models and prices to decide by.
        policy: the policy to decide by.
        **instead: further fields of `Given` that are to be others than the logged ones.
    """
    logged: dict[str, Any] = {
        "ids": Ids(
            request_id=record["request_id"],
            trace_id=record["trace_id"],
            span_id=record["span_id"],
            parent_span_id=record.get("parent_span_id"),
        ),
        "key": record["key"],
        "features": features_from(record["features"]),
        "hints": hints_from(record),
        "policy_name": record["policy"],
        "bounds": instead.get("bounds") or bounds_from(record["bounds"]),
        "now": datetime.fromisoformat(record["time"]),
        "draw": record["draw"],
        "stats": stats_from(record),
        "expected_output_tokens": record["expected_output_tokens"],
        "started_s": record.get("started_s", 0.0),
        "unpriced": record.get("unpriced", False),
        "prefer_wait_s": record.get("prefer_wait_s", 0.0),
        "hedging": hedging_from(record),
        "caching": caching_from(record),
        "key_without": tuple(record.get("key_without", ())),
        "budgets": purses_from(record),
    }
    return Given(catalog=catalog, policy=policy, **logged | instead)
