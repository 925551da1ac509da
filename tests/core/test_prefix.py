"""What requests begin with alike: marks are shared exactly as far as two requests say the same."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.core.prefix import prefix_of

MESSAGES = st.lists(
    st.builds(
        lambda role, text: {"role": role, "content": text},
        st.sampled_from(["user", "assistant"]),
        st.sampled_from("ab"),
    ),
    max_size=6,
)


@given(one=MESSAGES, other=MESSAGES, tools=st.sampled_from(["", "[]"]))
def test_marks_are_shared_as_far_as_messages_are(one: list[Any], other: list[Any], tools: str) -> None:
    """Two conversations share the marks of their common beginning, and none after it."""
    common = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    first, second = prefix_of(tools, one), prefix_of(tools, other)
    assert len(set(first) & set(second)) == common + bool(tools)


@given(one=MESSAGES.filter(bool))
def test_tools_come_before_everything(one: list[Any]) -> None:
    """Whoever has other tools shares nothing, as in a provider's prompt cache."""
    assert not set(prefix_of('[{"a":1}]', one)) & set(prefix_of("", one))


@given(messages=MESSAGES)
def test_sizes_grow(messages: list[Any]) -> None:
    """Each mark counts the bytes of all that comes before."""
    sizes = [size for _, size in prefix_of("", messages)]
    assert sizes == sorted(set(sizes))


def test_the_order_of_keys_does_not_matter() -> None:
    """It reaches no provider."""
    assert prefix_of("", [{"role": "user", "content": "a"}]) == prefix_of("", [{"content": "a", "role": "user"}])


def test_of_many_marks_the_first_and_the_last_are_kept() -> None:
    """The first are shared by many conversations, at the last ones this conversation goes on."""
    messages = [{"role": "user", "content": str(i)} for i in range(100)]
    marks = prefix_of("", messages)
    assert marks[:8] == prefix_of("", messages[:8])
    assert len(marks) == 32
    assert marks[-2] == prefix_of("", messages[:99])[-1]


def test_what_is_no_text_has_marks_too() -> None:
    """Half of a surrogate pair is refused elsewhere, not here."""
    assert prefix_of("", [{"role": "user", "content": "\ud800"}]) != prefix_of("", [{"role": "user", "content": "?"}])


def test_tools_count_in_bytes_as_messages_do() -> None:
    """A description in Chinese weighs three bytes a character."""
    assert prefix_of("描述", [])[0][1] == 6
