from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from router.analytics.report_options import Options
from router.analytics.report_prices import Prices
from router.errors import RequestError
from tests.analytics.records import attempt, hit, marks, record
from tests.analytics.reporting import PRICES, only, report, reported, rows


def test_a_hit_does_not_prolong_what_is_stored(tmp_path: Path) -> None:
    """An answer is found for its time from when it came, however often it was found since."""
    log = [record(key="k", time=second, latency_s=0.0) for second in (0, 50, 100, 150)]
    curve = {row["ttl_s"]: row["hits"] for row in rows(reported(tmp_path, log)["cache_curve"])}
    assert (curve[60], curve[300]) == (2, 3)  # at 50 and 150; with every hit prolonging it there would be three


@pytest.mark.parametrize(
    ("seconds", "hits"), [((0, 59.999), 1), ((0, 60), 0), ((0, 30, 60), 1), ((0, 60, 119, 120), 1)]
)
def test_an_answer_is_gone_at_its_time(tmp_path: Path, seconds: tuple[float, ...], hits: int) -> None:
    """An answer that is kept for a minute is not found a minute later, be it looked for in between or not."""
    log = [record(key="k", time=second, latency_s=None) for second in seconds]
    assert rows(reported(tmp_path, log)["cache_curve"])[0]["hits"] == hits


def test_a_request_shares_the_answer_that_is_under_way(tmp_path: Path) -> None:
    """An equal request that comes before the first one's answer is a hit, and the time runs from that answer."""
    log = [record(key="k", time=second, latency_s=100.0) for second in (0, 90, 155, 165)]
    curve = {row["ttl_s"]: row["hits"] for row in rows(reported(tmp_path, log)["cache_curve"])}
    assert curve[60] == 2


def test_what_failed_is_not_stored(tmp_path: Path) -> None:
    """A request without an answer leaves nothing for others, but may itself be spared."""
    failed = {"attempts": [attempt(outcome="timed_out", usage=None, cost_usd="0.5")], "key": "k"}
    log = [record(time=0, **failed), record(time=10, key="k"), record(time=20, **failed)]
    row = rows(reported(tmp_path, log)["cache_curve"])[0]
    assert (row["hits"], row["saved_usd"]) == (1, Decimal("0.5"))


def test_storms(tmp_path: Path) -> None:
    """Three equal requests of one client, each within seconds of the last, are a storm; of three clients, none."""
    storm = [record(key="k", time=second, tags={"client": "a"}) for second in (0, 10, 20, 30.001)]
    others = [record(key="k", time=second, tags={"client": f"b{second}"}) for second in (1, 2, 3)]
    tables = reported(tmp_path, [*storm, *others])
    assert only(tables["storms"])["requests"] == 3
    assert only(tables["largest_storms"])["lasted_s"] == 20


def test_a_conversation_repeats_itself(tmp_path: Path) -> None:
    """Of a request that goes on with a conversation, what the last one had is repeated, by its share of the bytes."""
    session = {"tags": {"session": "s"}}
    log = [
        record(time=0, features=record()["features"] | {"prefix": marks("b")}, **session),
        record(time=1, features=record()["features"] | {"prefix": marks("bb")}, **session),
        record(time=2, features=record()["features"] | {"prefix": marks("bbb")}),
    ]
    whole = rows(reported(tmp_path, log)["context"])[0]
    assert (whole["previous_tokens"], whole["previous_share"]) == (50, 0.25)
    assert (whole["any_tokens"], whole["any_share"]) == (50 + 66, pytest.approx(116 / 300))
    assert whole["any_saving_usd"] == Decimal("0.0000009") * 116


def test_errors_that_differ_in_numbers_are_one(tmp_path: Path) -> None:
    """The commonest errors of a class are told apart by their words, not by ids, counts or times."""
    words = ["limit 10, used 9", "limit 10, used 8", "overloaded"]
    log = [record(attempts=[attempt(outcome="refused", error=text, cost_usd="0")]) for text in words]
    tables = reported(tmp_path, log)
    assert [(row["error"], row["count"]) for row in rows(tables["errors"])] == [
        ("limit 10, used 8", 2),
        ("overloaded", 1),
    ]
    assert only(tables["failures"])["error"] == "limit 10, used 8"


