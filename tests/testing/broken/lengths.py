"""Policies with tiers that end too early, too late, or upside down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from router import Context, Slate


@dataclass(frozen=True, slots=True, kw_only=True)
class EndsATierEarly:
    """Sends a request of exactly 2,000 tokens to the next tier, and declares the limit as inclusive."""

    kind: Literal["ends_a_tier_early"] = "ends_a_tier_early"

    def token_limits(self) -> Iterable[int]:
        return (2000,)

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        name = "a" if context.features.measured_tokens < 2000 else "b"
        return slate.pick((name,), by=self.kind, reason="is of another tier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One tier."""

    models: tuple[str, ...]
    up_to_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcludesItsLimit:
    """Its tiers take what is below their limit, and not the limit itself."""

    tiers: tuple[Step, ...] = (Step(models=("a",), up_to_tokens=500), Step(models=("b",)))
    kind: Literal["excludes_its_limit"] = "excludes_its_limit"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        tokens = context.features.measured_tokens
        step = next(s for s in self.tiers if s.up_to_tokens is None or tokens < s.up_to_tokens)
        return slate.pick(step.models, by=self.kind, reason="is of another tier")


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnsBackForLongPrompts:
    """Sends very long prompts to the cheap model again, to save money."""

    tiers: ClassVar[tuple[tuple[str, ...], ...]] = (("a",), ("b",))
    kind: Literal["turns_back_for_long_prompts"] = "turns_back_for_long_prompts"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        long = 500 < context.features.measured_tokens <= 50_000
        return slate.pick(("b", "a") if long else ("a", "b"), by=self.kind, reason="is of no tier")


@dataclass(frozen=True, slots=True, kw_only=True)
class StandsUpsideDown:
    """Gives short prompts to the large model and long ones to the small."""

    tiers: tuple[Step, ...] = (Step(models=("a",), up_to_tokens=500), Step(models=("b",)))
    kind: Literal["stands_upside_down"] = "stands_upside_down"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        limit = self.tiers[0].up_to_tokens or 0
        step = self.tiers[context.features.measured_tokens <= limit]
        return slate.pick(step.models, by=self.kind, reason="is of another tier")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaresAnotherLimit:
    """Was given a new limit in one of two places."""

    kind: Literal["declares_another_limit"] = "declares_another_limit"

    def token_limits(self) -> Iterable[int]:
        return (500,)

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        short = context.features.measured_tokens <= 800
        return slate.drop(lambda c: None if short or c.name != "a" else "is too small", by=self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuresTheOutputToo:
    """Declares a limit of the input, and compares input and output with it."""

    kind: Literal["measures_the_output_too"] = "measures_the_output_too"

    def token_limits(self) -> Iterable[int]:
        return (1000,)

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        tokens = context.features.measured_tokens + (context.features.output_tokens_most or 0)
        return slate.drop(lambda c: "is too small" if tokens > 1000 and c.name == "a" else None, by=self.kind)
