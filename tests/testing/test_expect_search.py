from __future__ import annotations

import subprocess
import sys
from typing import Any

from router.testing.expect_search import SEARCHED, Case, search, search_at_random
from router.testing.space import Among, Cell, need
from router.testing.space_linear import line
from router.testing.space_world import Asked, World
from tests.testing.tiny_configs import has, world_of

MODELS: dict[str, Any] = {
    "a": {
        "id": "a",
        "base_url": "http://localhost:1",
        "context_window_tokens": 5000,
        "input_usd_per_mtok": "1",
        "output_usd_per_mtok": "1",
    }
}
WITHOUT = """
import sys
sys.modules["hypothesis"] = None
from router.testing.expect_search import search
from tests.testing.test_expect_search import of_large_requests, some_requests
print(search(*some_requests(), of_large_requests)[0] is not None)
"""


def some_requests() -> tuple[Cell, World]:
    """Returns requests of up to 6,000 tokens that need no images, and the world they are of."""
    world = world_of({"models": MODELS})
    cell = world.space(Asked(tags={"t": frozenset(("x", "y"))})).all()
    part = cell.take(line("n", 1, 0, 6000), Among(need("vision"), frozenset((False,))))
    assert part is not None
    return part, world


def of_large_requests(case: Case) -> bool:
    """Returns whether a case is of a request for which the window is too small."""
    return case.point.sizes[0] > 5000


def test_every_case_is_of_the_cell() -> None:
    """No request is tried that is not meant, and they are not all alike."""
    cell, world = some_requests()
    seen: list[Case] = []

    def breaks(case: Case) -> bool:
        seen.append(case)
        return False

    assert search_at_random(cell, world, breaks) == (None, SEARCHED)
    assert all(has(cell, case.point) for case in seen)
    assert {case.point.answers["tag", "t"] for case in seen} == {None, "x", "y", "other"}
    assert len({case.point.sizes[0] for case in seen}) > 5
    assert {bool(case.stats) for case in seen} == {True, False}
    assert len({case.now for case in seen}) > 20


def test_a_case_is_found() -> None:
    """Limits are where it is looked: a request just beyond a window is found, with Hypothesis and without."""
    for find in (search, search_at_random):
        case, looked = find(*some_requests(), of_large_requests)
        assert looked == SEARCHED
        assert case is not None
        assert case.point.sizes[0] == 5001


def test_without_hypothesis() -> None:
    """Where Hypothesis is not installed it is searched at random."""
    run = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "True", run.stderr


def test_the_same_is_searched_again() -> None:
    """A search finds the same today and tomorrow."""
    assert search(*some_requests(), of_large_requests) == search(*some_requests(), of_large_requests)
