"""A simulation repeats, and it finds every promise that is broken."""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types
import pytest
from pyarrow import parquet

from router import Bounds, Call
from router.core.parse import parse_request
from router.errors import warn
from router.testing.providers import TRACE_HEADER, Entry, ScriptedProvider
from router.testing.report import Outcome, Recorded, Report, Rule, report_of
from router.testing.scenario import Scenario
from router.testing.simulation import Routed, Stage, prompt_of, simulate
from router.testing.traffic import Arrival, Traffic
from router.testing.troubles import Spread, Trouble
from router.testing.world import World

MODELS = {
    name: {
        "id": f"simulated/{name}",
        "input_usd_per_mtok": price,
        "output_usd_per_mtok": price,
        "context_window_tokens": 100_000,
        "max_output_tokens": 500,
    }
    for name, price in {"small": "1", "large": "5"}.items()
}
TRACE = "ab" * 16
ARRIVAL = Arrival(index=0, trace_id=TRACE, at_s=0.0, input_tokens=100, output_tokens=10)


def scenario(*troubles: Trouble, **traffic: Any) -> Scenario:
    """Returns a scenario of a minute with these troubles."""
    asked = Traffic(**{"rate_per_s": 2, "duration_s": 60, "options": {"max_tokens": 300}, **traffic})
    return Scenario(config={"models": MODELS}, traffic=asked, troubles=troubles)


def test_the_same_seed_gives_the_same_report() -> None:
    """Down to the last figure; another seed gives another."""
    played = scenario(Trouble(kind="refuse", share=0.3), Trouble(kind="error", share=0.3), stream_share=0.5)
    assert simulate(played, 5).to_dict() == simulate(played, 5).to_dict()
    assert simulate(played, 5).to_dict() != simulate(played, 6).to_dict()


def test_a_quiet_minute() -> None:
    """Everyone is answered by the cheapest model, nothing is wasted, and record and truth agree on that."""
    report = simulate(scenario())
    assert report.violations == ()
    assert report.success_share == 1.0
    assert set(report.calls) == {"small"}
    assert (report.waste_share, report.true_waste_share) == (0.0, 0.0)
    assert report.cost_usd == report.true_cost_usd
    assert report.calls_most == 1


def test_callers_who_leave_are_no_failures() -> None:
    """They count neither as answered nor as let down, and leave nothing behind."""
    report = simulate(
        scenario(stream_share=0.7, cancel_share=0.5, drop_share=0.8, patience_s=Spread(median=0.3, spread=1))
    )
    assert report.violations == ()
    assert report.outcomes["gave_up"] > 10
    assert report.success_share == 1.0


def test_an_outage_is_seen_in_the_load() -> None:
    """Calls while it lasts, there and elsewhere, beside what was offered; the failures are named."""
    report = simulate(scenario(Trouble(kind="unreachable", model="small", start_s=20, duration_s=20)))
    (load,) = report.loads
    assert load.trouble == "0: unreachable small"
    assert load.calls >= load.offered > 0
    assert 0 < load.calls_there <= load.calls
    assert report.fates["unreachable"] == load.calls_there


def test_a_jump_of_the_clock_harms_nobody() -> None:
    """Deadlines follow time that passes, not what the wall shows."""
    jumps = (Trouble(kind="clock_jump", start_s=10, jump_s=-7200), Trouble(kind="clock_jump", start_s=30, jump_s=7200))
    report = simulate(scenario(*jumps))
    assert report.violations == ()
    assert report.success_share == 1.0


def test_no_requests_at_all() -> None:
    """A scenario in which nobody asks ends at once."""
    report = report_of(scenario(), 0, [], [], [], [])
    assert (report.requests, report.success_share, report.latency_s) == (0, 1.0, {})


def test_a_trace_without_requests(tmp_path: Path) -> None:
    """Ends at once, too."""
    columns: dict[str, list[float]] = {name: [] for name in ("t_s", "input_tokens", "output_tokens")}
    parquet.write_table(pa.table(columns), tmp_path / "empty.parquet")
    assert simulate(scenario(kind="trace", path=str(tmp_path / "empty.parquet"))).requests == 0


