"""What a call costs besides the provider: lowfare beside bare aiohttp, `litellm.acompletion` and `litellm.Router`.

    python benchmarks/overhead.py [--rounds 30] [--calls 40] [--json]

All four post the same chat request to the same loopback server (its own process, a fixed answer), one call at a time,
in short turns, so that a busy moment of the machine hits all of them alike. For each it prints the median seconds of
a call, and calls a second of CPU time of this process; then the ratios that the project promises, and, in fresh
processes, what importing costs. Figures of one run are comparable with each other, not with another run's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PROMPT = "Summarise this support ticket in two sentences and name the customer's mood. " + "The printer jams. " * 250
"""About 1,000 tokens."""

ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_764_000_000,
        "model": "gpt-4.1-2025-04-14",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "The printer jams. The customer is patient. " * 10},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {"prompt_tokens": 1_015, "completion_tokens": 90, "total_tokens": 1_105},
    }
).encode()

SERVER = r"""
import selectors, socket, sys
ANSWER = sys.stdin.buffer.read()
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
waiting = selectors.DefaultSelector()
waiting.register(listener, selectors.EVENT_READ)
unread = {}
while True:
    for key, _ in waiting.select(0):
        if key.fileobj is listener:
            peer, _ = listener.accept()
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            waiting.register(peer, selectors.EVENT_READ)
            unread[peer] = b""
            continue
        peer = key.fileobj
        piece = peer.recv(1 << 20)
        data = unread[peer] = unread[peer] + piece
        if not piece:
            waiting.unregister(peer)
            peer.close()
            continue
        end = data.find(b"\r\n\r\n")
        at = data.lower().find(b"content-length:")
        if end >= 0 and 0 <= at < end:
            size = int(data[at + 15 :].split(b"\r\n", 1)[0])
            if len(data) >= end + 4 + size:
                unread[peer] = data[end + 4 + size :]
                peer.sendall(REPLY)
"""
"""Never sleeps: on a virtual machine, waking a core that has been idle for 200 us costs 100 us and more, which would be
charged to every competitor that does some work between two calls, and to no other."""

Call = Callable[[], Awaitable[Any]]


@contextmanager
def loopback() -> Iterator[str]:
    """Yields the address of a chat server in its own process."""
    server = subprocess.Popen(  # noqa: S603 - our own interpreter, our own source
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(ANSWER)
    server.stdin.close()
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
    finally:
        server.kill()
        server.wait()


def bare(url: str) -> tuple[Call, Any]:
    """Returns one POST through a pooled aiohttp session, its answer parsed, and the session."""
    import aiohttp
    import orjson

    session = aiohttp.ClientSession()
    body = orjson.dumps({"model": "gpt-4.1", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 100})
    headers = {"Content-Type": "application/json", "Authorization": "Bearer key"}

    async def call() -> Any:
        async with session.post(f"{url}/chat/completions", data=body, headers=headers) as response:
            return orjson.loads(await response.read())

    return call, session.close


def lowfare(url: str, log: Path) -> tuple[Call, Any]:
    """Returns one `acomplete` with the decision log on."""
    from router import Router
    from router.config import Settings

    table = {"base_url": url, "key_env": "BENCH_KEY", "map_id": "gpt-4.1"}
    router = Router(
        Settings.model_validate(
            {
                "models": {"large": {"id": "openai/gpt-4.1", **table}, "small": {"id": "openai/gpt-4.1-mini", **table}},
                "policies": {
                    "default": {
                        "kind": "token_tiers",
                        "tiers": [{"up_to_tokens": 500, "models": ["small"]}, {"models": ["large"]}],
                    }
                },
                "log": {"path": str(log)},
            }
        )
    )

    async def call() -> Any:
        return await router.acomplete(PROMPT, max_tokens=100)

    return call, router.aclose


def litellm_calls(url: str) -> dict[str, Call]:
    """Returns one `litellm.acompletion` and one `litellm.Router.acompletion`, both without retries."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    litellm.suppress_debug_info = True
    messages: list[Any] = [{"role": "user", "content": PROMPT}]
    params: dict[str, Any] = {"model": "openai/gpt-4.1", "api_base": url, "api_key": "key"}
    router = litellm.router.Router(model_list=[{"model_name": "large", "litellm_params": params}], num_retries=0)

    async def plain() -> Any:
        return await litellm.acompletion(messages=messages, max_tokens=100, max_retries=0, **params)

    async def routed() -> Any:
        return await router.acompletion(model="large", messages=messages, max_tokens=100)

    return {"litellm.acompletion": plain, "litellm.Router": routed}


async def measure(rounds: int, calls: int) -> dict[str, dict[str, float]]:
    """Returns median seconds and calls per CPU second of each competitor, measured in turns."""
    os.environ["BENCH_KEY"] = "key"
    seconds: dict[str, list[float]] = {}
    cpu: dict[str, float] = {}
    with loopback() as url, tempfile.TemporaryDirectory() as folder:
        plain, close_plain = bare(url)
        ours, close_ours = lowfare(url, Path(folder) / "decisions")
        competitors: dict[str, Call] = {"aiohttp": plain, "lowfare": ours, **litellm_calls(url)}
        for call in competitors.values():
            for _ in range(20):
                await call()
        for _ in range(rounds):
            for name, call in competitors.items():
                started_cpu = time.process_time()
                for _ in range(calls):
                    started = time.perf_counter()
                    await call()
                    seconds.setdefault(name, []).append(time.perf_counter() - started)
                cpu[name] = cpu.get(name, 0.0) + time.process_time() - started_cpu
        await close_ours()
        await close_plain()
    return {
        name: {"p50_us": statistics.median(times) * 1e6, "calls_per_cpu_s": len(times) / cpu[name]}
        for name, times in seconds.items()
    }


