"""Waste, success, calls and speed in the simulated world, beside plain nested retries in the very same world.

    python benchmarks/simulation.py [--trace azure2023_conv.parquet] [--seed 1] [--json]

The comparator is what many programs have: an SDK that retries twice, inside a wrapper that retries twice, inside a list
of three models; an answer is an answer, also where it is empty. The trace is "Azure LLM inference trace 2023,
conversation" (Patel et al., "Splitwise", ISCA 2024), 19,366 requests of an hour.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from router.clients.client import Call
from router.core.answer import Answer
from router.core.bounds import backoff_s
from router.core.catalog import Model
from router.core.failure import Failure
from router.core.parse import parse_request
from router.core.request import Request
from router.setup import setup_of
from router.testing.providers import TRACE_HEADER
from router.testing.report import Recorded, Report
from router.testing.scenario import Scenario, load_scenario, with_trace
from router.testing.simulation import Contender, Routed, Stage, prompt_of, simulate
from router.testing.traffic import Arrival

SCENARIOS = Path(__file__).resolve().parents[1] / "examples" / "scenarios"
RETRIES = 2
"""Of each layer; the default of the OpenAI and Anthropic SDKs."""
TIMEOUT_S = 60.0
LONGEST_WAIT_S = 60.0
"""Up to which the OpenAI SDK believes a Retry-After."""
RETRIED = {408, 409, 429}
SPEED_REQUESTS = 15_000


class NestedRetries:
    """Retries of an SDK inside retries of a wrapper inside a list of models."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._models = list(setup_of(stage.settings).catalog.values())
        self._chance = random.Random(f"nested {stage.seed}")

    @property
    def records(self) -> list[Recorded] | None:
        """It keeps none."""
        return None

    @property
    def held(self) -> tuple[str, ...]:
        """Nothing: it knows no places."""
        return ()

    async def ask(self, arrival: Arrival, /) -> str:
        """Returns what the caller got."""
        request = parse_request(prompt_of(arrival), **self._stage.scenario.traffic.options)
        for model in self._models:
            for retry in range(RETRIES + 1):
                result = await self._sdk(model, request, arrival)
                if isinstance(result, Answer):
                    return "answer" if result.text else "empty"
                await self._stage.clock.sleep(backoff_s(retry, self._chance.random()))
        return "error"

    async def aclose(self) -> None:
        """Has nothing to close."""

    async def _sdk(self, model: Model, request: Request, arrival: Arrival) -> Answer | Failure:
        """Returns what an SDK returns that retries on what `RETRIED` names, on 5xx and on a lost connection."""
        retry = 0
        while True:
            call = Call(
                model=model,
                request=request,
                timeouts=model.timeouts.within(TIMEOUT_S),
                headers={TRACE_HEADER: arrival.trace_id},
            )
            result = await self._stage.provider.send(call)
            if isinstance(result, Answer) or retry == RETRIES:
                return result
            if result.status is not None and result.status < 500 and result.status not in RETRIED:
                return result
            wait_s = result.retry_after_s
            believed = wait_s is not None and 0 < wait_s <= LONGEST_WAIT_S
            await self._stage.clock.sleep(
                wait_s if believed and wait_s is not None else backoff_s(retry, self._chance.random())
            )
            retry += 1


CONTENDERS: dict[str, Callable[[Stage], Contender]] = {"lowfare": Routed, "nested retries": NestedRetries}


def scenarios(trace: Path | None) -> Iterator[Scenario]:
    """Yields what is measured; the brown-out on the trace too, where there is one."""
    for name in ("brownout", "outage", "storm"):
        scenario = load_scenario(SCENARIOS / f"{name}.toml")
        yield scenario
        if name == "brownout" and trace is not None:
            yield with_trace(scenario, trace).model_copy(update={"title": f"{scenario.title}, Azure trace"})


def speed(seed: int) -> float:
    """Returns the simulated requests per second of processor time, the books and the report included."""
    scenario = load_scenario(SCENARIOS / "steady.toml")
    scenario = scenario.model_copy(update={"traffic": scenario.traffic.model_copy(update={"requests": SPEED_REQUESTS})})
    simulate(scenario.model_copy(update={"traffic": scenario.traffic.model_copy(update={"requests": 100})}), seed)
    started = time.process_time()
    report = simulate(scenario, seed)
    return report.requests / (time.process_time() - started)


def row(report: Report) -> dict[str, Any]:
    """Returns the figures that are compared."""
    return {
        "success": report.success_share,
        "waste by the record": report.waste_share,
        "waste in truth": report.true_waste_share,
        "cost in truth": float(report.true_cost_usd),
        "calls per request": sum(report.calls.values()) / report.requests,
        "most calls": report.calls_most,
        "p50 s": report.latency_s.get("p50"),
        "p99 s": report.latency_s.get("p99"),
        "longest s": report.longest_s,
        "broken promises": len(report.violations),
        "loads": [
            f"{load.trouble}: {load.calls} calls for {load.offered} requests, {load.calls_there} there"
            for load in report.loads
        ],
    }


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = {
        scenario.title: {
            name: row(simulate(scenario, options.seed, contender=contender)) for name, contender in CONTENDERS.items()
        }
        for scenario in scenarios(options.trace)
    }
    per_s = speed(options.seed)
    if options.json:
        print(json.dumps({"scenarios": rows, "requests_per_s": per_s}, indent=2))
        return
    for title, contenders in rows.items():
        print(title)
        print(f"  {'':24}" + "".join(f"{name:>18}" for name in contenders))
        for figure in next(iter(contenders.values())):
            if figure != "loads":
                print(f"  {figure:24}" + "".join(f"{_shown(c[figure]):>18}" for c in contenders.values()))
        for name, figures in contenders.items():
            for load in figures["loads"]:
                print(f"    {name}, trouble {load}")
        print()
    print(f"simulated requests per second of processor time: {per_s:,.0f} (bar: 3,000)")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


if __name__ == "__main__":
    main()
