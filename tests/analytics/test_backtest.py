from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from router import Context, Slate
from router.analytics.backtest import backtest
from router.analytics.backtest_engines import local, on_ray
from router.analytics.backtest_tally import Result, Tally, merged
from router.analytics.backtest_work import COLUMNS, Job, played
from router.analytics.bootstrap import RESAMPLES
from router.core.cost import cost_usd
from router.core.record import usage_from
from router.core.replay import Unobserved, replay
from router.errors import ConfigError, RouterError
from router.setup import Setup
from tests.analytics.simulated_logs import TIERS, WEIGHTED, setup_with, simulated

OTHER = {**TIERS, "tiers": [{"up_to_tokens": 350, "models": ["small"]}, {"models": ["medium"]}]}
POLICIES: tuple[Mapping[str, Any], ...] = (TIERS, WEIGHTED, OTHER, {"kind": "cheapest"})


def plainly(lines: tuple[str, ...], setup: Setup) -> dict[str, Any]:
    """Returns the figures of a backtest as one loop of the public `replay` finds them."""
    usd, observed, moves = Decimal(0), 0, Counter[tuple[str, str]]()
    for line in lines:
        record = orjson.loads(line)
        end = replay(record, catalog=setup.catalog, policy=setup.policies["default"])
        if isinstance(end, Unobserved):
            answers = [a for a in record["attempts"] if a["outcome"] == "answer"]
            usage, model = usage_from(answers[-1]["usage"]) if answers else None, setup.catalog[end.model]
            if usage is None:
                cost = next(c.expected_usd for c in end.planned.slate.live if c.name == end.model)
            else:
                assert model.price is not None
                cost = cost_usd(usage, model.price)
            assert cost is not None
            spent = end.planned.cost_usd
            now = end.model
        else:
            cost, spent, now = Decimal(0), end.cost_usd, end.model or "nobody"
            observed += 1
        assert spent is not None
        usd += cost + spent
        moves[record["model"] or "nobody", now] += 1
    return {"usd": usd, "observed": observed, "moves": moves}


def told(tally: Tally) -> dict[str, Any]:
    """Returns the same figures of a tally."""
    moves = Counter({move: sums.requests for move, sums in tally.moves.items()})
    return {"usd": tally.total.now_usd, "observed": tally.total.observed, "moves": moves}


@pytest.mark.parametrize("logged", range(len(POLICIES)))
def test_it_is_the_loop(logged: int) -> None:
    """A backtest comes to what a plain loop of `replay` comes to, whatever the policies, and whatever the parts."""
    chance = random.Random(logged)
    lines = simulated(json.dumps(POLICIES[logged]), 60, logged)
    for policy in POLICIES:
        setup = setup_with(policy)
        job = Job(setups=(setup, setup_with(TIERS)), compare=True)
        whole = played(job, [(line, None, None) for line in lines])
        assert whole.resamples is not None
        assert told(whole.tallies[0]) == plainly(lines, setup)
        assert whole.records == len(lines)
        assert not whole.aside
        for parts in (2, 3, 7):
            shuffled = chance.sample(lines, len(lines))
            results = [played(job, [(line, None, None) for line in shuffled[i::parts]]) for i in range(parts)]
            again = merged(chance.sample(results, parts), 2, np.zeros((COLUMNS, RESAMPLES)))
            assert again.tallies == whole.tallies
            assert again.both == whole.both
            assert again.resamples is not None
            assert np.array_equal(again.resamples, whole.resamples)


def test_the_same_configuration_changes_nothing() -> None:
    """Under the configuration that wrote the log, every request ends as it did, at the logged cost, all observed."""
    lines = simulated(json.dumps(WEIGHTED), 120, 1)
    tally = played(Job(setups=(setup_with(WEIGHTED),)), [(line, None, None) for line in lines]).tallies[0]
    assert tally.total.changed == 0
    assert tally.total.observed == tally.total.requests == len(lines)
    assert tally.total.now_usd == tally.total.was_usd == tally.total.observed_usd > 0
    assert tally.endings_now == tally.endings_was
    assert tally.latency_now == tally.latency_was


