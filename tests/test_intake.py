from __future__ import annotations

from typing import Any

from router.core.parse import parse_request
from router.core.place import ConcurrencySettings
from router.intake import Intake
from router.sinks.tracing import Ambient
from router.state.gate import Gate
from router.state.statistics import Statistics
from router.testing.clock import VirtualClock
from tests.cache.routers import routed


def intake(**more: Any) -> Intake:
    """Returns the intake of a router with a cache."""
    router = routed(None, **more)
    clock = VirtualClock()
    setup = router._setup  # noqa: SLF001 - made once, as the router makes it
    gate = Gate(
        breaker=setup.breaker, quota=setup.retry_quota, concurrency=ConcurrencySettings(), monotonic=clock.monotonic
    )
    return Intake(setup, clock, gate, Statistics(), Ambient())


def test_facts_of_equal_requests_are_those_of_each() -> None:
    """What is remembered of an equal request is what would have been found out again, whatever came between."""
    used = intake()
    variants: list[dict[str, Any]] = [
        {},
        {"max_tokens": 50},
        {"min_quality": 0.5},
        {"max_cost_usd": "0.0001"},
        {"service_tier": "flex"},
        {"service_tier": "priority"},
        {"model": "small"},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
    ]
    for stream in (False, True):
        for variant in [*variants, *variants]:
            request = parse_request("hi", stream, **variant)
            known, fresh = used.given(request, 0.0), intake().given(request, 0.0)
            assert known.features == fresh.features
            assert known.able is not None
            assert fresh.able is not None
            assert [c.name for c in known.able.live] == [c.name for c in fresh.able.live]
            assert [(d.name, d.reason) for d in known.able.dropped] == [(d.name, d.reason) for d in fresh.able.dropped]


def test_facts_are_not_kept_without_end() -> None:
    """A program with ever new prompts does not fill the memory."""
    used = intake()
    for number in range(2_100):
        used.given(parse_request(f"hi {number}"), 0.0)
    assert len(used._lately) < 2_100  # noqa: SLF001 - what must not grow cannot be seen from outside


def test_nothing_is_remembered_of_requests_whose_keys_leave_something_out() -> None:
    """Two of them share a key, and may differ in length."""
    used = intake(per_policy={"default": {"cache": {"drop_text": ["<.*>"]}}})
    counts = [
        used.given(
            parse_request([{"role": "system", "content": f"<{'a b ' * n}>"}, {"role": "user", "content": "hi"}]), 0.0
        ).features.input_tokens.likely
        for n in (1, 100)
    ]
    assert counts[0] < counts[1]
