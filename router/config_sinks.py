"""`[sinks.NAME]`: a kind of sink, and options that only its class knows."""

from __future__ import annotations

from typing import Annotated, Any, Self

from annotated_types import MinLen
from pydantic import ConfigDict, model_validator

from router.config_errors import said
from router.config_secrets import checked_options
from router.config_values import Table


class SinkTable(Table):
    """`[sinks.NAME]`: one more place that decisions go to."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    kind: Annotated[str, MinLen(1)]

    @property
    def options(self) -> dict[str, Any]:
        """What the table holds besides the kind."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _without_keys(self) -> Self:
        try:
            checked_options(self.options)
        except ValueError as error:
            raise said(str(error)) from None
        return self
