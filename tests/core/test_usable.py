"""Whether an answer is of use to the caller."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.answer import Answer, Choice, Function, Message, ToolCall
from router.core.failure import Failure
from router.core.request import Request
from router.core.schema_check import schema_check
from router.core.usable import CHECKS, DEFAULT_ON, NamedCheck, check, refusal, schema_of, unusable

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "required": ["city"]}},
}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
FRUIT = {
    "type": "json_schema",
    "json_schema": {"name": "fruit", "schema": {"type": "object", "required": ["fruit"]}, "strict": True},
}


def request(**params: Any) -> Request:
    """Returns a request with these parameters."""
    return Request(messages=({"role": "user", "content": "hello"},), params=params)


def choice(content: str | None = None, end: str | None = "stop", **message: Any) -> Choice:
    """Returns one choice."""
    return Choice(message=Message(content=content, **message), finish_reason=end)


def answer(content: str | None = None, end: str | None = "stop", **message: Any) -> Answer:
    """Returns an answer of one choice."""
    return Answer(choices=(choice(content, end, **message),))


def call(name: str = "weather", arguments: str = '{"city": "Rome"}', type_: str = "function") -> ToolCall:
    """Returns one tool call."""
    return ToolCall(id="1", type=type_, function=Function(name=name, arguments=arguments))


def code(failure: Failure | None) -> str | None:
    """Returns the name of the check that failed."""
    return failure.code if failure is not None else None


MESSAGES = st.builds(
    Message,
    content=st.none() | st.text(),
    refusal=st.none() | st.text(),
    tool_calls=st.none()
    | st.lists(
        st.builds(
            ToolCall,
            id=st.just("1"),
            function=st.builds(Function, name=st.sampled_from(["weather", "other"]), arguments=st.text()),
        )
    ).map(tuple),
)
ANSWERS = st.builds(
    Answer,
    choices=st.lists(
        st.builds(
            Choice,
            message=MESSAGES,
            finish_reason=st.sampled_from([None, "stop", "length", "content_filter", "SAFETY"]),
        ),
        max_size=3,
    ).map(tuple),
)
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.sampled_from([[], [WEATHER], [{"type": "web_search"}], "odd"]) | st.lists(st.text()),
        "response_format": st.sampled_from(
            [FRUIT, {"type": "json_object"}, {"type": "text"}, {"type": "json_schema"}, "odd"]
        ),
        "tool_choice": st.sampled_from(["auto", "required", {"type": "function"}, 1]),
    },
)


@given(ANSWERS, PARAMS)
def test_any_answer_to_any_request_can_be_judged(given_: Answer, params: dict[str, Any]) -> None:
    """The judgement never raises; a failure is unusable or filtered, and names a check that is on."""
    failure = unusable(given_, request(**params))
    if failure is not None:
        assert failure.kind in ("unusable", "filtered")
        assert failure.code in DEFAULT_ON
        assert failure.status == 200


@given(ANSWERS, PARAMS, st.sets(st.sampled_from([c.name for c in CHECKS])))
def test_fewer_checks_find_less(given_: Answer, params: dict[str, Any], on: set[str]) -> None:
    """What a few checks refuse, all of them refuse; with none, everything passes."""
    everything = frozenset(c.name for c in CHECKS)
    if unusable(given_, request(**params), switches=on) is not None:
        assert unusable(given_, request(**params), switches=everything) is not None
    assert unusable(given_, request(**params), switches=frozenset()) is None


@given(ANSWERS, PARAMS, st.sampled_from([*CHECKS, NamedCheck(name="own", check=lambda answer, _: answer.text or None)]))
def test_a_check_is_passed_over_only_where_it_has_nothing_to_say(
    given_: Answer, params: dict[str, Any], one: NamedCheck
) -> None:
    """Of each check, one that ships or anyone's own, the judgement is what the check itself says."""
    failure = unusable(given_, request(**params), switches={one.name}, checks=(one,))
    assert (failure.message if failure is not None else None) == one.check(given_, request(**params))


