"""How many logged requests a backtest plays in a second: a policy of token tiers over four models, by processes.

python benchmarks/backtest.py
python benchmarks/backtest.py --records 200000 --processes 1 2 4 --rounds 5

The log is what the production router writes of simulated traffic (about 2 kB a record), repeated under new ids. Beside
the rate by the clock stands the rate by the CPU seconds of all processes, which a busy machine does not change as much,
and what reading the JSON alone takes of them. With several rounds the numbers of processes take turns, and medians are
shown.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from router.analytics.backtest import backtest
from router.analytics.backtest_work import Job
from router.config import Settings
from router.config_sources import Origin
from router.core.decision import Decision
from router.core.record import decision_dict
from router.setup import Setup, setup_of
from router.testing.scenario import Scenario
from router.testing.simulation import Routed, Stage, simulate

DISTINCT = 5_000
MODELS = {
    "small": {"id": "deepseek/deepseek-v3.2"},
    "medium": {"id": "gemini/gemini-2.5-flash"},
    "large": {"id": "openai/gpt-4.1"},
    "huge": {"id": "anthropic/claude-sonnet-4-5"},
}


def tables(small: int) -> dict[str, Any]:
    """Returns a configuration whose cheapest tier takes requests up to so many tokens."""
    tiers = [
        {"up_to_tokens": small, "models": ["small"]},
        {"up_to_tokens": 2000, "models": ["medium"]},
        {"models": ["large", "huge"]},
    ]
    policy = {"kind": "token_tiers", "tiers": tiers, "fallback": ["medium", "large"]}
    return {"models": MODELS, "policies": {"default": policy}}


def setup(small: int) -> Setup:
    """Returns what runs with such a configuration."""
    return setup_of(Settings.model_validate(tables(small), context=(Origin(file="config.toml"), [])))


class Kept:
    """A sink that keeps records."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def emit(self, decision: Decision, /) -> None:
        """Keeps one."""
        self.records.append(decision_dict(decision))

    def close(self) -> None:
        """Has nothing to let go of."""


def lines(records: int) -> Iterator[bytes]:
    """Yields the lines of a log; the cheapest model fails for some of the time."""
    traffic = {
        "rate_per_s": 10,
        "duration_s": DISTINCT / 10,
        "input_tokens": {"median": 600, "spread": 1.0, "most": 20_000},
        "output_tokens": {"median": 120, "spread": 0.6, "most": 1_000},
        "options": {"max_tokens": 1_000},
    }
    trouble = {"kind": "error", "model": "small", "start_s": 50, "duration_s": 20, "status": 500}
    scenario = Scenario.model_validate({"config": tables(500), "traffic": traffic, "troubles": [trouble]})
    sink = Kept()

    def contender(stage: Stage) -> Routed:
        return Routed(stage, sinks=[sink])

    simulate(scenario, 1, contender=contender)
    for index in range(records):
        record = sink.records[index % len(sink.records)]
        named = {**record, "trace_id": f"{index:032x}", "request_id": f"{index:032x}"}
        yield orjson.dumps(named, option=orjson.OPT_APPEND_NEWLINE, default=str)


def cpu_s() -> float:
    """Returns the CPU seconds of this process and of those that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main() -> None:
    """Prints the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        with log.open("wb") as file:
            file.writelines(lines(options.records))
        started = time.process_time()
        with log.open("rb") as file:
            for line in file:
                orjson.loads(line)
        parsed_s = time.process_time() - started
        print(f"{options.records:,} records of {log.stat().st_size / options.records:,.0f} bytes")
        print(f"reading the JSON alone: {options.records / parsed_s:,.0f} records per CPU second")
        compare(log, options.records, options.processes, options.rounds)


def compare(log: Path, records: int, processes: list[int], rounds: int) -> None:
    """Prints the rates with so many processes each, and how they grow."""
    job = Job(setups=(setup(1000),))
    rates: dict[int, list[tuple[float, float]]] = {number: [] for number in processes}
    for _ in range(rounds):
        for number in processes:
            started, used = time.perf_counter(), cpu_s()
            total = backtest(log, job, processes=number).result.tallies[0].total
            took_s, used_s = time.perf_counter() - started, cpu_s() - used
            assert total.requests == records
            rates[number].append((records / took_s, records / used_s))
    first = statistics.median(rate for rate, _ in rates[processes[0]])
    for number, found in rates.items():
        rate, per_cpu_s = (statistics.median(values) for values in zip(*found, strict=True))
        print(
            f"{number} processes: {rate:,.0f} decisions/s ({rate / first:.2f} times the first), "
            f"{per_cpu_s:,.0f} per CPU second (start of the processes included)"
        )


if __name__ == "__main__":
    main()
