from __future__ import annotations

from router.core.answer import Function, Message, ToolCall

CALL = ToolCall(id="t", function=Function(name="clock", arguments="{}"))


def test_a_message_dumps_by_openais_name() -> None:
    """Code written for OpenAI's client appends `message.model_dump()` to the conversation."""
    message = Message(tool_calls=(CALL,), extra={"annotations": []})
    assert message.model_dump() == message.to_dict()
    assert message.model_dump(exclude_none=True) == {
        "role": "assistant",
        "tool_calls": [{"id": "t", "type": "function", "function": {"name": "clock", "arguments": "{}"}}],
        "annotations": [],
    }
    assert Message(content="hi").model_dump() == {"role": "assistant", "content": "hi"}
