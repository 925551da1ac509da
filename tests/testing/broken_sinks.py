"""Sinks that are wrong on purpose, each with the rule that must notice it. All of them write into one list."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from router.core.decision import Decision

BROKEN: list[tuple[str, type[ListSink]]] = []


def noticed_by(rule: str) -> Callable[[type[ListSink]], type[ListSink]]:
    """Registers a sink under the rule that it breaks."""

    def register(sink: type[ListSink]) -> type[ListSink]:
        BROKEN.append((rule, sink))
        return sink

    return register


class Target(list[str]):
    """What several sinks write into."""

    is_open = True


class ListSink:
    """The shortest sink: keeps trace ids in a list that it is given."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.lock = threading.Lock()

    def emit(self, decision: Decision, /) -> Any:
        self.target.append(decision.trace_id)

    def close(self) -> Any:
        """Has nothing to let go of."""


@noticed_by("takes_every_decision")
class AddsUpCosts(ListSink):
    """Takes an unknown cost for a number."""

    def emit(self, decision: Decision, /) -> None:
        assert decision.cost_usd is not None
        super().emit(decision)


@noticed_by("takes_every_decision")
class NamesTheFirstAttempt(ListSink):
    """Believes that somebody was asked."""

    def emit(self, decision: Decision, /) -> None:
        assert decision.cache != "none" or decision.attempts[0].model
        super().emit(decision)


@noticed_by("takes_every_decision")
class WritesAscii(ListSink):
    """Cannot write what is not English."""

    def emit(self, decision: Decision, /) -> None:
        "".join(decision.tags.values()).encode("ascii")
        super().emit(decision)


@noticed_by("takes_every_decision")
class HasALengthLimit(ListSink):
    """Refuses long labels."""

    def emit(self, decision: Decision, /) -> None:
        if any(len(value) > 1_000 for value in decision.tags.values()):
            raise ValueError("too long")
        super().emit(decision)


@noticed_by("leaves_decisions_alone")
class TakesTagsOut(ListSink):
    """Removes what it has read."""

    def emit(self, decision: Decision, /) -> None:
        if isinstance(decision.tags, dict):
            decision.tags.clear()
        super().emit(decision)


@noticed_by("leaves_decisions_alone")
class WritesIntoContent(ListSink):
    """Masks the prompt in place, for itself and for everyone after it."""

    def emit(self, decision: Decision, /) -> None:
        if isinstance(decision.content, dict):
            decision.content["messages"] = "***"
        super().emit(decision)


@noticed_by("keeps_what_it_took")
class DropsFailures(ListSink):
    """Keeps answers alone."""

    def emit(self, decision: Decision, /) -> None:
        if decision.model is not None:
            super().emit(decision)


@noticed_by("keeps_what_it_took")
class WritesRetriesTwice(ListSink):
    """Writes once for each attempt."""

    def emit(self, decision: Decision, /) -> None:
        for _ in decision.attempts or ("none",):
            super().emit(decision)


@noticed_by("stands_by_itself")
class ForgetsItsBuffer(ListSink):
    """Collects ten before it writes, and throws the rest away when it is closed."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.waiting: list[str] = []

    def emit(self, decision: Decision, /) -> None:
        with self.lock:
            self.waiting.append(decision.trace_id)
            if len(self.waiting) == 10:
                self.target.extend(self.waiting)
                self.waiting.clear()


@noticed_by("returns_nothing")
class IsACoroutine(ListSink):
    """Is never awaited, and so does nothing."""

    async def emit(self, decision: Decision, /) -> None:
        super().emit(decision)


@noticed_by("returns_nothing")
class ClosesLater(ListSink):
    """Returns what somebody should have waited for."""

    def close(self) -> threading.Event:
        return threading.Event()


@noticed_by("closes_more_than_once")
class ClosesOnce(ListSink):
    """Lets go of something twice."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.handles = [1]

    def close(self) -> None:
        self.handles.pop()


@noticed_by("closes_more_than_once")
class ClosesWhatItOpened(ListSink):
    """Opens with the first decision, and cannot be closed before."""

    def emit(self, decision: Decision, /) -> None:
        self.file = self.target
        self.file.append(decision.trace_id)

    def close(self) -> None:
        assert self.file is not None


@noticed_by("works_with_and_without_a_loop")
class RunsALoop(ListSink):
    """Starts an event loop inside the one that runs."""

    def emit(self, decision: Decision, /) -> None:
        async def write() -> None:
            self.target.append(decision.trace_id)

        work = write()
        try:
            asyncio.run(work)
        finally:
            work.close()


@noticed_by("takes_every_decision")
class NeedsALoop(ListSink):
    """Leaves the writing to the loop that runs, where there is one."""

    def emit(self, decision: Decision, /) -> None:
        asyncio.get_running_loop().call_soon(self.target.append, decision.trace_id)


@noticed_by("does_not_wait")
class Sleeps(ListSink):
    """Waits a little for more to come."""

    def emit(self, decision: Decision, /) -> None:
        time.sleep(0.001)
        super().emit(decision)


@noticed_by("does_not_wait")
class Connects(ListSink):
    """Sends each decision to another process before it returns."""

    def emit(self, decision: Decision, /) -> None:
        with socket.socket() as sender:
            sender.connect_ex(("127.0.0.1", 9))
        super().emit(decision)


@noticed_by("works_from_every_thread")
class LosesWhatComesAtOnce(ListSink):
    """Reads the list, and writes it back a moment later."""

    def emit(self, decision: Decision, /) -> None:
        seen = list(self.target)
        threading.Event().wait(0.0005)
        self.target[:] = [*seen, decision.trace_id]


@noticed_by("takes_every_decision")
class BelongsToItsThread(ListSink):
    """Works in the thread alone that made it, as connections to SQLite do."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.owner = threading.get_ident()

    def emit(self, decision: Decision, /) -> None:
        if threading.get_ident() != self.owner:
            raise RuntimeError("made in another thread")
        super().emit(decision)


@noticed_by("stands_by_itself")
class ClosesForAll(ListSink):
    """Closes what others use too."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        target.is_open = True

    def emit(self, decision: Decision, /) -> None:
        if not self.target.is_open:
            raise ValueError("the target is closed")
        super().emit(decision)

    def close(self) -> None:
        self.target.is_open = False


@noticed_by("closes_more_than_once")
class LocksTwice(ListSink):
    """Does not let go of its lock when it is closed."""

    def close(self) -> None:
        self.lock.acquire()
