"""A router with a cache: who asks a provider, who does not, and what the record says of it."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from router import Answer, BoundsExceeded, Choice, Failure, Message, NotCached, ProviderError, RequestError, RouterError
from router.cache.cache import Selector
from router.core.caching import CacheHint
from router.testing.clock import VirtualClock
from router.testing.scripted import ScriptedClient, answer
from tests.cache.routers import DOWN, TEXT, Kept, Provider, asked, routed

STREAMED = pytest.mark.parametrize("streamed", [False, True])


@STREAMED
async def test_the_second_of_two_equal_requests_is_free(streamed: bool) -> None:
    """Its record says whose answer it is, how old, and what it saved."""
    kept, provider = Kept(), Provider()
    router = routed(provider, kept)
    first = await asked(router, streamed=streamed)
    second = await asked(router, streamed=streamed)
    assert provider.calls == 1
    assert first.text == second.text == TEXT
    assert [d.cache for d in kept.decisions] == ["none", "memory"]
    paid, free = kept.decisions
    assert paid.key == free.key
    assert paid.cost_usd == free.saved_usd == Decimal("0.000015")
    assert free.cost_usd == 0
    assert free.model == "small"
    assert not free.attempts
    assert free.lookup is not None
    assert free.lookup.hit is not None
    assert free.lookup.hit.trace_id == paid.trace_id
    assert second.usage == first.usage


async def test_a_plain_request_and_a_stream_share_an_answer() -> None:
    """Whether an answer is streamed does not change it."""
    router = routed(provider := Provider())
    await asked(router, streamed=True)
    assert (await asked(router)).decision.cache == "memory"
    assert (await asked(router, streamed=True)).text == TEXT
    assert provider.calls == 1


def test_synchronous_hits_need_no_loop() -> None:
    """`complete` finds what is in memory, also inside a running loop and from its own loop's thread."""
    with routed(provider := Provider()) as router:
        router.complete("hi")

        async def inside() -> str:
            return router.complete("hi").decision.cache

        assert router._thread.run(inside()) == "memory"  # noqa: SLF001 - the one thread that must never wait
        assert provider.calls == 1


@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "acme"},
        {"temperature": 0.5},
        {"policy": "default2"},
        {"model": "small"},
        {"x_unknown": 1},
    ],
)
async def test_what_can_change_an_answer_is_another_request(other: dict[str, Any]) -> None:
    """Tenant, parameters, policy and model separate."""
    policies = {name: {"kind": "fallback", "models": ["small", "large"]} for name in ("default", "default2")}
    router = routed(provider := Provider(), policies=policies)
    await asked(router)
    assert (await asked(router, **other)).decision.cache == "none"
    assert provider.calls == 2


async def test_tags_and_bounds_do_not_separate() -> None:
    """What cannot change an answer is no part of the key."""
    router = routed(provider := Provider())
    await asked(router, tags={"team": "a"}, deadline_s=5)
    assert (await asked(router, tags={"team": "b"}, attempts=1, metadata={"n": 1})).decision.cache == "memory"
    assert provider.calls == 1


async def test_modes() -> None:
    """Use takes and stores; refresh asks and stores; only takes or fails; off does neither."""
    provider = Provider(answer("one"), answer("two"), answer("three"))
    router = routed(provider)
    with pytest.raises(NotCached) as caught:
        await asked(router, cache="only")
    assert caught.value.decision is not None
    assert (caught.value.decision.ending, provider.calls) == ("not_cached", 0)
    assert (await asked(router, cache="off")).text == "one"
    assert (await asked(router)).text == "two"
    assert (await asked(router, cache="only")).text == "two"
    assert (await asked(router, cache="refresh")).text == "three"
    assert (await asked(router, cache={"mode": "use"})).text == "three"
    assert provider.calls == 3


async def test_without_a_table_there_is_no_cache() -> None:
    """Nothing is shared unless the configuration says so; a stored answer only is an error then too."""
    router = routed(provider := Provider(), cache=None)
    await asyncio.gather(asked(router), asked(router, cache="use"))
    assert provider.calls == 2
    with pytest.raises(NotCached):
        await asked(router, cache="only")


async def test_answers_grow_old() -> None:
    """An answer is found until its time to live is over, and a request may want it younger."""
    clock = VirtualClock()
    router = routed(provider := Provider(), clock=clock, cache={"backend": "memory", "ttl_s": 100})
    await asked(router)
    clock.advance(50)
    assert (await asked(router, cache={"max_age_s": 49})).decision.cache == "none"
    clock.advance(99)
    hit = (await asked(router, cache={"max_age_s": 99})).decision.lookup
    assert hit is not None
    assert hit.hit is not None
    assert hit.hit.age_s == 99.0
    clock.advance(1)
    assert (await asked(router)).decision.cache == "none"
    assert provider.calls == 3


