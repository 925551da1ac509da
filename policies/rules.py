"""Which policy to use, by what kind of request it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from annotated_types import Ge, MinLen

from router import Capability, Catalog, Context, Policy, Slate, statics

ANY_LENGTH = 2**63
"""More tokens than any request has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """What a request must be like; every field that is set must hold, and none set holds for all.

    Attributes:
        tags: by tag, the value it must have; `*`, `?`, `[...]` stand for any text.
        tenant: whose request it must be; wildcards as in `tags`.
        needs: capabilities that the request must need.
        above_tokens: input tokens, exclusive.
        up_to_tokens: input tokens, inclusive.
        stream: whether it must be streamed.
        images: whether it must have images.
        tools: whether it must offer tools.
        service_tier: which one it must ask for.
        last_user_message: a regular expression that must match somewhere in it.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    tenant: str | None = None
    needs: frozenset[Capability] = frozenset()
    above_tokens: Annotated[int, Ge(0)] | None = None
    up_to_tokens: Annotated[int, Ge(1)] | None = None
    stream: bool | None = None
    images: bool | None = None
    tools: bool | None = None
    service_tier: str | None = None
    last_user_message: str | None = None

    def holds(self, context: Context, /) -> bool:
        """Returns whether the request is like this."""
        features = context.features
        low, high = self.tokens
        return (
            low <= features.measured_tokens <= high
            and all(tag in context.tags and fnmatchcase(context.tags[tag], want) for tag, want in self.tags.items())
            and (self.tenant is None or (context.tenant is not None and fnmatchcase(context.tenant, self.tenant)))
            and self.needs <= features.needs
            and self.stream in {None, features.stream}
            and self.images in {None, features.images > 0}
            and self.tools in {None, features.tools > 0}
            and self.service_tier in {None, features.service_tier}
            and (self.last_user_message is None or self.last_user_message in features.matches)
        )

    @property
    def tokens(self) -> tuple[int, int]:
        """The fewest and the most input tokens for which it can hold."""
        low = 0 if self.above_tokens is None else self.above_tokens + 1
        return low, ANY_LENGTH if self.up_to_tokens is None else self.up_to_tokens

    def takes(self, other: When, /) -> bool:
        """Returns whether it holds wherever `other` does, the number of tokens aside; False where that is unclear."""
        return (
            all(tag in other.tags and _wider(want, other.tags[tag]) for tag, want in self.tags.items())
            and (self.tenant is None or (other.tenant is not None and _wider(self.tenant, other.tenant)))
            and self.needs <= other.needs
            and self.stream in {None, other.stream}
            and self.images in {None, other.images}
            and self.tools in {None, other.tools}
            and self.service_tier in {None, other.service_tier}
            and self.last_user_message in {None, other.last_user_message}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which policy to use when a request is so.

    Attributes:
        use: the name of a policy, or an inline table.
        when: what the request must be like.
    """

    use: Policy
    when: When = When()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    r"""Uses the policy of the first rule that holds for the request.

    Example:
        ```toml
        [policies.default]
        kind = "rules"
        rules = [
          { when = { tags = { team = "legal" } }, use = "careful" },
          { when = { needs = ["vision"], up_to_tokens = 4000 }, use = { kind = "fallback", models = ["large"] } },
          { when = { last_user_message = '(?i)\btranslate\b' }, use = { kind = "fallback", models = ["small"] } },
        ]
        otherwise = { kind = "cheapest" }

        [policies.careful]
        kind = "min_quality"
        quality = 0.9
        ```

    Attributes:
        rules: the one to try first in front.
        otherwise: for requests for which none holds; without it their slate stays as it is.
    """

    rules: Annotated[tuple[Rule, ...], MinLen(1)]
    otherwise: Policy | None = None
    kind: Literal["rules"] = "rules"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        """Returns what the chosen policy leaves."""
        for rule in self.rules:
            if rule.when.holds(context):
                return rule.use(slate, context)
        return slate if self.otherwise is None else self.otherwise(slate, context)

    def problems(self, catalog: Catalog, /) -> Iterator[str]:
        """Yields rules that no request can reach, and regular expressions that are none."""
        for index, rule in enumerate(self.rules):
            when = rule.when
            if when.tokens[0] > when.tokens[1]:
                yield (
                    f"rules[{index}].when: no request has more than {when.above_tokens} tokens and at most "
                    f"{when.up_to_tokens}; above_tokens must be below up_to_tokens"
                )
            elif takers := _takers(when, self.rules[:index]):
                yield f"rules[{index}]: no request can reach it, since {_listed(takers)} before it"
            if (pattern := when.last_user_message) is not None and (fault := statics.pattern_fault(pattern)):
                yield f"rules[{index}].when.last_user_message: {fault}"
        if self.otherwise is not None and (takers := _takers(When(), self.rules)):
            yield f"otherwise: no request can reach it, since {_listed(takers)} before it"

    def token_limits(self) -> Iterator[int]:
        """Yields the limits of its conditions."""
        for rule in self.rules:
            yield from (n for n in (rule.when.above_tokens, rule.when.up_to_tokens) if n is not None)

    def patterns(self) -> Iterator[str]:
        """Yields the expressions of its conditions."""
        for rule in self.rules:
            if rule.when.last_user_message is not None:
                yield rule.when.last_user_message

    def reads_stats(self) -> bool:
        """Returns False: those inside it may."""
        return False

    def may_leave(self, catalog: Catalog, /) -> Iterator[str]:
        """Yields what any of its policies may leave; all, where a request may find no rule."""
        if self.otherwise is None and not _takers(When(), self.rules):
            yield from catalog
        for policy in self._policies():
            yield from statics.may_leave(policy, catalog)

    def never_empties(self) -> bool:
        """Returns whether none of its policies does."""
        return all(map(statics.never_empties, self._policies()))

    def _policies(self) -> Iterator[Policy]:
        yield from (rule.use for rule in self.rules)
        if self.otherwise is not None:
            yield self.otherwise


def _takers(when: When, rules: tuple[Rule, ...]) -> list[int]:
    """Returns the rules that together take every request for which `when` holds; none where some are left."""
    start, end = when.tokens
    spans = [(*rule.when.tokens, index) for index, rule in enumerate(rules) if rule.when.takes(when)]
    takers: list[int] = []
    while start <= end:
        # Of those that take the shortest request left, the one that reaches farthest; of equals, the earliest.
        high, index = max(((high, -index) for low, high, index in spans if low <= start <= high), default=(0, None))
        if index is None:
            return []
        takers.append(-index)
        start = high + 1
    return takers


def _listed(takers: list[int]) -> str:
    *others, last = (f"rules[{index}]" for index in sorted(takers))
    names = f"{', '.join(others)} and {last} take" if others else f"{last} takes"
    return f"{names} all of its requests"


def _wider(glob: str, other: str) -> bool:
    """Returns whether `glob` matches all that `other` matches; a wildcard in `other` is only compared as text."""
    plain = not any(sign in other for sign in "*?[")
    return glob in {"*", other} or (plain and fnmatchcase(other, glob))
