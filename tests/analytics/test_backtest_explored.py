from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from router.analytics.backtest import Backtest, rows
from router.analytics.backtest_explored import UNITS
from router.analytics.backtest_figures import costs, estimated, figures_of, names_of, percentile_s, rewards, share
from router.analytics.backtest_report import report_of
from router.analytics.backtest_tally import Explored, Result, Sums, Tally
from router.analytics.backtest_work import Job, played
from router.analytics.conditions import condition
from router.core.answer import Usage
from router.core.bounds import Bounds
from router.core.cost import cost_usd
from router.errors import RouterError
from tests.analytics.simulated_logs import MODELS, answered, record_of, setup_with, stored
from tests.core.builders import attempt, features

TO_LARGE: Mapping[str, Any] = {"kind": "fallback", "models": ["large"]}
EXPLORING: Mapping[str, Any] = {
    "kind": "weighted",
    "split": [{"weight": 8, "model": "small"}, {"weight": 2, "model": "large"}],
}
SPLIT = setup_with(EXPLORING)
ADEQUATE = {"small": 0.5, "large": 0.9}
Row = tuple[str, bool | None, float | None]


def explored_log(n: int) -> list[Row]:
    """Returns the beginning of a log whose model was drawn 8 to 2, as the configuration says, with labels."""
    return list(_explored_log()[:n])


@cache
def _explored_log() -> tuple[Row, ...]:
    chance = random.Random(0)
    out: list[Row] = []
    for i in range(900):
        draw = chance.random()
        name = "small" if draw < 0.8 else "large"
        tokens = (chance.randint(50, 400), chance.randint(20, 100))
        first = SPLIT.catalog[name]
        assert first.price is not None
        usd = cost_usd(Usage(input_tokens=tokens[0], output_tokens=tokens[1]), first.price)
        models = {name: first} | dict(SPLIT.catalog)
        call = answered(name, usd=str(usd), tokens=tokens)
        record = record_of(models, call, draw=draw, features=features(tokens[0]))
        record |= {"trace_id": f"{i:032x}", "request_id": f"{i:032x}"}
        good = chance.random() < ADEQUATE[name]
        out.append((orjson.dumps(record).decode(), good, float(good) / 2))
    return tuple(out)


def play(log: list[Row], policy: Mapping[str, Any], **options: Any) -> Result:
    """Returns what a log comes to under a policy."""
    job = {"logged_by": SPLIT, "reward": "label", **options}
    return played(Job(setups=(setup_with(policy),), **job), log)


def test_what_a_split_tells_of_another_policy() -> None:
    """Adequacy and cost of a model that got a fifth of the requests are estimated, with the truth in the interval."""
    tally = play(explored_log(900), TO_LARGE).tallies[0]
    found = rewards(tally)
    assert found.snips is not None
    assert found.doubly_robust is not None
    assert not found.refused
    assert found.ess == pytest.approx(180, rel=0.25)
    for one in (found.snips, found.doubly_robust):
        assert one.low < 0.9 < one.high
        assert one.high - one.low < 0.15
    # 225 tokens in and 60 out on average, at 2 and 8 dollars per million.
    dollars = costs(tally).doubly_robust
    assert dollars is not None
    assert dollars.low < 0.00093 < dollars.high
    assert tally.explored.requests == 900


def test_the_policy_of_the_log_itself() -> None:
    """Its own policy is estimated by the plain mean: all weights are 1, and every request tells as much as one."""
    log = explored_log(800)
    found = rewards(play(log, EXPLORING).tallies[0])
    assert found.snips is not None
    assert found.snips.value == pytest.approx(sum(bool(good) for _, good, _ in log) / 800)
    assert found.ess == pytest.approx(800)


def test_scores_and_answers() -> None:
    """Scores are estimated as they are, and where there are no labels, that there was an answer."""
    log = explored_log(900)
    scored = rewards(play(log, TO_LARGE, reward="score").tallies[0]).doubly_robust
    assert scored is not None
    assert scored.low < 0.45 < scored.high
    answers = rewards(play(log[:600], TO_LARGE, reward="answer").tallies[0]).doubly_robust
    assert answers is not None
    assert answers.value == pytest.approx(1.0)
    unlabelled: list[Row] = [(line, None, None) for line, _, _ in log[:50]]
    none = rewards(play(unlabelled, TO_LARGE).tallies[0])
    assert "no request has both" in none.refused


