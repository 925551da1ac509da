"""Stores of retry quotas that are wrong on purpose, each with the rule that must notice it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from router.core.quota import QuotaSettings, RetryQuota

BROKEN: list[tuple[str, type[PlainQuotas]]] = []


def noticed_by(rule: str) -> Callable[[type[PlainQuotas]], type[PlainQuotas]]:
    """Registers a store under the rule that it breaks."""

    def register(store: type[PlainQuotas]) -> type[PlainQuotas]:
        BROKEN.append((rule, store))
        return store

    return register


class PlainQuotas:
    """The shortest store that is right: one quota for each model, one over all, one lock."""

    def __init__(self, settings: QuotaSettings) -> None:
        self.settings = settings
        self.of: dict[str, RetryQuota] = {}
        self.lock = threading.Lock()

    def names(self, model: str) -> tuple[str, ...]:
        return (model, "")

    def quota(self, name: str) -> RetryQuota:
        return self.of.get(name, RetryQuota())

    def deposit(self, model: str, now_s: float, /) -> Any:
        with self.lock:
            for name in self.names(model):
                self.of[name] = self.quota(name).deposit(now_s, self.settings)

    async def withdraw(self, model: str, now_s: float, /) -> Any:
        return self.withdrawn(model, now_s)

    def withdrawn(self, model: str, now_s: float) -> bool:
        with self.lock:
            after = {name: self.quota(name).withdraw(now_s, self.settings) for name in self.names(model)}
            granted = {name: quota for name, quota in after.items() if quota is not None}
            if len(granted) < len(after):
                return False
            self.of |= granted
            return True

    def left(self, model: str, now_s: float, /) -> Any:
        return min(self.quota(name).left(now_s, self.settings) for name in self.names(model))


@noticed_by("has_its_shape")
class DepositsLater(PlainQuotas):
    """Holds up every request, or is never awaited."""

    async def deposit(self, model: str, now_s: float, /) -> None:
        super().deposit(model, now_s)


@noticed_by("has_its_shape")
class WithdrawsAtOnce(PlainQuotas):
    """Is no coroutine."""

    def withdraw(self, model: str, now_s: float, /) -> Any:
        return self.withdrawn(model, now_s)


@noticed_by("has_its_shape")
class ReturnsWhatIsLeft(PlainQuotas):
    """Returns a number, which is true for a refusal too."""

    async def withdraw(self, model: str, now_s: float, /) -> Any:
        self.withdrawn(model, now_s)
        return self.left(model, now_s)


@noticed_by("has_its_shape")
class KnowsNothingLeft(PlainQuotas):
    """Returns None for what it has not counted."""

    def left(self, model: str, now_s: float, /) -> Any:
        return None


@noticed_by("has_its_shape")
class KnowsItsModels(PlainQuotas):
    """Raises for a model that was never asked."""

    async def withdraw(self, model: str, now_s: float, /) -> Any:
        assert model in self.of
        return self.withdrawn(model, now_s)


@noticed_by("grants_no_more_than_allowed")
class GrantsAlways(PlainQuotas):
    """Has no bound."""

    def withdrawn(self, model: str, now_s: float) -> bool:
        return super().withdrawn(model, now_s) or True


@noticed_by("grants_no_more_than_allowed")
class ForgetsAllTogether(PlainQuotas):
    """Has a quota for each model, and none over all."""

    def names(self, model: str) -> tuple[str, ...]:
        return (model,)


@noticed_by("grants_no_more_than_allowed")
class ForgetsModels(PlainQuotas):
    """Has one quota over all."""

    def names(self, model: str) -> tuple[str, ...]:
        return ("",)


@noticed_by("grants_no_more_than_allowed")
class NeverForgetsAsks(PlainQuotas):
    """Counts asks of long ago like those of now."""

    def deposit(self, model: str, now_s: float, /) -> None:
        for name in self.names(model):
            quota = self.quota(name)
            self.of[name] = RetryQuota(asked=quota.asked + 1, retried=quota.retried, at_s=quota.at_s)

    def withdrawn(self, model: str, now_s: float) -> bool:
        return super().withdrawn(model, 0.0)


@noticed_by("grants_no_more_than_allowed")
class CountsRetriesAsAsks(PlainQuotas):
    """Lets retries allow more retries."""

    def withdrawn(self, model: str, now_s: float) -> bool:
        self.deposit(model, now_s)
        return super().withdrawn(model, now_s)


@noticed_by("grants_what_is_allowed")
class RefusesAlways(PlainQuotas):
    """Grants nothing."""

    def withdrawn(self, model: str, now_s: float) -> bool:
        return False


@noticed_by("grants_what_is_allowed")
class KeepsOneBack(PlainQuotas):
    """Is off by one."""

    def withdrawn(self, model: str, now_s: float) -> bool:
        return self.left(model, now_s) >= 2.0 and super().withdrawn(model, now_s)


@noticed_by("takes_nothing_when_it_refuses")
class PaysAnyway(PlainQuotas):
    """Takes from the model before it looks whether all together have one left."""

    def withdrawn(self, model: str, now_s: float) -> bool:
        quota = self.quota(model).withdraw(now_s, self.settings)
        if quota is None:
            return False
        over_all = self.quota("").withdraw(now_s, self.settings)
        if over_all is None:
            self.of[model] = RetryQuota(asked=quota.asked, retried=quota.retried, at_s=quota.at_s)
            return False
        self.of |= {model: quota, "": over_all}
        return True

    def left(self, model: str, now_s: float, /) -> Any:
        return self.quota(model).left(now_s, self.settings)


@noticed_by("tells_what_is_left")
class TellsItsDebts(PlainQuotas):
    """Goes below nothing."""

    def left(self, model: str, now_s: float, /) -> Any:
        return super().left(model, now_s) - 1.0


@noticed_by("tells_what_is_left")
class TellsTheModelAlone(PlainQuotas):
    """Leaves out that all together have none left."""

    def left(self, model: str, now_s: float, /) -> Any:
        return self.quota(model).left(now_s, self.settings)


@noticed_by("grants_as_many_at_once")
class LooksThenTakes(PlainQuotas):
    """Lets other threads in between its two steps."""

    def withdrawn(self, model: str, now_s: float) -> bool:
        after = {name: self.quota(name).withdraw(now_s, self.settings) for name in self.names(model)}
        granted = {name: quota for name, quota in after.items() if quota is not None}
        if len(granted) < len(after):
            return False
        threading.Event().wait(0.0001)
        self.of |= granted
        return True


@noticed_by("grants_as_many_at_once")
class BelongsToItsThread(PlainQuotas):
    """Works in one thread alone."""

    thread: int | None = None

    def withdrawn(self, model: str, now_s: float) -> bool:
        self.thread = self.thread or threading.get_ident()
        if self.thread != threading.get_ident():
            raise RuntimeError("another thread")
        return super().withdrawn(model, now_s)
