"""On what terms the requests of one policy are served."""

from __future__ import annotations

from dataclasses import dataclass

from router.core.bounds import Bounds
from router.core.caching import Caching
from router.core.hedging import Hedging
from router.core.key import NO_DROP, Drop
from router.core.settle import Checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the configuration says of a policy's requests besides the policy itself.

    Attributes:
        bounds: of each of them; a request may lower them.
        checks: what an answer must pass.
        caching: how they use the cache; None where there is none.
        prefer_wait_s: a model that may be asked again within so many seconds is waited for, before others are asked.
        hedging: when to ask a second model; None is never.
        drop: what their content keys leave out.
    """

    bounds: Bounds
    checks: Checks
    caching: Caching | None = None
    prefer_wait_s: float = 0.0
    hedging: Hedging | None = None
    drop: Drop = NO_DROP
