"""The invariants as plain callables: what each refuses, what it lets pass, and how it says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given, settings

from policies.chain import Chain
from policies.cheapest import Cheapest
from policies.max_cost import MaxCost
from policies.min_quality import MinQuality
from policies.prefer import Prefer, Selector
from policies.requires import Requires
from policies.token_tiers import Tier, TokenTiers
from router import Context, Dropped, ModelStats, Policy, Slate
from router.testing import invariants
from router.testing.invariants import Counterexample, invariants_of, known_promises, promises_of
from router.testing.invariants_shown import difference, outcome_of
from router.testing.invariants_smaller import smaller_situations
from router.testing.invariants_tiers import Rung, tiers_of
from router.testing.strategies import situations
from router.testing.strategies_slates import unable
from tests.policies.strategies import context, model, slate

ABC = slate(model("a", quality=0.5), model("b", quality=0.9), model("c", usd_per_mtok=None))
HERE = context()


def keep(slate: Slate, context: Context, /) -> Slate:
    """The policy that leaves everything as it is."""
    return slate


def broken(rule: str, policy: Any, slate: Slate = ABC, context: Context = HERE) -> str:
    """Returns what an invariant says of a policy that breaks it."""
    with pytest.raises(Counterexample) as caught:
        getattr(invariants, rule)(policy, slate, context)
    assert caught.value.rule == rule
    return caught.value.says


EVERY = tuple(dict.fromkeys((*invariants.ALWAYS, *(rule for rules in invariants.PROMISED.values() for rule in rules))))


@pytest.mark.parametrize("rule", invariants.ALWAYS, ids=lambda rule: rule.__name__)
def test_a_policy_that_does_nothing_breaks_nothing(rule: invariants.Invariant) -> None:
    """What must hold of every policy holds of this one, on a slate and on none."""
    rule(keep, ABC, HERE)
    rule(keep, Slate(()), HERE)


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.__name__)
def test_each_invariant_says_what_it_is(rule: invariants.Invariant) -> None:
    """It is public under its own name, and its first line says what holds."""
    assert getattr(invariants, rule.__name__) is rule
    assert rule.__name__ in invariants.__all__
    assert (rule.__doc__ or "").splitlines()[0].endswith((".", ":"))


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.__name__)
def test_each_invariant_reports_an_exception_as_one(rule: invariants.Invariant) -> None:
    """Whichever invariant calls the policy, an exception is told as what it is, with its cause."""

    def fails(slate: Slate, context: Context, /) -> Slate:
        raise RuntimeError("out of ideas")

    tiers = (("a",), ("b",))
    setattr(fails, "tiers", tiers)  # noqa: B010 - functions are not typed as having attributes
    setattr(fails, "token_limits", lambda: (500,))  # noqa: B010 - the same
    with pytest.raises(Counterexample, match="it raised RuntimeError") as caught:
        rule(fails, ABC, HERE)
    assert caught.value.rule == "never_raises"
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_the_message_is_code_that_repeats_the_case() -> None:
    """It begins with the rule and what happened; the code below it imports all it needs."""

    def loses(slate: Slate, context: Context, /) -> Slate:
        return Slate(slate.live[1:], slate.dropped)

    with pytest.raises(Counterexample) as caught:
        invariants.keeps_all_candidates(loses, ABC, HERE)
    message = str(caught.value)
    assert message.startswith("keeps_all_candidates: 'a' is lost: it is neither live nor dropped\n\n    from datetime")
    assert message.endswith("\n    keeps_all_candidates(policy, slate, context)")
    assert "from router.testing.invariants import keeps_all_candidates" in message


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (None, "None, which is no Slate"),
        ([1], "[1], which is no Slate"),
        (Slate([]), "a Slate whose live is a list, not a tuple"),  # type: ignore[arg-type]  # the fault
        (Slate((), []), "a Slate whose dropped is a list, not a tuple"),  # type: ignore[arg-type]  # the fault
        (Slate(("a",)), "a Slate with 'a' among its live, which is no Candidate"),  # type: ignore[arg-type]  # the fault
        (Slate((), (ABC.live[0],)), "among its dropped, which is no Dropped"),  # type: ignore[arg-type]  # the fault
    ],
)
def test_what_is_no_slate_is_said(result: Any, says: str) -> None:
    """The type, or what is in it that should not be."""
    assert says in broken("returns_a_slate", lambda *_: result)


def test_exceptions_of_rare_slates_are_found() -> None:
    """An empty slate, nobody live, one candidate, no tags and statistics: each is tried, whatever is given."""
    assert "min()" in broken("never_raises", lambda s, _: s if min(map(id, s.live)) else Slate(()))
    needs_a_tag: Policy = lambda s, c: s if c.tags["team"] else Slate(())  # noqa: E731 - brief
    assert "KeyError" in broken("never_raises", needs_a_tag, context=replace(HERE, tags={"team": "x"}))


def gone(*names: str, by: str = "request") -> Slate:
    """Returns the slate of three with these dropped."""
    return ABC.drop(lambda c: "too small" if c.name in names else None, by=by)


def test_a_dropped_candidate_stays_dropped() -> None:
    """Being live again, and another record of it, are both refused; being left out is the business of another rule."""
    before = gone("b")
    revived = Slate((*before.live, before.dropped[0].candidate))
    assert broken("leaves_the_dropped_dropped", lambda *_: revived, before) == (
        "'b' is live again, which 'request' had dropped: too small"
    )
    renamed = Slate(before.live, (Dropped(before.dropped[0].candidate, "me", "why not"),))
    assert "('me', 'why not'), which was ('request', 'too small')" in broken(
        "leaves_the_dropped_dropped", lambda *_: renamed, before
    )
    forgetful = Slate(before.live)
    invariants.leaves_the_dropped_dropped(lambda *_: forgetful, before, HERE)
    assert "'b' is lost" in broken("keeps_all_candidates", lambda *_: forgetful, before)


def test_who_drops_says_who_and_why() -> None:
    """The policy's own kind, or that of one inside it; a policy without a kind may give any name but the request's."""
    dropping: Callable[[str, Any], Policy] = lambda by, why: lambda s, _: s.drop(lambda c: why, by=by)  # noqa: E731 - brief
    invariants.says_who_and_why(dropping("anybody", "why not"), ABC, HERE)
    assert "without a reason: ' '" in broken("says_who_and_why", dropping("me", " "))
    assert "by nobody: ''" in broken("says_who_and_why", dropping("", "x"))
    assert "by 'request'" in broken("says_who_and_why", dropping("request", "x"))
    chain = Chain(policies=(MinQuality(quality=1.0),))
    invariants.says_who_and_why(chain, ABC, HERE)
    invariants.says_who_and_why(Chain(policies=(chain, dropping("anybody", "x"))), ABC, HERE)

    @dataclass(frozen=True)
    class Named:
        kind: Literal["named"] = "named"

        def __call__(self, slate: Slate, context: Context, /) -> Slate:
            return slate.drop(lambda _: "x", by="other")

    assert "of this policy only named could" in broken("says_who_and_why", Named())
    before = gone("a", "b", "c", by="")  # what others did is not this policy's fault
    invariants.says_who_and_why(keep, before, HERE)


def test_differences_are_told_in_words() -> None:
    """Who is live, what was dropped otherwise, or how many."""
    one = gone("a")
    assert difference(outcome_of(ABC), outcome_of(one)) == "'a', 'b', 'c' live, then 'b', 'c' live".removesuffix(
        " live"
    )
    other = gone("a", by="other")
    assert difference(outcome_of(one), outcome_of(other)) == (
        "dropped 'a / request / too small', then 'a / other / too small'"
    )
    assert difference(outcome_of(Slate((), one.dropped)), outcome_of(Slate(()))) == "1 dropped, then 0"
    assert difference(outcome_of(one), outcome_of(Slate(()))) == "'b', 'c' live, then nobody"


@dataclass(frozen=True, kw_only=True)
class Says:
    """A policy that keeps some models, and says of itself what a test wants."""

    keeps: tuple[str, ...] = ("a", "b")
    may: tuple[str, ...] | None = None
    always: bool = False
    limits: tuple[int, ...] = ()
    totals: tuple[int, ...] = ()
    wanted: tuple[str, ...] = ()
    why: Callable[[Context], bool] = lambda _: True

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.drop(lambda c: None if c.name in self.keeps and self.why(context) else "no", by="says")

    def may_leave(self, catalog: Iterable[str], /) -> Iterable[str]:
        """Returns what it is told to."""
        return catalog if self.may is None else self.may

    def never_empties(self) -> bool:
        """Returns what it is told to."""
        return self.always

    def token_limits(self) -> Iterable[int]:
        """Returns what it is told to."""
        return self.limits

    def total_token_limits(self) -> Iterable[int]:
        """Returns what it is told to."""
        return self.totals

    def patterns(self) -> Iterator[str]:
        """Yields what it is told to."""
        yield from self.wanted


@dataclass(frozen=True)
class ReadsStats:
    """A policy that keeps what was tried, and says whether it looks at that."""

    says: bool

    def reads_stats(self) -> bool:
        """Returns what it is told to."""
        return self.says

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.drop(lambda c: None if c.name in context.stats else "untried", by="reads_stats")


def test_what_a_policy_says_of_itself_is_held_against_it() -> None:
    """Which models it may leave, whether it empties slates, reads statistics or other policies' patterns."""
    assert "may_leave() names 'a', and 'b' is live" in broken("leaves_what_it_may", Says(may=("a",)))
    invariants.leaves_what_it_may(Says(may=("a", "b", "z")), ABC, HERE)
    assert "of 'a', 'b', 'c' nobody is live" in broken("never_empties_as_said", Says(keeps=(), always=True))
    invariants.never_empties_as_said(Says(keeps=(), always=True), Slate(()), HERE)
    invariants.never_empties_as_said(Says(keeps=()), ABC, HERE)
    tried = replace(HERE, stats={"a": ModelStats()})
    says = broken("reads_stats_as_said", ReadsStats(False), context=tried)
    assert "without statistics the answer is another one" in says
    invariants.reads_stats_as_said(ReadsStats(True), ABC, tried)
    invariants.reads_stats_as_said(ReadsStats(False), ABC, HERE)
    matching = replace(HERE, features=replace(HERE.features, matches=frozenset({"x", "y"})))
    looks = Says(why=lambda c: "x" in c.features.matches)
    assert "patterns() names 'y'" in broken("declares_its_patterns", replace(looks, wanted=("y",)), context=matching)
    assert "patterns() names nobody" in broken("declares_its_patterns", Says(why=lambda c: not c.features.matches))
    invariants.declares_its_patterns(replace(looks, wanted=("x",)), ABC, matching)


