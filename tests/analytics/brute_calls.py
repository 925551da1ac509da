"""Failures, waste and token efficiency of records, computed with plain loops: what the SQL must equal."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tests.analytics.brute import Rows, Seen, grouped, mean, money, percentile, share, total, whole_of

VARYING = re.compile(r"[A-Za-z_]*[0-9][A-Za-z0-9_.,:-]*", re.ASCII)


def failures(seen: Sequence[Seen]) -> dict[str, Rows]:
    """Returns failed calls by model and class, and their errors."""
    classes: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    answers: dict[str | None, int] = defaultdict(int)
    for one in seen:
        if one.answered and not one.stored:
            answers[one.model] += 1
        for call in one.wasted:
            if call["outcome"] not in {"answer", "cancelled"}:
                classes[call["model"], call["outcome"]].append(call)
    failed = sum(map(len, classes.values()))
    own: dict[str, int] = defaultdict(int)
    for (model, _), calls in classes.items():
        own[model] += len(calls)
    out: dict[str, Rows] = {"failures": [], "errors": []}
    for (model, kind), calls in classes.items():
        worded: dict[str, list[str]] = defaultdict(list)
        for call in calls:
            if text := (call.get("error") or "")[:120]:
                worded[VARYING.sub("#", text)].append(text)
        common = sorted(worded.values(), key=lambda texts: (-len(texts), min(texts)))[:3]
        costs = [money(call["cost_usd"]) for call in calls]
        out["failures"].append(
            {
                "model": model,
                "class": kind,
                "count": len(calls),
                "share": share(len(calls), failed),
                "failed_share": share(len(calls), own[model] + answers[model]),
                "cost_usd": total(costs),
                "unknown_cost": costs.count(None),
                "error": min(common[0]) if common else None,
            }
        )
        for texts in common:
            row = {"model": model, "class": kind, "count": len(texts), "share": share(len(texts), len(calls))}
            out["errors"].append({**row, "error": min(texts)})
    return out


def kind_of(call: dict[str, Any]) -> str:
    """Returns which kind of waste a call is."""
    if call["outcome"] in {"timed_out", "cut"}:
        return "time-outs"
    if call["outcome"] == "unusable":
        return "unusable answers"
    if call["outcome"] in {"answer", "cancelled"}:
        return "answers not used"
    return "last failures" if call["last"] else "retried failures"


def waste(seen: Sequence[Seen]) -> dict[str, Rows]:
    """Returns what was spent on calls that gave the caller nothing."""
    calls = [call for one in seen for call in one.wasted]
    given = sum((s.input or 0) + (s.output or 0) for s in seen if not s.stored)
    all_tokens = given + sum(call["tokens"] or 0 for call in calls)
    whole = total(s.cost for s in seen)
    out: dict[str, Rows] = {"waste": [], "waste_by_model": [], "most_wasteful": []}
    for name, of, key in (("waste", "kind", kind_of), ("waste_by_model", "model", lambda call: call["model"])):
        groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for call in calls:
            groups[key(call)].append(call)
        for value, group in groups.items():
            costs = [money(call["cost_usd"]) for call in group]
            of_known = total(cost for cost, call in zip(costs, group, strict=True) if call["known"])
            tokens = whole_of(call["tokens"] for call in group)
            out[name].append(
                {
                    of: value,
                    "calls": len(group),
                    "billed": sum(cost is not None and cost > 0 for cost in costs),
                    "tokens": tokens,
                    "tokens_share": share(tokens, all_tokens),
                    "cost_usd": total(costs),
                    "share": share(of_known, whole),
                    "unknown_cost": costs.count(None),
                }
            )
    worst = sorted((s for s in seen if s.waste), key=lambda s: (-(s.waste or 0), s.record["trace_id"]))[:10]
    for one in worst:
        out["most_wasteful"].append(
            {
                "trace_id": one.record["trace_id"],
                "time": one.time,
                "model": one.model,
                "ending": one.ending,
                "calls": len(one.made),
                "cost_usd": one.cost,
                "waste_usd": one.waste,
            }
        )
    return out


def efficiency(seen: Sequence[Seen]) -> dict[str, Rows]:
    """Returns completion ratios, window use, and what was asked for against what was written."""
    answers = [s for s in seen if not s.stored and s.model and s.input is not None and s.output is not None]
    groups = {"all models": answers, **grouped(answers, lambda s: s.model)} if answers else {}
    out: dict[str, Rows] = {"completion": [], "windows": [], "limits": []}
    for model, group in groups.items():
        ratios = [(s.output / s.input, s.cost) for s in group if s.input and s.output is not None]
        under = [cost for ratio, cost in ratios if ratio < 0.1]
        over = [cost for ratio, cost in ratios if ratio > 5]
        out["completion"].append(
            {
                "model": model,
                "requests": len(ratios),
                "completion_mean_ratio": mean([ratio for ratio, _ in ratios]),
                "underused": len(under),
                "underused_share": share(len(under), len(ratios)),
                "underused_usd": total(under) if under else Decimal(0),
                "overused": len(over),
                "overused_share": share(len(over), len(ratios)),
                "overused_usd": total(over) if over else Decimal(0),
            }
        )
        filled = [s.input / s.window for s in group if s.window and s.input is not None]
        if filled and model != "all models":
            out["windows"].append(
                {
                    "model": model,
                    "requests": len(filled),
                    "window_tokens": max(s.window for s in group if s.window),
                    "window_mean_share": mean(filled),
                    "window_p95_share": percentile(filled, 0.95),
                    "window_most_share": max(filled),
                }
            )
        limited = [(s.most * (s.choices or 1), s.output) for s in group if s.most and s.output is not None]
        if limited:
            asked, used = sum(a for a, _ in limited), sum(u for _, u in limited)
            out["limits"].append(
                {
                    "model": model,
                    "requests": len(limited),
                    "asked_tokens": asked,
                    "used_tokens": used,
                    "used_share": share(used, asked),
                    "used_p95_share": None if model == "all models" else percentile([u / a for a, u in limited], 0.95),
                    "at_limit": sum(u >= a for a, u in limited),
                }
            )
    return out
