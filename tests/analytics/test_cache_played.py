from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from router.analytics.cache_played import OFTEN, Repeat, played
from router.analytics.report_duplicates import TTLS_S
from tests.analytics.brute import Seen
from tests.analytics.brute_repeats import duplicates
from tests.analytics.records import attempt, record
from tests.analytics.reporting import reported, rows

COSTS = st.none() | st.sampled_from([Decimal(0), Decimal("0.5"), Decimal("0.000000000000000001")])
SECOND = 1_000_000


@st.composite
def repeats(draw: st.DrawFn) -> list[Repeat]:
    """Requests of some keys, those of each in order."""
    found: list[Repeat] = []
    for key in range(draw(st.integers(0, 3))):
        one = st.tuples(st.integers(-5, 60), st.integers(0, 20), st.booleans(), COSTS)
        for came, took, answered, cost in sorted(draw(st.lists(one, max_size=12)), key=lambda r: r[:3]):
            found.append((key, came * SECOND, (came + took) * SECOND, answered, cost))
    return found


def by_request(requests: list[Repeat], ttl_s: int) -> dict[str, object]:
    """Returns what a cache comes to that is asked for each request in turn."""
    until: dict[int, int] = {}
    hits: list[Decimal | None] = []
    for key, came, ready, answered, cost in requests:
        if key in until and came < until[key]:
            hits.append(cost)
        elif answered:
            until[key] = ready + ttl_s * SECOND
    known = [cost for cost in hits if cost is not None]
    return {
        "ttl_s": ttl_s,
        "hits": len(hits),
        "saved_usd": sum(known, Decimal(0)),
        "unknown_cost": len(hits) - len(known),
    }


@given(repeats(), st.lists(st.integers(0, 40), max_size=4), st.integers(1, 12))
def test_a_cache_is_played_as_if_asked_each_time(requests: list[Repeat], ttls_s: list[int], size: int) -> None:
    """Steps from one stored answer to the next come to what a look for each request does, wherever parts end."""
    parts = [requests[start : start + size] for start in range(0, len(requests), size)]
    assert played(parts, ttls_s) == [by_request(requests, ttl_s) for ttl_s in ttls_s]


def test_a_key_that_comes_very_often(tmp_path: Path) -> None:
    """A report plays keys that come more often than SQL is quick for, beside the others, to the same figures."""
    failed = attempt(outcome="timed_out", usage=None, cost_usd=None)
    log = [
        *(record(key="a", time=n * 37, latency_s=float(n % 90), attempts=[attempt()]) for n in range(OFTEN)),
        *(
            record(key="b", time=n * 41, latency_s=float(n % 90), attempts=[failed if n % 7 == 0 else attempt()])
            for n in range(OFTEN + 1)
        ),
    ]
    expected = duplicates([Seen(one) for one in log], TTLS_S, 10.0)["cache_curve"]
    assert [row["hits"] for row in expected] != [0] * len(expected)
    for found, row in zip(rows(reported(tmp_path, log)["cache_curve"]), expected, strict=True):
        assert {name: found[name] for name in ("ttl_s", "hits", "saved_usd", "unknown_cost")} == {
            name: row[name] for name in ("ttl_s", "hits", "saved_usd", "unknown_cost")
        }
