"""Gemini's `generateContent`: requests by litellm's transform, answers and streams read here.

Read from the provider's documentation (https://ai.google.dev/api/generate-content). Requests go to Google AI Studio;
the readers also read Vertex AI's answers, which are the same but for enumerations that some of its libraries write as
numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from router.clients import exchange, litellm_adapter
from router.clients.client import Call
from router.clients.counts import believable, count_at, text_or_none
from router.clients.litellm_adapter import WireRequest
from router.clients.media import Remote
from router.core.answer import Answer, Choice, Chunk, ChunkChoice, Function, Message, ToolCall, Usage
from router.core.failure import Failure

_FINISH: Final = MappingProxyType(
    {"STOP": "stop", "MAX_TOKENS": "length"}
    | dict.fromkeys(
        "SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII MODEL_ARMOR IMAGE_SAFETY "
        "IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION".split(),
        "content_filter",
    )
    | dict.fromkeys(
        "MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE MALFORMED_RESPONSE "
        "NO_IMAGE".split(),
        "error",
    )
)
"""Finish reasons in OpenAI's words; "error" where what the model wrote is of no use. `OTHER` stays as it is."""

_FINISH_NUMBERS: Final = MappingProxyType(
    {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER", 7: "PROHIBITED_CONTENT", 8: "SPII"}
)
"""Those numbers that mean the same in Google AI's and in Vertex AI's `Candidate.FinishReason` enumerations."""

_MODALITY_NUMBERS: Final = MappingProxyType({1: "TEXT", 2: "IMAGE", 3: "VIDEO", 4: "AUDIO", 5: "DOCUMENT"})

_TOTALS: Final = ("promptTokenCount", "candidatesTokenCount", "responseTokenCount", "thoughtsTokenCount")

_SHOWN: Final = frozenset({"text", "thought", "thoughtSignature", "functionCall", "inlineData"})
"""Fields of a part that have a place in OpenAI's message."""


_EMPTY: Final = Message()


class GeminiClient(exchange.FormatClient):
    """Speaks to Google AI Studio, or to whatever serves its API at the model's `base_url`."""

    def __init__(self) -> None:
        super().__init__(_Generate())


class _Generate:
    """The wire format, for `exchange`."""

    provider = "gemini"

    async def ready(self) -> None:
        await litellm_adapter.ready()

    def wanted(self, remote: Remote, /) -> bool:
        return litellm_adapter.gemini_inlines(remote)

    def request(self, call: Call, /) -> WireRequest | Failure:
        return litellm_adapter.gemini(call)

    def whole(self, body: Mapping[str, Any], wire: WireRequest, headers: Mapping[str, str], /) -> Answer | None:
        return answer_from(body, headers) if _is_answer(body) else None

    def reading(self, wire: WireRequest, /) -> Reading:
        return Reading()


def _is_answer(body: Mapping[str, Any]) -> bool:
    return isinstance(body.get("candidates"), list) or bool(body.get("promptFeedback"))


def usage_from(body: Mapping[str, Any]) -> Usage | None:
    """Returns the tokens of an answer's body; None where it reports none.

    Thoughts are counted beside the candidates, and what the provider's own tools fed to the model beside the prompt;
    ours are totals. Where the reported total says that the thoughts are inside the candidates, they are added no more.
    """
    usage = body.get("usageMetadata")
    if not isinstance(usage, Mapping) or not any(k.endswith("TokenCount") for k in usage):
        return None
    if not believable(*(usage.get(name) for name in _TOTALS)):
        return None
    prompt, tools = count_at(usage, "promptTokenCount"), count_at(usage, "toolUsePromptTokenCount")
    written = count_at(usage, "candidatesTokenCount") or count_at(usage, "responseTokenCount")
    thoughts = count_at(usage, "thoughtsTokenCount")
    inside = thoughts <= written and count_at(usage, "totalTokenCount") == prompt + tools + written
    modality = {
        name: _by_modality(usage, name)
        for name in (
            "promptTokensDetails", "toolUsePromptTokensDetails", "cacheTokensDetails", "candidatesTokensDetails",
            "responseTokensDetails",
        )
    }  # fmt: skip
    outputs = modality["candidatesTokensDetails"] or modality["responseTokensDetails"]
    tier = str(usage.get("serviceTier") or "").lower()
    return Usage(
        input_tokens=prompt + tools,
        output_tokens=written if inside else written + thoughts,
        cached_input_tokens=count_at(usage, "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
        input_audio_tokens=_of(modality, "AUDIO"),
        cached_input_audio_tokens=modality["cacheTokensDetails"].get("AUDIO", 0),
        output_audio_tokens=outputs.get("AUDIO", 0),
        input_image_tokens=_of(modality, "IMAGE"),
        output_image_tokens=outputs.get("IMAGE", 0),
        search_requests=_searches(body),
        service_tier=tier if tier in ("flex", "priority", "batch") else None,
    )


def _of(modality: Mapping[str, Mapping[str, int]], name: str) -> int:
    return modality["promptTokensDetails"].get(name, 0) + modality["toolUsePromptTokensDetails"].get(name, 0)


def _by_modality(usage: Mapping[str, Any], name: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    details = usage.get(name)
    for detail in details if isinstance(details, list) else []:
        kind = detail.get("modality")
        kind = _MODALITY_NUMBERS.get(kind, "") if isinstance(kind, int) else str(kind).upper()
        counts[kind] = counts.get(kind, 0) + count_at(detail, "tokenCount")
    return counts


def _searches(body: Mapping[str, Any]) -> int:
    """Returns how many answers were grounded by a web search: Gemini bills by the grounded prompt, not by the query."""
    grounded = (candidate.get("groundingMetadata") or {} for candidate in _candidates(body))
    return 1 if any(metadata.get("webSearchQueries") for metadata in grounded) else 0


def answer_from(body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
    """Returns a `generateContent` body in OpenAI's shape; a blocked prompt is one empty choice, `content_filter`.

    Args:
        body: the parsed response.
        headers: of the response, names in lower case.
    """
    candidates = _candidates(body)
    choices = tuple(_choice(body, position, candidate) for position, candidate in enumerate(candidates))
    if not choices and body.get("promptFeedback"):
        choices = (
            Choice(message=Message(extra={"prompt_feedback": body["promptFeedback"]}), finish_reason="content_filter"),
        )
    return Answer(
        choices=choices,
        usage=usage_from(body),
        id=text_or_none(body.get("responseId")),
        model=text_or_none(body.get("modelVersion")),
        headers=headers,
    )


def _choice(body: Mapping[str, Any], position: int, candidate: Mapping[str, Any]) -> Choice:
    index = count_at(candidate, "index") or position
    message = _message(body, index, _parts(candidate), first_call=0)
    extra = dict(message.extra)
    for name in ("groundingMetadata", "citationMetadata", "urlContextMetadata", "safetyRatings", "finishMessage"):
        if candidate.get(name):
            extra[name] = candidate[name]
    return Choice(
        index=index,
        message=Message(
            content=message.content,
            tool_calls=message.tool_calls,
            reasoning_content=message.reasoning_content,
            extra=extra,
        ),
        finish_reason=_finish(candidate.get("finishReason"), has_calls=bool(message.tool_calls)),
        logprobs=_logprobs(candidate.get("logprobsResult")),
    )


def _finish(reason: object, *, has_calls: bool) -> str | None:
    if isinstance(reason, int):
        reason = _FINISH_NUMBERS.get(reason, "OTHER")
    if not isinstance(reason, str) or reason == "FINISH_REASON_UNSPECIFIED":
        return None
    found = _FINISH.get(reason, reason)
    # Gemini stops for a tool call as for anything else.
    return "tool_calls" if found == "stop" and has_calls else found


def _message(
    body: Mapping[str, Any], index: int, parts: list[Mapping[str, Any]], *, first_call: int, streamed: bool = False
) -> Message:
    """Returns the parts of one candidate as a message; `first_call` numbers its first tool call."""
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str) and not part.get("thought")]
    thoughts = [part["text"] for part in parts if isinstance(part.get("text"), str) and part.get("thought")]
    calls: list[ToolCall] = []
    extra: dict[str, Any] = {}
    for part in parts:
        if isinstance(part.get("functionCall"), Mapping):
            calls.append(_call(body, index, first_call + len(calls), part, streamed=streamed))
        elif part.get("thoughtSignature"):
            fields = extra.setdefault("provider_specific_fields", {})
            fields.setdefault("thought_signatures", []).append(part["thoughtSignature"])
        if isinstance(part.get("inlineData"), Mapping):
            extra.setdefault("images", []).append(_inline(part["inlineData"], len(extra.get("images", []))))
        for name in part.keys() - _SHOWN:
            extra.setdefault(name, []).append(part[name])
    return Message(
        content="".join(texts) if texts else None,
        tool_calls=tuple(calls) or None,
        reasoning_content="".join(thoughts) if thoughts else None,
        extra=extra,
    )


def _call(body: Mapping[str, Any], index: int, number: int, part: Mapping[str, Any], *, streamed: bool) -> ToolCall:
    call = part["functionCall"]
    arguments = json.dumps(call.get("args") or {}, ensure_ascii=False, separators=(",", ":"))
    name = str(call.get("name") or "")
    signature = part.get("thoughtSignature")
    return ToolCall(
        id=str(call.get("id") or _call_id(body, index, number, name, arguments)),
        function=Function(name=name, arguments=arguments),
        index=number if streamed else None,
        extra={"provider_specific_fields": {"thought_signature": signature}} if signature else {},
    )


def _call_id(body: Mapping[str, Any], index: int, number: int, name: str, arguments: str) -> str:
    """Returns an id for a call to which Gemini gave none: the same for the same answer, so that it replays."""
    seed = json.dumps([body.get("responseId"), index, number, name, arguments])
    return f"call_{hashlib.sha256(seed.encode()).hexdigest()[:24]}"


def _inline(data: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Returns an image or sound that the model made, as litellm and OpenRouter write images in a message."""
    kind = data.get("mimeType") or "application/octet-stream"
    return {"index": index, "type": "image_url", "image_url": {"url": f"data:{kind};base64,{data.get('data') or ''}"}}


def _logprobs(result: object) -> dict[str, Any] | None:
    """Returns log probabilities in OpenAI's shape."""
    if not isinstance(result, Mapping) or not isinstance(result.get("chosenCandidates"), list):
        return None
    tops = result.get("topCandidates") or []
    content = []
    for position, chosen in enumerate(result["chosenCandidates"]):
        others = tops[position].get("candidates") or [] if position < len(tops) else []
        content.append({**_logprob(chosen), "top_logprobs": [_logprob(other) for other in others]})
    return {"content": content, "refusal": None}


def _logprob(candidate: Mapping[str, Any]) -> dict[str, Any]:
    token = str(candidate.get("token") or "")
    return {"token": token, "logprob": candidate.get("logProbability"), "bytes": list(token.encode("utf-8", "replace"))}


class Reading:
    """Puts a stream together into the body of the same answer unstreamed."""

    __slots__ = ("_body", "_calls", "_candidates", "_shown")

    def __init__(self) -> None:
        self._shown = False
        self._body: dict[str, Any] = {}
        self._candidates: dict[int, dict[str, Any]] = {}
        self._calls: dict[int, int] = {}  # tool calls so far, by candidate

    def feed(self, event: Mapping[str, Any], /) -> list[Chunk]:
        """Takes the next event, itself a small answer, and returns what it adds."""
        # Later events repeat the head; the usage grows, and the last one that has it is the whole.
        self._body |= {k: v for k, v in event.items() if k != "candidates" and v}
        choices = []
        for position, candidate in enumerate(_candidates(event)):
            index = count_at(candidate, "index") or position
            parts = _parts(candidate)
            whole = self._candidates.setdefault(index, {"content": {"parts": []}, "index": index})
            whole["content"]["parts"] += parts
            whole |= {k: v for k, v in candidate.items() if k != "content" and v is not None}
            done = self._calls.get(index, 0)
            delta = _message(self._body, index, parts, first_call=done, streamed=True)
            self._calls[index] = done + len(delta.tool_calls or ())
            self._shown |= bool(delta.content or delta.tool_calls or delta.reasoning_content or delta.extra)
            finish = _finish(candidate.get("finishReason"), has_calls=self._calls[index] > 0)
            # An end without anything before it is no first token: the router may still turn to another model.
            if self._shown and (finish or delta != _EMPTY):
                choices.append(ChunkChoice(index=index, delta=delta, finish_reason=finish))
        if not choices:
            return []
        return [Chunk(choices=tuple(choices), id=self._body.get("responseId"), model=self._body.get("modelVersion"))]

    def end(self, headers: Mapping[str, str], /) -> Answer | None:
        """Returns the whole answer; None where no finish reason came, so that the stream was cut."""
        candidates = [self._candidates[index] for index in sorted(self._candidates)]
        body = {**self._body, "candidates": candidates}
        finished = bool(candidates) and all(candidate.get("finishReason") for candidate in candidates)
        blocked = not candidates and bool(body.get("promptFeedback"))
        return answer_from(body, headers) if finished or blocked else None


def _candidates(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    candidates = body.get("candidates")
    return [c for c in candidates if isinstance(c, Mapping)] if isinstance(candidates, list) else []


def _parts(candidate: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, Mapping) else None
    return [p for p in parts if isinstance(p, Mapping)] if isinstance(parts, list) else []
