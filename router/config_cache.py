"""`[cache]` and `[per_policy.NAME.cache]`: what keeps answers, and on what terms."""

from __future__ import annotations

import re
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import field_validator

from router.config_backend import BackendTable
from router.config_errors import said
from router.config_secrets import checked_key_env
from router.config_values import Real, Seconds, Table, Whole
from router.core.caching import CacheMode, Caching
from router.core.key import Drop
from router.core.statics import pattern_fault

YEAR_S = 31_536_000
Ttl = Annotated[Real, Gt(0), Le(YEAR_S)]
"""Up to a year: prices, models and facts do not keep longer."""
Bytes = Annotated[Whole, Ge(1)]


class CacheTable(BackendTable):
    """`[cache]`: what keeps answers. Whatever is not a field here is an option of the backend's class."""

    mode: CacheMode = "use"
    ttl_s: Ttl = Caching().ttl_s
    max_age_s: Annotated[Real, Ge(0), Le(YEAR_S)] | None = None
    sampled: bool = True
    invalid_ttl_s: Annotated[Real, Ge(0), Le(3_600)] = 0.0
    memory_bytes: Bytes = 100_000_000
    memory_ttl_s: Seconds = 5.0
    max_entry_bytes: Bytes = 1_000_000
    lease_s: Annotated[Real, Ge(0.1), Le(600)] = 5.0
    store_wait_s: Annotated[Real, Ge(0.001), Le(60)] = 0.05
    key_env: str | None = None

    _check_key_env = field_validator("key_env")(checked_key_env)

    def value(self) -> Caching:
        """Returns the terms that it states."""
        return Caching(
            mode=self.mode,
            ttl_s=self.ttl_s,
            max_age_s=self.max_age_s,
            sampled=self.sampled,
            invalid_ttl_s=self.invalid_ttl_s,
        )


class PolicyCacheTable(Table):
    """`[per_policy.NAME.cache]`: what holds for one policy's requests instead, and what their keys leave out."""

    mode: CacheMode | None = None
    ttl_s: Ttl | None = None
    max_age_s: Annotated[Real, Ge(0), Le(YEAR_S)] | None = None
    sampled: bool | None = None
    invalid_ttl_s: Annotated[Real, Ge(0), Le(3_600)] | None = None
    drop_params: tuple[Annotated[str, MinLen(1)], ...] = ()
    drop_text: tuple[str, ...] = ()

    @field_validator("drop_text")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if fault := pattern_fault(pattern):
                raise said(f"found {fault}; allowed: regular expressions that end soon")
        return patterns

    def stated(self) -> dict[str, Any]:
        """Returns the terms that it states, by name."""
        return self.model_dump(exclude_none=True, exclude={"drop_params", "drop_text"})

    def drop(self) -> Drop:
        """Returns what the keys of the policy's requests leave out."""
        return Drop(params=frozenset(self.drop_params), text=tuple(map(re.compile, self.drop_text)))