def test_too_little_is_refused() -> None:
    """Below 100 effective samples nothing is estimated, and the words say what to do."""
    found = rewards(play(explored_log(200), TO_LARGE).tallies[0])
    assert found.snips is None
    assert 0 < found.ess < 100
    assert "too few: 200 requests" in found.refused


def test_models_that_were_never_tried() -> None:
    """Where the new policy asks whom the log never would, nothing is estimated, and the models are named."""
    tables = {"models": {**MODELS, "new": {**MODELS["large"], "id": "simulated/new"}}}
    setup = setup_with({"kind": "fallback", "models": ["new"]}, **tables)
    result = played(Job(setups=(setup,), logged_by=SPLIT, reward="label"), explored_log(50))
    found = rewards(result.tallies[0])
    assert "no overlap: 100.0 %" in found.refused
    assert "simulated/new (50)" in found.refused


def test_a_log_that_somebody_else_wrote() -> None:
    """Where the configuration that is said to have written the log sends requests elsewhere, they are left out."""
    other = {"kind": "weighted", "split": [{"weight": 1, "model": "large"}, {"weight": 1, "model": "medium"}]}
    tally = play(explored_log(60), TO_LARGE, logged_by=setup_with(other)).tallies[0]
    (reason,) = tally.explored.outside
    assert "sends it elsewhere" in reason
    assert tally.explored.outside[reason] + tally.explored.requests == 60
    assert tally.explored.requests < 40


def with_propensities(log: list[Row], wrong: float = 1.0) -> list[Row]:
    """Returns a log whose records say how likely their model was."""
    out: list[Row] = []
    for line, good, score in log:
        record = orjson.loads(line)
        record["propensity"] = {"small": 0.8, "large": 0.2}[record["model"]] * wrong
        out.append((orjson.dumps(record).decode(), good, score))
    return out


def test_propensities_in_the_log() -> None:
    """Records that say how likely their model was need no configuration, and come to the same."""
    log = explored_log(900)
    stated = rewards(play(with_propensities(log), TO_LARGE, logged_by=None).tallies[0])
    known = rewards(play(log, TO_LARGE).tallies[0])
    assert stated.snips is not None
    assert known.snips is not None
    assert stated.snips.value == pytest.approx(known.snips.value)
    wrong = rewards(play(with_propensities(log, 0.5), TO_LARGE, logged_by=None).tallies[0])
    assert "the chances are not those of this log" in wrong.refused
    impossible = play(with_propensities(log[:1], 0.0), TO_LARGE, logged_by=None).tallies[0]
    assert "its propensity is not above 0 and at most 1" in impossible.explored.outside


def test_what_is_outside() -> None:
    """Requests that no model was asked for, that go to nobody now, or that a policy fails on, are told."""
    hit = record_of(SPLIT.catalog, hit=stored("small"))
    (asked,) = explored_log(1)
    outside = play([(orjson.dumps(hit).decode(), None, None), asked], {"kind": "max_cost", "limit_usd": "0"}).tallies[0]
    assert outside.explored.outside == {"no model was asked": 1, "the new policy sends it to nobody": 1}

    def broken(slate: Any, context: Any) -> Any:
        raise ZeroDivisionError

    failing = replace(setup_with(EXPLORING), policies={"default": broken})
    result = played(Job(setups=(failing,), logged_by=SPLIT), [asked])
    assert result.tallies[0].explored.outside == {"the new policy sends it to nobody": 1}
    result = played(Job(setups=(SPLIT,), logged_by=failing), [asked])
    assert result.tallies[0].explored.requests == 0
    held = attempt("small", model_id="simulated/small")
    bare = {**record_of(SPLIT.catalog, held), "slate": {"live": [], "dropped": []}}
    lonely = play([(orjson.dumps(bare).decode(), None, None)], TO_LARGE).tallies[0]
    assert lonely.explored.outside == {"nothing tells how likely its model was": 1}


