"""What a policy is, and all that it may know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from router.core.budgeting import Purse
from router.core.quick import quick
from router.core.request import Features
from router.core.slate import Slate
from router.core.stats import Stats


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """All that a policy may know about a request besides its slate.

    Attributes:
        now: when the request arrived, with a time zone.
        draw: in [0, 1), derived from the router's seed and the request's id, so that a weighted split replays.
        budgets: those that apply to the request, in the order of the configuration, and how they stand.
    """

    features: Features
    now: datetime
    draw: float
    tags: Mapping[str, str] = field(default_factory=dict)
    tenant: str | None = None
    stats: Stats = field(default_factory=dict)
    budgets: tuple[Purse, ...] = ()


class Policy(Protocol):
    """A pure function from slate to slate.

    It returns a slate made of the candidates it was given: it may reorder the live ones and drop some of them with a
    reason, nothing else. A class that is also a frozen dataclass with a `kind: Literal["..."]`, registered under the
    entry-point group `lowfare.policies`, can be used from TOML; its fields are its options. A field annotated
    `Policy` takes the name of another policy, or an inline table.

    A policy may also have these methods, which `lowfare check` and the loading of a configuration call (by way of
    `router.core.statics`). Policies in its fields, also in lists, mappings and dataclasses there, are asked the first
    five questions themselves; the last two it answers for them:

    - `problems(catalog) -> Iterable[str]`: what is wrong with its own options, one sentence each, which starts with
      the option: "tiers[1].models[0]: no model is named 'smal'";
    - `token_limits() -> Iterable[int]`: input-token counts at which its choice changes (they are counted exactly
      when the estimate straddles one);
    - `total_token_limits() -> Iterable[int]`: the same for input and largest output together;
    - `patterns() -> Iterable[str]`: regular expressions to match against the last user message; those that match
      stand in `context.features.matches`;
    - `reads_stats() -> bool`: whether it reads `context.stats` itself; without it, yes. Statistics that no policy
      reads are neither computed for a request nor kept in its record;
    - `reads_budgets() -> Iterable[str]`: names of the budgets that it looks at, which must be configured;
    - `may_leave(catalog) -> Iterable[str]`: names of the models that can be live after it, for some request; without
      it, all;
    - `never_empties() -> bool`: whether it is sure to leave a live candidate of a slate that has one; without it, no.
    """

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        """Returns the slate that is left."""
        ...

    if not TYPE_CHECKING:  # to the type checker a plain function is a policy too

        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            """Lets a field annotated `Policy` take a name, an inline table or an instance.

            The first two are built by the `policy` callable in pydantic's validation context, which `router.config`
            sets.
            """
            from pydantic_core import core_schema

            def build(value: Any, info: core_schema.ValidationInfo[Any]) -> Any:
                return value if callable(value) else info.context["policy"](value)

            return core_schema.with_info_plain_validator_function(build)
