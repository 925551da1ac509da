"""The estimate as a report: tiers, moves, what is known of the answers, who else was considered, and what stays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from router.analytics.report_tables import dollars, percent
from router.analytics.savings import Option, TierEstimate, total
from router.analytics.tables import Column, Report, Section, Table
from router.core.money import EXACT

_NO_CALLS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType({})
_TIER = Column(name="tier", title="tier")
_TO = Column(name="to_model", title="to")
_REQUESTS = Column(name="requests", title="requests", unit="count")
_CURRENT = Column(name="current_usd", title="current", unit="usd")
_OPTIMISED = Column(name="optimised_usd", title="optimised", unit="usd")
_SAVING = Column(name="saving_usd", title="saving", unit="usd")
_LABELLED = Column(name="labelled", title="labelled", unit="count")
_ADEQUATE = Column(name="adequate_share", title="adequate", unit="share")

_HOW = (
    "A request moves with the tokens that it had: its whole input at the target's full rate, nothing from a prompt "
    "cache, and the same output; another model may count and write more or fewer. Failed attempts stay as they are."
)
_KNOWN = (
    "Observed: the share of the target's labelled answers in this tier that is adequate with 95 % confidence (Wilson). "
    "Refuted: the share that labels call inadequate. Assumed: what no label speaks of."
)


def savings_report(
    tiers: Sequence[TierEstimate],
    about: Sequence[tuple[str, str]],
    *,
    adequate_share: float,
    calls: Mapping[str, tuple[int, int]] = _NO_CALLS,
) -> Report:
    """Returns the report.

    Args:
        tiers: the estimate, by limit, what lies above them last.
        about: facts of the whole.
        adequate_share: as the estimate was given.
        calls: of each model of the log, how many failed and how many there were.
    """
    tables = [_tiers(tiers)]
    if any(tier.chosen for tier in tiers):
        tables += [_moves(tiers), _evidence(tiers)]
    tables += [_options(tiers, adequate_share), _stays(tiers)]
    section = Section(
        name="savings", title="Savings", tables=tuple(tables), findings=(*_findings(tiers), *_failing(tiers, calls))
    )
    return Report(title="Savings estimate", about=tuple(about), sections=(section,))


def tier_name(tiers: Sequence[TierEstimate], tier: TierEstimate) -> str:
    """Returns what a tier is called: "up to 500", "501 to 2,000", "above, or unknown"."""
    index = list(tiers).index(tier)
    if tier.up_to_tokens is None:
        return "above, or unknown"
    if index == 0:
        return f"up to {tier.up_to_tokens:,}"
    return f"{(tiers[index - 1].up_to_tokens or 0) + 1:,} to {tier.up_to_tokens:,}"


def _failing(tiers: Sequence[TierEstimate], calls: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    """Yields the chosen models that mostly failed: what they would cost says nothing of whether they answer."""
    for target in sorted({tier.chosen.target for tier in tiers if tier.chosen is not None}):
        failed, made = calls.get(target, (0, 0))
        if failed and 2 * failed >= made:
            yield f"{target} failed {failed:,} of its {made:,} calls in this log: see why before you send it more."


def _findings(tiers: Sequence[TierEstimate]) -> Iterator[str]:
    chosen = [(tier, tier.chosen) for tier in tiers if tier.chosen is not None]
    spent = total([tier.spent_usd for tier in tiers])
    unknown = sum(tier.unknown for tier in tiers)
    if not chosen:
        yield "No tier would cost less at another model that can serve it and that labels do not speak against."
    else:
        saving = total([tier.saving_usd for tier in tiers])
        share = f" ({percent(_share(saving, spent))})" if spent else ""
        less = f"{dollars(saving)} less{share}"
        yield f"{dollars(spent)} would become {dollars(EXACT.subtract(spent, saving))}: {less}."
        observed, assumed, refuted = (total(part) for part in zip(*_splits(tiers), strict=True))
        yield (
            f"Of these {dollars(saving)}, {dollars(observed)} is observed and {dollars(assumed)} assumed: nobody has "
            "said that the cheaper model's answers would do."
        )
        if refuted:
            told = "that share of its labelled answers is inadequate. Do not count on it."
            yield f"{dollars(refuted)} is refuted: {told}"
        for tier, option in chosen:
            moving = sum(move.requests for move in option.moves)
            moved = f"{moving:,} of {tier.requests:,} requests could go to {option.target}"
            yield f"{tier_name(tiers, tier)} tokens: {moved}, which saves {dollars(option.saving_usd)}."
    if unknown:
        yield f"{unknown:,} requests have no known cost and no known price, and count nowhere."


def _splits(tiers: Sequence[TierEstimate]) -> list[tuple[Decimal, Decimal, Decimal]]:
    return [tier.chosen.evidence.split(tier.saving_usd) for tier in tiers if tier.chosen is not None]


def _tiers(tiers: Sequence[TierEstimate]) -> Table:
    rows: list[tuple[Any, ...]] = [
        (
            tier_name(tiers, tier),
            tier.requests,
            _moving(tier.chosen),
            None if tier.chosen is None else tier.chosen.target,
            tier.spent_usd,
            EXACT.subtract(tier.spent_usd, tier.saving_usd),
            tier.saving_usd,
            _share(tier.saving_usd, tier.spent_usd),
        )
        for tier in tiers
    ]
    spent, saving = total([t.spent_usd for t in tiers]), total([t.saving_usd for t in tiers])
    sums = sum(t.requests for t in tiers), sum(_moving(t.chosen) for t in tiers)
    rows.append(("in all", *sums, None, spent, EXACT.subtract(spent, saving), saving, _share(saving, spent)))
    return Table(
        name="tiers",
        title="Tiers by input tokens",
        columns=(
            _TIER,
            _REQUESTS,
            Column(name="moving", title="moving", unit="count"),
            _TO,
            _CURRENT,
            _OPTIMISED,
            _SAVING,
            Column(name="saving_share", title="share", unit="share"),
        ),
        rows=tuple(rows),
        note=_HOW,
    )


def _moves(tiers: Sequence[TierEstimate]) -> Table:
    rows = tuple(
        (
            tier_name(tiers, tier),
            move.model,
            move.target,
            move.requests,
            move.input_tokens,
            move.output_tokens,
            move.current_usd,
            move.target_usd,
            move.saving_usd,
            move.list_priced,
        )
        for tier in tiers
        for move in (tier.chosen.moves if tier.chosen else ())
    )
    return Table(
        name="moves",
        title="Who goes where",
        columns=(
            _TIER,
            Column(name="from_model", title="from"),
            _TO,
            _REQUESTS,
            Column(name="input_tokens", title="in", unit="tokens"),
            Column(name="output_tokens", title="out", unit="tokens"),
            _CURRENT,
            _OPTIMISED,
            _SAVING,
            Column(name="list_priced", title="list-priced", unit="count"),
        ),
        rows=rows,
        note="Current is what the answers cost; list-priced ones have no cost in the log and count at today's price.",
    )


def _evidence(tiers: Sequence[TierEstimate]) -> Table:
    rows = tuple(
        (
            tier_name(tiers, tier),
            tier.chosen.target,
            tier.chosen.evidence.labelled,
            tier.chosen.evidence.share,
            tier.chosen.evidence.at_least,
            *tier.chosen.evidence.split(tier.saving_usd),
        )
        for tier in tiers
        if tier.chosen is not None
    )
    return Table(
        name="evidence",
        title="What is known of the cheaper answers",
        columns=(
            _TIER,
            _TO,
            _LABELLED,
            _ADEQUATE,
            Column(name="adequate_at_least", title="at least", unit="share"),
            Column(name="observed_usd", title="observed", unit="usd"),
            Column(name="assumed_usd", title="assumed", unit="usd"),
            Column(name="refuted_usd", title="refuted", unit="usd"),
        ),
        rows=rows,
        note=_KNOWN,
    )


def _options(tiers: Sequence[TierEstimate], adequate_share: float) -> Table:
    rows = tuple(
        (
            tier_name(tiers, tier),
            option.target,
            _moving(option),
            option.saving_usd,
            option.evidence.labelled,
            option.evidence.share,
            _verdict(tier, option, adequate_share),
        )
        for tier in tiers
        for option in tier.options
    )
    return Table(
        name="options",
        title="Models that were considered",
        columns=(
            _TIER,
            _TO,
            Column(name="moving", title="moving", unit="count"),
            _SAVING,
            _LABELLED,
            _ADEQUATE,
            Column(name="verdict", title="verdict"),
        ),
        rows=rows,
    )


def _verdict(tier: TierEstimate, option: Option, adequate_share: float) -> str:
    if option is tier.chosen:
        return "chosen"
    if option.saving_usd <= 0:
        return "saves nothing"
    if not option.evidence.allows(adequate_share):
        return f"labels: fewer than {adequate_share:.0%} are adequate"
    return "saves less"


def _stays(tiers: Sequence[TierEstimate]) -> Table:
    rows = tuple((tier_name(tiers, tier), why, count) for tier in tiers for why, count in tier.stays.items())
    return Table(
        name="stays",
        title="Requests that stay where they are",
        columns=(_TIER, Column(name="why", title="why"), _REQUESTS),
        rows=rows,
    )


def _moving(option: Option | None) -> int:
    return 0 if option is None else sum(move.requests for move in option.moves)


def _share(part: Decimal, whole: Decimal) -> float | None:
    return float(part / whole) if whole else None
