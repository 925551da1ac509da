"""What a failure's message may say: the provider's words, without secrets and without the prompt."""

from __future__ import annotations

import base64
import json
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.classify import classify
from router.core.failure_words import LONGEST_MESSAGE, plain, shown

CANARY = "my doctor says the xylophone is malignant"


def message_of(body: object) -> str:
    """Returns what a log would hold of such an error."""
    text = body if isinstance(body, str) else json.dumps(body)
    failure = classify(provider="any", status=400, headers={}, body=text)
    return f"{failure.message} {failure.code}"


@pytest.mark.parametrize(
    "body",
    [
        {"detail": [{"type": "string_type", "loc": ["body", "messages"], "msg": "Input should be", "input": CANARY}]},
        {"detail": [{"msg": "bad", "loc": ["body", CANARY], "ctx": {"error": CANARY}, "url": CANARY}]},
        {"error": {"message": "Failed to call a function.", "code": "tool_use_failed", "failed_generation": CANARY}},
        {"error": {"message": f"1 validation error: x [type=string, input_value='{CANARY}', input_type=str]"}},
        {"error": {"message": f"1 validation error: x [type=dict, input_value={{'a': {CANARY}}}, input_type=dict]"}},
        {"error": {"message": f"Invalid value: '{CANARY}'. Expected a number."}},
        {"error": {"message": f'Invalid value: "{CANARY}'}},
        {"error": {"message": f"Failed to parse input at pos 0: {CANARY}"}},
        {"error": {"message": f"error parsing tool call: raw='{CANARY}', err=unexpected end"}},
        {"error": {"message": f"Unexpected token in JSON: {CANARY}"}},
        {"error": {"message": f"could not parse, got: {CANARY}"}},
        {"error": {"message": f"Your prompt was: {CANARY}"}},
        {"error": {"message": f"bad `{CANARY}` here"}},
        {"error": {"message": f"bad “{CANARY}” here"}},
        {"error": {"message": f'bad {{"messages": [{{"content": "{CANARY}"}}]}} here'}},
        {"error": {"message": "bad request", "request": {"message": CANARY}, "messages": [{"message": CANARY}]}},
        {"error": {"message": "boom"}, "choices": [{"message": {"content": CANARY}, "error": {"message": "cut"}}]},
        {"error": {"message": "Provider returned error", "metadata": {"raw": json.dumps({"input": CANARY})}}},
        {"error": {"message": "boom", "code": f"'{CANARY}'"}},
        {"error": {"message": "boom"}, "tools": [{"description": CANARY}], "instructions": CANARY},
        f'data: {{"choices": [{{"delta": {{"content": "{CANARY}"}}}}]}}\n\ndata: [DONE]\n',
        f'data: {{"choices": [{{"delta": {{"content": "{CANARY}"}}}}]}}\n\nevent: error\ndata: {{"error": "boom"}}\n\n',
        f'{{"error": {{"message": "boom", "failed_generation": "{CANARY}',
        f"<html><head><title>502 Bad Gateway</title></head><body>{CANARY}</body></html>",
    ],
)
def test_the_prompt_is_not_repeated(body: object) -> None:
    """Wherever a provider echoes what it was sent, or what the model wrote, the message does not."""
    assert "xylophone" not in message_of(body)


KEYS = [
    "sk-proj-Ab12Cd34Ef56",
    "sk-ant-api03-Zz9Yy8Xx7",
    "gsk_1a2B3c4D5e6F",
    "xai-9f8E7d6C5b4A",
    "AIzaSyD-9tSrke72PouQMnMX",
    "hf_QwErTy123456",
    "pplx-0a1b2c3d4e5f",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def",
    "0123456789abcdef0123456789abcdef",
    "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "dGhpcyBpcyBhIHNlY3JldCBvZiAzMiBieXRlcyEhIQ==",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "wording",
    [
        "Incorrect API key provided: {}. You can find your key elsewhere.",
        "Key {} has no access",
        "Invalid Authorization: Bearer {}",
        "GET https://host/v1?key={}&alt=sse failed",
        "The key '{}' is disabled",
    ],
)
def test_known_keys_are_masked(wording: str, key: str) -> None:
    """No key of a known form is shown, however the provider words it."""
    assert key not in message_of({"error": {"message": wording.format(key)}})


@pytest.mark.parametrize(
    "key", ["sk-lower1case", "gsk_only-one-digit-7", "hf_short12", "AKIAABCDEFGH", "sk-pro***cd12"]
)
def test_a_known_form_is_enough(key: str) -> None:
    """Keys that look like a name, or are half masked already, are known by their first letters."""
    assert key not in shown(f"no access with {key} here")


