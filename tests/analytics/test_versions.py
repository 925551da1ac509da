"""Logs as every version of the record wrote them; the program of that version made each file in `logs`."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from router import Decision, Router, replay
from router.analytics.compact import Terms, compact
from router.analytics.log import opened
from router.analytics.log_reader import LogReader
from router.config import load
from router.setup import setup_of

LOGS = Path(__file__).parent / "logs"
VERSIONS = {
    "first": "the first record: no cache, no deployments",
    "attempts": "attempts that are held back, hedged, or of a deployment",
    "cache": "the cache: its terms, the look into it, what a hit saved",
    "prefix": "what a request begins with; whom each attempt meant",
    "budgets": "how budgets stood, and what was reserved; the caller's span",
    "now": "the provider's name for its answer; of whose share an attempt was spent while the store was away",
}
WHOLE = {"prefix", "budgets", "now"}
"""Those that tell whom each attempt meant, and what a request begins with."""

QUERY = "SELECT * EXCLUDE (record) FROM decisions ORDER BY time"


def records(version: str) -> list[dict[str, Any]]:
    """Returns the log as JSON."""
    return [json.loads(line) for line in (LOGS / f"{version}.jsonl").read_text().splitlines()]


def test_every_version_has_a_log() -> None:
    """No log lies about unread, and none is missing."""
    assert {path.stem for path in LOGS.glob("*.jsonl")} == set(VERSIONS)


def test_the_current_version_is_among_them() -> None:
    """The newest log has every field that a record has today; a new field asks for a log of its own here."""
    with Router(load(LOGS / "config.toml", environ={})) as router:
        today = router.complete("Hello").decision.to_dict()
    logged = records("now")[0]
    assert today.keys() <= logged.keys()
    assert today["features"].keys() <= logged["features"].keys()
    assert today["attempts"][0].keys() <= logged["attempts"][0].keys()


@pytest.mark.parametrize("version", VERSIONS)
def test_columns(version: str) -> None:
    """The view has every request with its figures, and NULL for what the version did not know."""
    wanted = records(version)
    with opened(LOGS / f"{version}.jsonl") as connection:
        rows = connection.sql(
            "SELECT trace_id, model, cost_usd, waste_usd, input_tokens, output_tokens, session, tenant, cache, "
            "len(attempts), provider IS NOT NULL, prefix IS NOT NULL FROM decisions ORDER BY time"
        ).fetchall()
        assert connection.sql("SELECT count(*) FROM aside").fetchall() == [(0,)]
    assert rows == [
        (
            record["trace_id"],
            record["model"],
            Decimal(record["cost_usd"]),
            Decimal(record["waste_usd"]),
            (usage := usage_of(record))["input_tokens"],
            usage["output_tokens"],
            record["tags"].get("session"),
            record["tenant"],
            record["cache"],
            len(record["attempts"]),
            version in WHOLE or record["cache"] != "none",
            version in WHOLE,
        )
        for record in wanted
    ]


def usage_of(record: dict[str, Any]) -> dict[str, int]:
    """Returns the tokens of the answer, wherever it came from."""
    usage: dict[str, int] = (record["attempts"][-1] if record["attempts"] else record["lookup"]["hit"])["usage"]
    return usage


@pytest.mark.parametrize("version", VERSIONS)
def test_compaction_changes_nothing(version: str, tmp_path: Path) -> None:
    """A log reads the same before and after it was compacted, by query and by record."""
    log = tmp_path / "log.jsonl"
    shutil.copy(LOGS / f"{version}.jsonl", log)
    with opened(log) as connection:
        before = connection.sql(QUERY).fetchall()
    assert compact(log, Terms()).records == len(records(version))
    with opened(log) as connection:
        assert connection.sql(QUERY).fetchall() == before
    assert list(LogReader(log)) == records(version)


@pytest.mark.parametrize("version", VERSIONS)
def test_replay(version: str) -> None:
    """The configuration of the day decides each request again as it was decided, and each is found by its id."""
    setup = setup_of(load(LOGS / "config.toml", environ={}))
    for record in records(version):
        (found,) = LogReader(LOGS / f"{version}.jsonl").find(record["trace_id"])
        again = replay(found, catalog=setup.catalog, policy=setup.policies[found["policy"]])
        assert isinstance(again, Decision)
        kept = (
            "model",
            "ending",
            "cost_usd",
            "waste_usd",
            "slate",
            "key",
        )  # what bounds the worst case became wider since
        assert {name: again.to_dict()[name] for name in kept} == {name: record[name] for name in kept}
