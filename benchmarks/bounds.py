"""Do the bounds hold? Many random requests, and many callers who leave, in a simulated world.

    python benchmarks/bounds.py [--requests 20000] [--leavers 10000] [--first-seed 0]

Runs the production router against scripted providers in virtual time, over random models, policies, deployments,
bounds and troubles, and counts what was broken: calls above `attempts`, time above `deadline_s`, cost above the worst
case stated before the first call, requests without exactly one priced decision, tasks, calls, places and probes left
over. The tests run the same with fewer requests. Exit code 1 where anything was broken, with the command that repeats
it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

from router.cli.simulate import replay_command
from router.testing.drawn import random_scenario
from router.testing.report import Report
from router.testing.scenario import RANDOM, load_scenario
from router.testing.simulation import simulate
from router.testing.troubles import Spread, Trouble

STORM = Path(__file__).resolve().parents[1] / "examples" / "scenarios" / "storm.toml"


def random_requests(wanted: int, first_seed: int) -> int:
    """Simulates random scenarios; returns how many promises were broken."""
    requests = calls = broken = 0
    seed = first_seed
    while requests < wanted:
        report = simulate(random_scenario(random.Random(seed)), seed)
        broken += told(report, replay_command(RANDOM, seed))
        requests += report.requests
        calls += sum(report.calls.values())
        seed += 1
    print(f"random scenarios   {requests:>8,} requests  {calls:>8,} calls  {broken:>4} promises broken")
    return broken


def leavers(wanted: int) -> int:
    """Simulates callers who cancel, drop streams and run out of patience; returns how many promises were broken."""
    scenario = load_scenario(STORM)
    leaving = {"requests": wanted, "duration_s": 7200.0, "cancel_share": 0.6, "drop_share": 0.6}
    patience = {"patience_s": Spread(median=1.0, spread=1.0)}
    traffic = scenario.traffic.model_copy(update=leaving | patience)
    hangs = (Trouble(kind="hang", share=0.02),)
    report = simulate(scenario.model_copy(update={"traffic": traffic, "troubles": hangs}), 2)
    broken = told(report, replay_command(str(STORM), 2))
    gave_up = report.outcomes["gave_up"]
    print(f"callers who leave  {report.requests:>8,} requests  {gave_up:>8,} left   {broken:>4} promises broken")
    return broken


def told(report: Report, command: str) -> int:
    """Prints what a report found broken; returns how much that is."""
    for violation in report.violations:
        print(f"broken: {violation}; repeat it with: {command}")
    return len(report.violations)


def main() -> None:
    """Simulates and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--leavers", type=int, default=10_000)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    started = time.process_time()
    broken = random_requests(options.requests, options.first_seed) + leavers(options.leavers)
    print(f"{time.process_time() - started:.0f} s of processor time")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
