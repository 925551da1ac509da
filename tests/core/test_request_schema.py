"""A pydantic model class as `response_format`."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Annotated, Any, Literal

import orjson
import pytest
from openai.lib._pydantic import to_strict_json_schema
from pydantic import BaseModel, Field

from router.core.answer import Answer, Choice, Message
from router.core.failure import Failure
from router.core.parse import parse_request
from router.core.schema import response_format_of
from router.core.usable import unusable


class Address(BaseModel):
    """Where somebody lives."""

    street: str
    zip_code: str | None = None


class Tree(BaseModel):
    """A reference to itself."""

    name: str
    children: list[Tree] = []


class Cat(BaseModel):
    """One of two."""

    kind: Literal["cat"]


class Dog(BaseModel):
    """The other."""

    kind: Literal["dog"]
    age: int = 3


class Person(BaseModel):
    """Nearly everything pydantic writes into a schema."""

    home: Address = Field(description="a reference with a sibling")
    work: Address | None = Field(default=None, description="nullable, with a default")
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    scores: dict[str, int] = {}
    names: list[str]
    pair: tuple[int, str]


class Merged(BaseModel):
    """Schemas as older versions of pydantic wrote them."""

    @classmethod
    def model_json_schema(cls, *_args: Any, **_kwargs: Any) -> dict[str, Any]:
        """Returns a schema with `allOf`, of one and of two parts, and `definitions`."""
        return {
            "type": "object",
            "definitions": {
                "A": {"type": "object", "properties": {"x": {"$ref": "#/definitions/B", "title": "an x"}}},
                "B": {"type": "string"},
            },
            "properties": {
                "one": {"allOf": [{"$ref": "#/definitions/A"}]},
                "two": {"allOf": [{"type": "object", "properties": {"y": {"type": "integer"}}}, {"type": "object"}]},
                "three": {"allOf": [{"$ref": "#/definitions/A", "title": "a three"}, {"type": "object"}]},
                "four": {"anyOf": [{"$ref": "#/definitions/A", "title": "a four"}, {"type": "null"}]},
                "five": {"type": "array", "items": {"$ref": "#/definitions/B", "title": "a five"}},
            },
        }


@pytest.mark.parametrize("model", [Address, Tree, Person, Merged])
def test_a_model_class_becomes_the_schema_that_openais_client_makes(model: type[BaseModel]) -> None:
    """Strict, closed, every property required: equal to OpenAI's own function, key for key."""
    assert parse_request("hi", response_format=model).params["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": model.__name__, "strict": True, "schema": to_strict_json_schema(model)},
    }


def test_a_mapping_is_left_as_it_is() -> None:
    """Formats in OpenAI's own form go through, unknown ones too."""
    given = {"type": "grammar", "x": 1}
    assert response_format_of(given) is given


def judged(text: str) -> Failure | None:
    """Returns why an answer is of no use to who asked for an address."""
    request = parse_request("hi", response_format=Address)
    return unusable(Answer(choices=(Choice(message=Message(content=text), finish_reason="stop"),)), request)


def test_an_answer_that_the_class_takes_is_of_use() -> None:
    """Every property is asked of the model; one with a default may be missing all the same, and no other."""
    assert judged('{"street": "Main", "zip_code": null}') is None
    assert judged('{"street": "Main"}') is None
    assert judged('{"street": "Main", "country": "CH"}') is None
    assert judged('{"zip_code": "8000"}') is not None
    assert Address.model_validate_json('{"street": "Main", "country": "CH"}').zip_code is None


def test_a_copy_of_the_schema_knows_the_class_too() -> None:
    """Clients change copies, and send the schema alone; what an answer is checked against stays."""
    schema = parse_request("hi", response_format=Address).params["response_format"]["json_schema"]["schema"]
    copied = deepcopy(schema)
    copied["properties"]["street"]["type"] = "integer"
    assert schema == to_strict_json_schema(Address)
    assert copied.own is schema.own
    assert orjson.loads(orjson.dumps(schema)) == json.loads(json.dumps(schema)) == schema
