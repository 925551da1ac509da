"""`[state]`: what keeps what outlives one request, and what several processes share: the accounts of budgets."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le

from router.config_backend import BackendTable
from router.config_values import Real


class StateTable(BackendTable):
    """`[state]`: what keeps state. Whatever is not a field here is an option of the backend's class."""

    wait_s: Annotated[Real, Ge(0.001), Le(60)] = 0.25