async def test_a_request_may_shorten_the_life_of_its_answer() -> None:
    """`ttl_s` of the request that pays goes before the configuration's."""
    clock = VirtualClock()
    router = routed(Provider(), clock=clock)
    await asked(router, cache=CacheHint(ttl_s=2.0))
    clock.advance(2)
    assert (await asked(router)).decision.cache == "none"


async def test_sampled_answers_are_kept_only_where_wanted() -> None:
    """With `sampled = false` only requests at temperature 0 use the cache."""
    router = routed(provider := Provider(), cache={"backend": "memory", "sampled": False})
    for _ in range(2):
        await asked(router)
        await asked(router, temperature=0.2)
    assert provider.calls == 4
    await asked(router, temperature=0)
    assert (await asked(router, temperature=0.0)).decision.cache == "memory"
    await asked(router, cache={"sampled": True})
    assert (await asked(router, cache={"sampled": True})).decision.cache == "memory"


async def test_terms_of_one_policy() -> None:
    """A policy may switch the cache off, and leave a volatile line out of its keys; the record says so."""
    per_policy = {"default": {"cache": {"drop_text": [r"Now: \S+"], "drop_params": ["user"]}}}
    router = routed(provider := Provider(), per_policy=per_policy)

    def messages(now: str) -> list[dict[str, str]]:
        return [{"role": "system", "content": f"Be brief. Now: {now}"}, {"role": "user", "content": "hi"}]

    first = await router.acomplete(messages("12:00"), user="a")
    second = await router.acomplete(messages("12:01"), user="b")
    assert first.decision.key_without == second.decision.key_without == ("params.user", "text[0]")
    assert (second.decision.cache, provider.calls) == ("memory", 1)
    off = routed(provider := Provider(), per_policy={"default": {"cache": {"mode": "off"}}})
    await asked(off)
    await asked(off)
    assert provider.calls == 2


async def test_a_hit_of_a_model_that_is_not_live_is_none() -> None:
    """What a dearer model said is not taken where the request could not have asked it, and the reason is recorded."""
    client = ScriptedClient({"small": [DOWN, answer("small")], "large": answer("large")})
    router = routed(client)
    assert (await asked(router)).text == "large"
    reply = await asked(router, max_cost_usd="0.0012")
    assert reply.text == "small"
    lookup = reply.decision.lookup
    assert lookup is not None
    assert lookup.refused == "large is not live"


async def test_a_hit_must_pass_the_checks_of_the_request() -> None:
    """A check that is on for this request is asked again of a stored answer; one that raises passes nothing."""
    from router import check

    wanted = "one"

    @check("mood")
    def mood(said: Any, request: Any) -> str | None:
        if wanted == "raise":
            raise ValueError("secret")
        return None if said.text == wanted else "not what is wanted now"

    checked = routed(Provider(answer("one"), answer("two")), checks=[mood])
    await asked(checked)
    assert (await asked(checked)).decision.cache == "memory"
    wanted = "two"
    reply = await asked(checked)
    assert (reply.text, reply.decision.cache) == ("two", "none")
    assert reply.decision.lookup is not None
    assert reply.decision.lookup.refused == "not what is wanted now"


async def test_failures_and_unusable_answers_are_not_kept() -> None:
    """Whoever comes next asks again."""
    client = ScriptedClient({"small": [DOWN, answer(""), answer("at last")], "large": [DOWN, DOWN, DOWN]})
    router = routed(client)
    for _ in range(2):
        with pytest.raises(RouterError):
            await asked(router, attempts=1)
    assert (await asked(router, attempts=1)).text == "at last"


async def test_invalid_requests_are_remembered_where_wanted() -> None:
    """For a few seconds the same mistake costs no call."""
    clock = VirtualClock()
    wrong = Failure(kind="invalid", message="no such field", status=400)
    router = routed(provider := Provider(wrong), clock=clock, cache={"backend": "memory", "invalid_ttl_s": 3})
    for _ in range(3):
        with pytest.raises(ProviderError, match="no such field"):
            await asked(router)
    assert provider.calls == 1
    clock.advance(3)
    with pytest.raises(ProviderError):
        await asked(router)
    assert provider.calls == 2


