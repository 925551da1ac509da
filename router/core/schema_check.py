"""Checks a value against a JSON schema that a user wrote, without trusting the schema.

`jsonschema` is imported when the first schema is asked for, not before: most requests ask for none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

SchemaCheck = Callable[[Any], str | None]
"""Returns why a value breaks the schema, without quoting the value; None where it does not, or nobody can tell."""


def schema_check(schema: Mapping[str, Any]) -> SchemaCheck | None:
    """Returns a check against the schema, or None where the schema itself is not one.

    The check is worth keeping as long as the schema is in use: to make one costs a few milliseconds, to run it
    some microseconds. No reference is ever fetched: one that leads outside the schema makes the check say nothing,
    since a fault of the schema must not cost the caller an answer.
    """
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(dict(schema))
    except (SchemaError, RecursionError, re.error):
        return None
    validator = kind(dict(schema), registry=Registry())

    def check(value: Any) -> str | None:
        try:
            error = next(validator.iter_errors(value), None)
        except (Unresolvable, RecursionError, re.error):
            return None
        return None if error is None else f"the JSON breaks {str(error.validator)!r} of the schema"

    return check
