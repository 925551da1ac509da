from __future__ import annotations

import asyncio
import gc
import gzip
import socket
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from yarl import URL

from router.clients import aio, http
from router.clients.http import Http, Response, Stream
from router.clients.sse import Event
from router.core.catalog import Timeouts
from router.core.failure import Failure
from tests.replay.server import Recording, ReplayServer

PATIENT = Timeouts(total_s=10)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(serve: Serve) -> AsyncIterator[str]:
    """Serves connections with bare bytes, for what no honest server does."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Returns the head of a request; its body must be `ask`."""
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(3)
    return head


async def ask(client: Http, url: str, timeouts: Timeouts = PATIENT) -> Response | Failure:
    """Returns the answer to the body `ask`."""
    return await client.post(url, body=b"ask", headers={"X-Key": "1"}, timeouts=timeouts)


async def pieces(client: Http, url: str, timeouts: Timeouts = PATIENT) -> list[bytes | Failure]:
    """Returns the pieces of a streamed answer, or the failure instead of one."""
    async with client.stream(url, body=b"ask", headers={}, timeouts=timeouts) as stream:
        return [stream] if isinstance(stream, Failure) else [piece async for piece in stream.pieces()]


@pytest.fixture
async def client() -> AsyncIterator[Http]:
    """A session that is closed after the test."""
    session = Http()
    yield session
    await session.aclose()


def free_port() -> int:
    """Returns a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_returns_status_headers_and_body_whatever_the_status(client: Http) -> None:
    """An answer is an answer, also a 503; header names come in lower case; the body is decompressed."""
    body = gzip.compress(b"[1]")
    headers = {"X-Request-ID": "r", "Content-Encoding": "gzip"}
    async with ReplayServer({"a": Recording(status=503, headers=headers, body=body)}) as server:
        response = await ask(client, f"{server.url}/a")
        assert isinstance(response, Response)
        assert (response.status, response.body) == (503, b"[1]")
        assert response.headers["x-request-id"] == "r"
        assert server.seen["a"].body == b"ask"
        assert server.seen["a"].headers["x-key"] == "1"


async def test_one_connection_serves_one_call_after_another(client: Http) -> None:
    """Connections are pooled: plain answers and streams read to their end leave theirs for the next call."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with raw_server(serve) as url:
        assert isinstance(await ask(client, url), Response)
        assert await pieces(client, url) == [b"ok"]
        assert isinstance(await ask(client, url), Response)
        assert connections == 1


async def test_large_bodies_go_out_whole_and_without_a_warning(client: Http) -> None:
    """Five megabytes of prompt arrive, though aiohttp would warn at one (and warnings are errors here)."""
    async with ReplayServer({"a": Recording()}) as server:
        body = b"x" * 5_000_000
        await client.post(f"{server.url}/a", body=body, headers={}, timeouts=Timeouts())
        assert server.seen["a"].body == body


async def test_redirects_are_answers_and_not_followed(client: Http) -> None:
    """A redirect would carry the key to another host."""
    recordings = {"a": Recording(status=307, headers={"Location": "/b"}), "b": Recording(body=b"caught")}
    async with ReplayServer(recordings) as server:
        response = await ask(client, f"{server.url}/a")
        assert isinstance(response, Response)
        assert response.status == 307
        assert "b" not in server.seen


async def test_a_refused_connection_is_not_sent(client: Http) -> None:
    """Nobody listens: nothing was sent, and the message says where, without the path or its query."""
    url = f"http://user:secret@127.0.0.1:{free_port()}/v1?key=secret"
    for failure in (await ask(client, url), (await pieces(client, url))[0]):
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.sent) == ("not_sent", False)
        assert "127.0.0.1" in failure.message
        assert "secret" not in failure.message


async def test_tls_that_fails_is_not_sent(client: Http) -> None:
    """A server that does not speak TLS gets no byte of the request."""
    async with ReplayServer() as server:
        failure = await ask(client, server.url.replace("http:", "https:") + "/a")
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.sent) == ("not_sent", False)
        assert server.count == 0


