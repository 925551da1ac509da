"""`check_cache`: the conformance suite of stores in one call, for a store of your own.

    def test_my_store(tmp_path):
        check_cache(lambda: MyStore(tmp_path / "cache"))

`router.testing.stores.STORE_CHECKS` has its checks as coroutine functions, for tests that run in an event loop.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from router.testing.store_promises import Make
from router.testing.stores import STORE_CHECKS
from router.testing.trial import Breach, HungError, in_time

__tracebackhide__ = True  # pytest shows the test's own line, and what it was told

NewLoop = Callable[[], asyncio.AbstractEventLoop]

_LONGEST_S = 120.0
"""How long one check may take; the slowest takes some seconds, on a machine that has nothing else to do."""


def check_cache(
    make: Make, /, *, patience_s: float = _LONGEST_S, loop_factory: NewLoop = asyncio.new_event_loop
) -> None:
    """Runs every check of the conformance suite of stores, each in an event loop and a thread of its own.

    Args:
        make: makes one more store on the same data, as another process would; the data may already hold something.
        patience_s: how long one check may take before it counts as hung.
        loop_factory: makes the event loops.

    Raises:
        Breach: the store broke its word; an AssertionError that shows how to run that check alone.
    """

    def run(check: Callable[[Make], Any]) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(check(make))

    for check in STORE_CHECKS:
        try:
            in_time(lambda: run(check), patience_s=patience_s)  # noqa: B023 - called at once
        except HungError as error:
            raise _breach(check, f"the check hung: {error}") from None
        except AssertionError as error:
            raise _breach(check, str(error)) from error
        except Exception as error:
            raise _breach(check, f"a method raised {error!r}") from error


def _breach(check: Callable[..., Any], says: str) -> Breach:
    did, _, promise = says.partition(". router/cache/store.py says of ")
    code = (
        "import asyncio\n\n"
        "from router.testing.stores import STORE_CHECKS\n\n"
        f'check = next(check for check in STORE_CHECKS if check.__name__ == "{check.__name__}")\n'
        "asyncio.run(check(make))  # make: as the check got it"
    )
    return Breach(check.__name__, did, promise=promise or inspect.getdoc(check) or "", code=code)
