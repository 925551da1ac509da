from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.decision import Decision
from router.core.measure import measurements
from router.errors import ConfigError
from router.sinks.metric_labels import COMBINATIONS_MOST, OTHER, MetricLabels
from router.testing.records import decision_of
from tests.decisions import decisions

TEAM, USER, TENANT = "lowfare.tag.team", "lowfare.tag.user", "lowfare.tenant"
tags = st.dictionaries(st.sampled_from(["team", "user", "secret"]), st.text("abcdef", max_size=2))


@given(told=st.lists(decisions(tags), max_size=30), most=st.integers(1, 5), tenant=st.booleans())
def test_labels_take_few_values(told: list[Decision], most: int, *, tenant: bool) -> None:
    """Only what is listed becomes a label, on every measurement; none has more values than stated, and "other"."""
    labels = MetricLabels(["team", "user"], tenant=tenant, values_most=most)
    seen: dict[str, set[str]] = {}
    for decision in told:
        plain, found = list(measurements(decision)), list(labels.measured(decision))
        assert [(m.instrument, m.value) for m in found] == [(m.instrument, m.value) for m in plain]
        for measured in found:
            assert set(measured.attributes) <= {*measured.instrument.attributes, *labels.names}
            assert (TENANT in measured.attributes) == (tenant and decision.tenant is not None)
            assert (TEAM in measured.attributes) == ("team" in decision.tags)
            for name, value in measured.attributes.items():
                seen.setdefault(name, set()).add(value)
    assert all(len(values - {OTHER}) <= most for values in seen.values())
    assert set(labels.names) == {TEAM, USER, *([TENANT] if tenant else [])}


@given(st.lists(decisions(), max_size=10))
def test_within_bounds_nothing_changes(told: list[Decision]) -> None:
    """Values are counted as they are as long as they are few."""
    labels = MetricLabels()
    for decision in told:
        assert list(labels.measured(decision)) == list(measurements(decision))


def test_values_come_first_come_first_served() -> None:
    """A value that was taken stays; a later one is "other", and so is one that is far too long."""
    labels = MetricLabels(["team"], values_most=2)

    def team(value: str) -> str:
        return next(iter(labels.measured(decision_of(tags={"team": value})))).attributes[TEAM]

    assert [team(value) for value in ("x" * 201, "a", "b", "c", "a", "d", "b")] == [
        OTHER,
        "a",
        "b",
        OTHER,
        "a",
        OTHER,
        "b",
    ]


def test_combinations_are_bounded_too() -> None:
    """Two labels of many values do not multiply without end: what comes later is "other" in both."""
    labels = MetricLabels(["team", "user"], values_most=100)
    seen = {
        (first.attributes[TEAM], first.attributes[USER])
        for team in range(50)
        for user in range(50)
        for first in [
            next(iter(labels.measured(decision_of(outcomes=[], tags={"team": f"{team}", "user": f"{user}"}))))
        ]
    }
    assert len(seen) == COMBINATIONS_MOST + 1
    assert (OTHER, OTHER) in seen


def test_threads_do_not_overrun_the_bound() -> None:
    """Values that come from many threads at once are bounded all the same."""
    labels = MetricLabels(["team"], values_most=5)

    def team(number: int) -> str:
        return next(iter(labels.measured(decision_of(outcomes=[], tags={"team": f"{number}"})))).attributes[TEAM]

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(team, range(200)))) == 6


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tags": "team"}, "labels: found 'team'"),
        ({"tags": ["team", 1]}, "labels: found"),
        ({"tags": [""]}, "labels: found"),
        ({"tags": ["team", "user", "team"]}, "labels: 'team' stands there twice; allowed: once"),
        (
            {"tags": ["user.id", "team", "user_id"]},
            "labels: 'user.id' and 'user_id' are one label for Prometheus, lowfare_tag_user_id; allowed: one of them",
        ),
        ({"tags": ["é", "ü"]}, "labels: 'é' and 'ü' are one label for Prometheus, lowfare_tag_; allowed: one of them"),
        ({"values_most": 0}, "label_values_most: found 0; allowed: 1 or more"),
    ],
)
def test_options_that_are_not_allowed(options: dict[str, Any], told: str) -> None:
    """An option that makes no sense is told with what is allowed."""
    with pytest.raises(ConfigError, match=told):
        MetricLabels(**options)
