"""The tables that say how attempts are made: deployments, breakers, retry quotas, places, hedges, checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import Field, field_validator

from router.config_cache import PolicyCacheTable
from router.config_secrets import checked_base_url, checked_headers, checked_key_env
from router.config_values import Real, Seconds, Table, Whole
from router.core.breaker import BreakerSettings
from router.core.deployment import Deployment
from router.core.money import Usd
from router.core.place import ConcurrencySettings
from router.core.quota import QuotaSettings

Share = Annotated[Real, Ge(0), Le(1)]
Count = Annotated[Whole, Ge(1)]


class DeploymentTable(Table):
    """`[[models.NAME.deployments]]`: one key, region or host that serves the model."""

    name: Annotated[str, MinLen(1)]
    base_url: str | None = None
    key_env: str | None = None
    region: str | None = None
    headers: Mapping[str, str] = Field(default_factory=dict, repr=False)
    weight: Annotated[Real, Gt(0)] = 1.0
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None

    _check_base_url = field_validator("base_url")(checked_base_url)
    _check_key_env = field_validator("key_env")(checked_key_env)
    _check_headers = field_validator("headers")(checked_headers)

    def value(self) -> Deployment:
        """Returns it as the gate takes it."""
        return Deployment(**self.model_dump())


class BreakerTable(Table):
    """`[breaker]`: when a deployment or a key is not asked for a while."""

    consecutive_failures: Count = BreakerSettings().consecutive_failures
    failure_share: Annotated[Real, Gt(0), Le(1)] = BreakerSettings().failure_share
    window_attempts: Count = BreakerSettings().window_attempts
    window_s: Seconds = BreakerSettings().window_s
    unusable_weight: Share = BreakerSettings().unusable_weight
    open_s: Seconds = BreakerSettings().open_s
    open_most_s: Seconds = BreakerSettings().open_most_s
    key_open_s: Seconds = BreakerSettings().key_open_s
    key_open_most_s: Seconds = BreakerSettings().key_open_most_s
    keep_last: bool = BreakerSettings().keep_last

    def value(self) -> BreakerSettings:
        """Returns it as the gate takes it."""
        return BreakerSettings(**self.model_dump())


class RetryQuotaTable(Table):
    """`[retry_quota]`: how many of the attempts may be retries at a model that the request asked before."""

    share: Share = QuotaSettings().share
    least_per_s: Annotated[Real, Ge(0)] = QuotaSettings().least_per_s
    ttl_s: Seconds = QuotaSettings().ttl_s

    def value(self) -> QuotaSettings:
        """Returns it as the gate takes it."""
        return QuotaSettings(**self.model_dump())


class ConcurrencyTable(Table):
    """`[concurrency]`: attempts at one time to a model that does not say itself."""

    limit: Count | None = ConcurrencySettings().limit
    queue: Annotated[Whole, Ge(0)] = ConcurrencySettings().queue

    def value(self) -> ConcurrencySettings:
        """Returns it as the gate takes it."""
        return ConcurrencySettings(**self.model_dump())


class HedgeTable(Table):
    """`[hedge]`: asking a second model when the first takes long."""

    enabled: bool = False
    after_s: Seconds | Literal["p95"] = "p95"


class LowerBounds(Table):
    """`[per_policy.NAME.bounds]`: lower bounds for one policy's requests; what is left out is as `[bounds]` has it."""

    attempts: Annotated[Whole, Ge(1), Le(100)] | None = None
    deadline_s: Seconds | None = None
    waste_usd: Usd | None = None


class PerPolicyTable(Table):
    """`[per_policy.NAME]`: what holds for the requests of one policy instead of what holds for all."""

    bounds: LowerBounds = LowerBounds()
    checks: Mapping[str, bool] = Field(default_factory=dict)
    cache: PolicyCacheTable = PolicyCacheTable()
    prefer_wait_s: Annotated[Real, Ge(0)] = 0.0
    hedge: bool | None = None
