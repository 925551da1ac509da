"""What one attempt was: an answer, a failure or an unusable answer, and what it cost by which rule.

The rules, each named in the attempt's `price_rule`:

- an answer, usable or not, costs what its provider reports; where it reports nothing, an estimate;
- a failure before anything was sent, and a refusal, cost nothing;
- a fault, a time-out and a dropped connection are taken to be billed at their worst: input in full, output as far as
  it was streamed, else the most that it could be.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from router.core.answer import Answer, Usage
from router.core.budget import usd_of
from router.core.cost import cost_usd
from router.core.decision import Attempt, Billing
from router.core.failure import FOLLOW, Failure
from router.core.machine import NeedCall
from router.core.request import Request
from router.core.schema_check import SchemaCheck
from router.core.slate import Candidate
from router.core.tokens import estimate_tokens, tokens_at
from router.core.turn import Hedge
from router.core.usable import NamedCheck, unusable


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the shell saw of one attempt; times in seconds, rounded to microseconds as the record holds them.

    Attributes:
        started_s: from the request's arrival to the attempt's start.
        ended_s: from the request's arrival to its end.
        first_token_s: from the attempt's start to its first piece; None where nothing was streamed.
        streamed: text that was streamed before the attempt ended.
        committed: whether some of it had reached the caller.
        deployment, key_env, held: as the attempt's record has them.
        sent: False while the attempt waited for its turn, so that nothing can have been billed.
    """

    started_s: float
    ended_s: float
    first_token_s: float | None = None
    streamed: str = ""
    committed: bool = False
    deployment: str | None = None
    key_env: str | None = None
    held: str | None = None
    sent: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What an answer must pass to be of use.

    Attributes:
        on: names of the checks that are switched on; None is the default.
        named: all checks, the user's own among them; None is those that ship.
    """

    on: frozenset[str] | None = None
    named: tuple[NamedCheck, ...] | None = None


class _Priced(NamedTuple):
    cost_usd: Decimal | None
    billing: Billing
    rule: str


_SHIPPED = Checks()


def settle(
    call: NeedCall | Hedge,
    request: Request,
    result: Answer | Failure | None,
    seen: Seen,
    /,
    *,
    checks: Checks = _SHIPPED,
    schema: SchemaCheck | None = None,
) -> Attempt:
    """Returns the attempt that `call` asked for.

    Args:
        call: the state that asked for it, or its hedge.
        request: as it was sent.
        result: what the client returned; None when the caller gave up.
        seen: what the shell saw.
        checks: what an answer must pass.
        schema: the check for the JSON schema that the request asks for, where the caller keeps one.
    """
    if isinstance(result, Answer):
        failure = unusable(result, request, switches=checks.on, checks=checks.named, schema=schema)
        priced = _price_answer(call.candidate, result)
        usage, answer = result.usage, result
    else:
        failure, answer, usage = result, None, None
        priced = _price_failure(call.candidate, failure, seen)
    model = call.candidate.model
    return Attempt(
        model=model.name,
        model_id=model.id,
        provider=model.provider,
        window_tokens=model.context_window_tokens,
        served=answer.model if answer is not None else None,
        response_id=answer.id if answer is not None else None,
        span_id=call.span_id,
        started_s=seen.started_s,
        latency_s=round(seen.ended_s - seen.started_s, 6),
        first_token_s=seen.first_token_s,
        outcome="cancelled" if result is None else "answer" if failure is None else failure.kind,
        status=failure.status if failure is not None else 200 if answer is not None else None,
        code=failure.code if failure is not None else None,
        error=failure.message if failure is not None else None,
        retry_after_s=failure.retry_after_s if failure is not None else None,
        should_retry=failure.should_retry if failure is not None else None,
        committed=seen.committed,
        deployment=seen.deployment,
        key_env=seen.key_env,
        held=seen.held,
        hedge=isinstance(call, Hedge),
        finish_reason=answer.finish_reason if answer is not None else None,
        usage=usage,
        cost_usd=priced.cost_usd,
        billing=priced.billing,
        price_rule=priced.rule,
        worst_usd=call.candidate.worst_usd,
        reserved_usd=usd_of(call.claim.amount_nano) if call.claim is not None else None,
        share=call.claim.share if call.claim is not None else None,
    )


def _price_answer(candidate: Candidate, answer: Answer) -> _Priced:
    usage, price = answer.usage, candidate.model.price
    if usage is not None and usage.billed_usd is not None:
        return _Priced(usage.billed_usd, "billed", "as the provider says it billed")
    if price is None:
        return _Priced(None, "unknown", "the model has no price")
    if usage is not None:
        return _Priced(cost_usd(usage, price), "billed", "reported usage times price")
    written = sum(estimate_tokens(choice.message.written).likely for choice in answer.choices)
    return _Priced(_estimate(candidate, written), "estimated", "no usage was reported: tokens estimated from the text")


def _price_failure(candidate: Candidate, failure: Failure | None, seen: Seen) -> _Priced:
    billed = "worst" if failure is None else FOLLOW[failure.kind].billed
    free = not seen.sent or (failure is not None and (billed == "no" or not failure.sent))
    if free and not seen.streamed:
        return _Priced(Decimal(0), "billed", "nothing is billed for this")
    if billed == "maybe" and not seen.streamed:
        cost = _estimate(candidate, 0)
        return _Priced(cost, "unknown" if cost is None else "estimated", "input in full: the provider read it")
    if seen.streamed:
        streamed = estimate_tokens(seen.streamed).likely
        cost = _estimate(candidate, streamed)
        rule = f"input in full, output as far as it was streamed ({streamed} tokens)"
    else:
        cost = candidate.worst_usd
        rule = "worst case: input in full, output the most it could be"
    return _Priced(cost, "unknown" if cost is None else "estimated", rule)


def _estimate(candidate: Candidate, output_tokens: int) -> Decimal | None:
    price = candidate.model.price
    if price is None:
        return None
    input_tokens = tokens_at(candidate.features, candidate.model).likely
    cost = cost_usd(Usage(input_tokens=input_tokens, output_tokens=output_tokens), price)
    # Tokens that nobody counted may be estimated at more than there can be.
    return cost if cost is None or candidate.worst_usd is None else min(cost, candidate.worst_usd)