def test_limits_are_where_they_are_declared() -> None:
    """A limit is inclusive; of input alone or with the output; between two limits nothing changes."""
    up_to: Callable[[int], Callable[[Context], bool]] = lambda n: lambda c: c.features.measured_tokens <= n  # noqa: E731 - brief
    invariants.declares_its_limits(Says(limits=(500,), why=up_to(500)), ABC, HERE)
    says = broken("declares_its_limits", Says(limits=(500,), why=up_to(499)))
    assert says.startswith("0 tokens leave 'a', 'b' and 500 leave nobody, though it declares no limit from 0 to 499")
    says = broken("declares_its_limits", Says(limits=(500,), why=up_to(501)))
    assert "501 tokens leave" in says
    inside = broken(
        "declares_its_limits",
        Says(limits=(500,), why=lambda c: c.features.measured_tokens != 100),
        context=context(100),
    )
    assert "100 leave nobody" in inside
    total: Callable[[Context], bool] = lambda c: c.features.measured_tokens + 50 <= 500  # noqa: E731 - brief
    invariants.declares_its_limits(Says(totals=(500,), why=total), ABC, HERE)
    open_end = replace(HERE, features=replace(HERE.features, output_tokens_most=None))
    invariants.declares_its_limits(Says(totals=(500,), why=total), ABC, open_end)
    broken("declares_its_limits", Says(limits=(500,), why=total))
    invariants.declares_its_limits(lambda s, c: s if up_to(9)(c) else Slate((), s.dropped), ABC, HERE)


