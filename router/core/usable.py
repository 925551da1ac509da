"""Says whether an answer is of use to the caller, so that an empty or broken one is not taken for success.

Each check is a pure function with a name and a switch; users add their own to `CHECKS` and to the switches. A reason
never quotes the answer: it goes into the record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, Literal

from router.core.answer import Answer, Choice, ToolCall
from router.core.failure import Failure
from router.core.request import Request
from router.core.schema import StrictSchema
from router.core.schema_check import SchemaCheck, schema_check

Check = Callable[[Answer, Request], str | None]
"""Returns why the answer is of no use for the request, in words that quote neither; None where it is of use."""

_FILTERED: Final = frozenset(
    "content_filter content_filtered safety prohibited_content blocklist spii recitation language model_armor "
    "image_safety image_prohibited_content guardrail_intervened sensitive".split()
)
_BROKEN: Final = frozenset(
    "error error_limit malformed_function_call malformed_tool_call unexpected_tool_call malformed_response "
    "malformed_model_output too_many_tool_calls missing_thought_signature tool_use_failed".split()
)
"""How an answer ends that a provider itself calls broken; these words have no counterpart among OpenAI's."""
_CONTENT: Final = frozenset({"audio", "images", "image", "video", "function_call"})
"""Fields of `Message.extra` that are an answer in themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCheck:
    """A check with the name of its switch and the class of failure it finds."""

    name: str
    check: Check
    kind: Literal["unusable", "filtered"] = "unusable"


def check(name: str, /, *, kind: Literal["unusable", "filtered"] = "unusable") -> Callable[[Check], NamedCheck]:
    """Turns a function of answer and request into a check, to be passed to `Router(checks=[...])`.

    Example:
        >>> @check("no_apology")
        ... def no_apology(answer, request):
        ...     return "the model apologised" if answer.text.startswith("I'm sorry") else None
        >>> no_apology.name
        'no_apology'

    Args:
        name: of its switch in `[checks]`.
        kind: of the failure that it finds.
    """

    def named(function: Check) -> NamedCheck:
        return NamedCheck(name=name, check=function, kind=kind)

    return named


def schema_of(request: Request, /) -> Mapping[str, Any] | None:
    """Returns the JSON schema that an answer must match; None where the request asks for none.

    In OpenAI's form, or with the schema beside the type, as some hosts take it. Where the caller passed a pydantic
    class, it is the class's own: of the model more is asked, but what the class takes is of use.
    """
    asked = request.params.get("response_format")
    if asked is None or not isinstance(asked, Mapping) or asked.get("type") != "json_schema":
        return None
    wrapper = asked.get("json_schema")
    schema = (wrapper if isinstance(wrapper, Mapping) else asked).get("schema")
    if isinstance(schema, StrictSchema):
        return schema.own
    return schema if isinstance(schema, Mapping) else None


def unusable(
    answer: Answer,
    request: Request,
    *,
    switches: AbstractSet[str] | None = None,
    checks: Iterable[NamedCheck] | None = None,
    schema: SchemaCheck | None = None,
) -> Failure | None:
    """Returns why the answer is of no use for the request, as a failure that is billed by its usage; else None.

    Args:
        answer: what the provider answered.
        request: what was asked.
        switches: names of the checks that are on; None is `DEFAULT_ON`.
        checks: the checks, in the order they are asked; None is `CHECKS`.
        schema: the check for the request's JSON schema, where the caller keeps one; else it is made anew.
    """
    on = DEFAULT_ON if switches is None else switches
    plain = _is_plain(answer, request)
    for named in CHECKS if checks is None else checks:
        if named.name not in on or (plain and id(named.check) in _SHIPPED):
            continue
        if named.check is wrong_json and schema is not None:
            reason = _wrong_json(answer, request, schema)
        else:
            reason = named.check(answer, request)
        if reason is not None:
            return Failure(kind=named.kind, message=reason, status=200, code=named.name)
    return None


def filtered(answer: Answer, _request: Request, /) -> str | None:
    """The provider blocked the answer."""
    return _of_all(answer, lambda c: "the answer was blocked" if _ended(c) in _FILTERED else None)


def broken_end(answer: Answer, _request: Request, /) -> str | None:
    """The provider says that the model ended in an error or a call nobody can read."""
    return _of_all(answer, lambda c: f"the answer ended with {_ended(c)!r}" if _ended(c) in _BROKEN else None)


def cut_off(answer: Answer, _request: Request, /) -> str | None:
    """The token limit was reached before there was anything to use: reasoning ate it."""
    return _of_all(
        answer,
        lambda c: "the token limit was reached before any text" if _ended(c) == "length" and not _says(c) else None,
    )


def empty(answer: Answer, _request: Request, /) -> str | None:
    """No text, no tool call, no refusal, no audio or image."""
    if not answer.choices:
        return "the answer has no choices"
    return _of_all(answer, lambda c: None if _says(c) else "the answer is empty")


def missing_tool_call(answer: Answer, request: Request, /) -> str | None:
    """A tool call was required, and none came."""
    choice = request.params.get("tool_choice")
    named = isinstance(choice, Mapping) and choice.get("type") in ("function", "custom", "tool")
    if choice not in ("required", "any") and not named:
        return None
    return _of_all(
        answer, lambda c: None if _calls(c) or c.message.refusal else "a tool call was required, and none came"
    )


def broken_tool_call(answer: Answer, request: Request, /) -> str | None:
    """A tool call whose arguments are no JSON object, or of a tool that was not offered."""
    if not any(c.message.tool_calls for c in answer.choices):
        return None
    offered = _offered(request.params)
    return _of_all(
        answer, lambda c: next(filter(None, (_broken(t, offered) for t in c.message.tool_calls or ())), None)
    )


def wrong_json(answer: Answer, request: Request, /) -> str | None:
    """JSON was asked for, and the text does not parse or does not match the schema."""
    return _wrong_json(answer, request, None)


def refusal(answer: Answer, _request: Request, /) -> str | None:
    """The model refused."""
    return _of_all(answer, lambda c: "the model refused" if c.message.refusal else None)


CHECKS: Final[tuple[NamedCheck, ...]] = (
    NamedCheck(name="filtered", check=filtered, kind="filtered"),
    NamedCheck(name="broken_end", check=broken_end),
    NamedCheck(name="cut_off", check=cut_off),
    NamedCheck(name="empty", check=empty),
    NamedCheck(name="missing_tool_call", check=missing_tool_call),
    NamedCheck(name="broken_tool_call", check=broken_tool_call),
    NamedCheck(name="wrong_json", check=wrong_json),
    NamedCheck(name="refusal", check=refusal),
)
"""The checks that ship, the most telling reason first."""

DEFAULT_ON: Final = frozenset(c.name for c in CHECKS) - {"refusal"}
"""A refusal is an answer, unless the policy says otherwise."""


_SHIPPED: Final = frozenset(id(c.check) for c in CHECKS)


def _is_plain(answer: Answer, request: Request) -> bool:
    """Returns whether an answer is a text that ended well, to a request that asked for nothing else.

    Most are, and none of the checks that ship has anything to say of one: nobody need ask them.
    """
    if not answer.choices or "tool_choice" in request.params or "response_format" in request.params:
        return False
    choice = answer.choices[0]  # of several answers, one that is of use will do
    message = choice.message
    if choice.finish_reason != "stop" or message.tool_calls or message.refusal:
        return False
    return bool(message.content and not message.content.isspace())


def _of_all(answer: Answer, reason: Callable[[Choice], str | None]) -> str | None:
    """The first choice's reason where every choice has one: of several answers, one that is of use will do."""
    first: str | None = None
    for choice in answer.choices:
        told = reason(choice)
        if told is None:
            return None
        first = told if first is None else first
    return first


