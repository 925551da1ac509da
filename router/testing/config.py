"""`check_config`: expectations proved and findings listed, for a test of the user's own and for `lowfare check`.

def test_config():
    check_config("config.toml")
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.config import Settings, load
from router.config_errors import key_path
from router.setup import Setup, setup_of
from router.testing.expect import Verdict, verdict
from router.testing.expect_files import Expectation, Source, expectations
from router.testing.expect_told import lines_told, request_values, verdict_values
from router.testing.gaps import findings
from router.testing.gaps_found import Finding
from router.testing.space_world import World

__tracebackhide__ = True  # pytest shows the test's own line, and what it was told

FAILED = frozenset({"refuted", "empty"})
"""Outcomes of expectations that do not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found of a configuration.

    Attributes:
        source: its file.
        verdicts: what became of each expectation.
        findings: what somebody will regret.
    """

    source: Source
    verdicts: tuple[tuple[Expectation, Verdict], ...]
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> tuple[tuple[Expectation, Verdict], ...]:
        """The expectations that do not hold."""
        return tuple((one, found) for one, found in self.verdicts if found.outcome in FAILED)

    def lines(self, found: Finding, /) -> Iterator[str]:
        """Yields a finding in words."""
        yield f"{self.source.place(found.path)}: {key_path(found.path)}: {found.message} ({found.kind})"

    def values(self) -> dict[str, Any]:
        """Returns it as JSON."""
        return {
            "expectations": [verdict_values(one, found) for one, found in self.verdicts],
            "findings": [
                {
                    "kind": found.kind,
                    "severity": found.severity,
                    "about": key_path(found.path),
                    "file": self.source.file,
                    "line": self.source.line(found.path),
                    "message": found.message,
                    "request": None if found.example is None else request_values(found.example),
                }
                for found in self.findings
            ],
        }


def examine(settings: Settings, setup: Setup, /, *, expect: Path | None = None) -> Report:
    """Returns what is found of a configuration.

    Args:
        settings: of it.
        setup: of it.
        expect: a file with more expectations; None takes `config.expect.toml` beside `config.toml`, if there is one.

    Raises:
        ConfigError: the file is wrong, or an expectation names what is not there.
    """
    source = Source.of(settings.origin.file)
    world = World.of(setup)
    wanted = expectations(settings, setup, source, beside=expect)
    return Report(
        source=source,
        verdicts=tuple((one, verdict(one.table, world)) for one in wanted),
        findings=tuple(findings(world)),
    )


def check_config(
    config: str | os.PathLike[str] | Settings,
    /,
    *,
    expect: str | os.PathLike[str] | None = None,
    allow: Collection[str] = (),
) -> Report:
    """Returns what is found of a configuration, if all its expectations hold and nothing is found to warn of.

    Args:
        config: a TOML file, or settings.
        expect: a file with more expectations; None takes `config.expect.toml` beside `config.toml`, if there is one.
        allow: kinds of findings that are meant so, such as "one_provider".

    Raises:
        AssertionError: an expectation does not hold, or something is found; lists all of it, with counterexamples.
        ConfigError: the configuration, or the file of expectations, is wrong.
    """
    settings = config if isinstance(config, Settings) else load(config)
    report = examine(settings, setup_of(settings), expect=None if expect is None else Path(expect))
    warned = [found for found in report.findings if found.severity == "warning" and found.kind not in allow]
    told = [line for one, found in report.failed for line in lines_told(one, found)]
    told += [line for found in warned for line in report.lines(found)]
    if told:
        raise AssertionError("\n".join(told))
    return report
