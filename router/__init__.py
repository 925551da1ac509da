"""lowfare: a cost-aware model router."""

from router.core import statics
from router.core.catalog import Capability, Catalog, Model
from router.core.money import Usd
from router.core.policy import Context, Policy
from router.core.request import Features
from router.core.slate import Candidate, Dropped, Slate
from router.core.stats import ModelStats, Stats

__all__ = [
    "Candidate",
    "Capability",
    "Catalog",
    "Context",
    "Dropped",
    "Features",
    "Model",
    "ModelStats",
    "Policy",
    "Slate",
    "Stats",
    "Usd",
    "statics",
]
