"""Hypothesis strategies for programs that test themselves against a simulated world; needs `hypothesis`."""

from __future__ import annotations

from hypothesis import strategies as st

from router.testing.drawn import random_scenario
from router.testing.scenario import Scenario


def scenarios() -> st.SearchStrategy[Scenario]:
    """Returns a strategy of scenarios: models, policies nested to some depth, bounds, traffic and troubles."""
    return st.randoms(use_true_random=False).map(random_scenario)


def seeds() -> st.SearchStrategy[int]:
    """Returns a strategy of seeds for `router.testing.simulation.simulate`."""
    return st.integers(min_value=0, max_value=2**32)
