"""The seam between the router and a provider: one attempt, no retries, no exceptions for what a provider does."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from router.core.answer import Answer, Chunk
from router.core.catalog import Model, Timeouts
from router.core.failure import Failure
from router.core.headers import is_credential
from router.core.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What one attempt sends.

    Attributes:
        key: the API key; None where the provider needs none. Never in a repr.
        timeouts: already cut to what is left of the request's deadline.
        headers: to be sent besides the client's own (`traceparent`, `X-Trace-ID`, `X-Span-ID`).
    """

    model: Model
    request: Request
    timeouts: Timeouts
    key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def headers_of(call: Call, /) -> dict[str, str]:
    """Returns a call's headers besides those that its client makes, names in lower case.

    Of two with one name the last holds: the model's, the router's, the request's own.
    """
    given = (call.model.headers, call.headers, call.request.headers)
    return {name.lower(): text for headers in given for name, text in headers.items()}


def brings_key(call: Call, /) -> bool:
    """Returns whether the request has a key among its own headers."""
    return any(map(is_credential, call.request.headers))


def key_of(call: Call, /) -> str | None:
    """Returns the key that the client is to send; None where there is none, or where the request brings its own."""
    return None if brings_key(call) else call.key


def failure_of(
    call: Call, /, *, provider: str, status: int | None, headers: Mapping[str, str], body: bytes | str
) -> Failure:
    """Returns what a provider's error in answer to a call means, as `classify` reads it.

    No message repeats the request or the key, and one about a key that was not there says where it was looked for.
    """
    # Imported on use: the rules take 20 ms to compile, which `import router` shall not spend.
    from router.core.classify import classify
    from router.core.failure_echo import texts_of

    failure = classify(
        provider=provider,
        status=status,
        headers=headers,
        body=body,
        now=datetime.now(UTC),
        asked=texts_of(call.request, key=call.key),
    )
    if failure.kind != "denied" or key_of(call) or brings_key(call) or call.model.key_env is None:
        return failure
    advice = f"the environment variable {call.model.key_env} is empty or not set"
    return replace(failure, message=f"{advice}: {failure.message}")


class Client(Protocol):
    """One provider's wire format.

    A client is made once per router and event loop, is called concurrently, retries nothing, and turns everything a
    provider can do wrong into a `Failure`. It raises only for bugs and cancellation; when cancelled it closes its
    connection first.

    One whose class has `keeps_time = True` promises never to be at work past `call.timeouts.total_s`; the router
    watches over the others. One whose class has `asks_nobody = True` promises to call no provider: it answers also
    where real calls are forbidden (`router.testing.forbid_real_calls`).
    """

    async def send(self, call: Call, /) -> Answer | Failure:
        """Returns the whole answer, or what went wrong."""
        ...

    def stream(self, call: Call, /) -> AsyncGenerator[Chunk | Answer | Failure]:
        """Yields chunks as they come, then exactly one `Answer` (with all choices joined) or `Failure`.

        Usage is always asked for. Closing the generator early closes the connection.
        """
        ...

    async def aclose(self) -> None:
        """Closes its connections."""
        ...
