"""The slate: candidates still live, best first, and the dropped ones, each with who dropped it and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from router.core.catalog import Model
from router.core.cost import expected_usd, worst_usd
from router.core.lazy import lazy
from router.core.money import usd
from router.core.quick import quick
from router.core.request import Features


@dataclass(frozen=True, kw_only=True, init=False, eq=False)
class Candidate:
    """A model together with what this request is expected to cost there, and at most can cost.

    Both costs are computed when first asked for: most policies look at a few candidates only. (Hence no slots.) A
    candidate is equal to itself alone: a policy hands on those that it was given.

    Attributes:
        expected_output_tokens: per choice; what this model is expected to write for this request.
    """

    model: Model
    features: Features
    expected_output_tokens: int

    def __init__(self, *, model: Model, features: Features, expected_output_tokens: int) -> None:
        # What the dataclass would do takes twice as long, and a request makes one for each model of the catalog.
        own = self.__dict__
        own["model"], own["features"], own["expected_output_tokens"] = model, features, expected_output_tokens

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @lazy
    def expected_usd(self) -> Decimal | None:
        """What one attempt is expected to cost; None where the price is unknown."""
        return expected_usd(self.model, self.features, self.expected_output_tokens)

    @lazy
    def worst_usd(self) -> Decimal | None:
        """What one attempt can cost at most; None where the price or the largest output is unknown."""
        return worst_usd(self.model, self.features)

    @lazy
    def record(self) -> dict[str, str | None]:
        """What stands of it in a decision's record."""
        return {"model": self.model.name, "expected_usd": usd(self.expected_usd), "worst_usd": usd(self.worst_usd)}


@quick
@dataclass(frozen=True, slots=True)
class Dropped:
    """A candidate that will not be asked, who dropped it (a policy's kind, or "request"), and why."""

    candidate: Candidate
    by: str
    reason: str

    @property
    def name(self) -> str:
        """The model's name."""
        return self.candidate.model.name


@quick
@dataclass(frozen=True, slots=True)
class Slate:
    """Live candidates in the order they will be asked, and dropped ones in the order they fell."""

    live: tuple[Candidate, ...]
    dropped: tuple[Dropped, ...] = ()

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.live)

    def __len__(self) -> int:
        return len(self.live)

    def drop(self, why: Callable[[Candidate], str | None], /, *, by: str) -> Slate:
        """Returns the slate without the live candidates for which `why` gives a reason."""
        judged = [(candidate, why(candidate)) for candidate in self.live]
        fallen = tuple([Dropped(candidate, by, reason) for candidate, reason in judged if reason is not None])
        if not fallen:
            return self
        return Slate(tuple([candidate for candidate, reason in judged if reason is None]), self.dropped + fallen)

    def rank(self, key: Callable[[Candidate], Any], /) -> Slate:
        """Returns the slate with its live candidates sorted by `key`, lowest first; ties break by name."""
        return Slate(tuple(sorted(self.live, key=lambda c: (key(c), c.model.name))), self.dropped)

    def pick(self, names: Iterable[str], /, *, by: str, reason: str) -> Slate:
        """Returns the slate with only the named candidates live, in the order of `names`; the rest falls."""
        by_name = {c.model.name: c for c in self.live}
        live = tuple([by_name.pop(n) for n in dict.fromkeys(names) if n in by_name])
        return Slate(live, self.dropped + tuple([Dropped(c, by, reason) for c in by_name.values()]))