def _ended(choice: Choice) -> str:
    return (choice.finish_reason or "").lower()


def _calls(choice: Choice) -> bool:
    return bool(choice.message.tool_calls or choice.message.extra.get("function_call"))


def _says(choice: Choice) -> bool:
    message = choice.message
    if (message.content and not message.content.isspace()) or message.tool_calls or message.refusal:
        return True
    return any(message.extra.get(name) for name in _CONTENT)


def _offered(params: Mapping[str, Any]) -> Mapping[str, bool] | None:
    """Names of the tools offered, with whether each needs arguments; None where one has no name (a built-in tool)."""
    offered: dict[str, bool] = {}
    for tool in (*_list(params.get("tools")), *_list(params.get("functions"))):
        spec = next((s for k in ("function", "custom") if isinstance(s := tool.get(k), Mapping)), tool)
        name, schema = spec.get("name"), spec.get("parameters")
        if not isinstance(name, str):
            return None
        offered[name] = isinstance(schema, Mapping) and bool(schema.get("required"))
    return offered


def _list(value: object) -> Sequence[Mapping[str, Any]]:
    return [v for v in value if isinstance(v, Mapping)] if isinstance(value, list | tuple) else []


def _broken(call: ToolCall, offered: Mapping[str, bool] | None) -> str | None:
    if offered is not None and call.function.name not in offered:
        return "a tool call names a tool that was not offered"
    if call.type != "function":
        return None
    if not call.function.arguments.strip():
        # Some hosts send an empty text for a tool without required arguments; clients of OpenAI's read that as {}.
        needs = offered is not None and offered[call.function.name]
        return "a tool call lacks its arguments" if needs else None
    return None if isinstance(_parsed(call.function.arguments), dict) else "a tool call's arguments are no JSON object"


def _wrong_json(answer: Answer, request: Request, check: SchemaCheck | None) -> str | None:
    asked = request.params.get("response_format")
    if not isinstance(asked, Mapping) or asked.get("type") not in ("json_object", "json_schema"):
        return None
    if check is None and (schema := schema_of(request)) is not None:
        check = schema_check(schema)

    def reason(choice: Choice) -> str | None:
        if choice.message.refusal or _calls(choice):
            return None
        value = _parsed(choice.message.content or "")
        if value is _NOT_JSON:
            return "the text is not the JSON that was asked for"
        return check(value) if check is not None else None

    return _of_all(answer, reason)


_NOT_JSON: Final = object()


def _parsed(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return _NOT_JSON


def _refuse(constant: str) -> None:
    """NaN and Infinity, which Python's parser takes, are no JSON, and other parsers refuse them."""
    raise ValueError(constant)