def test_filters_keep_the_order() -> None:
    """And drop nothing more the second time."""
    backwards: Policy = lambda s, _: Slate(s.live[::-1], s.dropped)  # noqa: E731 - brief
    assert "of 'a', 'b', 'c' it made 'c', 'b', 'a'" in broken("only_drops", backwards)
    invariants.only_drops(MinQuality(quality=0.6), ABC, HERE)
    first: Policy = lambda s, _: s.drop(lambda c: "first" if c is s.live[0] else None, by="x")  # noqa: E731 - brief
    assert "'b', 'c' live, then 'c'" in broken("drops_no_more_the_second_time", first)


def test_rankers_only_rank() -> None:
    """They drop nobody, whatever order they are given, and look at names last."""
    for rule in invariants.PROMISED["ranker"]:
        rule(Cheapest(), ABC, HERE)
    assert broken("drops_nobody", MinQuality(quality=0.6)) == "a ranker dropped 'a', 'c'"
    assert "given 'a', 'b', 'c' it ranks 'a', 'b', 'c'; given 'c', 'b', 'a', 'c', 'b', 'a'" in broken(
        "ignores_the_order", keep
    )
    backwards: Policy = lambda s, _: Slate(tuple(sorted(s.live, key=lambda c: c.name, reverse=True)))  # noqa: E731 - brief
    assert "with 'a' there twice, as 'tie 2', 'tie 1', it ranks 'tie 2', 'tie 1'" in broken(
        "breaks_ties_by_name", backwards
    )
    with pytest.raises(Counterexample) as caught:
        invariants.breaks_ties_by_name(keep, ABC, HERE)
    assert caught.value.rule == "ignores_the_order"
    by_stats: Policy = lambda s, c: s.rank(lambda o: c.stats[o.name].failures if o.name in c.stats else 0)  # noqa: E731 - brief
    invariants.breaks_ties_by_name(by_stats, ABC, replace(HERE, stats={"a": ModelStats(failures=1)}))


