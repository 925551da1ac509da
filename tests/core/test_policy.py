"""A field annotated `Policy`: what a configuration may write there."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from router.core.policy import Policy
from tests.core.builders import keep_all

FIELD = TypeAdapter[Any](Policy)


def named(value: Any) -> Policy:
    """Builds the only policy that this configuration knows."""
    if value != "keep":
        raise ValueError("allowed: keep")
    return keep_all


def test_a_policy_stands_for_itself_and_a_name_is_built() -> None:
    """Programs pass instances, files write names or tables; both end as a policy."""
    context = {"policy": named}
    assert FIELD.validate_python(keep_all, context=context) is keep_all
    assert FIELD.validate_python("keep", context=context) is keep_all


def test_a_name_that_cannot_be_built_is_an_error_of_its_field() -> None:
    """What the builder says is what the user reads, with the place where it was written."""
    with pytest.raises(ValidationError, match="allowed: keep"):
        FIELD.validate_python({"kind": "other"}, context={"policy": named})
