"""What short requests would cost at cheaper models: the classic estimate, with what is known of it and what is hoped.

A request moves with the tokens that it had: all of its input at the target's full rate, since nobody knows what the
target would have in its prompt cache, and the same output. Only the answer is compared; failed attempts before it stay
as they are. That the target's answer would do is never taken for granted: see `Evidence`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from router.analytics.statements import statement
from router.core.answer import Usage
from router.core.catalog import Model, Price, Tier
from router.core.cost import cost_usd
from router.core.money import EXACT

if TYPE_CHECKING:
    import duckdb

UNCOUNTED: Final = ("audio_input", "audio_output", "file_input", "video_input", "vision", "web_search")
"""Needs that each provider counts in tokens of its own, or bills by other things than tokens."""
_Z: Final = 1.959964
"""Of a 95 % interval."""
_COST_UNKNOWN: Final = "cost unknown"
_OUTSIDE: Final = "was made outside the router"
_CENTS: Final = Decimal("1e-12")
_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Requests alike in all that a price depends on, at one target; as `sql/savings_groups.sql` has them."""

    up_to_tokens: int | None
    model: str | None
    model_id: str | None
    target: str
    stays: str | None
    service_tier: str | None
    above_tokens: int
    own_above_tokens: int | None
    spend_unknown: bool
    requests: int
    spent_usd: Decimal | None
    answer_usd: Decimal | None
    input_tokens: int | None
    output_tokens: int | None
    written_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What labels say of a target's answers to requests of a tier.

    Attributes:
        labelled: traces that it answered and that somebody called adequate or inadequate.
        adequate: those of which the latest label says so.
    """

    labelled: int = 0
    adequate: int = 0

    @property
    def share(self) -> float | None:
        """The share of adequate answers; None where nobody has said anything."""
        return self.adequate / self.labelled if self.labelled else None

    @property
    def at_least(self) -> Decimal:
        """The lower end of the share's 95 % interval (Wilson), in four decimals; 0 where nobody has said anything."""
        if not self.labelled:
            return _ZERO
        n, share, z2 = self.labelled, self.adequate / self.labelled, _Z * _Z
        spread = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
        low = (share + z2 / (2 * n) - spread) / (1 + z2 / n)
        return Decimal(max(0, math.floor(low * 10_000))).scaleb(-4)

    def allows(self, least: float, /) -> bool:
        """Returns whether labels do not speak against the target: there are none, or enough of them say adequate."""
        return self.share is None or self.share >= least

    def split(self, saving_usd: Decimal, /) -> tuple[Decimal, Decimal, Decimal]:
        """Returns what of a saving is observed, assumed and refuted.

        Observed is the share that is adequate with confidence, refuted the share of labels that say inadequate.
        """
        observed = EXACT.multiply(saving_usd, self.at_least)
        wrong = self.labelled - self.adequate
        refuted = _ZERO
        if wrong:
            refuted = EXACT.divide(EXACT.multiply(saving_usd, wrong), self.labelled).quantize(_CENTS, context=EXACT)
        return observed, EXACT.subtract(EXACT.subtract(saving_usd, observed), refuted), refuted


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Requests of a tier that one model answered and the target can serve.

    Attributes:
        current_usd: what their answers cost.
        target_usd: what they would cost.
        list_priced: how many of them have no cost in the log, and count at today's price of their model.
    """

    model: str
    target: str
    requests: int
    input_tokens: int
    output_tokens: int
    current_usd: Decimal
    target_usd: Decimal
    list_priced: int

    @property
    def saving_usd(self) -> Decimal:
        """How much less; negative where it is more."""
        return EXACT.subtract(self.current_usd, self.target_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One target for a tier: what would move there, and what is known of its answers."""

    target: str
    moves: tuple[Move, ...]
    evidence: Evidence

    @property
    def saving_usd(self) -> Decimal:
        """Of all moves."""
        return total(move.saving_usd for move in self.moves)


@dataclass(frozen=True, slots=True, kw_only=True)
class TierEstimate:
    """A tier of the log.

    Attributes:
        up_to_tokens: its limit, inclusive; None is what lies above the last one, or has no known tokens.
        requests: all of them.
        spent_usd: what they cost; those that the log knows no cost of at today's price of their model.
        unknown: how many have neither cost nor price.
        options: every target, the one that saves most first.
        chosen: the first option that saves something, and whose labels do not speak against it; None where none does.
        stays: how many requests stay where they are, by reason; of the chosen target, else of the first option.
        models: those that answer now, by name and id, most requests first.
    """

    up_to_tokens: int | None
    requests: int
    spent_usd: Decimal
    unknown: int
    options: tuple[Option, ...]
    chosen: Option | None
    stays: Mapping[str, int]
    models: tuple[tuple[str, str | None], ...]

    @property
    def saving_usd(self) -> Decimal:
        """Of the chosen target."""
        return _ZERO if self.chosen is None else self.chosen.saving_usd


