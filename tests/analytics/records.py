"""Decision records for tests: one with the fields that matter to a test, or many at random whose figures agree."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
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
    """Strategy for logs: as many requests that share keys, sessions, tags, models and beginnings, at few times."""
    sizes = st.integers(0, most)  # lists alone would be short as a rule
    return sizes.flatmap(lambda size: st.lists(_requests(), min_size=size, max_size=size)).map(_numbered)


def _numbered(drawn: Sequence[Record]) -> list[Record]:
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


_TIMES = st.one_of(st.integers(0, 30), st.sampled_from([60, 61, 300, 3_600, 3_602, 86_400, 90_000, 40 * 86_400, 0.5]))
_USD = st.sampled_from(["0", "0.0000001", "0.0123456789", "1.5", None])
_USAGES = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"input_tokens": st.sampled_from([0, 1, 100, 9_000]), "output_tokens": st.sampled_from([0, 1, 5, 100, 600])},
        optional={
            "cached_input_tokens": st.sampled_from([1, 50, 20_000]),
            "cache_write_tokens": st.sampled_from([1, 50]),
            "reasoning_tokens": st.sampled_from([1, 3]),
        },
    ),
)
_SECONDS = st.sampled_from([0.0, 0.001, 0.5, 0.75, 2.0, 2.25, 30.0])


@st.composite
def _attempts(draw: st.DrawFn, outcome: str) -> dict[str, Any]:
    answered = outcome in {"answer", "unusable"}
    return attempt(
        model=draw(st.sampled_from(sorted(MODELS))),
        outcome=outcome,
        latency_s=draw(_SECONDS),
        first_token_s=draw(st.none() | _SECONDS) if answered else None,
        usage=draw(_USAGES) if answered else None,
        cost_usd=draw(_USD),
        committed=draw(st.booleans()) if outcome == "cancelled" else False,
        error=None if outcome == "answer" else draw(st.sampled_from(ERRORS)),
        held="breaker_open" if outcome == "not_sent" and draw(st.booleans()) else None,
    )


@st.composite
def _requests(draw: st.DrawFn) -> Record:
    common = {
        "time": draw(_TIMES),
        "tenant": draw(st.sampled_from([None, "acme", "zeta"])),
        "tags": draw(st.dictionaries(st.sampled_from(["session", "client", "team"]), st.sampled_from("xy"))),
        "policy": draw(st.sampled_from(["default", "careful"])),
        "key": draw(st.sampled_from([None, "k1", "k2", "k3", "k4"])),
        "latency_s": draw(st.none() | _SECONDS),
        "baseline_usd": draw(_USD),
    }
    common["features"] = record()["features"] | {
        "input_tokens": {"low": 1, "likely": draw(st.sampled_from([0, 90, 5_000])), "high": 9_999},
        "output_tokens_most": draw(st.sampled_from([None, 0, 100, 1_000])),
        "choices": draw(st.sampled_from([1, 1, 2])),
        "prefix": marks(draw(st.text("abc", max_size=4))),
    }
    kind = draw(st.sampled_from(["answer", "answer", "answer", "hit", "failure", "bare"]))
    if kind == "hit":
        return hit(draw(st.sampled_from(sorted(MODELS))), draw(_USAGES), draw(_USD), **common)
    if kind == "bare":  # as an importer may have it
        return {
            "schema": 1,
            "source": "csv",
            "time": record(time=common["time"])["time"] if draw(st.booleans()) else None,
            "model": "small",
            "attempts": [{"model": "small", "outcome": "answer", "usage": draw(_USAGES)}],
            "repeated_tokens": draw(st.sampled_from([None, {"previous": 3, "any": 60}])),
        }
    failed = [draw(_attempts(draw(st.sampled_from(FAILURES)))) for _ in range(draw(st.integers(0, 2)))]
    if kind == "answer":
        failed.append(draw(_attempts("answer")))
    elif draw(st.booleans()):
        failed.append(draw(_attempts("cancelled")))
        common["ending"] = draw(st.sampled_from(["cancelled", "committed"]))
    return record(attempts=failed, **common)


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
