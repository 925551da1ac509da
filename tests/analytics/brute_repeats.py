"""Duplicates, caches played through, storms and repeated input, computed with plain loops: what the SQL must equal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.analytics.brute import Rows, Seen, grouped, share, total

Rate = Callable[[Seen], Decimal | None]
"""What a token costs less when a provider's cache has it, by the request that sends it; None is unknown."""


def _order(one: Seen) -> Any:
    """Returns what sorts equal requests by time, and makes the order of those at one time plain."""
    ready = one.moment + timedelta(seconds=one.latency or 0)
    return (one.moment, ready, one.answered, one.cost is None, one.cost or 0, one.stored)


def duplicates(seen: Sequence[Seen], ttls_s: Sequence[int], storm_within_s: float) -> dict[str, Rows]:
    """Returns repeats, what caches would have saved of them, and storms."""
    keys = grouped([s for s in seen if s.key is not None and s.time is not None], lambda s: s.key)
    repeated = {key: sorted(group, key=_order) for key, group in keys.items() if len(group) > 1}
    repeats = [one for group in repeated.values() for one in group[1:]]
    whole = total(s.cost for s in seen)
    cost = total(s.cost for s in repeats)
    out: dict[str, Rows] = {
        "duplicates": [
            {
                "keys": len(repeated),
                "repeats": len(repeats),
                "share": share(len(repeats), len(seen)),
                "cost_usd": cost if repeats else Decimal(0),
                "cost_share": share(cost, whole),
                "unknown_cost": sum(s.cost is None for s in repeats),
                "cache_hits": sum(s.stored for s in repeats),
            }
        ],
        "most_repeated": [
            {
                "key": key[:16],
                "repeats": len(group) - 1,
                "cost_usd": total(s.cost for s in group[1:]),
                "unknown_cost": sum(s.cost is None for s in group[1:]),
                "cache_hits": sum(s.stored for s in group[1:]),
                "first": group[0].time,
                "last": group[-1].time,
            }
            for key, group in repeated.items()
        ],
        "cache_curve": [],
    }
    for ttl_s in ttls_s:
        hits = [one for group in keys.values() for one in _hits(sorted(group, key=_order), ttl_s)]
        saved = total(s.cost for s in hits) or Decimal(0)
        out["cache_curve"].append(
            {
                "ttl_s": ttl_s,
                "hits": len(hits),
                "share": share(len(hits), len(seen)),
                "saved_usd": saved,
                "saved_share": share(saved, whole),
                "unknown_cost": sum(s.cost is None for s in hits),
            }
        )
    return {**out, **_storms(seen, storm_within_s, whole)}


def _hits(group: Sequence[Seen], ttl_s: int) -> list[Seen]:
    """Returns the requests that a cache answers which forgets each answer so long after it came."""
    hits: list[Seen] = []
    came: datetime | None = None
    for one in group:
        if came is not None and one.moment - came < timedelta(seconds=ttl_s):
            hits.append(one)
        elif one.answered:
            came = one.moment + timedelta(seconds=one.latency or 0)
    return hits


def _storms(seen: Sequence[Seen], within_s: float, whole: Decimal | None) -> dict[str, Rows]:
    storms: list[list[Seen]] = []
    for group in grouped([s for s in seen if s.key is not None and s.time is not None], _key_and_client).values():
        run: list[Seen] = []
        for one in sorted(group, key=lambda s: s.moment):
            if run and one.moment - run[-1].moment > timedelta(seconds=within_s):
                storms.append(run)
                run = []
            run.append(one)
        storms.append(run)
    storms = [run for run in storms if len(run) >= 3]
    inside = [one for run in storms for one in run]
    cost = total(s.cost for s in inside)
    return {
        "storms": [
            {
                "storms": len(storms),
                "requests": len(inside),
                "share": share(len(inside), len(seen)),
                "cost_usd": cost if inside else Decimal(0),
                "cost_share": share(cost, whole),
                "unknown_cost": sum(s.cost is None for s in inside),
            }
        ],
        "largest_storms": [
            {
                "key": run[0].key[:16] if run[0].key else None,
                "client": run[0].client,
                "requests": len(run),
                "first": run[0].time,
                "lasted_s": (run[-1].moment - run[0].moment).total_seconds(),
                "cost_usd": total(s.cost for s in run),
            }
            for run in sorted(storms, key=_largest)
        ],
    }


def _largest(run: Sequence[Seen]) -> Any:
    return (-len(run), run[0].time, run[0].key, run[0].client is None, run[0].client)


