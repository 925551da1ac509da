"""Which models, providers or regions are allowed, which are not, and which come first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from router import Candidate, Catalog, Context, Model, Slate


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Says which models are meant; every field that is set must match, and `*`, `?`, `[...]` stand for any text.

    Attributes:
        model: the model's name in the catalog.
        provider: such as "anthropic".
        region: such as "eu-*"; a model whose region is unknown matches none.
    """

    model: str | None = None
    provider: str | None = None
    region: str | None = None

    def matches(self, model: Model, /) -> bool:
        """Returns whether the model is meant."""
        return (
            (self.model is None or fnmatchcase(model.name, self.model))
            and (self.provider is None or fnmatchcase(model.provider, self.provider))
            and (self.region is None or (model.region is not None and fnmatchcase(model.region, self.region)))
        )

    def __str__(self) -> str:
        parts = (("model", self.model), ("provider", self.provider), ("region", self.region))
        return " and ".join(f"{what} {pattern}" for what, pattern in parts if pattern is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefer:
    """Drops what is not allowed or is denied, and puts what is preferred in front; the order stays otherwise.

    Example:
        ```toml
        [policies.default]
        kind = "prefer"
        allow = [{ provider = "openai" }, { provider = "deepseek" }]
        deny = [{ model = "lar*" }]
        first = [{ model = "medium" }]
        ```

    Attributes:
        allow: models that match none of these are dropped; empty allows all.
        deny: models that match one of these are dropped, allowed or not.
        first: models that match the first of these come first, then those that match the second, then the rest.
    """

    allow: tuple[Selector, ...] = ()
    deny: tuple[Selector, ...] = ()
    first: tuple[Selector, ...] = ()
    kind: Literal["prefer"] = "prefer"

    @property
    def promises(self) -> frozenset[str]:
        """What `router.testing.check_policy` holds it to: to drop only, unless it puts something first."""
        return frozenset() if self.first else frozenset({"filter"})

    def reads_stats(self) -> bool:
        """Returns False: what a model did before does not count here."""
        return False

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        """Returns the slate without what is not wanted, and with what is preferred in front."""
        kept = slate.drop(lambda candidate: self._unwanted(candidate.model), by=self.kind)
        return Slate(tuple(sorted(kept.live, key=self._rank)), kept.dropped) if self.first else kept

    def problems(self, catalog: Catalog, /) -> Iterator[str]:
        """Yields an empty policy, empty selectors, and selectors that mean no model, which are mostly misspelt."""
        if not (self.allow or self.deny or self.first):
            yield "has no list and so changes nothing; set at least one of allow, deny, first"
        for option, selectors in (("allow", self.allow), ("deny", self.deny), ("first", self.first)):
            for index, selector in enumerate(selectors):
                if not str(selector):
                    yield f"{option}[{index}]: means every model; set at least one of model, provider, region"
                elif not any(selector.matches(model) for model in catalog.values()):
                    yield f"{option}[{index}]: no model matches {selector}; {_known(catalog)}"

    def may_leave(self, catalog: Catalog, /) -> Iterable[str]:
        """Returns the models that are allowed and not denied."""
        return (name for name, model in catalog.items() if self._unwanted(model) is None)

    def never_empties(self) -> bool:
        """Returns whether it only ranks."""
        return not (self.allow or self.deny)

    def _unwanted(self, model: Model) -> str | None:
        for selector in self.deny:
            if selector.matches(model):
                return f"is denied ({selector})"
        if self.allow and not any(selector.matches(model) for selector in self.allow):
            return f"is not allowed ({' or '.join(map(str, self.allow))})"
        return None

    def _rank(self, candidate: Candidate) -> int:
        for index, selector in enumerate(self.first):
            if selector.matches(candidate.model):
                return index
        return len(self.first)


def _known(catalog: Catalog) -> str:
    models = catalog.values()
    parts = (
        ("models", catalog),
        ("providers", {model.provider for model in models}),
        ("regions", {model.region for model in models if model.region}),
    )
    return "; ".join(f"{what}: {', '.join(sorted(names)) or 'none known'}" for what, names in parts)