async def test_answers_that_are_too_large_are_shared_but_not_kept() -> None:
    """`max_entry_bytes` bounds what is stored; those who wait get it all the same."""
    router = routed(
        provider := Provider(answer("x" * 1_000), held_at=0), cache={"backend": "memory", "max_entry_bytes": 500}
    )
    both = [asyncio.create_task(asked(router)) for _ in range(2)]
    await provider.begun.wait()
    await asyncio.sleep(0)
    provider.go.set()
    assert Counter([(await task).decision.cache for task in both]) == {"none": 1, "flight": 1}
    await asked(router)
    assert provider.calls == 2


@STREAMED
async def test_a_thousand_equal_requests_are_one_call(streamed: bool) -> None:
    """Tasks: one asks, the others follow; every caller has the whole answer."""
    kept, provider = Kept(), Provider(held_at=3)
    router = routed(provider, kept)
    tasks = [asyncio.create_task(asked(router, streamed=streamed)) for _ in range(1_000)]
    await provider.begun.wait()
    await asyncio.sleep(0)
    provider.go.set()
    replies = await asyncio.gather(*tasks)
    assert provider.calls == 1
    assert {reply.text for reply in replies} == {TEXT}
    assert Counter(d.cache for d in kept.decisions) == {"none": 1, "flight": 999}
    assert sum((d.cost_usd or Decimal(0) for d in kept.decisions), Decimal(0)) == Decimal("0.000015")


@STREAMED
def test_threads_share_calls_too(streamed: bool) -> None:
    """Eight threads, each with requests of its own loop or of none: one call."""
    with routed(provider := Provider()) as router:
        texts: list[str] = []
        together = threading.Barrier(8)

        async def many() -> None:
            replies = await asyncio.gather(*(asked(router, streamed=streamed) for _ in range(125)))
            texts.extend(reply.text for reply in replies)

        def work(number: int) -> None:
            together.wait()
            if number % 2:
                asyncio.run(many())
            else:
                texts.extend(router.complete("hi").text for _ in range(125))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Counter(texts) == {TEXT: 1_000}
        assert provider.calls == 1


@STREAMED
async def test_a_leader_that_fails_does_not_fail_its_followers(streamed: bool) -> None:
    """One of them asks, within its own bounds."""
    failure = Failure(kind="server_error", message="boom", status=500)
    provider = Provider(failure, answer(TEXT), held_at=0)
    router = routed(provider)
    tasks = [asyncio.create_task(asked(router, attempts=1, streamed=streamed)) for _ in range(5)]
    await provider.begun.wait()
    await asyncio.sleep(0)
    provider.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results].count(ProviderError) == 1
    assert sum(getattr(result, "text", "") == TEXT for result in results) == 4
    assert provider.calls == 2


async def test_a_leader_that_is_cancelled_does_not_fail_its_followers() -> None:
    """The next one asks; the one that gave up is on record."""
    kept, provider = Kept(), Provider(held_at=0)
    router = routed(provider, kept)
    leader = asyncio.create_task(asked(router))
    await provider.begun.wait()
    followers = [asyncio.create_task(asked(router)) for _ in range(3)]
    await asyncio.sleep(0)
    leader.cancel()
    provider.go.set()
    assert {(await task).text for task in followers} == {TEXT}
    assert provider.calls == 2
    assert [d.ending for d in kept.decisions] == ["cancelled", "answer", "answer", "answer"]
    assert leader.cancelled()


async def test_a_follower_gets_what_has_come_and_then_the_rest() -> None:
    """Pieces are passed on as they come, before the answer is whole."""
    router = routed(provider := Provider(held_at=4))
    leader = asyncio.create_task(asked(router, streamed=True))
    await provider.begun.wait()
    stream = router.astream("hi")
    seen = ""
    while len(seen) < 20:
        seen += (await anext(stream)).text
    assert TEXT.startswith(seen)
    assert not leader.done()
    provider.go.set()
    seen += "".join([chunk.text async for chunk in stream])
    assert seen == TEXT == stream.reply.text
    assert stream.reply.decision.cache == "flight"
    assert provider.calls == 1


async def test_a_stream_goes_on_with_the_next_leader() -> None:
    """What a caller has seen of a leader that was cancelled half-way is not shown again."""
    kept, provider = Kept(), Provider(held_at=4)
    router = routed(provider, kept)
    leader = asyncio.create_task(asked(router, streamed=True))
    await provider.begun.wait()
    stream = router.astream("hi")
    seen = ""
    while len(seen) < 20:
        seen += (await anext(stream)).text
    leader.cancel()
    provider.go.set()
    seen += "".join([chunk.text async for chunk in stream])
    assert seen == TEXT
    assert provider.calls == 2


