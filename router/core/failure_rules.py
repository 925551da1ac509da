"""The order of the rules that name a failure's class: the first that fits decides, the status alone only at the end.

Rows are written from how providers word things, not from samples: a row names a set of codes, or a wording, that
means the same wherever it stands. Order matters where wordings overlap: what the model did wrong, money, length and
content come before access; names of models before keys; rates before what a model lacks, as their texts advertise what
a dearer plan supports; what a model lacks before what is wrong everywhere, as providers call both invalid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.failure_account_rules import KEYS, MODELS, MONEY, RATES
from router.core.failure_request_rules import ABILITY, CONTENT, FORM, LENGTH, OUTPUT
from router.core.failure_rule import Rule, Signs

if TYPE_CHECKING:
    from router.core.failure import FailureClass

_BY_STATUS: Final[tuple[Rule, ...]] = (
    Rule(name="the provider gave up waiting", kind="timed_out", statuses=frozenset({408})),
    Rule(name="the provider's fault", kind="server_error", statuses=frozenset({424, *range(500, 600)} - {501})),
    Rule(name="nothing at this address", kind="no_such_model", statuses=frozenset({404, 405, 410})),
    Rule(name="forbidden", kind="denied", statuses=frozenset({403, 451})),
)

RULES: Final[tuple[Rule, ...]] = (
    *OUTPUT,
    *MONEY,
    *LENGTH,
    *CONTENT,
    *MODELS,
    *KEYS,
    *RATES,
    *ABILITY,
    *_BY_STATUS,
    *FORM,
    Rule(name="any other refusal of the request", kind="invalid", statuses=frozenset(range(400, 500))),
    Rule(name="an error without a reason: assume the worst", kind="server_error"),
)
"""Every rule, in order; the last fits everything."""


def kind_of(signs: Signs) -> FailureClass:
    """Returns the class of the first rule that fits."""
    return next(rule.kind for rule in RULES if rule.fits(signs))
