"""Holds branch coverage: all of `router/core` and `policies`, at least 95 % of every other file's group.

Reads the report of `coverage json`; prints one line per group, and what is missing where a group falls short.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

FULL = ("router/core/", "policies/")
BAR_ELSEWHERE = 95.0


def group(path: str) -> str:
    """Returns the part of the tree that a file belongs to: the folders of `FULL`, and the rest as one."""
    return next((folder for folder in FULL if path.startswith(folder)), "the rest")


def main(report: Path) -> int:
    """Prints the figures; returns 1 where one is below its bar, or where a folder was not measured at all."""
    files = json.loads(report.read_text())["files"]
    total: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    gaps: list[str] = []
    for path, file in sorted(files.items()):
        figures = file["summary"]
        total[group(path)] += figures["num_statements"] + figures["num_branches"]
        covered[group(path)] += figures["covered_lines"] + figures["covered_branches"]
        if file["missing_lines"] or file["missing_branches"]:
            branches = ", ".join(f"{start}->{end}" for start, end in file["missing_branches"])
            lines = ", ".join(map(str, file["missing_lines"]))
            gaps.append(
                f"  {path}: {figures['percent_covered']:.1f} %; lines {lines or '-'}; branches {branches or '-'}"
            )
    failed = False
    for name in (*FULL, "the rest"):
        bar = 100.0 if name in FULL else BAR_ELSEWHERE
        percent = 100 * covered[name] / total[name] if total[name] else 0.0
        # Counts decide, not the rounded percentage: one branch of 50,000 is still missing.
        short = covered[name] < total[name] if name in FULL else percent < BAR_ELSEWHERE
        short = short or not total[name]
        failed = failed or short
        verdict = "FAILED" if short else "ok"
        print(f"{verdict:6}  {name:14} {percent:6.2f} % of {total[name]} lines and branches (bar: {bar:.0f} %)")
    if gaps:
        print("Not covered:", *gaps, sep="\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
