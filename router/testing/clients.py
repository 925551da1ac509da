"""`check_client`: what holds of every client, tried with requests and with hosts of every kind; needs `hypothesis`.

    def test_my_client():
        check_client(
            MyClient,
            model=lambda url: Model(name="m", id="acme/m", provider="acme", client="acme", base_url=url),
            whole=b'{"choices": [{"message": {"content": "hi"}}]}',
        )

Nothing leaves this machine: the host that the client asks is one of the check's own, on loopback. The rules are plain
functions that need no Hypothesis: `rule(ClientBench(make=make, model=model), asked_or_reply)` raises a `Breach`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from router.clients.real import allow_real_calls
from router.core.catalog import Model
from router.testing.clients_bench import Asked, At, ClientBench, Make, Rule
from router.testing.clients_calls import (
    HOWEVER_IT_IS_CALLED,
    WHATEVER_IS_ASKED,
    answers_or_fails,
    closes_more_than_once,
    ends_streams_in_one_result,
    ends_streams_that_are_left,
    joins_its_chunks,
    leaves_nothing_running,
    leaves_requests_alone,
    reads_answers,
    serves_many_at_once,
)
from router.testing.clients_hosts import (
    WHATEVER_THE_HOST_DOES,
    WHERE_THE_HOST_DOES,
    asks_once,
    goes_on_after_faults,
    hangs_up,
    keeps_secrets,
    keeps_time,
    names_failures,
    passes_headers_on,
    stops_when_cancelled,
    survives_its_host,
    tells_what_was_not_sent,
    tells_what_was_sent,
)
from router.testing.hosts import Response
from router.testing.trial import PATIENCE_S, Breach, smallest

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = [
    "Asked",
    "ClientBench",
    "Response",
    "answers_or_fails",
    "asks_once",
    "check_client",
    "closes_more_than_once",
    "ends_streams_in_one_result",
    "ends_streams_that_are_left",
    "goes_on_after_faults",
    "hangs_up",
    "joins_its_chunks",
    "keeps_secrets",
    "keeps_time",
    "leaves_nothing_running",
    "leaves_requests_alone",
    "names_failures",
    "passes_headers_on",
    "reads_answers",
    "serves_many_at_once",
    "stops_when_cancelled",
    "survives_its_host",
    "tells_what_was_not_sent",
    "tells_what_was_sent",
]

__tracebackhide__ = True  # pytest shows the test's own line, and what it was told

_JSON: Final = (("Content-Type", "application/json"),)
_EVENTS: Final = (("Content-Type", "text/event-stream"),)


def check_client(
    make: Make,
    /,
    *,
    model: Model | At,
    whole: bytes | Response | None = None,
    streamed: bytes | Response | None = None,
    examples: int = 50,
    derandomize: bool = True,
    patience_s: float = PATIENCE_S,
) -> None:
    """Tries every rule on a client.

    Args:
        make: makes one more client.
        model: the model that is asked. A client that asks a host gets a function instead, which returns the model with
            the address of the host that is to be asked.
        whole: a proper answer of the provider, as JSON or with headers of its own; None leaves unchecked what the
            client makes of one.
        streamed: the same as server-sent events.
        examples: how many requests, and how many responses of a host, are tried with each rule.
        derandomize: whether they are the same each time.
        patience_s: how long a call may take before it counts as hung.

    Raises:
        Breach: a rule is broken; an AssertionError that shows the smallest case found as code.
    """
    bench = ClientBench(
        make=make,
        model=model,
        whole=Response(headers=_JSON, body=whole) if isinstance(whole, bytes) else whole,
        streamed=Response(headers=_EVENTS, body=streamed) if isinstance(streamed, bytes) else streamed,
        patience_s=patience_s,
    )
    # Whoever forbids real calls does not mean those to a host of the check's own.
    with allow_real_calls():
        _try_all(bench, functools.partial(smallest, examples=examples, derandomize=derandomize))


def _try_all(bench: ClientBench, search: Callable[..., Breach | None]) -> None:
    for rule in (*HOWEVER_IT_IS_CALLED, *WHATEVER_IS_ASKED):
        rule(bench, Asked())
    if not isinstance(bench.model, Model):
        for rule, response in _responses(bench):
            rule(bench, response)
        for rule in WHATEVER_THE_HOST_DOES:
            breach = search(_drawn_responses(bench), functools.partial(rule, bench))
            if breach is not None:
                raise breach
    for rule in WHATEVER_IS_ASKED:
        breach = search(_drawn_requests(), functools.partial(rule, bench))
        if breach is not None:
            raise breach


def client_rules() -> tuple[Rule, ...]:
    """Returns every rule there is."""
    hosts = (*(rule for rule, _ in WHERE_THE_HOST_DOES), *WHATEVER_THE_HOST_DOES, hangs_up)
    return tuple(dict.fromkeys((*HOWEVER_IT_IS_CALLED, *WHATEVER_IS_ASKED, *hosts)))


def _responses(bench: ClientBench) -> Iterator[tuple[Rule, Response]]:
    yield from WHERE_THE_HOST_DOES
    if bench.streamed is not None:
        # The host goes silent after its first event, so that only the client can end the connection.
        first, blank, _ = bench.streamed.body.partition(b"\n\n")
        yield hangs_up, Response(headers=bench.streamed.headers, body=first + blank, then="hang")


@functools.lru_cache(maxsize=1)
def _drawn_requests() -> SearchStrategy[Asked]:
    from hypothesis import strategies as st

    texts = st.text(max_size=30) | st.sampled_from(["é", "😀", "\x00", "x" * 10_000])
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    params = st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.sampled_from([0, 1.5]),
            "max_tokens": st.sampled_from([1, 4096]),
            "n": st.just(2),
            "stop": st.sampled_from(["x", ["x", "y"]]),
            "tools": st.just([tool]),
            "response_format": st.just({"type": "json_object"}),
            "user": texts,
            "a_parameter_of_tomorrow": st.just({"on": True}),
        },
    )
    return st.builds(Asked, said=texts, params=params)


@functools.lru_cache(maxsize=8)
def _drawn_responses(bench: ClientBench) -> SearchStrategy[Response]:
    from hypothesis import strategies as st

    proper = [response for response in (bench.whole, bench.streamed) if response is not None]
    words = [b"", b"{}", b"[]", b"null", b"<html>", b"data: [DONE]\n\n", b"data: {}\n\n", b'{"error": {}}', b"\xff"]
    bodies = st.sampled_from([*words, *(response.body for response in proper)]) | st.binary(max_size=20)
    cuts = [st.integers(0, len(response.body)).map(functools.partial(_start, response.body)) for response in proper]
    own = [response.headers for response in proper]
    headers = st.sampled_from([(), _JSON, _EVENTS, *own, (("Retry-After", "soon"),), (("Location", "/"),)])
    return st.builds(
        Response,
        status=st.sampled_from([200, 204, 302, 400, 404, 418, 429, 500, 529, None]),
        headers=headers,
        body=st.one_of(bodies, *cuts),
        then=st.sampled_from(["end", "cut"]),
        echo=st.sampled_from([False, True]),
    )


def _start(body: bytes, size: int) -> bytes:
    return body[:size]
