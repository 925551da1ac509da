"""What of the request a provider's words may repeat: nothing that tells anything."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.classify import classify
from router.core.failure_echo import SEARCHED_MOST, SHORTEST_ECHO, WITHHELD, texts_of, unechoed
from router.core.request import Request

CANARY = "my doctor says the xylophone is malignant"
LETTERS = st.characters(categories=["Ll", "Lo", "Nd"])


def of(content: object, **params: object) -> tuple[str, ...]:
    """Returns the texts of a request."""
    return tuple(texts_of(Request(messages=({"role": "user", "content": content},), params=params)))


@given(prompt=st.text(LETTERS, min_size=SHORTEST_ECHO, max_size=200), before=st.text(max_size=40), after=st.text())
def test_no_run_of_a_prompt_stands_in_the_words(prompt: str, before: str, after: str) -> None:
    """Wherever in the words a provider repeats the prompt, no piece of twelve letters of it is left."""
    words = f"{before} {prompt} {after}"
    left = unechoed(words, [prompt])
    assert not any(prompt[at : at + SHORTEST_ECHO] in left for at in range(len(prompt) - SHORTEST_ECHO + 1))


@given(st.text(LETTERS, min_size=SHORTEST_ECHO, max_size=60), st.data())
def test_a_part_of_a_prompt_is_as_good_as_the_whole(prompt: str, data: st.DataObject) -> None:
    """A run from anywhere in the prompt is found, at whatever place its first letter stands."""
    begin = data.draw(st.integers(0, len(prompt) - SHORTEST_ECHO))
    piece = prompt[begin : begin + SHORTEST_ECHO]
    assert piece not in unechoed(f"Invalid value: {piece}", [prompt])


@pytest.mark.parametrize(
    "echo",
    [
        CANARY,
        CANARY.upper(),
        CANARY.replace(" ", "\\n"),
        CANARY.replace(" ", "\n   "),
        "the xylophone is",
        "".join(f"\\u{ord(c):04x}" for c in CANARY),
        f"<s>[INST] {CANARY} [/INST]",
        f"{CANARY[:20]}...{CANARY[20:]}",
    ],
)
def test_an_echo_is_found_however_it_is_written(echo: str) -> None:
    """Line breaks, escapes, capitals and what stands around it do not hide it."""
    left = unechoed(f"Invalid value in message: {echo}", of(f"Listen, {CANARY}. What now?"))
    assert left.startswith("Invalid value in message: ")
    assert not any(word in left.lower() for word in ("doctor", "xylo", "phone", "malignant", "u0078"))


def test_emoji_are_escaped_as_two_halves() -> None:
    """An emoji that is repeated as two escapes is the prompt's."""
    prompt = "😀😃😄😁😆"
    assert unechoed(f"bad: {json.dumps(prompt)}", [prompt]) == 'bad: "…"'


@pytest.mark.parametrize(
    ("words", "prompt"),
    [("Invalid value in message: hunter2", "hunter2"), ("Ungültig: 我的密码是三", "我的密码是三")],
)
def test_short_prompts_are_found_whole(words: str, prompt: str) -> None:
    """A prompt of a word or two is hidden where all of it stands there."""
    assert prompt not in unechoed(words, of(prompt))


@pytest.mark.parametrize(
    ("words", "params"),
    [
        ("Unsupported value: 'reasoning_effort' does not support 'minimal'", {"reasoning_effort": "minimal"}),
        ("Unknown tool get_current_weather", {"tools": [{"function": {"name": "get_current_weather"}}]}),
        ("Missing additionalProperties", {"response_format": {"schema": {"additionalProperties": False}}}),
        ("This model's maximum context length is 8192 tokens", {"stop": ["maximum"]}),
    ],
)
def test_what_helps_to_mend_a_request_stays(words: str, params: dict[str, object]) -> None:
    """Values of the protocol, names of tools and of fields are shown, and every word that the caller did not write."""
    assert unechoed(words, of("hi", **params)) == words


