"""Would the tests notice? Changes `router/core` and `policies` in thousands of small ways, and runs the tests on each.

    pip install 'mutmut>=3.8,<4'    # no part of the extra `dev`
    python benchmarks/mutants.py [--only router/core/bounds.py] [--sample 40] [--seed 0] [--work DIR] [--examples 100]

Works on a clean copy in `--work`, which is kept: with the same folder the command goes on where it was stopped, and
what no test noticed is tried again with the tests as they are by then. `mutants.txt` in it has those changes.
`--sample N` tries N changes of each file, drawn by `--seed`; a larger N adds to a smaller one. The share over all files
is then an estimate, with an interval of 95 %. Each change gets the tests that reach its function, with 15 examples of
each property, and where they pass once more with `--examples` (0: not). Settings are in `[tool.mutmut]` of
pyproject.toml; what was found is in docs/mutation.md.

A change that makes the tests run for too long, or their process die, counts as noticed; it has a column of its own.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[1]
SKIPPED = 34  # mutmut's own code for a mutant that is not to be tried

Outcome = Literal["killed", "stopped", "survived", "no tests"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change and what became of it."""

    name: str
    file: str
    outcome: Outcome | None
    """None where it was not tried."""


def outcome_of(code: int | None) -> Outcome | None:
    """Returns what an exit code of the tests means."""
    match code:
        case None | 34:
            return None
        case 1 | 3:
            return "killed"
        case 0:
            return "survived"
        case 5 | 33:
            return "no tests"
        case _:
            return "stopped"


def copy_tree(to: Path) -> None:
    """Copies what git knows of this checkout, and what it would add."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    known = subprocess.run(listed, check=True, capture_output=True, text=True)  # noqa: S603 - our own command
    for name in known.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def mutmut(tree: Path, *names: str, examples: int | None = None) -> None:
    """Runs what was not tried yet, or the mutants named; its output goes to `mutmut.log`."""
    profile = {"HYPOTHESIS_PROFILE": "mutants"} | ({"MUTANTS_EXAMPLES": str(examples)} if examples else {})
    with (tree / "mutmut.log").open("ab") as log:
        command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", "1", *names]
        environment = os.environ | profile
        ended = subprocess.run(command, cwd=tree, env=environment, stdout=log, stderr=log, check=False)  # noqa: S603 - the same
    if ended.returncode:
        sys.exit(f"mutmut failed, see {tree / 'mutmut.log'}")


def changed_codes(tree: Path, new: Callable[[str, int | None], int | None]) -> None:
    """Gives each mutant, by its name and its code, a new code in mutmut's own files."""
    for meta, _ in metas(tree):
        kept = json.loads(meta.read_text())
        kept["exit_code_by_key"] = {name: new(name, code) for name, code in kept["exit_code_by_key"].items()}
        meta.write_text(json.dumps(kept, indent=4))


def metas(tree: Path) -> Iterator[tuple[Path, str]]:
    """Yields mutmut's file about each file of the product, and that file's path."""
    for meta in sorted((tree / "mutants").rglob("*.py.meta")):
        yield meta, meta.relative_to(tree / "mutants").as_posix().removesuffix(".meta")


def mutants_of(tree: Path) -> list[Mutant]:
    """Returns all mutants."""
    return [
        Mutant(name=name, file=file, outcome=outcome_of(code))
        for meta, file in metas(tree)
        for name, code in json.loads(meta.read_text())["exit_code_by_key"].items()
    ]


def choose(tree: Path, *, only: list[str], sample: int | None, seed: int) -> None:
    """Marks what is not to be tried, and takes back what was not noticed."""
    by_file: dict[str, list[str]] = {}
    for mutant in mutants_of(tree):
        by_file.setdefault(mutant.file, []).append(mutant.name)
    if unknown := set(only) - by_file.keys():
        sys.exit(f"--only: {', '.join(sorted(unknown))} has nothing to change")
    chosen: set[str] = set()
    for file in only or by_file:
        names = sorted(by_file[file])
        random.Random(f"{seed}:{file}").shuffle(names)
        chosen.update(names[:sample])
    done = {1, 3}
    changed_codes(tree, lambda name, code: SKIPPED if name not in chosen else code if code in done else None)


def changes(tree: Path) -> dict[str, str]:
    """Returns what each mutant changes: the lines before, marked `-`, and after, marked `+`."""
    found: dict[str, str] = {}
    for _, file in metas(tree):
        text = (tree / "mutants" / file).read_text()
        lines = text.splitlines()
        bodies = {
            node.name: [line.replace(node.name, "") for line in lines[node.lineno - 1 : node.end_lineno]]
            for node in ast.walk(ast.parse(text))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and "__mutmut_" in node.name
        }
        module = file.removesuffix(".py").replace("/", ".")
        for name, body in bodies.items():
            found[f"{module}.{name}"] = difference(bodies[f"{name.rpartition('_')[0]}_orig"], body)
    return found


