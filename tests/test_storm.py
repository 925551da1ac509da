"""Whatever happens, a request keeps its bounds: the production router in virtual time, only client and clock scripted.

A failing seed prints the command that repeats it: `lowfare simulate --scenario random --seed N`.
"""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.cli.simulate import replay_command
from router.core.decision import Decision
from router.errors import RouterError
from router.testing.drawn import random_scenario
from router.testing.providers import ScriptedProvider
from router.testing.report import Outcome, Report, report_of
from router.testing.scenario import RANDOM, Scenario, load_scenario, with_trace
from router.testing.simulation import Routed, Stage, simulate
from router.testing.strategies import scenarios, seeds
from router.testing.traffic import Arrival, Traffic
from router.testing.troubles import Spread, Trouble
from router.testing.world import World
from tests.shared_data import data_path

SCENARIOS = Path(__file__).resolve().parents[1] / "examples" / "scenarios"
MANY = 1_500
LEAVERS = 1_000
"""Enough to find what breaks; `benchmarks/bounds.py` runs 20,000 and 10,000."""
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


def kept(report: Report, command: str) -> None:
    """Fails with what was broken and the command that repeats it."""
    assert not report.violations, f"{report.violations[:3]}; repeat it with: {command}"


@pytest.mark.untraced
def test_no_random_request_passes_a_bound() -> None:
    """Random models, policies, bounds and troubles: calls, time and cost stay within what was stated before."""
    requests = seed = 0
    while requests < MANY:
        report = simulate(random_scenario(random.Random(seed)), seed)
        kept(report, replay_command(RANDOM, seed))
        requests += report.requests
        seed += 1


@given(scenarios(), seeds())
@settings(max_examples=20)
def test_no_scenario_breaks_a_promise(scenario: Scenario, seed: int) -> None:
    """The same of scenarios that Hypothesis makes up, and shrinks when one of them fails."""
    report = simulate(scenario, seed)
    note(scenario.model_dump_json())
    kept(report, "this scenario")


class Replayed(Routed):
    """lowfare, whose every decision is decided again from its JSON, at the end."""

    def __init__(self, stage: Stage) -> None:
        self.decisions: list[Decision] = []
        super().__init__(stage, sinks=[self])

    def emit(self, decision: Decision, /) -> None:
        """Keeps a decision: it is its own sink."""
        self.decisions.append(decision)

    def close(self) -> None:
        """Has nothing to let go of."""

    async def aclose(self) -> None:
        """Closes the router."""
        for decision in self.decisions:
            record = json.loads(json.dumps(decision.to_dict()))
            again = self._router.replay(record)
            assert isinstance(again, Decision), record["trace_id"]
            assert again.to_dict() == record
        await super().aclose()


@pytest.mark.untraced
def test_whatever_happened_is_decided_again() -> None:
    """Every decision of random storms, with holds, hedges, deployments and leavers, replays from its record."""
    for seed in range(1_000, 1_015):
        report = simulate(random_scenario(random.Random(seed)), seed, contender=Replayed)
        kept(report, replay_command(RANDOM, seed))


def test_a_hedge_has_no_more_time_than_its_request() -> None:
    """It begins late, so it has less of the deadline left than the first."""
    hedged = Scenario(
        config={"models": MODELS, "bounds": {"deadline_s": 20}, "hedge": {"enabled": True, "after_s": 5}},
        traffic=Traffic(kind="constant", rate_per_s=1, duration_s=10, options={"max_tokens": 100}),
        troubles=(Trouble(kind="hang"),),
    )
    report = simulate(hedged)
    assert report.violations == ()
    assert report.calls_most == 2


