"""Every figure of a report, computed from the records with plain loops and nothing of the product.

Tables come as lists of rows, each a dict by column, in any order; `brute_report` has them by name.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.analytics.records import Record

Rows = list[dict[str, Any]]


def percentile(values: Iterable[float], at: float) -> float | None:
    """Returns the nearest rank: the smallest value such that at least this share of all values are not above it."""
    ordered = sorted(values)
    for place, value in enumerate(ordered, start=1):
        if place / len(ordered) >= at - 1e-12:
            return value
    return None


def mean(values: Sequence[float]) -> float | None:
    """Returns the mean; None of nothing."""
    return math.fsum(values) / len(values) if values else None


def share(part: Any, whole: Any) -> float | None:
    """Returns part by whole; None where either is unknown or the whole is 0."""
    return None if part is None or not whole else float(part) / float(whole)


def money(text: str | None) -> Decimal | None:
    """Returns an amount."""
    return None if text is None else Decimal(text)


def total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Returns the sum of those that are known; None where none is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if known else None


def whole_of(counts: Iterable[int | None]) -> int | None:
    """Returns the sum of counts that are known; None where none is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


class Seen:
    """One record, read as the documentation of the record says."""

    def __init__(self, record: Record) -> None:
        self.record = record
        time = record.get("time")
        self.time = None if time is None else datetime.fromisoformat(time)
        self.model = record.get("model")
        self.ending = record.get("ending")
        self.cache = record.get("cache") or "none"
        self.stored = self.cache != "none"
        self.answered = self.model is not None if self.ending is None else self.ending == "answer"
        self.attempts: list[dict[str, Any]] = record.get("attempts") or []
        self.cost = money(record.get("cost_usd"))
        self.waste = money(record.get("waste_usd"))
        self.saved = money(record.get("saved_usd"))
        self.baseline = money(record.get("baseline_usd"))
        self.latency = record.get("latency_s")
        self.tags: Mapping[str, str] = record.get("tags") or {}
        self.tenant = record.get("tenant")
        self.key = record.get("key")
        self.session = self.tags.get("session")
        self.client = self.tags.get("client", self.tenant)
        features = record.get("features") or {}
        self.likely = (features.get("input_tokens") or {}).get("likely")
        self.most = features.get("output_tokens_most")
        self.choices = features.get("choices")
        self.marks: list[list[Any]] = features.get("prefix") or []
        self.told = record.get("repeated_tokens")
        self.answer = None
        for attempt in self.attempts:
            if attempt["outcome"] == "answer" and attempt["model"] == self.model:
                self.answer = attempt
        hit = (record.get("lookup") or {}).get("hit") or {}
        usage = self.answer.get("usage") if self.answer is not None else hit.get("usage")
        self.usage: Mapping[str, int] = usage or {}
        self.input = self.usage.get("input_tokens")
        self.output = self.usage.get("output_tokens")
        self.model_id = (self.answer or {}).get("model_id") or hit.get("model_id")
        self.provider = (self.answer or {}).get("provider") or (hit.get("model_id") or "").partition("/")[0] or None
        self.window = (self.answer or {}).get("window_tokens")
        first = (self.answer or {}).get("first_token_s")
        self.first_token = None if first is None or self.answer is None else self.answer["started_s"] + first

    @property
    def moment(self) -> datetime:
        """The time of one that is known to have one."""
        assert self.time is not None
        return self.time

    def part(self, name: str) -> int | None:
        """Returns a class of tokens; 0 where the usage leaves it out, None where there is no usage."""
        return None if self.input is None else self.usage.get(name, 0)

    @property
    def made(self) -> list[dict[str, Any]]:
        """The calls: attempts that were not held back."""
        return [attempt for attempt in self.attempts if attempt.get("held") is None]

    @property
    def wasted(self) -> list[dict[str, Any]]:
        """The calls that gave the caller nothing, with `last`, `known` (the whole cost) and `tokens` beside."""
        out = []
        for place, attempt in enumerate(self.made):
            if attempt["outcome"] == "answer" and attempt["model"] == self.model:
                continue
            if attempt["outcome"] == "cancelled" and attempt.get("committed") and self.ending != "committed":
                continue
            usage = attempt.get("usage")
            if usage is not None:
                tokens = usage["input_tokens"] + usage["output_tokens"]
            else:
                cost = money(attempt.get("cost_usd"))
                tokens = 0 if cost is not None and cost == 0 else self.likely
            out.append(
                {**attempt, "tokens": tokens, "last": place == len(self.made) - 1, "known": self.cost is not None}
            )
        return out


def figures(group: Sequence[Seen], whole: Sequence[Seen]) -> dict[str, Any]:
    """Returns the figures of a group of requests beside those of all."""
    provided = [s for s in group if not s.stored]
    counted = [s for s in provided if s.input is not None]
    timed = [s.latency for s in provided if s.answered and s.latency is not None]
    hits = [s for s in group if s.stored]
    tokens_in, tokens_out = whole_of(s.input for s in provided), whole_of(s.output for s in provided)
    cost = total(s.cost for s in group)
    return {
        "requests": len(group),
        "share": share(len(group), len(whole)),
        "success_share": share(sum(s.answered for s in group), len(group)),
        "cache_hits": len(hits),
        "tokens": None if tokens_in is None and tokens_out is None else (tokens_in or 0) + (tokens_out or 0),
        "input_tokens": tokens_in,
        "input_mean_tokens": share(tokens_in, len(counted)),
        "output_tokens": tokens_out,
        "output_mean_tokens": share(tokens_out, len(counted)),
        "cached_input_tokens": whole_of(s.part("cached_input_tokens") for s in provided),
        "latency_mean_s": mean(timed),
        "latency_p50_s": percentile(timed, 0.5),
        "latency_p95_s": percentile(timed, 0.95),
        "latency_p99_s": percentile(timed, 0.99),
        "cost_usd": cost,
        "cost_share": share(cost, total(s.cost for s in whole)),
        "unknown_cost": sum(s.cost is None for s in group),
        "waste_usd": total(s.waste for s in group),
        "saved_usd": total(s.saved for s in hits) if hits else Decimal(0),
    }


