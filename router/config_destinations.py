"""`[destinations.NAME]` and `[outbox]`: where alerts go, and what keeps them until they have arrived."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Self

from annotated_types import MinLen
from pydantic import ConfigDict, model_validator

from router.config_backend import has_password
from router.config_errors import said
from router.config_secrets import ADVICE, SECRET_VALUE, checked_options
from router.config_values import Spelt, Table, read_spelt

_OPEN = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, hide_input_in_errors=True)
_BY_VARIABLE = 'keep it in an environment variable, and name that: secret_env = "OPS_WEBHOOK", url_env = "OPS_SLACK"'
_PRIVATE_ADDRESSES = ("hooks.slack.com/", "/api/webhooks/", ".webhook.office.com/")
"""Parts of addresses that whoever knows them may post to: Slack's, Discord's, Microsoft's."""


class _Options(Table):
    """A kind, and options that only its class knows."""

    model_config = _OPEN

    @property
    def options(self) -> dict[str, Any]:
        """What the table holds for the class."""
        return {name: read_spelt(value) for name, value in (self.model_extra or {}).items()}

    @property
    def stated(self) -> dict[str, Any]:
        """What of that stands in the file."""
        return {name: value for name, value in (self.model_extra or {}).items() if not isinstance(value, Spelt)}

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Leaves out the options: an address may hold a password."""
        return ((name, getattr(self, name)) for name in type(self).model_fields)


class DestinationTable(_Options):
    """`[destinations.NAME]`: somewhere that alerts go. An option `NAME_env` is `NAME`, out of that variable."""

    kind: Annotated[str, MinLen(1)]

    @model_validator(mode="after")
    def _without_secrets(self) -> Self:
        if "secret" in self.stated or "secrets" in self.stated:
            raise said(f"a secret does not stand in this file (not shown); {_BY_VARIABLE}")
        url = str(self.stated.get("url", ""))
        if any(part in url for part in _PRIVATE_ADDRESSES) or SECRET_VALUE.search(url) or has_password(url):
            raise said(f"the url is or holds a secret (not shown); {_BY_VARIABLE}")
        try:
            checked_options({name: value for name, value in self.stated.items() if name != "url"})
        except ValueError as error:
            raise said(str(error).replace(ADVICE, _BY_VARIABLE)) from None
        return self


class OutboxTable(_Options):
    """`[outbox]`: what keeps alerts until they have arrived. What is no field is an option of the backend's class."""

    backend: Annotated[str, MinLen(1)]
    deliver: bool = True

    @model_validator(mode="after")
    def _without_passwords(self) -> Self:
        if has_password(str(self.stated.get("url", ""))):
            raise said("the url holds a password (not shown); set the whole url by LOWFARE_OUTBOX__URL instead")
        try:
            checked_options({name: value for name, value in self.stated.items() if name != "url"})
        except ValueError as error:
            raise said(str(error).replace(ADVICE, "set it by LOWFARE_OUTBOX__NAME")) from None
        return self