def test_splits_that_can_be_drawn_in_too_many_ways() -> None:
    """Nothing is estimated of their policy, which is named, whether it is the new one or wrote the log; costs are."""
    models = {f"m{n}": {**MODELS["small"], "id": f"simulated/m{n}"} for n in range(6)}
    many = setup_with({"kind": "weighted", "split": [{"weight": 1, "model": name} for name in models]}, models=models)
    log = with_propensities(explored_log(9))
    for job in (Job(setups=(many,)), Job(setups=(SPLIT,), logged_by=many)):
        tally = played(job, log if job.logged_by is None else explored_log(9)).tallies[0]
        reason = "the splits of policy 'default' can be drawn in too many ways for their chances to be known"
        assert tally.explored.outside == {reason: 9}
        assert tally.total.requests == 9


def test_comparisons() -> None:
    """Two configurations are compared on the same resamples, and their interval holds the difference."""
    log = explored_log(900)
    job = Job(setups=(setup_with(EXPLORING), setup_with(TO_LARGE)), logged_by=SPLIT, reward="label", compare=True)
    done = Backtest(result=played(job, log), job=job)
    figures = figures_of(done)
    low, high = figures["difference_usd_low"], figures["difference_usd_high"]
    assert low is not None
    assert high is not None
    assert figures["difference_usd"] is not None
    assert 0 < low < figures["difference_usd"] < high
    assert figures["reward_difference"] is not None
    assert figures["reward_difference_low"] is not None
    assert figures["reward_difference_low"] < Decimal("0.32") < (figures["reward_difference_high"] or 0)
    assert figures["baseline"] == done.result.tallies[0].total.now_usd
    assert set(figures) <= names_of(compare=True)
    report = report_of(done, figures, names=("a", "b"), about=())
    off = next(section for section in report.sections if section.name == "offpolicy_2")
    units = {table.name: {column.unit for column in table.columns[1:4]} for table in off.tables}
    assert units == {"offpolicy": {"ratio"}, "offpolicy_usd": {"usd"}}
    names = [section.name for section in report.sections]
    assert len(set(names)) == len(names)
    assert {"comparison", "cost_1", "offpolicy_2"} <= set(names)
    same = Job(setups=(SPLIT, SPLIT), compare=True)
    nothing = figures_of(Backtest(result=played(same, log[:20]), job=same))
    assert nothing["difference_usd_low"] == nothing["difference_usd_high"] == 0
    empty = figures_of(Backtest(result=played(same, []), job=same))
    assert empty["difference_usd"] is empty["baseline"] is None


UNPRICED: Mapping[str, Any] = {"models": {"small": {"id": "own/small", "base_url": "http://localhost:1"}}}


def test_comparisons_are_of_the_same_requests() -> None:
    """A comparison is of requests whose cost is known under both, exactly; without any, its figures are unknown."""
    log = explored_log(60)
    large = [row for row in log if orjson.loads(row[0])["model"] == "large"]
    assert 0 < len(large) < 60
    models = {"models": {**UNPRICED["models"], "large": MODELS["large"]}, "unpriced": "allow"}
    partly = setup_with(EXPLORING, **models)
    job = Job(setups=(partly, setup_with(TO_LARGE)), compare=True)
    found = figures_of(Backtest(result=played(job, log), job=job))
    usd = sum((Decimal(orjson.loads(line)["cost_usd"]) for line, _, _ in large), Decimal(0))
    assert found["baseline"] == found["cost_usd"] == found["observed_usd"] == usd
    assert found["difference_usd"] == found["savings_usd"] == found["estimated_usd"] == 0
    assert found["difference_usd_low"] == found["difference_usd_high"] == 0
    assert found["unknown_cost"] == 60 - len(large)
    nowhere = setup_with({"kind": "cheapest"}, **UNPRICED, unpriced="allow")
    job = Job(setups=(nowhere, setup_with(TO_LARGE)), compare=True)
    found = figures_of(Backtest(result=played(job, log), job=job))
    of_both = ("baseline", "cost_usd", "savings_usd", "savings_share", "difference_usd", "difference_usd_low")
    assert [found[name] for name in (*of_both, "difference_share_high")] == [None] * 7