def _key_and_client(one: Seen) -> tuple[str | None, str | None]:
    return one.key, one.client


def context(seen: Sequence[Seen], rate: Rate) -> dict[str, Rows]:
    """Returns repeated input by model, and the beginnings that were resent most."""
    sent = [s for s in seen if not s.stored and s.model is not None and s.input is not None]
    marked = [s for s in sent if s.marks and s.time is not None and s.told is None]
    marked.sort(key=lambda s: s.moment)
    sums: dict[tuple[str | None, str | None], dict[str, Any]] = {}
    everything = _nothing()
    for one in sent:
        known = _repeated(one, marked)
        for to in (sums.setdefault((one.model, one.model_id), _nothing()), everything):
            _count(to, one, known, rate(one))
    rows = [(("all models", None), everything), *sums.items()] if sums else []
    return {
        "context": [_context_row(model[0], model[1], found) for model, found in rows],
        "prefixes": _prefixes(marked),
    }


def _repeated(one: Seen, marked: Sequence[Seen]) -> tuple[int | None, int | None]:
    """Returns the input tokens that repeat the session's previous request, and any earlier one; None is unknown."""
    if one.told is not None:
        return one.told["previous"], one.told["any"]
    if one not in marked:
        return None, None
    earlier = [s for s in marked if s.moment < one.moment]
    anywhere = max((_shared(one, s) for s in earlier), default=0)
    if one.session is None:
        return None, anywhere
    before = [s for s in marked[: marked.index(one)] if s.session == one.session]
    return (_shared(one, before[-1]) if before else 0), anywhere


def _shared(one: Seen, other: Seen) -> int:
    """Returns the tokens of a request up to the largest mark that another one has too."""
    theirs = {digest for digest, _ in other.marks}
    most: int = max((size for digest, size in one.marks if digest in theirs), default=0)
    assert one.input is not None
    tokens: int = one.input * most // one.marks[-1][1]
    return tokens


def _nothing() -> dict[str, Any]:
    return {
        **dict.fromkeys(("requests", "input", "cached", "unpriced", "previous", "any", "previous_of", "any_of"), 0),
        "previous_usd": Decimal(0),
        "any_usd": Decimal(0),
        "priced": False,
    }


def _count(to: dict[str, Any], one: Seen, known: tuple[int | None, int | None], rate: Decimal | None) -> None:
    cached = one.usage.get("cached_input_tokens", 0)
    to["requests"] += 1
    to["input"] += one.input
    to["cached"] += cached
    for name, tokens in zip(("previous", "any"), known, strict=True):
        if tokens is None:
            continue
        to[name] += tokens
        to[f"{name}_of"] += one.input
        if rate is not None:
            to[f"{name}_usd"] += rate * max(0, tokens - cached)
        elif name == "any":
            to["unpriced"] += max(0, tokens - cached)
    if rate is not None and known[1] is not None and known[1] > cached:
        to["priced"] = True


def _context_row(model: str | None, model_id: str | None, found: dict[str, Any]) -> dict[str, Any]:
    nobody_knows = found["unpriced"] and not found["priced"]
    row = {
        "model": model,
        "model_id": model_id,
        "requests": found["requests"],
        "input_tokens": found["input"],
        "cached_tokens": found["cached"],
        "unpriced_tokens": found["unpriced"],
    }
    for name in ("previous", "any"):
        of = found[f"{name}_of"]
        row[f"{name}_tokens"] = found[name] if of else None
        row[f"{name}_share"] = share(found[name], of)
        row[f"{name}_saving_usd"] = None if not of or nobody_knows else found[f"{name}_usd"]
    return row


def _prefixes(marked: Sequence[Seen]) -> Rows:
    having: dict[str, list[Seen]] = defaultdict(list)
    sizes: dict[str, int] = {}
    for one in marked:
        for digest, size in one.marks:
            having[digest].append(one)
            sizes[digest] = size
    rows = []
    for digest, group in having.items():
        first = min(s.moment for s in group)
        same = [
            sizes[other]
            for other, others in having.items()
            if len(others) == len(group) and min(s.moment for s in others) == first
        ]
        if len(group) > 1 and sizes[digest] == max(same):
            resent = (len(group) - 1) * sizes[digest]
            row = {"digest": digest, "bytes": sizes[digest], "requests": len(group), "resent_bytes": resent}
            rows.append({**row, "first": first})
    return sorted(rows, key=lambda row: (-row["resent_bytes"], -row["bytes"], row["digest"]))
