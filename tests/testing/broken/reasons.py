"""Policies whose record explains nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from router import Candidate, Context, Dropped, Slate


@dataclass(frozen=True, slots=True, kw_only=True)
class GivesNoReason:
    """Drops what is not known to be good, and says nothing."""

    kind: Literal["gives_no_reason"] = "gives_no_reason"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.drop(lambda c: "" if c.model.quality is None else None, by=self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivesABlankReason:
    """Formats its reason from what is empty."""

    kind: Literal["gives_a_blank_reason"] = "gives_a_blank_reason"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.drop(lambda c: f"{c.model.region or ''} " if c.model.quality is None else None, by=self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivesAnObjectAsReason:
    """Drops with an exception in place of words."""

    kind: Literal["gives_an_object_as_reason"] = "gives_an_object_as_reason"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        why: Any = ValueError("no price")
        gone = [candidate for candidate in slate.live if candidate.expected_usd is None]
        return Slate(
            tuple(candidate for candidate in slate.live if candidate not in gone),
            slate.dropped + tuple(Dropped(candidate, self.kind, why) for candidate in gone),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BlamesNobody:
    """Drops under no name."""

    kind: Literal["blames_nobody"] = "blames_nobody"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.drop(_dear, by="")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlamesTheRequest:
    """Says that the request could not be served, where it was only dear."""

    kind: Literal["blames_the_request"] = "blames_the_request"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.drop(_dear, by="request")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlamesAnother:
    """Was copied from another policy, whose name it still gives."""

    kind: Literal["blames_another"] = "blames_another"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.drop(_dear, by="max_cost")


def _dear(candidate: Candidate) -> str | None:
    cost = candidate.worst_usd
    return None if cost is not None and cost < 1 else "may cost a dollar or more"