def estimate(
    connection: duckdb.DuckDBPyConnection,
    targets: Mapping[str, Model],
    owns: Mapping[tuple[str, str | None], Price],
    *,
    limits: Sequence[int],
    adequate_share: float,
) -> tuple[TierEstimate, ...]:
    """Returns the tiers of a log, by limit, and what lies above them last.

    Args:
        connection: of the log, as `router.analytics.log.opened` gives it.
        targets: models to move to, by name; at least one, each with a price.
        owns: today's prices of the models that the log names, by name and id, as far as known.
        limits: input tokens, ascending.
        adequate_share: a target with fewer adequate answers among the labelled ones of a tier is not chosen there.
    """
    _prepare(connection, targets, owns, limits)
    prices = {name: model.price for name, model in targets.items() if model.price is not None}
    by_tier: dict[int | None, list[Group]] = {limit: [] for limit in (*limits, None)}
    for group in _groups(connection):
        by_tier[group.up_to_tokens].append(group)
    evidence = {
        (limit, name): Evidence(labelled=labelled, adequate=adequate)
        for limit, name, labelled, adequate in connection.execute(statement("savings_labels")).fetchall()
    }
    return tuple(
        _tier(
            limit,
            groups,
            prices,
            owns,
            {name: evidence.get((limit, name), Evidence()) for name in prices},
            adequate_share,
        )
        for limit, groups in by_tier.items()
    )


def log_models(connection: duckdb.DuckDBPyConnection, /) -> list[tuple[str, str | None]]:
    """Returns the models that answered in a log: names, and ids where the log has them."""
    asked = "SELECT DISTINCT model, model_id FROM decisions WHERE model IS NOT NULL ORDER BY ALL"
    return connection.execute(asked).fetchall()


def log_calls(connection: duckdb.DuckDBPyConnection, /) -> dict[str, tuple[int, int]]:
    """Returns how many calls to each model of a log failed, and how many there were."""
    calls = "SELECT unnest(attempts) AS a FROM decisions"
    failed = "count(*) FILTER (WHERE a.outcome NOT IN ('answer', 'cancelled'))"
    asked = f"SELECT a.model, {failed}, count(*) FROM ({calls}) WHERE a.held IS NULL GROUP BY ALL"  # noqa: S608 - constants
    return {model: (bad, all_) for model, bad, all_ in connection.execute(asked).fetchall()}


def group_usd(group: Group, price: Price, above_tokens: int, /, *, cached: bool) -> Decimal | None:
    """Returns what the requests of a group cost at a price: the sum of `cost_usd` of each.

    Args:
        group: whose tokens are known, and fall into one context tier of the price.
        price: of a target, or of the model that answered.
        above_tokens: the edge of that context tier.
        cached: whether input that came from, or went to, a prompt cache counts as such.
    """
    tiers = price.tiers if group.service_tier is None else price.service.get(group.service_tier, price.tiers)
    tier = next(tier for tier in reversed(tiers) if tier.above_tokens <= above_tokens or not tier.above_tokens)
    usage = Usage(
        input_tokens=int(group.input_tokens or 0),
        output_tokens=int(group.output_tokens or 0),
        reasoning_tokens=int(group.reasoning_tokens or 0),
        cached_input_tokens=int(group.cached_tokens or 0) if cached else 0,
        cache_write_tokens=int(group.written_tokens or 0) if cached else 0,
    )
    tokens = cost_usd(usage, Price(tiers=(Tier(rates=tier.rates),)))
    return None if tokens is None else EXACT.fma(price.request_usd, Decimal(group.requests), tokens)


def total(amounts: Iterator[Decimal] | Sequence[Decimal], /) -> Decimal:
    """Returns the exact sum of amounts."""
    whole = _ZERO
    for amount in amounts:
        whole = EXACT.add(whole, amount)
    return whole