async def test_a_connection_that_takes_too_long_is_not_sent(client: Http) -> None:
    """A TLS handshake that nobody answers ends at `connect_s`, before anything was sent."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(serve) as url:
        failure = await ask(client, url.replace("http:", "https:"), Timeouts(connect_s=0.05, total_s=10))
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.sent) == ("not_sent", False)
        failure = await ask(client, url.replace("http:", "https:"), Timeouts(connect_s=10, total_s=0.05))
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.sent) == ("not_sent", False)


async def test_no_answer_within_the_total_time_is_timed_out(client: Http) -> None:
    """The request went out, no answer came: it may be billed."""
    async with ReplayServer({"a": Recording(delay_s=30)}) as server:
        failure = await ask(client, f"{server.url}/a", Timeouts(total_s=0.05))
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.sent) == ("timed_out", True)


async def test_first_token_limits_streams_only(client: Http) -> None:
    """An answer that is not streamed may take as long as it is written; a stream must begin in time."""
    limits = Timeouts(first_token_s=0.1, between_tokens_s=0.1, total_s=10)
    async with ReplayServer({"a": Recording(delay_s=0.3, body=b"slow")}) as server:
        assert isinstance(await ask(client, f"{server.url}/a", limits), Response)
        [failure] = await pieces(client, f"{server.url}/a", limits)
        assert isinstance(failure, Failure)
        assert failure.kind == "timed_out"


def dripping(*steps: bytes | float) -> Serve:
    """Returns a server that sends a chunked answer: bytes are sent, numbers are seconds of silence."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for step in steps:
            if isinstance(step, bytes):
                writer.write(b"%x\r\n%s\r\n" % (len(step), step))
                await writer.drain()
            else:
                await asyncio.sleep(step)
        await reader.read()

    return serve


async def test_silence_between_pieces_is_timed_out(client: Http) -> None:
    """What came before the silence is kept; the failure is the last item."""
    async with raw_server(dripping(b"one")) as url:
        first, failure = await pieces(client, url, Timeouts(between_tokens_s=0.05))
        assert first == b"one"
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.status, failure.sent) == ("timed_out", 200, True)


async def test_comments_are_no_sign_of_life(client: Http) -> None:
    """A host that only sends keep-alive comments has not begun to answer."""
    steps = [item for _ in range(40) for item in (b": PROCESSING\n\n", 0.02)]
    async with (
        raw_server(dripping(*steps, b"data: late\n\n")) as url,
        client.stream(url, body=b"ask", headers={}, timeouts=Timeouts(first_token_s=0.1, total_s=10)) as stream,
    ):
        assert isinstance(stream, Stream)
        [failure] = [item async for item in stream.events()]
        assert isinstance(failure, Failure)
        assert failure.kind == "timed_out"


async def test_the_callers_own_pace_is_no_silence(client: Http) -> None:
    """A caller who takes long over each event does not run into the time-out between tokens."""
    async with (
        raw_server(dripping(b"data: 1\n\n", b"data: 2\n\n", b"data: 3")) as url,
        client.stream(url, body=b"ask", headers={}, timeouts=Timeouts(between_tokens_s=0.1)) as stream,
    ):
        assert isinstance(stream, Stream)
        seen = []
        async for event in stream.events():
            seen.append(event)
            await asyncio.sleep(0.15)
        assert seen[:2] == [Event(data="1"), Event(data="2")]


async def test_events_come_as_they_are_sent_and_to_the_end(client: Http) -> None:
    """Events torn over pieces are whole again, the unclosed last one included."""
    body = "data: één\n\nevent: x\ndata: 二\n\ndata: last".encode()
    async with (
        ReplayServer({"a": Recording(body=body, pieces=9)}) as server,
        client.stream(f"{server.url}/a", body=b"ask", headers={}, timeouts=Timeouts()) as stream,
    ):
        assert isinstance(stream, Stream)
        events = [event async for event in stream.events()]
        assert events == [Event(data="één"), Event(name="x", data="二"), Event(data="last")]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_connection_lost_in_the_middle_is_cut(client: Http, streamed: bool) -> None:
    """The head came, the body broke off: the answer is lost and may be billed."""
    recording = Recording(body=b"data: 1\n\ndata: 2\n\n", cut_after=9, pieces=2)
    async with ReplayServer({"a": recording}) as server:
        url = f"{server.url}/a"
        result = (await pieces(client, url))[-1] if streamed else await ask(client, url)
        assert isinstance(result, Failure)
        assert (result.kind, result.sent) == ("cut", True)


