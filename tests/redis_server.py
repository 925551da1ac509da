"""Real redis-server processes: started on a free port below a temporary folder, paused, killed and restarted empty."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import redis
import redis.exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

STARTING_S = 20.0
"""How long a server may take to answer, on however busy a machine."""

_PORT_BELOW = 55_000
"""A cluster node also listens 10,000 above its port."""


class RedisServer:
    """A redis-server of this test's own, with persistence off.

    A context manager: `with RedisServer() as server: RedisStore(server.url)`. Where redis-server is not installed,
    making one skips the test, which in CI is a failure.

    Args:
        cluster: whether it is a cluster of one node.
        slots: first and last slot of the cluster that this node has.
        password: what clients must say.

    Attributes:
        port: on loopback; the same after a restart.
        path: its unix socket.
    """

    def __init__(
        self, *, cluster: bool = False, slots: tuple[int, int] = (0, 16_383), password: str | None = None
    ) -> None:
        self._binary = shutil.which("redis-server") or shutil.which("valkey-server")
        if self._binary is None:
            pytest.skip("redis-server is not installed")
        self._cluster = cluster
        self._slots = slots
        self._password = password
        self._folder = Path(tempfile.mkdtemp(prefix="lowfare-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.path = self._folder / "socket"
        self.port = 0

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Its address over TCP, with the password."""
        return f"redis://{f':{self._password}@' if self._password else ''}127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        """Its address over the unix socket."""
        return f"unix://{self.path}"

    def client(self) -> redis.Redis:
        """Returns a client of redis-py's own, to see and to set what stands in the database; the caller closes it."""
        return redis.Redis(port=self.port, password=self._password, protocol=2)

    def command(self, *words: str | bytes | int) -> Any:
        """Returns what the server answers to one command."""
        with self.client() as client:
            return client.execute_command(*words)

    def start(self) -> None:
        """Starts it and waits until it answers; on another port where somebody else was faster to take the first."""
        port, end = self.port or _free_port(), time.monotonic() + STARTING_S
        while not self._started(port, end):
            assert time.monotonic() < end, "redis-server does not start"
            port = self.port or _free_port()
        self.port = port
        if self._cluster:
            self._serve_slots(end)

    def meet(self, other: RedisServer) -> None:
        """Makes one cluster of this node and another one, and waits until both know all slots."""
        self.command("CLUSTER", "MEET", "127.0.0.1", other.port)
        end = time.monotonic() + STARTING_S
        while not all(b"slots_assigned:16384" in server.command("CLUSTER", "INFO") for server in (self, other)):
            assert time.monotonic() < end, "the nodes do not come together"
            time.sleep(0.005)

    def pause(self) -> None:
        """Stops the process where it is: it accepts and answers nothing, and its connections stand."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)  # the signal arrives a moment after it is sent

    def resume(self) -> None:
        """Lets a paused process go on."""
        self._running().send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends the process at once, paused or not (kill -9)."""
        process = self._running()
        process.kill()
        process.wait()
        self._process = None

    def restart(self) -> None:
        """Kills it, if it runs, and starts it on the same port, with nothing in it."""
        if self._process is not None:
            self.kill()
        self.start()

    def stop(self) -> None:
        """Ends the process, if it runs, and removes its folder."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._folder)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server does not run"
        return self._process

    def _started(self, port: int, end: float) -> bool:
        assert self._binary is not None
        options = {
            "bind": "127.0.0.1",
            "port": str(port),
            "unixsocket": str(self.path),
            "dir": str(self._folder),
            "logfile": str(self._folder / "log"),
            "save": "",
            "appendonly": "no",
            "cluster-enabled": "yes" if self._cluster else "no",
            "cluster-require-full-coverage": "no",
        }
        if self._password:
            options["requirepass"] = self._password
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen([self._binary, *words], stdin=subprocess.DEVNULL)
        while self._process.poll() is None and time.monotonic() < end:
            if _answers(port, self._process.pid, self._password):
                return True
            time.sleep(0.005)
        self.kill()
        return False

    def _serve_slots(self, end: float) -> None:
        if b"cluster_slots_assigned:0" in self.command("CLUSTER", "INFO"):
            self.command("CLUSTER", "ADDSLOTSRANGE", *self._slots)
        while b"cluster_state:ok" not in self.command("CLUSTER", "INFO"):
            assert time.monotonic() < end, "the cluster does not come up"
            time.sleep(0.005)


def _free_port() -> int:
    """Returns a port that nobody listens on at this moment."""
    while True:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = int(listener.getsockname()[1])
        if port < _PORT_BELOW:
            return port


def _answers(port: int, pid: int, password: str | None) -> bool:
    """Tells whether this very process serves the port, and not another one that was there first."""
    try:
        with redis.Redis(port=port, password=password, protocol=2, retry=Retry(NoBackoff(), 0)) as client:
            return bool(client.info("server")["process_id"] == pid)
    except redis.exceptions.ConnectionError:
        return False
