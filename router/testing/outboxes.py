"""`check_outbox`: the conformance suite of outboxes, one for all that keep alerts until they have arrived.

    def test_my_outbox(tmp_path):
        check_outbox(lambda: MyOutbox(tmp_path / "outbox"))

`OUTBOX_CHECKS` has its checks as coroutine functions, for tests that run in an event loop.

Each check takes a function that makes one more outbox on the same data, as another process would. It uses names of its
own, so that checks may share their data, and closes what it opened. Where an outbox breaks its word, an AssertionError
says what it did and what `router/alerts/outbox.py` asks.
"""

from __future__ import annotations

import asyncio
import inspect
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from router.alerts.outbox import GRACE_S, NOTE_LONGEST, Delivery, Disabled, Outbox
from router.core.alert import Message
from router.testing.store_promises import in_threads
from router.testing.trial import Breach, HungError, in_time

__tracebackhide__ = True  # pytest shows the test's own line, and what it was told

Make = Callable[[], Outbox]
"""Makes one more outbox on the same data, as another process would."""

OutboxCheck = Callable[[Make], Awaitable[None]]

NOW_S: Final = 1_800_000_000.123456
_LEASE_S: Final = 60.0
_SAYS: Final = ". router/alerts/outbox.py says of "
_THREADS: Final = 4
_EACH: Final = 5
_LONGEST_S: Final = 120.0
"""How long one check may take; the slowest takes a second, on a machine that has nothing else to do."""


def check_outbox(make: Make, /, *, patience_s: float = _LONGEST_S) -> None:
    """Runs every check of the conformance suite of outboxes, each in an event loop and a thread of its own.

    Args:
        make: makes one more outbox on the same data, as another process would; the data may already hold something.
        patience_s: how long one check may take before it counts as hung.

    Raises:
        Breach: the outbox broke its word; an AssertionError that shows how to run that check alone.
    """
    for check in OUTBOX_CHECKS:
        try:
            in_time(lambda: asyncio.run(_run(check, make)), patience_s=patience_s)  # noqa: B023 - called at once
        except HungError as error:
            raise _breach(check, f"the check hung: {error}") from None
        except AssertionError as error:
            raise _breach(check, str(error)) from error
        except Exception as error:
            raise _breach(check, f"a method raised {error!r}") from error


async def keeps_what_was_put(make: Make) -> None:
    """A message is due at once for each destination, whole, also for whoever opens the outbox later."""
    message, (one, other) = _message(body='{"é": "\\u0000 \'quoted\' 🙂"}'.encode()), _destinations()
    async with _opened(make) as (outbox,):
        _same(await outbox.put(message, [one, other, one], now_s=NOW_S), True, "put() of a new name", Outbox.put)  # noqa: FBT003 - what it returns
    async with _opened(make) as (outbox,):
        for destination in (one, other):
            wanted = Delivery(message=message, destination=destination, due_s=NOW_S)
            _same(await _of(outbox, destination), [wanted], "deliveries()", Outbox.deliveries)
            _same(await outbox.next_s([destination]), NOW_S, "next_s()", Outbox.next_s)


async def takes_a_name_once(make: Make) -> None:
    """Of messages with one name only the first is kept, whoever puts them, and when it has arrived too."""
    message, (one, other) = _message(until_s=NOW_S), _destinations()
    again = replace(_message(), name=message.name)
    async with _opened(make, 2) as (here, there):
        await here.put(message, [one], now_s=NOW_S)
        for now_s in (NOW_S, NOW_S + GRACE_S - 1):
            said = await there.put(again, [one, other], now_s=now_s)
            _same((said, await _of(there, other)), (False, []), "put() of a name that was put before", Outbox.put)
        await here.done((await _claimed(here, one))[0])
        said = await there.put(again, [one], now_s=NOW_S)
        _same((said, await _of(there, one)), (False, []), "put() of what has arrived", Outbox.put)


