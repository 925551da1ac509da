"""Content keys over real requests: whatever shares a key is the same request, by a comparison of its own."""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any

import orjson
import pytest
import rfc8785

from router.core.key import content_key
from router.core.parse import parse_request
from router.core.request import Request
from router.errors import RequestError
from tests.replay.server import cassettes
from tests.shared_data import data_path

ANYWAY = frozenset(
    "metadata model prompt_cache_key prompt_cache_retention safety_identifier service_tier store stream stream_options"
    .split()
)  # fmt: skip
"""Fields of a body that say nothing of what is asked; the model is the policy's choice."""
LISTS = ("messages", "input", "contents")
TOOLS = ("tools", "functions", "toolConfig")
"""Where the bodies of several providers have their messages, and their tools."""


def prompts(name: str) -> Iterator[dict[str, Any]]:
    """Yields the rows of a file of prompts."""
    with gzip.open(data_path("prompts", f"{name}.jsonl.gz")) as lines:
        yield from map(orjson.loads, lines)


@cache
def bodies() -> tuple[dict[str, Any], ...]:
    """Returns every body with a list of messages: prompts with their tools, and recorded requests of all providers.

    The list is under `messages` in each of them, and what says nothing is left out.
    """
    recorded = (row["request"] for name in ("cassettes_ok", "cassettes_errors") for row in cassettes(name))
    asked = ({"messages": row["messages"], "tools": row["tools"]} for row in prompts("prompts"))
    return tuple(
        {"messages": body[name]} | {n: v for n, v in body.items() if n != name and v is not None}
        for body in (*asked, *recorded)
        if isinstance(body, dict) and (name := where(body)) is not None
    )


def where(body: dict[str, Any]) -> str | None:
    """Returns which field of a body has its messages; None where none has, or one that is no message."""
    for name in LISTS:
        if isinstance(body.get(name), list) and all(isinstance(item, dict) for item in body[name]):
            return name
    return None


def document(body: dict[str, Any]) -> bytes:
    """Returns all that a body asks, as the reference implementation of canonical JSON writes it."""
    return rfc8785.dumps({name: value for name, value in body.items() if name not in ANYWAY})


def request_of(body: dict[str, Any]) -> tuple[Request, bool]:
    """Returns a body as a request, and whether the router takes it: other providers' forms it refuses."""
    params = {name: value for name, value in body.items() if name not in ("messages", "model", "stream")}
    try:
        return parse_request(body["messages"], **params), True
    except RequestError:
        return Request(messages=tuple(body["messages"]), params=params), False


def test_no_false_hit_among_real_requests() -> None:
    """Requests with one key are one request, and one request has one key; the figures are printed."""
    by_key: dict[str, set[bytes]] = defaultdict(set)
    by_document: dict[bytes, set[str]] = defaultdict(set)
    count: dict[str, int] = defaultdict(int)
    taken = 0
    for body in bodies():
        request, parsed = request_of(body)
        key, asked = content_key(request, "p"), document(body)
        by_key[key].add(asked)
        by_document[asked].add(key)
        count[key] += 1
        taken += parsed
    false_hits = sum(len(asked) > 1 for asked in by_key.values())
    shared = sum(n > 1 for n in count.values())
    told = f"{len(bodies())} requests ({taken} in OpenAI's form), {len(by_key)} keys, {shared} of them shared"
    print(f"{told}, {false_hits} false hits")  # noqa: T201 - the suite's report
    assert false_hits == 0
    assert all(len(keys) == 1 for keys in by_document.values())
    assert shared > 100


@pytest.mark.untraced
def test_the_same_messages_with_other_tools_are_other_requests() -> None:
    """Message lists recur with other tools, and none of those requests shares a key."""
    lists: dict[bytes, dict[bytes, set[str]]] = defaultdict(lambda: defaultdict(set))
    for body in bodies():
        tools = rfc8785.dumps({name: body[name] for name in TOOLS if body.get(name)})
        lists[rfc8785.dumps(body["messages"])][tools].add(content_key(request_of(body)[0], "p"))
    recurring = [list(tools.values()) for tools in lists.values() if len(tools) > 1]
    print(f"{len(lists)} message lists, {len(recurring)} of them with several sets of tools")  # noqa: T201 - the suite's report
    assert len(recurring) >= 172
    for sets in recurring:
        assert len(set.union(*sets)) == sum(map(len, sets))


def test_paraphrases_share_no_key() -> None:
    """Of 999 pairs that mean the same in other words, none; and no two texts of them all but equal ones."""
    pairs = list(prompts("paraphrase_pairs_gptcache"))
    texts: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        keys = [content_key(parse_request(pair[name]), "p") for name in ("origin", "similar")]
        assert keys[0] != keys[1]
        for key, name in zip(keys, ("origin", "similar"), strict=True):
            texts[key].add(pair[name])
    print(f"{len(pairs)} pairs, {len(texts)} keys, {sum(len(t) > 1 for t in texts.values())} false hits")  # noqa: T201 - the suite's report
    assert len(pairs) == 999
    assert all(len(found) == 1 for found in texts.values())


@pytest.mark.parametrize("tenant", [None, "a"])
def test_tenants_share_no_key(tenant: str | None) -> None:
    """No real request of one tenant has the key of any request of another."""
    ours = {
        content_key(parse_request(row["messages"], tools=row["tools"], tenant=tenant), "p")
        for row in prompts("prompts")
    }
    theirs = {
        content_key(parse_request(row["messages"], tools=row["tools"], tenant="b"), "p") for row in prompts("prompts")
    }
    assert not ours & theirs