def difference(before: list[str], after: list[str]) -> str:
    """Returns the lines from the first to the last that differ, once as they were and once as they are."""
    first = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
    ends = list(zip(reversed(before[first:]), reversed(after[first:]), strict=False))
    last = next((i for i, (a, b) in enumerate(ends) if a != b), len(ends))
    was, now = before[first : len(before) - last], after[first : len(after) - last]
    return "\n".join([f"- {line.strip()}" for line in was] + [f"+ {line.strip()}" for line in now])


def is_wording(change: str) -> bool:
    """Whether a change only spells a text with a blank in it, made for people, in another way."""
    before, _, after = change.partition("\n+")
    was, now = (re.findall(r'"([^"]*)"', text) for text in (before, after))
    spelt = [(a, b) for a, b in zip(was, now, strict=False) if a != b]
    same = len(was) == len(now) and all(a.lower() == b.lower().removeprefix("xx").removesuffix("xx") for a, b in spelt)
    return bool(spelt) and same and all(" " in a.strip() for a, _ in spelt)


def share(mutants: list[Mutant]) -> tuple[float, float]:
    """Returns the share that was noticed, each file weighted by its mutants, and half the interval of 95 %."""
    noticed = variance = 0.0
    files = {mutant.file for mutant in mutants if mutant.outcome}
    everything = sum(mutant.file in files for mutant in mutants)
    for file in files:
        of_file = [mutant for mutant in mutants if mutant.file == file]
        tried = [mutant for mutant in of_file if mutant.outcome]
        weight = len(of_file) / everything
        part = sum(mutant.outcome in {"killed", "stopped"} for mutant in tried) / len(tried)
        noticed += weight * part
        unseen = 1 - len(tried) / len(of_file)
        variance += weight**2 * unseen * part * (1 - part) / max(1, len(tried) - 1)
    return noticed, 1.96 * math.sqrt(variance)


def report(tree: Path) -> None:
    """Prints what became of the mutants, file by file, and writes down those that no test noticed."""
    mutants = mutants_of(tree)
    tried = [mutant for mutant in mutants if mutant.outcome]
    columns: tuple[Outcome, ...] = ("killed", "stopped", "survived", "no tests")
    print(f"{'':36}{'mutants':>9}{'tried':>7}" + "".join(f"{column:>10}" for column in columns))
    for file in sorted({mutant.file for mutant in tried}):
        found = Counter(mutant.outcome for mutant in tried if mutant.file == file)
        of_file = sum(mutant.file == file for mutant in mutants)
        print(f"{file:36}{of_file:>9}{found.total():>7}" + "".join(f"{found[column]:>10}" for column in columns))
    found = Counter(mutant.outcome for mutant in tried)
    print(f"{'':36}{len(mutants):>9}{len(tried):>7}" + "".join(f"{found[column]:>10}" for column in columns))

    texts = changes(tree)
    wording = {name for name, change in texts.items() if is_wording(change)}
    noticed, within = share(mutants)
    print(f"\nnoticed: {noticed:.1%} of all" + (f" (+- {within:.1%}, a sample)" if within else ""))
    without = [mutant for mutant in mutants if mutant.name not in wording]
    noticed, within = share(without)
    print(f"noticed: {noticed:.1%} without the wording of texts" + (f" (+- {within:.1%}, a sample)" if within else ""))

    missed = [mutant for mutant in tried if mutant.outcome in {"survived", "no tests"}]
    lines = (
        f"{m.name}  {m.outcome}{', wording' if m.name in wording else ''}\n{texts[m.name]}\n"
        for m in sorted(missed, key=lambda m: (m.file, m.name in wording, m.name))
    )
    (tree / "mutants.txt").write_text("\n".join(lines))
    worded = sum(mutant.name in wording for mutant in missed)
    print(f"{len(missed)} that no test noticed, {worded} of them wording: {tree / 'mutants.txt'}")


def again_with(tree: Path, names: set[str], examples: int) -> None:
    """Tries mutants once more, with more examples, for which the tests may take longer."""
    (tree / "mutants" / "mutmut-stats.json").unlink()
    changed_codes(tree, lambda name, code: None if name in names else code)
    mutmut(tree, examples=examples)


def main() -> None:
    """Makes the mutants, tries them, and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], help="a file of the product; may be given again")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--examples", type=int, default=100)
    options = parser.parse_args()
    tree = (options.work or Path(tempfile.mkdtemp(prefix="mutants-"))).resolve()
    copy_tree(tree)
    if not (tree / "mutants").exists():
        # One small file: this makes the mutants of all, and finds out which tests reach what.
        mutmut(tree, "policies.cheapest.*")
    choose(tree, only=options.only, sample=options.sample, seed=options.seed)
    mutmut(tree)
    report(tree)
    survived = {mutant.name for mutant in mutants_of(tree) if mutant.outcome == "survived"}
    if survived and options.examples:
        print(f"\nWhat survived, tried again with {options.examples} examples:\n")
        again_with(tree, survived, options.examples)
        report(tree)


if __name__ == "__main__":
    main()
