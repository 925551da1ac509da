"""Amounts of money as options: exact decimals, written as strings."""

from __future__ import annotations

import re
from decimal import Context, Decimal
from typing import Annotated, Any, Final

EXACT = Context(prec=60)
"""Arithmetic in which no amount is ever rounded: a price has at most some 20 digits and a token count 12. The thread's
own context may be set to few digits, or to trap rounding; money must not depend on that."""

SPELLING: Final = re.compile(
    r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,3})?\s*|[+-]?(?:inf(?:inity)?|nan)", re.ASCII | re.IGNORECASE
)
"""How an amount is written. `Decimal` takes more: `1_000`, which some read as one, and the digits of every script."""
USD_MOST: Final = Decimal(10**12)
"""More than anyone has; beyond it an amount is a mistake, and its sums need more digits than are kept."""


class WrittenAsString:
    """Tells pydantic to refuse a binary fraction where an amount of money is meant: 0.1 is not ten cents in binary."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Returns a schema of finite decimals from 0 up, which takes strings, integers and decimals."""
        # Imported on use: a pure core that nobody configures from TOML needs no pydantic.
        from pydantic_core import PydanticCustomError, PydanticKnownError, core_schema

        def refuse(value: Any) -> Any:
            if isinstance(value, float):
                raise PydanticCustomError("usd_float", 'is a float; write it as a string: "{found}"', {"found": value})
            if isinstance(value, str) and not SPELLING.fullmatch(value):
                raise PydanticKnownError("decimal_parsing")
            return value

        amount = core_schema.decimal_schema(ge=Decimal(0), le=USD_MOST, allow_inf_nan=False)
        return core_schema.no_info_before_validator_function(refuse, amount)


_spelt: Final = EXACT.to_sci_string
"""As `str`, whose exponent the thread's own context may spell with a small letter."""

Usd = Annotated[Decimal, WrittenAsString()]
"""US dollars, 0 or more; the type of a policy's option that is an amount of money."""


def usd(amount: Decimal | None, /) -> str | None:
    """Returns dollars as a plain decimal string, without exponent or trailing zeros; None stays None."""
    if not amount:
        return None if amount is None else "0"
    text = _spelt(amount)
    if "E" in text:  # only then by `format`, which takes twice as long
        text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
