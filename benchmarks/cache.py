"""What a hit costs, beside `litellm.Router`; with --outage: what a Redis that is down costs.

    python benchmarks/cache.py [--rounds 30] [--calls 100] [--json]
    python benchmarks/cache.py --outage [--rate 200] [--pause-s 10]

Hits are timed in short turns, one after the other, so that a busy moment of the machine hits all of them alike;
printed are the median of a hit, and hits a second of CPU time of this process, each with its bar. Figures of one run
are comparable with each other, not with another run's. A hit of litellm needs its extra `proxy`, in the environment of
this benchmark only: pip install 'litellm[proxy]==1.106.2'.

With --outage requests come at a steady rate, new prompts and known ones, over a provider that takes 20 ms, while the
redis-server is paused, resumed, killed and restarted empty. Printed is what became of them; the exit status is 1 where
one was not answered, or not with its own answer.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from cache_hits import LITELLM, MAX_TOKENS, MISSING, Figure, in_memory, in_stores
from cache_outage import ADDED_MOST_S, BEFORE, outage, phases

LEAST_RATIO = 20


def main() -> int:
    """Measures and prints; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--outage", action="store_true")
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--pause-s", type=float, default=10)
    options = parser.parse_args()
    if options.outage:
        return show_outage(options.rate, options.pause_s)
    memory = in_memory(options.rounds, options.calls)
    stores = in_stores(options.rounds, options.calls)
    ratios = {answer: ratio for answer in MAX_TOKENS if (ratio := ratio_of(memory, answer)) is not None}
    if options.json:
        parts = {"memory": memory, "stores": stores}
        told = {name: {row: asdict(figure) for row, figure in part.items()} for name, part in parts.items()}
        print(json.dumps(told | {"ratios": ratios}, indent=2))
        return 0
    show("hit in this process's memory, decision log on", memory)
    for answer, ratio in ratios.items():
        line = f"hits per CPU second, lowfare / litellm.Router, {answer}"
        print(f"{line:60}{ratio:>10.1f}   {judged(ratio >= LEAST_RATIO, f'>= {LEAST_RATIO}')}")
    if not ratios:
        print(MISSING)
    print()
    show("hit in a store, 4 kB answer", stores)
    return 0


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


def show_outage(rate: float, pause_s: float) -> int:
    """Goes through the troubles and prints what was seen; returns 1 where a request went without its answer."""
    seen, warned = outage(rate, pause_s)
    before_s, lost = seen[BEFORE].quantile_s(99), 0
    titles = f"{'p50':>10}{'p99':>10}{'added p99':>12}{'bar':>18}{'worst':>10}"
    print(f"{'':30}{'requests':>10}{'answered':>10}{titles}  answered by")
    for phase in phases(pause_s):
        row = seen[phase.name]
        answered = len(row.seconds) - row.wrong
        lost += row.requests - answered
        added_s = row.quantile_s(99) - before_s
        bar = judged(added_s <= ADDED_MOST_S, f"<= {ADDED_MOST_S * 1e3:.0f} ms")
        unbarred = phase.first or phase.name == BEFORE
        times = f"{row.quantile_s(50) * 1e3:>7.1f} ms{row.quantile_s(99) * 1e3:>7.1f} ms{added_s * 1e3:>9.1f} ms"
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(row.kinds.items()))
        line = f"{phase.name:30}{row.requests:>10}{answered:>10}{times}{'' if unbarred else bar:>18}"
        print(f"{line}{max(row.seconds) * 1e3:>7.1f} ms  {kinds} {dict(row.failed) or ''}".rstrip())
    for name in ("resumed", "restarted empty"):
        rows = (seen[f"{name}, first second"], seen[name])
        helped_s = next((row.helped_s for row in rows if row.helped_s is not None), None)
        print(f"{name}: the store " + ("never helps again" if helped_s is None else f"helps after {helped_s:.1f} s"))
    print(f"{warned} warnings")
    return int(lost > 0)


def judged(held: bool, bar: str) -> str:  # noqa: FBT001 - what is judged
    """Returns a bar with what came of it."""
    return f"{bar} {'held' if held else 'MISSED'}"


if __name__ == "__main__":
    sys.exit(main())