def grouped(seen: Sequence[Seen], key: Callable[[Seen], Any]) -> dict[Any, list[Seen]]:
    """Returns the requests by a key."""
    out: dict[Any, list[Seen]] = defaultdict(list)
    for one in seen:
        out[key(one)].append(one)
    return out


def day_of(one: Seen) -> datetime | None:
    """Returns the first moment of a request's day in UTC."""
    if one.time is None:
        return None
    moment = one.time.astimezone(UTC)
    return moment - timedelta(
        hours=moment.hour, minutes=moment.minute, seconds=moment.second, microseconds=moment.microsecond
    )


def hour_of(one: Seen) -> datetime | None:
    """Returns the first moment of a request's hour in UTC."""
    return None if one.time is None else one.time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def summary(seen: Sequence[Seen], baseline: Callable[[Mapping[str, int]], Decimal] | None) -> dict[str, Rows]:
    """Returns the tables of the summary.

    Args:
        seen: the requests.
        baseline: what a usage costs at the model to compare with; None takes what each record compared with.
    """
    if baseline is None:
        both = [(s.cost, s.baseline) for s in seen if s.cost is not None and s.baseline is not None]
    else:
        both = [
            (s.cost, baseline(s.usage))
            for s in seen
            if s.cost is not None and s.input is not None and s.output is not None
        ]
    compared, elsewhere = total(c for c, _ in both), total(b for _, b in both)
    saved = None if compared is None or elsewhere is None else elsewhere - compared
    whole = figures(seen, seen)
    answered = [s for s in seen if s.answered]
    latencies = [s.latency for s in answered if s.latency is not None]
    provided, stored = [s for s in seen if not s.stored], [s for s in seen if s.stored]
    kinds: list[tuple[str, list[float], bool]] = [
        ("the answer", latencies, True),
        (
            "the answer, by a provider",
            [s.latency for s in answered if s.latency is not None and not s.stored],
            any(not s.stored for s in answered),
        ),
        (
            "the answer, from the cache",
            [s.latency for s in answered if s.latency is not None and s.stored],
            any(s.stored for s in answered),
        ),
        ("the first token of a stream", [s.first_token for s in answered if s.first_token is not None], True),
    ]
    return {
        "summary": [
            {
                **{
                    name: whole[name] for name in ("requests", "success_share", "cost_usd", "unknown_cost", "waste_usd")
                },
                "baseline_usd": elsewhere,
                "saved_usd": saved,
                "waste_share": share(total(s.waste for s in seen if s.cost is not None), whole["cost_usd"]),
                "input_tokens": whole["input_tokens"],
                "output_tokens": whole["output_tokens"],
                "latency_p95_s": percentile(latencies, 0.95),
                "cache_hits": len(stored),
                "cache_saved_usd": whole["saved_usd"],
            }
        ],
        "tokens": [
            {
                "input_tokens": whole["input_tokens"],
                "cached_input_tokens": whole["cached_input_tokens"],
                "cache_write_tokens": whole_of(s.part("cache_write_tokens") for s in provided),
                "output_tokens": whole["output_tokens"],
                "reasoning_tokens": whole_of(s.part("reasoning_tokens") for s in provided),
                "stored_input_tokens": whole_of(s.input for s in stored),
                "stored_output_tokens": whole_of(s.output for s in stored),
            }
        ],
        "latency": [
            {
                "what": what,
                "requests": len(values),
                "mean_s": mean(values),
                "p50_s": percentile(values, 0.5),
                "p95_s": percentile(values, 0.95),
                "p99_s": percentile(values, 0.99),
            }
            for what, values, there in kinds
            if there
        ],
        "baseline": [
            {
                "requests": len(both),
                "cost_usd": compared,
                "baseline_usd": elsewhere,
                "saved_usd": saved,
                "saved_share": share(saved, elsewhere),
            }
        ],
        "cache": [
            {
                "cache": kind,
                "requests": len(group),
                "share": share(len(group), len(seen)),
                "saved_usd": total(s.saved for s in group),
                "unknown_saved": sum(s.saved is None for s in group),
            }
            for kind, group in grouped(stored, lambda s: s.cache).items()
        ],
        "endings": [
            {
                "ending": ending,
                "requests": len(group),
                "share": share(len(group), len(seen)),
                "cost_usd": total(s.cost for s in group),
                "unknown_cost": sum(s.cost is None for s in group),
            }
            for ending, group in grouped(seen, lambda s: s.ending).items()
        ],
    }


def by_group(seen: Sequence[Seen]) -> dict[str, Rows]:
    """Returns the tables by model and by day."""
    days = ("requests", "success_share", "tokens", "cost_usd", "unknown_cost", "waste_usd", "saved_usd")
    return {
        "by_model": [{"model": m, **figures(g, seen)} for m, g in grouped(seen, lambda s: s.model).items()],
        "by_day": [
            {"time": day, **{name: figures(g, seen)[name] for name in days}}
            for day, g in grouped(seen, day_of).items()
            if day is not None
        ],
    }
