"""Does the kit raise false alarms? Every invariant, over every policy that ships, for many random cases.

    python benchmarks/kit.py [--examples 200000] [--seed 0] [--each 20] [--configs 2000]

A case is one policy with options drawn at random, one slate and one context; all invariants are tried on it, those of
the promises that the policy makes and of "quality", which all of ours keep, too. Policies are drawn of each kind by
itself, and inside each other. Exit code 1 where an invariant was broken, with the counterexample as code.

Then so many small configurations, each with a random expectation: an alarm is a request that is said to break it, and
does not by the router's own decision, or to be left to nobody, and is not; and what is said to hold, but does not for
one of all the small requests there are.

To draw a case takes longer than to try it, so each policy drawn is tried on `--each` slates.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from router import ConfigError, Context, Policy, Slate
from router.registry import installed
from router.testing.expect import verdict
from router.testing.expect_search import Case
from router.testing.expect_then import broken
from router.testing.gaps import findings
from router.testing.invariants import Counterexample, invariants_of, promises_of
from router.testing.strategies import instances_of, policies, situations
from tests.testing.tiny_configs import every_request, random_config, random_expect, world_of


def drawn_policies() -> Iterator[tuple[str, st.SearchStrategy[Policy]]]:
    """Yields each kind of policy that is installed, and all of them inside each other, as a strategy."""
    registry = installed("lowfare.policies")
    for kind in registry.kinds:
        yield kind, instances_of(registry.load(kind))
    yield "composed", policies(max_leaves=8)


def try_all(name: str, of: st.SearchStrategy[Policy], *, examples: int, each: int, first_seed: int) -> int:
    """Tries all invariants on so many cases; prints what was found, and returns how many alarms that is."""
    found: list[Counterexample] = []
    tried = 0

    @seed(first_seed)
    @settings(
        max_examples=max(1, -(-examples // each)),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType] - it takes the metaclass for the members
    )
    @given(of, st.lists(situations(), min_size=each, max_size=each))
    def case(policy: Policy, asked: list[tuple[Slate, Context]]) -> None:
        nonlocal tried
        for slate, context in asked:
            tried += 1
            for rule in invariants_of(promises_of(policy) | {"quality"}):
                try:
                    rule(policy, slate, context)
                except Counterexample as error:
                    found.append(error)

    started = time.process_time()
    case()
    print(f"{name:14} {tried:>8,} cases  {len(found):>4} alarms  {time.process_time() - started:>6.0f} s", flush=True)
    for error in found[:3]:
        print(error)
    return len(found)


def try_configs(count: int, *, first_seed: int) -> int:
    """Tries expectations and findings of small configurations against the router; returns how many alarms are false."""
    started = time.process_time()
    tried = refuted = gaps = alarms = 0
    for number in range(first_seed, first_seed + count):
        chance = random.Random(number)
        try:
            world = world_of(random_config(chance))
        except ConfigError:
            continue
        tried += 1
        table = random_expect(chance)
        found = verdict(table, world).counterexample
        if found is not None:
            refuted += 1
            alarms += not broken(table.then, found.case.decided(world, "default"))
        else:
            cases = (Case(point=point, draw=0.5) for point in every_request(table, world))
            alarms += any(broken(table.then, case.decided(world, "default")) for case in cases)
        for gap in findings(world):
            if gap.kind == "gap" and gap.example is not None:
                gaps += 1
                cases = (Case(point=gap.example, draw=draw / 97) for draw in range(97))
                alarms += all(case.slate(world, "default").live for case in cases)
    print(
        f"{'configs':14} {tried:>8,} cases  {alarms:>4} alarms  {time.process_time() - started:>6.0f} s  "
        f"({refuted:,} expectations refuted, {gaps:,} gaps)",
        flush=True,
    )
    return alarms


def main() -> None:
    """Tries and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--configs", type=int, default=2_000)
    options = parser.parse_args()
    kinds = list(drawn_policies())
    share = -(-options.examples // len(kinds))
    alarms = 0
    if options.examples:
        alarms = sum(
            try_all(name, of, examples=share, each=options.each, first_seed=options.seed) for name, of in kinds
        )
    alarms += try_configs(options.configs, first_seed=options.seed)
    print(f"false alarms over at least {options.examples:,} cases and {options.configs:,} configurations: {alarms}")
    sys.exit(1 if alarms else 0)


if __name__ == "__main__":
    main()
