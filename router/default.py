"""The default router, for programs that need only one: `import router; router.complete("...")`.

It is made by the first call, from the file that `LOWFARE_CONFIG` names, else `./config.toml`, else the models whose API
keys stand in the environment.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from router.core.decision import Decision
from router.core.label import USER
from router.reply import AsyncStream, Reply, Stream
from router.router import Router
from router.state.process import PerProcess

_lock = PerProcess(threading.Lock(), lambda _: threading.Lock())
_made: list[Router] = []
_standing_in: list[Router] = []
"""Those that take the place of the default router, the last one first."""


def default_router() -> Router:
    """Returns the router that the module's functions use; it is closed when the program ends.

    Raises:
        ConfigError: there is no configuration and no key, or it is wrong; says what to do.
    """
    if _standing_in:
        return _standing_in[-1]
    with _lock.get():
        if not _made:
            from router.config import default_settings

            _made.append(Router(default_settings()))
            atexit.register(_made[0].close)
        return _made[0]


@contextmanager
def stand_in(router: Router) -> Iterator[None]:
    """Lets the module's functions use another router, in all threads, as long as the block lasts; for tests."""
    _standing_in.append(router)
    try:
        yield
    finally:
        _standing_in.remove(router)


def complete(prompt: Any = None, /, **request: Any) -> Reply:
    """`Router.complete` of the default router."""
    return default_router().complete(prompt, **request)


async def acomplete(prompt: Any = None, /, **request: Any) -> Reply:
    """`Router.acomplete` of the default router."""
    return await default_router().acomplete(prompt, **request)


def stream(prompt: Any = None, /, **request: Any) -> Stream:
    """`Router.stream` of the default router."""
    return default_router().stream(prompt, **request)


def astream(prompt: Any = None, /, **request: Any) -> AsyncStream:
    """`Router.astream` of the default router."""
    return default_router().astream(prompt, **request)


def feedback(trace_id: str, /, *, adequate: bool | None = None, score: float | None = None, source: str = USER) -> None:
    """`Router.feedback` of the default router."""
    default_router().feedback(trace_id, adequate=adequate, score=score, source=source)


def record_usage(*, model: str, usage: Any, **given: Any) -> Decision:
    """`Router.record_usage` of the default router."""
    return default_router().record_usage(model=model, usage=usage, **given)


async def arecord_usage(*, model: str, usage: Any, **given: Any) -> Decision:
    """`Router.arecord_usage` of the default router."""
    return await default_router().arecord_usage(model=model, usage=usage, **given)
