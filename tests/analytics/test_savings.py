from __future__ import annotations

import json
import tempfile
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router import Router, Settings
from router.analytics.log import opened
from router.analytics.savings import UNCOUNTED, Evidence, TierEstimate, estimate, log_calls, log_models
from router.analytics.savings_report import savings_report
from router.analytics.savings_toml import recommended_toml
from router.core.answer import Usage
from router.core.catalog import Model, Price, Rates, Tier
from router.core.cost import cost_usd
from router.core.label import Label
from router.core.record import usage_dict
from router.sinks.labels import LabelFile
from router.testing.scripted import ScriptedClient
from tests.core.builders import model

LIMITS = (50, 200)
START = datetime(2026, 11, 23, 12, tzinfo=UTC)


def rated(edges: Mapping[int, tuple[str, str]], **fields: Any) -> Price:
    """Returns a price with a context tier above each edge, in dollars per million tokens."""
    tiers = (
        Tier(above_tokens=above, rates=Rates(input=Decimal(cost_in), output=Decimal(cost_out), reasoning=Decimal(9)))
        for above, (cost_in, cost_out) in edges.items()
    )
    return Price(tiers=tuple(tiers), **fields)


FLEX = {"flex": rated({0: ("0.1", "0.2"), 150: ("7", "8")}).tiers}
TARGETS = {
    "small": model("small", price=rated({0: ("0.1", "0.4"), 40: ("0.3", "2")}), capabilities=frozenset({"tools"})),
    "fee": model("fee", price=rated({0: ("0.2", "0.1")}, request_usd=Decimal("0.0001"), service=FLEX), quality=0.5),
    "tight": model("tight", price=rated({0: ("0.01", "0.01")}), context_window_tokens=250, max_output_tokens=60),
}
LARGE = model("large", price=rated({0: ("3", "15"), 100: ("6", "22")}), capabilities=frozenset({"tools", "vision"}))
OWNS: dict[tuple[str, str | None], Price] = {
    (name, model_id): m.price
    for name, m in {**TARGETS, "large": LARGE}.items()
    for model_id in (m.id, None)
    if m.price is not None
}


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """Draws what the estimate reads of a record; the rest of it does not matter."""
    name = draw(st.sampled_from(["large", "large", "small", "gone"]))
    tokens = draw(st.sampled_from([0, 1, 40, 41, 50, 51, 100, 101, 200, 201]))
    written, reasoning = draw(st.integers(0, 80)), draw(st.integers(0, 30))
    usage = Usage(
        input_tokens=tokens,
        output_tokens=written + reasoning,
        reasoning_tokens=reasoning,
        cached_input_tokens=draw(st.sampled_from([0, tokens // 2])),
    )
    cost = draw(st.none() | st.decimals("0", "0.01", places=7))
    money = None if cost is None else str(cost)
    attempt = {"model": name, "outcome": "answer", "usage": usage_dict(usage), "cost_usd": money}
    if draw(st.booleans()):
        attempt["model_id"] = f"simulated/{name}"
    answered = draw(st.sampled_from([True, True, True, False]))
    waste = draw(st.sampled_from(["0", "0.001"]))
    failed = {"model": name, "outcome": "cut", "cost_usd": waste}
    spent = None if cost is None and answered else str(Decimal(waste) + (cost or 0) * answered)
    return {
        "schema": 1,
        "trace_id": f"{draw(st.integers(1, 6)):032x}",
        "time": START.isoformat(),
        "model": name if answered else None,
        "ending": "answer" if answered else "final",
        "cache": draw(st.sampled_from(["none", "none", "none", "memory"])),
        "cost_usd": spent,
        "expected_output_tokens": 30,
        "hints": {
            "model": draw(st.sampled_from([None, None, "large"])),
            "min_quality": draw(st.sampled_from([None, 0.5, 0.6])),
        },
        "features": {
            "input_tokens": {"low": 0, "likely": tokens, "high": tokens * 2},
            "exact_tokens": draw(st.sampled_from([{}, {"o200k_base": tokens + 10}])),
            "output_tokens_most": draw(st.sampled_from([None, 30, 100])),
            "needs": draw(st.sampled_from([[], [], ["tools"], ["vision"], ["json_object"]])),
            "service_tier": draw(st.sampled_from([None, "flex", "priority"])),
        },
        "attempts": [failed, attempt] if answered else [failed],
    }


def tier_of(record: Mapping[str, Any]) -> int | None:
    """Returns the limit of the tier that a request is in."""
    features = record["features"]
    measured = max(features["exact_tokens"].values(), default=features["input_tokens"]["likely"])
    return next((limit for limit in LIMITS if measured <= limit), None)


def usage_of(record: Mapping[str, Any], *, cached: bool) -> Usage:
    """Returns the tokens of the answer."""
    counted = dict(record["attempts"][-1]["usage"])
    if not cached:
        counted.pop("cached_input_tokens", None)
    return Usage(**counted, service_tier=record["features"]["service_tier"])


def now_usd(record: Mapping[str, Any]) -> Decimal | None:
    """Returns what the answer costs: by the log, else by today's price."""
    answer = record["attempts"][-1]
    if answer["cost_usd"] is not None:
        return Decimal(answer["cost_usd"])
    price = OWNS.get((answer["model"], answer.get("model_id")))
    return None if price is None else cost_usd(usage_of(record, cached=True), price)


def may_move(record: Mapping[str, Any], target: Model) -> bool:
    """Returns whether the estimate may count a request at a target."""
    features, hints = record["features"], record["hints"]
    most, needs = features["output_tokens_most"], set(features["needs"])
    output = min(30, target.max_output_tokens or 30) if most is None else most
    return (
        record["ending"] == "answer"
        and record["cache"] == "none"
        and hints["model"] is None
        and record["model"] != target.name
        and tier_of(record) is not None
        and needs <= target.capabilities
        and not needs & set(UNCOUNTED)
        and (hints["min_quality"] is None or (target.quality or -1) >= hints["min_quality"])
        and (most is None or most <= (target.max_output_tokens or most))
        and features["input_tokens"]["high"] + output <= (target.context_window_tokens or 10**9)
        and now_usd(record) is not None
        and not spend_is_lost(record)
    )


def spend_is_lost(record: Mapping[str, Any]) -> bool:
    """Returns whether attempts beside the answer are of unknown cost."""
    return record["cost_usd"] is None and len(record["attempts"]) > 1


def write(folder: str | Path, found: Sequence[Mapping[str, Any]]) -> Path:
    """Writes a log."""
    log = Path(folder) / "log.jsonl"
    log.write_text("".join(json.dumps(record) + "\n" for record in found))
    return log


def estimated(log: Path, *, share: float = 0.9) -> tuple[TierEstimate, ...]:
    """Returns the estimate for a log."""
    with opened(log) as connection:
        return estimate(connection, TARGETS, OWNS, limits=LIMITS, adequate_share=share)


@settings(max_examples=20, deadline=None)
@given(found=st.lists(records(), max_size=40))
def test_every_figure_is_that_of_the_requests_one_by_one(found: list[dict[str, Any]]) -> None:
    """Requests, spend, current cost and target cost of each move equal sums over single requests, to the last digit."""
    with tempfile.TemporaryDirectory() as folder:
        tiers = estimated(write(folder, found))
    assert [tier.up_to_tokens for tier in tiers] == [*LIMITS, None]
    for tier in tiers:
        mine = [record for record in found if tier_of(record) == tier.up_to_tokens]
        assert tier.requests == len(mine)
        spent = [
            Decimal(r["cost_usd"])
            if r["cost_usd"] is not None
            else now_usd(r)
            if r["model"] and not spend_is_lost(r)
            else None
            for r in mine
        ]
        assert tier.spent_usd == sum(s for s in spent if s is not None)
        assert tier.unknown == spent.count(None)
        for option in tier.options:
            target = TARGETS[option.target]
            assert target.price is not None
            moving = [record for record in mine if may_move(record, target)]
            assert {move.model: move.requests for move in option.moves} == Counter(r["model"] for r in moving)
            for move in option.moves:
                own = [r for r in moving if r["model"] == move.model]
                assert move.current_usd == sum(now_usd(r) or 0 for r in own)
                then = [cost_usd(usage_of(r, cached=False), target.price) or Decimal(0) for r in own]
                assert move.target_usd == sum(then)
                assert move.list_priced == sum(r["attempts"][-1]["cost_usd"] is None for r in own)
                assert move.output_tokens == sum(r["attempts"][-1]["usage"]["output_tokens"] for r in own)
        savings = {option.target: option.saving_usd for option in tier.options}
        best = max(savings.values(), default=Decimal(0))
        assert tier.saving_usd == max(best, 0)
        if tier.chosen is not None:
            moved = sum(move.requests for move in tier.chosen.moves)
            assert moved + sum(tier.stays.values()) == tier.requests
        else:
            assert best <= 0


def asked(trace: int = 1, name: str = "large", *, tokens: int = 40, **fields: Any) -> dict[str, Any]:
    """Returns a record of a plain request of few tokens, answered for a cent; by `tight` for next to nothing."""
    usd = "0.0000006" if name == "tight" else "0.01"
    usage = {"input_tokens": tokens, "output_tokens": 20}
    attempt = {"model": name, "model_id": f"simulated/{name}", "outcome": "answer", "usage": usage, "cost_usd": usd}
    record: dict[str, Any] = {
        "schema": 1,
        "trace_id": f"{trace:032x}",
        "time": START.isoformat(),
        "model": name,
        "ending": "answer",
        "cache": "none",
        "cost_usd": usd,
        "features": {"input_tokens": {"low": 1, "likely": tokens, "high": tokens}, "needs": []},
        "attempts": [attempt],
    }
    return record | fields


def label(log: Path, trace: int, *, adequate: bool, source: str = "user") -> None:
    """Labels a trace."""
    file = LabelFile(log)
    file.write(Label(trace_id=f"{trace:032x}", adequate=adequate, score=None, source=source, time=START))
    file.close()


def test_without_a_label_all_is_assumed(tmp_path: Path) -> None:
    """That the cheaper model's answer would do is never taken for granted, however many it gave."""
    log = write(tmp_path, [asked(1), asked(2, "tight"), asked(3, "tight")])
    tier = estimated(log)[0]
    assert tier.chosen is not None
    assert tier.chosen.target == "tight"
    assert tier.chosen.evidence == Evidence()
    assert tier.chosen.evidence.split(tier.saving_usd) == (Decimal(0), tier.saving_usd, Decimal(0))


def test_labels_of_the_cheap_models_answers_in_that_tier_count(tmp_path: Path) -> None:
    """A label counts for the tier and the model whose answer it is of, once per trace; of several the latest."""
    found = [
        asked(1),
        *(asked(trace, "tight") for trace in (2, 3, 4)),
        asked(5, "tight", tokens=100),
        asked(4, "tight"),
    ]
    log = write(tmp_path, found)
    for trace in (1, 2, 3, 4, 5):
        label(log, trace, adequate=True)
    label(log, 3, adequate=False, source="judge")
    tier = estimated(log, share=0.5)[0]
    assert tier.chosen is not None
    assert tier.chosen.evidence == Evidence(labelled=3, adequate=2)
    observed, assumed, refuted = tier.chosen.evidence.split(tier.saving_usd)
    assert observed + assumed + refuted == tier.saving_usd
    assert refuted == pytest.approx(tier.saving_usd / 3)
    assert min(observed, assumed) > 0
    (section,) = savings_report([tier], (), adequate_share=0.5).sections
    assert any(told.endswith("is inadequate. Do not count on it.") for told in section.findings)


def test_a_model_that_labels_speak_against_is_not_chosen(tmp_path: Path) -> None:
    """Of the models that would save something, the next one is chosen; the report says why the first was not."""
    log = write(tmp_path, [asked(1), asked(2, "tight")])
    label(log, 2, adequate=False)
    tiers = estimated(log)
    assert tiers[0].options[0].target == "tight"
    assert tiers[0].chosen is not None
    assert tiers[0].chosen.target == "small"
    (section,) = savings_report(tiers, (), adequate_share=0.9).sections
    options = next(table for table in section.tables if table.name == "options")
    verdicts = {row[1]: row[-1] for row in options.rows if row[0] == "up to 50"}
    assert verdicts == {"tight": "labels: fewer than 90% are adequate", "small": "chosen", "fee": "saves less"}


@given(labelled=st.integers(1, 400), data=st.data())
def test_the_lower_end_is_below_the_share(labelled: int, data: st.DataObject) -> None:
    """What counts as observed is never more than the labels say, grows with them, and nothing is lost in the split."""
    adequate = data.draw(st.integers(0, labelled))
    evidence = Evidence(labelled=labelled, adequate=adequate)
    assert 0 <= evidence.at_least <= Decimal(adequate) / labelled
    more = Evidence(labelled=labelled * 4, adequate=adequate * 4)
    assert more.at_least >= evidence.at_least
    saving = data.draw(st.decimals("0", "1e6", places=12))
    parts = evidence.split(saving)
    assert sum(parts) == saving
    assert min(parts) >= -Decimal("1e-12")


def test_known_bounds_of_a_share() -> None:
    """The interval is Wilson's: 8 of 10 is at least 49 %, 10 of 10 at least 72 % (Brown, Cai and DasGupta, 2001)."""
    assert Evidence(labelled=10, adequate=8).at_least == Decimal("0.4901")
    assert Evidence(labelled=10, adequate=10).at_least == Decimal("0.7224")
    assert Evidence(labelled=10, adequate=0).at_least == 0


def test_a_log_of_tokens_alone_is_priced_by_the_list(tmp_path: Path) -> None:
    """Records that others wrote have no cost: today's price of their model stands in, and the report counts them."""
    bare = {"schema": 1, "trace_id": "a" * 32, "time": START.isoformat(), "model": "large", "source": "csv"}
    usage = Usage(input_tokens=40, output_tokens=20)
    attempt = {"model": "large", "outcome": "answer", "usage": usage_dict(usage)}
    log = write(tmp_path, [bare | {"attempts": [attempt]}])
    tier = estimated(log)[0]
    assert LARGE.price is not None
    assert tier.spent_usd == cost_usd(usage, LARGE.price)
    assert tier.chosen is not None
    assert tier.chosen.moves[0].list_priced == 1


def test_nothing_to_recommend(tmp_path: Path) -> None:
    """Where nothing is saved there is no TOML, and the report says so in its first sentence."""
    tiers = estimated(write(tmp_path, [asked(1, "tight")]))
    assert recommended_toml(tiers, TARGETS, TARGETS, {}, policies=()) == ""
    (section,) = savings_report(tiers, (), adequate_share=0.9).sections
    assert section.findings[0].startswith("No tier would cost less")
    assert "moves" not in {table.name for table in section.tables}


def test_the_recommendation_changes_chosen_tiers_alone(tmp_path: Path) -> None:
    """A tier without a target has no rule; models that the configuration lacks come with a table of their own."""
    found = [asked(1, "tight"), asked(2, 'odd "name"\x7f', tokens=100), asked(3, tokens=100)]
    log = write(tmp_path, found)
    with opened(log) as connection:
        names = log_models(connection)
    others = {(name, model_id): model(name) for name, model_id in names if name != "tight"}
    toml = recommended_toml(
        estimated(log), {"tight": TARGETS["tight"]}, TARGETS, others, policies=["default", "savings"]
    )
    tables = tomllib.loads(toml)
    (rule,) = tables["policies"]["savings_2"]["rules"]
    assert rule["when"] == {"above_tokens": 50, "up_to_tokens": 200}
    assert rule["use"]["models"] == ["tight", "large", 'odd "name"\x7f']
    assert tables["policies"]["savings_2"]["otherwise"] == "default"
    assert {name: table["id"] for name, table in tables["models"].items()} == {
        "large": "simulated/large",
        'odd "name"\x7f': 'simulated/odd "name"\x7f',
    }


def test_models_are_called_as_the_configuration_calls_them(tmp_path: Path) -> None:
    """A model that the log knows by another name is known by its id; one that nobody knows is left out."""
    log = write(tmp_path, [asked(1), asked(2, "gone")])
    catalog = {"big": model("big", id="simulated/large"), **TARGETS}
    toml = tomllib.loads(recommended_toml(estimated(log), catalog, TARGETS, {}, policies=()))
    (rule,) = toml["policies"]["savings"]["rules"]
    assert rule["use"]["models"] == ["tight", "big"]
    assert toml["policies"]["savings"]["otherwise"] == {"kind": "cheapest"}
    assert "models" not in toml


def test_an_attempt_of_unknown_cost_is_not_free(tmp_path: Path) -> None:
    """Where an attempt beside the answer is of unknown cost, so is the whole, whatever the answer cost."""
    record = asked(1, cost_usd=None)
    record["attempts"].insert(0, record["attempts"][0] | {"outcome": "timed_out", "usage": None, "cost_usd": None})
    tiers = estimated(write(tmp_path, [record]))
    assert (tiers[0].spent_usd, tiers[0].unknown) == (Decimal(0), 1)
    assert dict(tiers[0].stays) == {"cost unknown": 1}


def test_usage_that_was_recorded_stays(tmp_path: Path) -> None:
    """Its cost is in its tier, and no policy can move it; its model answers none of the requests that one can."""
    tables: dict[str, Any] = {
        "models": {
            name: {"id": f"simulated/{name}", "input_usd_per_mtok": "3", "output_usd_per_mtok": "15"}
            for name in ("large", "other")
        },
        "log": {"path": str(tmp_path / "log.jsonl")},
    }
    with Router(Settings(**tables), clients={"simulated": ScriptedClient()}) as router:
        router.record_usage(model="other", usage=Usage(input_tokens=10, output_tokens=5))
        router.record_usage(model="other", usage=Usage(input_tokens=10, output_tokens=5))
        router.complete("hi", model="large")
    first = estimated(tmp_path / "log.jsonl")[0]
    assert dict(first.stays) == {"was made outside the router": 2, "names its model": 1}
    assert first.spent_usd == 3 * Decimal("0.000105")
    assert first.models == (("large", "simulated/large"),)


def test_unknown_costs_are_told(tmp_path: Path) -> None:
    """A request without a cost, at a model without a price, counts nowhere, and the report says how many there are."""
    record = asked(1, "gone", cost_usd=None)
    record["attempts"][0]["cost_usd"] = None
    tiers = estimated(write(tmp_path, [record, asked(2)]))
    assert (tiers[0].unknown, tiers[0].stays) == (1, {"cost unknown": 1})
    (section,) = savings_report(tiers, (), adequate_share=0.9).sections
    assert section.findings[-1].startswith("1 requests have no known cost")


def test_a_target_that_mostly_failed_is_told(tmp_path: Path) -> None:
    """What it would cost says nothing of whether it answers."""
    record = asked(1)
    failed = {"model": "tight", "outcome": "server_error", "usage": None, "cost_usd": "0"}
    record["attempts"] = [failed, {**failed, "held": "breaker_open"}, *record["attempts"]]
    with opened(write(tmp_path, [record])) as connection:
        calls = log_calls(connection)
        tiers = estimate(connection, TARGETS, OWNS, limits=LIMITS, adequate_share=0.9)
    assert calls == {"tight": (1, 1), "large": (0, 1)}
    assert tiers[0].chosen is not None
    target = tiers[0].chosen.target
    (section,) = savings_report(tiers, (), adequate_share=0.9, calls={target: (63, 63)}).sections
    assert f"{target} failed 63 of its 63 calls in this log: see why before you send it more." in section.findings
    (section,) = savings_report(tiers, (), adequate_share=0.9, calls={target: (1, 63)}).sections
    assert not any("failed" in finding for finding in section.findings)
