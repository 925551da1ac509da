"""What the application passes -> `Request`. The only place that validates a request.

Only what no provider could make sense of is refused; whatever one provider may know, unknown parameters and kinds of
content parts included, goes through untouched. An error says where, which type was found, and what is allowed; it
never repeats what stands in a message.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

import orjson

from router.core.answer import Message
from router.core.headers import parse_headers
from router.core.hints import HINT_NAMES, parse_hints
from router.core.request import Hints, Request
from router.core.schema import response_format_of
from router.errors import RequestError

ROLES: Final = ("developer", "system", "user", "assistant", "tool", "function")
PLAIN_ROLES: Final = frozenset({"developer", "system", "user", "assistant"})
"""Roles whose message needs nothing besides its content."""

_ROLE_MOST: Final = 24
_KEY_MOST: Final = 60
"""Characters of a wrong role that an error shows; what is longer may be a prompt in the wrong place."""
_DEPTH_MOST: Final = 200
"""Levels of nesting; orjson stops at 254, and a message is wrapped in a few more before it is sent."""
_INTEGERS: Final = range(-(2**63), 2**64)
"""What orjson, and most JSON readers of providers, can hold."""
_STRICT: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_NO_HINTS: Final = Hints()
_ELSEWHERE: Final = {
    "timeout": "the whole request's time is deadline_s=, in seconds; one attempt's is the model's timeout_s",
    "extra_query": "nothing is sent in a query; fields of the body go into extra_body, headers into extra_headers",
    "base_url": "the model's base_url in the configuration says where it is asked",
}
"""Arguments of OpenAI's client that are no part of a body, and what does their work."""
_KEYS: Final = ("api_key", "apikey", "api-key", "authorization")
_OWN: Final = frozenset({"mode", "models", "request"})
"""Fields that some provider has and that look like a hint of ours."""
_FIXED: Final = ("messages", "model", "stream")
"""What no `extra_body` may replace: the record and the price would be another request's."""


def parse_request(
    prompt_or_messages: str | Iterable[Any] | None = None,
    streamed: bool | None = None,  # noqa: FBT001 - by position, as any name could be a field of the body
    /,
    *,
    messages: Iterable[Any] | None = None,
    stream: bool | None = None,
    **params_and_hints: Any,
) -> Request:
    """Returns the request that the arguments of `Router.complete` mean.

    Args:
        prompt_or_messages: a string, which becomes one user message, or OpenAI chat messages, oldest first.
        streamed: whether the method that was called returns the answer piece by piece; None leaves it to `stream`.
        messages: the messages, for code that names them.
        stream: the same as the caller says it; may not contradict `streamed`.
        **params_and_hints: fields of `Hints`; every other name is a field of the request body. A value of None means
            not given; `extra_body` is merged into the body and `extra_headers` are sent as headers, as OpenAI's client
            does; `response_format` may be a pydantic model class.

    Raises:
        RequestError: no provider could make sense of it. Nothing of a prompt's text stands in the error.
    """
    if prompt_or_messages is not None and messages is not None:
        raise RequestError("both a prompt and messages are given: pass one of them")
    if stream is not None and type(stream) is not bool:
        raise RequestError(f"stream: {_named(stream)} is not allowed; a bool is")
    if None is not stream is not streamed is not None:
        raise RequestError(f"stream: {stream} is not allowed here; stream and astream return pieces, the others do not")
    source = prompt_or_messages if messages is None else messages
    if source is None and "prompt" in params_and_hints:
        raise RequestError('prompt is no parameter: the prompt comes first, without a name, as in complete("...")')
    params: dict[str, Any] = {}
    hints: dict[str, Any] = {}
    for name, value in params_and_hints.items():
        if value is not None:
            (hints if name in HINT_NAMES else params)[name] = value
    headers = parse_headers(params.pop("extra_headers"), model=hints.get("model")) if "extra_headers" in params else {}
    return Request(
        messages=_parse_messages(source),
        params=_parse_params(params) if params else params,
        stream=bool(stream if streamed is None else streamed),
        hints=parse_hints(hints) if hints else _NO_HINTS,
        headers=headers,
    )


def _parse_messages(source: Any) -> tuple[Mapping[str, Any], ...]:
    if isinstance(source, str):
        if not source:
            raise RequestError("the prompt is empty")
        _check_text(source, "the prompt")
        return ({"role": "user", "content": source},)
    if source is None:
        raise RequestError("nothing is asked: pass a prompt or messages")
    if type(source) is not list and (isinstance(source, (Mapping, bytes)) or not isinstance(source, Iterable)):
        raise RequestError(f"messages: {_named(source)} is not allowed; a string or a list of messages is")
    messages = tuple([_parse_message(message, i) for i, message in enumerate(source)])
    if not messages:
        raise RequestError("messages is empty: at least one message is needed")
    return messages


