"""Lower tiers while spending runs ahead of a budget's window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Annotated, Literal

from annotated_types import Gt, Le, MinLen

from router import Candidate, Catalog, Context, Purse, Slate, statics


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One tier that is given up.

    Attributes:
        ahead: from how far ahead of time spending must be, as a share of the limit: 0.1 is reached when 60 % is spent
            at half of the window.
        without: names of the models that are not asked then.
    """

    ahead: Annotated[float, Gt(0), Le(1)]
    without: Annotated[tuple[str, ...], MinLen(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Drops the dearer models, step by step, while more of a budget is spent than of its window is over.

    Where the window has no edges (rolling, total), what counts is the share that is spent. A step that was taken is
    given up only when spending has fallen 5 % of the limit below it, so that requests do not flutter between two
    tiers: `Purse.ahead_held` carries that, is part of what a policy knows of the request, and stands in its record.
    A step that would leave nobody is not taken, and requests to which the budget does not apply stay as they are.

    Example:
        ```toml
        [budgets.monthly]
        limit_usd = "500"
        window = "month"

        [policies.default]
        kind = "pace"
        budget = "monthly"
        steps = [
          { ahead = 0.05, without = ["large"] },
          { ahead = 0.2, without = ["medium"] },
        ]
        ```

    Attributes:
        budget: whose spending is looked at; where it counts each model or provider apart, the one furthest ahead.
        steps: what is given up, the first to go in front.
    """

    budget: str
    steps: Annotated[tuple[Step, ...], MinLen(1)]
    kind: Literal["pace"] = "pace"

    @property
    def promises(self) -> frozenset[str]:
        """What `router.testing.check_policy` holds it to: to drop only."""
        return frozenset({"filter"})

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        """Returns the slate without the tiers that are too dear for the pace of spending."""
        purses = [purse for purse in context.budgets if purse.budget.name == self.budget]
        if not purses:
            return slate
        purse = max(purses, key=lambda one: one.ahead_held)
        for step in self.steps:
            if purse.ahead_held < step.ahead or all(c.name in step.without for c in slate.live):
                continue
            slate = slate.drop(partial(_given_up, step, _told(purse, step)), by=self.kind)
        return slate

    def reads_stats(self) -> bool:
        """Returns False: what a model did before does not count here."""
        return False

    def reads_budgets(self) -> Iterable[str]:
        """Returns the budget whose spending it looks at."""
        return (self.budget,)

    def problems(self, catalog: Catalog, /) -> Iterator[str]:
        """Yields names of models that are not there or stand twice, and steps that do not ascend."""
        named = [
            (f"steps[{place}].without[{index}]", name)
            for place, step in enumerate(self.steps)
            for index, name in enumerate(step.without)
        ]
        yield from statics.misnamed(named, catalog)
        for place, (lower, higher) in enumerate(pairwise(self.steps), start=1):
            if higher.ahead <= lower.ahead:
                yield f"steps[{place}].ahead: found {higher.ahead:g} after {lower.ahead:g}; steps must ascend"

    def never_empties(self) -> bool:
        """Returns True: the last of the models that are left are never given up."""
        return True


def _given_up(step: Step, reason: str, candidate: Candidate) -> str | None:
    return reason if candidate.name in step.without else None


def _told(purse: Purse, step: Step) -> str:
    limit = purse.standing.limit_nano
    spent = f"{purse.standing.spent_nano / limit:.0%}" if limit else "all"
    held = "" if purse.ahead_held == purse.ahead else f" (taken for {purse.ahead_held:.1%})"
    ahead = f"{purse.ahead:.1%} ahead of time{held}"
    return f"{spent} of the budget {purse.budget.name!r} is spent, {ahead}; left out from {step.ahead:.1%} on"
