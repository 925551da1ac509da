from __future__ import annotations

import re
import warnings

import pytest

from router import Answer, Choice, Message, Request, RouterWarning
from router.logged import WITHHELD, Logged, Replace

REQUEST = Request(
    messages=({"role": "user", "content": [{"type": "text", "text": "my card is 4111"}, {"n": 1}]},),
    params={"user": "4111", "temperature": 0.5},
)
ANSWER = Answer(choices=(Choice(message=Message(content="your card 4111")),))


def test_every_text_is_redacted_at_any_depth() -> None:
    """Messages, parameters and answers; the replacement is taken literally, and what is no text stays."""
    logged = Logged((Replace(re.compile(r"\d{4}"), r"[\1]"),))
    assert logged(REQUEST, ANSWER) == {
        "messages": [{"role": "user", "content": [{"type": "text", "text": r"my card is [\1]"}, {"n": 1}]}],
        "params": {"user": r"[\1]", "temperature": 0.5},
        "answer": [{"role": "assistant", "content": r"your card [\1]"}],
    }


def test_redactors_apply_in_order_and_no_answer_is_none() -> None:
    """Each gets what the one before left."""
    logged = Logged((Replace(re.compile("4111"), "x"), Replace(re.compile("card is x"), "y")))
    content = logged(REQUEST, None)
    assert content["messages"][0]["content"][0]["text"] == "my y"
    assert content["answer"] is None


def test_a_redactor_that_fails_leaks_nothing() -> None:
    """The text is withheld and a warning raised that does not quote it."""

    def broken(text: str) -> str:
        raise KeyError(text)

    with pytest.warns(RouterWarning) as warned:
        content = Logged((broken,))(REQUEST, ANSWER)
    assert content["answer"] == [{"role": WITHHELD, "content": WITHHELD}]
    assert not any("4111" in str(warning.message) for warning in warned)


def test_a_redactor_that_fails_costs_no_record_where_warnings_are_errors() -> None:
    """The text is withheld all the same."""

    def broken(text: str) -> str:
        raise KeyError(text)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        content = Logged((broken,))(REQUEST, None)
    assert content["params"] == {"user": WITHHELD, "temperature": 0.5}