async def test_a_stale_connection_is_cut_and_never_sent_twice(client: Http) -> None:
    """The server closes the pooled connection as the second request arrives: one attempt stays one send."""
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await read_request(reader)
        requests += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await read_request(reader)
        requests += 1

    async with raw_server(serve) as url:
        assert isinstance(await ask(client, url), Response)
        failure = await ask(client, url)
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.sent) == ("cut", True)
        assert requests == 2


async def test_a_closed_pooled_connection_is_replaced(client: Http) -> None:
    """A connection that the server closed while it was idle is not used again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with raw_server(serve) as url:
        for _ in range(3):
            assert isinstance(await ask(client, url), Response)
            await asyncio.sleep(0.01)


async def test_an_answer_that_is_no_http_is_a_server_error(client: Http) -> None:
    """Garbage instead of a status line comes from a broken server, which may have done the work."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"what?\r\n\r\n")

    async with raw_server(serve) as url:
        failure = await ask(client, url)
        assert isinstance(failure, Failure)
        assert failure.kind == "server_error"


async def test_an_endless_answer_is_given_up(client: Http) -> None:
    """A body above the limit is refused in every way it can be read, and its connection closed."""
    async with ReplayServer({"a": Recording(body=b"x" * (http.MAX_ANSWER_BYTES + 1), pieces=3)}) as server:
        url = f"{server.url}/a"
        async with client.stream(url, body=b"ask", headers={}, timeouts=Timeouts()) as stream:
            assert isinstance(stream, Stream)
            in_events = [event async for event in stream.events()]
        async with client.stream(url, body=b"ask", headers={}, timeouts=Timeouts()) as stream:
            assert isinstance(stream, Stream)
            whole = await stream.read()
        for failure in (await ask(client, url), in_events[-1], whole):
            assert isinstance(failure, Failure)
            assert failure.kind == "server_error"
            assert "larger than" in failure.message


async def test_read_returns_the_whole_body(client: Http) -> None:
    """An answer that turns out to be no stream is read like any other."""
    async with (
        ReplayServer({"a": Recording(status=429, body=b'{"error": 1}', pieces=3)}) as server,
        client.stream(f"{server.url}/a", body=b"ask", headers={}, timeouts=Timeouts()) as stream,
    ):
        assert isinstance(stream, Stream)
        assert (stream.status, await stream.read()) == (429, b'{"error": 1}')


async def test_leaving_a_stream_early_closes_its_connection(client: Http) -> None:
    """The provider is told to stop: the server sees the connection closed."""
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        assert await reader.read() == b""
        closed.set()

    async with raw_server(serve) as url:
        async with client.stream(url, body=b"ask", headers={}, timeouts=Timeouts()) as stream:
            assert isinstance(stream, Stream)
            async for piece in stream.pieces():
                assert piece == b"one"
                break
        await asyncio.wait_for(closed.wait(), 5)


async def test_a_stream_cancelled_at_its_very_end_closes_its_connection(client: Http) -> None:
    """Also while the end of the body is awaited, after the last event."""
    closed, said_all = asyncio.Event(), asyncio.Event()
    streams = []  # held, so that no garbage collector closes what we forgot

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
        assert await reader.read() == b""
        closed.set()

    async def read(url: str) -> None:
        async with client.stream(url, body=b"ask", headers={}, timeouts=Timeouts()) as stream:
            assert isinstance(stream, Stream)
            streams.append(stream)
            async for _ in stream.events():
                stream.ended()
                said_all.set()
                break

    async with raw_server(serve) as url:
        reading = asyncio.create_task(read(url))
        await said_all.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.wait_for(closed.wait(), 5)


