"""Usage times price row; in Decimal US dollars, None where unknown."""

from __future__ import annotations

from decimal import Decimal

from router.core.answer import Usage
from router.core.catalog import Model, Price
from router.core.request import Features


def cost_usd(usage: Usage, price: Price) -> Decimal | None: ...


def expected_usd(model: Model, features: Features, output_tokens: int) -> Decimal | None: ...


def worst_usd(model: Model, features: Features) -> Decimal | None: ...