def test_the_cheapest_is_in_front() -> None:
    """By its expected cost; a price nobody knows is behind every other."""
    dear_first = slate(model("a", usd_per_mtok="2"), model("b", usd_per_mtok="1"))
    says = broken("chooses_the_cheapest", keep, dear_first)
    assert says.startswith("'a' is in front for $0.0003")
    assert "'b' behind it for $0.00015" in says
    unknown_first = slate(model("a", usd_per_mtok=None), model("b"))
    assert broken("chooses_the_cheapest", keep, unknown_first) == (
        "'a' is in front, whose price nobody knows, before 'b'"
    )
    invariants.chooses_the_cheapest(Cheapest(), ABC, HERE)
    invariants.chooses_the_cheapest(Chain(policies=(MinQuality(quality=0.9), Cheapest())), ABC, HERE)


def test_unknown_is_not_free() -> None:
    """Ranked or kept as if it were free, where a dear one would not be, it was taken for free."""
    as_free: Policy = lambda s, _: s.rank(lambda c: c.expected_usd or Decimal(0))  # noqa: E731 - brief
    assert broken("counts_unknown_as_unknown", as_free) == (
        "'c', whose price nobody knows, is number 1, as if it were free; if dear, it is number 3"
    )
    keeping = MaxCost(limit_usd=Decimal(1), unknown="keep")
    assert "is number 3, as if it were free; if dear, it is dropped" in broken("counts_unknown_as_unknown", keeping)
    for policy in (Cheapest(), MaxCost(limit_usd=Decimal(1)), keep, MinQuality(quality=0.0)):
        invariants.counts_unknown_as_unknown(policy, ABC, HERE)


def test_more_quality_asked_gives_no_less() -> None:
    """Of the request or of the policy, whose option may be called by either name."""
    rule = invariants.gives_no_less_when_more_is_asked
    three = slate(*(model(name, quality=quality) for name, quality in (("a", 0.1), ("b", 0.5), ("c", 0.9))))
    few: Policy = lambda s, _: s.rank(lambda c: (c.model.quality or 0) * (1 if len(s) < 3 else -1))  # noqa: E731 - brief
    says = broken(rule.__name__, few, three)
    assert says == "in front is a quality of 0.9; where the request asks for 0.5, one of 0.5"

    @dataclass(frozen=True)
    class Inverted:
        min_quality: float = 0.3

        def __call__(self, slate: Slate, context: Context, /) -> Slate:
            return slate.drop(lambda c: "good" if (c.model.quality or 0) > self.min_quality else None, by="x")

    assert broken(rule.__name__, Inverted(), three) == (
        "asked for a quality of 0.5 instead, it keeps 'b', which it drops now"
    )
    rule(MinQuality(quality=0.3), three, HERE)
    rule(keep, three, HERE)


TIERED = TokenTiers(tiers=(Tier(up_to_tokens=500, models=("a",)), Tier(models=("b",))))


@dataclass(frozen=True, kw_only=True)
class Steps:
    """A policy with tiers that chooses as a test wants."""

    choose: Callable[[int], str]
    tiers: Any = (Rung(("a",), 500), Rung(("b",)))

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.pick((self.choose(context.features.measured_tokens),), by="steps", reason="another tier")