def test_an_unknown_option_of_requests_is_a_crash_no_more_than_others() -> None:
    """What every request gets wrong is the caller's error, which is told by name."""
    report = simulate(scenario(options={"policy": "nope"}, duration_s=3))
    assert set(report.outcomes) == {"RequestError"}


class Careless:
    """A contender that forgets its tasks, warns, and breaks on every second request."""

    def __init__(self, stage: Stage) -> None:
        from router.setup import setup_of

        self._provider = stage.provider
        self._model = setup_of(stage.settings).catalog["small"]
        self._left: list[asyncio.Task[Any]] = []

    @property
    def records(self) -> list[Recorded] | None:
        return None

    @property
    def held(self) -> tuple[str, ...]:
        return ("1 place at small",)

    async def ask(self, arrival: Arrival, /) -> str:
        if arrival.index % 2:
            raise ZeroDivisionError("oops")
        call = Call(
            model=self._model,
            request=parse_request(prompt_of(arrival)),
            timeouts=self._model.timeouts.within(60),
            headers={TRACE_HEADER: arrival.trace_id},
        )
        warn("something is wrong")
        self._left.append(asyncio.create_task(self._provider.send(call), name="forgotten"))
        await asyncio.sleep(0)
        return "answer"

    async def aclose(self) -> None:
        """Closes nothing."""


def test_another_contender_plays_by_the_same_rules() -> None:
    """Its crashes, its warnings and what it forgets are found; of records it keeps none, so nothing is said."""
    report = simulate(scenario(duration_s=2, kind="constant"), contender=Careless)
    assert {violation.rule for violation in report.violations} == {"crash", "leak"}
    assert "crash ZeroDivisionError: oops" in report.outcomes
    assert any(violation.detail == "warned: something is wrong" for violation in report.violations)
    assert any("forgotten" in violation.detail for violation in report.violations)
    assert any("1 place at small" in violation.detail for violation in report.violations)
    assert any("left open" in violation.detail for violation in report.violations)
    assert (report.cost_usd, report.waste_share, report.unrecorded_usd) == (None, None, None)


def recorded(**fields: Any) -> Recorded:
    """Returns the record of one attempt that kept every promise."""
    kept = Recorded(
        trace_id=TRACE,
        attempts=1,
        bounds=Bounds(attempts=1, deadline_s=5.0),
        cost_usd=Decimal(1),
        waste_usd=Decimal(0),
        worst_case_usd=Decimal(2),
    )
    return replace(kept, **fields)


def entry(**fields: Any) -> Entry:
    """Returns one call in the books."""
    return Entry(
        **{
            "trace_id": TRACE,
            "model": "small",
            "started_s": 0.0,
            "fate": "answer",
            "state": "done",
            "billed_usd": Decimal(1),
            "useful": True,
            **fields,
        }
    )


def reported(
    *records: Recorded, what: str = "answer", took_s: float = 1.0, entries: tuple[Entry, ...] = (), leaked: str = ""
) -> Report:
    """Returns the report of one request."""
    outcome = Outcome(arrival=ARRIVAL, what=what, took_s=took_s)
    return report_of(scenario(), 0, [outcome], entries or (entry(),), list(records), (leaked,) if leaked else ())


def test_a_kept_promise_is_no_finding() -> None:
    """One call, in time, below the worst case."""
    assert reported(recorded()).violations == ()
    assert reported(recorded(worst_case_usd=None)).violations == ()


BROKEN: dict[Rule, Report] = {
    "attempts": reported(recorded(attempts=2), entries=(entry(), entry(billed_usd=Decimal(0)))),
    "deadline_s": reported(recorded(), took_s=5.001),
    "worst_case": reported(recorded(worst_case_usd=Decimal(1), cost_usd=Decimal("1.1"))),
    "true_worst_case": reported(recorded(), entries=(entry(billed_usd=Decimal(3)),)),
    "one_decision": reported(recorded(), recorded()),
    "unrecorded_call": reported(recorded(attempts=0)),
    "unpriced": reported(recorded(cost_usd=None)),
    "empty_success": reported(recorded(), what="empty"),
    "crash": reported(recorded(), what="crash KeyError: x"),
    "leak": reported(recorded(), leaked="the task 'Task-1'"),
}


