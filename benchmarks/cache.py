"""What a hit costs, beside `litellm.Router`.

    python benchmarks/cache.py [--rounds 30] [--calls 100] [--json]

Hits are timed in short turns, one after the other, so that a busy moment of the machine hits all of them alike;
printed are the median of a hit, and hits a second of CPU time of this process, each with its bar. Figures of one run
are comparable with each other, not with another run's. A hit of litellm needs its extra `proxy`, in the environment of
this benchmark only: pip install 'litellm[proxy]==1.106.2'.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from cache_hits import LITELLM, MAX_TOKENS, MISSING, Figure, in_memory, in_stores

LEAST_RATIO = 20


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    memory = in_memory(options.rounds, options.calls)
    stores = in_stores(options.rounds, options.calls)
    ratios = {answer: ratio for answer in MAX_TOKENS if (ratio := ratio_of(memory, answer)) is not None}
    if options.json:
        told = {name: {row: asdict(figure) for row, figure in part.items()} for name, part in named(memory, stores)}
        print(json.dumps(told | {"ratios": ratios}, indent=2))
        return
    show("hit in this process's memory, decision log on", memory)
    for answer, ratio in ratios.items():
        line = f"hits per CPU second, lowfare / litellm.Router, {answer}"
        print(f"{line:60}{ratio:>10.1f}   {judged(ratio >= LEAST_RATIO, f'>= {LEAST_RATIO}')}")
    if not ratios:
        print(MISSING)
    print()
    show("hit in a store, 4 kB answer", stores)


def named(memory: dict[str, Figure], stores: dict[str, Figure]) -> tuple[tuple[str, dict[str, Figure]], ...]:
    """Returns the parts by the names that they have as JSON."""
    return (("memory", memory), ("stores", stores))


def ratio_of(figures: dict[str, Figure], answer: str) -> float | None:
    """Returns how many hits of ours there are to one of litellm's; None where it was not measured."""
    theirs = figures.get(f"{LITELLM}, {answer}")
    return figures[f"lowfare acomplete, {answer}"].per_cpu_s / theirs.per_cpu_s if theirs is not None else None


def show(title: str, figures: dict[str, Figure]) -> None:
    """Prints a table."""
    print(f"{title:46}{'p50':>9}{'bar':>18}{'quietest turn':>16}{'per CPU second':>16}{'bar':>20}")
    for name, row in figures.items():
        most = judged(row.p50_us <= row.most_us, f"<= {row.most_us:.0f} us") if row.most_us else ""
        least = judged(row.per_cpu_s >= row.least_per_s, f">= {row.least_per_s:,.0f}") if row.least_per_s else ""
        timed = f"{row.p50_us:>6.0f} us{most:>18}{row.quiet_us:>13.0f} us"
        print(f"{name:46}{timed}{row.per_cpu_s:>16,.0f}{least:>20}".rstrip())


def judged(held: bool, bar: str) -> str:  # noqa: FBT001 - what is judged
    """Returns a bar with what came of it."""
    return f"{bar} {'held' if held else 'MISSED'}"


if __name__ == "__main__":
    main()
