"""Budgets and one request: which apply, what of its slate still fits, and what is to be reserved for an attempt.

What happens to a request whose first choice does not fit is said by the tightest budget that it does not fit, the one
with the least left:

- `block`: nobody is asked, whoever else would fit;
- `cheapest`: of the candidates that fit all budgets, the cheapest is asked first;
- `policy`: another policy decides, once, among all models that can serve the request; its choice must fit as well;
- `alert`: holds nothing back, and counts.

Whatever decided, candidates that do not fit fall, so that no fallback is asked that the money does not reach for. One
that can cost anything, as its price or its largest output is unknown, fits no budget; one that costs nothing fits all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, assert_never
from zoneinfo import ZoneInfo

from router.core.budget import MOST_NANO, Account, Budget, Claim, Entry, Standing, nano_of, usd_of
from router.core.catalog import Model
from router.core.money import usd
from router.core.quick import quick
from router.core.request import Hints
from router.core.slate import Candidate, Dropped, Slate

if TYPE_CHECKING:
    from router.core.course import Given

SPENT: Final = "budget_spent"
"""What stands as `held` in the attempt of a candidate whose turn came when the money was gone."""

LAPSE_S: Final = 5.0
"""How long after its request's deadline a reservation is taken for its dead owner's; clients overrun by less."""

PLAY: Final = 0.05
"""How far `ahead` must fall before `ahead_held` follows it down, as a share of the limit."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """A budget that applies to a request, and how its account stood when the request was decided.

    Attributes:
        ahead: by how much spending is ahead of time, as a share of the limit: the share spent less the share of the
            window that is over. Of a window without edges (rolling, total) the share spent.
        ahead_held: the same with play: it follows `ahead` up at once, and down only when that is `PLAY` below it, so
            that what is decided by it does not flutter.
    """

    budget: Budget
    account: Account
    standing: Standing
    ahead: float = 0.0
    ahead_held: float = 0.0

    @property
    def strict(self) -> bool:
        """Whether the limit holds anything back."""
        return self.budget.on_exceed != "alert"

    @property
    def left_usd(self) -> Decimal:
        """What may still be reserved."""
        return usd_of(self.standing.left_nano)

    def pays_for(self, model: Model, /) -> bool:
        """Returns whether attempts at a model count in it."""
        match self.budget.scope.kind:
            case "model":
                return self.account.value == model.name
            case "provider":
                return self.account.value == model.provider
            case _:
                return True

    def fits(self, candidate: Candidate, /) -> bool:
        """Returns whether an attempt at a candidate is sure not to cross the limit."""
        if not self.strict or not self.pays_for(candidate.model):
            return True
        worst = candidate.worst_usd
        return worst is not None and nano_of(worst) <= self.standing.left_nano

    def lacks(self, candidate: Candidate, /) -> str:
        """Returns why a candidate does not fit, with the amounts."""
        worst = candidate.worst_usd
        most = f"${usd(worst)}" if worst is not None else "anything: its price or its largest output is unknown"
        whose = f" for {self.account.value!r}" if self.account.value else ""
        limit = usd(usd_of(self.standing.limit_nano))
        return f"can cost {most}, ${usd(self.left_usd)} of ${limit} left{whose}{_until(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Afforded:
    """What budgets leave of a slate.

    Attributes:
        slate: with what does not fit dropped.
        free: candidates that would have been live without budgets: a stored answer of theirs costs nothing.
        policy: name of the policy that decided in place of the request's own; None where none did.
        budget: name of the budget because of which nobody is live; None where somebody is.
    """

    slate: Slate
    free: tuple[Candidate, ...]
    policy: str | None = None
    budget: str | None = None


def afforded(
    slate: Slate, purses: tuple[Purse, ...], switch: Callable[[str], Slate], /, *, switched: str | None = None
) -> Afforded:
    """Returns what budgets leave of the slate that a policy left.

    Args:
        slate: with at least one live candidate.
        purses: the budgets that apply.
        switch: returns the slate as the policy of this name leaves it.
        switched: the policy that decides in place of the request's own already.
    """
    free = slate.live
    tight = _tightest(purses, slate.live[0])
    if tight is not None and tight.budget.on_exceed == "policy" and switched is None:
        switched = tight.budget.policy or ""
        slate = switch(switched)
        if not slate.live:
            return Afforded(slate=slate, free=free, policy=switched, budget=tight.budget.name)
        free = (*free, *slate.live)
        tight = _tightest(purses, slate.live[0])
    if tight is not None and tight.budget.on_exceed == "block":
        first = slate.live[0]
        why = f"{first.name}, which comes first, {tight.lacks(first)}"
        left = slate.drop(lambda c: tight.lacks(c) if not tight.fits(c) else why, by=_by(tight))
    else:
        left = _fitting(slate, purses)
        if tight is not None and tight.budget.on_exceed == "cheapest":
            left = left.rank(_by_cost)
    nobody = None if left.live or tight is None else tight.budget.name
    return Afforded(slate=left, free=free, policy=switched, budget=nobody)


def claim_of(given: Given, candidate: Candidate, span_id: str, /) -> Claim | None:
    """Returns what is to be reserved before an attempt; None where no budget applies to it."""
    if not given.budgets:
        return None
    entries = tuple([_entry(purse) for purse in given.budgets if purse.pays_for(candidate.model)])
    if not entries:
        return None
    arrived_s = given.now.timestamp()
    return Claim(
        id=span_id,
        entries=entries,
        # Where nobody knows the worst case, only budgets that hold nothing back are left: they count the true cost.
        amount_nano=0 if candidate.worst_usd is None else min(MOST_NANO, nano_of(candidate.worst_usd)),
        now_s=arrived_s,
        lapses_s=lapsing_s(arrived_s, given.bounds.deadline_s),
    )


def lapsing_s(arrived_s: float, deadline_s: float, /) -> float:
    """Returns when the reservations of a request lapse, in seconds since 1970; the log and the ledger must agree."""
    return arrived_s + deadline_s + LAPSE_S


def value_of(
    budget: Budget, hints: Hints, policy: str | None, /, *, model: str | None = None, provider: str | None = None
) -> str | None:
    """Returns for which value of a budget's scope a request counts; None where it does not count at all.

    A request without a tenant, or without the tag, counts for the value "": nobody leaves a budget by leaving it out.

    Args:
        budget: whose.
        hints: of the request.
        policy: that it used.
        model, provider: that it asks; a budget per model or provider does not count without one.
    """
    scope = budget.scope
    match scope.kind:
        case "all":
            value: str | None = ""
        case "tenant":
            value = hints.tenant or ""
        case "tag":
            value = hints.tags.get(scope.tag or "", "")
        case "policy":
            value = policy or ""
        case "model":
            value = model
        case "provider":
            value = provider
        case never:
            assert_never(never)
    return value if scope.value is None or scope.value == value else None


def ahead_of(account: Account, standing: Standing, now_s: float, /) -> float:
    """Returns by how much spending is ahead of time; see `Purse`."""
    spent = 1.0 if standing.limit_nano == 0 else standing.spent_nano / standing.limit_nano
    if account.start_s is None or account.end_s is None:
        return round(spent, 6)
    over = (now_s - account.start_s) / (account.end_s - account.start_s)
    return round(spent - min(1.0, max(0.0, over)), 6)


def held_ahead(before: float | None, ahead: float, /) -> float:
    """Returns `ahead` with play, from what it was before; None where nothing was.

    This is the play operator (M. A. Krasnosel'skii, A. V. Pokrovskii, "Systems with Hysteresis", 1989).
    """
    return ahead if before is None else round(min(max(before, ahead), ahead + PLAY), 6)


def _entry(purse: Purse) -> Entry:
    budget = purse.budget
    share = int(budget.limit_nano * budget.open_share) if budget.fail == "open" else None
    return Entry(
        account=purse.account,
        limit_nano=budget.limit_nano,
        strict=purse.strict,
        open_nano=share if purse.strict else None,
    )


def entries_of(purses: tuple[Purse, ...], /) -> tuple[Entry, ...]:
    """Returns the entries of all of them, in order."""
    return tuple(map(_entry, purses))


def _tightest(purses: tuple[Purse, ...], candidate: Candidate) -> Purse | None:
    """Returns the budget with the least left of those that a candidate does not fit; of several, the first."""
    short = [purse for purse in purses if not purse.fits(candidate)]
    return min(short, key=lambda purse: purse.standing.left_nano) if short else None


def _fitting(slate: Slate, purses: tuple[Purse, ...]) -> Slate:
    judged = [(candidate, _tightest(purses, candidate)) for candidate in slate.live]
    fallen = [Dropped(c, _by(purse), purse.lacks(c)) for c, purse in judged if purse is not None]
    if not fallen:
        return slate
    return Slate(tuple([c for c, purse in judged if purse is None]), (*slate.dropped, *fallen))


def _by(purse: Purse) -> str:
    return f"budget {purse.budget.name}"


def _by_cost(candidate: Candidate) -> tuple[bool, Decimal]:
    expected = candidate.expected_usd
    return expected is None, expected or Decimal(0)


def _until(purse: Purse) -> str:
    """Returns until when what is left must last, in words."""
    account = purse.account
    if account.rolling_s is not None:
        return f" of the last {account.rolling_s / 3_600:g} h"
    if account.end_s is None:
        return ""
    end = datetime.fromtimestamp(account.end_s, UTC).astimezone(ZoneInfo(purse.budget.window.time_zone))
    midnight = end.hour == end.minute == end.second == 0
    return f" until {end.date() if midnight else end.isoformat(' ', 'minutes')}"