def test_small_amounts_are_told() -> None:
    """An amount that is not zero is never told as zero."""
    tally = Tally(total=Sums(requests=1, was_usd=Decimal("0.00003"), now_usd=Decimal("0.00001")))
    done = Backtest(result=Result(records=1, tallies=(tally,)), job=Job(setups=(SPLIT,)))
    findings = report_of(done, figures_of(done), names=("a",), about=()).sections[0].findings
    assert findings[0].startswith("$0.00001 instead of $0.00003: $0.00002 (66.7 %) less;")


def test_a_baseline_that_costs_nothing() -> None:
    """The difference from it is known, and in percent it is not."""
    free = {"models": {"small": {**MODELS["small"], "input_usd_per_mtok": "0", "output_usd_per_mtok": "0"}}}
    line = orjson.dumps({**record_of(SPLIT.catalog, answered("large")), "trace_id": "a" * 32}).decode()
    job = Job(setups=(setup_with({"kind": "cheapest"}, **free), setup_with(TO_LARGE)), compare=True)
    found = figures_of(Backtest(result=played(job, [(line, None, None)] * 3), job=job))
    assert found["difference_usd"] == found["cost_usd"] != 0
    assert (found["difference_usd_low"] or 0) > 0
    assert found["difference_share_low"] is found["difference_share_high"] is None


def test_costs_that_are_all_unknown() -> None:
    """They are no zeros: figures and tables of money have nothing, and a condition on them cannot be judged."""
    job = Job(setups=(setup_with({"kind": "cheapest"}, **UNPRICED, unpriced="allow"),))
    done = Backtest(result=played(job, explored_log(20)), job=job)
    figures = figures_of(done)
    money = ("cost_usd", "baseline", "savings_usd", "savings_share", "observed_usd", "estimated_usd")
    assert [figures[name] for name in money] == [None] * 6
    with pytest.raises(RouterError, match="cost_usd is unknown for this log"):
        condition("cost_usd > 0.001", names_of(compare=False)).holds(figures)
    cost, _, days = report_of(done, figures, names=("a",), about=()).sections[:3]
    assert cost.findings[0].startswith("What they cost is not known of any request; 100.0 % of 20 requests")
    assert "The cost of 20 requests is not known then or now, and in no sum of dollars." in cost.findings
    assert cost.tables[0].rows[0][:8] == (20, *(None,) * 6, 20)
    assert days.tables[0].rows[0][2:7] == (None, None, None, None, 20)


def test_figures_of_nothing() -> None:
    """Of no request at all, shares and percentiles are unknown, not zero."""
    assert share(0, 0) is None
    assert percentile_s({}, 0.5) is None
    assert percentile_s({10: 1, 20: 1}, 0.5) == Decimal("0.01")
    assert percentile_s({10: 1, 20: 1}, 0.51) == Decimal("0.02")
    assert estimated(Explored(), {}, UNITS).snips is None
    job = Job(setups=(SPLIT,))
    done = Backtest(result=played(job, []), job=job)
    figures = figures_of(done)
    assert figures["observed_share"] is None
    assert set(figures) == names_of(compare=False)
    report = report_of(done, figures, names=("a",), about=())
    assert report.sections[0].findings == ("No request was replayed, so nothing can be said.",)


def test_labels_are_joined(tmp_path: Path) -> None:
    """The verdict on a trace is that on each of its records."""
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE VIEW decisions AS SELECT '{\"trace_id\": \"' || t || '\"}' AS record, t AS trace_id FROM "
            "(VALUES ('a'), ('b'), ('a')) AS v(t)"
        )
        connection.execute("CREATE VIEW verdicts AS SELECT 'a' AS trace_id, false AS adequate, 0.5::DOUBLE AS score")
        found = [row for part in rows(connection, labelled=True) for row in part]
        bare = [row for part in rows(connection, labelled=False) for row in part]
    a, b = '{"trace_id": "a"}', '{"trace_id": "b"}'
    assert sorted(found, key=str) == [(a, False, 0.5), (a, False, 0.5), (b, None, None)]
    assert sorted(bare, key=str) == [(a, None, None), (a, None, None), (b, None, None)]


