"""What the benchmarks of the cache talk to: a provider that counts its calls, and a redis-server of their own."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SHORT, LONG = "The customer is patient.", "The printer jams whenever it is fed from the second tray. " * 69
"""Answers: LONG is 4 kB. A request with `max_tokens` of at most 100 gets the short one."""

_STARTING_S = 20.0


class Upstream:
    """An OpenAI-compatible provider on loopback; a context manager.

    Attributes:
        calls: how many requests it has answered.
        url: its address, as `base_url` takes it.
    """

    def __init__(self) -> None:
        self.calls = 0
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # the name is http.server's
                upstream.calls += 1
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = json.dumps(completion(SHORT if body["max_tokens"] <= 100 else LONG)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
                """Prints nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def completion(text: str) -> dict[str, Any]:
    """Returns an answer as OpenAI sends it."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_764_000_000,
        "model": "gpt-4.1-2025-04-14",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 250, "completion_tokens": len(text) // 4, "total_tokens": 250 + len(text) // 4},
    }


class Redis:
    """A redis-server on a free port, in a temporary folder, without persistence; a context manager.

    Attributes:
        port: on loopback; the same after a restart.
    """

    def __init__(self) -> None:
        binary = shutil.which("redis-server") or shutil.which("valkey-server")
        if binary is None:
            raise SystemExit("redis-server is not installed: apt-get install redis-server")
        self._binary = binary
        self._folder = Path(tempfile.mkdtemp(prefix="lowfare-redis-"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Starts it empty; returns when it answers."""
        words = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder), "--save", ""]
        self._process = subprocess.Popen([self._binary, *words], stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
        end = time.monotonic() + _STARTING_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise SystemExit("redis-server does not start")
            time.sleep(0.01)

    def pause(self) -> None:
        """Stops the process where it is: connections stand, and nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a paused process go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends the process at once, paused or not (kill -9)."""
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port)) as line:
                line.sendall(b"PING\r\n")
                return line.recv(64) == b"+PONG\r\n"
        except OSError:
            return False
