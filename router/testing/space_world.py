"""A configuration as proofs see it: figures of its models, what its policies ask, and what it really decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from router.core import statics
from router.core.applied import able_of
from router.core.catalog import Catalog
from router.core.course import Given
from router.core.decision import Decision, Ids
from router.core.draws import shipped_kind
from router.core.machine import Exhausted, plan
from router.core.policy import Policy
from router.core.request import Hints
from router.core.stats import Stats
from router.setup import Setup
from router.testing.space import (
    CACHE_WRITE,
    COUNTED,
    NEEDS,
    SERVICE_TIER,
    STATED,
    STREAM,
    TENANT,
    TOOLS,
    Answer,
    Point,
    Question,
    Space,
    need,
)
from router.testing.space_globs import witnesses
from router.testing.space_linear import ESTIMATED, Spread
from router.testing.space_models import Figures, features_of_point

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""When the requests arrive; no policy that is reasoned about reads the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What conditions of rules and expectations ask about: patterns of tags and tenants, tiers, expressions."""

    tags: Mapping[str, frozenset[str]] = field(default_factory=dict)
    tenants: frozenset[str] = frozenset()
    service_tiers: frozenset[str] = frozenset()
    expressions: frozenset[str] = frozenset()

    def and_of(self, when: Any, /) -> Asked:
        """Returns this with what a `when` asks about, that of a rule or of an expectation."""
        tags = dict(self.tags)
        for tag, wanted in when.tags.items():
            tags[tag] = tags.get(tag, frozenset()) | {wanted}
        return Asked(
            tags=tags,
            tenants=self.tenants | _some(when.tenant),
            service_tiers=self.service_tiers | _some(when.service_tier),
            expressions=self.expressions | _some(when.last_user_message),
        )


def _some(text: str | None) -> frozenset[str]:
    return frozenset() if text is None else frozenset((text,))


@dataclass(frozen=True, slots=True)
class World:
    """A configuration whose requests are reasoned about."""

    setup: Setup
    figures: Mapping[str, Figures]

    @classmethod
    def of(cls, setup: Setup, /) -> World:
        """Returns the world of a configuration."""
        return cls(
            setup,
            {
                name: Figures(model=model, expected_output_tokens=setup.expected_output_tokens, unpriced=setup.unpriced)
                for name, model in setup.catalog.items()
            },
        )

    @property
    def catalog(self) -> Catalog:
        """The models."""
        return self.setup.catalog

    def limits(self) -> frozenset[int]:
        """Returns the counts of tokens at which something is known to change."""
        found = {*self.setup.token_limits, *self.setup.total_token_limits, self.setup.expected_output_tokens}
        for model in self.catalog.values():
            tables = () if model.price is None else (model.price.tiers, *model.price.service.values())
            found |= {tier.above_tokens for tiers in tables for tier in tiers if tier.above_tokens}
            found |= {n for n in (model.max_output_tokens, model.context_window_tokens) if n is not None}
        return frozenset(found)

    def space(self, asked: Asked, /, *, spread: Spread | None = ESTIMATED) -> Space:
        """Returns the space of all requests, as far as policies, prices and `asked` can tell them apart.

        Raises:
            TooEntangled: the patterns of one tag, or of tenants, make too many combinations.
        """
        tables = {tier for m in self.catalog.values() if m.price is not None for tier in m.price.service}
        tiers: Iterable[Answer] = sorted(asked.service_tiers | tables | ({"auto"} if tables else set()))
        yes_no: tuple[Answer, ...] = (False, True)
        questions: dict[Question, tuple[Answer, ...]] = {
            STATED: yes_no,
            COUNTED: yes_no,
            STREAM: yes_no,
            TOOLS: yes_no,
            CACHE_WRITE: (None, "5m", "1h"),
            SERVICE_TIER: (None, *tiers),
            TENANT: (None, *witnesses(asked.tenants, empty=False)),
        }
        questions |= {need(name): yes_no for name in NEEDS}
        questions |= {("tag", tag): (None, *witnesses(patterns)) for tag, patterns in sorted(asked.tags.items())}
        questions |= {("match", text): yes_no for text in sorted(asked.expressions)}
        return Space(questions, spread=spread)

    def given(
        self, policy_name: str, point: Point, /, *, draw: float = 0.0, now: datetime = NOW, stats: Stats | None = None
    ) -> Given:
        """Returns what goes into the decision on a request."""
        terms = self.setup.terms[policy_name]
        answers = point.answers
        tags = {name: str(value) for (kind, name), value in answers.items() if kind == "tag" and value is not None}
        tenant = answers[TENANT]
        return Given(
            ids=Ids(request_id="0" * 32, trace_id="0" * 32, span_id="0" * 16),
            key="",
            features=features_of_point(point),
            hints=Hints(tags=tags, tenant=None if tenant is None else str(tenant)),
            catalog=self.catalog,
            policy_name=policy_name,
            policy=self.setup.policies[policy_name],
            bounds=terms.bounds,
            now=now,
            draw=draw,
            stats={} if stats is None else stats,
            expected_output_tokens=self.setup.expected_output_tokens,
            unpriced=self.setup.unpriced,
        )

    def able(self, policy_name: str, point: Point, /) -> tuple[str, ...]:
        """Returns the models that can serve a request at all."""
        return tuple(candidate.name for candidate in able_of(self.given(policy_name, point)))

    def decided(self, given: Given, /) -> Decision:
        """Returns the decision before the first attempt."""
        state = plan(given)
        return state.decision if isinstance(state, Exhausted) else state.planned


def asked_by(policies: Iterable[Policy], /) -> Asked:
    """Returns what the rules inside policies ask about."""
    asked = Asked()
    for policy in policies:
        for rules in parts_of(policy, "rules"):
            for rule in rules.rules:
                asked = asked.and_of(rule.when)
    return asked


def parts_of(policy: Policy, kind: str, /) -> Iterator[Any]:
    """Yields the policies of a shipped kind inside a policy, itself included."""
    return (part for _, part in statics.parts(policy) if shipped_kind(part) == kind)