async def forgets_names_in_time(make: Make) -> None:
    """A name may be put again a day after the time until which it counts, and not before; one without it never."""
    passing, lasting, (one, _) = _message(until_s=NOW_S), _message(), _destinations()
    async with _opened(make) as (outbox,):
        for message in (passing, lasting):
            await outbox.put(message, [one], now_s=NOW_S)
        later_s = NOW_S + GRACE_S + 1
        said = [await outbox.put(replace(_message(), name=m.name), [one], now_s=later_s) for m in (passing, lasting)]
        _same(said, [True, False], "put() of names a day later", Outbox.put)
        kept = {delivery.message.id for delivery in await _of(outbox, one)}
        if not {passing.id, lasting.id} <= kept:
            raise _broken("a message was gone with its name, before it had arrived", Outbox.put)


async def gives_each_to_one(make: Make) -> None:
    """What is claimed is nobody else's, until the claim is over; then somebody else may have it, with the same id."""
    message, (one, _) = _message(), _destinations()
    async with _opened(make, 2) as (here, there):
        await here.put(message, [one], now_s=NOW_S)
        _same(await there.claim([one], now_s=NOW_S - 1, lease_s=1), [], "claim() of what is not due", Outbox.claim)
        [mine] = await _claimed(here, one)
        _same((mine.message, mine.failures, bool(mine.claim)), (message, 0, True), "claim()", Outbox.claim)
        _same(await here.next_s([one]), NOW_S + _LEASE_S, "next_s() of what is claimed", Outbox.next_s)
        _same(await _claimed(there, one, NOW_S + _LEASE_S - 1), [], "claim() of what another one has", Outbox.claim)
        [yours] = await _claimed(there, one, NOW_S + _LEASE_S)
        _same((yours.message, yours.claim != mine.claim), (message, True), "claim() of what lapsed", Outbox.claim)
        said = [
            await here.retry(mine, failures=1, due_s=NOW_S, note=""),
            await here.bury(mine, failures=1, note=""),
            await there.retry(yours, failures=2, due_s=NOW_S + 5, note="refused"),
        ]
        _same(said, [False, False, True], "retry() and bury() with a claim that is lost", Outbox.retry)


async def takes_out_what_arrived(make: Make) -> None:
    """What has arrived is gone, for that destination; also where the claim was lost meanwhile."""
    message, (one, other) = _message(), _destinations()
    async with _opened(make, 2) as (here, there):
        await here.put(message, [one, other], now_s=NOW_S)
        [mine] = await _claimed(here, one)
        [yours] = await _claimed(there, one, NOW_S + _LEASE_S)
        await here.done(mine)
        await there.done(yours)
        _same(await _of(there, one), [], "deliveries() after done()", Outbox.done)
        _same(await there.next_s([one]), None, "next_s() after done()", Outbox.done)
        _same(len(await _of(there, other)), 1, "deliveries() for another destination", Outbox.done)
        said = await there.retry(yours, failures=1, due_s=NOW_S, note="")
        _same((said, await _of(there, one)), (False, []), "retry() of what has arrived", Outbox.retry)


async def tries_again_in_time(make: Make) -> None:
    """What failed is due when that was said, with its failures and a note of bounded length, and nobody's."""
    message, (one, _) = _message(), _destinations()
    async with _opened(make) as (outbox,):
        await outbox.put(message, [one], now_s=NOW_S)
        [mine] = await _claimed(outbox, one)
        due_s = NOW_S + 5.25
        await outbox.retry(mine, failures=3, due_s=due_s, note="é" * 2 * NOTE_LONGEST)
        wanted = Delivery(message=message, destination=one, failures=3, due_s=due_s, note="é" * NOTE_LONGEST)
        _same(await _of(outbox, one), [wanted], "deliveries() after retry()", Outbox.retry)
        _same(await _claimed(outbox, one, due_s - 0.01), [], "claim() before it is due", Outbox.claim)
        [again] = await _claimed(outbox, one, due_s)
        _same((again.failures, again.note), (3, wanted.note), "claim() after retry()", Outbox.claim)