@pytest.mark.untraced
@pytest.mark.parametrize("stream_share", [0.0, 1.0])
def test_every_way_to_fail_at_once(stream_share: float) -> None:
    """500, 429, time-outs, cut streams, empty 200s at every model: never more calls than allowed, nor more time."""
    scenario = load_scenario(SCENARIOS / "storm.toml")
    traffic = scenario.traffic.model_copy(update={"stream_share": stream_share, "duration_s": 100})
    report = simulate(scenario.model_copy(update={"traffic": traffic}), 1)
    kept(report, replay_command(str(SCENARIOS / "storm.toml"), 1))
    assert report.calls_most <= 4
    assert report.longest_s <= 20 + 1e-5
    assert {"error", "unreachable", "hang", "refuse", "empty", "cut"} <= report.fates.keys()


def test_callers_who_leave_leave_nothing_behind() -> None:
    """Cancelled, dropped and timed-out requests: one decision each, with a price, and no task or call left."""
    scenario = load_scenario(SCENARIOS / "storm.toml")
    traffic = scenario.traffic.model_copy(
        update={
            "requests": LEAVERS,
            "duration_s": 7200.0,
            "cancel_share": 0.6,
            "drop_share": 0.6,
            "patience_s": Spread(median=1.0, spread=1.0),
        }
    )
    # Few hang: streams must come far enough to be dropped, and no breaker may spare the callers their wait.
    hangs = (Trouble(kind="hang", share=0.02),)
    report = simulate(scenario.model_copy(update={"traffic": traffic, "troubles": hangs}), 2)
    assert report.requests == LEAVERS
    kept(report, replay_command(str(SCENARIOS / "storm.toml"), 2))
    assert report.outcomes["gave_up"] > LEAVERS / 2
    assert report.fates["hang"] > LEAVERS / 100


@pytest.mark.untraced
def test_no_bill_is_hidden() -> None:
    """In a storm, what providers truly bill is never above what the records say, request by request."""
    scenario = load_scenario(SCENARIOS / "storm.toml")
    traffic = scenario.traffic.model_copy(update={"duration_s": 100})
    report = simulate(scenario.model_copy(update={"traffic": traffic}), 3)
    assert report.cost_usd is not None
    assert report.cost_usd >= report.true_cost_usd
    assert report.unrecorded_usd is not None
    assert report.unrecorded_usd <= report.true_cost_usd / 100


@pytest.mark.untraced
def test_a_brown_out_wastes_little() -> None:
    """The trace of a real hour, the cheapest model half broken for ten minutes: nearly all answered, little wasted."""
    trace = data_path("workload", "azure2023_conv.parquet")
    report = simulate(with_trace(load_scenario(SCENARIOS / "brownout.toml"), trace), 1)
    kept(report, replay_command(str(SCENARIOS / "brownout.toml"), 1, trace))
    assert report.success_share >= 0.995
    assert report.waste_share is not None
    assert report.waste_share <= 0.03
    assert report.true_waste_share is not None
    assert report.true_waste_share <= 0.03


def test_an_outage_is_not_made_worse() -> None:
    """While one model is dead, calls stay near the requests that are offered, and nearly none goes to the dead one."""
    scenario = load_scenario(SCENARIOS / "outage.toml")
    dead = scenario.troubles[0].model_copy(update={"start_s": 120.0, "duration_s": 120.0})
    traffic = scenario.traffic.model_copy(update={"duration_s": 360.0})  # a fifth of the whole, which takes long
    report = simulate(scenario.model_copy(update={"traffic": traffic, "troubles": (dead,)}), 1)
    kept(report, replay_command(str(SCENARIOS / "outage.toml"), 1))
    (load,) = report.loads
    assert load.calls <= 1.1 * load.offered
    assert load.calls_there <= 0.1 * load.offered
    assert report.success_share >= 0.995


KINDS = st.sampled_from(
    ["error", "unreachable", "hang", "refuse", "empty", "error_in_answer", "cut", "slow"],
)


