"""`lowfare metrics`: what a log says, for Prometheus to fetch.

A process of its own sees no router, but any log; so it counts what several processes wrote, and their restarts do not
disturb it. How breakers and budgets stand, only the router's own process can say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from router.analytics.follow import Entry, Follower
from router.cli.logs import log_path
from router.cli.terminal import err, shown
from router.core.measure import logged
from router.errors import ConfigError

if TYPE_CHECKING:
    from router.sinks.prometheus import PrometheusSink


def run(
    log: Path | None,
    *,
    config: Path | None,
    port: int,
    host: str,
    from_start: bool,
    labels: Sequence[str],
    label_tenant: bool,
    label_values_most: int,
    interval_s: float,
) -> None:
    """Serves the metrics of a log until it is interrupted."""
    sink = _sink(labels, tenant=label_tenant, values_most=label_values_most)
    path = log_path(log, config)
    if not path.exists():
        err().print(f"{path}: there is no such log yet; waiting for it", soft_wrap=True)
    follower = Follower(path)
    if from_start:
        count(follower, sink)
    else:
        follower.last(0)
    stop = serve(sink, host, port)
    try:
        while True:
            count(follower, sink)
            time.sleep(interval_s)
    finally:
        stop()


def count(follower: Follower, sink: PrometheusSink, /) -> None:
    """Counts the decisions that were written since the last look; says what could not be read."""
    for found in follower.new():
        if not isinstance(found, Entry):
            err().print(shown(found.text), soft_wrap=True)
            continue
        try:
            decision = logged(found.record)
        except ValueError as error:
            err().print(shown(f"{error}; not counted"), soft_wrap=True)
            continue
        sink.emit(decision)


def serve(sink: PrometheusSink, host: str, port: int, /) -> Callable[[], None]:
    """Serves the metrics from a thread of its own, and says where; returns what ends that.

    Args:
        sink: which counts them.
        host: the address.
        port: 0 takes a free one.

    Raises:
        ConfigError: it cannot listen there.
    """
    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(port, addr=host, registry=sink.registry)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"cannot serve at {host}:{port}: {error}") from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    err().print(f"metrics at http://{host}:{server.server_port}/metrics", soft_wrap=True)
    return stop


def _sink(labels: Sequence[str], *, tenant: bool, values_most: int) -> PrometheusSink:
    try:
        from router.sinks.prometheus import PrometheusSink
    except ImportError as error:
        raise ConfigError(
            "metrics are served with prometheus-client, which is not installed: pip install 'lowfare[prometheus]'"
        ) from error
    return PrometheusSink(labels=labels, label_tenant=tenant, label_values_most=values_most)
