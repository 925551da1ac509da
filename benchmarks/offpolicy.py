"""How often the 95 % intervals of off-policy estimates cover the truth, over many synthetic logs whose truth is known.

python benchmarks/offpolicy.py
python benchmarks/offpolicy.py --runs 200 --requests 2000 --explored 0.05

Each log: requests of a context that makes them hard or easy; a logging policy that sends most to one model and explores
the others; a new policy that chooses by context. Outcomes are adequacy (yes or no) and cost (skewed). The truth is the
mean outcome of the new policy, known exactly from how the logs are made.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np

from router.analytics.offpolicy import Estimate, Floats, Groups, Ints, doubly_robust, effective_sample_size, snips

MODELS, CONTEXTS, FOLDS = 3, 6, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """How a family of synthetic logs is made.

    Attributes:
        adequate: chance that an answer is adequate, by model and context.
        cost_usd: mean cost, by model and context.
        logging, target: chance of each model, by context.
    """

    adequate: Floats
    cost_usd: Floats
    logging: Floats
    target: Floats

    def of(self, outcome: Floats) -> float:
        """Returns the new policy's true mean of an outcome; contexts are equally likely."""
        return float(np.mean(np.sum(self.target * outcome.T, axis=1)))


def truth(explored: float, seed: int) -> Truth:
    """Returns a family: the logging policy sends `explored` of the requests to each model but the first."""
    chance = np.random.default_rng(seed)
    hard = np.linspace(0, 0.4, CONTEXTS)
    adequate = np.stack([np.clip(skill - hard * (1 - skill) * 3, 0.05, 0.99) for skill in (0.75, 0.85, 0.95)])
    cost_usd: Floats = np.stack([price * (1 + np.arange(CONTEXTS)) for price in (0.0002, 0.001, 0.004)]).astype(
        np.float64
    )
    logging = np.full((CONTEXTS, MODELS), explored)
    logging[:, 0] = 1 - explored * (MODELS - 1)
    target = np.zeros((CONTEXTS, MODELS))
    target[np.arange(CONTEXTS), chance.integers(0, MODELS, CONTEXTS)] = 1.0
    return Truth(adequate=adequate, cost_usd=cost_usd, logging=logging, target=target)


def log_of(known: Truth, requests: int, chance: np.random.Generator) -> tuple[Groups, Groups]:
    """Returns one log as groups of one request each: of adequacy, and of cost."""
    context = chance.integers(0, CONTEXTS, requests)
    drawn = chance.random(requests)[:, None]
    action: Ints = np.argmax(np.cumsum(known.logging[context], axis=1) > drawn, axis=1).astype(np.int64)
    adequate = (chance.random(requests) < known.adequate[action, context]).astype(np.float64)
    mean = known.cost_usd[action, context]
    cost = mean * np.exp(0.6 * chance.standard_normal(requests) - 0.18)

    def groups(outcome: Floats) -> Groups:
        return Groups(
            count=np.ones(requests),
            outcome=outcome,
            square=outcome**2,
            cube=outcome**3,
            fourth=outcome**4,
            action=action,
            propensity=known.logging[context, action],
            target=known.target[context],
            context=context,
            fold=np.arange(requests) % FOLDS,
        )

    return groups(adequate), groups(cost)


def covers(estimate: Estimate, value: float) -> bool:
    """Returns whether an interval holds a value."""
    return estimate.low <= value <= estimate.high


def coverage(*, runs: int, requests: int, explored: float, seed: int) -> dict[str, float]:
    """Returns the share of runs in which each interval covers the truth, and the smallest effective sample size."""
    hits: dict[str, int] = {}
    least = float("inf")
    for run in range(runs):
        known = truth(explored, seed + run)
        adequate, cost = log_of(known, requests, np.random.default_rng((seed, run)))
        least = min(least, effective_sample_size(adequate))
        for name, groups, value in (
            ("adequacy", adequate, known.of(known.adequate)),
            ("cost", cost, known.of(known.cost_usd)),
        ):
            for estimator in (snips, doubly_robust):
                key = f"{name}, {estimator.__name__}"
                hits[key] = hits.get(key, 0) + covers(estimator(groups), value)
    return {key: count / runs for key, count in hits.items()} | {"least effective sample size": least}


def main() -> None:
    """Prints the coverage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--explored", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.process_time()
    figures = coverage(runs=options.runs, requests=options.requests, explored=options.explored, seed=options.seed)
    for name, value in figures.items():
        print(f"{name:30} {value:.1f}" if "size" in name else f"{name:30} {100 * value:.1f} %")
    print(f"{options.runs:,} logs of {options.requests:,} requests, {time.process_time() - started:.0f} CPU seconds")


if __name__ == "__main__":
    main()