class Storm(RuleBasedStateMachine):
    """Requests, troubles, time and callers who leave, in any order; what was promised holds at every moment."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.arrivals: dict[str, Arrival] = {}
        self.troubles: list[Trouble] = []
        self.outcomes: list[Outcome] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.scenario = Scenario(
            config={"models": MODELS, "bounds": {"attempts": 3, "deadline_s": 15}},
            traffic=Traffic(options={"max_tokens": 100}),
        )
        self.provider = ScriptedProvider(self.world.clock, self.arrivals)
        stage = Stage(
            scenario=self.scenario,
            seed=0,
            clock=self.world.clock,
            settings=self.scenario.settings(),
            provider=self.provider,
        )
        self.routed = Routed(stage)

    @rule(stream=st.booleans(), pieces=st.none() | st.integers(1, 4), tokens=st.integers(20, 2000))
    def ask(self, stream: bool, pieces: int | None, tokens: int) -> None:
        """Somebody asks."""
        index = len(self.arrivals)
        arrival = Arrival(
            index=index,
            trace_id=f"{index + 1:032x}",
            at_s=self.world.clock.monotonic(),
            input_tokens=tokens,
            output_tokens=tokens,
            stream=stream,
            pieces=pieces if stream else None,
        )
        self.arrivals[arrival.trace_id] = arrival
        self.world.run(self._start(arrival))

    async def _start(self, arrival: Arrival) -> None:
        self.tasks.append(asyncio.create_task(self._one(arrival)))
        await asyncio.sleep(0)

    async def _one(self, arrival: Arrival) -> None:
        what = "gave_up"
        try:
            what = await self.routed.ask(arrival)
        finally:
            took_s = self.world.clock.monotonic() - arrival.at_s
            self.outcomes.append(Outcome(arrival=arrival, what=what, took_s=took_s))

    @rule(kind=KINDS, model=st.sampled_from(["small", "large", "*"]), share=st.sampled_from([0.5, 1.0]))
    def befall(self, kind: str, model: str, share: float) -> None:
        """A trouble begins."""
        self.troubles.append(Trouble(kind=kind, model=model, share=share))  # type: ignore[arg-type]  # drawn of the kinds
        self.provider.befall(tuple(self.troubles))

    @precondition(lambda self: self.troubles)
    @rule(data=st.data())
    def mend(self, data: st.DataObject) -> None:
        """A trouble ends."""
        self.troubles.remove(data.draw(st.sampled_from(self.troubles)))
        self.provider.befall(tuple(self.troubles))

    @rule(seconds=st.sampled_from([0.01, 0.7, 5.0, 40.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.world.run(asyncio.sleep(seconds))

    @rule(seconds=st.sampled_from([-3600.0, 3600.0]))
    def jump(self, seconds: float) -> None:
        """Somebody sets the clock."""
        self.world.clock.jump(seconds)

    @precondition(lambda self: any(not task.done() for task in self.tasks))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """A caller gives up."""
        data.draw(st.sampled_from([task for task in self.tasks if not task.done()])).cancel()
        self.world.run(asyncio.sleep(0))

    @invariant()
    def within_bounds(self) -> None:
        """No request has made more calls than it may, and whoever is done has kept every promise."""
        calls = [entry.trace_id for entry in self.provider.entries]
        assert all(calls.count(trace_id) <= 3 for trace_id in set(calls))
        done = {outcome.arrival.trace_id for outcome in self.outcomes}
        records = [record for record in self.routed.records or () if record.trace_id in done]
        entries = [entry for entry in self.provider.entries if entry.trace_id in done]
        assert report_of(self.scenario, 0, self.outcomes, entries, records, ()).violations == ()

    def teardown(self) -> None:
        """An hour later nothing is left."""
        self.world.run(asyncio.sleep(3600))
        assert all(task.done() for task in self.tasks)
        assert len(self.outcomes) == len(self.arrivals) == len(self.routed.records or ())
        for task in self.tasks:
            with suppress(asyncio.CancelledError, RouterError):
                task.result()
        self.world.close()


TestStorm = Storm.TestCase
TestStorm.settings = settings(max_examples=10, stateful_step_count=25)