@pytest.mark.parametrize("ends", [True, False])
async def test_a_stream_that_said_all_keeps_its_connection_if_it_ends_at_once(client: Http, ends: bool) -> None:
    """After the last event the end of the body is awaited for a moment, so that the connection can serve again."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
            await asyncio.sleep(0.001)
            if ends:
                writer.write(b"2\r\n: \r\n0\r\n\r\n")

    async with raw_server(serve) as url:
        for _ in range(2):
            async with client.stream(url, body=b"ask", headers={}, timeouts=Timeouts()) as stream:
                assert isinstance(stream, Stream)
                async for event in stream.events():
                    assert event == Event(data="1")
                    stream.ended()
                    break
    assert connections == (1 if ends else 2)


async def test_works_again_after_it_was_closed() -> None:
    """Closing drops the connections, not the object; closing twice is fine."""
    session = Http()
    async with ReplayServer({"a": Recording()}) as server:
        assert isinstance(await ask(session, f"{server.url}/a"), Response)
        await session.aclose()
        await session.aclose()
        assert isinstance(await ask(session, f"{server.url}/a"), Response)
        await session.aclose()


async def test_a_session_left_open_is_no_warning() -> None:
    """Whoever ends their program without closing the router sees nothing of it on their terminal."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with ReplayServer({"a": Recording()}) as server:
        session = Http()
        await ask(session, f"{server.url}/a")
        with warnings.catch_warnings():
            # The open socket itself is Python's to warn of, which it does only on request (-X dev).
            warnings.filterwarnings("ignore", "unclosed", ResourceWarning)
            del session
            gc.collect()
    assert not complaints


async def test_many_urls_do_not_fill_the_memory(client: Http) -> None:
    """URLs are remembered up to a bound, and all work."""
    async with ReplayServer({"a": Recording()}) as server:
        for i in range(1_002):
            client._route(f"{server.url}/a?{i}")  # noqa: SLF001 - a thousand real requests would show no more
        assert len(client._routes) < 1_001  # noqa: SLF001 - the bound is on this dict
        assert isinstance(await ask(client, f"{server.url}/a"), Response)


def proxies_in(environ: dict[str, str], *urls: str) -> list[str]:
    """Returns the proxy of each URL in a program with this environment; "None" is a direct connection."""
    code = "import sys; from router.clients.aio import *; [print(proxy_of(URL(url))) for url in sys.argv[1:]]"
    run = subprocess.run([sys.executable, "-c", code, *urls], env=environ, capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_proxies_come_from_the_environment() -> None:
    """The usual variables count, with or without a scheme; `NO_PROXY` and loopback go direct."""
    environ = {
        "HTTPS_PROXY": "proxy.example:3128",
        "ALL_PROXY": "http://other.example:1",
        "NO_PROXY": "internal.example",
    }
    proxied = ("https://api.openai.com/v1", "http://api.example/v1")
    assert proxies_in(environ, *proxied) == ["http://proxy.example:3128", "http://other.example:1"]
    direct = ("https://internal.example/", "https://localhost/", "https://x.localhost/", "https://127.0.0.2/")
    assert proxies_in(environ, *direct) == ["None"] * 4
    assert proxies_in({}, *proxied) == ["None"] * 2


def test_loopback_is_known_by_its_names() -> None:
    """Names and addresses of this machine are told from others without asking a resolver."""
    assert [aio.is_loopback(host) for host in ("localhost", "::1", "127.9.9.9")] == [True] * 3
    assert [aio.is_loopback(host) for host in ("localhost.example", "10.0.0.1", "")] == [False] * 3
    assert aio.proxy_of(URL("http://localhost/")) is None


def test_aiohttp_is_imported_on_first_use_only() -> None:
    """Importing the client costs no import of aiohttp, whose cost only those who call a model pay."""
    code = "import sys, router.clients.openai; sys.exit('aiohttp' in sys.modules or 'litellm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_request_body_reads_back_as_text() -> None:
    """The library may ask for the body as text, to show it in a trace."""
    assert aio.Body("ü".encode()).decode() == "ü"