async def keeps_the_dead(make: Make) -> None:
    """What is dead is never claimed, but listed, until it is revived: all, of a destination, or one message."""
    first, second, (one, other) = _message(), _message(), _destinations()
    async with _opened(make) as (outbox,):
        for message in (first, second):
            await outbox.put(message, [one, other], now_s=NOW_S)
        for delivery in await outbox.claim([one, other], now_s=NOW_S, lease_s=_LEASE_S):
            _same(await outbox.bury(delivery, failures=10, note="500"), True, "bury()", Outbox.bury)  # noqa: FBT003 - what it returns
        _same(await _claimed(outbox, one, NOW_S + 1e9), [], "claim() of what is dead", Outbox.bury)
        _same(await outbox.next_s([one, other]), None, "next_s() of what is dead", Outbox.next_s)
        told = {(d.message.id, d.failures, d.note, d.dead, d.claim) for d in await _of(outbox, one)}
        _same(told, {(m.id, 10, "500", True, "") for m in (first, second)}, "deliveries() of the dead", Outbox.bury)
        later_s = NOW_S + 100
        _same(await outbox.revive(now_s=later_s, message_id=secrets.token_hex(8)), 0, "revive()", Outbox.revive)
        count = await outbox.revive(now_s=later_s, destination=one, message_id=first.id)
        _same((count, await outbox.next_s([one])), (1, later_s), "revive() of one message", Outbox.revive)
        [again] = await _claimed(outbox, one, later_s)
        _same((again.message, again.failures, again.dead), (first, 0, False), "claim() after revive()", Outbox.revive)
        counts = [await outbox.revive(now_s=later_s, destination=name) for name in (one, other, other)]
        _same(counts, [1, 2, 0], "revive() of destinations", Outbox.revive)
        await outbox.revive(now_s=later_s)


async def holds_what_is_for_the_disabled(make: Make) -> None:
    """Nothing is claimed for a disabled destination; what is for it is kept, and due when it is enabled."""
    first, second, (one, other) = _message(), _message(), _destinations()
    async with _opened(make, 2) as (here, there):
        _same(await here.enable(one), False, "enable() of what was not disabled", Outbox.enable)  # noqa: FBT003 - what it returns
        await here.put(first, [one, other], now_s=NOW_S)
        for note in ("410", "later"):
            await here.disable(one, now_s=NOW_S, note=note)
        wanted = Disabled(since_s=NOW_S, note="410")
        _same((await there.disabled()).get(one), wanted, "disabled()", Outbox.disabled)
        await there.put(second, [one], now_s=NOW_S)
        _same(await _claimed(there, one), [], "claim() for a disabled destination", Outbox.disable)
        _same(await there.next_s([one]), None, "next_s() for a disabled destination", Outbox.next_s)
        _same(len(await _claimed(there, other)), 1, "claim() for another destination", Outbox.disable)
        _same(await there.enable(one), True, "enable()", Outbox.enable)  # noqa: FBT003 - what it returns
        if one in await here.disabled():
            raise _broken("disabled() lists what was enabled", Outbox.enable)
        ids = {delivery.message.id for delivery in await _claimed(here, one)}
        _same(ids, {first.id, second.id}, "claim() after enable()", Outbox.enable)


async def claims_no_more_than_asked(make: Make) -> None:
    """At most so many at a time, the most urgent of a destination first; none for destinations that are not named."""
    messages, (one, other) = [_message() for _ in range(5)], _destinations()
    async with _opened(make) as (outbox,):
        for number, message in enumerate(messages):
            await outbox.put(message, [one, other], now_s=NOW_S - number)
        _same(await outbox.claim([], now_s=NOW_S, lease_s=1), [], "claim() for nobody", Outbox.claim)
        _same(await outbox.next_s([]), None, "next_s() for nobody", Outbox.next_s)
        first = await outbox.claim([one], now_s=NOW_S, lease_s=1, most=2)
        _same({d.message.id for d in first}, {m.id for m in messages[-2:]}, "claim() of two", Outbox.claim)
        rest = await outbox.claim([one], now_s=NOW_S, lease_s=1)
        _same({d.message.id for d in rest}, {m.id for m in messages[:-2]}, "claim() of the rest", Outbox.claim)
        _same(len(await outbox.claim([one, other], now_s=NOW_S, lease_s=1)), 5, "claim() for others", Outbox.claim)


