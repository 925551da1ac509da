"""The switch that keeps a process from asking providers, and from paying for it: what tests turn.

It holds for the whole process, since a call may come from any thread: of blocks that overlap, the last one entered. A
client asks `refuse_if_forbidden` before it sends; the router asks it for those that it makes of an installed class,
unless that says `asks_nobody = True`. Clients that a program gives to a router are its own affair.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_ADVICE = (
    "pass a client that asks nobody, as `Router(settings, clients={...: router.testing.ScriptedClient()})`, or allow "
    'it: `@pytest.mark.lowfare(real_calls="allow")`, `with router.testing.allow_real_calls():`'
)


class RealCallRefused(RuntimeError):
    """A provider was about to be asked where that is forbidden; no `RouterError`, so that no fallback hides it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """One block of code that says what holds in it."""

    allows: bool
    refused: list[str] = field(default_factory=list)


_entered: list[_Block] = []
"""Those that have not ended, oldest first."""


@contextmanager
def forbid_real_calls() -> Iterator[list[str]]:
    """Raises `RealCallRefused` wherever a provider would be asked, in any thread, as long as the block lasts.

    Yields the names of those that were to be asked, oldest first: what is refused may be swallowed.
    """
    with _entering(_Block(allows=False)) as block:
        yield block.refused


@contextmanager
def allow_real_calls() -> Iterator[None]:
    """Allows what a block around this one forbids."""
    with _entering(_Block(allows=True)):
        yield


def refuse_if_forbidden(whom: str, /) -> None:
    """Does nothing where real calls are allowed.

    Args:
        whom: what is about to be asked, for the message; neither a key nor a prompt.

    Raises:
        RealCallRefused: they are forbidden.
    """
    if not _entered:
        return
    block = _entered[-1]
    if not block.allows:
        block.refused.append(whom)
        raise RealCallRefused(f"refused to ask {whom}: real calls are forbidden here; {_ADVICE}")


@contextmanager
def _entering(block: _Block) -> Iterator[_Block]:
    _entered.append(block)
    try:
        yield block
    finally:
        _entered.remove(block)