def _prepare(
    connection: duckdb.DuckDBPyConnection,
    targets: Mapping[str, Model],
    owns: Mapping[tuple[str, str | None], Price],
    limits: Sequence[int],
) -> None:
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE savings_targets (name VARCHAR, id VARCHAR, capabilities VARCHAR[], "
        "window_tokens BIGINT, max_output_tokens BIGINT, quality DOUBLE, edges BIGINT[])"
    )
    connection.execute("CREATE OR REPLACE TEMP TABLE savings_own (model VARCHAR, model_id VARCHAR, edges BIGINT[])")
    for model in targets.values():
        row = [
            model.name,
            model.id,
            sorted(model.capabilities),
            model.context_window_tokens,
            model.max_output_tokens,
            model.quality,
            [] if model.price is None else _edges(model.price),
        ]
        connection.execute("INSERT INTO savings_targets VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    for (name, model_id), price in owns.items():
        connection.execute("INSERT INTO savings_own VALUES (?, ?, ?)", [name, model_id, _edges(price)])
    connection.execute(statement("savings_requests", limits=str(list(limits)), uncounted=str(list(UNCOUNTED))))


def _groups(connection: duckdb.DuckDBPyConnection) -> Iterator[Group]:
    found = connection.execute(statement("savings_groups"))
    names = [column[0] for column in found.description or ()]
    while rows := found.fetchmany(10_000):
        for row in rows:
            yield Group(**dict(zip(names, row, strict=True)))


def _tier(
    limit: int | None,
    groups: Sequence[Group],
    prices: Mapping[str, Price],
    owns: Mapping[tuple[str, str | None], Price],
    evidence: Mapping[str, Evidence],
    adequate_share: float,
) -> TierEstimate:
    first = next(iter(prices))  # the groups of each target hold all requests
    once = [group for group in groups if group.target == first]
    bills = [_spent(group, owns) for group in once]
    options = sorted(
        (
            Option(target=name, moves=_moves(groups, name, price, owns), evidence=evidence[name])
            for name, price in prices.items()
        ),
        key=lambda option: (-option.saving_usd, option.target),
    )
    chosen = next((o for o in options if o.saving_usd > 0 and o.evidence.allows(adequate_share)), None)
    return TierEstimate(
        up_to_tokens=limit,
        requests=sum(group.requests for group in once),
        spent_usd=total([bill for bill in bills if bill is not None]),
        unknown=sum(group.requests for group, bill in zip(once, bills, strict=True) if bill is None),
        options=tuple(options) if limit is not None else (),
        chosen=chosen,
        stays=_stays(groups, options[0] if chosen is None else chosen, owns),
        models=_answering(once),
    )


def _spent(group: Group, owns: Mapping[tuple[str, str | None], Price]) -> Decimal | None:
    if group.stays == _COST_UNKNOWN:  # a price says nothing of the attempts beside the answer
        return None
    return _listed(group, owns) if group.spend_unknown else group.spent_usd


def _listed(group: Group, owns: Mapping[tuple[str, str | None], Price]) -> Decimal | None:
    """Returns what a group costs at today's price of the model that answered; None where that is unknown."""
    price = owns.get((group.model or "", group.model_id))
    if price is None or group.input_tokens is None or group.output_tokens is None:
        return None
    return group_usd(group, price, group.own_above_tokens or 0, cached=True)


def _now_usd(group: Group, owns: Mapping[tuple[str, str | None], Price]) -> Decimal | None:
    """Returns what the answers of a group cost."""
    return _listed(group, owns) if group.answer_usd is None else group.answer_usd


def _moves(
    groups: Sequence[Group], target: str, price: Price, owns: Mapping[tuple[str, str | None], Price]
) -> tuple[Move, ...]:
    """Returns the moves to a target, those included that cost more: a policy sends it all that it can serve."""
    by_model: dict[str, list[tuple[Group, Decimal, Decimal]]] = {}
    for group in groups:
        if group.target != target or group.stays is not None:
            continue
        current, then = _now_usd(group, owns), group_usd(group, price, group.above_tokens, cached=False)
        if current is not None and then is not None:
            by_model.setdefault(str(group.model), []).append((group, current, then))
    moves = (
        Move(
            model=model,
            target=target,
            requests=sum(group.requests for group, _, _ in parts),
            input_tokens=sum(int(group.input_tokens or 0) for group, _, _ in parts),
            output_tokens=sum(int(group.output_tokens or 0) for group, _, _ in parts),
            current_usd=total([current for _, current, _ in parts]),
            target_usd=total([then for _, _, then in parts]),
            list_priced=sum(group.requests for group, _, _ in parts if group.answer_usd is None),
        )
        for model, parts in by_model.items()
    )
    return tuple(sorted(moves, key=lambda move: (-move.saving_usd, move.model)))


def _stays(groups: Sequence[Group], option: Option, owns: Mapping[tuple[str, str | None], Price]) -> dict[str, int]:
    """Returns how many requests stay where they are, by reason, most first."""
    counts: dict[str, int] = {}
    for group in groups:
        if group.target != option.target:
            continue
        reason = group.stays
        if reason is None and _now_usd(group, owns) is None:
            reason = "cost unknown"
        if reason is not None:
            counts[reason] = counts.get(reason, 0) + group.requests
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _answering(groups: Sequence[Group]) -> tuple[tuple[str, str | None], ...]:
    counts: dict[tuple[str, str | None], int] = {}
    for group in groups:
        if group.model is not None and group.stays != _OUTSIDE:
            key = group.model, group.model_id
            counts[key] = counts.get(key, 0) + group.requests
    return tuple(sorted(counts, key=lambda key: (-counts[key], key[0], key[1] or "")))


def _edges(price: Price) -> list[int]:
    """Returns the input-token counts at which any of a price's tables changes."""
    tables = (price.tiers, *price.service.values())
    return sorted({tier.above_tokens for table in tables for tier in table if tier.above_tokens})
