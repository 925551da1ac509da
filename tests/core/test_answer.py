"""Answers in OpenAI's form: what code written for its client reads, and what goes back in the next turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.core.answer import Answer, Choice, Chunk, ChunkChoice, Function, Message, ToolCall, Usage

TEXTS = st.none() | st.text()
CALLS = st.builds(
    ToolCall,
    id=st.text(),
    function=st.builds(Function, name=st.text(), arguments=st.text()),
    type=st.sampled_from(["function", "custom"]),
)
MESSAGES = st.builds(
    Message,
    content=TEXTS,
    refusal=TEXTS,
    reasoning_content=TEXTS,
    tool_calls=st.none() | st.lists(CALLS, max_size=3).map(tuple),
)


def test_usage_has_openais_names() -> None:
    """Code that reads `prompt_tokens` and `completion_tokens` goes on to work."""
    usage = Usage(input_tokens=7, output_tokens=5)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (7, 5, 12)


@given(message=MESSAGES)
def test_a_message_goes_back_as_it_came(message: Message) -> None:
    """What the next request's `messages` get holds all that the model said, and nothing that it did not."""
    out = message.to_dict()
    assert (out["role"], out["content"]) == ("assistant", message.content)
    for name in ("refusal", "reasoning_content"):
        assert out.get(name) == getattr(message, name)
        assert (name in out) == (getattr(message, name) is not None)
    assert [call["id"] for call in out.get("tool_calls", ())] == [call.id for call in message.tool_calls or ()]
    assert ("tool_calls" in out) == bool(message.tool_calls)
    dumped = message.model_dump(exclude_none=True)
    assert dumped == {name: value for name, value in message.model_dump().items() if value is not None}


def test_a_call_goes_back_by_its_kind() -> None:
    """A function's call has its arguments, a custom tool's call its text; both keep the provider's own fields."""
    said = Function(name="look", arguments="the sea")
    signed = {"extra_content": {"google": {"thought_signature": "x"}}}
    function = ToolCall(id="1", function=said, extra=signed)
    assert function.to_dict() == {
        "id": "1",
        "type": "function",
        "function": {"name": "look", "arguments": "the sea"},
        **signed,
    }
    custom = ToolCall(id="2", function=said, type="custom", extra=signed)
    assert custom.to_dict() == {"id": "2", "type": "custom", "custom": {"name": "look", "input": "the sea"}, **signed}


def test_a_message_dumps_by_openais_name() -> None:
    """Code written for OpenAI's client appends `message.model_dump()` to the conversation."""
    call = ToolCall(id="t", function=Function(name="clock", arguments="{}"))
    message = Message(tool_calls=(call,), extra={"annotations": []})
    assert message.model_dump() == message.to_dict()
    assert message.model_dump(exclude_none=True) == {
        "role": "assistant",
        "tool_calls": [{"id": "t", "type": "function", "function": {"name": "clock", "arguments": "{}"}}],
        "annotations": [],
    }
    assert Message(content="hi").model_dump() == {"role": "assistant", "content": "hi"}


@given(message=MESSAGES)
def test_what_was_written_is_all_text_of_a_message(message: Message) -> None:
    """An estimate of a message's tokens misses no part of it."""
    parts = [message.reasoning_content, message.content, message.refusal]
    for call in message.tool_calls or ():
        parts += [call.function.name, call.function.arguments]
    assert message.written == "".join(part or "" for part in parts)


def test_the_first_choice_is_the_answer() -> None:
    """Its text and its end are the answer's; without a choice the text is empty."""
    first = Choice(message=Message(content="one"), finish_reason="stop")
    second = Choice(index=1, message=Message(content="two"), finish_reason="length")
    both = Answer(choices=(first, second))
    assert (both.text, both.finish_reason) == ("one", "stop")
    assert Answer(choices=(Choice(message=Message()),)).text == ""
    nothing = Answer(choices=())
    assert (nothing.text, nothing.finish_reason) == ("", None)


def test_a_chunk_shows_the_first_choices_text() -> None:
    """Printing `chunk.text` for each chunk gives one answer, not several mixed."""
    chunk = Chunk(
        choices=(
            ChunkChoice(index=1, delta=Message(content="other")),
            ChunkChoice(index=0, delta=Message(content="text")),
            ChunkChoice(index=0, delta=Message()),
        )
    )
    assert chunk.text == "text"