def test_a_value_that_did_not_validate_is_left_out_whatever_it_is() -> None:
    """The echo of pydantic goes also where it is one word, and before any rule sees it."""
    words = plain("bad temperature [type=float_parsing, input_value=xylophone, input_type=str]")
    assert words == "bad temperature [type=float_parsing, , input_type=str]"


@given(st.randoms(use_true_random=False), st.sampled_from(["hex", "base64", "letters"]), st.integers(24, 64))
def test_keys_of_unknown_form_are_masked(random_: random.Random, form: str, size: int) -> None:
    """A long random word is taken for a secret where it is called a key, whatever alphabet it is written in."""
    secret = {
        "hex": lambda: random_.randbytes(size).hex(),
        "base64": lambda: base64.b64encode(random_.randbytes(size)).decode(),
        "letters": lambda: "".join(random_.choices(string.ascii_letters + string.digits, k=size)),
    }[form]()
    assert secret not in message_of({"error": {"message": f"Invalid API key: {secret}"}})


def test_most_random_words_are_masked_anywhere() -> None:
    """Where nothing calls it a key, a random word still goes, in all but a few in a thousand."""
    draw = random.Random(7)
    shown_ = sum(
        (secret := draw.randbytes(draw.randint(12, 48)).hex()) in shown(f"no access with {secret} here")
        for _ in range(2000)
    )
    assert shown_ <= 10


@pytest.mark.parametrize(
    "name",
    [
        "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
        "accounts/fireworks/models/llama-v3p1-405b-instruct",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "gpt-4o-mini-search-preview-2025-03-11",
        "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
        "response_format.json_schema.schema",
        "max_completion_tokens",
    ],
)
def test_names_stay(name: str) -> None:
    """What says how to mend it, the name of a model, parameter or quota, is shown."""
    assert name in shown(plain(f"Invalid value for '{name}'"))


@given(st.text())
def test_words_are_one_short_printable_line(words: str) -> None:
    """No line break, no terminal escape, no lone surrogate, nothing endless."""
    line = shown(plain(words))
    assert len(line) <= LONGEST_MESSAGE
    assert line == "" or line.isprintable()
    line.encode()


def test_a_long_message_is_cut_and_says_so() -> None:
    """A cut message ends in an ellipsis."""
    line = shown("word " * 200)
    assert len(line) <= LONGEST_MESSAGE
    assert line.endswith("word…")


def test_json_quoted_deeper_than_anyone_does_ends() -> None:
    """The innermost levels go first; a body of a thousand levels does not take a thousand passes."""
    assert plain("{'a':" * 50 + "1" + "}" * 50).count("…") >= 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("got: abc def", "got: …"),
        ("got: abcdef", "got: abcdef"),
        (f"got: {'a' * 40}", f"got: {'a' * 40}"),
        (f"got: {'a' * 41}", "got: …"),
        ("your prompt was:  two words | and more", "your prompt was: … | and more"),
        ("text: 5 of 7 words", "text: 5 of 7 words"),
    ],
)
def test_what_follows_a_mark_is_an_echo_where_it_is_prose(words: str, message: str) -> None:
    """Several words, or one that is longer than any name; a number is none."""
    assert shown(words) == message


def test_a_long_message_is_cut_and_marked() -> None:
    """At the end of a word, never in front of it, and not where it just fits."""
    assert shown("a" * LONGEST_MESSAGE) == "a" * LONGEST_MESSAGE
    assert shown("a" * (LONGEST_MESSAGE + 1)) == "a" * (LONGEST_MESSAGE - 1) + "…"
    assert shown(f"{'a' * (LONGEST_MESSAGE - 2)} {'b' * 9}") == "a" * (LONGEST_MESSAGE - 2) + "…"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ('no "name_of-a.field" here', 'no "name_of-a.field" here'),
        ("no `x` here", "no `x` here"),
        ('no "two words" here', 'no "…" here'),
        ("no 'two words' here", "no '…' here"),
        (f'no "{"a" * 80}" here', f'no "{"a" * 80}" here'),
        (f'no "{"a" * 81}" here', 'no "…" here'),
        ('no "unfinished', 'no "…"'),
        ("it isn't so, is it", "it isn't so, is it"),
    ],
)
def test_a_quoted_name_stays_and_quoted_prose_goes(words: str, text: str) -> None:
    """A name has no blanks, at most 80 characters, and an end."""
    assert plain(words) == text


@pytest.mark.parametrize("deep", [1, 2, 3])
def test_json_goes_from_the_inside_out(deep: int) -> None:
    """However many objects stand inside each other."""
    text = "x: y"
    for _ in range(deep):
        text = f"{{k: {text}}}"
    assert plain(f"bad {text} here") == "bad … here"
