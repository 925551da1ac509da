"""What the invariants of policies share: how they call a policy, compare what it returns, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from router import Candidate, Context, Dropped, Policy, Slate
from router.testing.pasteable import script

__tracebackhide__ = True  # pytest shows the test's own line, and what it was told

Invariant = Callable[[Policy, Slate, Context], None]
"""Raises a `Counterexample` where the policy breaks a rule for this slate and context; else does nothing."""

Outcome = tuple[tuple[str, ...], tuple[tuple[str, str, str], ...]]
"""What a slate says, without the identity of anything: the live names, best first, and each drop."""


class Counterexample(AssertionError):
    """A policy broke a rule. The message says what happened, and shows the case as code that can be pasted.

    Attributes:
        rule: the name of the invariant.
        says: what happened, in one sentence.
        policy, slate, context: the case.
    """

    def __init__(self, rule: str, says: str, /, policy: Policy, slate: Slate, context: Context) -> None:
        super().__init__(rule, says)
        self.rule = rule
        self.says = says
        self.policy = policy
        self.slate = slate
        self.context = context

    @property
    def code(self) -> str:
        """Statements that repeat the case."""
        return script(
            {"policy": self.policy, "slate": self.slate, "context": self.context},
            needs=[("router.testing.invariants", self.rule)],
            end=f"{self.rule}(policy, slate, context)",
        )

    def __str__(self) -> str:
        indented = "\n".join(f"    {line}" if line else "" for line in self.code.splitlines())
        return f"{self.rule}: {self.says}\n\n{indented}"


def called(policy: Policy, slate: Slate, context: Context) -> Slate:
    """Returns what the policy returns.

    Raises:
        Counterexample: it raised an exception, or returned something else than a slate.
    """
    try:
        result: Any = policy(slate, context)
    except Exception as error:
        raise Counterexample("never_raises", f"it raised {error!r}", policy, slate, context) from error
    if (fault := no_slate(result)) is not None:
        raise Counterexample("returns_a_slate", f"it returned {fault}", policy, slate, context)
    slate_left: Slate = result
    return slate_left


def no_slate(result: Any) -> str | None:
    """Returns what something is instead of a slate; None where it is one."""
    if not isinstance(result, Slate):
        return f"{result!r:.200}, which is no Slate"
    fields: tuple[tuple[str, Any, type], ...] = (("live", result.live, Candidate), ("dropped", result.dropped, Dropped))
    for name, part, kind in fields:
        if not isinstance(part, tuple):
            return f"a Slate whose {name} is a {type(part).__name__}, not a tuple"
        for item in part:
            if not isinstance(item, kind):
                return f"a Slate with {item!r:.200} among its {name}, which is no {kind.__name__}"
    return None


def live_names(slate: Slate) -> tuple[str, ...]:
    """Returns the names of the live candidates, best first."""
    return tuple(candidate.name for candidate in slate.live)


def outcome_of(slate: Slate) -> Outcome:
    """Returns what can be compared of two slates whose candidates are not the same objects."""
    # As texts, since what a user's policy gives as its name or reason may be anything.
    return live_names(slate), tuple((fallen.name, str(fallen.by), str(fallen.reason)) for fallen in slate.dropped)


def difference(one: Outcome, other: Outcome) -> str:
    """Returns in words how two outcomes differ."""
    if one[0] != other[0]:
        return f"{listed(one[0])} live, then {listed(other[0])}"
    for was, became in zip(one[1], other[1], strict=False):
        if was != became:
            return f"dropped {' / '.join(was)!r}, then {' / '.join(became)!r}"
    return f"{len(one[1])} dropped, then {len(other[1])}"


def listed(names: tuple[str, ...]) -> str:
    """Returns names as a message shows them."""
    return ", ".join(map(repr, names)) or "nobody"