@pytest.mark.parametrize("other", [f"X{TEXT}", TEXT[:10]])
async def test_a_stream_whose_next_leader_says_something_else_ends_in_an_error(other: str) -> None:
    """What the caller has seen cannot be taken back: another beginning, or an earlier end, is no answer to it."""
    kept, provider = Kept(), Provider(answer(TEXT), answer(other), held_at=4)
    router = routed(provider, kept)
    leader = asyncio.create_task(asked(router, streamed=True))
    await provider.begun.wait()
    stream = router.astream("hi")
    seen = ""
    while len(seen) < 20:
        seen += (await anext(stream)).text
    leader.cancel()
    provider.go.set()
    with pytest.raises(ProviderError, match="nobody went on"):
        await anext(stream)
    assert kept.decisions[-1].ending == "committed"
    assert kept.decisions[-1].cost_usd


async def test_followers_wait_no_longer_than_their_own_deadline() -> None:
    """A follower in a hurry ends in its own deadline, and the leader goes on."""
    router = routed(provider := Provider(held_at=0))
    leader = asyncio.create_task(asked(router))
    await provider.begun.wait()
    with pytest.raises(BoundsExceeded) as caught:
        await asked(router, deadline_s=0.05)
    assert caught.value.bound == "deadline_s"
    provider.go.set()
    assert (await leader).text == TEXT
    assert provider.calls == 1


async def test_a_follower_may_give_up() -> None:
    """It leaves a record, and nothing behind."""
    kept = Kept()
    router = routed(provider := Provider(held_at=0), kept)
    leader = asyncio.create_task(asked(router))
    await provider.begun.wait()
    follower = asyncio.create_task(asked(router))
    await asyncio.sleep(0.01)
    follower.cancel()
    with pytest.raises(asyncio.CancelledError):
        await follower
    provider.go.set()
    await leader
    assert [d.ending for d in kept.decisions] == ["cancelled", "answer"]
    assert len(router._cache.flights) == 0  # noqa: SLF001 - what must not leak cannot be seen from outside


async def test_purges_are_dry_unless_told_otherwise() -> None:
    """Who says nothing else only learns what would go; tenant, tag, model, key and age select."""
    clock = VirtualClock()
    router = routed(Provider(), clock=clock)
    one = await asked(router, tenant="acme", tags={"team": "a"})
    clock.advance(10)
    await asked(router, "another")
    for selector, entries in [
        (Selector(), 2),
        (Selector(tenant="acme"), 1),
        (Selector(tags={"team": "a"}), 1),
        (Selector(tags={"team": "b"}), 0),
        (Selector(model="small"), 2),
        (Selector(model="large"), 0),
        (Selector(key=one.decision.key), 1),
        (Selector(older_than_s=5), 1),
    ]:
        found = await router.apurge(selector)
        assert (found.entries, found.dry_run) == (entries, True)
        assert (found.size_bytes > 0) == (entries > 0)
    assert (await router.apurge(Selector(tenant="acme"), dry_run=False)).entries == 1
    stats = await router.acache_stats()
    assert (stats.entries, stats.by_model, stats.by_tenant, stats.backend) == (1, {"small": 1}, {"": 1}, "memory")


def test_purges_and_figures_without_a_loop() -> None:
    """Both work from plain code."""
    with routed(Provider()) as router:
        router.complete("hi")
        assert router.cache_stats().memory_entries == 1
        with pytest.raises(RequestError, match="everything"):
            router.purge(Selector(tenant=None), dry_run=False)
        assert router.purge(Selector(everything=True), dry_run=False).entries == 1
        assert router.cache_stats().oldest_s is None


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        ("sometimes", "'refresh'"),
        (3, "a mapping"),
        ({"mod": "use"}, "mode"),
        ({"ttl_s": 0}, "above 0"),
        ({"max_age_s": -1}, "at least 0"),
        ({"sampled": "no"}, "true or false"),
    ],
)
async def test_a_wrong_hint_says_what_is_allowed(hint: Any, told: str) -> None:
    """The error names the hint and what it may be."""
    with pytest.raises(RequestError, match="cache") as caught:
        await asked(routed(Provider()), cache=hint)
    assert told in str(caught.value)


