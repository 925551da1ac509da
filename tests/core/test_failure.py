"""What an error means, who pays for it, and what may follow."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.classify import LONGEST_CODE, classify, error_in
from router.core.failure import FOLLOW, FailureClass, Follow
from router.core.failure_words import LONGEST_MESSAGE

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from("error message code type detail status choices param loc input raw errors delta".split())
            | st.text(),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
BODIES = st.binary() | st.text() | JSON.map(json.dumps) | JSON.map(lambda v: f"event: error\ndata: {json.dumps(v)}\n\n")
STATUSES = st.none() | st.integers(0, 999)
HEADERS = st.dictionaries(st.sampled_from(["Retry-After", "date", "x-ratelimit-reset", "x-should-retry"]), st.text())


@given(provider=st.text(), status=STATUSES, headers=HEADERS, body=BODIES, now=st.none() | st.datetimes())
def test_whatever_a_provider_sends_has_a_class(
    provider: str, status: int | None, headers: dict[str, str], body: bytes | str, now: datetime | None
) -> None:
    """No status and no bytes raise; the class is one of ours, the message one printable line that a log can write."""
    failure = classify(provider=provider, status=status, headers=headers, body=body, now=now)
    assert failure.kind in get_args(FailureClass)
    assert failure.status == status
    assert 0 < len(failure.message) <= LONGEST_MESSAGE
    assert failure.message.isprintable()
    failure.message.encode()
    assert failure.code is None or len(failure.code) <= LONGEST_CODE
    assert failure.retry_after_s is None or failure.retry_after_s >= 0


@given(body=BODIES, status=STATUSES)
def test_bytes_and_text_mean_the_same(body: bytes | str, status: int | None) -> None:
    """A client may hand over what it has."""
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    raw = body.encode("utf-8", "surrogatepass")
    if raw.decode("utf-8", "replace") == body:
        told = [classify(provider="x", status=status, headers={}, body=b) for b in (body, raw)]
        assert told[0] == told[1]


@given(payload=JSON)
def test_any_payload_can_be_asked_whether_it_is_an_error(payload: object) -> None:
    """The question never raises, and wrapping an error in an array does not hide it."""
    assert error_in([payload]) == error_in(payload)


@given(
    status=st.sampled_from([401, 402, 403, 404, 408, 413, 429, 500, 502, 503, 504, 529]),
    body=st.sampled_from([b"", b"{}", b"<html>"]),
)
def test_a_status_alone_decides_only_without_words(status: int, body: bytes) -> None:
    """Where the body says nothing, the status does."""
    by_status = {
        401: "denied",
        402: "out_of_quota",
        403: "denied",
        404: "no_such_model",
        408: "timed_out",
        413: "too_long",
        429: "refused",
        503: "refused",
        529: "refused",
    }
    assert classify(provider="x", status=status, headers={}, body=body).kind == by_status.get(status, "server_error")


DESIGN = """
not_sent      | no    | next attempt
refused       | no    | wait if that fits the deadline, or the next model
out_of_quota  | no    | next model; this key is out for long
too_long      | no    | next model with a larger window
no_such_model | no    | next model; warn once
unsupported   | no    | next model; learn the capability
invalid       | no    | stop
denied        | no    | next key or model; this key is out until changed
filtered      | maybe | as the policy says
server_error  | worst | next attempt; counts as waste
timed_out     | worst | next attempt; counts as waste
cut           | worst | next attempt; counts as waste
unusable      | reported | next model; counts as waste
"""
"""The design's table of failure classes: class, who pays, what may follow."""


def test_what_may_follow_is_the_design() -> None:
    """Every class has one row, and the row allows what the design's words say."""
    rows = {line.split("|")[0].strip(): [c.strip() for c in line.split("|")] for line in DESIGN.strip().splitlines()}
    assert set(rows) == set(FOLLOW) == set(get_args(FailureClass))
    for kind, follow in FOLLOW.items():
        _, billed, after = rows[kind]
        key_matters = "key" in after
        assert follow == Follow(
            same_model=after.startswith(("next attempt", "wait")),
            other_model=after != "stop",
            other_key=key_matters or after.startswith(("next attempt", "wait")),
            larger_window_only="larger window" in after,
            billed=billed,  # type: ignore[arg-type]  # a word of the table above
        )


@pytest.mark.parametrize("kind", ["invalid", "denied", "out_of_quota"])
def test_the_same_model_and_key_are_not_asked_again(kind: FailureClass) -> None:
    """Asking again would fail again."""
    assert not FOLLOW[kind].same_model


def test_the_table_cannot_be_changed() -> None:
    """No plug-in may allow itself more."""
    with pytest.raises(TypeError):
        FOLLOW["invalid"] = FOLLOW["refused"]  # type: ignore[index]  # what the test is about


def test_a_wait_is_believed_on_refusals_alone() -> None:
    """Some hosts send Retry-After on every answer; on a malformed request it means nothing."""
    headers = {"Retry-After": "7"}
    refused = classify(provider="together", status=429, headers=headers, body="rate limited")
    invalid = classify(
        provider="together", status=400, headers=headers, body='{"error": {"message": "messages: field required"}}'
    )
    quota = classify(provider="openai", status=429, headers=headers, body='{"error": {"code": "insufficient_quota"}}')
    assert (refused.retry_after_s, invalid.retry_after_s, quota.retry_after_s) == (7.0, None, 7.0)