@given(ANSWERS, PARAMS)
def test_one_good_choice_will_do(given_: Answer, params: dict[str, Any]) -> None:
    """Of several answers, one that is of use is enough."""
    good = choice('{"fruit": 1}', tool_calls=(call(),))
    offered = params | {"tools": [WEATHER, {"type": "function", "function": {"name": "other"}}]}
    assert unusable(Answer(choices=(*given_.choices, good)), request(**offered)) is None


@given(st.text(min_size=1).filter(lambda t: not t.isspace()))
def test_text_is_of_use(text: str) -> None:
    """Where nothing special was asked, any words will do, also words that were cut off."""
    assert unusable(answer(text), request()) is None
    assert unusable(answer(text, "length"), request()) is None


@given(st.text(), PARAMS)
def test_a_reason_quotes_neither_answer_nor_request(text: str, params: dict[str, Any]) -> None:
    """Reasons go into the record; answers do not."""
    marked = f"{text} xylophone"
    bad = answer(marked, "content_filter", tool_calls=(call(marked, marked),))
    for on in (DEFAULT_ON, {"broken_tool_call"}, {"wrong_json"}):
        failure = unusable(bad, request(**params), switches=on)
        assert failure is None or "xylophone" not in failure.message


@pytest.mark.parametrize(
    ("given_", "params", "found"),
    [
        (Answer(choices=()), {}, "empty"),
        (answer(None), {}, "empty"),
        (answer(" \n"), {}, "empty"),
        (answer("", reasoning_content="thinking"), {}, "empty"),
        (answer("", extra={"thinking_blocks": [1]}), {}, "empty"),
        (answer("", extra={"audio": {"id": "a"}}), {}, None),
        (answer("", extra={"images": ["x"]}), {}, None),
        (answer("", refusal="no"), {}, None),
        (answer("", tool_calls=(call(),)), {"tools": [WEATHER]}, None),
        (answer("", "tool_calls"), {}, "empty"),
        (answer("", "length"), {}, "cut_off"),
        (answer(None, "length", reasoning_content="hm"), {}, "cut_off"),
        (answer("hi", None), {}, None),
        (answer("hi", "content_filter"), {}, "filtered"),
        (answer("", "MODEL_ARMOR"), {}, "filtered"),
        (answer("", "UNEXPECTED_TOOL_CALL"), {}, "broken_end"),
        (answer("half", "error"), {}, "broken_end"),
    ],
)
def test_endings_and_emptiness(given_: Answer, params: dict[str, Any], found: str | None) -> None:
    """Nothing to read and nothing to do is of no use, however it ended."""
    assert code(unusable(given_, request(**params))) == found


@pytest.mark.parametrize(
    ("calls", "tools", "found"),
    [
        ((call(),), [WEATHER], None),
        ((call(),), (WEATHER,), None),
        ((call(), call("clock", "")), [WEATHER, CLOCK], None),
        ((call(arguments=""),), [WEATHER], "broken_tool_call"),
        ((call(arguments='{"city": "Ro'),), [WEATHER], "broken_tool_call"),
        ((call(arguments="[1]"),), [WEATHER], "broken_tool_call"),
        ((call(arguments="[" * 100_000),), [WEATHER], "broken_tool_call"),
        ((call("made_up"),), [WEATHER], "broken_tool_call"),
        ((call(), call("made_up")), [WEATHER], "broken_tool_call"),
        ((call(),), None, "broken_tool_call"),
        ((call("search"),), [WEATHER, {"type": "web_search"}], None),
        ((call("search", ""),), [{"type": "web_search"}], None),
        ((call("flat"),), [{"type": "function", "name": "flat"}], None),
        ((call("grammar", "free text", "custom"),), [{"type": "custom", "custom": {"name": "grammar"}}], None),
        ((call("made_up", "free text", "custom"),), [{"type": "custom", "custom": {"name": "x"}}], "broken_tool_call"),
    ],
)
def test_tool_calls(calls: tuple[ToolCall, ...], tools: object, found: str | None) -> None:
    """A call names a tool that was offered and carries a JSON object, or nothing where nothing is required."""
    params = {} if tools is None else {"tools": tools}
    assert code(unusable(answer("", "tool_calls", tool_calls=calls), request(**params))) == found


