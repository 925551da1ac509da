"""`[otel]`: traces and metrics by OpenTelemetry."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from annotated_types import Ge, Le, MinLen
from pydantic import field_validator, model_validator

from router.config_errors import said
from router.config_secrets import ADVICE, HEADERS_ADVICE, checked_base_url, checked_headers_env
from router.config_values import Real, Table, Whole
from router.sinks.metric_labels import checked_labels

CostName = Literal["langfuse", "logfire", "openinference", "genai"]
"""Whose name for the cost of a call a span has besides ours."""


class OtelTable(Table):
    """`[otel]`: where traces and metrics go, and under which names.

    What is left out follows the standard `OTEL_*` variables, and then their defaults. `enabled` left out is on where
    an endpoint or a protocol is stated, here or in `OTEL_*`, or where the application has set a provider of its own.
    """

    enabled: bool | None = None
    endpoint: str | None = None
    protocol: Literal["http", "grpc", "console"] | None = None
    headers_env: str | None = None
    service_name: Annotated[str, MinLen(1)] | None = None
    sample_ratio: Annotated[Real, Ge(0), Le(1)] | None = None
    traces: bool = True
    metrics: bool = True
    labels: tuple[Annotated[str, MinLen(1)], ...] = ()
    label_tenant: bool = False
    label_values_most: Annotated[Whole, Ge(1)] = 100
    cost_names: tuple[CostName, ...] = ()
    cache_write_name: Literal["cache_creation", "cache_write"] = "cache_creation"

    _check_headers_env = field_validator("headers_env")(checked_headers_env)
    _check_labels = field_validator("labels")(checked_labels)

    @field_validator("endpoint")
    @classmethod
    def _without_a_key(cls, value: str | None) -> str | None:
        try:
            return checked_base_url(value)
        except ValueError as error:
            raise said(str(error).replace(ADVICE, HEADERS_ADVICE)) from None

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.protocol == "console" and self.endpoint is not None:
            raise said('found an endpoint beside protocol = "console", which writes to standard error; allowed: one')
        return self
