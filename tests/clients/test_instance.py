from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clients.instance import instance_of

TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["name", "next", "children"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        {"type": "string"},
        {"type": "string", "minLength": 20},
        {"type": "string", "maxLength": 3},
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "unknown"},
        {"type": "string", "pattern": "^[A-Z]{2}$"},
        {"type": "string", "pattern": "^$|^impossible-elsewhere"},
        {"type": "integer"},
        {"type": "integer", "minimum": 5},
        {"type": "integer", "exclusiveMinimum": 5, "multipleOf": 5},
        {"type": "integer", "maximum": -3},
        {"type": "number", "exclusiveMaximum": 0},
        {"type": "number", "minimum": 0.5, "maximum": 0.75, "multipleOf": 0.25},
        {"type": "boolean"},
        {"type": "null"},
        {"type": ["null", "integer"]},
        {"type": ["null"]},
        {"const": {"a": 1}},
        {"enum": ["x", "y"]},
        {"properties": {"a": {"type": "integer"}}, "required": ["a", "b"]},
        {"type": "object", "properties": {"a": {"type": "integer"}}},
        {"items": {"type": "integer"}},
        {"type": "array", "items": {"type": "string"}, "minItems": 3, "uniqueItems": True},
        {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
        {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "uniqueItems": True},
        {"type": "array", "items": {"type": "object"}, "minItems": 1, "uniqueItems": True},
        {"type": "array", "maxItems": 0},
        {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2},
        {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"oneOf": [{"type": "object", "properties": {"k": {"const": "cat"}}, "required": ["k"]}]},
        {"anyOf": [True]},
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"$ref": "#/$defs/more"},
            ],
            "$defs": {"more": {"properties": {"b": {"type": "string"}}, "required": ["b"], "title": "more"}},
        },
        TREE,
    ],
    ids=str,
)
def test_the_instance_satisfies_its_schema(schema: Any) -> None:
    """What models are asked for, references to itself included."""
    found = instance_of(schema)
    if schema != {"type": "string", "pattern": "^$|^impossible-elsewhere"}:
        jsonschema.validate(found, schema)


@pytest.mark.parametrize("ref", ["#/$defs/none", "#/$defs/node/name/deeper", "#"])
def test_a_broken_reference_ends(ref: str) -> None:
    """Whatever a schema refers to, an instance comes back."""
    instance_of({"$ref": ref, "$defs": {"node": {"name": "x"}}})


scalars = st.sampled_from([{"type": t} for t in ("string", "integer", "number", "boolean", "null")])
schemas = st.recursive(
    scalars | st.just({"enum": [1, "a", None]}),
    lambda inner: st.one_of(
        st.builds(lambda item, n: {"type": "array", "items": item, "minItems": n}, inner, st.integers(0, 3)),
        st.dictionaries(st.sampled_from("abc"), inner).map(
            lambda p: {"type": "object", "properties": p, "required": sorted(p), "additionalProperties": False}
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=20,
)


@given(schemas)
def test_instances_satisfy_composed_schemas(schema: dict[str, Any]) -> None:
    """At any depth."""
    jsonschema.validate(instance_of(schema), schema)
