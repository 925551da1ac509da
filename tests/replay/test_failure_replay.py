"""Failure classes against hand-labelled provider traffic: errors, and answers under HTTP 200 that are of no use.

Rows that differ only in ids, numbers and quoted names are one template and count once: a single client's capability
tests would otherwise outvote every other provider.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from router.core.answer import Answer, Choice, Function, Message, ToolCall
from router.core.classify import classify, error_in
from router.core.failure import FOLLOW, Failure
from router.core.request import Request
from router.core.usable import unusable
from tests.shared_data import data_path

BAR = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """One labelled recording."""

    label: str
    note: str
    retry_after_s: float | None
    row: Mapping[str, Any]

    @property
    def template(self) -> tuple[str, str, str, str]:
        """What rows have in common that count as one."""
        return (
            self.row["provider"],
            self.row["api"],
            str(self.row["status"]),
            _normal(self.row["response_body"] or ""),
        )


@dataclass(slots=True)
class Tally:
    """How often label and class agree, by template and by row."""

    templates: dict[tuple[str, str, str, str], list[bool]] = field(default_factory=dict)
    disagreements: dict[tuple[str, str, str, str], str] = field(default_factory=dict)

    def add(self, case: Labelled, found: str) -> None:
        """Counts one row."""
        self.templates.setdefault(case.template, []).append(found == case.label)
        if found != case.label:
            row = case.row
            self.disagreements[case.template] = (
                f"{row['id']} {row['provider']} {row['api']} {row['status']}: labelled {case.label}, found {found}"
            )

    @property
    def share(self) -> float:
        """Agreement, each template counting once."""
        return sum(sum(hits) / len(hits) for hits in self.templates.values()) / len(self.templates)

    @property
    def share_of_rows(self) -> float:
        """Agreement, each row counting once."""
        rows = [hit for hits in self.templates.values() for hit in hits]
        return sum(rows) / len(rows)


@pytest.fixture(scope="module")
def labelled() -> Sequence[Labelled]:
    """The rows that the bar is about."""
    recorded = {row["id"]: row for name in ("cassettes_errors", "cassettes_ok") for row in _rows(name)}
    with data_path("cassettes", "failure_labels.csv").open(newline="") as file:
        return [
            Labelled(
                label=entry["class"],
                note=entry["note"],
                retry_after_s=float(entry["retry_after_s"]) if entry["retry_after_s"] else None,
                row=recorded[entry["id"]],
            )
            for entry in csv.DictReader(file)
            if entry["llm_call"] == "true" and entry["confidence"] == "high" and "NEEDS_REQUEST" not in entry["note"]
        ]


def test_the_class_agrees_with_the_label(labelled: Sequence[Labelled], capsys: pytest.CaptureFixture[str]) -> None:
    """At least 95 % of templates get the class that a person gave them; every other one is printed."""
    tally = Tally()
    for case in labelled:
        failure = _failure(case.row)
        tally.add(case, failure.kind if failure is not None else "answer")
    with capsys.disabled():
        print(  # noqa: T201 - the figure and the table are what the suite is run for
            f"\nfailure classes: {tally.share:.2%} of {len(tally.templates)} templates, {tally.share_of_rows:.2%} of "
            f"{len(labelled)} rows agree",
            *sorted(tally.disagreements.values()),
            sep="\n  ",
        )
    assert tally.share >= BAR


def test_what_must_not_be_asked_again_is_not(labelled: Sequence[Labelled]) -> None:
    """Nothing labelled invalid, denied or out_of_quota gets a class that allows the same model and key again."""
    again = [
        (case.row["id"], case.label, failure.kind)
        for case in labelled
        if case.label in ("invalid", "denied", "out_of_quota")
        and (failure := _failure(case.row)) is not None
        and FOLLOW[failure.kind].same_model
    ]
    assert again == []


def test_waits_are_read_as_labelled(labelled: Sequence[Labelled]) -> None:
    """A refusal's wait is the labelled one, and no other class but out_of_quota has one."""
    for case in labelled:
        failure = _failure(case.row)
        assert failure is not None
        if failure.kind == "refused":
            assert failure.retry_after_s == case.retry_after_s
        elif failure.kind != "out_of_quota":
            assert failure.retry_after_s is None


def test_no_message_holds_the_prompt(labelled: Sequence[Labelled]) -> None:
    """No message repeats a passage of what was asked."""
    for case in labelled:
        failure = _failure(case.row)
        assert failure is not None
        for passage in _passages(case.row["request"]):
            assert passage not in failure.message


