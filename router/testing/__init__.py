"""What tests of programs that use lowfare need: checks of one's own code, a router that asks nobody, its parts.

What stands in `__all__` is imported when it is first asked for: only some of it needs Hypothesis or pydantic.
Strategies for Hypothesis are in `router.testing.strategies`, fixtures for pytest in `lowfare_plugins.pytest`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from router.clients.real import RealCallRefused, allow_real_calls, forbid_real_calls
    from router.testing.caches import check_cache
    from router.testing.clients import check_client
    from router.testing.clock import VirtualClock
    from router.testing.config import check_config
    from router.testing.decisions import Decisions
    from router.testing.guard import NetworkRefused, loopback_only
    from router.testing.ledgers import check_ledger
    from router.testing.outboxes import check_outbox
    from router.testing.pasteable import as_code, as_script
    from router.testing.policies import check_policy
    from router.testing.prices import check_prices
    from router.testing.scripted import ScriptedClient, answer, failure
    from router.testing.simulated import simulated_router
    from router.testing.sinks import check_sink
    from router.testing.state import check_state

__all__ = [
    "Decisions",
    "NetworkRefused",
    "RealCallRefused",
    "ScriptedClient",
    "VirtualClock",
    "allow_real_calls",
    "answer",
    "as_code",
    "as_script",
    "check_cache",
    "check_client",
    "check_config",
    "check_ledger",
    "check_outbox",
    "check_policy",
    "check_prices",
    "check_sink",
    "check_state",
    "failure",
    "forbid_real_calls",
    "loopback_only",
    "simulated_router",
]

_PLACES = {
    "router.clients.real": ("RealCallRefused", "allow_real_calls", "forbid_real_calls"),
    "router.testing.caches": ("check_cache",),
    "router.testing.clients": ("check_client",),
    "router.testing.clock": ("VirtualClock",),
    "router.testing.config": ("check_config",),
    "router.testing.decisions": ("Decisions",),
    "router.testing.guard": ("NetworkRefused", "loopback_only"),
    "router.testing.ledgers": ("check_ledger",),
    "router.testing.outboxes": ("check_outbox",),
    "router.testing.pasteable": ("as_code", "as_script"),
    "router.testing.policies": ("check_policy",),
    "router.testing.prices": ("check_prices",),
    "router.testing.scripted": ("ScriptedClient", "answer", "failure"),
    "router.testing.simulated": ("simulated_router",),
    "router.testing.sinks": ("check_sink",),
    "router.testing.state": ("check_state",),
}
"""By module, the public names that it has."""


def __getattr__(name: str) -> Any:
    """Imports a public name from its module."""
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