async def is_one_for_all(make: Make) -> None:
    """Threads with event loops of their own put the same names at once: each is new to one, and claimed by one."""
    names, (one, _) = [_message().name for _ in range(_EACH)], _destinations()
    async with _opened(make) as (outbox,):

        async def put(_: int) -> int:
            return sum([await outbox.put(replace(_message(), name=name), [one], now_s=NOW_S) for name in names])

        async def claim(_: int) -> int:
            return sum([len(await outbox.claim([one], now_s=NOW_S, lease_s=60, most=1)) for _ in names])

        for what, work, promise in (("new", put, Outbox.put), ("claimed", claim, Outbox.claim)):
            count = sum(await in_threads(_THREADS, work, outbox.aclose))
            _same(count, _EACH, f"the number of those that were {what}, from {_THREADS} threads", promise)


async def closes(make: Make) -> None:
    """Closing twice does no harm, nor does it to another one; whoever uses it later opens it again."""
    message, (one, _) = _message(), _destinations()
    async with _opened(make, 2) as (here, there):
        await here.put(message, [one], now_s=NOW_S)
        await here.aclose()
        await here.aclose()
        for outbox in (here, there):
            _same(len(await _of(outbox, one)), 1, "deliveries() after aclose()", Outbox.aclose)


OUTBOX_CHECKS: Final[tuple[OutboxCheck, ...]] = (
    keeps_what_was_put,
    takes_a_name_once,
    forgets_names_in_time,
    gives_each_to_one,
    takes_out_what_arrived,
    tries_again_in_time,
    keeps_the_dead,
    holds_what_is_for_the_disabled,
    claims_no_more_than_asked,
    is_one_for_all,
    closes,
)


async def _run(check: OutboxCheck, make: Make) -> None:
    await check(make)


def _breach(check: OutboxCheck, says: str) -> Breach:
    did, _, promise = says.partition(_SAYS)
    name = getattr(check, "__name__", "check")
    code = (
        "import asyncio\n\n"
        "from router.testing.outboxes import OUTBOX_CHECKS\n\n"
        f'check = next(check for check in OUTBOX_CHECKS if check.__name__ == "{name}")\n'
        "asyncio.run(check(make))  # make: as the check got it"
    )
    return Breach(name, did, promise=promise or inspect.getdoc(check) or "", code=code)


def _message(*, body: bytes = b'{"type":"a","timestamp":"2026-01-01T00:00:00Z","data":{}}', **more: Any) -> Message:
    return Message(id=f"msg_{secrets.token_hex(8)}", name=f"budget/{secrets.token_hex(8)}", body=body, **more)


def _destinations() -> tuple[str, str]:
    own = secrets.token_hex(8)
    return f"é one {own}", f"other-{own}"


async def _claimed(outbox: Outbox, destination: str, now_s: float = NOW_S) -> Sequence[Delivery]:
    return await outbox.claim([destination], now_s=now_s, lease_s=_LEASE_S)


async def _of(outbox: Outbox, destination: str) -> list[Delivery]:
    return [delivery for delivery in await outbox.deliveries() if delivery.destination == destination]


@asynccontextmanager
async def _opened(make: Make, count: int = 1) -> AsyncIterator[tuple[Outbox, ...]]:
    outboxes = tuple(make() for _ in range(count))
    try:
        yield outboxes
    finally:
        await asyncio.gather(*(outbox.aclose() for outbox in outboxes))


def _same(found: object, wanted: object, what: str, promise: object) -> None:
    found = list(found) if isinstance(wanted, list) and isinstance(found, Sequence) else found
    if found != wanted:
        raise _broken(f"{what} gave {found!r}, not {wanted!r}", promise)


def _broken(did: str, promise: object) -> AssertionError:
    asked = " ".join((promise.__doc__ or "").split())
    return AssertionError(
        f"{did}. router/alerts/outbox.py says of {getattr(promise, '__qualname__', promise)}: {asked}"
    )
