"""The form of a rule that names a failure's class: what it may look at, and when it fits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.core.failure import FailureClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What rules may look at.

    Attributes:
        status: of the HTTP answer, or the one that an error inside a success names.
        codes: every code, type and reason in the body, in lower case.
        words: every message in the body, without what echoes the request.
    """

    provider: str
    status: int | None
    codes: frozenset[str]
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row: it fits where the status and provider are among its own, and a code or the wording is too.

    Attributes:
        name: what the row recognises.
        kind: the class it names.
        statuses: statuses it is limited to; empty is any.
        codes: codes, types and reasons in lower case, any of which suffices.
        words: a wording that suffices as well; a row with neither codes nor words goes by the status alone.
        unless: a wording that keeps the row from fitting.
        providers: providers it is limited to; empty is any.
    """

    name: str
    kind: FailureClass
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    unless: re.Pattern[str] | None = None
    providers: frozenset[str] = frozenset()

    def fits(self, signs: Signs) -> bool:
        """Returns whether the row fits."""
        if self.statuses and signs.status not in self.statuses:
            return False
        if self.providers and signs.provider not in self.providers:
            return False
        if self.unless is not None and self.unless.search(signs.words):
            return False
        if not self.codes and self.words is None:
            return True
        if not self.codes.isdisjoint(signs.codes):
            return True
        return self.words is not None and self.words.search(signs.words) is not None


def wording(*alternatives: str) -> re.Pattern[str]:
    """Returns a pattern that finds any of the alternatives, in any case."""
    return re.compile("|".join(alternatives), re.IGNORECASE)


def codes(names: str) -> frozenset[str]:
    """Returns the codes, separated by spaces, in lower case."""
    return frozenset(names.lower().split())