def _parse_message(given: Any, i: int) -> dict[str, Any]:
    """Returns one message as a dict of its own, so that a caller who changes theirs later does not change ours."""
    message: dict[str, Any] = dict(given) if type(given) is dict else _dict_of(given, i)
    role = message.get("role")
    content = message.get("content")
    if len(message) == 2 and type(content) is str and type(role) is str and role in PLAIN_ROLES:
        if not content.isascii():
            _check_text(content, f"messages[{i}].content")
        return message
    where = f"messages[{i}]"
    if not isinstance(role, str) or role not in ROLES:
        found = repr(role) if isinstance(role, str) and len(role) <= _ROLE_MOST else _named(role)
        raise RequestError(f"{where}.role: {found} is not allowed; {', '.join(ROLES)} are")
    _check_content(content, role, where)
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        found = _named(message.get("tool_call_id"))
        raise RequestError(f"{where}.tool_call_id: {found} is not allowed; a tool message names the call it answers")
    if role == "function" and not isinstance(message.get("name"), str):
        raise RequestError(f"{where}.name: {_named(message.get('name'))} is not allowed; a string is")
    if message.get("tool_calls") is not None:
        _check_tool_calls(message["tool_calls"], f"{where}.tool_calls")
    check_json(message, where)
    return message


def _dict_of(message: Any, i: int) -> dict[str, Any]:
    """Returns a message that is no dict as one: our own `Message`, any mapping, or OpenAI's pydantic object."""
    if isinstance(message, Message):
        return message.to_dict()
    if isinstance(message, Mapping):
        return dict(message)
    dump = None if isinstance(message, type) else getattr(message, "model_dump", None)
    if dump is not None:
        dumped: dict[str, Any] = dump(mode="json", exclude_unset=True)
        return dumped
    raise RequestError(f"messages[{i}]: {_named(message)} is not allowed; a dict with role and content is")


def _check_content(content: Any, role: str, where: str) -> None:
    if isinstance(content, str):
        return
    if content is None and role in ("assistant", "function"):
        return
    if not isinstance(content, (list, tuple)):
        raise RequestError(f"{where}.content: {_named(content)} is not allowed; a string or a list of parts is")
    for i, part in enumerate(content):
        if not (type(part) is dict and part.get("type") == "text" and type(part.get("text")) is str):
            _check_part(part, f"{where}.content[{i}]")


def _check_part(part: Any, where: str) -> None:
    """Checks the kinds of parts that OpenAI knows; of any other only that it is a dict with a type."""
    if not isinstance(part, dict):
        raise RequestError(f"{where}: {_named(part)} is not allowed; a dict with a type is")
    match part.get("type"):
        case "text":
            _check_field(part, "text", where)
        case "refusal":
            _check_field(part, "refusal", where)
        case "image_url":
            image = part.get("image_url")
            if not isinstance(image, str):  # Mistral takes the URL itself
                _check_field(_mapping(image, f"{where}.image_url"), "url", f"{where}.image_url")
        case "input_audio":
            audio = part.get("input_audio")
            if not isinstance(audio, str):  # Mistral takes the data itself
                _check_field(_mapping(audio, f"{where}.input_audio"), "data", f"{where}.input_audio")
        case "file":
            file = _mapping(part.get("file"), f"{where}.file")
            if not any(isinstance(file.get(name), str) for name in ("file_id", "file_data")):
                raise RequestError(f"{where}.file: neither file_id nor file_data is a string; one of them must be")
        case str():
            pass
        case other:
            raise RequestError(f"{where}.type: {_named(other)} is not allowed; a string is")


def _check_tool_calls(calls: Any, where: str) -> None:
    if not isinstance(calls, (list, tuple)):
        raise RequestError(f"{where}: {_named(calls)} is not allowed; a list of tool calls is")
    for i, call in enumerate(calls):
        here = f"{where}[{i}]"
        _check_field(_mapping(call, here), "id", here)
        if call.get("type", "function") == "function":
            function = _mapping(call.get("function"), f"{here}.function")
            _check_field(function, "name", f"{here}.function")
            _check_field(function, "arguments", f"{here}.function")


def _parse_params(params: dict[str, Any]) -> dict[str, Any]:
    """Checks, and mends in place, the body's fields besides the messages."""
    _merge_extra(params)
    if "response_format" in params:
        params["response_format"] = response_format_of(params["response_format"])
    for name in ("max_tokens", "max_completion_tokens", "n"):
        if name in params and (type(params[name]) is not int or params[name] < 1):
            number = params[name]
            # A number of thousands of digits has no text.
            found = number if isinstance(number, (int, float)) and abs(number) < 2**64 else _named(number)
            raise RequestError(f"{name}: {found} is not allowed; a whole number of at least 1 is")
    if "max_tokens" in params and params.get("max_completion_tokens", params["max_tokens"]) != params["max_tokens"]:
        raise RequestError(
            f"max_tokens is {params['max_tokens']} and max_completion_tokens is {params['max_completion_tokens']}: "
            "pass one of them, or the same number"
        )
    if "tools" in params:
        _check_tools(params["tools"])
    for name, value in params.items():
        kind = type(value)
        if not (kind is bool or (kind is float and math.isfinite(value))):
            check_json(value, name)
    return params


