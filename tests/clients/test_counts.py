from __future__ import annotations

import pytest

from router.clients.counts import count_at, table_at


@pytest.mark.parametrize(("found", "count"), [(3, 3), (3.0, 3), (None, 0), ("3", 0), ([], 0)])
def test_what_is_no_count_is_zero(found: object, count: int) -> None:
    """A provider that sends null, or something else, has counted nothing."""
    assert count_at({"tokens": found}, "tokens") == count
    assert count_at({}, "tokens") == 0


@pytest.mark.parametrize(("found", "table"), [({"a": 1}, {"a": 1}), (None, {}), ([1], {}), ("x", {})])
def test_what_is_no_object_is_empty(found: object, table: object) -> None:
    """What is looked up in it is not there."""
    assert table_at({"details": found}, "details") == table
    assert table_at({}, "details") == {}
