"""A trace of real traffic driven through the router: what the cache answers is what its TTL lets it answer.

The trace tells prompts by the hashes of their blocks and their lengths; how long an answer became is no part of a
prompt. Time is virtual, the router and its cache are the real ones.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import cache

import pytest
from pyarrow import parquet  # type: ignore[import-untyped]  # it ships no types

from router import Answer, Call, Decision, Failure, Router, Settings
from router.testing.clock import VirtualClock
from router.testing.scripted import ScriptedClient, answer
from tests.shared_data import data_path

DUPLICATES = 213
"""Of 3,993 requests: 5.3 %, as the trace's description has it."""
WHOLE_S = 3_600
"""The trace is 17 minutes long."""
MODEL = {
    "id": "simulated/model",
    "client": "simulated",
    "input_usd_per_mtok": "1",
    "output_usd_per_mtok": "1",
    "context_window_tokens": 1_000_000,
    "max_output_tokens": 1_000,
}


@cache
def trace() -> tuple[tuple[int, str], ...]:
    """Returns of each request when it comes, in milliseconds, and its prompt: names of its blocks, and its length."""
    rows = parquet.read_table(data_path("workload", "mooncake_synthetic.parquet")).to_pylist()
    return tuple((row["t_ms"], f"{' '.join(map(str, row['hash_ids']))}: {row['input_tokens']}") for row in rows)


def duplicates(ttl_s: int, answer_s: int) -> list[bool]:
    """Returns of each request whether its answer is there or on its way: counted by the trace's own times alone.

    An answer is on its way for `answer_s` after somebody asked who had to pay, and stands for `ttl_s` from then on.
    """
    paid_ms: dict[str, int] = {}
    inside = []
    for at_ms, prompt in trace():
        inside.append(prompt in paid_ms and at_ms - paid_ms[prompt] < (answer_s + ttl_s) * 1_000)
        if not inside[-1]:
            paid_ms[prompt] = at_ms
    return inside


def paid(inside: Sequence[bool]) -> list[str]:
    """Returns the prompts that somebody pays for, in order."""
    return [prompt for (_, prompt), hit in zip(trace(), inside, strict=True) if not hit]


class Upstream(ScriptedClient):
    """Answers a prompt with the prompt, after a while.

    Args:
        clock: by which it takes its time.
        answer_s: how long an answer takes.
    """

    keeps_time = True

    def __init__(self, clock: VirtualClock, answer_s: int) -> None:
        super().__init__({"model": lambda call: answer(prompt_of(call))})
        self._clock = clock
        self._answer_s = answer_s

    async def send(self, call: Call, /) -> Answer | Failure:
        if self._answer_s:
            await self._clock.sleep(self._answer_s)
        return await super().send(call)


def prompt_of(call: Call) -> str:
    """Returns what a call asks."""
    return str(call.request.messages[0]["content"])


async def driven(router: Router, clock: VirtualClock) -> list[Decision]:
    """Returns the decision of each request of the trace, which comes at its time; each must get its own answer."""

    async def ask(prompt: str) -> Decision:
        reply = await router.acomplete(prompt)
        assert reply.text == prompt
        return reply.decision

    asked = []
    for at_ms, prompt in trace():
        await clock.sleep(at_ms / 1_000 - clock.monotonic())
        asked.append(asyncio.create_task(ask(prompt)))
    return await asyncio.gather(*asked)


def test_the_trace_is_the_one_described() -> None:
    """So many requests, and so many that ask what one before asked."""
    assert len(trace()) == 3_993
    assert sum(duplicates(WHOLE_S, 0)) == DUPLICATES


@pytest.mark.untraced
@pytest.mark.parametrize(("ttl_s", "answer_s"), [(60, 0), (600, 0), (WHOLE_S, 0), (60, 6)])
async def test_hits_are_the_duplicates_inside_the_ttl(ttl_s: int, answer_s: int) -> None:
    """To the request: those and no others are answered without a call; with answers in no time, all from memory."""
    clock = VirtualClock()
    upstream = Upstream(clock, answer_s)
    settings = Settings.model_validate(
        {
            "models": {"model": MODEL},
            "policies": {"default": {"kind": "fallback", "models": ["model"]}},
            "cache": {"backend": "memory", "ttl_s": ttl_s},
        }
    )
    async with Router(settings, clients={"simulated": upstream}, sinks=(), clock=clock) as router:
        decisions = await driven(router, clock)
    expected = duplicates(ttl_s, answer_s)
    kinds = Counter(decision.cache for decision in decisions)
    told = f"ttl {ttl_s} s, answers take {answer_s} s: {sum(expected)} of {DUPLICATES} duplicates inside"
    hits = f"{kinds['memory']} from memory, {kinds['flight']} in flight"
    print(f"{told}; hits: {hits}; {len(upstream.calls)} calls")  # noqa: T201 - the suite's report
    assert [decision.cache != "none" for decision in decisions] == expected
    assert [prompt_of(call) for call in upstream.calls] == paid(expected)
    assert set(kinds) <= ({"none", "memory", "flight"} if answer_s else {"none", "memory"})
