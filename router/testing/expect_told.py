"""Requests, counterexamples and verdicts in words, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from router.config_expect import ExpectWhen
from router.core.decision import Decision
from router.testing.expect import Counterexample, Verdict
from router.testing.expect_files import Expectation
from router.testing.space import (
    CACHE_WRITE,
    COUNTED,
    NEEDS,
    SERVICE_TIER,
    STREAM,
    TENANT,
    TOOLS,
    Point,
)


def request_values(point: Point, /) -> dict[str, Any]:
    """Returns a request as JSON: what is as plain as can be is left out."""
    n, h, m = point.sizes
    answers = point.answers
    tags = {name: value for (kind, name), value in answers.items() if kind == "tag" and value is not None}
    found: dict[str, Any] = {
        "tokens": n,
        "tokens_most": h,
        "counted": answers[COUNTED],
        "max_tokens": m or None,
        "needs": [name for name in NEEDS if point.needs(name)],
        "tags": tags,
        "tenant": answers[TENANT],
        "stream": answers[STREAM],
        "tools": answers[TOOLS],
        "service_tier": answers[SERVICE_TIER],
        "cache_write": answers[CACHE_WRITE],
        "last_user_message": [text for (kind, text), found in answers.items() if kind == "match" and found],
    }
    return {name: value for name, value in found.items() if value not in (None, False, [], {})}


def request_told(point: Point, /) -> str:
    """Returns a request in words."""
    return ", ".join(_told(request_values(point)))


def _told(values: dict[str, Any]) -> Iterator[str]:
    tokens, most = values["tokens"], values["tokens_most"]
    estimate = f" (an estimate; at most {most:,})" if most > tokens else ""
    yield f"{tokens:,} token{'' if tokens == 1 else 's'}{' (counted exactly)' if 'counted' in values else estimate}"
    for name in ("max_tokens", "tenant", "service_tier", "cache_write"):
        if name in values:
            yield f"{name} = {values[name]!r}" if isinstance(values[name], str) else f"{name} = {values[name]}"
    for tag, value in values.get("tags", {}).items():
        yield f"tags.{tag} = {value!r}"
    if "needs" in values:
        yield f"needs {' and '.join(values['needs'])}"
    for name, words in (("stream", "streamed"), ("tools", "offers tools")):
        if name in values:
            yield words
    for pattern in values.get("last_user_message", ()):
        yield f"its last user message matches {pattern!r}"


def decision_told(decision: Decision, /) -> str:
    """Returns in words who would be asked, and why others would not."""
    live = [candidate.name for candidate in decision.slate.live]
    asked = f"{live[0]} is asked" if live else "nobody is asked"
    behind = f", then {', '.join(live[1:])}" if live[1:] else ""
    dropped = "; ".join(f"{fallen.name} {fallen.reason} ({fallen.by})" for fallen in decision.slate.dropped)
    return f"{asked}{behind}" + (f"; dropped: {dropped}" if dropped else "")


def advice(counterexample: Counterexample, when: ExpectWhen, /) -> str | None:
    """Returns what to add to a `when` if such requests are not meant; None where its own keys say all of it."""
    values = request_values(counterexample.case.point)
    keys: list[str] = []
    if "needs" in values and when.needs_only is None and set(values["needs"]) > set(when.needs):
        keys.append(f"needs_only = [{', '.join(repr(name) for name in sorted(when.needs))}]")
    if "max_tokens" in values and when.max_tokens is None:
        keys.append('max_tokens = "none"')
    if "counted" not in values and values["tokens_most"] > values["tokens"] and when.tokens_most is None:
        keys.append('tokens_most = "<= ..."')
    return f"if such requests are not meant, say so in `when`: {', '.join(keys)}" if keys else None


def verdict_told(verdict: Verdict, /) -> str:
    """Returns in words what became of an expectation."""
    match verdict.outcome:
        case "proved":
            return f"holds for every request ({verdict.looked:,} case{'' if verdict.looked == 1 else 's'})"
        case "searched":
            return f"searched {verdict.looked:,} requests and found none that breaks it; not proved: {verdict.why}"
        case "empty":
            return "means no request: no request can be as `when` says"
        case "refuted":
            return "; ".join(verdict.counterexample.broken if verdict.counterexample else ())


def lines_told(expectation: Expectation, verdict: Verdict, /) -> Iterator[str]:
    """Yields what became of an expectation, a line each."""
    yield f"{expectation.place}: {expectation.label}: {verdict_told(verdict)}"
    found = verdict.counterexample
    if found is None:
        return
    yield f"    request: {request_told(found.case.point)}"
    if found.case.stats:
        yield f"    statistics: {found.case.stats}"
    yield f"    decision: {decision_told(found.decision)}"
    if (more := advice(found, expectation.table.when)) is not None:
        yield f"    {more}"


def verdict_values(expectation: Expectation, verdict: Verdict, /) -> dict[str, Any]:
    """Returns what became of an expectation as JSON."""
    found = verdict.counterexample
    return {
        "name": expectation.label,
        "file": expectation.source.file,
        "line": expectation.line,
        "outcome": verdict.outcome,
        "looked": verdict.looked,
        "why": verdict.why,
        "message": verdict_told(verdict),
        "counterexample": None
        if found is None
        else {
            "request": request_values(found.case.point),
            "broken": list(found.broken),
            "live": [candidate.name for candidate in found.decision.slate.live],
            "dropped": [{"model": d.name, "by": d.by, "reason": d.reason} for d in found.decision.slate.dropped],
        },
    }