def test_functions_of_the_old_form_are_offered_too() -> None:
    """`functions` is what `tools` was called once."""
    given_ = answer("", tool_calls=(call(),))
    assert unusable(given_, request(functions=[{"name": "weather"}])) is None


@pytest.mark.parametrize(
    ("wanted", "given_", "found"),
    [
        ("auto", answer("hi"), None),
        ("required", answer("hi"), "missing_tool_call"),
        ("any", answer("hi"), "missing_tool_call"),
        ({"type": "function", "function": {"name": "weather"}}, answer("hi"), "missing_tool_call"),
        ({"type": "allowed_tools"}, answer("hi"), None),
        ("required", answer("", tool_calls=(call(),)), None),
        ("required", answer("", extra={"function_call": {"name": "weather"}}), None),
        ("required", answer("", refusal="no"), None),
    ],
)
def test_a_required_tool_call_has_to_come(wanted: object, given_: Answer, found: str | None) -> None:
    """Who requires a call cannot use words, but can use a refusal."""
    assert code(unusable(given_, request(tools=[WEATHER], tool_choice=wanted))) == found


@pytest.mark.parametrize(
    ("format_", "text", "found"),
    [
        ({"type": "text"}, "hi", None),
        ({"type": "json_object"}, '{"a": 1}', None),
        ({"type": "json_object"}, "Sure! Here it is", "wrong_json"),
        ({"type": "json_object"}, '```json\n{"a": 1}\n```', "wrong_json"),
        (FRUIT, '{"fruit": "fig"}', None),
        (FRUIT, '{"fruit": "fi', "wrong_json"),
        (FRUIT, '{"nut": 1}', "wrong_json"),
        ({"type": "json_schema", "schema": {"type": "array"}}, "{}", "wrong_json"),
        ({"type": "json_schema"}, "{}", None),
        ({"type": "json_schema", "json_schema": {"schema": {"type": "nope"}}}, "{}", None),
        ({"type": "json_schema", "json_schema": {"schema": True}}, "{}", None),
        ("json", "hi", None),
    ],
)
def test_json_that_was_asked_for(format_: object, text: str, found: str | None) -> None:
    """It parses as it stands and matches the schema; a schema that is none asks for JSON alone."""
    assert code(unusable(answer(text), request(response_format=format_))) == found


def test_a_tool_call_or_a_refusal_needs_no_json() -> None:
    """A model that may answer in JSON may call a tool or refuse instead."""
    asked = request(response_format=FRUIT, tools=[WEATHER])
    assert unusable(answer("", tool_calls=(call(),)), asked) is None
    assert unusable(answer("", refusal="no"), asked) is None


def test_a_schema_check_that_is_kept_is_used() -> None:
    """Who asks often makes the check once."""
    kept = schema_check({"type": "array"})
    assert code(unusable(answer('{"fruit": 1}'), request(response_format=FRUIT), schema=kept)) == "wrong_json"
    assert unusable(answer("[]"), request(response_format=FRUIT), schema=kept) is None


def test_a_refusal_is_an_answer_unless_switched_on() -> None:
    """Whether to ask another model after a refusal is the policy's business."""
    refused = answer("", refusal="I cannot")
    assert unusable(refused, request()) is None
    assert code(unusable(refused, request(), switches=DEFAULT_ON | {"refusal"})) == "refusal"


def test_users_add_checks_of_their_own() -> None:
    """A check is a function of answer and request; its class is the user's choice."""
    short = NamedCheck(name="short", check=lambda a, _: "too short" if len(a.text) < 5 else None)
    failure = unusable(answer("hi"), request(), checks=(*CHECKS, short), switches=DEFAULT_ON | {"short"})
    assert failure == Failure(kind="unusable", message="too short", status=200, code="short")
    assert unusable(answer("hi there"), request(), checks=(short,), switches={"short"}) is None