def test_processes_and_files_and_ray(tmp_path: Path) -> None:
    """Two processes, one, and a Ray cluster that stands in for one come to the same, in parts read from files."""
    lines = simulated(json.dumps(TIERS), 120, 2)
    half = len(lines) // 2
    for name, part in (("a", lines[:half]), ("b", [*lines[half:], "torn"])):
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in part))
    job = Job(setups=(setup_with(OTHER),))
    seen: list[int] = []
    read: list[tuple[int, int]] = []
    one = backtest(tmp_path, job, processes=1, told=seen.append, reading=lambda *sizes: read.append(sizes))
    size = sum(file.stat().st_size for file in tmp_path.glob("*.jsonl"))
    assert read[-1] == (size, size)
    two = backtest(tmp_path, job, processes=2)
    assert sum(seen) == len(lines)
    assert one.result.records == len(lines) + 1
    assert list(one.result.aside.values()) == [1]
    assert one.result.tallies == two.result.tallies
    assert told(one.result.tallies[0]) == plainly(lines, setup_with(OTHER))
    rows = [(line, None, None) for line in (*lines, "torn")]
    on_cluster = merged(on_ray(job, [rows[:9], rows[9:50], rows[50:]], ScriptedRay()), 1)
    assert on_cluster.tallies == one.result.tallies


@dataclass(slots=True)
class ScriptedRay:
    """What the engine uses of Ray, played here and now: two cores, tasks that are done in the order they are given."""

    running: bool = False

    def is_initialized(self) -> bool:
        return self.running

    def init(self, *, log_to_driver: bool) -> None:
        assert not log_to_driver
        self.running = True

    def put(self, value: Any) -> Any:
        return value

    def remote(self, function: Any) -> Any:
        return RemoteFunction(function)

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 1.0}

    def wait(self, tasks: list[Any]) -> tuple[list[Any], list[Any]]:
        return tasks[:1], tasks[1:]

    def get(self, tasks: list[Any]) -> list[Any]:
        return tasks


@dataclass(frozen=True, slots=True)
class RemoteFunction:
    function: Any

    def remote(self, *arguments: Any) -> Any:
        return self.function(*arguments)


@dataclass(frozen=True, slots=True)
class Deadly:
    """A policy that ends its process, as the kernel does to one that takes too much memory; not that of the tests."""

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        if parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return slate


def test_a_process_that_is_killed() -> None:
    """Nothing is counted, and the error says what may have happened and what to do."""
    setup = replace(setup_with(TIERS), policies={"default": Deadly()})
    part = [(line, None, None) for line in simulated(json.dumps(TIERS), 120, 2)[:3]]
    with pytest.raises(RouterError, match=r"was killed.*--processes"):
        list(local(Job(setups=(setup,)), [part] * 9, 2))


def test_ray_that_is_not_installed() -> None:
    """The error says what to install."""
    with pytest.raises(ConfigError, match=r"pip install 'lowfare\[ray\]'"):
        list(on_ray(Job(setups=(setup_with(TIERS),)), [], "ray_that_is_not_there"))


def test_a_log_of_nothing(tmp_path: Path) -> None:
    """An empty log comes to nothing, and does not fail."""
    (tmp_path / "log.jsonl").write_text("")
    done = backtest(tmp_path, Job(setups=(setup_with(TIERS),)), processes=1)
    assert done.result.records == 0
    assert done.result.tallies == (Tally(),)


def test_comparisons_merge_only_with_comparisons() -> None:
    """A part without resamples leaves the whole without."""
    setups = (setup_with(TIERS), setup_with(OTHER))
    with_them, without = played(Job(setups=setups, compare=True), []), played(Job(setups=setups), [])
    assert with_them.merge(without).resamples is None
    assert isinstance(without, Result)