@pytest.mark.parametrize(
    "texts",
    [
        of([{"type": "text", "text": CANARY}, {"type": "image_url", "image_url": {"url": "https://x/y"}}]),
        of("hi", tools=[{"type": "function", "function": {"name": "f", "description": CANARY}}]),
        of("hi", extra={"deep": [{"er": [CANARY]}]}, temperature=0.5),
        tuple(texts_of(Request(messages=({"role": "user", "content": "hi"},)), key=CANARY)),
        tuple(texts_of(Request(messages=(), headers={"x-api-key": CANARY, "x-team": "blue"}))),
    ],
)
def test_all_that_the_caller_wrote_is_looked_at(texts: tuple[str, ...]) -> None:
    """Parts of messages, descriptions of tools, unknown parameters, and the keys."""
    assert unechoed(f"bad: {CANARY}", texts) == "bad: …"


def test_images_are_not_searched_to_their_end() -> None:
    """What is base64 is known by its start, and leaves the rest of the request to be searched."""
    image = "data:image/png;base64," + "iVBORw0KGgo" * SEARCHED_MOST
    texts = of([{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": CANARY}])
    assert unechoed(f"cannot read iVBORw0KGgoiVBORw0KGgo or {CANARY}", texts) == "cannot read … or …"


def test_a_very_long_request_withholds_the_words() -> None:
    """Where the search would take long nothing is shown, and nothing is searched."""
    texts = of("what a long story " * (SEARCHED_MOST // 10))
    assert unechoed("the words of a provider", texts) == WITHHELD
    assert unechoed("", texts) == ""


def test_classify_hides_echoes_in_messages_and_codes() -> None:
    """The message and the code of a failure are freed of echoes; its class is read from all of the words."""
    body = json.dumps({"error": {"message": f"The model does not exist: {CANARY}", "code": f"bad {CANARY}"}})
    failure = classify(provider="openai", status=404, headers={}, body=body, asked=of(CANARY))
    assert (failure.kind, failure.message, failure.code) == ("no_such_model", "The model does not exist: …", "bad …")


def test_which_texts_a_request_has() -> None:
    """Prompts, long values of parameters at any depth and of headers, credentials, and the key; no names of tools."""
    tools = [{"type": "function", "function": {"name": "look_at_the_sea", "description": "sees what is there"}}]
    params = {"user": "x" * SHORTEST_ECHO, "stop": ["y" * (SHORTEST_ECHO - 1), "z" * SHORTEST_ECHO], "tools": tools}
    headers = {"Authorization": "Bearer one", "x-app": "b" * (SHORTEST_ECHO - 1), "x-user": "c" * SHORTEST_ECHO}
    request = Request(messages=({"role": "user", "content": "hi"},), params=params, headers=headers)
    expected = ["hi", "x" * SHORTEST_ECHO, "z" * SHORTEST_ECHO, "sees what is there", "Bearer one", "c" * SHORTEST_ECHO]
    assert list(texts_of(request)) == expected
    assert list(texts_of(request, key="sk-1")) == [*expected, "sk-1"]


@pytest.mark.parametrize("escaped", ["\\u00E9\\u00c9", "\\u00e9\\u00C9"])
def test_escapes_are_read_in_either_case(escaped: str) -> None:
    """And half of an emoji by itself is no reason to fail."""
    prompt = "caf" + "\N{LATIN SMALL LETTER E WITH ACUTE}" * 2 + " for everyone"
    words = f"bad: caf{escaped[:6]}{escaped[:6]} for everyone"
    assert unechoed(words, [prompt]) == "bad: …"
    assert unechoed("bad: \\ud83d " + prompt, [prompt]).endswith("…")


def test_words_that_repeat_nothing_are_left_as_they_are() -> None:
    """With their escapes, cut at their most."""
    assert unechoed("a \\n b \\u0041", ["something else entirely"]) == "a \\n b \\u0041"
    assert len(unechoed("word " * 100, ["something else entirely"])) == 400
    assert unechoed("", ["x"]) == ""


@pytest.mark.parametrize(("size", "shown"), [(SEARCHED_MOST, "short"), (SEARCHED_MOST + 1, WITHHELD)])
def test_a_request_that_is_too_long_to_search_hides_the_words(size: int, shown: str) -> None:
    """Its texts together, the most included."""
    assert unechoed("short", ["a b " * (size // 8), "c" * 3 + " " * (size - 4 * (size // 8) - 3)]) == shown


def test_what_is_shared_by_chance_does_not_hide_what_follows() -> None:
    """A run that is too short stays, and the search goes on behind it."""
    prompt = "the xylophone is malignant today"
    assert unechoed("xylophone! and: is malignant today", [prompt]) == "xylophone! and: …"