def test_a_filtered_answer_has_its_own_class() -> None:
    """What follows a filter is the policy's to say."""
    failure = unusable(answer("", "content_filter"), request())
    assert failure is not None
    assert failure.kind == "filtered"


def test_infinity_is_no_json() -> None:
    """Python's parser takes it; the caller's may not."""
    asked = request(response_format={"type": "json_object"})
    assert code(unusable(answer('{"fruit": Infinity}'), asked)) == "wrong_json"


@pytest.mark.parametrize("given", [{}, {"kind": "unusable"}, {"kind": "filtered"}])
def test_a_function_becomes_a_check_by_its_name(given: dict[str, Any]) -> None:
    """Whose failure is unusable where nothing else is said."""

    def no_apology(said: Answer, asked: Request, /) -> str | None:
        return f"{asked.params} {said.choices[0].message.content}"

    made = check("no_apology", **given)(no_apology)
    assert made == NamedCheck(name="no_apology", check=no_apology, kind=given.get("kind", "unusable"))
    failure = unusable(answer("sorry"), request(n=1), switches={"no_apology"}, checks=[made])
    assert failure == Failure(
        kind=given.get("kind", "unusable"), message="{'n': 1} sorry", status=200, code="no_apology"
    )


def test_a_refusal_is_one_where_the_model_says_so() -> None:
    """In every choice."""
    assert refusal(answer(refusal="no"), request()) == "the model refused"
    assert refusal(answer("yes"), request()) is None
    both = Answer(choices=(choice(refusal="no"), choice("yes")))
    assert refusal(both, request()) is None


@pytest.mark.parametrize(
    ("asked", "schema"),
    [
        (FRUIT, FRUIT["json_schema"]["schema"]),  # type: ignore[index]  # its values are of two kinds
        ({"type": "json_schema", "schema": {"a": 1}}, {"a": 1}),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, None),
        ({"type": "json_schema"}, None),
        ({"type": "json_object", "schema": {"a": 1}}, None),
        ({"schema": {"a": 1}}, None),
        ("json_schema", None),
        (None, None),
    ],
)
def test_the_schema_stands_in_its_wrapper_or_beside_the_type(asked: Any, schema: Any) -> None:
    """In no other place, and for no other type."""
    assert schema_of(request(response_format=asked)) == schema


@pytest.mark.parametrize(
    ("said", "asked", "reason"),
    [
        (answer(end="content_filter"), request(), "the answer was blocked"),
        (answer(end="length"), request(), "the token limit was reached before any text"),
        (answer(), request(), "the answer is empty"),
        (Answer(choices=()), request(), "the answer has no choices"),
        (answer("hi"), request(tool_choice="required"), "a tool call was required, and none came"),
        (
            answer(tool_calls=(call("nobody"),)),
            request(tools=[WEATHER]),
            "a tool call names a tool that was not offered",
        ),
        (answer(tool_calls=(call(arguments=" "),)), request(tools=[WEATHER]), "a tool call lacks its arguments"),
        (
            answer(tool_calls=(call(arguments="[]"),)),
            request(tools=[WEATHER]),
            "a tool call's arguments are no JSON object",
        ),
        (
            answer("hello"),
            request(response_format={"type": "json_object"}),
            "the text is not the JSON that was asked for",
        ),
        (answer("{}"), request(response_format=FRUIT), "the JSON breaks 'required' of the schema"),
    ],
)
def test_why_an_answer_is_of_no_use_stands_in_words(said: Answer, asked: Request, reason: str) -> None:
    """For the record, and for the error that the caller gets; nothing of the answer is repeated."""
    failure = unusable(said, asked)
    assert failure is not None
    assert (failure.message, failure.status) == (reason, 200)