@lru_cache(maxsize=1024)
def _hint_like(name: str) -> str | None:
    """Returns the hint that a name was most likely meant as; kept, since programs use few names and often."""
    if name.startswith("x_"):  # somebody's own field, as RFC 6648 has it of headers: not a hint misspelt
        return None
    return next(iter(get_close_matches(name, HINT_NAMES, n=1, cutoff=0.8)), None)


@lru_cache(maxsize=1024)
def _check_names(names: tuple[str, ...]) -> None:
    """Refuses fields that OpenAI's client takes and no body holds, and hints misspelt; kept as `_hint_like` is."""
    for name, instead in _ELSEWHERE.items():
        if name in names:
            raise RequestError(f"{name} is no field of a request: {instead}")
    for name in names:
        if name not in _OWN and (near := _hint_like(name)):
            raise RequestError(
                f"{name:.40} is no hint of the router's (did you mean {near}?); a provider's own field of that name "
                "goes into extra_body"
            )
    if "extra_body" not in names:
        _refuse_keys(names)


def _merge_extra(params: dict[str, Any]) -> None:
    """Puts `extra_body` in its place."""
    _check_names(tuple(params))
    if "extra_body" in params:
        extra = _mapping(params.pop("extra_body"), "extra_body")
        for name in _FIXED:
            if name in extra:
                raise RequestError(f"extra_body.{name} is not allowed; pass {name} beside it")
        params.update(extra)
        _refuse_keys(params)


def _refuse_keys(names: Iterable[str]) -> None:
    if any(name.lower() in _KEYS for name in names):
        raise RequestError(
            "a key is no part of a request, and would be logged with it: put it into an environment variable, and name "
            "that variable in the model's key_env"
        )


def _check_tools(tools: Any) -> None:
    if not isinstance(tools, (list, tuple)):
        raise RequestError(f"tools: {_named(tools)} is not allowed; a list of tool definitions is")
    for i, tool in enumerate(tools):
        if _mapping(tool, f"tools[{i}]").get("type") == "function":
            function = _mapping(tool.get("function"), f"tools[{i}].function")
            _check_field(function, "name", f"tools[{i}].function")


def check_json(value: Any, where: str) -> None:
    """Refuses what is no JSON: NaN and infinities, keys that are no strings, other types, lone surrogates, cycles.

    orjson does it at the speed of C, but turns NaN into null: so where it refuses, or its output holds a null that
    is not a None right here (a message without content), the value is walked.

    Raises:
        RequestError: says at which place below `where`.
    """
    try:
        nulls = orjson.dumps(value, option=_STRICT).count(b"null")
        if nulls == 0 or (type(value) is dict and nulls == list(value.values()).count(None)):
            return
    except TypeError:  # orjson's own error; it does not say where
        pass
    fault = _fault(value, where, 0)
    if fault is not None:
        raise RequestError(fault)


def _fault(value: Any, where: str, depth: int) -> str | None:
    """Returns what is wrong at the first place that is no JSON; None where all is."""
    if depth > _DEPTH_MOST:
        top = re.split(r"[.\[]", where, maxsplit=1)[0]
        return f"{top}: nested deeper than {_DEPTH_MOST} levels, or within itself"
    if isinstance(value, dict):
        return _fault_in_dict(value, where, depth)
    if isinstance(value, (list, tuple)):
        faults = (_fault(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value))
        return next((fault for fault in faults if fault is not None), None)
    match value:
        case None | bool():
            return None
        case str():
            return None if _encodable(value) else f"{where}: {_SURROGATE}"
        case int():
            return None if value in _INTEGERS else f"{where}: an integer of more than 64 bits is not allowed"
        case float():
            return None if math.isfinite(value) else f"{where}: {value} is not allowed; JSON has finite numbers only"
        case _:
            return f"{where}: {_named(value)} is not allowed; JSON values are"


def _fault_in_dict(value: dict[Any, Any], where: str, depth: int) -> str | None:
    for key, item in value.items():
        if not isinstance(key, str):
            return f"{where}: a key of type {type(key).__name__} is not allowed; strings are"
        if not _encodable(key):
            return f"{where}: a key {_SURROGATE}"
        name = key if len(key) <= _KEY_MOST else "(a long key)"
        if (fault := _fault(item, f"{where}.{name}", depth + 1)) is not None:
            return fault
    return None


_SURROGATE: Final = "holds half of a surrogate pair, which has no UTF-8 form"


def _encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_text(text: str, where: str) -> None:
    if not _encodable(text):
        raise RequestError(f"{where}: {_SURROGATE}")


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RequestError(f"{where}: {_named(value)} is not allowed; a dict is")
    return value


def _check_field(mapping: dict[str, Any], name: str, where: str) -> None:
    if not isinstance(mapping.get(name), str):
        raise RequestError(f"{where}.{name}: {_named(mapping.get(name))} is not allowed; a string is")


def _named(value: object) -> str:
    """Returns how an error names a value that it must not repeat: by its type."""
    return "None" if value is None else f"a value of type {type(value).__name__}"
