from __future__ import annotations

import pytest

from router.errors import ConfigError
from router.sinks.prometheus import PrometheusSink
from router.sinks.states import States, app_of, show


def test_only_sinks_that_look_are_shown() -> None:
    """A sink that takes decisions alone is left alone."""
    states = States(health=dict, budgets_left=dict)
    seen: list[States] = []

    class Looking:
        def observe(self, states: States, /) -> None:
            seen.append(states)

    show(states, [object(), Looking(), object()])
    assert seen == [states]
    assert list(states.measured()) == []


def test_an_app_needs_a_sink_that_serves() -> None:
    """Without one, the error says how to make one."""
    app_of([object(), PrometheusSink()])
    with pytest.raises(ConfigError, match=r'set \[sinks.metrics\] kind = "prometheus"'):
        app_of([object()])
