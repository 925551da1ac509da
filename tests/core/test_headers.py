from __future__ import annotations

from typing import Any

import pytest

from router.core.headers import is_credential
from router.core.key import content_key
from router.core.parse import parse_request
from router.errors import RequestError

KEY = "sk-test-key-that-must-not-leak"


def test_extra_headers_are_headers_not_body() -> None:
    """`extra_headers` means what it means to OpenAI's client; names are compared in lower case; no repr shows them."""
    request = parse_request("hi", model="m", extra_headers={"Authorization": f"Bearer {KEY}", "X-A": "1"}, top_k=1)
    assert request.headers == {"authorization": f"Bearer {KEY}", "x-a": "1"}
    assert request.params == {"top_k": 1}
    assert KEY not in repr(request)
    assert parse_request("hi", extra_headers=None).headers == {}


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ([KEY], "extra_headers: a value of type list is not allowed; a dict is"),
        ({KEY + " ": "x"}, "extra_headers: a name is not one that HTTP knows"),
        ({1: "x"}, "extra_headers: a name is not one that HTTP knows"),
        ({"X-A": 5}, "extra_headers.X-A: the value is not allowed; a string of one line is"),
        ({"X-A": f"1\r\nX-B: {KEY}"}, "extra_headers.X-A: the value is not allowed; a string of one line is"),
        (
            {"Authorization": KEY},
            (
                "extra_headers.Authorization: a key would go to every provider that is asked; name the only one with "
                "model=, or keep the key in the environment, as key_env says"
            ),
        ),
    ],
)
def test_headers_that_cannot_be_sent_are_refused(headers: Any, said: str) -> None:
    """No value is shown, as it may be a key; a key that any provider would see is refused."""
    with pytest.raises(RequestError) as caught:
        parse_request("hi", extra_headers=headers)
    assert said == str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("name", ["authorization", "X-Api-Key", "api-key", "x-goog-api-key", "Cookie", "x-auth-token"])
def test_keys_are_known_by_their_headers(name: str) -> None:
    """Whatever the provider calls them."""
    assert is_credential(name)
    assert not is_credential(f"{name}-version")


def test_headers_that_can_change_an_answer_are_part_of_the_key() -> None:
    """A beta flag is; a key and what follows a request are not, whatever the case of their names."""

    def key(headers: dict[str, str] | None) -> str:
        return content_key(parse_request("hi", model="m", extra_headers=headers), "p")

    beta = key({"anthropic-beta": "a"})
    assert len({key(None), beta, key({"anthropic-beta": "b"}), key({"X-Beta": "a"})}) == 4
    assert beta == key({"Anthropic-Beta": "a"})
    assert key({"Authorization": KEY, "Idempotency-Key": "1", "User-Agent": "me"}) == key(None)
