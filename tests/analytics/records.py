"""Decision records for tests: one with the fields that matter to a test, or many at random whose figures agree."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from hashlib import blake2b
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from router.core.money import EXACT, usd

Record = dict[str, Any]

START = datetime(2026, 11, 1, tzinfo=UTC)
MODELS = {
    "small": ("deepseek/deepseek-v3.2", "deepseek", 8_000),
    "large": ("anthropic/claude-sonnet-4-5", "anthropic", 200_000),
    "other": ("openai/gpt-4.1", "openai", None),
}
"""By name: id, provider and window."""
FAILURES = ("refused", "timed_out", "cut", "server_error", "unusable", "filtered", "not_sent")
ERRORS = (
    "Rate limit: 30000 of 30000 used",
    "Rate limit: 29811 of 30000 used",
    "Overloaded",
    "bad \N{SNOWMAN} gateway",
    "",
    None,
)
_MESSAGE_BYTES = {"a": 40, "b": 1_000, "c": 7}


def attempt(**fields: Any) -> dict[str, Any]:
    """Returns an attempt that brought an answer; `fields` replace what it has."""
    name = fields.get("model", "small")
    model_id, provider, window = MODELS.get(name, (None, None, None))
    return {
        "model": name,
        "model_id": model_id,
        "provider": provider,
        "window_tokens": window,
        "served": None,
        "span_id": "0" * 16,
        "started_s": 0.25,
        "latency_s": 1.5,
        "first_token_s": None,
        "outcome": "answer",
        "status": 200,
        "code": None,
        "error": None,
        "committed": False,
        "held": None,
        "hedge": False,
        "finish_reason": "stop",
        "usage": {"input_tokens": 100, "output_tokens": 20},
        "cost_usd": "0.001",
        "billing": "billed",
        "price_rule": "reported usage times price",
        "worst_usd": "0.01",
    } | fields


def record(**fields: Any) -> Record:
    """Returns a record of a request that one attempt answered; `fields` replace what it has.

    Its costs follow from its attempts, and `time` may be a number of seconds after `START`.
    """
    attempts = fields.get("attempts", [attempt()])
    model = fields.get("model", attempts[-1]["model"] if attempts and attempts[-1]["outcome"] == "answer" else None)
    ending = fields.get("ending", "answer" if model is not None else "final")
    time = fields.pop("time", 0)
    whole: Record = {
        "schema": 1,
        "trace_id": "0" * 32,
        "span_id": "0" * 16,
        "request_id": "0" * 16,
        "time": time if time is None or isinstance(time, str) else (START + timedelta(seconds=time)).isoformat(),
        "tenant": None,
        "tags": {},
        "policy": "default",
        "key": None,
        "model": model,
        "ending": ending,
        "why": "",
        "cost_usd": _total(a["cost_usd"] for a in attempts),
        "worst_case_usd": "0.02",
        "waste_usd": _total(_waste(a, model, ending) for a in attempts),
        "baseline": None,
        "baseline_usd": None,
        "cache": "none",
        "saved_usd": "0",
        "caching": None,
        "lookup": None,
        "latency_s": 2.0,
        "hints": {"model": None, "min_quality": None, "baseline": None},
        "features": {
            "input_tokens": {"low": 1, "likely": 90, "high": 400},
            "exact_tokens": {},
            "output_tokens_most": None,
            "choices": 1,
            "stream": False,
            "prefix": [],
        },
        "attempts": attempts,
    }
    return whole | fields


def hit(model: str, usage: Mapping[str, int] | None, saved_usd: str | None, **fields: Any) -> Record:
    """Returns a record of a request that the cache answered; `fields` replace what it has."""
    found = {"kind": "memory", "model": model, "model_id": MODELS[model][0], "trace_id": "f" * 32, "usage": usage}
    lookup = {"ended_s": 0.01, "refused": None, "hit": found}
    return record(attempts=[], **{"model": model, "cache": "memory", "lookup": lookup, "saved_usd": saved_usd} | fields)


def marks(messages: str) -> list[list[Any]]:
    """Returns the marks of a conversation, each message a letter of "abc"."""
    out: list[list[Any]] = []
    size = 0
    for end, letter in enumerate(messages, start=1):
        size += _MESSAGE_BYTES[letter]
        out.append([blake2b(messages[:end].encode(), digest_size=8).hexdigest(), size])
    return out


def write_log(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    """Writes a log file; returns its path."""
    path.write_text("".join(f"{json.dumps(one)}\n" for one in records))
    return path


def records(*, most: int = 40) -> st.SearchStrategy[list[Record]]:
    """Strategy for logs: requests that share keys, sessions, tags, models and beginnings, at few times.

    Hypothesis draws a seed and a size, and the records follow from these: drawn one by one they would be alike, and
    hardly any would have what a report looks for.
    """
    return st.builds(random_records, st.integers(0, 2**32 - 1), st.sampled_from([0, 3, most // 2, most, most, most]))


def random_records(seed: int, size: int) -> list[Record]:
    """Returns a log of so many requests."""
    draw = random.Random(seed)
    drawn = (_request(draw) for _ in range(size))
    return [
        one | {"trace_id": f"{i:032x}", "request_id": f"{i:016x}", "time": _apart(one, i)}
        for i, one in enumerate(drawn)
    ]


def _apart(one: Record, number: int) -> str | None:
    """Returns the record's time, moved so little that requests of a session follow each other in one order alone."""
    time: str | None = one["time"]
    if time is None or "session" not in one.get("tags", {}):
        return time
    return (datetime.fromisoformat(time) + timedelta(microseconds=number)).isoformat()