def test_every_rule_has_a_case() -> None:
    """So that none is there for show."""
    assert set(BROKEN) == set(get_args(Rule))


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_promise_is_found(rule: Rule) -> None:
    """That one, and no other."""
    assert {violation.rule for violation in BROKEN[rule].violations} == {rule}


def test_a_missing_decision_is_found() -> None:
    """A request without any record is as bad as one with two."""
    assert [violation.rule for violation in reported().violations] == ["one_decision"]


def test_what_the_record_hides_is_told() -> None:
    """True cost above the recorded one, summed over requests."""
    report = reported(recorded(), entries=(entry(billed_usd=Decimal("1.5")),))
    assert report.unrecorded_usd == Decimal("0.5")
    assert report.to_dict()["unrecorded_usd"] == "0.5"
    assert reported(entries=(entry(),)).unrecorded_usd == Decimal(1)


def test_a_prompt_has_the_tokens_of_its_arrival() -> None:
    """Within a few, also beyond the text that is kept ready, and at least one."""
    for tokens in (1, 100, 9_000):
        words = prompt_of(replace(ARRIVAL, input_tokens=tokens)).split()
        assert abs(len(words) - max(3, tokens)) <= 12


def test_other_warnings_stay_warnings() -> None:
    """Only what a router says of itself belongs to the report."""

    class Outdated(Careless):
        async def ask(self, arrival: Arrival, /) -> str:
            warnings.warn("old", FutureWarning, stacklevel=1)
            return "answer"

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        report = simulate(scenario(duration_s=2, kind="constant"), contender=Outdated)
    assert {str(warning.message) for warning in caught} == {"old"}
    assert {violation.rule for violation in report.violations} == {"leak"}


def test_the_end_of_a_scenario_shows_what_is_held() -> None:
    """Places, queues and probes are empty after traffic that had to wait, and whose callers left."""
    tables = {
        "small": MODELS["small"] | {"concurrency": 1, "queue": 2},
        "large": MODELS["large"] | {"deployments": [{"name": "a", "region": "eu"}, {"name": "b", "region": "us"}]},
    }
    busy = Scenario(
        config={"models": tables, "hedge": {"enabled": True, "after_s": 0.5}, "breaker": {"consecutive_failures": 1}},
        traffic=Traffic(rate_per_s=4, duration_s=60, cancel_share=0.3, options={"max_tokens": 300}),
        troubles=(Trouble(kind="error", region="eu", share=0.5),),
    )
    report = simulate(busy, 3)
    assert report.violations == ()
    assert report.fates["error"] > 0
    assert {"small", "large"} <= report.calls.keys()


def test_what_a_router_holds_is_told() -> None:
    """While its calls are under way, a router names their places, those who queue, and the probe of a breaker."""
    world = World()
    tables = {"small": MODELS["small"] | {"concurrency": 1}}
    played = Scenario(config={"models": tables, "breaker": {"consecutive_failures": 1, "open_s": 1}})
    arrivals = {f"{n:032x}": replace(ARRIVAL, index=n, trace_id=f"{n:032x}") for n in range(1, 4)}
    provider = ScriptedProvider(world.clock, arrivals, troubles=(Trouble(kind="error"),))
    stage = Stage(scenario=played, seed=0, clock=world.clock, settings=played.settings(), provider=provider)
    routed = Routed(stage)
    first, second, third = arrivals.values()
    assert world.run(routed.ask(first)) != "answer"
    provider.befall((Trouble(kind="hang"),))

    async def held() -> tuple[str, ...]:
        await asyncio.sleep(5)
        asked = [asyncio.create_task(routed.ask(arrival)) for arrival in (second, third)]
        await asyncio.sleep(0.01)
        seen = routed.held
        for task in asked:
            task.cancel()
        await asyncio.wait(asked)
        return seen

    assert set(world.run(held())) == {
        "1 places at small",
        "1 turns in the queue of small",
        "1 attempts at small/small",
        "the probe of small/small",
    }
    assert routed.held == ()
    world.close()