async def test_a_caller_that_reads_slowly_holds_up_nobody() -> None:
    """Those who follow a stream get all of it, though the one that asked has not read past its first piece."""
    kept = Kept()
    router = routed(provider := Provider(), kept)
    leader = router.astream("hi")
    first = (await anext(leader)).text
    follower = await asked(router, streamed=True)
    assert (follower.text, follower.decision.cache) == (TEXT, "flight")
    assert [d.ending for d in kept.decisions] == ["answer", "answer"]
    assert first + "".join([chunk.text async for chunk in leader]) == TEXT
    assert provider.calls == 1


async def half_way(router: Any, provider: Provider, **request: Any) -> tuple[Any, Any, str]:
    """Returns a streaming leader's task, a stream that follows it, and the half that the follower has seen."""
    leader = asyncio.create_task(asked(router, streamed=True))
    await provider.begun.wait()
    stream = router.astream("hi", **request)
    seen = ""
    while len(seen) < 20:
        seen += (await anext(stream)).text
    return leader, stream, seen


async def test_a_stored_answer_that_begins_otherwise_does_not_end_a_stream_well() -> None:
    """A follower has seen a half; another answer is stored, and its leader is gone: that is an error, no mixture."""
    kept, provider = Kept(), Provider(answer(TEXT), answer("Something else."), held_at=4)
    router = routed(provider, kept)
    leader, stream, _ = await half_way(router, provider)
    provider.go.set()
    provider.go = asyncio.Event()  # the leader stays where it is
    refreshed = asyncio.create_task(asked(router, cache="refresh"))
    while provider.calls < 2:
        await asyncio.sleep(0)
    leader.cancel()
    provider.go.set()
    assert (await refreshed).text == "Something else."
    with pytest.raises(ProviderError, match="nobody went on"):
        [_ async for _ in stream]
    assert kept.decisions[-1].ending == "committed"


async def test_who_does_not_have_the_model_live_sees_nothing_of_its_stream() -> None:
    """Such a follower waits for the end, finds that it does not count, and asks on its own."""
    client = Provider(answer(TEXT), answer("large says"), held_at=4)
    policies = {"default": {"kind": "min_quality", "quality": 0.1}}
    models = {
        name: {
            "id": f"simulated/{name}",
            "client": "simulated",
            "input_usd_per_mtok": price,
            "output_usd_per_mtok": price,
            "context_window_tokens": 10_000,
            "quality": quality,
        }
        for name, price, quality in (("small", "1", 0.5), ("large", "3", 0.95))
    }
    router = routed(client, models=models, policies=policies)
    leader = asyncio.create_task(asked(router, streamed=True))
    await client.begun.wait()
    follower = asyncio.create_task(asked(router, streamed=True, min_quality=0.9))
    await asyncio.sleep(0.01)
    client.go.set()
    assert (await leader).model == "small"
    reply = await follower
    assert (reply.text, reply.model) == ("large says", "large")
    assert reply.decision.lookup is not None
    assert reply.decision.lookup.refused == "small is not live"


async def test_an_attempt_that_said_something_else_is_waste() -> None:
    """Its caller had nothing of it."""
    kept, provider = Kept(), Provider(answer(TEXT), answer(f"X{TEXT}"), held_at=4)
    leader, stream, _ = await half_way(routed(provider, kept), provider)
    leader.cancel()
    provider.go.set()
    with pytest.raises(ProviderError):
        await anext(stream)
    assert kept.decisions[-1].waste_usd == kept.decisions[-1].cost_usd
    assert kept.decisions[-1].cost_usd


async def test_what_is_sent_is_what_the_key_was_made_of() -> None:
    """A caller that changes its arguments before it reads a stream asks for what they are then."""
    router = routed(Provider())
    options = {"a": 1}
    stream = router.astream("hi", x_options=options)
    options["a"] = 2
    [_ async for _ in stream]
    assert stream.reply.decision.key == router.plan("hi", x_options={"a": 2}).key


@STREAMED
async def test_what_a_caller_does_to_its_reply_reaches_no_other(streamed: bool) -> None:
    """Provider fields are the caller's own, also those of the request that paid."""
    message = Message(content="hi", extra={"annotations": [{"at": 1}]})
    said = Answer(choices=(Choice(message=message, finish_reason="stop"),))
    router = routed(ScriptedClient({"small": said}))
    for _ in range(3):
        reply = await asked(router, streamed=streamed)
        assert reply.choices[0].message.extra == {"annotations": [{"at": 1}]}
        reply.choices[0].message.extra["annotations"].append("mine")
