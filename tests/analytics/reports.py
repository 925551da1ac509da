"""A plausible report with everything that a page must show, and one of hostile names."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

from router.analytics.tables import Column, Report, Section, Table, Unit

MODELS = (
    "deepseek-v3.2",
    "gpt-4.1-mini",
    "gemini-2.5-flash",
    "claude-sonnet-4-5",
    "gpt-4.1",
    "fireworks/accounts/fireworks/models/llama-v3p1-405b-instruct",
)
_SHARES = (0.46, 0.21, 0.15, 0.1, 0.06, 0.02)
_USD_EACH = ("0.00041", "0.0012", "0.0019", "0.0145", "0.0118", "0.0061")


def columns(*described: str) -> tuple[Column, ...]:
    """Returns columns from "name title unit": the first word and the last are what they say."""
    split = ((text.split()[0], " ".join(text.split()[1:-1]), text.split()[-1]) for text in described)
    return tuple(Column(name=name, title=title, unit=_unit(unit)) for name, title, unit in split)


def _unit(word: str) -> Unit:
    return next(unit for unit in get_args(Unit) if unit == word)


def table(name: str, title: str, described: Sequence[str], rows: Sequence[Sequence[Any]], note: str = "") -> Table:
    """Returns a table from short descriptions of its columns."""
    return Table(name=name, title=title, columns=columns(*described), rows=tuple(map(tuple, rows)), note=note)


def report(*tables: Table, findings: tuple[str, ...] = (), title: str = "Report") -> Report:
    """Returns a report with one section."""
    section = Section(name="section", title="Section", tables=tables, findings=findings)
    return Report(title=title, about=(), sections=(section,))


def money(value: float, places: int = 8) -> Decimal:
    """Returns an amount as the log would add it up."""
    return Decimal(repr(value)).quantize(Decimal(1).scaleb(-places))


def plausible(*, days: int = 30, seed: int = 7) -> Report:
    """Returns a month of a support desk's traffic."""
    draw = random.Random(seed)
    return Report(
        title="What lowfare spent in November 2025",
        about=(
            ("Log", "decisions/"),
            ("Window", "2025-11-01 to 2025-12-01"),
            ("Records", "48,210"),
            ("Set aside", "3 lines"),
            ("Baseline", "claude-sonnet-4-5"),
            ("lowfare", "0.1.0"),
        ),
        sections=(
            _summary(),
            Section(name="by_day", title="By day", tables=(_by_day(days, draw),)),
            _models(),
            _failures(),
            _waste(draw),
            _duplicates(),
            _context(draw),
        ),
    )


def _summary() -> Section:
    whole = table(
        "summary",
        "Everything",
        (
            "requests Requests count",
            "success_share Answered share",
            "cost_usd Cost usd",
            "unknown_cost Requests of unknown cost count",
            "baseline_usd The same on claude-sonnet-4-5 usd",
            "saved_usd Saved usd",
            "waste_usd Wasted usd",
            "waste_share Wasted of the whole share",
            "input_tokens Input tokens tokens",
            "cached_input_tokens of these cached by providers tokens",
            "output_tokens Output tokens tokens",
            "reasoning_tokens of these reasoning tokens",
            "cache_hits Answered from the cache count",
            "cache_saved_usd Saved by the cache usd",
        ),
        [
            (
                48_210,
                0.9987,
                Decimal("131.8846213"),
                12,
                Decimal("702.1190042"),
                Decimal("570.2343829"),
                Decimal("4.0921744"),
                0.03103,
                61_382_114,
                18_220_430,
                9_772_019,
                None,
                5_317,
                Decimal("11.20433"),
            )
        ],
        note="Sums leave out 12 requests whose cost is unknown. Percentiles are nearest rank: the smallest value such "
        "that at least that share of all values are no larger.",
    )
    times = table(
        "latency",
        "Latency",
        ("what Time to text", "mean_s Mean seconds", "p50_s p50 seconds", "p95_s p95 seconds", "p99_s p99 seconds"),
        [("the whole answer", 2.104, 1.42, 6.71, 14.08), ("the first token", 0.644, 0.42, 1.58, 3.02)],
    )
    return Section(
        name="summary",
        title="Summary",
        tables=(whole, times),
        findings=(
            "$131.88 were spent on 48,210 requests; the same on claude-sonnet-4-5 alone would have cost $702.12.",
            "99.87 % of the requests got an answer; 61 did not.",
        ),
    )


def _by_day(days: int, draw: random.Random) -> Table:
    start = datetime(2025, 11, 1, tzinfo=UTC)
    rows = []
    for day in range(days):
        at = start + timedelta(days=day)
        size = (0.55 if at.weekday() >= 5 else 1.0) * draw.uniform(0.85, 1.15)
        cost = 4.9 * size * (1.9 if day == 18 else 1)
        waste = cost * (0.22 if day == 18 else draw.uniform(0.005, 0.03))
        rows.append((at, int(1_800 * size), money(cost), money(waste), money(cost * draw.uniform(3.2, 4.8)), 0.998))
    return table(
        "by_day",
        "Days",
        (
            "time Day time",
            "requests Requests count",
            "cost_usd Cost usd",
            "waste_usd Wasted usd",
            "saved_usd Saved usd",
            "success_share Answered share",
        ),
        rows,
        note="Days are those of UTC.",
    )