def test_unknown_is_counted_and_never_zero(tmp_path: Path) -> None:
    """A sum leaves out what is unknown and says how much that is; a sum of nothing known is unknown."""
    log = [record(attempts=[attempt(cost_usd=None)]), hit("small", None, None)]
    whole = only(reported(tmp_path, log)["summary"])
    assert (whole["cost_usd"], whole["unknown_cost"], whole["cache_saved_usd"]) == (0, 1, None)
    assert only(reported(tmp_path, log[:1])["summary"])["cost_usd"] is None


def test_an_empty_log(tmp_path: Path) -> None:
    """Where there is nothing, every share is unknown, and the one finding says so."""
    empty = report(tmp_path, [], Options(by=("tenant",), baseline="small", prices=PRICES))
    assert [finding for section in empty.sections for finding in section.findings] == [
        "No request of this log is in the window and the filters."
    ]
    assert only(reported(tmp_path, [])["summary"])["success_share"] is None


def test_findings_name_the_figures(tmp_path: Path) -> None:
    """Each section says in sentences what to act on."""
    prefix = record()["features"] | {"prefix": marks("bb"), "output_tokens_most": 1_000}
    failed = attempt(model="large", outcome="timed_out", error="no answer in time", usage=None, cost_usd="0.01")
    log = [
        record(key="k", time=n * 86_400, features=prefix, tags={"session": "s"}, attempts=[failed, attempt()])
        for n in range(2)
    ]
    log += [record(key="storm", time=n, baseline_usd="0.5", attempts=[attempt(model="other")]) for n in range(3)]
    log += [hit("small", {"input_tokens": 5, "output_tokens": 1}, "0.25", time=1)]
    log += [record(attempts=[attempt(usage={"input_tokens": 900, "output_tokens": 9})], time=5)]
    told = " ".join(finding for section in report(tmp_path, log).sections for finding in section.findings)
    for words in (
        "$0.026 were spent on 7 requests; 100 % of all were answered.",
        "they would have cost $1.50",
        "The cache served 1 request and saved $0.25.",
        "The dearest day was 2026-11-01",
        "100 % of 2 failed calls are timed_out of large; the commonest says 'no answer in time'.",
        "$0.02 were wasted, 76.9 % of the cost; $0.02 of it by time-outs.",
        "1 answer (16.7 %) wrote less than a tenth",
        "Of the max_tokens asked for 2 % were written",
        "3 repeats of earlier requests (42.9 % of all) cost $0.013.",
        "1 retry storm made 3 requests for $0.003",
        "50 % of the input tokens in sessions repeat the previous request",
        "Providers' prompt caches would have saved up to",
    ):
        assert words in told, (words, told)


def test_a_baseline_needs_a_price(tmp_path: Path) -> None:
    """A model whose price nobody knows is no baseline; the error names those of the configuration."""
    with pytest.raises(RequestError, match=r"--baseline large: no price is known for it; .* has other, small"):
        report(tmp_path, [record()], Options(baseline="large", prices=PRICES))
    with pytest.raises(RequestError, match=r"no price is known for it$"):
        report(tmp_path, [], Options(baseline="nobody/knows", prices=Prices()))


def test_what_the_report_is_about(tmp_path: Path) -> None:
    """Window, filters and groups stand at its head."""
    options = Options(where=(("tenant", "acme"),), by=("day",), prices=PRICES)
    made = report(tmp_path, [record(tenant="acme"), record()], options)
    assert dict(made.about) == {"Window": "everything", "Filters": "tenant=acme", "Groups": "day", "Requests": "1"}
    assert [table.name for section in made.sections for table in section.tables].count("by_day") == 1


def test_the_wasted_share_is_of_known_costs(tmp_path: Path) -> None:
    """What a request wasted whose whole cost is unknown is no part of a sum that leaves the request out."""
    failed = attempt(outcome="timed_out", usage=None, cost_usd="0.5")
    log = [record(attempts=[failed, attempt(cost_usd=None)]), record(attempts=[failed, attempt(cost_usd="0.5")])]
    tables = reported(tmp_path, log)
    assert only(tables["summary"])["waste_share"] == 0.5
    assert (only(tables["waste"])["cost_usd"], only(tables["waste"])["share"]) == (1, 0.5)
    assert only(tables["waste_by_model"])["share"] == 0.5
