"""How soon does the kit catch what is broken? Every broken policy, sink, client, cache, quota and price source of ours.

    python benchmarks/catching.py [--only policy]

Each is given to its one-call check, as a user's test would do it. One line for each: how long the check took until it
raised, how much of that was its own work, which rule it named, and how large the counterexample is (models on the
slate, or lines of code that repeat it). At the end `check_config` of a configuration with 50 models and 30 rules.
Exit code 1 where one was not caught, was
caught after more than 30 s, or where the configuration took more than 10 s.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from router.testing import (
    check_cache,
    check_client,
    check_config,
    check_policy,
    check_prices,
    check_sink,
    check_state,
)
from router.testing.hosts import Response
from router.testing.invariants import Counterexample
from tests.cache.faulty_stores import FAULTS
from tests.cache.table_store import Table
from tests.cache.test_stores import HastyLoop, hasty
from tests.testing import broken_clients, broken_quotas, broken_sinks, test_check_client, test_check_prices
from tests.testing.broken import BROKEN

Check = Callable[[], object]

BAR_S = 30.0
BAR_CONFIG_S = 10.0
MODELS, RULES = 50, 30
CAPABILITIES = ["tools", "vision", "json_object", "json_schema", "reasoning", "prompt_caching", "file_input"]


def policies() -> Iterator[tuple[str, Check]]:
    """Yields each broken policy with its check."""
    for broken in BROKEN:
        yield broken.name, partial(check_policy, broken.policy)


def sinks() -> Iterator[tuple[str, Check]]:
    """Yields each broken sink with its check."""
    for _, broken in broken_sinks.BROKEN:
        target = broken_sinks.Target()
        read: Callable[[], list[str]] = partial(list, target)
        yield broken.__name__, partial(check_sink, partial(broken, target), read=read, patience_s=0.5)


def clients() -> Iterator[tuple[str, Check]]:
    """Yields each broken client with its check."""
    for _, broken in broken_clients.BROKEN:
        options: dict[str, Any] = {"model": test_check_client.SIMULATED}
        if not issubclass(broken, broken_clients.Offline):
            whole, streamed = Response(body=broken_clients.WHOLE), Response(body=broken_clients.STREAMED)
            options = {"model": test_check_client.at, "whole": whole, "streamed": streamed}
        yield broken.__name__, partial(check_client, broken, **options, patience_s=1)


def caches() -> Iterator[tuple[str, Check]]:
    """Yields each broken store with its check."""
    for _, broken in FAULTS:
        make = partial(broken, Table(), now=hasty)
        yield broken.__name__, partial(check_cache, make, patience_s=30, loop_factory=HastyLoop)


def states() -> Iterator[tuple[str, Check]]:
    """Yields each broken store of quotas with its check."""
    for _, broken in broken_quotas.BROKEN:
        yield broken.__name__, partial(check_state, broken)


def price_sources() -> Iterator[tuple[str, Check]]:
    """Yields each broken source of prices with its check."""
    for rule, source in test_check_prices.BROKEN:
        yield f"breaks {rule}", partial(check_prices, source)


ALL: dict[str, Callable[[], Iterator[tuple[str, Check]]]] = {
    "policy": policies,
    "sink": sinks,
    "client": clients,
    "cache": caches,
    "state": states,
    "prices": price_sources,
}


def tried(what: str, name: str, check: Check) -> float | None:
    """Prints what came of one check; returns the seconds that it took, None where nothing was caught."""
    started, used = time.perf_counter(), time.process_time()
    try:
        check()
    except AssertionError as error:
        took_s, used_s = time.perf_counter() - started, time.process_time() - used
        rule = getattr(error, "rule", "?")
        print(f"{what:7} {name:44} {took_s:6.2f} s {used_s:6.2f} s  {rule:34} {size(error)}", flush=True)
        return took_s
    print(f"{what:7} {name:44} NOT CAUGHT")
    return None


def size(error: AssertionError) -> str:
    """Returns how large a counterexample is."""
    if isinstance(error, Counterexample):
        return f"{len(error.slate.live) + len(error.slate.dropped)} models"
    return f"{len(getattr(error, 'code', '').splitlines())} lines"


def large_config() -> str:
    """Returns a configuration with many models and rules, each with an expectation of its own."""
    lines = []
    for number in range(MODELS):
        lines += [
            f"[models.m{number}]",
            f'id = "openai/m{number}"',
            'client = "simulated"',
            f'input_usd_per_mtok = "{1 + number}"',
            f'output_usd_per_mtok = "{4 + number}"',
            f"context_window_tokens = {60_000 + 2_000 * number}",
            "max_output_tokens = 4000",
            f"capabilities = {CAPABILITIES[: 3 + number % 5]}",
            "",
        ]
    wanted = []
    lines += ["[policies.default]", 'kind = "rules"', "rules = ["]
    for number in range(RULES):
        first = number % (MODELS - 1)
        when = (
            f'tags = {{ team = "t{number}" }}',
            f'up_to_tokens = {100 * (number + 1)}, tags = {{ team = "t{number}" }}',
            f'needs = ["vision"], tenant = "u{number}"',
        )[number % 3]
        use = f'{{ kind = "fallback", models = ["m{first}", "m{first + 1}"] }}'
        lines.append(f"  {{ when = {{ {when} }}, use = {use} }},")
        if number % 3 == 0:
            told = f'tokens = "< 5000", max_tokens = "<= 4000", tags = {{ team = "t{number}" }}, needs_only = ["tools"]'
            wanted += ["[[expect]]", f"when = {{ {told} }}", f'then = {{ model = "m{first}" }}', ""]
    lines += ["]", 'otherwise = { kind = "cheapest" }', ""]
    return "\n".join(lines + wanted)


def config_s() -> float:
    """Prints what came of `check_config`; returns the seconds that it took."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.toml"
        file.write_text(large_config())
        started, used = time.perf_counter(), time.process_time()
        report = check_config(file, allow={"gap", "one_provider", "overlap"})
        took_s, used_s = time.perf_counter() - started, time.process_time() - used
    outcomes = [verdict.outcome for _, verdict in report.verdicts]
    proved = f"{outcomes.count('proved')} of {len(outcomes)} expectations proved"
    print(
        f"config  {MODELS} models, {RULES} rules: {took_s:.2f} s ({used_s:.2f} s of work), {proved}, "
        f"{len(report.findings)} findings"
    )
    return took_s


def main() -> None:
    """Tries all and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[*ALL, "config"])
    only = parser.parse_args().only
    took = [
        tried(what, name, check) for what, all_of in ALL.items() if only in (None, what) for name, check in all_of()
    ]
    caught = [seconds for seconds in took if seconds is not None]
    if took:
        print(f"caught {len(caught)} of {len(took)}, the slowest after {max(caught):.1f} s (bar: {BAR_S:g} s)")
    slow = only in (None, "config") and config_s() > BAR_CONFIG_S
    sys.exit(int(len(caught) < len(took) or max(caught, default=0.0) > BAR_S or slow))


if __name__ == "__main__":
    main()