def _models() -> Section:
    rows = [
        (
            model,
            int(48_210 * share),
            share,
            0.9991 - place * 0.0004,
            int(5_317 * share),
            int(71_154_133 * share),
            int(61_382_114 * share),
            1_273.2 if model != "gpt-4.1" else 2_104.9,
            int(9_772_019 * share),
            202.7,
            1.1 + place * 0.42,
            0.8 + place * 0.31,
            3.9 + place * 1.31,
            7.2 + place * 2.2,
            None if model.startswith("fireworks") else Decimal(each) * int(48_210 * share),
            Decimal("0.0410921") * place,
        )
        for place, (model, share, each) in enumerate(zip(MODELS, _SHARES, _USD_EACH, strict=True))
    ]
    providers = [
        ("deepseek", 22_176, Decimal("9.0921")),
        ("openai", 13_016, Decimal("46.28")),
        ("anthropic", 4_821, Decimal("69.90")),
    ]
    return Section(
        name="by_model",
        title="Models",
        tables=(
            table(
                "by_model",
                "Models",
                (
                    "model Model text",
                    "requests Requests count",
                    "share Share of requests share",
                    "success_share Answered share",
                    "cache_hits From the cache count",
                    "tokens Tokens tokens",
                    "input_tokens Input tokens tokens",
                    "input_mean_tokens Input, mean tokens",
                    "output_tokens Output tokens tokens",
                    "output_mean_tokens Output, mean tokens",
                    "latency_mean_s Latency, mean seconds",
                    "latency_p50_s Latency, p50 seconds",
                    "latency_p95_s Latency, p95 seconds",
                    "latency_p99_s Latency, p99 seconds",
                    "cost_usd Cost usd",
                    "waste_usd Wasted usd",
                ),
                rows,
                note="The price of one model is unknown: give it in the configuration.",
            ),
            table(
                "by_provider",
                "Providers",
                ("provider Provider text", "requests Requests count", "cost_usd Cost usd"),
                providers,
            ),
        ),
        findings=("claude-sonnet-4-5 answers 10 % of the requests and takes 53 % of the money.",),
    )


def _failures() -> Section:
    rows = [
        ("deepseek-v3.2", "server_error", 412, 'HTTP 502: "upstream connect error or disconnect/reset before headers"'),
        ("deepseek-v3.2", "timed_out", 118, "no answer within 30 s"),
        (
            "gpt-4.1-mini",
            "refused",
            96,
            "HTTP 429: Rate limit reached for gpt-4.1-mini: Limit 200,000 tokens per minute",
        ),
        ("gemini-2.5-flash", "unusable", 51, "empty answer (finish_reason: MAX_TOKENS)"),
        ("claude-sonnet-4-5", "refused", 22, "HTTP 529: overloaded_error"),
        (MODELS[-1], "no_such_model", 4, None),
    ]
    return Section(
        name="failures",
        title="Failures",
        tables=(
            table(
                "failures",
                "Failures by model and class",
                ("model Model text", "class Class text", "count Attempts count", "error Commonest error text"),
                rows,
            ),
        ),
        findings=("412 of 703 failed attempts are server errors of deepseek-v3.2, most of them on 19 November.",),
    )


def _waste(draw: random.Random) -> Section:
    kinds = [
        ("retries after server errors", 1_204_331, Decimal("2.31880"), 0.0176),
        ("time-outs that were billed", 402_118, Decimal("1.10412"), 0.0084),
        ("unusable answers", 98_004, Decimal("0.66921"), 0.0051),
        ("hedges that lost", 311, Decimal("0.0000441"), 0.0000003),
    ]
    worst = [
        (
            f"{draw.getrandbits(128):032x}",
            datetime(2025, 11, 19, 14, draw.randrange(60), tzinfo=UTC),
            draw.choice(MODELS[:4]),
            draw.randrange(2, 6),
            money(draw.uniform(0.01, 0.09), 6),
        )
        for _ in range(25)
    ]
    worst.sort(key=lambda row: -row[-1])
    return Section(
        name="waste",
        title="Waste",
        tables=(
            table(
                "waste",
                "Kinds of waste",
                ("kind Kind text", "tokens Tokens tokens", "cost_usd Cost usd", "share Of all cost share"),
                kinds,
            ),
            table(
                "most_wasteful",
                "Requests that wasted most",
                (
                    "trace_id Trace text",
                    "time Time time",
                    "model Model text",
                    "attempts Attempts count",
                    "waste_usd Wasted usd",
                ),
                worst,
            ),
        ),
        findings=("Retries after server errors cost $2.32, half of what was wasted; a breaker would end them.",),
    )


def _duplicates() -> Section:
    lengths = (10, 30, 60, 300, 900, 3600, 4 * 3600, 86400, 7 * 86400, 30 * 86400)
    saved = ("0.31", "0.74", "1.02", "2.60", "3.91", "6.02", "7.70", "10.13", "12.88", "13.02")
    rows = [(ttl, 90 + 580 * place, Decimal(usd)) for place, (ttl, usd) in enumerate(zip(lengths, saved, strict=True))]
    return Section(
        name="duplicates",
        title="Duplicates",
        tables=(
            table(
                "cache_curve",
                "What a cache would have saved",
                ("ttl_s Kept for seconds", "hits Hits count", "saved_usd Saved usd"),
                rows,
                note="Counted in one pass: an equal request is a hit if the last one was no longer ago.",
            ),
            table("storms", "Retry storms", ("key Key text", "requests Requests count", "cost_usd Cost usd"), []),
        ),
        findings=("Equal requests cost $13.02; a cache of one day would have saved $10.13 of it.",),
    )


def _context(draw: random.Random) -> Section:
    rows = [(f"team-{name}", draw.randrange(10**5, 10**7), draw.random(), money(draw.random() * 3)) for name in "abc"]
    return Section(
        name="context",
        title="Repeated context",
        tables=(
            table(
                "by_tenant",
                "Tenants",
                (
                    "tenant Tenant text",
                    "input_tokens Input tokens tokens",
                    "repeated_share Repeated share",
                    "cost_usd Cost usd",
                ),
                rows,
            ),
        ),
        findings=("Three in ten input tokens repeat the request before them.",),
    )