def test_bounds_do_not_matter_to_chances() -> None:
    """A request with a limit of its own is estimated like any other, among those that can keep it."""
    record = record_of(SPLIT.catalog, answered("small"), draw=0.1, bounds=Bounds(max_cost_usd=Decimal(1)))
    result = play([(orjson.dumps(record).decode(), True, None)], TO_LARGE)
    assert result.tallies[0].explored.requests == 1


def test_a_policy_that_fails_at_some_draws() -> None:
    """A policy that breaks its contract at a draw may send the request to nobody, and is not estimated for it."""
    split = [{"weight": 1, "model": "small"}, {"weight": 1, "model": "large"}]
    whole = setup_with({"kind": "weighted", "split": split}).policies["default"]

    def broken(slate: Any, context: Any) -> Any:
        raise ZeroDivisionError

    shares = (whole.split[0], replace(whole.split[1], model=None, use=broken))  # type: ignore[attr-defined]  # a split
    half = replace(SPLIT, policies={"default": replace(whole, split=shares, others="drop")})  # type: ignore[type-var]  # a dataclass
    result = played(Job(setups=(half,), logged_by=SPLIT), explored_log(20))
    assert result.tallies[0].explored.outside == {"the new policy sends it to nobody": 20}


def test_what_the_report_doubts() -> None:
    """All that the log cannot say of the new file is told in words, with the number of requests."""
    tally = Tally(
        total=Sums(requests=10, observed=4, was_usd=Decimal(2), now_usd=Decimal(3), unknown=1, by_features=2)
        + Sums(was_estimated_usd=Decimal(1)),
        hits_lost=3,
        without_stats=4,
        near_limit=5,
        dropped={(f"m{i}", "by", "reason"): 1 for i in range(60)},
    )
    rule = {"when": {"last_user_message": "translate"}, "use": TO_LARGE}
    setup = setup_with({"kind": "rules", "rules": [rule], "otherwise": TO_LARGE})
    done = Backtest(result=Result(records=12, aside={"torn": 2}, tallies=(tally,)), job=Job(setups=(setup,)))
    report = report_of(done, figures_of(done), names=("a",), about=(("log", "here"),))
    said = " ".join(finding for section in report.sections for finding in section.findings)
    for wanted in (
        "2 of 12 records are not replayed",
        "$3.00 instead of $2.00: $1.00 (50.0 %) more",
        "6 requests (60.0 %) would ask a model whose outcome is not in the log",
        "$1.00 of the cost then is not in the log either",
        "The cost of 1 request is not known then or now",
        "Of 2 estimates no tokens are reported",
        "3 answers out of the cache would not count any more",
        "The record of 4 requests lacks the statistics",
        "5 requests near a limit of the policy, not counted exactly",
        "Rules match the last user message",
    ):
        assert wanted in said
    drops = next(s for s in report.sections if s.name == "drops").tables[0]
    assert len(drops.rows) == 50
    assert "50 commonest of 60" in drops.note


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ("0.5565", "0.5565", "$0.556, as before; 0.0 % of 1 request would get another model."),
        ("0.5565", "0.55649", "$0.55649 instead of $0.5565: $0.00001 (0.0 %) less; "),
        ("0", "0", "$0, as before; "),
    ],
)
def test_amounts_that_are_nearly_the_same(was: str, now: str, told: str) -> None:
    """Amounts that differ are never told by the same words, and equal ones are told to be equal."""
    tally = Tally(total=Sums(requests=1, observed=1, was_usd=Decimal(was), now_usd=Decimal(now)))
    done = Backtest(result=Result(records=1, tallies=(tally,)), job=Job(setups=(SPLIT,)))
    cost = report_of(done, figures_of(done), names=("a",), about=()).sections[0]
    assert cost.findings[0].startswith(told)