def test_longer_prompts_go_no_lower() -> None:
    """Where all models are live, the tiers are climbed only upwards, and their limits are kept."""
    climbs, keeps = invariants.PROMISED["tiers"]
    for policy in (
        TIERED,
        TokenTiers(tiers=(Tier(up_to_tokens=9, models=("a", "b")), Tier(up_to_tokens=90, models=("b",)))),
        TokenTiers(tiers=(Tier(up_to_tokens=500, models=("z",)),), fallback=("a",)),
        TokenTiers(tiers=(Tier(up_to_tokens=300, models=("a",)), Tier(models=("b",))), measure="total"),
        Steps(choose=lambda n: "a" if n <= 500 else "b"),
    ):
        for given_slate in (ABC, gone("a", "b", "c"), Slate(())):
            for where in (HERE, replace(HERE, features=replace(HERE.features, output_tokens_most=None))):
                climbs(policy, given_slate, where)
                keeps(policy, given_slate, where)
    assert broken(climbs.__name__, Steps(choose=lambda n: "b" if n <= 500 else "a")) == (
        "500 tokens go to 'b', of tier 2, and 501 tokens go to 'a', of tier 1"
    )
    assert broken(keeps.__name__, Steps(choose=lambda n: "a" if n < 500 else "b")) == (
        "500 tokens go to 'b', and the tier that takes up to 500 has a"
    )
    assert broken(keeps.__name__, Steps(choose=lambda n: "a" if n <= 501 else "b")) == (
        "501 tokens go to 'a', and the tier that takes any number has b"
    )
    invariants.sends_longer_prompts_no_lower(Steps(choose=lambda _: "nobody"), ABC, HERE)


@pytest.mark.parametrize(
    ("tiers", "rungs"),
    [
        ((("a",), ["b", "c"]), (Rung(("a",)), Rung(("b", "c")))),
        ((Tier(up_to_tokens=5, models=("a",)),), (Rung(("a",), 5),)),
        ("abc", ()),
        (7, ()),
        (("a", "b"), ()),
        (((1,),), ()),
        ((None,), ()),
        ((), ()),
    ],
)
def test_tiers_are_read_from_the_policy(tiers: Any, rungs: tuple[Rung, ...]) -> None:
    """Lists of names, or values with models and a limit; whatever else is called so is none."""
    assert tiers_of(Steps(choose=str, tiers=tiers)) == rungs
    assert tiers_of(keep) == ()


def test_promises_are_what_a_policy_says() -> None:
    """By its attribute, by having tiers, and by what follows from one; unknown ones are refused."""
    assert promises_of(keep) == frozenset()
    assert promises_of(Cheapest()) == {"ranker", "cheapest", "priced"}
    assert promises_of(TIERED) == {"tiers"}
    assert promises_of(MaxCost(limit_usd=Decimal(1))) == {"filter", "priced"}
    assert promises_of(MaxCost(limit_usd=Decimal(1), unknown="keep")) == {"filter"}
    assert promises_of(Prefer(first=(Selector(model="a"),))) == frozenset()
    assert promises_of(Prefer(deny=(Selector(model="a"),))) == {"filter"}
    filters = (Requires(capabilities=frozenset({"tools"})), MinQuality(quality=0.5))
    assert promises_of(Chain(policies=filters)) == {"filter"}
    assert promises_of(Chain(policies=(*filters, Cheapest()))) == frozenset()
    assert promises_of(Chain(policies=(Cheapest(),))) == {"ranker"}
    assert promises_of(Chain(policies=(keep,))) == frozenset()
    with pytest.raises(ValueError, match=r"'rankr' is no promise of a policy; allowed: cheapest,.*mean 'ranker'"):
        known_promises(["rankr"])


def test_invariants_come_in_the_order_of_causes() -> None:
    """Those of all policies, then the promised ones, each once."""
    assert invariants_of(()) == invariants.ALWAYS
    every = invariants_of(known_promises(invariants.PROMISED))
    assert every[: len(invariants.ALWAYS)] == invariants.ALWAYS
    assert set(every) == set(EVERY)
    assert len(every) == len(EVERY)


@given(situations(max_size=3))
@settings(max_examples=40)
def test_smaller_situations_are_valid(situation: tuple[Slate, Context]) -> None:
    """Each step leaves a slate and context of the same request, in which whoever is live can serve it."""
    slate, context = situation
    for number, (less, around) in enumerate(smaller_situations(slate, context)):
        if number == 300:
            break
        assert len(less.live) + len(less.dropped) <= len(slate.live) + len(slate.dropped)
        assert all(candidate.features == around.features for candidate in less.live)
        assert not any(map(unable, less.live))
        assert all(c.model.price is None or c.model.price.tiers[0].above_tokens == 0 for c in less.live)
