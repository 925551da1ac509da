"""Reading error bodies of every shape."""

from __future__ import annotations

import json

import pytest

from router.core.failure_body import LONGEST_BODY, Said, read_body


def said(body: object) -> Said:
    """Returns what a body says."""
    return read_body(body if isinstance(body, str | bytes) else json.dumps(body))


@pytest.mark.parametrize(
    ("body", "words", "code", "status"),
    [
        ({"error": {"message": "a", "type": "t", "code": "c"}}, "a", "c", None),
        ({"error": "a", "error_type": "t"}, "a", "t", None),
        ({"message": "a"}, "a", None, None),
        ({"detail": "a"}, "a", None, None),
        ({"detail": [{"msg": "a", "type": "missing"}, {"msg": "b", "type": "missing"}]}, "a | b", "missing", None),
        ([{"error": {"code": 400, "message": "a", "status": "INVALID_ARGUMENT"}}], "a", "INVALID_ARGUMENT", 400),
        (
            {"error": {"code": 400, "message": "a", "status": "X", "details": [{"@type": "t", "reason": "R"}]}},
            "a",
            "R",
            400,
        ),
        ({"errors": ["a", "b"]}, "a | b", None, None),
        ({"type": "json", "content": {"error": {"message": "a"}}}, "a", "json", None),
        ({"error": {"message": "a", "code": True}}, "a", None, None),
        ({"error": {"message": "a", "param": "top_p", "code": None}}, "a", None, None),
        ({"error": {"message": "a", "param": "no such thing"}}, "a | no such thing", None, None),
        ({"error": {"message": 'a: {"message": "b", "code": "c"}'}}, "a: | b", "c", None),
        ({"error": {"message": "a {b} c", "list": ["x", {"message": "y"}]}}, "a {b} c | y", None, None),
        ({"choices": [{"error": {"message": "a", "code": 502}}, "odd"]}, "a", "502", 502),
        ({"choices": {"error": "a"}}, "", None, None),
        ('"a"', "a", None, None),
        ("a", "a", None, None),
        ("", "", None, None),
        ("<html><title> 502\nBad &amp; Gateway </title></html>", "502\nBad & Gateway", None, None),
        ("<html>", "HTML page", None, None),
        ('{"error": {"message": "a \\"b\\" c", "type": "t", "param": "cut off he', 'a "b" c', "t", None),
        ('{"message": "bad \\q escape", "code": "c', "bad \\q escape", "c", None),
        ('event: error\ndata: {"error": {"message": "a"}}\n\n', "a", None, None),
        ('data: {"choices": []}\n\ndata: {"error": {"message": "a"}}\n\ndata: [DONE]', "a", None, None),
        ('{"message": {"content": "x"}}\n{"error": "a"}\n', "a", None, None),
        ('data: {"message": "a"}', "a", None, None),
        ('data: {"x": 1}\ndata: {"y": 2}', "", None, None),
    ],
)
def test_words_and_codes_are_found(body: object, words: str, code: str | None, status: int | None) -> None:
    """Messages in order, the most telling code, and the status that the body names."""
    told = said(body)
    assert (told.words, told.code, told.status) == (words, code, status)


def test_nesting_without_end_is_left() -> None:
    """What stands a hundred levels down is not looked for."""
    body: object = {"message": "deep"}
    for _ in range(100):
        body = {"error": body}
    assert said(body).words == ""


def test_nesting_that_the_parser_refuses_is_read_as_text() -> None:
    """A hundred thousand brackets neither raise nor pass for words."""
    assert said("[" * 100_000).words == ""


def test_an_error_at_the_end_of_a_long_stream_is_found() -> None:
    """Of a long body the start and the end are read."""
    stream = 'data: {"choices": []}\n' * LONGEST_BODY + 'data: {"error": {"message": "late"}}\n'
    assert said(stream).words == "late"


def test_bytes_that_are_no_text_are_read_as_far_as_they_are() -> None:
    """A broken encoding does not hide the words around it."""
    assert "boom" in said(b'{"error": {"message": "boom \xff"}}').words


def test_the_deepest_level_that_is_read() -> None:
    """Twelve objects and lists inside each other, and no more."""
    for deep, words in ((10, "deep"), (11, "")):
        body: object = {"message": "deep"}
        for _ in range(deep):
            body = {"error": body}
        assert said(body).words == words


@pytest.mark.parametrize("more", [0, 1, 2])
def test_a_body_is_read_whole_up_to_its_longest(more: int) -> None:
    """Of a longer one as much from its end as from its start; what stands in between is lost."""
    line = json.dumps({"error": {"message": "boom"}})
    for place in ("start", "middle", "end"):
        filler = "x" * (LONGEST_BODY + more - len(line) - 2)
        at = {"start": 0, "middle": LONGEST_BODY // 2 - 10, "end": len(filler)}[place]
        text = f"{filler[:at]}\n{line}\n{filler[at:]}"
        assert len(text) == LONGEST_BODY + more
        assert (said(text).words == "boom") == (place != "middle" or more == 0)


def test_markup_is_no_stream_of_events() -> None:
    """A page that quotes an event is a page."""
    assert said('<html>\n{"error": {"message": "quoted"}}\n</html>').words == "HTML page"


def test_one_object_over_several_lines_is_one_body() -> None:
    """Objects, lists and texts alike."""
    assert said('{"error":\n {"message":\n "a"}}').words == "a"
    assert said('[\n{"error": {"message": "a"}},\n{"error": {"message": "b"}}\n]').words == "a | b"
