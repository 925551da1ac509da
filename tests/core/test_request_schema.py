"""A pydantic model class as `response_format`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from openai.lib._pydantic import to_strict_json_schema
from pydantic import BaseModel, Field

from router.core.parse import parse_request
from router.core.schema import response_format_of


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
            "definitions": {"A": {"type": "object", "properties": {"x": {"type": "string"}}}},
            "properties": {
                "one": {"allOf": [{"$ref": "#/definitions/A"}]},
                "two": {"allOf": [{"type": "object", "properties": {"y": {"type": "integer"}}}, {"type": "object"}]},
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
