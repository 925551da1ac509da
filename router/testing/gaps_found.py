"""What is found in a configuration that loads, and that somebody will regret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from router.testing.space import Point

Path = tuple[str | int, ...]
Kind = Literal["gap", "unreachable", "overlap", "unable", "window", "one_provider", "nobody", "budget", "unfinished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: one of a fixed set of words, for scripts: "gap" (requests that a policy leaves to nobody, and that a model
            could serve), "unreachable" (a rule or a tier), "overlap" (of rules), "unable" (a model that can serve none
            of the requests that come to its list), "window" (a model that is too small for its tier), "one_provider",
            "nobody" (requests that no model serves), "budget" (one that no request fits), "unfinished" (what was not
            looked at to the end).
        path: of what it is about, in the configuration.
        severity: a "note" is worth knowing, and may be meant so.
        example: a request that shows it.
    """

    kind: Kind
    path: Path
    message: str
    severity: Literal["warning", "note"] = "warning"
    example: Point | None = None
