"""Hypothesis strategies for everything that lowfare decides over; needs `hypothesis`.

Each is a function that returns a strategy. What they draw shrinks to readable values, and `router.testing.as_code`
writes it as code that can be pasted. Where lowfare and Hypothesis are installed, `st.from_type(Request)` and the like
draw from these, without an import of this module.
"""

from __future__ import annotations

from hypothesis import strategies as st

from router.testing.drawn import random_scenario
from router.testing.scenario import Scenario
from router.testing.strategies_broken_configs import BrokenConfig, broken_configs
from router.testing.strategies_configs import config_tables, configs
from router.testing.strategies_models import catalogs, models, prices, rates
from router.testing.strategies_outcomes import answers, failures, outcomes, unusable_answers, usages
from router.testing.strategies_policies import instances_of, policies
from router.testing.strategies_requests import arguments_of, hints, json_schemas, json_values, messages, requests
from router.testing.strategies_slates import (
    candidates,
    contexts,
    features,
    purses,
    situations,
    slates,
    stats,
    token_counts,
)
from router.testing.strategies_texts import prompts, texts
from router.testing.strategies_vocabulary import Vocabulary, vocabulary_of

__all__ = [
    "BrokenConfig",
    "Vocabulary",
    "answers",
    "arguments_of",
    "broken_configs",
    "candidates",
    "catalogs",
    "config_tables",
    "configs",
    "contexts",
    "failures",
    "features",
    "hints",
    "instances_of",
    "json_schemas",
    "json_values",
    "messages",
    "models",
    "outcomes",
    "policies",
    "prices",
    "prompts",
    "purses",
    "rates",
    "requests",
    "scenarios",
    "seeds",
    "situations",
    "slates",
    "stats",
    "texts",
    "token_counts",
    "unusable_answers",
    "usages",
    "vocabulary_of",
]


def scenarios() -> st.SearchStrategy[Scenario]:
    """Returns a strategy of scenarios: models, policies nested to some depth, bounds, traffic and troubles."""
    return st.randoms(use_true_random=False).map(random_scenario)


def seeds() -> st.SearchStrategy[int]:
    """Returns a strategy of seeds for `router.testing.simulation.simulate`."""
    return st.integers(min_value=0, max_value=2**32)
