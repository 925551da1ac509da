"""What the tables begin with that name a backend and hold its options: `[cache]` and `[state]`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl, urlsplit

from annotated_types import MinLen
from pydantic import ConfigDict, model_validator

from router.config_errors import said
from router.config_secrets import ADVICE, checked_options, is_secret
from router.config_values import Spelt, Table


class BackendTable(Table):
    """A table of a backend. Whatever is not a field of it is an option of the backend's class."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, hide_input_in_errors=True)

    backend: Annotated[str, MinLen(1)] = "memory"

    @property
    def options(self) -> dict[str, Any]:
        """What the table holds for the backend's class; what an environment variable says, as JSON says it."""
        return {name: _read(value) for name, value in (self.model_extra or {}).items()}

    @model_validator(mode="after")
    def _without_keys(self) -> Self:
        """Refuses passwords in the file; the environment, as `LOWFARE_CACHE__URL`, is the place for them."""
        variable = f"LOWFARE_{type(self).__name__.removesuffix('Table').upper()}__"
        stated = {name: value for name, value in (self.model_extra or {}).items() if not isinstance(value, Spelt)}
        url = stated.pop("url", None)
        if isinstance(url, str) and has_password(url):
            raise said(f"the url holds a password (not shown); set the whole url by {variable}URL instead")
        try:
            checked_options(stated)
        except ValueError as error:
            raise said(str(error).replace(ADVICE, f"set it by {variable}NAME")) from None
        return self

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Leaves out the options: an address may hold a password."""
        return ((name, getattr(self, name)) for name in type(self).model_fields)


def _read(value: Any) -> Any:
    if not isinstance(value, Spelt):
        return value
    try:
        return json.loads(value.lower() if value.lower() in ("true", "false") else value)
    except ValueError:
        return str(value)


def has_password(url: str) -> bool:
    """Returns whether an address holds a password, before its host or as an option."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.password is not None or any(is_secret(name, None) for name, _ in parse_qsl(parts.query))
