"""What somebody, or a check, found an answer to be worth, after the fact; joined to its decision by the trace id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from router.core.hints import parse_hints
from router.errors import RequestError

LABEL_SCHEMA: Final = 1
"""Version of a label's JSON form; new fields do not raise it."""
USER: Final = "user"
"""The source of labels that name none."""

_SCORE_MOST: Final = 1e18
_SOURCE_MOST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One verdict on the answer to a request.

    Attributes:
        trace_id: of the request, 32 hex digits; where a trace has several requests it holds for each of them.
        adequate: whether the answer did; None where only a score was given.
        score: on whatever scale its source has; None where there is none.
        source: who says so ("user", "judge", the name of a check). Of one source the latest label counts.
        time: when it was said, UTC.
    """

    trace_id: str
    adequate: bool | None
    score: float | None
    source: str
    time: datetime


def checked_label(trace_id: Any, *, adequate: Any, score: Any, source: Any, time: datetime) -> Label:
    """Returns a label, each part of it checked.

    Raises:
        RequestError: a part is of a wrong type or out of range, or there is neither `adequate` nor `score`.
    """
    if trace_id is None:
        raise RequestError("trace_id: None is not allowed; 32 hex digits that are not all zero are")
    known = parse_hints({"trace_id": trace_id}).trace_id
    if adequate is None and score is None:
        raise RequestError("a label needs adequate (True or False), score (a number), or both")
    if adequate is not None and not isinstance(adequate, bool):
        raise RequestError(f"adequate: {_shown(adequate)} is not allowed; True, False or None is")
    if score is not None and not _is_finite(score):
        raise RequestError(f"score: {_shown(score)} is not allowed; a finite number or None is")
    if not isinstance(source, str) or not 0 < len(source) <= _SOURCE_MOST or not source.isprintable():
        raise RequestError(f"source: {_shown(source)} is not allowed; 1 to {_SOURCE_MOST} printable characters are")
    return Label(
        trace_id=str(known),
        adequate=adequate,
        score=None if score is None else float(score),
        source=source,
        time=time,
    )


def label_dict(label: Label, /) -> dict[str, Any]:
    """Returns a label as JSON values; the field `label` tells its lines from those of decisions."""
    return {
        "label": LABEL_SCHEMA,
        "trace_id": label.trace_id,
        "adequate": label.adequate,
        "score": label.score,
        "source": label.source,
        "time": label.time.isoformat(timespec="microseconds"),
    }


def _is_finite(value: Any) -> bool:
    # Compared with a bound and not by `isfinite`, which fails on whole numbers that no float can hold.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _SCORE_MOST


def _shown(value: Any) -> str:
    """Returns a value as an error shows it: short, and by its type where it is neither text nor number."""
    if isinstance(value, str):
        return repr(value if len(value) <= 80 else f"{value[:77]}...")
    return repr(value) if isinstance(value, float) else f"a value of type {type(value).__name__}"
