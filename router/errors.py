"""Every error lowfare raises, in one tree; the bases say whose fault it is.

    RouterError
    ├── ConfigError       the configuration's: raised while it is loaded, before any request
    ├── RequestError      the caller's: a request that no provider could make sense of
    ├── PolicyError       a policy's: it raised, or returned something that is not a slate of its input
    ├── NotCached         nobody's: only a stored answer was wanted, and there is none that counts
    ├── NoCandidate       nobody's: no model in the catalog is adequate for this request
    ├── ProviderError     a provider's: the only attempt, or one that nothing may follow, failed
    ├── BoundsExceeded    attempts, deadline or waste of one request are spent
    ├── BudgetExceeded    a budget that applies to the request is spent
    ├── StoreError        a store's: what several processes share could not be reached, or is of no use
    └── WebhookError      a sender's: a webhook that was received is not what its sender signed, or is too old

Whatever a request raises carries its decision: `error.decision` tells what was tried and what it cost.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from router.core.decision import Decision
    from router.core.failure import Failure


class RouterError(Exception):
    """Whatever lowfare raises on purpose.

    Attributes:
        decision: the record of the request that raised it; None where no request was made, as in a `ConfigError`.
    """

    decision: Decision | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Lets errors cross to other processes, and be copied, whatever their arguments are called."""
        return _rebuilt, (type(self), self.args, self.__dict__)

    def __init__(self, message: str, *, decision: Decision | None = None) -> None:
        super().__init__(message)
        self.decision = decision


def _rebuilt(cls: type[RouterError], args: tuple[Any, ...], state: dict[str, Any]) -> RouterError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigError(RouterError):
    """The configuration is wrong: says in which file, at which key, what was found and what is allowed."""


class RequestError(RouterError, ValueError):
    """The request itself is malformed; nothing was sent."""


class PolicyError(RouterError):
    """A policy raised, or returned something that is not made of the slate it was given."""


class NoCandidate(RouterError):
    """No model is adequate for this request; the decision's slate says why each one was dropped."""


class NotCached(RouterError):
    """The request asked for a stored answer only (`cache="only"`), and there is none that counts."""


class ProviderError(RouterError):
    """A provider failed and nothing may follow.

    Attributes:
        failure: what went wrong, in lowfare's classes.
    """

    def __init__(self, message: str, *, failure: Failure, decision: Decision | None = None) -> None:
        super().__init__(message, decision=decision)
        self.failure = failure


class BoundsExceeded(RouterError):
    """The request used up its attempts, its deadline or its waste without an answer.

    Attributes:
        bound: which one: "attempts", "deadline_s", "waste_usd" or "max_cost_usd".
        failure: the last attempt's failure.
    """

    def __init__(
        self, message: str, *, bound: str, failure: Failure | None = None, decision: Decision | None = None
    ) -> None:
        super().__init__(message, decision=decision)
        self.bound = bound
        self.failure = failure


class BudgetExceeded(RouterError):
    """A budget that applies to the request has no room for it; nothing was sent.

    Attributes:
        budget: the name of the budget; None where the store of budgets could not be reached.
    """

    def __init__(self, message: str, *, budget: str | None = None, decision: Decision | None = None) -> None:
        super().__init__(message, decision=decision)
        self.budget = budget


class StoreError(RouterError):
    """A store of what several processes share could not be reached, or did not do what it was asked."""


class WebhookError(RouterError):
    """What was received is no webhook that somebody with the secret has just signed."""


class RouterWarning(RuntimeWarning):
    """Something went wrong that did not cost anyone an answer, such as a log that cannot be written."""


def warn(message: str, /) -> None:
    """Raises a `RouterWarning` that points at the caller's caller; never an exception.

    What is warned of cost no one an answer, so the warning must not either where the application makes it an error.
    """
    with suppress(RouterWarning):
        warnings.warn(message, RouterWarning, stacklevel=3)
