"""Checking JSON against a schema that a user wrote."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.schema_check import schema_check

VALUES = st.recursive(st.none() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v))


@given(VALUES)
def test_any_value_can_be_checked(value: object) -> None:
    """The check gives a reason or none; it never raises."""
    check = schema_check({"type": "object", "required": ["a"]})
    assert check is not None
    reason = check(value)
    assert (reason is None) == (isinstance(value, dict) and "a" in value)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, 1, "1"),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
            {"a": ""},
            {"b": ""},
        ),
        ({"$defs": {"n": {"type": "number"}}, "type": "array", "items": {"$ref": "#/$defs/n"}}, [1], ["x"]),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "enum": ["a"]}, "a", "b"),
        ({"anyOf": [{"type": "null"}, {"minLength": 2}]}, None, "x"),
    ],
)
def test_a_schema_holds(schema: dict[str, Any], good: object, bad: object) -> None:
    """What matches passes, what does not has a reason."""
    check = schema_check(schema)
    assert check is not None
    assert check(good) is None
    assert "of the schema" in (check(bad) or "")


def test_a_reason_quotes_nothing() -> None:
    """The answer's words stay out of the record."""
    check = schema_check({"type": "object", "additionalProperties": {"type": "integer"}})
    assert check is not None
    assert "secret" not in (check({"secret key": "secret value"}) or "")


@pytest.mark.parametrize("schema", [{"type": "nope"}, {"properties": []}, {"pattern": 1}])
def test_what_is_no_schema_has_no_check(schema: dict[str, Any]) -> None:
    """A fault of the schema does not cost the caller an answer."""
    assert schema_check(schema) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#"},
        {"patternProperties": {"(": {}}},
    ],
)
def test_a_reference_is_not_fetched(schema: dict[str, Any]) -> None:
    """What leads outside, nowhere, to itself or to no regular expression makes the check say nothing."""
    check = schema_check(schema)
    assert check is None or check({"a": "b"}) is None


def test_the_library_is_imported_when_asked_for() -> None:
    """Programs that ask for no schema do not pay for it."""
    code = "import sys, router.core.usable; sys.exit('jsonschema' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
