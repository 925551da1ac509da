"""Rules that routing policies keep, as plain callables: `invariant(policy, slate, context)` raises, or does nothing.

What it raises is a `Counterexample`, an AssertionError whose message shows the case as code that can be pasted.
`ALWAYS` holds of every policy, `PROMISED` of those that promise it; `router.testing.check_policy` tries all of them on
slates and contexts that Hypothesis draws. None of them needs Hypothesis itself.

A policy is called several times by each, with the slate it is given and with changed ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from router.testing.invariants_always import (
    keeps_all_candidates,
    leaves_the_dropped_dropped,
    never_raises,
    returns_a_slate,
    says_who_and_why,
)
from router.testing.invariants_promises import (
    Promise,
    breaks_ties_by_name,
    chooses_the_cheapest,
    counts_unknown_as_unknown,
    drops_no_more_the_second_time,
    drops_nobody,
    gives_no_less_when_more_is_asked,
    ignores_the_order,
    known_promises,
    only_drops,
    promises_of,
)
from router.testing.invariants_purity import (
    is_deterministic,
    keeps_no_state,
    leaves_its_input_alone,
    reads_nothing_else,
)
from router.testing.invariants_shown import Counterexample, Invariant
from router.testing.invariants_statics import (
    declares_its_limits,
    declares_its_patterns,
    leaves_what_it_may,
    never_empties_as_said,
    reads_stats_as_said,
)
from router.testing.invariants_tiers import keeps_the_limits_of_tiers, sends_longer_prompts_no_lower

__all__ = [
    "ALWAYS",
    "PROMISED",
    "Counterexample",
    "Invariant",
    "Promise",
    "breaks_ties_by_name",
    "chooses_the_cheapest",
    "counts_unknown_as_unknown",
    "declares_its_limits",
    "declares_its_patterns",
    "drops_no_more_the_second_time",
    "drops_nobody",
    "gives_no_less_when_more_is_asked",
    "ignores_the_order",
    "invariants_of",
    "is_deterministic",
    "keeps_all_candidates",
    "keeps_no_state",
    "keeps_the_limits_of_tiers",
    "known_promises",
    "leaves_its_input_alone",
    "leaves_the_dropped_dropped",
    "leaves_what_it_may",
    "never_empties_as_said",
    "never_raises",
    "only_drops",
    "promises_of",
    "reads_nothing_else",
    "reads_stats_as_said",
    "returns_a_slate",
    "says_who_and_why",
    "sends_longer_prompts_no_lower",
]

ALWAYS: Final[tuple[Invariant, ...]] = (
    leaves_its_input_alone,
    returns_a_slate,
    never_raises,
    leaves_the_dropped_dropped,
    keeps_all_candidates,
    says_who_and_why,
    reads_nothing_else,
    keeps_no_state,
    is_deterministic,
    leaves_what_it_may,
    never_empties_as_said,
    reads_stats_as_said,
    declares_its_patterns,
    declares_its_limits,
)
"""In the order in which a broken one is the cause of others: what keeps state cannot keep an order either."""

PROMISED: Final[Mapping[Promise, tuple[Invariant, ...]]] = MappingProxyType(
    {
        "filter": (only_drops, drops_no_more_the_second_time),
        "ranker": (drops_nobody, ignores_the_order, breaks_ties_by_name, drops_no_more_the_second_time),
        "cheapest": (counts_unknown_as_unknown, chooses_the_cheapest),
        "priced": (counts_unknown_as_unknown,),
        "quality": (gives_no_less_when_more_is_asked,),
        "tiers": (sends_longer_prompts_no_lower, keeps_the_limits_of_tiers),
    }
)


def invariants_of(promises: Iterable[str], /) -> tuple[Invariant, ...]:
    """Returns all that must hold of a policy with these promises, what causes other faults first.

    Raises:
        ValueError: one of them is no promise.
    """
    known = known_promises(promises)
    wanted = [rule for promise, rules in PROMISED.items() if promise in known for rule in rules]
    return tuple(dict.fromkeys((*ALWAYS, *wanted)))