@pytest.mark.untraced
def test_good_answers_are_of_use(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the recorded answers that nobody labelled as a failure, hardly any is called one; each of those is printed."""
    with data_path("cassettes", "failure_labels.csv").open(newline="") as file:
        known = {entry["id"] for entry in csv.DictReader(file)}
    rows = [
        row
        for row in _rows("cassettes_ok")
        if row["id"] not in known and row["api"] == "openai.chat" and row["status"] == 200 and row["response_body"]
    ]
    flagged = [(row["id"], row["provider"], failure) for row in rows if (failure := _failure(row)) is not None]
    with capsys.disabled():
        print(  # noqa: T201 - the table is what the suite is run for
            f"\nanswers called failures: {len(flagged)} of {len(rows)}",
            *(f"{i} {p}: {f.kind} {f.code} {f.message}" for i, p, f in flagged),
            sep="\n  ",
        )
    assert len(flagged) <= 0.02 * len(rows)


def _failure(row: Mapping[str, Any]) -> Failure | None:
    body = row["response_body"] or ""
    payloads = _payloads(body) if row["status"] == 200 else []
    if row["status"] == 200 and not any(error_in(p) for p in payloads):
        return unusable(_answer(row["api"], payloads), _request(row["request"]))
    return classify(provider=row["provider"], status=row["status"], headers=row["response_headers"] or {}, body=body)


def _rows(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(data_path("cassettes", f"{name}.jsonl.gz"), "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _normal(body: str) -> str:
    """The body without what differs between calls: ids, numbers, quoted names, models, blanks."""
    text = re.sub(r"\b[A-Za-z0-9_-]*\d[A-Za-z0-9_.:/-]*", "N", body[:3000])
    text = re.sub(r"`[^`]{1,80}`|\\?'[^']{1,80}?\\?'|\\\"[^\"]{1,80}?\\\"", "Q", text)
    text = re.sub(r'("(?:request_id|id|eventId|model|user_id|trace_id)": ?)"[^"]*"', r"\1Q", text)
    return re.sub(r"\s+", " ", re.sub(r"\b[\w.-]+/[\w./-]+", "P", text))


def _payloads(body: str) -> list[Any]:
    whole = _json(body)
    if whole is not None:
        return whole if isinstance(whole, list) else [whole]
    lines = (line.removeprefix("data:").strip() for line in body.splitlines())
    return [value for value in map(_json, lines) if value is not None]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _request(body: Mapping[str, Any] | None) -> Request:
    params = {k: v for k, v in (body or {}).items() if k not in ("messages", "model", "stream")}
    return Request(messages=(), params=params if "contents" not in params else {})


def _passages(body: object) -> Iterator[str]:
    """Texts of a request that are long enough to be told from a name."""
    if isinstance(body, Mapping):
        for key, value in body.items():
            if key in ("text", "content") and isinstance(value, str) and len(value) > 30 and " " in value:
                yield value[:60]
            else:
                yield from _passages(value)
    elif isinstance(body, list):
        for value in body:
            yield from _passages(value)


@dataclass(slots=True)
class Plain:
    """A plain reading of an answer, whatever its wire format; shares no code with the clients."""

    text: str = ""
    refusal: str = ""
    end: str | None = None
    calls: dict[int, list[str]] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def call(self, index: int, name: str, arguments: str) -> None:
        """Adds a tool call, or a piece of one."""
        known = self.calls.setdefault(index, ["", ""])
        known[0] += name
        known[1] += arguments


def _answer(api: str, payloads: Sequence[Any]) -> Answer:
    read = {
        "gemini.generate": _read_gemini,
        "ollama.chat": _read_message,
        "cohere.chat": _read_message,
        "bedrock.converse": _read_converse,
        "openai.responses": _read_responses,
    }.get(api, _read_choices)
    plain = Plain()
    for payload in payloads:
        if isinstance(payload, Mapping):
            read(plain, payload)
    calls = tuple(ToolCall(id=str(i), function=Function(name=n, arguments=a)) for i, (n, a) in plain.calls.items())
    message = Message(
        content=plain.text or None, refusal=plain.refusal or None, tool_calls=calls or None, extra=plain.extra
    )
    return Answer(choices=(Choice(message=message, finish_reason=plain.end),))


def _read_choices(plain: Plain, payload: Mapping[str, Any]) -> None:
    for choice in (c for c in payload.get("choices") or () if not c.get("index")):
        end = choice.get("finish_reason")
        plain.end = str(end) if end else plain.end
        message = choice.get("message") or choice.get("delta") or {}
        if choice.get("message"):
            # Perplexity streams all pieces so far beside each piece.
            plain.text = plain.refusal = ""
            plain.calls.clear()
        content = message.get("content") or choice.get("text") or ""
        for part in content if isinstance(content, list) else [{"text": content}]:
            text = part.get("text")
            plain.text += text if isinstance(text, str) else ""
        plain.refusal += message.get("refusal") or ""
        for key in ("audio", "images", "function_call"):
            if message.get(key):
                plain.extra[key] = message[key]
        for i, call in enumerate(message.get("tool_calls") or ()):
            function = call.get("function") or {}
            arguments = function.get("arguments") or ""
            written = arguments if isinstance(arguments, str) else json.dumps(arguments)
            plain.call(call.get("index") or i, function.get("name") or "", written)


def _read_gemini(plain: Plain, payload: Mapping[str, Any]) -> None:
    for candidate in (payload.get("candidates") or [])[:1]:
        end = candidate.get("finishReason")
        # One recorded client writes the number of the enum.
        plain.end = (
            {"STOP": "stop", 1: "stop", "MAX_TOKENS": "length", 2: "length"}.get(end, str(end)) if end else plain.end
        )
        for part in (candidate.get("content") or {}).get("parts") or ():
            if not part.get("thought"):
                plain.text += part.get("text") or ""


def _read_message(plain: Plain, payload: Mapping[str, Any]) -> None:
    message = payload.get("message") or {}
    content = message.get("content") or ""
    plain.text += content if isinstance(content, str) else "".join(p.get("text", "") for p in content)
    plain.end = payload.get("done_reason") or payload.get("finish_reason") or plain.end


def _read_converse(plain: Plain, payload: Mapping[str, Any]) -> None:
    for part in ((payload.get("output") or {}).get("message") or {}).get("content") or ():
        plain.text += part.get("text") or ""
    plain.end = payload.get("stopReason")


def _read_responses(plain: Plain, payload: Mapping[str, Any]) -> None:
    for item in payload.get("output") or ():
        plain.text += "".join(p.get("text") or "" for p in item.get("content") or ())
    plain.end = "length" if payload.get("status") == "incomplete" else "stop"
