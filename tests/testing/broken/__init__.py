"""Policies that are broken on purpose, each in one way, and the invariant that must say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.testing.broken import candidates, impure, lengths, orders, prices, reasons, statements


@dataclass(frozen=True, slots=True)
class Broken:
    """One of them.

    Attributes:
        policy: the class, an instance, or the function.
        rule: the name of the invariant that must find it.
        models: the most that its counterexample may have.
    """

    policy: Any
    rule: str
    models: int = 2

    @property
    def name(self) -> str:
        """What the test is called."""
        return str(getattr(self.policy, "__name__", type(self.policy).__name__))


BROKEN: tuple[Broken, ...] = (
    Broken(candidates.LosesTheLast, "keeps_all_candidates", models=4),
    Broken(candidates.ForgetsTheDropped, "keeps_all_candidates"),
    Broken(candidates.AsksTheFirstAgain, "keeps_all_candidates"),
    Broken(candidates.DropsAndKeeps, "keeps_all_candidates"),
    Broken(candidates.CopiesCandidates, "keeps_all_candidates"),
    Broken(candidates.RevivesTheDropped, "leaves_the_dropped_dropped"),
    Broken(candidates.IgnoresTheWindow, "leaves_the_dropped_dropped"),
    Broken(candidates.RewritesReasons, "leaves_the_dropped_dropped"),
    Broken(candidates.LosesOneOnMondays, "keeps_all_candidates"),
    Broken(candidates.returns_a_list, "returns_a_slate"),
    Broken(candidates.returns_nothing, "returns_a_slate"),
    Broken(candidates.returns_lists_in_a_slate, "returns_a_slate"),
    Broken(candidates.returns_names, "returns_a_slate"),
    Broken(candidates.raises_on_an_empty_slate, "never_raises"),
    Broken(candidates.raises_without_statistics, "never_raises"),
    Broken(candidates.raises_on_unknown_quality, "never_raises"),
    Broken(reasons.GivesNoReason, "says_who_and_why"),
    Broken(reasons.GivesABlankReason, "says_who_and_why"),
    Broken(reasons.GivesAnObjectAsReason, "says_who_and_why"),
    Broken(reasons.BlamesNobody, "says_who_and_why"),
    Broken(reasons.BlamesTheRequest, "says_who_and_why"),
    Broken(reasons.BlamesAnother, "says_who_and_why"),
    Broken(impure.ReadsTheClock, "reads_nothing_else"),
    Broken(impure.reads_the_timer, "reads_nothing_else"),
    Broken(impure.reads_the_clock_in_rare_cases, "reads_nothing_else"),
    Broken(impure.chooses_at_random, "reads_nothing_else"),
    Broken(impure.chooses_by_its_own_chance, "keeps_no_state"),
    Broken(impure.reads_the_environment, "reads_nothing_else"),
    Broken(impure.reads_a_file, "reads_nothing_else"),
    Broken(impure.TakesTurns, "keeps_no_state"),
    Broken(impure.counts_its_calls, "keeps_no_state"),
    Broken(impure.AvoidsTheLast, "keeps_no_state"),
    Broken(impure.GathersWhatItSees, "keeps_no_state"),
    Broken(impure.prefers_whom_it_met, "keeps_no_state"),
    Broken(impure.ranks_by_identity, "is_deterministic"),
    Broken(impure.takes_the_first_tag, "is_deterministic"),
    Broken(impure.takes_the_first_statistics, "is_deterministic"),
    Broken(impure.writes_a_tag, "leaves_its_input_alone"),
    Broken(impure.forgets_statistics, "leaves_its_input_alone"),
    Broken(impure.corrects_a_price, "leaves_its_input_alone"),
    Broken(impure.sorts_in_place, "leaves_its_input_alone"),
    Broken(orders.ReordersInAFilter, "only_drops"),
    Broken(orders.DropsTheWorst, "drops_no_more_the_second_time", models=3),
    Broken(orders.TogglesTheFirst, "only_drops"),
    Broken(orders.DropsInARanker, "drops_nobody"),
    Broken(orders.LeavesTiesAsTheyCome, "ignores_the_order"),
    Broken(orders.BreaksTiesBackwards, "breaks_ties_by_name"),
    Broken(orders.KeepsTheFirstInFront, "ignores_the_order"),
    Broken(prices.CountsUnknownAsFree, "counts_unknown_as_unknown"),
    Broken(prices.CountsUnknownAsAverage, "counts_unknown_as_unknown"),
    Broken(prices.LetsUnknownPass, "counts_unknown_as_unknown"),
    Broken(prices.RanksByListPrice, "chooses_the_cheapest"),
    Broken(prices.RanksByWorstCost, "chooses_the_cheapest"),
    Broken(prices.RanksByFloats, "chooses_the_cheapest"),
    Broken(prices.RanksByText, "chooses_the_cheapest"),
    Broken(prices.ChoosesTheDearest, "chooses_the_cheapest"),
    Broken(lengths.EndsATierEarly, "declares_its_limits"),
    Broken(lengths.ExcludesItsLimit(), "keeps_the_limits_of_tiers"),
    Broken(lengths.TurnsBackForLongPrompts, "sends_longer_prompts_no_lower"),
    Broken(lengths.StandsUpsideDown(), "sends_longer_prompts_no_lower"),
    Broken(lengths.DeclaresAnotherLimit, "declares_its_limits"),
    Broken(lengths.MeasuresTheOutputToo, "declares_its_limits"),
    Broken(statements.SaysItReadsNoStatistics, "reads_stats_as_said"),
    Broken(statements.SaysItNeverEmpties, "never_empties_as_said"),
    Broken(statements.ComparesFloats, "never_empties_as_said"),
    Broken(statements.SaysItMayLeaveLess, "leaves_what_it_may"),
    Broken(statements.MatchesUndeclaredPatterns, "declares_its_patterns"),
    Broken(statements.InvertsTheFloor, "gives_no_less_when_more_is_asked"),
    Broken(statements.SavesWhereFewAreLeft, "gives_no_less_when_more_is_asked", models=3),
)