_TIMES = (*range(31), 60, 61, 300, 3_600, 3_602, 86_400, 90_000, 40 * 86_400, 0.5)
_USD = ("0", "0.0000001", "0.0123456789", "1.5", None)
_SECONDS = (0.0, 0.001, 0.5, 0.75, 2.0, 2.25, 30.0)


def _usage(draw: random.Random) -> dict[str, int] | None:
    if draw.random() < 0.2:
        return None
    usage = {"input_tokens": draw.choice((0, 1, 100, 9_000)), "output_tokens": draw.choice((0, 1, 5, 10, 100, 600))}
    classes = {"cached_input_tokens": (1, 50, 20_000), "cache_write_tokens": (1, 50), "reasoning_tokens": (1, 3)}
    return usage | {name: draw.choice(values) for name, values in classes.items() if draw.random() < 0.4}


def _attempt(draw: random.Random, outcome: str) -> dict[str, Any]:
    answered = outcome in {"answer", "unusable"}
    return attempt(
        model=draw.choice(sorted(MODELS)),
        outcome=outcome,
        latency_s=draw.choice(_SECONDS),
        first_token_s=draw.choice((None, *_SECONDS)) if answered else None,
        usage=_usage(draw) if answered else None,
        cost_usd=draw.choice(_USD),
        committed=outcome == "cancelled" and draw.random() < 0.5,
        error=None if outcome == "answer" else draw.choice(ERRORS),
        held="breaker_open" if outcome == "not_sent" and draw.random() < 0.5 else None,
    )


def _request(draw: random.Random) -> Record:
    common = {
        "time": draw.choice(_TIMES),
        "tenant": draw.choice((None, "acme", "zeta")),
        "tags": {name: draw.choice("xy") for name in ("session", "client", "team") if draw.random() < 0.6},
        "policy": draw.choice(("default", "careful")),
        "key": draw.choice((None, "k1", "k2", "k3", "k4")),
        "latency_s": draw.choice((None, *_SECONDS)),
        "baseline_usd": draw.choice(_USD),
    }
    common["features"] = record()["features"] | {
        "input_tokens": {"low": 1, "likely": draw.choice((0, 90, 5_000)), "high": 9_999},
        "output_tokens_most": draw.choice((None, 0, 100, 1_000)),
        "choices": draw.choice((1, 1, 2)),
        "prefix": marks("".join(draw.choices("abc", k=draw.randrange(5)))),
    }
    match draw.choice(("answer", "answer", "answer", "hit", "failure", "bare")):
        case "hit":
            return hit(draw.choice(sorted(MODELS)), _usage(draw), draw.choice(_USD), **common)
        case "bare":
            return _bare(draw, common["time"])
        case kind:
            attempts = [_attempt(draw, draw.choice(FAILURES)) for _ in range(draw.randrange(3))]
            if kind == "answer":
                attempts.append(_attempt(draw, "answer"))
            elif draw.random() < 0.5:
                attempts.append(_attempt(draw, "cancelled"))
                common["ending"] = draw.choice(("cancelled", "committed"))
            return record(attempts=attempts, **common)


def _bare(draw: random.Random, time: float) -> Record:
    """Returns what an importer makes of a log that knows little."""
    return {
        "schema": 1,
        "source": "csv",
        "time": record(time=time)["time"] if draw.random() < 0.5 else None,
        "model": "small",
        "attempts": [{"model": "small", "outcome": "answer", "usage": _usage(draw)}],
        "repeated_tokens": draw.choice((None, {"previous": 3, "any": 60})),
    }


def _waste(one: Mapping[str, Any], model: str | None, ending: str) -> str | None:
    """Returns what of an attempt's cost gave the caller nothing, as the router has it."""
    if one["outcome"] == "cancelled":
        used = one["committed"] and ending != "committed"
    else:
        used = one["outcome"] == "answer" and one["model"] == model
    return "0" if used else one["cost_usd"]


def _total(amounts: Iterable[str | None]) -> str | None:
    known = list(amounts)
    if None in known:
        return None
    return usd(reduce(EXACT.add, (Decimal(amount) for amount in known if amount is not None), Decimal(0)))