def test_should_retry_and_the_telling_code_are_kept() -> None:
    """The provider's advice and its most particular code stand in the failure."""
    body = {"error": {"type": "invalid_request_error", "code": "context_length_exceeded", "message": "too long"}}
    failure = classify(provider="openai", status=400, headers={"X-Should-Retry": "false"}, body=json.dumps(body))
    assert (failure.kind, failure.code, failure.should_retry) == ("too_long", "context_length_exceeded", False)


def test_a_date_needs_a_clock() -> None:
    """Without a clock a date says nothing; the clock is an argument."""
    headers = {"retry-after": "Mon, 23 Nov 2026 12:00:09 GMT"}
    told = [classify(provider="x", status=429, headers=headers, body="", now=now).retry_after_s for now in (None, NOON)]
    assert told == [None, 9.0]


@pytest.mark.parametrize(
    "payload",
    [
        {"error": {"message": "boom"}},
        {"error": "boom"},
        {"type": "error", "error": {"type": "overloaded_error"}},
        {"type": "response.failed", "response": {"error": {"message": "boom"}}},
        {"object": "error", "message": "boom"},
        {"__type": "ThrottlingException", "message": "Rate exceeded"},
        {"throttlingException": {"message": "Too many requests"}},
        {"choices": [{"delta": {"content": ""}, "error": {"code": 502, "message": "Provider returned error"}}]},
        {"choices": [{"delta": {"content": ""}, "finish_reason": "error"}]},
        {"promptFeedback": {"blockReason": "SAFETY"}},
        {"type": "message-end", "delta": {"finish_reason": "ERROR"}},
        {"code": 400, "reason": "INVALID_REQUEST_BODY", "message": "boom"},
    ],
)
def test_errors_hide_in_success(payload: dict[str, object]) -> None:
    """Each form in which a provider sends an error under HTTP 200 is seen."""
    assert error_in(payload)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"error": None, "object": "response", "status": "completed"},
        {"type": "message_start", "message": {"role": "assistant"}},
        {"choices": [{"delta": {"content": "error"}, "finish_reason": None}], "message": "x", "code": 1},
        {"choices": ["odd"]},
        {"candidates": [{"finishReason": "STOP"}], "promptFeedback": {"blockReason": "SAFETY"}},
        {"message": {"role": "assistant", "content": "hi"}, "done": True},
        {"message": "hi"},
        {"code": 1, "status": 2},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}},
    ],
)
def test_answers_are_no_errors(payload: dict[str, object]) -> None:
    """An answer that talks of errors, or has the field empty, stays an answer."""
    assert not error_in(payload)


@pytest.mark.parametrize("body", ["error", 7, None, [1, "x"]])
def test_what_is_no_object_is_no_error(body: object) -> None:
    """A bare value is the parser's business."""
    assert not error_in(body)


def test_an_error_inside_a_success_goes_by_the_status_it_names() -> None:
    """OpenRouter puts the upstream's status into the choice's error."""
    body = {"choices": [{"error": {"code": 502, "message": "Upstream said no"}}]}
    failure = classify(provider="openrouter", status=200, headers={}, body=json.dumps(body))
    assert (failure.kind, failure.status) == ("server_error", 200)


def test_an_error_inside_a_success_without_a_reason_is_assumed_billed() -> None:
    """The design's word for it: assume the worst."""
    assert classify(provider="x", status=200, headers={}, body='{"error": {"message": "hm"}}').kind == "server_error"


@pytest.mark.parametrize(
    ("headers", "where"),
    [
        ({"Location": "//other.example:8443/x"}, "to other.example:8443"),
        ({"location": "/v2/chat"}, "to another path of the same host"),
        ({}, "elsewhere"),
    ],
)
def test_a_redirect_is_an_address_that_has_no_such_model(headers: dict[str, str], where: str) -> None:
    """A redirect is named as one, with the host it leads to and nothing else of its address."""
    failure = classify(provider="openai", status=307, headers=headers, body=b"moved")
    assert failure.kind == "no_such_model"
    assert failure.message.startswith(f"the address redirects {where}, ")


@pytest.mark.parametrize(
    ("status", "named", "kind"),
    [
        (None, 429, "refused"),
        (200, 429, "refused"),
        (399, 429, "refused"),
        # What the server says by its own status counts before what a body quotes of another.
        (400, 429, "unsupported"),
        (503, 401, "refused"),
        (None, None, "server_error"),
    ],
)
def test_the_status_that_a_body_names_counts_where_there_is_none(
    status: int | None, named: int | None, kind: str
) -> None:
    """Or where there is one of success; the failure has the status that was sent."""
    body = json.dumps({"error": {} if named is None else {"code": named}})
    failure = classify(provider="any", status=status, headers={}, body=body)
    assert (failure.kind, failure.status) == (kind, status)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_keeps_its_status(status: int) -> None:
    """Of every kind."""
    failure = classify(provider="x", status=status, headers={"LOCATION": "https://a.example/b"}, body="moved")
    assert (failure.kind, failure.status) == ("no_such_model", status)
    assert failure.message == (
        "the address redirects to a.example, which is not followed; set base_url to where it leads"
    )