def decision_us(rounds: int = 2_000) -> dict[str, float]:
    """Returns the median time of a decision alone, and of each of its parts, in microseconds.

    50 models, `requires`, `token_tiers` and `cheapest` in a chain, a prompt of about 1,000 tokens. The parts before it
    (parsing, features, content key) are given beside it.
    """
    from router.config import Settings
    from router.core.course import Given
    from router.core.decision import Ids
    from router.core.features import features_of
    from router.core.key import content_key
    from router.core.machine import plan
    from router.core.parse import parse_request
    from router.setup import setup_of

    names = [f"model-{i:02}" for i in range(50)]
    settings = Settings.model_validate(
        {
            "models": {
                name: {
                    "id": name,
                    "base_url": "http://127.0.0.1:9/v1",
                    "input_usd_per_mtok": f"{0.1 + i / 10:.2f}",
                    "output_usd_per_mtok": f"{0.4 + i / 3:.2f}",
                    "context_window_tokens": 128_000,
                    "max_output_tokens": 16_384,
                    "capabilities": ["tools", "json_schema"],
                }
                for i, name in enumerate(names)
            },
            "policies": {
                "default": {
                    "kind": "chain",
                    "policies": [
                        {"kind": "requires", "capabilities": ["tools"]},
                        {
                            "kind": "token_tiers",
                            "tiers": [
                                {"up_to_tokens": 500, "models": names[:10]},
                                {"up_to_tokens": 2_000, "models": names[10:35]},
                                {"models": names[35:]},
                            ],
                            "fallback": names[:5],
                        },
                        {"kind": "cheapest"},
                    ],
                }
            },
        }
    )
    setup = setup_of(settings)
    params: dict[str, Any] = {"max_tokens": 300, "tags": {"team": "support"}}
    request = parse_request(PROMPT, **params)
    limits = setup.token_limits

    def decide() -> Any:
        features = features_of(request, limits=limits)
        return plan(
            Given(
                ids=Ids(request_id="a" * 32, trace_id="b" * 32, span_id="c" * 16),
                key="",
                features=features,
                hints=request.hints,
                catalog=setup.catalog,
                policy_name="default",
                policy=setup.policies["default"],
                bounds=setup.terms["default"].bounds,
                now=datetime.now(UTC),
                draw=0.5,
                expected_output_tokens=setup.expected_output_tokens,
            )
        )

    return {
        "parse": _median_us(lambda: parse_request(PROMPT, **params), rounds),
        "features": _median_us(lambda: features_of(request, limits=limits), rounds),
        "key": _median_us(lambda: content_key(request, "default"), rounds),
        "decision": _median_us(decide, rounds),
    }


def import_ms(module: str, runs: int = 11) -> float:
    """Returns the median milliseconds of an import in a fresh process, without the interpreter's own start."""
    code = f"import time; t = time.perf_counter(); import {module}; print((time.perf_counter() - t) * 1e3)"
    environment = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    times = []
    for _ in range(runs):
        printed = subprocess.check_output([sys.executable, "-c", code], env=environment)  # noqa: S603 - our own code
        times.append(float(printed.split()[-1]))
    return statistics.median(times)


def _median_us(work: Callable[[], Any], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e6


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    parts = decision_us()
    figures: dict[str, Any] = {
        "calls": asyncio.run(measure(options.rounds, options.calls)),
        "decision_us": parts,
        "import_ms": {"router": import_ms("router"), "litellm": import_ms("litellm", runs=3)},
    }
    calls = figures["calls"]
    figures["ratios"] = {
        "p50 lowfare / aiohttp (promise <= 2.0)": calls["lowfare"]["p50_us"] / calls["aiohttp"]["p50_us"],
        "calls per CPU second lowfare / litellm.Router (promise >= 10)": calls["lowfare"]["calls_per_cpu_s"]
        / calls["litellm.Router"]["calls_per_cpu_s"],
        "added p50 litellm.Router / added p50 lowfare": (calls["litellm.Router"]["p50_us"] - calls["aiohttp"]["p50_us"])
        / (calls["lowfare"]["p50_us"] - calls["aiohttp"]["p50_us"]),
    }
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"{'':24}{'p50 of a call':>16}{'calls per CPU second':>24}")
    for name, row in calls.items():
        print(f"{name:24}{row['p50_us']:>13.0f} us{row['calls_per_cpu_s']:>24.0f}")
    print()
    for name, value in figures["ratios"].items():
        print(f"{name:64}{value:>8.2f}")
    print()
    print("decision alone, 50 models, 1,000 tokens (promise <= 150 us), features included; and the parts around it")
    for name, value in parts.items():
        print(f"  {name:22}{value:>13.0f} us")
    print(f"import router (promise <= 150 ms)   {figures['import_ms']['router']:>8.0f} ms")
    print(f"import litellm                      {figures['import_ms']['litellm']:>8.0f} ms")


if __name__ == "__main__":
    main()
