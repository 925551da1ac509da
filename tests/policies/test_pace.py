from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from policies.pace import Pace, Step
from router import Account, Budget, Purse, Slate, Standing, Window, statics
from router.testing import check_policy
from tests.policies.strategies import context, live, model, reasons, slate

CATALOG = {name: model(name) for name in ("large", "medium", "small")}
PACE = Pace(budget="month", steps=(Step(ahead=0.05, without=("large",)), Step(ahead=0.2, without=("medium",))))
EVERYONE = slate(*CATALOG.values())


def purse(ahead: float, held: float | None = None, *, name: str = "month", limit: int = 100) -> Purse:
    """Returns a purse of which so much more is spent than of its window is over, which is half of it."""
    return Purse(
        budget=Budget(name=name, limit_nano=limit, window=Window(period="month")),
        account=Account(budget=name, value="", start_s=0, end_s=100),
        standing=Standing(limit_nano=limit, spent_nano=int(limit * (0.5 + ahead))),
        ahead=ahead,
        ahead_held=ahead if held is None else held,
    )


def after(*purses: Purse, pace: Pace = PACE, of: Slate = EVERYONE) -> Slate:
    """Returns what the policy leaves of a slate."""
    return pace(of, context(budgets=purses))


def test_it_does_what_policies_do() -> None:
    """It is pure, drops only, and never leaves nobody; whatever the budgets, the slate and the context."""
    check_policy(Pace)


def test_tiers_are_given_up_one_after_the_other() -> None:
    """At each step one more, with the figures as the reason; on pace nobody falls."""
    assert live(after(purse(0.0))) == ["large", "medium", "small"]
    assert live(after(purse(0.05))) == ["medium", "small"]
    gone = after(purse(0.25))
    assert live(gone) == ["small"]
    assert reasons(gone) == {
        "large": "75% of the budget 'month' is spent, 25.0% ahead of time; left out from 5.0% on",
        "medium": "75% of the budget 'month' is spent, 25.0% ahead of time; left out from 20.0% on",
    }


def test_a_step_is_held_while_spending_falls_back_a_little() -> None:
    """What decides is the figure with play, and the reason has both."""
    gone = after(purse(0.16, 0.2))
    assert live(gone) == ["small"]
    assert reasons(gone)["medium"] == (
        "66% of the budget 'month' is spent, 16.0% ahead of time (taken for 20.0%); left out from 20.0% on"
    )


def test_nobody_is_left_alone() -> None:
    """A step that would leave nobody is not taken, and neither are those of other budgets."""
    only = slate(CATALOG["large"])
    assert live(after(purse(1.0), of=only)) == ["large"]
    two = slate(CATALOG["large"], CATALOG["medium"])
    assert live(after(purse(1.0), of=two)) == ["medium"]
    assert after(purse(1.0, name="day")) is EVERYONE
    assert after() is EVERYONE


def test_of_several_accounts_the_one_furthest_ahead_counts() -> None:
    """As where a budget counts each model apart."""
    assert live(after(purse(0.0), purse(0.1), purse(-0.5))) == ["medium", "small"]


def test_a_budget_of_nothing_is_all_spent() -> None:
    """Its share has no number."""
    assert reasons(after(purse(0.5, limit=0)))["large"].startswith("all of the budget 'month' is spent")


@given(st.floats(min_value=-1, max_value=2), st.floats(min_value=0, max_value=0.3))
def test_the_further_ahead_the_fewer_are_left(ahead: float, more: float) -> None:
    """Whoever is live further ahead is live before."""
    assert set(live(after(purse(ahead + more)))) <= set(live(after(purse(ahead))))


def test_what_makes_no_sense_is_a_problem() -> None:
    """Names of models that are not there or stand twice, and steps that do not ascend."""
    wrong = replace(PACE, steps=(Step(ahead=0.2, without=("large", "mediun")), Step(ahead=0.2, without=("large",))))
    assert statics.problems(wrong, CATALOG) == (
        "steps[0].without[1]: no model is named 'mediun'; allowed: large, medium, small (did you mean 'medium'?)",
        "steps[1].without[0]: 'large' stands in steps[0].without[0] already; name it once",
        "steps[1].ahead: found 0.2 after 0.2; steps must ascend",
    )
    assert statics.problems(PACE, CATALOG) == ()
    assert statics.reads_budgets(PACE) == {"month"}
    assert statics.never_empties(PACE)
    assert not statics.reads_stats(PACE)
