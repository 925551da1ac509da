"""`[cache]` and `[per_policy.NAME.cache]`: what keeps answers, and on what terms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl, urlsplit

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from router.config_errors import said
from router.config_secrets import ADVICE, checked_key_env, checked_options, is_secret
from router.config_values import STRICT, Real, Seconds, Spelt, Whole, read_spelt
from router.core.caching import CacheMode, Caching
from router.core.key import Drop
from router.core.statics import pattern_fault

YEAR_S = 31_536_000
Ttl = Annotated[Real, Gt(0), Le(YEAR_S)]
"""Up to a year: prices, models and facts do not keep longer."""
Bytes = Annotated[Whole, Ge(1)]


class CacheTable(BaseModel):
    """`[cache]`: what keeps answers. Whatever is not a field here is an option of the backend's class."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, hide_input_in_errors=True)

    backend: Annotated[str, MinLen(1)] = "memory"
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

    @property
    def options(self) -> dict[str, Any]:
        """What the table holds for the backend's class; what an environment variable says, as JSON says it."""
        return {name: read_spelt(value) for name, value in (self.model_extra or {}).items()}

    @model_validator(mode="after")
    def _without_keys(self) -> Self:
        """Refuses passwords in the file; the environment, as `LOWFARE_CACHE__URL`, is the place for them."""
        stated = {name: value for name, value in (self.model_extra or {}).items() if not isinstance(value, Spelt)}
        url = stated.pop("url", None)
        if isinstance(url, str) and has_password(url):
            raise said("the url holds a password (not shown); set the whole url by LOWFARE_CACHE__URL instead")
        try:
            checked_options(stated)
        except ValueError as error:
            raise said(str(error).replace(ADVICE, "set it by LOWFARE_CACHE__NAME")) from None
        return self

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Leaves out the options: an address may hold a password."""
        return ((name, getattr(self, name)) for name in type(self).model_fields)

    def value(self) -> Caching:
        """Returns the terms that it states."""
        return Caching(
            mode=self.mode,
            ttl_s=self.ttl_s,
            max_age_s=self.max_age_s,
            sampled=self.sampled,
            invalid_ttl_s=self.invalid_ttl_s,
        )


class PolicyCacheTable(BaseModel):
    """`[per_policy.NAME.cache]`: what holds for one policy's requests instead, and what their keys leave out."""

    model_config = STRICT

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


def has_password(url: str) -> bool:
    """Returns whether an address holds a password, before its host or as an option."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.password is not None or any(is_secret(name, None) for name, _ in parse_qsl(parts.query))
